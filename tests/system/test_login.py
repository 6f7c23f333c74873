# SPDX-License-Identifier: ISC
"""How a client gets in: every way to log in, every way to be refused, and what startup parameters do."""

import contextlib
import hashlib
import os
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time

import psycopg
import psycopg2
import psycopg2.extras
import pytest

from harness import wire
from harness.postgres import free_port
from harness.proxy import USERS_PLAIN, wait_until
from harness.wire import Closed, PgError

weir_only = pytest.mark.weir_only


def secret_of(pg, user):
    with pg.superuser("postgres") as c:
        return c.value(f"select rolpassword from pg_authid where rolname = '{user}'")


def refusal(conn):
    """All messages of a login that must fail, up to the end of the stream."""
    msgs = conn.until_closed(10)
    assert msgs and msgs[-1].type == "E", wire.kinds(msgs)
    return msgs[-1].fields


# --- methods -------------------------------------------------------------------------------------

@pytest.mark.parametrize("method", ["trust", "plain", "md5", "scram-sha-256"])
def test_each_method_lets_the_right_password_in(start, method):
    proxy = start(auth_type=method)
    with proxy.client() as c:
        assert c.value("select current_user") == "app"
        asked = [struct.unpack_from("!I", m.body)[0] for m in c.log if m.type == "R"]
    assert asked == {"trust": [0], "plain": [3, 0], "md5": [5, 0], "scram-sha-256": [10, 11, 12, 0]}[method]


@weir_only
@pytest.mark.parametrize("kind", ["md5", "scram"])
def test_a_password_in_the_clear_is_nowhere_afterwards(start, pg, kind):
    """Right, wrong, in pieces, and half of one whose client leaves. What weir was told of the right one is a hash."""
    right, wrong, half = ("%s %s horse battery staple" % (what, kind * 60) for what in ("correct", "mistaken", "bitten"))
    secret = "md5" + hashlib.md5(f"{right}app".encode()).hexdigest() if kind == "md5" else wire.scram_secret(right, 4096)
    proxy = start(auth_type="plain", userlist={"app": secret, "app2": "secret2"}, databases={
        "shop": {"host": pg.host, "port": pg.port, "dbname": "shop", "user": "app", "password": "secret"}})
    for password in (right, wrong, half):
        message = wire.message("p", password.encode() + b"\0")
        c = proxy.open()
        c.send(wire.startup_packet({"user": "app", "database": "shop"}))
        c.until("R")
        c.send(message[:100])
        time.sleep(0.05)
        if password != half:
            c.send(message[100:])
            assert c.until("E" if password == wrong else "Z")
        c.close()
    with proxy.client(user="app2", password="secret2") as c:
        assert c.value("select 1") == "1"
    wait_until(lambda: not any(proxy.remembers(p.encode()[:64]) for p in (right, wrong, half)), 10, "their end")


@pytest.mark.parametrize("method", ["plain", "md5", "scram-sha-256"])
def test_each_method_refuses_the_wrong_password(start, method):
    proxy = start(auth_type=method)
    with pytest.raises(PgError) as err:
        proxy.client(password="wrong")
    if proxy.which == "weir":
        assert err.value.code == "28P01" and err.value.fields["S"] == "FATAL"


def test_trust_needs_no_password_but_a_known_user(start):
    proxy = start(auth_type="trust")
    with proxy.client(password="") as c:
        assert c.value("select 1") == "1"
    with pytest.raises(PgError):
        proxy.client("nobody", password="")


def test_scram_secret_in_userlist_logs_in_to_both_sides(start, pg):
    """The secret alone suffices where it is the server's own: the client's proof opens the server, too."""
    proxy = start(userlist={"app": secret_of(pg, "app"), "admin": "admin secret"})
    with proxy.client() as c:
        assert c.value("select current_user") == "app"
    with pytest.raises(PgError):
        proxy.client(password="wrong")


def test_md5_secret_in_userlist(start, pg):
    secret = secret_of(pg, "md5user")
    assert secret.startswith("md5")
    proxy = start(userlist={"md5user": secret}, auth_type="md5")
    with proxy.client("md5user") as c:
        assert c.value("select current_user") == "md5user"
    with pytest.raises(PgError):
        proxy.client("md5user", password="wrong")


def test_md5_auth_type_takes_scram_where_the_secret_is_scram(start, pg):
    proxy = start(userlist={"app": secret_of(pg, "app")}, auth_type="md5")
    with proxy.client() as c:
        asked = [struct.unpack_from("!I", m.body)[0] for m in c.log if m.type == "R"]
        assert asked == [10, 11, 12, 0]


def test_userlist_with_quotes_comments_and_spaces(start):
    proxy = start(userlist={"app": "secret", 'we "ird': 'a "quoted" word'}, databases=None, auth_type="plain")
    with pytest.raises(PgError) as err:
        # known to the proxy, unknown to the server: the login itself succeeds
        proxy.client('we "ird', password="not it")
    assert err.value.fields["S"] == "FATAL"
    with proxy.client() as c:
        assert c.value("select 1") == "1"


def tls_settings(pg, mode="allow", **more):
    return dict(client_tls_sslmode=mode, client_tls_key_file=pg.certs + "/localhost.key",
                client_tls_cert_file=pg.certs + "/localhost.crt", client_tls_ca_file=pg.certs + "/ca.crt", **more)


@weir_only
def test_scram_plus_is_offered_over_tls_and_works_by_hand(start, pg):
    proxy = start(**tls_settings(pg))
    conn = proxy.open().start_tls()
    conn.login("app", "secret", "shop", plus=True)
    assert conn.value("select 1") == "1"
    conn.terminate()


