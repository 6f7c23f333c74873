# SPDX-License-Identifier: ISC
"""The command line: exit codes, --check, --print-config, the sidecar, the environment."""

import grp
import os
import re
import signal
import stat
import subprocess
import time

import psycopg2
import pytest

from harness.postgres import free_port
from harness.proxy import Proxy, render, wait_until, weir_binary

pytestmark = pytest.mark.weir_only


def weir(*args, env=None, timeout=30):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("WEIR_", "PG"))}
    return subprocess.run([weir_binary(), *map(str, args)], capture_output=True, text=True, timeout=timeout,
                          env={**clean, **(env or {})}, stdin=subprocess.DEVNULL)


def write(tmp_path, sections, name="weir.ini"):
    path = tmp_path / name
    path.write_text(sections if isinstance(sections, str) else render(sections))
    return path


def test_version_and_help():
    out = weir("--version")
    assert out.returncode == 0 and re.search(r"weir \d", out.stdout)
    out = weir("--help")
    assert out.returncode == 0
    for word in ("--check", "--print-config", "--url", "--version"):
        assert word in out.stdout


@pytest.mark.parametrize("args", [[], ["--nonsense"], ["a.ini", "b.ini"], ["--url"]])
def test_wrong_usage_is_2(args):
    out = weir(*args)
    assert out.returncode == 2 and out.stderr


def test_missing_file_is_1(tmp_path):
    out = weir(tmp_path / "nowhere.ini")
    assert out.returncode == 1 and "nowhere.ini" in out.stderr


def test_port_in_use_is_1(tmp_path, pg):
    path = write(tmp_path, {"weir": {"listen_addr": "127.0.0.1", "listen_port": pg.port, "admin_port": free_port()},
                            "databases": {"shop": {"host": "127.0.0.1", "port": pg.port}}})
    out = weir(path)
    assert out.returncode == 1 and str(pg.port) in out.stderr


def test_all_errors_of_a_file_at_once_with_their_lines(tmp_path):
    path = write(tmp_path, "[weir]\nlisten_port = 70000\nlisen_addr = x\nquery_wait_timeout = soon\nmax_client_conn = 5\n"
                           "max_client_conn = 6\n[databases]\nshop = nonsense=1\n")
    for args in ([path], ["--check", path]):
        out = weir(*args)
        assert out.returncode == 1
        text = out.stderr + out.stdout
        for line, key in ((2, "listen_port"), (3, "lisen_addr"), (4, "query_wait_timeout"), (6, "max_client_conn"), (8, "nonsense")):
            assert re.search(rf"weir\.ini:{line}\b.*{key}", text), f"line {line} {key} in:\n{text}"


def test_check_prints_what_it_found(tmp_path, pg):
    path = write(tmp_path, {"weir": {"max_server_connections": "75%", "listen_port": free_port(), "admin_port": free_port()},
                            "databases": {"shop": f"postgres://app:secret@127.0.0.1:{pg.port}/shop",
                                          "other": {"host": "127.0.0.1", "port": pg.port, "user": "app", "password": "secret"}}})
    out = weir("--check", path)
    assert out.returncode == 0, out.stderr + out.stdout
    assert "15." in out.stdout and "100" in out.stdout and "shop" in out.stdout
    assert re.search(r"\b(7[0-9])\b", out.stdout), "the bound that weir will keep"
    assert "secret" not in out.stdout + out.stderr


def test_check_says_what_is_wrong(tmp_path, pg):
    path = write(tmp_path, {"weir": {"listen_port": free_port()},
                            "databases": {"down": {"host": "127.0.0.1", "port": free_port(), "user": "app", "password": "x"},
                                          "denied": {"host": "127.0.0.1", "port": pg.port, "dbname": "shop", "user": "app",
                                                     "password": "wrong"},
                                          "fine": f"postgres://app:secret@127.0.0.1:{pg.port}/shop"}})
    out = weir("--check", path)
    text = out.stdout + out.stderr
    assert out.returncode == 1
    assert "down" in text and "denied" in text and "password" in text


