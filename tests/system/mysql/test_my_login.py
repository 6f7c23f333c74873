# SPDX-License-Identifier: ISC
"""Logins on both sides: auth_query, TLS to the server by ssl-mode, Unix sockets, where passwords come from, limits."""

import hashlib
import os
import subprocess
import time

import MySQLdb
import pymysql
import pytest

from harness import mywire
from harness.myproxy import code, one
from harness.mysql import SCHEMAS, USERS
from harness.mywire import Wire
from harness.players import need
from harness.postgres import free_port
from harness.proxy import Crowd, wait_until

LOOKUP = {"auth_user": "lookup", "userlist": {"lookup": USERS["lookup"][0]}, "auth_cache_ttl": "200ms"}


@pytest.fixture
def changing(my):
    """A user whose password the test changes; gone afterwards."""
    name = "changing"

    def set_password(password):
        my.rows(f"create or replace user {name}@'%' identified by '{password}'" if my.engine == "mariadb"
                else f"drop user if exists {name}@'%'")
        if my.engine != "mariadb":
            my.rows(f"create user {name}@'%' identified by '{password}'")
        for schema in SCHEMAS:
            my.rows(f"grant all on {schema}.* to {name}@'%'")
        return name
    yield set_password
    my.rows(f"drop user if exists {name}@'%'")


def try_login(proxy, *who):
    try:
        proxy.connect(who[0], password=who[1]).close()
        return None
    except pymysql.Error as e:
        return e.args[0]


# --- auth_query ----------------------------------------------------------------------------------

def test_auth_query_that_can_not_be_asked_is_a_server_that_is_down(start, my):
    """Neither a wrong password nor too many connections."""
    down = f"mysql://127.0.0.1:{free_port()}/shop"
    proxy = start(auth_dbname="accounts", databases={"shop": f"mysql://{my.host}:{my.port}/shop", "accounts": down}, **LOOKUP)
    assert try_login(proxy, "hidden", USERS["hidden"][0]) == 2003
    assert try_login(proxy, "nobody_there", "x") == 2003
    assert try_login(proxy, "lookup", USERS["lookup"][0]) is None


def test_auth_query(start):
    """The secret comes from the server's own table, in whatever form that keeps it."""
    proxy = start(**LOOKUP)
    with proxy.connect("hidden", password=USERS["hidden"][0]) as c:
        assert one(c, "select current_user()").startswith("hidden@")
    assert try_login(proxy, "hidden", "wrong") == 1045
    assert try_login(proxy, "nobody_there", "hidden password") == 1045
    assert try_login(proxy, "hidden", USERS["hidden"][0]) is None


def test_auth_query_after_a_change(start, changing):
    proxy = start(**LOOKUP)
    name = changing("the first")
    with proxy.connect(name, password="the first") as c:
        assert one(c, "select 1") == 1
    changing("the second")
    wait_until(lambda: try_login(proxy, name, "the second") is None, 20, "the new password")
    wait_until(lambda: try_login(proxy, name, "the first") == 1045, 20, "the end of the old one")


def test_a_password_is_right_from_its_first_moment(start, changing):
    """However long an answer of auth_query is kept."""
    proxy = start(**{**LOOKUP, "auth_cache_ttl": "1h"})
    name = changing("the first")
    assert try_login(proxy, name, "the first") is None
    changing("the second")
    assert try_login(proxy, name, "the second") is None
    assert try_login(proxy, name, "the first") == 1045


def test_auth_query_by_who_may_see_nothing_else(start, my):
    """It needs none of the schemas that clients ask for: they may be closed to it, or not be there."""
    proxy = start(databases={"*": f"mysql://{my.host}:{my.port}/"}, auth_user="finder", auth_cache_ttl="200ms",
                  userlist={"finder": "finder"})
    my.rows("create user finder@'%' identified by 'finder'")
    my.rows("grant select on mysql.user to finder@'%'")
    try:
        with proxy.connect("hidden", password=USERS["hidden"][0]) as c:
            assert one(c, "select database()") == "shop"
        with proxy.connect("hidden", "nowhere", USERS["hidden"][0]) as c, pytest.raises(pymysql.Error) as err:
            one(c, "select 1")
        assert code(err) == 1044
        assert try_login(proxy, "hidden", "wrong") == 1045
    finally:
        my.rows("drop user finder@'%'")