@weir_only
def test_scram_plus_with_libpq_channel_binding_required(start, pg):
    proxy = start(**tls_settings(pg, "require"))
    with psycopg.connect(proxy.dsn(sslmode="require", channel_binding="require")) as conn:
        assert conn.execute("select 1").fetchone() == (1,)


@weir_only
def test_scram_plus_refuses_a_binding_to_another_certificate(start, pg):
    proxy = start(**tls_settings(pg))
    conn = proxy.open().start_tls()
    conn.startup({"user": "app", "database": "shop"})
    msg = conn.recv()
    scram = wire.Scram("secret", "SCRAM-SHA-256-PLUS", hashlib.sha256(b"a man in the middle").digest())
    first = scram.first()
    conn.send(wire.message("p", wire.cstr("SCRAM-SHA-256-PLUS") + struct.pack("!I", len(first)) + first))
    msg = conn.recv()
    conn.send(wire.message("p", scram.final(msg.body[4:])))
    assert refusal(conn)["C"] in ("28P01", "28000", "08P01")


@weir_only
def test_scram_gs2_y_is_a_downgrade_when_plus_was_offered(start, pg):
    """'y' says: I could, but thought you could not. Over TLS, where PLUS is offered, that is an attack."""
    proxy = start(**tls_settings(pg))
    conn = proxy.open().start_tls()
    conn.startup({"user": "app", "database": "shop"})
    conn.recv()
    scram = wire.Scram("secret", gs2="y")
    first = scram.first()
    conn.send(wire.message("p", wire.cstr("SCRAM-SHA-256") + struct.pack("!I", len(first)) + first))
    assert refusal(conn)["S"] == "FATAL"


def test_plus_is_not_offered_without_tls(shared):
    conn = shared.open().startup({"user": "app", "database": "shop"})
    msg = conn.recv()
    assert msg.body[4:].rstrip(b"\0").split(b"\0") == [b"SCRAM-SHA-256"]
    conn.close()


def test_cert_login_takes_the_common_name(start, pg):
    proxy = start(auth_type="cert", **tls_settings(pg, "verify-full"))
    certs = pg.certs
    with psycopg2.connect(host="localhost", port=proxy.port, dbname="shop", user="certuser", sslmode="verify-full",
                          sslrootcert=certs + "/ca.crt", sslcert=certs + "/certuser.crt",
                          sslkey=certs + "/certuser.key") as conn:
        cur = conn.cursor()
        cur.execute("select current_user")
        assert cur.fetchone() == ("certuser",)


@pytest.mark.parametrize("cert", ["stranger", "self", None])
def test_cert_login_refuses_others(start, pg, cert):
    proxy = start(auth_type="cert", **tls_settings(pg, "verify-full"))
    args = {"sslcert": f"{pg.certs}/{cert}.crt", "sslkey": f"{pg.certs}/{cert}.key"} if cert else {"sslcert": "/nowhere"}
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(host="localhost", port=proxy.port, dbname="shop", user="certuser", sslmode="require", **args)


def test_auth_query_finds_users_that_no_file_names(start):
    proxy = start(userlist={"lookup": "lookup"}, auth_user="lookup", auth_query="SELECT usename, passwd FROM lookup_user($1)")
    with proxy.client("hidden", password="hidden password") as c:
        assert c.value("select current_user") == "hidden"
    with proxy.client("app", password="secret") as c:
        assert c.value("select current_user") == "app"
    for user, password in (("hidden", "wrong"), ("no such user", "x")):
        with pytest.raises(PgError) as err:
            proxy.client(user, password=password)
        if proxy.which == "weir":
            assert err.value.code == "28P01"


@weir_only
def test_auth_query_counts_inside_the_bound(start, pg):
    proxy = start(max_server_connections=2, userlist={"lookup": "lookup"}, auth_user="lookup",
                  auth_query="SELECT usename, passwd FROM lookup_user($1)")
    from harness.proxy import Sampler, crowd
    with Sampler(pg, "usename in ('app2', 'hidden', 'lookup')") as seen:
        def work(i):
            with proxy.client("app2" if i % 2 else "hidden", password="secret2" if i % 2 else "hidden password") as c:
                return c.value("select pg_sleep(0.01)")
        crowd(20, work)
    assert 1 <= seen.highest <= 2


@weir_only
def test_auth_query_that_can_not_be_asked_is_no_wrong_password(start, pg):
    """No database to ask: whoever it is may try again; nor does it tell who there is."""
    here = {"host": pg.host, "port": pg.port}
    proxy = start(userlist={"lookup": "lookup", "app": "secret"}, auth_user="lookup", auth_dbname="accounts",
                  auth_query="SELECT usename, passwd FROM lookup_user($1)",
                  databases={"shop": here, "accounts": {"host": "127.0.0.1", "port": free_port(), "dbname": "shop"}})
    for user, password in 2 * (("app2", "secret2"), ("hidden", "wrong"), ("no such user", "x")):
        with pytest.raises(PgError) as err:
            proxy.client(user, password=password)
        assert err.value.code == "08006" and "auth_query" in str(err.value)
    proxy.client("app").terminate()
    proxy.databases["accounts"] = dict(here, dbname="shop")
    proxy.write()
    proxy.proc.send_signal(signal.SIGHUP)
    wait_until(lambda: try_login(proxy, "app2"), 20, "a login as soon as it can be asked")