def test_check_asks_the_password_command(tmp_path, pg):
    shop = {"host": "127.0.0.1", "port": pg.port, "dbname": "shop", "user": "app"}
    path = write(tmp_path, {"weir": {"listen_port": free_port(), "admin_port": free_port()}, "databases": {
        "shop": dict(shop, password_command="echo secret"), "denied": dict(shop, password_command="echo wrong"),
        "failing": dict(shop, password_command="exit 3")}})
    out = weir("--check", path)
    assert out.returncode == 1 and re.search(r"^shop .* primary ", out.stdout, re.M), out.stdout
    assert "shop: " not in out.stderr
    assert re.search("denied: .*password authentication failed", out.stderr), out.stderr
    assert re.search("failing: .*password_command failed", out.stderr), out.stderr
    assert "secret" not in out.stdout + out.stderr


@pytest.mark.parametrize("query,says", [
    ("SELECT usename, passwd FROM lookup_user($1)", None),
    ("SELECT passwd FROM lookup_user($1)", "two columns"),
    ("SELECT usename, passwd FROM nowhere($1)", "function nowhere"),
    ("SELECT usename, passwd FROM pg_catalog.pg_shadow WHERE usename = $1", "permission denied"),
])
def test_check_asks_auth_query(tmp_path, pg, query, says):
    """As whoever logs in would be looked up: what is in its way is found before that."""
    (tmp_path / "userlist.txt").write_text('"lookup" "lookup"\n')
    path = write(tmp_path, {"weir": {"listen_port": free_port(), "admin_port": free_port(), "auth_file": f"{tmp_path}/userlist.txt",
                                     "auth_user": "lookup", "auth_query": query},
                            "databases": {"shop": f"host={pg.host} port={pg.port} dbname=shop"}})
    out = weir("--check", path)
    assert out.returncode == (1 if says else 0), out.stderr
    assert says is None or re.search(rf'weir\.ini:\d+: error: shop: auth_query as "lookup": .*{says}', out.stderr), out.stderr
    assert "SCRAM" not in out.stderr + out.stdout


def wrong_start(tmp_path, ports, text):
    """What a start without --check says, too: it fails."""
    return write(tmp_path, "[weir]\nauth_type = trust\nunix_socket_dir =\n" + text +
                 "".join(f"{k} = {v}\n" for k, v in ports.items()))


@pytest.mark.parametrize("text,says", [
    ("listen_addr = 192.0.2.1\n", "listen_addr"),
    ("listen_addr = 127.0.0.1, nowhere.invalid\n", "listen_addr"),
    ("admin_addr = 192.0.2.1\n", "admin_addr"),
    ("pidfile = /nowhere/weir.pid\n", "pidfile"),
    ("client_tls_sslmode = require\nclient_tls_key_file = KEY\nclient_tls_cert_file = CERT\nclient_tls_ciphers = NONE_SUCH\n",
     "client_tls_ciphers"),
    ("client_tls_sslmode = require\nclient_tls_key_file = STRANGER\nclient_tls_cert_file = CERT\n", "client_tls_key_file"),
])
def test_check_finds_what_a_start_would_fail_at(tmp_path, pg, text, says):
    for word, path in (("KEY", "localhost.key"), ("CERT", "localhost.crt"), ("STRANGER", "stranger.key")):
        text = text.replace(word, f"{pg.certs}/{path}")
    path = wrong_start(tmp_path, {"listen_port": free_port(), "admin_port": free_port()}, text)
    out = weir("--check", path)
    assert out.returncode == 1 and says in out.stderr, out.stderr
    assert weir(path).returncode == 1