def test_auth_query_of_ones_own(start):
    proxy = start(auth_query="select 'hidden', 'made up' from dual where $1 = 'hidden'", **LOOKUP)
    assert try_login(proxy, "hidden", USERS["hidden"][0]) == 1045
    assert try_login(proxy, "hidden", "made up") is None
    assert try_login(proxy, "app", USERS["app"][0]) == 1045


# --- what auth_file may say -----------------------------------------------------------------------

# Of the password of `app`, as a server keeps it.
SECRETS = {
    "plain": "secret",
    "native": "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7",
    "crypt": "$A$005$abcdefghijklmnopqrstYy1cVJ5jT.fk4HyAGlowRhOkI55As4SAesbspXHQvFD",
}


@pytest.fixture
def keeps(start, my):
    """keeps(kind) -> a weir that knows the clients' secrets in that form, and the server's password beside them."""
    def make(kind):
        password = USERS["app"][0]
        return start(databases={"shop": f"mysql://app:{password}@{my.host}:{my.port}/shop"},
                     userlist={"app": SECRETS[kind], "app2": SECRETS[kind]})
    return make


def by_program(proxy, way, plugin, user, password):
    """What Connector/C's own program says; in the clear it encrypts a whole password with weir's key."""
    where = ["-S", os.path.join(proxy.dir, f".s.MYSQL.{proxy.mysql_port}")] if way == "socket" else [
        "-h", proxy.host, "-P", str(proxy.mysql_port), "--protocol=tcp"]
    done = subprocess.run([need("mariadb"), "--no-defaults", *where, "--ssl=0", f"--default-auth={plugin}", "-u", user,
                           f"-p{password}", "-N", "-e", "select current_user()", "shop"], capture_output=True, text=True, timeout=60)
    return done.stdout or done.stderr


@pytest.mark.parametrize("kind", SECRETS)
def test_secrets_of_each_form(keeps, kind):
    """By either plugin, in the clear and through the socket; who isn't known gets the answer of a wrong password."""
    proxy = keeps(kind)
    for way in ("tcp", "socket"):
        for plugin in ("mysql_native_password", "caching_sha2_password"):
            for _ in range(2):  # the second time with what the first left behind
                assert by_program(proxy, way, plugin, "app", "secret") == "app@%\n"
            wrong = by_program(proxy, way, plugin, "app", "wrong")
            assert "1045 (28000)" in wrong and "using password: YES" in wrong
            assert by_program(proxy, way, plugin, "nobody", "wrong") == wrong.replace("'app'", "'nobody'")
    assert by_program(proxy, "tcp", "caching_sha2_password", "app2", "secret") == "app@%\n"


def test_a_password_in_the_clear_is_nowhere_afterwards(start, my):
    """Right and wrong, through the socket. What weir was told of the right one is a hash."""
    right, wrong = "correct horse battery staple", "mistaken horse battery staple"
    native = "*" + hashlib.sha1(hashlib.sha1(right.encode()).digest()).hexdigest().upper()
    proxy = start(databases={"shop": f"mysql://app:{USERS['app'][0]}@{my.host}:{my.port}/shop"},
                  userlist={"app": native, "app2": "secret2"})
    assert by_program(proxy, "socket", "caching_sha2_password", "app", right) == "app@%\n"
    assert "1045 (28000)" in by_program(proxy, "socket", "caching_sha2_password", "app", wrong)
    assert by_program(proxy, "socket", "caching_sha2_password", "app2", "secret2") == "app@%\n"
    wait_until(lambda: not any(proxy.remembers(p.encode()) for p in (right, wrong)), 10, "their end")


@pytest.mark.parametrize("pieces", [1, 2])
def test_a_password_in_the_clear_is_nowhere_after_a_change_of_user(start, my, pieces):
    """It comes in the command itself, where the client knows by which plugin."""
    right, wrong = ("%s %s horse battery staple" % (what, "stapled" * 20) for what in ("correct", "mistaken"))
    native = "*" + hashlib.sha1(hashlib.sha1(right.encode()).digest()).hexdigest().upper()
    proxy = start(workers=1, databases={"shop": f"mysql://app:{USERS['app'][0]}@{my.host}:{my.port}/shop"},
                  userlist={"app": "secret", "app2": native})
    with Wire(proxy.connect(unix_socket=os.path.join(proxy.dir, f".s.MYSQL.{proxy.mysql_port}"))) as c:
        for password in (right, wrong):
            secret = password.encode() + b"\0"
            message = mywire.command(mywire.CHANGE_USER, b"app2\0" + bytes([len(secret)]) + secret + b"shop\0\x2d\0"
                                     + b"mysql_clear_password\0\0")
            for at in range(pieces):
                c.send(message[at * 100:][:None if at + 1 == pieces else 100])
                time.sleep(0.05)
            if password == right:
                assert isinstance(c.answer(), mywire.OK)
            else:
                with pytest.raises(mywire.MyError):
                    c.answer()
            wait_until(lambda: not proxy.remembers(password.encode()[-64:]), 10, "its end")