@weir_only
@pytest.mark.parametrize("secret", ["plain", "scram"])
def test_auth_query_of_one_column_is_a_fault_that_the_log_names(start, pg, secret):
    lookup = "lookup"
    if secret == "scram":
        with pg.superuser() as s:
            lookup = s.value("select rolpassword from pg_authid where rolname = 'lookup'")
    proxy = start(userlist={"lookup": lookup}, auth_user="lookup", auth_query="SELECT passwd FROM lookup_user($1)")
    with pytest.raises(PgError) as err:
        proxy.client("app2", password="secret2")
    assert err.value.code == "08006" and "auth_query" in str(err.value)
    proxy.wait_log("auth_query has to give two columns" if secret == "plain" else "auth_query failed")


@weir_only
def test_auth_query_that_finds_no_connection_is_no_wrong_password(start):
    proxy = start(max_server_connections=1, cancel_wait_timeout=1, userlist={"lookup": "lookup", "app": "secret"}, auth_user="lookup",
                  auth_query="SELECT usename, passwd FROM lookup_user($1)")
    with proxy.client() as c:
        c.simple("begin")
        with pytest.raises(PgError) as err:
            proxy.client("app2", timeout=30)
        assert err.value.code == "53300"
        c.simple("commit")
    wait_until(lambda: try_login(proxy, "app2"), 20, "a login as soon as it can be asked")


@weir_only
def test_auth_query_for_made_up_users_takes_nothing_from_others(start):
    """They hang up at once: a flood of look-ups, each on a connection of the bound. Nor does the end find any of them."""
    proxy = start(max_server_connections=2, query_wait_timeout=20, userlist={"lookup": "lookup", "app": "secret"},
                  auth_user="lookup", auth_query="SELECT usename, passwd FROM lookup_user($1)")
    over = threading.Event()

    def flood(k):
        n = 0
        while not over.is_set():
            n += 1
            with contextlib.suppress(OSError):  # weir may have ended
                s = proxy.open()
                s.startup({"user": f"made up {k} {n}", "database": "shop"})
                s.close()

    crowds = [threading.Thread(target=flood, args=(k,)) for k in range(4)]
    with proxy.client("app") as c:
        for thread in crowds:
            thread.start()
        try:
            for _ in range(5):
                time.sleep(0.3)
                assert c.value("select 1", timeout=30) == "1"
            proxy.client("app2", timeout=30).terminate()
        finally:
            proxy.signal(signal.SIGINT)
            over.set()
            for thread in crowds:
                thread.join()
    assert proxy.wait(30) == 0


def try_login(proxy, user):
    try:
        proxy.client(user).terminate()
        return True
    except PgError:
        return False


# --- nothing to be learnt from a refusal ------------------------------------------------------------

def scram_dialogue(proxy, user, password="wrong"):
    """Every message of a failing SCRAM login; random parts are cut out by their lengths."""
    conn = proxy.open()
    conn.startup({"user": user, "database": "shop"})
    steps = []
    msg = conn.recv()
    steps.append((msg.type, msg.body))
    scram = wire.Scram(password)
    first = scram.first()
    conn.send(wire.message("p", wire.cstr("SCRAM-SHA-256") + struct.pack("!I", len(first)) + first))
    msg = conn.recv()
    attrs = dict(p.split("=", 1) for p in msg.body[4:].decode().split(","))
    steps.append((msg.type, msg.body[:4], len(msg.body), sorted(attrs), len(attrs["r"]), len(attrs["s"]), attrs["i"]))
    conn.send(wire.message("p", scram.final(msg.body[4:])))
    for msg in conn.until_closed(10):
        body = msg.body.replace(user.encode(), b"USER")
        steps.append((msg.type, body))
    return steps, attrs["s"]


@weir_only
def test_who_tries_passwords_hides_no_other_s_failure_from_the_log(start):
    """Each user and database has its own line a second, with how many were left out."""
    proxy = start(log_pooler_errors=1)
    for user in ("app", "app", "app", "app2", "app"):
        with pytest.raises(Exception, match="password"):
            proxy.client(user, password="wrong")
    wait_until(lambda: 'login of "app2" failed' in proxy.log(), 15, "the other's line")
    assert proxy.log().count('login of "app" failed') >= 1

    def again():
        with pytest.raises(Exception, match="password"):
            proxy.client("app", password="wrong")
        return re.search(r'login of "app" failed: .*\(and \d+ others since the last line\)', proxy.log())
    wait_until(again, 15, "the number of those left out")


def test_unknown_user_cannot_be_told_from_wrong_password(shared):
    known, _ = scram_dialogue(shared, "app")
    # of one length with the known one, so that lengths can be compared, too
    unknown, _ = scram_dialogue(shared, "apq")
    assert known == unknown


@weir_only
def test_mock_salt_is_the_same_each_time(shared):
    assert scram_dialogue(shared, "ghost")[1] == scram_dialogue(shared, "ghost")[1]
    assert scram_dialogue(shared, "ghost")[1] != scram_dialogue(shared, "spook")[1]


@weir_only
@pytest.mark.parametrize("method", ["md5", "plain"])
def test_unknown_user_takes_the_same_steps(start, method):
    proxy = start(auth_type=method)

    def dialogue(user):
        conn = proxy.open().startup({"user": user, "database": "shop"})
        asked = conn.recv()
        conn.send(wire.message("p", wire.cstr("md5" + "0" * 32)))
        rest = [(m.type, m.body.replace(user.encode(), b"USER")) for m in conn.until_closed(10)]
        return [(asked.type, asked.body[:4], len(asked.body))] + rest
    assert dialogue("app") == dialogue("apq")