@pytest.mark.parametrize("key,value", [
    ("listen_addr", "192.0.2.1"),
    ("listen_addr", "127.0.0.1, nowhere.invalid"),
    ("admin_addr", "192.0.2.1"),
    ("pidfile", "/nowhere/weir.pid"),
    ("unix_socket_dir", "/nowhere"),
    ("unix_socket_group", "nobody-has-it"),
    ("client_tls_ciphers", "NONE_SUCH"),
    ("client_tls_ca_file", "KEY"),
    ("client_tls_key_file", "STRANGER"),
    ("client_tls_cert_file", "EXPIRED"),
])
def test_check_says_where_what_is_wrong_stands(tmp_path, pg, key, value):
    """Also what only the machine can tell, and what an entry leads to: file, line and name."""
    files = {"KEY": f"{pg.certs}/localhost.key", "CERT": f"{pg.certs}/localhost.crt",
             "STRANGER": f"{pg.certs}/stranger.key", "EXPIRED": expired(tmp_path, f"{pg.certs}/localhost.key")}
    settings = {"listen_addr": "127.0.0.1", "unix_socket_dir": "", "auth_type": "trust", "listen_port": free_port(),
                "admin_port": free_port(), "client_tls_sslmode": "require", "client_tls_key_file": "KEY",
                "client_tls_cert_file": "CERT", "client_tls_ca_file": "CERT"}
    settings.update({key: value})
    text = "[weir]\n" + "".join(f"{k} = {files.get(v, v)}\n" for k, v in settings.items())
    line = list(settings).index(key) + 2
    text += f"[databases]\ndown = postgres://app:x@127.0.0.1:{free_port()}/shop\n"
    out = weir("--check", write(tmp_path, text))
    assert out.returncode == 1
    assert re.search(rf"weir\.ini:{line}: error: {key}: ", out.stderr), out.stderr
    assert re.search(rf"weir\.ini:{text.count(chr(10))}: error: down: can't connect", out.stderr), out.stderr


def expired(where, key):
    """A certificate of that key, valid until yesterday."""
    subprocess.run(["openssl", "req", "-new", "-key", key, "-subj", "/CN=localhost", "-out", where / "csr"], check=True)
    subprocess.run(["openssl", "x509", "-req", "-in", where / "csr", "-signkey", key, "-days", "-1", "-out",
                    where / "expired.crt"], check=True, capture_output=True)
    return where / "expired.crt"


def test_check_tells_an_old_certificate_and_a_strange_key_from_others(tmp_path, pg):
    """Neither is seen by who merely loads them, or not in so many words. A weir with an old certificate starts all
    the same: some clients don't mind."""
    key = f"{pg.certs}/localhost.key"
    ports = {"listen_port": free_port(), "admin_port": free_port()}
    tls = f"client_tls_sslmode = require\nclient_tls_key_file = {key}\nclient_tls_cert_file = "
    out = weir("--check", wrong_start(tmp_path, ports, f"{tls}{expired(tmp_path, key)}\n"))
    assert out.returncode == 1 and re.search(r"client_tls_cert_file: the certificate expired on \d{4}-", out.stderr), out.stderr
    strange = f"client_tls_sslmode = require\nclient_tls_key_file = {pg.certs}/stranger.key\nclient_tls_cert_file = "
    out = weir("--check", wrong_start(tmp_path, ports, f"{strange}{pg.certs}/localhost.crt\n"))
    assert out.returncode == 1 and "stranger.key is not the key of the certificate in" in out.stderr, out.stderr


def test_a_start_with_an_old_certificate_warns(start, pg, tmp_path):
    key = f"{pg.certs}/localhost.key"
    proxy = start(client_tls_sslmode="allow", client_tls_key_file=key, client_tls_cert_file=str(expired(tmp_path, key)))
    assert re.search(r"warning .*: client_tls_cert_file: the certificate expired on", proxy.log()), proxy.log()


def test_check_beside_a_weir_that_runs(start):
    """Its ports are taken, by the one that is to be reloaded."""
    proxy = start(databases={})
    out = weir("--check", proxy.ini_path)
    assert out.returncode == 0, out.stderr