@pytest.mark.parametrize("kind", SECRETS)
def test_change_of_user_by_secrets_of_each_form(keeps, kind):
    proxy = keeps(kind)
    c = MySQLdb.connect(host=proxy.host, port=proxy.mysql_port, user="app", password="secret", db="shop")
    cur = c.cursor()
    cur.execute("set @mine = 5")
    c.change_user("app2", "secret", "shop")
    cur.execute("select @mine, database()")
    assert cur.fetchone() == (None, "shop")
    with pytest.raises(MySQLdb.MySQLError) as e:
        c.change_user("app", "wrong", "shop")
    assert e.value.args[0] == 1045
    with pytest.raises(MySQLdb.MySQLError):
        cur.execute("select 1")


def test_a_user_without_a_password(start, my):
    """At the server; to weir its client proves another one, and an empty one is nobody's."""
    my.rows("drop user if exists 'open'@'%'")
    my.rows("create user 'open'@'%' identified by ''")
    my.rows("grant all on shop.* to 'open'@'%'")
    proxy = start(databases={"shop": f"mysql://open@{my.host}:{my.port}/shop"}, userlist={"app": "of weir's own", "open": ""})
    with proxy.connect(password="of weir's own") as c:
        assert one(c, "select current_user()") == "open@%"
    assert [try_login(proxy, "open", password) for password in ("", "x")] == [1045, 1045]
    my.rows("drop user 'open'@'%'")


# --- to the server -------------------------------------------------------------------------------

def cipher(c):
    with c.cursor() as cur:
        cur.execute("show session status like 'Ssl_cipher'")
        return cur.fetchone()[1]


@pytest.mark.parametrize("mode, tls", [("DISABLED", False), ("PREFERRED", True), ("REQUIRED", True), ("VERIFY_CA", True),
                                       ("VERIFY_IDENTITY", True)])
def test_ssl_modes(my, start, mode, tls):
    ca = {"ssl-ca": f"{my.certs}/ca.crt"} if mode.startswith("VERIFY") else {}
    more = "&".join(f"{k}={v}" for k, v in {"ssl-mode": mode, **ca}.items())
    proxy = start(databases={"shop": f"mysql://localhost:{my.port}/shop?{more}"})
    with proxy.connect() as c:
        assert bool(cipher(c)) == tls


@pytest.mark.parametrize("mode, host", [("VERIFY_CA", "localhost"), ("VERIFY_IDENTITY", "localhost")])
def test_a_certificate_of_another_authority(my, start, tmp_path, mode, host):
    from harness.postgres import make_certificates
    make_certificates(str(tmp_path))
    proxy = start(databases={"shop": f"mysql://{host}:{my.port}/shop?ssl-mode={mode}&ssl-ca={tmp_path}/ca.crt"}, query_wait_timeout="5s")
    with proxy.connect() as c, pytest.raises(pymysql.Error) as e:
        one(c, "select 1")
    assert code(e) in (2003, 1040)
    assert "certificate" in proxy.log()


def test_no_tls_where_it_is_required(own_my, start):
    my = own_my(**{"skip-ssl": None} if os.environ.get("WEIR_MYSQL", "mariadb") == "mariadb" else {"tls-version": ""})
    proxy = start(my, databases={"shop": f"mysql://127.0.0.1:{my.port}/shop?ssl-mode=REQUIRED"}, query_wait_timeout="5s")
    with proxy.connect() as c, pytest.raises(pymysql.Error) as e:
        one(c, "select 1")
    assert code(e) in (2003, 1040)


def test_a_unix_socket(my, start):
    proxy = start(databases={"shop": f"mysql:///shop?host={my.socket}"})
    with proxy.connect() as c:
        assert one(c, "select database()") == "shop"
        assert "localhost" in my.value("select host from information_schema.processlist where user = 'app' limit 1")