@weir_only
def test_who_does_not_get_in_leaves_nothing_behind(start, pg):
    """No pool, and no login to the database on behalf of anybody's fancy."""
    proxy = start(databases={"*": f"host={pg.host} port={pg.port}"})
    for i in range(30):
        for user, database in (("app", f"fancy{i}"), (f"nobody{i}", "shop")):
            with pytest.raises(PgError) as e:
                proxy.client(user, database, "wrong")
            assert e.value.code == "28P01"
    assert [p["database"] for p in proxy.show("POOLS") if p["database"] != "weir"] == []
    assert proxy.log().count("server login failed") == 0
    with proxy.client() as c:
        assert c.value("select 1") == "1"
    assert [p["database"] for p in proxy.show("POOLS") if p["database"] != "weir"] == ["shop"]


def test_unknown_database_is_refused(shared):
    with pytest.raises(PgError) as err:
        shared.client(database="nowhere")
    if shared.which == "weir":
        assert err.value.code == "3D000"
        assert err.value.fields["S"] == "FATAL" and "nowhere" in err.value.fields["M"]


@weir_only
def test_unknown_database_is_told_only_to_those_who_know_the_password(shared):
    with pytest.raises(PgError) as err:
        shared.client(database="nowhere", password="wrong")
    assert err.value.code == "28P01"


def test_star_takes_any_database(start, pg):
    proxy = start(databases={"*": {"host": pg.host, "port": pg.port}})
    with proxy.client(database="other") as c:
        assert c.value("select current_database()") == "other"


@weir_only
def test_star_reaches_the_database_for_one_that_does_not_exist(start, pg):
    proxy = start(databases={"*": {"host": pg.host, "port": pg.port}})
    with pytest.raises(PgError) as err:
        c = proxy.client(database="nowhere")
        c.rows("select 1")
    assert err.value.code == "3D000"


@weir_only
def test_star_finds_a_database_as_soon_as_it_is_there(start, pg):
    proxy = start(databases={"*": {"host": pg.host, "port": pg.port}}, server_login_retry=60)

    def asked():
        with proxy.client(database="late") as c:
            return wire.error_code(c.simple("select 1"))
    try:
        assert [asked(), asked()] == ["3D000", "3D000"]
        with pg.superuser("postgres") as s:
            s.rows("create database late")
        wait_until(lambda: asked() is None, 10, "the new database")
    finally:
        proxy.stop()
        with pg.superuser("postgres") as s:
            s.rows("drop database if exists late")


@weir_only
def test_max_client_conn_is_53300(start):
    proxy = start(max_client_conn=2)
    a, b = proxy.client(), proxy.client()
    with pytest.raises(PgError) as err:
        proxy.client()
    assert err.value.code == "53300" and err.value.fields["S"] == "FATAL"
    a.terminate()
    wait_until(lambda: try_client(proxy), 15, "a place after one has left")
    b.terminate()


def try_client(proxy, **more):
    try:
        proxy.client(**more).terminate()
        return True
    except (PgError, Closed, OSError):
        return False


# --- before the startup packet ----------------------------------------------------------------------

def test_ssl_and_gss_requests_get_one_byte_each(shared):
    conn = shared.open()
    conn.send(struct.pack("!II", 8, wire.GSSENC_REQUEST))
    assert conn.read_bytes(1) == b"N"
    conn.send(struct.pack("!II", 8, wire.SSL_REQUEST))
    assert conn.read_bytes(1) == b"N"
    conn.login("app", "secret", "shop")
    assert conn.value("select 1") == "1"
    conn.terminate()


def test_tls_with_openssl_s_client(start, pg):
    proxy = start(**tls_settings(pg))
    out = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{proxy.port}", "-starttls", "postgres",
                          "-CAfile", pg.certs + "/ca.crt", "-verify_return_error"],
                         stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
    assert "Verify return code: 0 (ok)" in out.stdout, out.stdout + out.stderr


def test_tls_require_refuses_plain_clients(start, pg):
    proxy = start(**tls_settings(pg, "require"))
    with pytest.raises(PgError):
        proxy.client()
    with psycopg2.connect(proxy.dsn(sslmode="require")) as conn:
        conn.cursor().execute("select 1")


def test_tls_carries_large_rows_both_ways(start, pg):
    proxy = start(**tls_settings(pg))
    conn = proxy.open().start_tls().login("app", "secret", "shop")
    text = "x" * 3_000_000
    msgs = conn.extended("select $1::text, repeat('y', 5000000)", [text])
    assert wire.rows(msgs)[0] == [text, "y" * 5_000_000]
    conn.terminate()


def test_tls_towards_the_server(start, pg):
    proxy = start(server_tls_sslmode="verify-full", server_tls_ca_file=pg.certs + "/ca.crt",
                  databases={"shop": {"host": "localhost", "port": pg.port, "dbname": "shop"}})
    with proxy.client() as c:
        assert c.value("select ssl from pg_stat_ssl where pid = pg_backend_pid()") == "t"
        assert c.value("select length(repeat('x', 3000000))") == "3000000"
        assert len(c.value("select repeat('x', 3000000)")) == 3_000_000


@weir_only
def test_database_as_url_with_sslmode(start, pg):
    proxy = start(databases={"shop": f"postgres://127.0.0.1:{pg.port}/shop?sslmode=verify-ca&sslrootcert={pg.certs}/ca.crt"})
    with proxy.client() as c:
        assert c.value("select ssl from pg_stat_ssl where pid = pg_backend_pid()") == "t"


@weir_only
def test_direct_tls_with_alpn(start, pg):
    proxy = start(**tls_settings(pg))
    conn = proxy.open().start_tls(wire.insecure_context(["postgresql"]), direct=True)
    assert conn.sock.selected_alpn_protocol() == "postgresql"
    conn.login("app", "secret", "shop")
    assert conn.value("select 1") == "1"
    conn.terminate()