def test_check_connects_to_the_fallback_too(tmp_path, pg):
    ports = {"listen_port": free_port(), "admin_port": free_port()}
    for port, status in ((pg.port, 0), (free_port(), 1)):
        path = write(tmp_path, {"weir": {"listen_addr": "127.0.0.1", **ports},
                                "databases": {"*": {"host": "127.0.0.1", "port": port, "user": "app", "password": "secret"}}})
        out = weir("--check", path)
        assert out.returncode == status, out.stdout + out.stderr
        assert re.search(r"^\* ", out.stdout, re.M)
    out = weir("--check", "--url", f"postgres://app:secret@127.0.0.1:{pg.port}/shop", env={"WEIR_LISTEN_ADDR": "127.0.0.1"})
    assert out.returncode == 0 and "* " not in out.stdout, "once is enough"


def test_print_config(tmp_path):
    path = write(tmp_path, {"weir": {"listen_port": 7777, "query_wait_timeout": "7s"}, "databases": {
        "shop": "postgres://app:secret@127.0.0.1/shop"}})
    out = weir("--print-config", path, env={"WEIR_MAX_CLIENT_CONN": "123"})
    assert out.returncode == 0, out.stderr
    assert re.search(r"listen_port\s*=\s*7777", out.stdout)
    assert re.search(r"max_client_conn\s*=\s*123", out.stdout)
    assert "secret" not in out.stdout


def test_order_of_sources(tmp_path):
    """defaults < file < environment"""
    path = write(tmp_path, {"weir": {"max_client_conn": 10, "query_wait_timeout": "7s"}})
    env = {"WEIR_MAX_CLIENT_CONN": "20"}
    out = weir("--print-config", path, env=env)
    assert re.search(r"max_client_conn\s*=\s*20", out.stdout)
    assert re.search(r"query_wait_timeout\s*=\s*7", out.stdout)


def test_an_environment_variable_with_a_wrong_value_is_named(tmp_path):
    out = weir("--check", write(tmp_path, {"weir": {}}), env={"WEIR_LISTEN_PORT": "many"})
    assert out.returncode == 1
    assert re.search(r"environment.*listen_port.*many", out.stderr + out.stdout, re.I)


@pytest.fixture
def sidecar(pg):
    """weir without a file."""
    started = []

    def make(args=(), **env):
        proxy = Proxy(pg, args=args, start=False)
        proxy.env = {"WEIR_LISTEN_PORT": str(proxy.port), "WEIR_ADMIN_PORT": str(proxy.admin_port),
                     "WEIR_LISTEN_ADDR": "127.0.0.1", "WEIR_UNIX_SOCKET_DIR": proxy.dir, **env}
        proxy.which = "weir"
        started.append(proxy)
        if not args:
            proxy.args = ["--url", env.pop("url")] if "url" in env else []
        return proxy.start()
    yield make
    problems = [p.destroy() for p in started]
    assert not any(problems), problems


def test_sidecar_prints_the_dsn_that_works(sidecar, pg):
    proxy = sidecar(["--url", f"postgres://app:secret@127.0.0.1:{pg.port}/shop"])
    found = wait_until(lambda: re.search(r"postgres(?:ql)?://\S+", proxy.log()), 15, "a DSN")
    dsn = found.group(0).rstrip(".,;'\"")
    assert str(proxy.port) in dsn
    assert "secret" not in dsn
    with psycopg2.connect(dsn, password="secret") as conn:
        cur = conn.cursor()
        cur.execute("select current_user, current_database()")
        assert cur.fetchone() == ("app", "shop")


def test_sidecar_of_all_databases_prints_where_the_name_goes(sidecar, pg):
    proxy = sidecar(["--url", f"postgres://app:secret@127.0.0.1:{pg.port}"])
    proxy.wait_log(rf"give your function: postgres\S*://app:\*\*\*@127\.0\.0\.1:{proxy.port}/DATABASE")


def test_two_urls_of_one_database_are_an_error(pg):
    """Also where they are of different protocols: there is one entry of a name."""
    out = weir("--url", f"postgres://app:secret@127.0.0.1:{pg.port}/shop", "--url", "mysql://app:secret@127.0.0.1/shop")
    assert out.returncode == 1 and '"shop"' in out.stderr and "another name" in out.stderr