@pytest.mark.parametrize("how", ["command", "env", "file"])
def test_where_the_password_comes_from(my, start, tmp_path, how):
    (tmp_path / "pw").write_text(USERS["app"][0] + "\n")
    source = {"command": f"password_command=cat%20{tmp_path}/pw", "env": "password_env=DB_SECRET",
              "file": f"password_file={tmp_path}/pw"}[how]
    proxy = start(databases={"shop": f"mysql://app@{my.host}:{my.port}/shop?{source}"}, userlist={"app": "of weir's own"},
                  env={"DB_SECRET": USERS["app"][0]})
    with proxy.connect(password="of weir's own") as c:
        assert one(c, "select current_user()").startswith("app@")


def test_who_does_not_get_in_leaves_nothing_behind(start, my):
    """No pool, and no login to the database on behalf of anybody's fancy."""
    proxy = start(databases={"*": f"mysql://{my.host}:{my.port}"})

    def pools():
        return [(p["database"], p["user"]) for p in proxy.my_show("POOLS") if p["database"] != "weir"]
    assert pools() == [("", "app")]  # by which weir looks what server it is
    for i in range(20):
        assert try_login(proxy, f"nobody{i}", "wrong") == 1045
        with pytest.raises(pymysql.Error) as e:
            proxy.connect(schema=f"fancy{i}", password="wrong")
        assert code(e) == 1045
    assert pools() == [("", "app")]
    with proxy.connect() as c:
        assert one(c, "select 1") == 1
    assert sorted(pools()) == [("", "app"), ("shop", "app")]


@pytest.mark.parametrize("url, number", [("app:wrong@{}/shop", 1045), ("app:{pw}@{}/nowhere", 1044)])
def test_a_server_that_refuses_the_login_is_heard(my, start, url, number):
    """By its own error, each time, of a session that is kept."""
    url = "mysql://" + url.format(f"{my.host}:{my.port}", pw=USERS["app"][0])
    proxy = start(databases={"shop": url}, query_wait_timeout="20s", server_login_retry="200ms")
    with proxy.connect() as c:
        for _ in range(2):
            with pytest.raises(pymysql.Error) as e:
                one(c, "select 1 from items limit 1")
            assert code(e) == number and "Access denied for user 'app'" in e.value.args[1]
        c.ping(reconnect=False)


def test_a_users_limit_is_respected(my, start):
    """max_user_connections is 2: `auto` finds that out, and clients wait rather than fail."""
    proxy = start(max_server_connections="auto", query_wait_timeout="20s")
    clients = [proxy.connect("limited") for _ in range(6)]
    for _ in range(3):
        for c in clients:
            assert one(c, "select 1") == 1
    assert my.count("user = 'limited'") <= 2
    for c in clients:
        c.close()


def test_refusals_for_want_of_connections(own_my, start):
    """The server gives fewer than the bound: nobody whose time isn't over is told of it."""
    my = own_my(max_connections=6)
    proxy = start(my, max_server_connections=20, query_wait_timeout="30s")
    clients = [proxy.connect() for _ in range(12)]
    for c in clients:
        assert one(c, "select sleep(0.05)") == 0
    for c in clients:
        c.close()
    wait_until(lambda: my.count() <= 6, 30, "6 connections")


# --- many from one address ------------------------------------------------------------------------


def in_login(proxy):
    return next(int(r["items"]) for r in proxy.my_show("LISTS") if r["list"] == "login_clients")


def test_wrong_passwords_from_one_address_delay_its_own_only(start, my):
    """Each look at the flood's user costs half a million rounds; who comes from elsewhere, whose password costs too, is next."""
    costly = "$A$200$" + "s" * 20 + "h" * 43
    proxy = start(databases={"shop": f"mysql://app:secret@{my.host}:{my.port}/shop"}, client_login_timeout=120,
                  userlist={"app": SECRETS["crypt"], "app2": costly, "admin": "admin secret"})
    done = []

    def wrong(_):
        with pytest.raises(pymysql.MySQLError) as e:
            proxy.connect("app2", password="wrong", bind_address="127.0.0.2", ssl={"check_hostname": False}, read_timeout=120)
        done.append(e.value.args[0])
    flood = Crowd(16, wrong).start()
    wait_until(lambda: len(done) + in_login(proxy) >= 16, 60, "all in line")
    with proxy.connect(password="secret", bind_address="127.0.0.3", ssl={"check_hostname": False}, read_timeout=120) as c:
        before = len(done)
        assert one(c, "select 7") == 7
    assert before < 14, before
    flood.join(120)
    assert set(done) == {1045} and 'login of "app2" failed: wrong password' in proxy.log()