@weir_only
@pytest.mark.parametrize("alpn", [None, ["http/1.1"]])
def test_direct_tls_without_the_right_alpn_is_refused(start, pg, alpn):
    proxy = start(**tls_settings(pg))
    with pytest.raises((ssl.SSLError, OSError, Closed, PgError)):
        conn = proxy.open().start_tls(wire.insecure_context(alpn), direct=True)
        conn.login("app", "secret", "shop")


def test_bytes_sent_ahead_of_the_tls_answer_are_refused(start, pg):
    """A man in the middle could put plain bytes before the handshake (CVE-2021-23214)."""
    proxy = start(**tls_settings(pg))
    conn = proxy.open()
    conn.send(struct.pack("!II", 8, wire.SSL_REQUEST), wire.startup_packet({"user": "app", "database": "shop"}))
    with pytest.raises((Closed, OSError, ssl.SSLError, TimeoutError)):
        if conn.read_bytes(1, 5) != b"S":
            raise Closed("refused at once")
        conn.sock = wire.insecure_context().wrap_socket(conn.sock)
        conn.recv(3)


@weir_only
def test_tls_certificates_are_renewed_on_sighup_without_dropping_anyone(start, pg, tmp_path):
    cert, key = tmp_path / "cert", tmp_path / "key"

    def install(name):
        shutil.copy(f"{pg.certs}/{name}.crt", cert)
        shutil.copy(f"{pg.certs}/{name}.key", key)

    def served(proxy):
        conn = proxy.open().start_tls()
        der = conn.sock.getpeercert(binary_form=True)
        conn.close()
        return der
    install("localhost")
    proxy = start(client_tls_sslmode="allow", client_tls_key_file=str(key), client_tls_cert_file=str(cert))
    old = proxy.open().start_tls().login("app", "secret", "shop")
    before = served(proxy)
    install("renewed")
    proxy.signal(signal.SIGHUP)
    wait_until(lambda: served(proxy) != before, 15, "the new certificate")
    assert old.value("select 1") == "1"
    old.terminate()


@weir_only
def test_tls_session_tickets_resume(start, pg):
    proxy = start(**tls_settings(pg))
    context = wire.insecure_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    first = proxy.open().start_tls(context).login("app", "secret", "shop")
    session = first.sock.session
    first.terminate()
    second = proxy.open()
    second.send(struct.pack("!II", 8, wire.SSL_REQUEST))
    assert second.read_bytes(1) == b"S"
    second.sock = context.wrap_socket(second.sock, session=session)
    assert second.sock.session_reused
    second.login("app", "secret", "shop").terminate()


def test_protocol_3_2_is_negotiated_down_or_spoken(shared):
    conn = shared.open().startup({"user": "app", "database": "shop"}, wire.PROTOCOL_3_2)
    msg = conn.recv()
    if msg.type == "v":
        minor, count = struct.unpack_from("!ii", msg.body)
        # newer servers send the whole version number, older ones the minor
        assert minor in (0, 2, wire.PROTOCOL_3_0, wire.PROTOCOL_3_2) and count == 0
    if shared.which == "weir":
        assert msg.type == "v"
    conn.close()


@weir_only
def test_unknown_protocol_options_are_named(shared):
    conn = shared.open().startup({"user": "app", "database": "shop", "_pq_.wish": "1"}, 196609 + 5)
    msg = conn.recv()
    assert msg.type == "v"
    assert struct.unpack_from("!i", msg.body, 4)[0] == 1 and b"_pq_.wish" in msg.body
    conn.close()


@weir_only
def test_login_finishes_after_negotiation(shared):
    conn = shared.open()
    conn.login("app", "secret", "shop", version=wire.PROTOCOL_3_2)
    assert conn.log[0].type == "v"
    assert conn.value("select 1") == "1"
    conn.terminate()


def test_unsupported_protocol_is_refused(shared):
    conn = shared.open().startup({"user": "app"}, 2 << 16)
    msgs = conn.until_closed(5)
    assert wire.kinds(msgs) in ("E", "")
    if shared.which == "weir":
        assert wire.error_code(msgs) in ("0A000", "08P01")


def test_cancel_request_gets_no_answer_and_is_closed(shared):
    conn = shared.open()
    conn.send(wire.cancel_packet(12345, b"1234"))
    assert conn.until_closed(5) == []


def test_who_leaves_before_it_has_begun_hears_nothing(shared):
    """node-postgres: connect(), end(). An error would find nobody who expects it."""
    conn = shared.open()
    conn.send(b"X\0\0\0\4")
    assert conn.until_closed(5) == []


def test_unix_socket(shared):
    conn = wire.Conn(shared.dir, shared.port).login("app", "secret", "shop")
    assert conn.value("select 1") == "1"
    conn.terminate()
    with psycopg2.connect(host=shared.dir, port=shared.port, user="app", password="secret", dbname="shop") as c:
        c.cursor().execute("select 1")


def test_login_does_not_wait_for_a_database_that_is_down(start, pg):
    from harness.postgres import free_port
    proxy = start(databases={"shop": {"host": "127.0.0.1", "port": free_port(), "dbname": "shop"},
                             "other": {"host": pg.host, "port": pg.port}})
    if proxy.which != "weir":
        return
    begun = time.monotonic()
    with proxy.client() as c:
        assert time.monotonic() - begun < 15
        assert c.parameters.get("server_encoding") or c.parameters.get("server_version"), c.parameters
        msgs = c.simple("select 1")
        assert wire.error_code(msgs) in ("08006", "08001", "57P03", "53300"), wire.errors(msgs)
        assert c.status == "I"