def test_sidecar_without_a_password_says_that_nobody_gets_in(sidecar, pg):
    proxy = sidecar(["--url", f"postgres://app@127.0.0.1:{pg.port}/shop"])
    assert "nobody can log in" in proxy.log()
    trusting = sidecar(["--url", f"postgres://app@127.0.0.1:{pg.port}/shop"], WEIR_AUTH_TYPE="trust")
    assert "nobody can log in" not in trusting.log()


@pytest.mark.parametrize("auth_type,lets_in", [("scram-sha-256", False), ("md5", False), ("trust", True)])
def test_a_file_without_users_says_that_nobody_gets_in_where_that_is_so(start, pg, auth_type, lets_in):
    """Unlike those of --url, user and password of a file's entry are for the server alone."""
    proxy = start(databases={"shop": f"postgres://app:secret@127.0.0.1:{pg.port}/shop"}, auth_type=auth_type, auth_file="")
    assert ("nobody can log in" in proxy.log()) != lets_in
    if lets_in:
        with proxy.client(user="app", password="secret", database="shop") as c:
            assert c.value("select current_user") == "app"
    else:
        with pytest.raises(Exception, match="28P01|password authentication failed"):
            proxy.client(user="app", password="secret", database="shop")


def test_url_in_the_environment(pg):
    proxy = Proxy(pg, start=False)
    proxy.env = {"WEIR_URL": f"postgres://app:secret@127.0.0.1:{pg.port}/shop",
                 "WEIR_URL_SECOND": f"postgres://app2:secret2@127.0.0.1:{pg.port}/other"}
    proxy.databases = {}
    proxy.settings["auth_file"] = proxy.userlist_path
    proxy.write()
    try:
        proxy.start()
        with proxy.client() as c:
            assert c.value("select current_database()") == "shop"
        with proxy.client("app2", "second") as c:
            assert c.value("select current_database()") == "other"
    finally:
        assert not proxy.destroy()


def test_a_pgbouncer_ini_starts_weir_as_it_is(pg, tmp_path):
    """Every key of PgBouncer's manual: those without meaning here are a warning each, none a refusal."""
    ini = f"""
;; an ordinary pgbouncer.ini
[databases]
shop = host=127.0.0.1 port={pg.port} dbname=shop
forced = host=127.0.0.1 port={pg.port} dbname=other user=app password=secret pool_size=5 reserve_pool=2 connect_query='select 1' client_encoding=UTF8
%include {tmp_path}/more.ini
* = host=127.0.0.1 port={pg.port}

[users]
app = pool_mode=transaction max_user_connections=10

[pgbouncer]
logfile = {tmp_path}/pgbouncer.log
pidfile = {tmp_path}/pgbouncer.pid
listen_addr = 127.0.0.1
listen_port = PORT
unix_socket_dir = {tmp_path}
unix_socket_mode = 0777
auth_type = scram-sha-256
auth_file = {tmp_path}/userlist.txt
admin_users = admin
stats_users = stats
pool_mode = transaction
server_reset_query = DISCARD ALL
server_reset_query_always = 0
server_check_query = select 1
server_check_delay = 30
ignore_startup_parameters = extra_float_digits
max_client_conn = 100
default_pool_size = 20
min_pool_size = 0
reserve_pool_size = 5
reserve_pool_timeout = 5
max_db_connections = 50
max_user_connections = 50
server_round_robin = 0
syslog = 0
syslog_facility = daemon
syslog_ident = pgbouncer
log_connections = 1
log_disconnections = 1
log_pooler_errors = 1
stats_period = 60
verbose = 0
server_lifetime = 3600
server_idle_timeout = 600
server_connect_timeout = 15
server_login_retry = 15
query_timeout = 0
query_wait_timeout = 120
client_idle_timeout = 0
client_login_timeout = 60
autodb_idle_timeout = 3600
idle_transaction_timeout = 0
pkt_buf = 4096
listen_backlog = 128
sbuf_loopcnt = 5
max_packet_size = 2147483647
suspend_timeout = 10
tcp_defer_accept = 0
tcp_socket_buffer = 0
tcp_keepalive = 1
tcp_keepcnt = 0
tcp_keepidle = 0
tcp_keepintvl = 0
tcp_user_timeout = 0
dns_max_ttl = 15
dns_zone_check_period = 0
dns_nxdomain_ttl = 15
so_reuseport = 0
disable_pqexec = 0
application_name_add_host = 0
server_fast_close = 0
server_tls_sslmode = prefer
server_tls_protocols = secure
server_tls_ciphers = default
client_tls_sslmode = disable
conffile = {tmp_path}/x
max_prepared_statements = 100
track_extra_parameters = IntervalStyle
"""
    from harness.proxy import USERS_PLAIN
    (tmp_path / "more.ini").write_text(f"third = host=127.0.0.1 port={pg.port}\n")
    with open(tmp_path / "userlist.txt", "w") as f:
        f.write("; users\n")
        for name, password in USERS_PLAIN.items():
            f.write(f'"{name}" "{password}"\n')
    proxy = Proxy(pg, start=False, which="weir")
    with open(proxy.ini_path, "w") as f:
        f.write(ini.replace("PORT", str(proxy.port)))
    proxy.env = {"WEIR_ADMIN_PORT": str(proxy.admin_port)}
    try:
        proxy.start()
        for database in ("shop", "forced", "third"):
            with proxy.client(database=database) as c:
                assert c.value("select current_user") == "app"
        assert proxy.show("POOLS")
    finally:
        assert not proxy.destroy()


def test_sigterm_ends_with_0_and_sd_notify_says_ready(pg, tmp_path):
    import signal
    import socket
    path = str(tmp_path / "notify")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(path)
    os.chmod(path, 0o777)
    sock.settimeout(5)
    proxy = Proxy(pg, env={"NOTIFY_SOCKET": path}, which="weir")
    try:
        assert b"READY=1" in sock.recv(1000)
        proxy.signal(signal.SIGTERM)
        assert proxy.wait() == 0
        assert b"STOPPING=1" in sock.recv(1000)
    finally:
        sock.close()
        proxy.destroy()


def test_socket_activation(pg):
    """LISTEN_FDS: weir serves on the descriptors that it was given: one for each door, and the admin port."""
    import socket
    sockets = [socket.socket() for _ in range(3)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
        s.listen(20)
    ports = [s.getsockname()[1] for s in sockets]
    # descriptors belong to the setting that names their address
    proxy = Proxy(pg, {"listen_port": ports[0], "mysql_port": ports[1], "admin_port": ports[2]}, start=False, which="weir")
    proxy.databases["orders"] = "mysql://app:secret@127.0.0.1:1/orders"
    proxy.write()
    env = {k: v for k, v in os.environ.items() if not k.startswith("WEIR_")}
    log = open(proxy.log_path, "wb")
    # the shell puts the descriptor where it belongs and its own number into LISTEN_PID
    high = [os.dup2(s.fileno(), 200 + i) for i, s in enumerate(sockets)]
    moves = " ".join(f"{3 + i}<&{fd} {fd}<&-" for i, fd in enumerate(high))
    proxy.proc = subprocess.Popen(["bash", "-c", f"exec {moves}; export LISTEN_FDS=3 LISTEN_PID=$$;"
                                   f" exec '{weir_binary()}' '{proxy.ini_path}'"], pass_fds=high, env=env,
                                  stdout=log, stderr=log, start_new_session=True)
    log.close()
    for fd in high:
        os.close(fd)
    for s in sockets:
        s.close()
    try:
        proxy.port, proxy.admin_port = ports[0], ports[2]
        with wait_until(lambda: try_login(proxy), 30, "a login") as c:
            assert c.value("select 1") == "1"
        with socket.create_connection(("127.0.0.1", ports[1]), timeout=10) as greeted:
            assert greeted.recv(5)[4] == 10  # the protocol's version
        assert proxy.http("/healthz").strip() == "ok"
        assert "not used" not in proxy.log()
    finally:
        assert not proxy.destroy()


def try_login(proxy):
    try:
        return proxy.client(timeout=2)
    except Exception:
        return None


@pytest.mark.parametrize("how", ["file", "env", "command"])
def test_passwords_from_elsewhere(start, pg, tmp_path, how):
    (tmp_path / "pw").write_text("secret\n")
    os.chmod(tmp_path / "pw", 0o600)
    source = {"file": f"password_file={tmp_path}/pw", "env": "password_env=APP_PW",
              "command": f"password_command='cat {tmp_path}/pw'"}[how]
    proxy = start(databases={"shop": f"host=127.0.0.1 port={pg.port} dbname=shop user=app {source}"},
                  env={"APP_PW": "secret"}, auth_type="scram-sha-256")
    with proxy.client("app2", password="secret2") as c:
        assert c.value("select current_user") == "app"


@pytest.mark.parametrize("form", ["text", "json", "ecs", "gcp"])
def test_log_formats(start, form):
    import json
    proxy = start(log_format=form)
    with proxy.client(application_name="fn") as c:
        c.value("select 1")
    lines = proxy.log().splitlines()
    assert lines
    if form != "text":
        for line in lines:
            json.loads(line)
    if form in ("json", "ecs"):
        first = json.loads(lines[0])
        assert {"@timestamp", "log.level", "message", "ecs.version"} <= set(first)


# --- what an operator's scripts expect -----------------------------------------------------------------


def test_pidfile(start, tmp_path):
    path = tmp_path / "weir.pid"
    path.write_text("1\n")  # left behind by a crash
    proxy = start(pidfile=str(path))
    assert path.read_text() == f"{proxy.proc.pid}\n"
    second = start(pidfile=str(path), start=False)
    with pytest.raises(AssertionError):
        second.start()
    assert "belongs to a process that runs" in second.log()
    assert path.read_text() == f"{proxy.proc.pid}\n"
    proxy.signal(signal.SIGTERM)
    proxy.wait()
    assert not path.exists()


def test_pidfile_that_can_t_be_written(start):
    proxy = start(pidfile="/nowhere/weir.pid", start=False)
    with pytest.raises(AssertionError):
        proxy.start()
    assert "pidfile: /nowhere/weir.pid: No such file" in proxy.log()


def test_unix_socket_group(start):
    group = grp.getgrgid(os.getgid() if os.geteuid() else 1)
    proxy = start(unix_socket_group=group.gr_name, unix_socket_mode="0770")
    st = os.stat(f"{proxy.dir}/.s.PGSQL.{proxy.port}")
    assert st.st_gid == group.gr_gid and stat.S_IMODE(st.st_mode) == 0o770


def test_so_reuseport(start):
    def one(**more):
        proxy = start(unix_socket_dir="", log_connections=1, start=False, **more)
        return proxy
    first = one(so_reuseport=1).start()
    second = one(so_reuseport=1, listen_port=first.port)
    second.port = first.port
    second.start()
    for _ in range(200):  # which of them gets a client is the kernel's choice
        with first.client() as c:
            c.value("select 1")
        if all("login" in p.log() for p in (first, second)):
            break
    assert "login" in first.log() and "login" in second.log()
    third = one(listen_port=first.port)
    with pytest.raises(AssertionError):
        third.start()


@pytest.mark.parametrize("allowed, spoken", [("tlsv1.2", "TLSv1.2"), ("tlsv1.3", "TLSv1.3"), ("secure", "TLSv1.3")])
def test_server_tls_protocols(start, allowed, spoken):
    proxy = start(server_tls_protocols=allowed, server_tls_sslmode="require")
    with proxy.client() as c:
        assert c.value("select version from pg_stat_ssl where pid = pg_backend_pid()") == spoken


def test_server_tls_protocols_that_nobody_knows(start):
    proxy = start(server_tls_protocols="sslv3", start=False)
    with pytest.raises(AssertionError):
        proxy.start()
    assert "server_tls_protocols" in proxy.log()