@weir_only
def test_logins_of_a_storm_do_not_wait_for_the_full_pool(start):
    proxy = start(max_server_connections=1)
    holder = proxy.client()
    holder.simple("begin")
    begun = time.monotonic()
    others = proxy.clients(20)
    assert time.monotonic() - begun < 15
    holder.simple("commit")
    for c in others + [holder]:
        c.terminate()


# --- what a login looks like ---------------------------------------------------------------------------

@weir_only
def test_parameter_status_at_login_equals_the_servers(shared, pg):
    with pg.direct() as direct:
        with shared.client() as c:
            c.simple("select 1")
        with shared.client() as c:
            assert c.parameters == direct.parameters


@weir_only
@weir_only
@pytest.mark.parametrize("entry,more", [
    ("shop", {}), ("*", {}), ("shop", {"workers": 3}), ("*", {"auth_type": "plain", "userlist": {"app": "secret"}})])
def test_parameter_status_at_the_very_first_login_equals_the_servers(start, pg, entry, more):
    """Libraries go by server_version: the first client of a weir that has just begun is told the real one."""
    proxy = start(databases={entry: f"host={pg.host} port={pg.port}"}, start=False, **more).start(wait=False)
    begun = time.monotonic()
    while True:
        try:
            c = proxy.client()
            break
        except ConnectionRefusedError:
            assert time.monotonic() < begun + 20, proxy.log()
    with c, pg.direct() as d:
        assert c.parameters == d.parameters
        assert c.value("select 1") == "1"


@weir_only
@pytest.mark.parametrize("ends", ["leaves", "asks at once"])
def test_the_first_login_while_the_database_is_silent(start, ends):
    """It gets in without it; and whoever leaves while weir still listens for the first word leaves nothing behind."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        proxy = start(databases={"shop": f"host=127.0.0.1 port={silent.getsockname()[1]}"}, query_wait_timeout=1,
                      auth_type="trust")
        if ends == "leaves":
            for _ in range(5):
                proxy.open().startup({"user": "app", "database": "shop"}).close()
        with proxy.client() as c, pytest.raises(PgError):
            c.value("select 1")
        wait_until(lambda: sum(int(r["cl_active"]) + int(r["cl_waiting"]) for r in proxy.show("POOLS")
                               if r["database"] == "shop") == 0, 10, "the end of all")


def test_parameter_status_with_startup_settings_equals_the_servers(shared, pg):
    settings = dict(application_name="fn-1", client_encoding="LATIN1", DateStyle="SQL, DMY", TimeZone="Asia/Tokyo",
                    IntervalStyle="iso_8601")
    with pg.direct(**settings) as direct, shared.client(**settings) as c:
        c.simple("select 1")
        assert c.parameters == direct.parameters
        for name in settings:
            assert c.value(f"show {name}") == direct.value(f"show {name}")


@weir_only
@pytest.mark.parametrize("given", [
    {"application_name": "x" * 70},
    {"client_min_messages": "warning", "application_name": "x" * 70},
    {"application_name": "x" * 70, "client_min_messages": "warning"},  # one takes effect after the other
    {"application_name": "x" * 70, "options": "-c client_min_messages=error"},
])
def test_a_long_name_is_noticed_at_login_as_the_server_does(shared, pg, given):
    with pg.direct(**given) as direct, shared.client(**given) as c:
        seen, wanted = ([m.fields for m in conn.log if m.type == "N"] for conn in (c, direct))
        assert [(f["C"], f["S"], f["M"]) for f in seen] == [(f["C"], f["S"], f["M"]) for f in wanted]


@weir_only
@pytest.mark.parametrize("given", [
    {"options": "-c datestyle=ISO,DMY", "DateStyle": "ISO"},  # as JDBC does
    {"options": "-c datestyle=german", "DateStyle": "ISO"},
    {"options": "-c datestyle=german", "DateStyle": "ymd"},
    {"options": "-c datestyle=YMD -c datestyle=sql"},
    {"options": "-c datestyle=ymd", "DateStyle": "default"},
    {"options": "-c datestyle=SQL", "DateStyle": ""},
])
def test_date_styles_given_one_after_another_at_startup(shared, pg, given):
    with pg.direct(**given) as direct, shared.client(**given) as c:
        for conn in (direct, c):
            conn.simple("set datestyle = 'Postgres, MDY'")
            conn.simple("reset datestyle")
        assert c.parameters["DateStyle"] == direct.parameters["DateStyle"]
        assert c.value("show datestyle") == direct.value("show datestyle")


def test_backend_keys_differ_between_clients(shared):
    a, b = shared.client(), shared.client()
    assert (a.pid, a.key) != (b.pid, b.key) and a.key != b.key
    a.terminate()
    b.terminate()


@weir_only
@pytest.mark.parametrize("options, shown", [
    ("-c search_path=alpha", {"search_path": "alpha"}),
    ("-csearch_path=alpha", {"search_path": "alpha"}),
    ("--search_path=beta --work_mem=8MB", {"search_path": "beta", "work_mem": "8MB"}),
    ("--statement-timeout=7s", {"statement_timeout": "7s"}),
    (r"-c search_path=alpha,\ beta -c work_mem=9MB", {"search_path": "alpha, beta", "work_mem": "9MB"}),
    (r"-c app.note=a\\b", {"app.note": r"a\b"}),
    ("  -c   lock_timeout=3s   ", {"lock_timeout": "3s"}),
    ("-c work_mem=5MB -c work_mem=6MB", {"work_mem": "6MB"}),
])
def test_startup_options_with_postgresqls_quoting(shared, pg, options, shown):
    with pg.direct(options=options) as direct, shared.client(options=options) as c:
        for name, value in shown.items():
            assert direct.value(f"show {name}") == value
            assert c.value(f"show {name}") == value
    with shared.client() as c:
        for name in shown:
            if "." not in name:
                assert c.value(f"show {name}") != shown[name]


@weir_only
def test_any_startup_parameter_becomes_a_setting(shared):
    with shared.client(extra_float_digits="0", statement_timeout="1234", geqo="off", **{"app.tenant": "t1"}) as c:
        assert c.value("show extra_float_digits") == "0"
        assert c.value("show statement_timeout") == "1234ms"
        assert c.value("show geqo") == "off"
        assert c.value("show app.tenant") == "t1"
        # what came at startup is what RESET goes back to
        c.rows("set geqo = on")
        c.rows("reset geqo")
        assert c.value("show geqo") == "off"
        c.rows("discard all")
        assert c.value("show geqo") == "off"
    with shared.client() as c:
        assert c.value("show geqo") == "on"


@weir_only
@pytest.mark.parametrize("params, code", [({"no_such_setting": "1"}, "42704"), ({"work_mem": "lots"}, "22023"),
                                          ({"options": "-c no_such_setting=1"}, "42704"), ({"a b.c": "1"}, "42602"),
                                          ({".x": "1"}, "42602"), ({"options": "-c 'geqo=off'"}, "42704"),
                                          ({"options": "-x y"}, "42601")])
def test_what_the_server_refuses_at_startup_is_refused_with_its_words(shared, pg, params, code):
    """weir can't know before it asks: at the latest the first statement brings the server's own answer."""
    with pytest.raises(PgError) as direct:
        pg.direct(**params)
    assert direct.value.code == code
    with pytest.raises((PgError, Closed)) as err:
        c = shared.client(**params)
        c.rows("select 1")
    if isinstance(err.value, PgError):
        assert err.value.code == code, err.value
    with shared.client() as c:
        assert c.value("select 1") == "1"


@weir_only
def test_weir_options_never_reach_the_database(shared):
    with shared.client(options="-c weir.function=getUsers") as c:
        assert c.rows("select name from pg_settings where name like 'weir.%'") == []
        assert c.value("select current_setting('weir.function', true) is null") == "t"


def test_application_name_is_seen_in_the_database(shared):
    with shared.client(application_name="getUsers") as c:
        assert c.value("select application_name from pg_stat_activity where pid = pg_backend_pid()") == "getUsers"


@weir_only
@pytest.mark.parametrize("given", [
    {"application_name": "x" * 63},
    {"application_name": "x" * 64},
    {"application_name": "ü" * 32},
    {"options": "-c client_min_messages=warning", "application_name": "x" * 64},
])
def test_application_name_that_is_too_long_is_noticed_at_login(shared, pg, given):
    with pg.direct(**given) as direct, shared.client(**given) as c:
        def notices(conn):
            return [(m.fields["S"], m.fields["C"], m.fields["M"]) for m in conn.log if m.type == "N"]
        assert notices(c) == notices(direct)
        assert c.value("show application_name") == direct.value("show application_name")
        assert notices(c) == notices(direct)


@weir_only
def test_replication_of_a_strange_kind_is_refused_with_the_servers_words(shared, pg):
    told = []
    for login in (pg.direct, shared.client):
        with pytest.raises(wire.PgError) as e:
            login(replication="maybe")
        told.append({k: e.value.fields[k] for k in "SVCMH"})
    assert told[0] == told[1]


@weir_only
def test_user_suffix_names_the_function_and_is_not_sent(shared):
    with shared.client("app+getUsers", password="secret") as c:
        assert c.value("select current_user") == "app"


def test_client_login_timeout(start):
    proxy = start(client_login_timeout=1)
    silent, half = proxy.open(), proxy.open().startup({"user": "app", "database": "shop"})
    begun = time.monotonic()
    for conn in (silent, half):
        conn.until_closed(30)
    assert 0.5 < time.monotonic() - begun < 25


def test_early_messages_after_startup_are_part_of_the_stream(shared):
    """A client may send Query together with its last login message; nothing may be lost."""
    conn = shared.open().startup({"user": "app", "database": "shop"})
    conn.recv()
    scram = wire.Scram("secret")
    first = scram.first()
    conn.send(wire.message("p", wire.cstr("SCRAM-SHA-256") + struct.pack("!I", len(first)) + first))
    msg = conn.recv()
    conn.send(wire.message("p", scram.final(msg.body[4:])), wire.query("select 'early'"))
    msgs = conn.until("Z", 2)
    assert wire.rows(msgs) == [["early"]]
    conn.terminate()


@weir_only
def test_startup_packet_in_single_bytes(shared):
    conn = shared.open()
    for byte in wire.startup_packet({"user": "app", "database": "shop"}):
        conn.send(bytes([byte]))
    conn.authenticate("app", "secret")
    assert conn.value("select 1") == "1"
    conn.terminate()


# --- what is made of startup settings --------------------------------------------------------------------


@weir_only
def test_application_name_add_host(start, pg):
    proxy = start(application_name_add_host=1)
    for given, name in (("getUsers", "getUsers"), ("", "app"), ("n" * 60, "n" * 63)):
        with proxy.client("app2", application_name=given) as c:
            address = "%s:%d" % c.sock.getsockname()
            told = c.parameters["application_name"]
            assert told == name[:63 - len(" - " + address)] + " - " + address
            assert c.value("show application_name") == told
            assert pg.count(f"application_name = '{told}'") == 1
            c.simple("set application_name = 'mine'")
            assert c.value("show application_name") == "mine"
            c.simple("reset application_name")
            assert c.value("show application_name") == told
            assert c.value("select 1") == "1"
    names = {row["name"] for row in proxy.show("FUNCTIONS")}
    assert "getUsers" in names and not [n for n in names if "127.0.0.1" in n], names


@weir_only
def test_ignore_startup_parameters(start):
    proxy = start(ignore_startup_parameters="extra_float_digits, Work_Mem,datestyle")
    with proxy.client(extra_float_digits="3", work_mem="9MB", datestyle="German", statement_timeout="7s",
                      options="-c work_mem=8MB -c enable_sort=off") as c:
        assert c.value("show extra_float_digits") == "1"
        assert c.value("show work_mem") == "4MB"
        assert c.value("show datestyle") == "German, DMY", "PgBouncer follows that one itself"
        assert c.value("show statement_timeout") == "7s"
        assert c.value("show enable_sort") == "off"


@weir_only
def test_ignore_startup_options(start):
    proxy = start(ignore_startup_parameters="options")
    with proxy.client(statement_timeout="7s", options="-c work_mem=8MB -c weir.function=saveUser") as c:
        assert c.value("show work_mem") == "4MB"
        assert c.value("show statement_timeout") == "7s"
        assert "saveUser" in {row["name"] for row in proxy.show("FUNCTIONS")}


# --- replication -----------------------------------------------------------------------------------------


@weir_only
def test_pg_receivewal_streams(start, pg, tmp_path):
    proxy = start(max_server_connections=2)
    from harness.postgres import bindir
    proc = subprocess.Popen([os.path.join(bindir(), "pg_receivewal"), "-D", str(tmp_path), "-d", proxy.dsn("repl"),
                             "-n", "--no-sync"], stderr=subprocess.PIPE)
    try:
        wait_until(lambda: list(tmp_path.iterdir()) or proc.poll() is not None, 10, "a WAL segment")
        assert proc.poll() is None, proc.stderr.read()
        assert pg.count("usename = 'repl'") <= 2
    finally:
        proc.terminate()
        proc.wait(10)
        proc.stderr.close()


def replicate(proxy, pg, kind, leave):
    """A slot is made and streamed from, what was seen is confirmed, and the slot is free when the client has left."""
    factory = {"physical": psycopg2.extras.PhysicalReplicationConnection,
               "logical": psycopg2.extras.LogicalReplicationConnection}[kind]
    slot = f"weir_{kind}"
    conn = psycopg2.connect(proxy.dsn("repl"), connection_factory=factory)
    cur = conn.cursor()
    try:
        cur.execute("IDENTIFY_SYSTEM")
        begin = cur.fetchone()[2]
        if kind == "physical":
            cur.create_replication_slot(slot)
            cur.start_replication(slot_name=slot, start_lsn=begin)
        else:
            cur.create_replication_slot(slot, output_plugin="test_decoding")
            cur.start_replication(slot_name=slot, decode=True)
        with pg.superuser() as c:
            c.rows("insert into scratch (who, note) values ('repl', 'seen')")
        got, last = [], [0]

        def look():
            while msg := cur.read_message():
                got.append(msg.payload if kind == "logical" else bytes(msg.payload).decode("latin-1"))
                last[0] = msg.data_start + (0 if kind == "logical" else msg.data_size)
            return any("seen" in g for g in got)
        wait_until(look, 20, "the change in the stream")
        cur.send_feedback(write_lsn=last[0], flush_lsn=last[0], apply_lsn=last[0], force=True)
        column = "restart_lsn" if kind == "physical" else "confirmed_flush_lsn"
        with pg.superuser() as c:
            wait_until(lambda: c.value(f"select {column} >= '{last[0] >> 32:X}/{last[0] & 0xffffffff:X}'"
                                       f" from pg_replication_slots where slot_name = '{slot}'") == "t",
                       20, "the confirmation to arrive")
        assert pg.count("usename = 'repl'") == 1
    finally:
        leave(conn)
        with pg.superuser() as c:
            wait_until(lambda: c.value("select count(*) from pg_replication_slots where active") == "0", 20, "the slot's end")
            c.rows(f"select pg_drop_replication_slot('{slot}')")
    wait_until(lambda: pg.count("usename = 'repl'") == 0, 20, "the connection's end: no one else can have it")


def vanish(conn):
    """As a killed process: its kernel resets."""
    with socket.socket(fileno=os.dup(conn.fileno())) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, conn.fileno())
        os.close(null)


@weir_only
@pytest.mark.parametrize("leave", [lambda conn: conn.close(), vanish], ids=["closes", "vanishes"])
@pytest.mark.parametrize("kind", ["physical", "logical"])
def test_replication_by_psycopg2(start, pg, kind, leave):
    proxy = start(max_server_connections=2)
    for _ in range(2):  # before and after the server was met
        replicate(proxy, pg, kind, leave)


@weir_only
def test_a_database_of_other_customs_says_nothing_of_physical_replication(start, pg):
    """psycopg2 wants ISO dates and would say SET, which a walsender that is in no database doesn't know."""
    with pg.superuser() as c:
        c.rows("alter database shop set datestyle = 'German'")
    try:
        proxy = start(max_server_connections=2)
        with proxy.client() as c:
            assert c.value("show datestyle") == "German, DMY"
        replicate(proxy, pg, "physical", lambda conn: conn.close())
    finally:
        with pg.superuser() as c:
            c.rows("alter database shop reset datestyle")
