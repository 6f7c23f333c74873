# SPDX-License-Identifier: ISC
"""MySQL's door: who comes in, what it is greeted with, the console behind it, and KILL by weir's own ids."""

import concurrent.futures
import os
import re
import socket
import ssl
import struct
import subprocess
import threading
import time

import pymysql
import pytest
from pymysql.constants import CLIENT

from harness import mywire
from harness.front import Front
from harness.line import Line
from harness.myproxy import code, one, rows
from harness.mysql import USERS
from harness.mywire import MyError, Wire
from harness.postgres import free_port, make_certificates
from harness.proxy import ADMIN, STATS, crowd, wait_until, weir_binary

SESSION_TRACK = 1 << 23
SSL_REQUEST = struct.pack("<I", 32)[:3] + b"\x01" + struct.pack("<IIB23x", 0x0080AA05 | 0x800, 1 << 24, 45)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    where = str(tmp_path_factory.mktemp("certificates"))
    make_certificates(where)
    return where


def with_tls(where, mode="allow"):
    return {"client_tls_sslmode": mode, "client_tls_key_file": f"{where}/localhost.key",
            "client_tls_cert_file": f"{where}/localhost.crt"}


# --- coming in -----------------------------------------------------------------------------------

def test_the_greeting_is_the_servers(my, start):
    proxy = start()
    with proxy.connect() as c:
        assert one(c, "select 1") == 1
    with proxy.connect() as c:  # by now a server was seen
        with my.direct() as direct:
            assert c.get_server_info() == direct.get_server_info()


def first_greeting(proxy):
    """What the very first client hears, who knocks until the door opens."""
    deadline = time.monotonic() + 20
    while True:
        try:
            with socket.create_connection((proxy.host, proxy.mysql_port), timeout=10) as s:
                return s.recv(200)[5:].split(b"\0")[0].decode()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, proxy.log()


FINDER = {"auth_user": "lookup", "userlist": {"lookup": USERS["lookup"][0]}}


@pytest.mark.parametrize("entry,more", [
    ("*=/", {}), ("*=", FINDER), ("shop=/shop", FINDER), ("shop=/shop", {"workers": 1}), ("*=/shop", {"workers": 3})])
def test_the_first_client_is_greeted_as_the_server_does(start, my, entry, more):
    """Also under an entry for any schema, and where only auth_user is known beforehand; also in weir's first moment."""
    name, _, path = entry.partition("=")
    proxy = start(databases={name: f"mysql://{my.host}:{my.port}{path}"}, start=False, **more).start(wait=False)
    with my.direct() as direct:
        assert first_greeting(proxy) == direct.get_server_info()


@pytest.mark.parametrize("where", ["refuses", "is silent"])
def test_no_greeting_waits_for_a_server_that_is_away(start, where):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1] if where == "is silent" else free_port()
        proxy = start(databases={"shop": f"mysql://127.0.0.1:{port}/shop"}, start=False).start(wait=False)
        assert first_greeting(proxy) == "8.0.40"
        proxy.connect().close()


def test_the_unix_socket(my, start):
    proxy = start()
    path = os.path.join(proxy.dir, f".s.MYSQL.{proxy.mysql_port}")
    with proxy.connect(unix_socket=path) as c:
        assert one(c, "select database()") == "shop"


def test_doors_know_their_databases(my, start):
    pg = "host=127.0.0.1 port=1"
    proxy = start(databases={"shop": f"mysql://{my.host}:{my.port}/shop", "other": pg})
    with pytest.raises(pymysql.Error) as err:
        proxy.connect(schema="other")
    assert code(err) == 1049
    with socket.create_connection((proxy.host, proxy.mysql_port), 5) as s:
        head = s.recv(5)
        assert head[3] == 0 and head[4] == 10  # the server speaks first, protocol 10
    with socket.create_connection((proxy.host, proxy.port), 5) as s:
        s.settimeout(0.3)
        with pytest.raises(socket.timeout):
            s.recv(1)


def test_no_schema_named(my, start):
    proxy = start()
    with proxy.connect(schema=None) as c:
        assert one(c, "select database()") == "shop"  # the first of the file
    proxy = start(databases={"*": f"mysql://{my.host}:{my.port}"})
    with proxy.connect(schema=None) as c:
        assert one(c, "select database()") is None
        c.select_db("other")
        assert one(c, "select database()") == "other"


def test_who_tracks_its_session_hears_of_its_schema(my, start):
    """With the OK that ends the login, or the change of user, as directly."""
    named, plain = start(), start(databases={"*": f"mysql://{my.host}:{my.port}"})

    def told(port, schema, flags):
        with pymysql.connect(host=my.host, port=port, user="app", password=USERS["app"][0], database=schema,
                             defer_connect=True) as c:
            c.client_flag |= flags
            oks = []
            c._read_packet = lambda *a, **kw: (oks.append(type(c)._read_packet(c, *a, **kw)), oks[-1])[1]
            c.connect()
            return [p.get_all_data() for p in oks if p.is_ok_packet()][0]
    assert b"shop" in told(my.port, "shop", SESSION_TRACK)
    for flags in (0, SESSION_TRACK):
        for schema in ("shop", None):
            direct = told(my.port, schema, flags)
            assert told(plain.mysql_port, schema, flags) == direct, (schema, flags)
        assert told(named.mysql_port, "shop", flags) == told(my.port, "shop", flags)


def test_a_schema_is_found_as_soon_as_it_is_there(my, start):
    proxy = start(databases={"*": f"mysql://{my.host}:{my.port}"}, server_login_retry=60)

    def asked():
        try:
            with proxy.connect(schema="late") as c:
                return one(c, "select database()")
        except pymysql.MySQLError as e:
            return e.args[0]
    try:
        assert [asked(), asked()] == [1044, 1044]  # may not know whether there is one
        my.rows("grant all on late.* to app")
        wait_until(lambda: asked() == 1049, 10, "the right to it")
        my.rows("create database late")
        wait_until(lambda: asked() == "late", 10, "the new schema")
    finally:
        my.rows("drop database if exists late")
        my.rows("revoke all on late.* from app")


def test_without_a_schema_among_others_that_have_one(my, start):
    """There is no way back to none on a connection: each client finds what a connection of its own would have."""
    proxy = start(databases={"*": f"mysql://{my.host}:{my.port}"}, max_server_connections=2, workers=1)
    with proxy.connect(schema=None) as a, proxy.connect(schema=None) as b, proxy.connect(schema=None) as none:
        a.select_db("shop")
        b.select_db("other")
        for c in (a, b):  # each on a connection of its own
            c.begin()
            one(c, "select 1")
        for c in (a, b):
            c.rollback()
        for _ in range(3):
            assert one(none, "select database()") is None
            with pytest.raises(pymysql.Error) as e:
                rows(none, "select * from items")
            assert code(e) == 1046
            assert (one(a, "select database()"), one(b, "select database()")) == ("shop", "other")


def test_a_schema_whose_name_is_not_ascii(my, start):
    """Its bytes are another name under another character set."""
    proxy = start(max_server_connections=1)
    my.rows("create database if not exists `sch\u00f6n`")
    my.rows("grant all on `sch\u00f6n`.* to app@'%'")
    with proxy.connect(charset="latin1") as a, proxy.connect(charset="utf8mb4") as b, proxy.connect() as shop:
        for c in (a, b):
            rows(c, "use `sch\u00f6n`")
        for _ in range(3):
            for c in (a, b):
                assert one(c, "select database()") == "sch\u00f6n"
                assert one(shop, "select database()") == "shop"
    my.rows("drop database `sch\u00f6n`")


def test_tls_request_and_hello_in_one_write(start, certificates):
    """The client does not wait for an answer to its request: what follows it is TLS already."""
    proxy = start(**with_tls(certificates))
    context = ssl.create_default_context(cafile=f"{certificates}/ca.crt")
    inside, outside = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(inside, outside, server_hostname="localhost")
    with socket.create_connection((proxy.host, proxy.mysql_port), 5) as s:
        assert s.recv(4096)[4] == 10
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        s.sendall(SSL_REQUEST + outside.read())
        while True:
            inside.write(s.recv(8192))
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                s.sendall(outside.read())
        assert tls.version().startswith("TLSv1.")


@pytest.mark.parametrize("mode", ["allow", "require"])
def test_tls(start, certificates, mode):
    proxy = start(**with_tls(certificates, mode))
    with proxy.connect(ssl={"ca": f"{certificates}/ca.crt"}) as c:
        assert one(c, "select 7") == 7
    if mode == "allow":
        proxy.connect().close()
        return
    with pytest.raises(pymysql.Error) as err:
        proxy.connect()
    assert code(err) == 3159


# --- pools ---------------------------------------------------------------------------------------

def test_found_rows_is_a_pool_of_its_own(start):
    """It is fixed when a connection logs in: clients that differ in it never share one."""
    proxy = start()
    plain = proxy.connect(autocommit=True, client_flag=0)
    found = proxy.connect(autocommit=True, client_flag=CLIENT.FOUND_ROWS)
    for _ in range(3):
        for conn, expected in ((plain, None), (found, 1)):
            with conn.cursor() as c:
                c.execute("update items set n = 5 where id = 7")
                c.execute("update items set n = 5 where id = 7")
                assert c.rowcount == (0 if expected is None else expected)
    pools = [p for p in proxy.my_show("POOLS") if p["database"] == "shop" and p["user"] == "app"]
    assert len(pools) == 1  # in the console they are one
    plain.close()
    found.close()


class OneResult(pymysql.Connection):
    """PyMySQL asks for several results whenever the server may have them."""
    SEVERAL = CLIENT.MULTI_RESULTS | CLIENT.PS_MULTI_RESULTS | CLIENT.MULTI_STATEMENTS
    client_flag = property(lambda self: self.flags & ~self.SEVERAL, lambda self, flags: setattr(self, "flags", flags))


def test_clients_that_know_one_result_only(start, my):
    """The server refuses them a CALL that returns rows: the second answer would be taken for the next one's."""
    proxy = start(max_server_connections=1)

    def old(where, **to):
        conn = where(autocommit=True, defer_connect=True, **to)
        conn.__class__, conn.flags = OneResult, conn.client_flag
        conn.connect()
        return Wire(conn)
    for _ in range(2):
        for where in (my.direct, proxy.connect):
            with old(where) as conn:
                assert conn.error(mywire.QUERY, b"call two_results(1)") == 1312
                assert conn.error(mywire.QUERY, b"select 1; select 2") == 1064
                number, _, _ = conn.prepare("call out_param(?, ?)")
                assert isinstance(conn.execute(number, (1, 2)), mywire.OK)
                assert conn.value("select 7") == "7"
        with proxy.connect(autocommit=True) as conn, conn.cursor() as c:
            c.execute("call two_results(1)")
            assert c.fetchall() == ((1,),)


# --- character sets ------------------------------------------------------------------------------

class Charset:
    """For PyMySQL, which knows numbers by the names of character sets only."""
    name, encoding, is_default = "utf8mb4", "utf8", True

    def __init__(self, number):
        self.id = number


def names(connect, monkeypatch, number):
    """What a session begins with that names this collation, or the error."""
    monkeypatch.setattr(pymysql.connections, "charset_by_name", lambda _: Charset(number))
    try:
        with connect(charset="utf8mb4") as c:
            return rows(c, "select @@character_set_client, @@character_set_results, @@collation_connection")
    except pymysql.Error as err:
        return err.args


# 255 is what MySQL's own libraries come with, and MariaDB doesn't know; 245 and 213 have two names; 0 is nothing;
# 250 is MySQL's alone; the last ones are refused.
@pytest.mark.parametrize("number", [8, 28, 63, 255, 245, 213, 0, 250, 35, 54, 56, 60, 183])
def test_the_collation_of_the_handshake(my, shared, monkeypatch, number):
    with shared.connect():  # somebody of another
        directly = names(my.direct, monkeypatch, number)
        assert names(shared.connect, monkeypatch, number) == directly


@pytest.mark.parametrize("number", [255, 245])
def test_the_collation_before_any_server_is_known(my, start, monkeypatch, number):
    front = Front("mysql", my.host, my.port, every=0)
    front.awake.clear()
    try:
        proxy = start(databases={"shop": f"mysql://127.0.0.1:{front.port}/shop"})

        def connect(**more):
            c = proxy.connect(**more)
            front.awake.set()
            return c
        assert names(connect, monkeypatch, number) == names(my.direct, monkeypatch, number)
    finally:
        front.awake.set()
        front.close()


# --- KILL ----------------------------------------------------------------------------------------

class Slow(threading.Thread):
    def __init__(self, conn, sql="select sleep(20)"):
        super().__init__()
        self.conn, self.sql, self.error, self.rows = conn, sql, None, None
        self.start()

    def run(self):
        try:
            self.rows = rows(self.conn, self.sql)
        except pymysql.Error as e:
            self.error = e.args[0]


def until_running(my, text="sleep(20)"):
    for _ in range(500):
        if my.value("select count(*) from information_schema.processlist where info like %s", f"select {text}%"):
            return
        time.sleep(0.01)
    raise AssertionError("the statement never began")


@pytest.mark.parametrize("workers", [1, 2])
def test_kill_query(my, start, workers):
    proxy = start(workers=workers)
    victims = [proxy.connect() for _ in range(4)]
    assert len({v.thread_id() for v in victims}) == 4
    with proxy.connect() as killer:
        for victim in victims:
            slow = Slow(victim)
            until_running(my)
            rows(killer, f"kill query {victim.thread_id()}")
            slow.join(10)
            assert slow.error == 1317 or slow.rows == [(1,)]  # MariaDB's sleep() may just say that it was
            assert one(victim, "select 5") == 5
    for victim in victims:
        victim.close()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("look", ["show full processlist", "select id, 0, 0, 0, 0, 0, 0, info from information_schema.processlist"])
def test_kill_what_the_list_of_processes_shows(my, start, workers, look):
    """Its numbers are the server's, never a client's; one means the client that had it then, as long as it has it."""
    proxy = start(workers=workers, max_server_connections=4)

    def number(text):
        return next(r[0] for r in rows(killer, look) if r[7] and text in r[7] and "processlist" not in r[7])
    with proxy.connect(autocommit=True) as killer, proxy.connect(autocommit=True) as victim:
        slow = Slow(victim)
        until_running(my)
        shown = number("sleep(")
        assert shown < 2**30 <= victim.thread_id() < 2**31
        rows(killer, f"kill query {shown}")
        slow.join(10)
        assert slow.error == 1317 or slow.rows == [(1,)]
        wait_until(lambda: sum(int(r["sv_active"]) for r in proxy.my_show("POOLS")) == 0, 10, "the end of the loan")
        with pytest.raises(pymysql.Error) as err:  # nobody has it now, or who has it came later
            slow = Slow(victim)
            until_running(my)
            rows(killer, f"kill {shown}")
        assert code(err) == 1094
        rows(killer, f"kill {number('sleep(')}")
        slow.join(10)
        assert slow.error in (2013, 1927, 1317)
        killer.begin()
        own = one(killer, "select id from information_schema.processlist where id = connection_id()")
        with pytest.raises(pymysql.Error) as err:
            rows(killer, f"kill query {own}")
        assert code(err) == 1317


def test_kill_query_waits_for_weirs_own_settings(my, start):
    """They stand in front of the statement in the same write: it is the statement that is to be hit."""
    line = Line(my.host, my.port)
    proxy = start(max_server_connections=1, databases={"shop": f"mysql://127.0.0.1:{line.port}/shop"})
    victim, other = proxy.connect(autocommit=True), proxy.connect(autocommit=True)
    try:
        rows(victim, "set sql_mode = 'ANSI'")
        other.begin()
        assert "ANSI" not in one(other, "select @@sql_mode")
        other.commit()
        line.hold()
        slow = Slow(victim)
        time.sleep(0.3)
        with proxy.connect() as killer:
            rows(killer, f"kill query {victim.thread_id()}")
            time.sleep(0.5)
            line.release()
            slow.join(10)
        assert slow.error == 1317 or slow.rows == [(1,)]
        assert "ANSI" in one(victim, "select @@sql_mode")
    finally:
        line.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_kill_session(my, start, workers):
    proxy = start(workers=workers)
    with proxy.connect() as killer:
        for how in ("kill %d", "kill connection %d"):
            victim = proxy.connect()
            slow = Slow(victim)
            until_running(my)
            rows(killer, how % victim.thread_id())
            slow.join(10)
            assert slow.error in (2013, 1927, 1317)
            idle = proxy.connect()
            rows(killer, how % idle.thread_id())
            with pytest.raises(pymysql.Error) as err:
                for _ in range(3):
                    one(idle, "select 1")
            assert code(err) in (2013, 2006, 1927)
        assert one(killer, "select 6") == 6


def test_kill_oneself(my, start):
    """KILL is the statement that it stops: an error, and the session goes on or ends, as it does directly."""
    proxy = start()
    for connect in (my.direct, proxy.connect):
        for how in ("kill query %d", "kill query connection_id()", "kill %d", "kill connection_id()"):
            with connect() as me:
                with pytest.raises(pymysql.Error) as err:
                    rows(me, how % me.thread_id() if "%" in how else how)
                session = "query" not in how
                assert code(err) == (1927 if session and my.engine == "mariadb" else 1317)
                assert err.value.args[1] in ("Query execution was interrupted", "Connection was killed")
                if session:
                    with pytest.raises(pymysql.Error) as err:
                        one(me, "select 1")
                    assert code(err) in (2013, 2006)
                    me._force_close()
                else:
                    assert one(me, "select 1") == 1


def test_who_is_killed_hears_nothing(my, start):
    """An error that nobody asked for is what a driver takes for the answer to its next statement."""
    proxy = start()
    for connect in (my.direct, proxy.connect):
        with connect() as killer:
            victim = connect()
            rows(killer, f"kill {victim.thread_id()}")
            victim._sock.settimeout(10)
            assert victim._sock.recv(100) == b""
            victim._force_close()


def test_kill_in_a_transaction(start):
    proxy = start()
    victim, killer = proxy.connect(), proxy.connect(autocommit=False)
    killer.begin()
    rows(killer, "insert into scratch (who) values ('killer')")
    rows(killer, f"kill {victim.thread_id()}")
    assert one(killer, "select count(*) from scratch where who = 'killer'") == 1
    killer.rollback()
    assert one(killer, "select count(*) from scratch where who = 'killer'") == 0
    killer.close()


@pytest.fixture
def passing(my):
    """A schema that can be dropped, with a table of a name that shop has, too."""
    def make():
        my.rows("create database passing")
        my.rows("create table passing.place (name varchar(20))")
    my.rows("grant all on passing.* to app@'%'")
    make()
    yield make
    my.rows("drop database if exists passing")
    my.rows("delete from place where name <> 'shop'")


def test_a_schema_that_somebody_dropped(my, start, passing):
    """Nothing of its client is executed in the schema in which the connection is; it may go elsewhere, or wait."""
    proxy = start(max_server_connections=1)
    with Wire(proxy.connect()) as c, proxy.connect() as other:
        c.query("use passing")
        number, _, _ = c.prepare("insert into place values (?)")
        my.rows("drop database passing")
        for wrong in (lambda: c.query("insert into place values ('wrong')"), lambda: c.execute(number, ["wrong"]),
                      lambda: c.prepare("delete from place"), lambda: c.query("begin")):
            rows(other, "select 1")
            with pytest.raises(MyError) as err:
                wrong()
            assert err.value.code == 1049
        assert one(other, "select count(*) from place") == 1
        thread = one(other, "select connection_id() + 0")
        c.query("use other")
        assert c.value("select name from place") == "other"
        passing()
        c.query("use passing")
        rows(other, "select 1")
        assert c.execute(number, ["right"]).affected == 1
        assert my.rows("select name from passing.place") == [("right",)]
        assert one(other, "select connection_id() + 0") == thread  # the connection was as good as ever


def test_a_schema_that_its_client_dropped(my, start, passing):
    """None is selected from then on; that is so on this connection only."""
    proxy = start(max_server_connections=2)
    with Wire(proxy.connect()) as c, proxy.connect() as other:
        c.query("use passing")
        c.query("drop database passing")
        rows(other, "select 1 from place")
        assert c.query("select database()").rows[0][0] is None
        with pytest.raises(MyError) as err:
            c.query("create table wrong (a int)")
        assert err.value.code == 1046
        assert [r["reason"] for r in proxy.my_show("PINS")] == ["no schema"]
        c.query("use other")
        assert c.value("select name from place") == "other"
        wait_until(lambda: not proxy.my_show("PINS"), 15, "the end of the pin")
        c.query("use shop")
        passing()
        c.query("use passing")
        c.query("drop database passing")
    with proxy.connect() as first, proxy.connect() as second:
        rows(first, "begin")
        assert [one(first, "select database()"), one(second, "select database()")] == ["shop"] * 2


@pytest.mark.parametrize("before,how", [("do 1", "commit release"), ("do 1", "rollback work and no chain release"),
                                        ("set completion_type = 2", "commit")])
def test_a_release_ends_both_connections(start, before, how):
    """The server hangs up behind its OK: whoever is next away must not be lent what is left of it."""
    proxy = start(max_server_connections=1)
    c, others = proxy.connect(), [proxy.connect() for _ in range(3)]
    rows(c, before)
    rows(c, "begin")

    def work(other):
        return [one(other, "select 1") for _ in range(5)]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(work, other) for other in others]
        wait_until(lambda: sum(int(r["cl_waiting"]) for r in proxy.my_show("POOLS")) == 3, 15, "three that wait")
        rows(c, how)
        assert [w.result() for w in waiting] == [[1] * 5] * 3
    with pytest.raises(pymysql.Error) as err:
        one(c, "select 1")
    assert code(err) in (2006, 2013)
    for other in others:
        other.close()


def test_who_may_kill(start):
    proxy = start(admin_users=f"{ADMIN[0]},app3")
    mine, other, admin = proxy.connect("app"), proxy.connect("app2"), proxy.connect("app3")
    for who, target in ((other, mine.thread_id()), (mine, 4711), (mine, 0xffffffff), (mine, 0), (mine, "user app"),
                        (mine, "query id 5"), (mine, "2 + 2")):
        with pytest.raises(pymysql.Error) as err:
            rows(who, f"kill {target}")
        assert code(err) == 1094
        assert one(who, "select 1") == 1
    rows(admin, f"kill {mine.thread_id()}")
    with pytest.raises(pymysql.Error):
        for _ in range(3):
            one(mine, "select 1")
    other.close()
    admin.close()


# --- the console ---------------------------------------------------------------------------------

def test_console_shows(start):
    proxy = start()
    with proxy.connect(autocommit=True) as c:
        assert one(c, "select 1") == 1
        pools = proxy.my_show("POOLS")
        assert [p for p in pools if p["database"] == "shop" and p["user"] == "app"]
        clients = proxy.my_show("CLIENTS")
        mine = [r for r in clients if int(r["ptr"], 16) == c.thread_id()]
        assert mine and mine[0]["protocol"] == "mysql"
    for what in "FUNCTIONS SERVERS DATABASES USERS STATS STATS_TOTALS LISTS PINS CONFIG MEM STATE VERSION HELP".split():
        assert proxy.my_show(what) or what == "PINS", what
    assert {r[0] for r in rows_of(proxy, "show databases")} >= {"other", "shop", "third"}
    assert {m["name"] for m in proxy.my_show("MEM")} >= {"client", "client_mysql"}


def test_show_statements(start):
    proxy = start()
    sql = "select ?, 'secret', \"secret\", 4711"
    with Wire(proxy.connect()) as a, Wire(proxy.connect()) as b:
        for c in (a, b):
            number = c.prepare(sql)[0]
            c.execute(number, (1,))
        found = [r for r in proxy.my_show("STATEMENTS") if r["statement"] == "select ?, ?, ?, ?"]
        assert len(found) == 1, proxy.my_show("STATEMENTS")
        assert (int(found[0]["clients"]), int(found[0]["bytes"]), found[0]["user"]) == (2, len(sql), "app")
        assert int(found[0]["servers"]) >= 1


def test_statements_are_counted(start):
    """Those that clients prepare, and what weir prepares for them where the connection is another."""
    proxy = start(max_server_connections=2)
    with Wire(proxy.connect()) as a, Wire(proxy.connect()) as b:
        number = a.prepare("select ? + 1")[0]
        a.execute(number, (1,))
        b.query("begin")
        b.query("select count(*) from items")
        for _ in range(2):
            a.execute(number, (1,))
        b.query("commit")
    row = next(r for r in proxy.my_show("STATS_TOTALS") if r["database"] == "shop")
    assert [int(row[f"{what}_count"]) for what in ("client_parse", "server_parse", "bind")] == [1, 2, 3]


def rows_of(proxy, sql, who=ADMIN):
    with proxy.connect(who[0], "weir", who[1]) as c:
        return rows(c, sql)


def test_console_is_the_same_by_both_doors(start):
    proxy = start()
    by_pg, by_my = proxy.show("CONFIG"), proxy.my_show("CONFIG")
    assert by_my and [list(r.items()) for r in by_my] == [list(r.items()) for r in by_pg]
    for what in ("DATABASES", "LISTS", "POOLS", "STATS"):
        assert [list(r) for r in proxy.my_show(what)][:1] == [list(r) for r in proxy.show(what)][:1]


def test_a_pause_leaves_no_server_connection(start, my):
    proxy = start(max_server_connections=5)
    ours = "user = 'app3'"
    crowd(3, lambda i: one(proxy.connect("app3"), "select sleep(0.2)"))
    assert my.count(ours) != 0
    with proxy.connect(ADMIN[0], "pgbouncer", ADMIN[1]) as console, proxy.connect("app3") as c:
        rows(console, "pause")
        wait_until(lambda: my.count(ours) == 0, what="the end of its connections")
        slow = Slow(c, "select 3")
        wait_until(lambda: any(int(p["cl_waiting"]) for p in proxy.my_show("POOLS")), what="a client that waits")
        assert my.count(ours) == 0
        rows(console, "resume")
        slow.join(20)
        assert slow.rows == [(3,)]


def test_console_orders(start):
    proxy = start()
    with proxy.connect(ADMIN[0], "pgbouncer", ADMIN[1]) as console, proxy.connect() as c:
        rows(console, "pause shop")
        slow = Slow(c, "select 3")
        time.sleep(0.2)
        assert slow.is_alive()
        rows(console, "resume shop")
        slow.join(10)
        assert slow.rows == [(3,)]
        rows(console, f"kill {c.thread_id()}")
        with pytest.raises(pymysql.Error):
            for _ in range(3):
                one(c, "select 1")
        with pytest.raises(pymysql.Error) as err:
            rows(console, "select * from pools")
        assert code(err) == 1235
        assert one(console, "select 1") == 1


def test_console_is_for_its_users(start):
    proxy = start()
    with pytest.raises(pymysql.Error) as err:
        proxy.connect("app", "weir")
    assert code(err) in (1044, 1045)
    with proxy.connect(STATS[0], "weir", STATS[1]) as c:
        assert rows(c, "show pools") is not None
        with pytest.raises(pymysql.Error) as err:
            rows(c, "reload")
        assert code(err) == 1227


def test_console_by_mysqls_own_program(start):
    proxy = start()
    done = subprocess.run(["mysql", "--no-defaults", "-h", proxy.host, "-P", str(proxy.mysql_port), "-u", ADMIN[0],
                           f"-p{ADMIN[1]}", "--ssl=0", "-t", "weir", "-e", "show version; show peers; show databases; \\s"],
                          capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    assert re.search(r"\| weir \d", done.stdout)


# --- starting ------------------------------------------------------------------------------------

def test_check(my, start, tmp_path):
    ini = tmp_path / "weir.ini"
    ini.write_text(f"[weir]\nlisten_port = {free_port()}\nmysql_port = {free_port()}\nauth_type = any\n[databases]\n"
                   f"good = mysql://app:secret@{my.host}:{my.port}/shop\n"
                   f"bad = mysql://app:wrong@{my.host}:{my.port}/shop\n")
    env = {k: v for k, v in os.environ.items() if not k.startswith("WEIR_")}
    done = subprocess.run([weir_binary(), "--check", str(ini)], capture_output=True, text=True, timeout=30, env=env)
    good = next(line for line in done.stdout.splitlines() if line.startswith("good"))
    version = my.value("select version()")[:16]
    assert good.split()[1:4] == [f"{my.host}:{my.port}", version, "primary"]
    assert done.returncode == 1 and "bad: can't connect" in done.stderr and "wrong" not in done.stderr + done.stdout


@pytest.mark.parametrize("query,says", [
    (None, None),
    ("select User from mysql.user where User = $1", "two columns"),
    ("select User, authentication_string from nowhere where User = $1", "nowhere"),
])
def test_check_asks_auth_query(my, tmp_path, query, says):
    (tmp_path / "userlist.txt").write_text('"lookup" "%s"\n' % USERS["lookup"][0])
    ini = tmp_path / "weir.ini"
    ini.write_text(f"[weir]\nlisten_port = {free_port()}\nmysql_port = {free_port()}\nauth_file = {tmp_path}/userlist.txt\n"
                   "auth_user = lookup\n" + (f"auth_query = {query}\n" if query else "") +
                   f"[databases]\nshop = mysql://{my.host}:{my.port}/\n")
    env = {k: v for k, v in os.environ.items() if not k.startswith("WEIR_")}
    done = subprocess.run([weir_binary(), "--check", str(ini)], capture_output=True, text=True, timeout=30, env=env)
    assert done.returncode == (1 if says else 0), done.stderr
    assert says is None or re.search(rf'weir\.ini:\d+: error: shop: auth_query as "lookup": .*{says}', done.stderr), done.stderr


def test_sidecar(my):
    port = free_port()
    env = {k: v for k, v in os.environ.items() if not k.startswith("WEIR_")}
    env.update(WEIR_LISTEN_PORT="0", WEIR_MYSQL_PORT=str(port), WEIR_ADMIN_PORT="0")
    with subprocess.Popen([weir_binary(), "--url", f"mysql://app:secret@{my.host}:{my.port}/shop"], env=env, text=True,
                          stderr=subprocess.PIPE) as proc:
        line = ""
        while "give your function" not in line:
            line = proc.stderr.readline()
            assert line
        assert line.rstrip().endswith(f"mysql://app:***@127.0.0.1:{port}/shop")
        with pymysql.connect(host="127.0.0.1", port=port, user="app", password="secret", database="shop") as c:
            assert one(c, "select database()") == "shop"
        proc.terminate()
        proc.stderr.read()
        assert proc.wait(10) == 0


@pytest.mark.parametrize("column", ["connection_id() as id", "connection_id() id", "connection_id() as `id`, 1", "1, connection_id() 'id'",
                                    "connection_id() as id from items limit 1"])
def test_the_number_of_a_client_is_weirs_under_any_name(shared, column):
    with shared.connect() as c, c.cursor() as cur:
        cur.execute(f"select {column}")
        at = [d[0] for d in cur.description].index("id")
        assert cur.fetchone()[at] == c.thread_id()
        assert one(c, f"select p.id from information_schema.processlist p join (select {column.split(' from ')[0]}) x on p.id = x.id") is not None


def test_kill_query_of_who_waits_is_told_in_the_servers_words(start):
    proxy = start(max_server_connections=1, query_wait_timeout=60)
    with proxy.connect() as holder, Wire(proxy.connect()) as waiter, proxy.connect() as killer:
        holder.begin()
        rows(holder, "select 1 from items limit 1")
        waiter.send(mywire.query("select 2 from items limit 1"))
        wait_until(lambda: sum(int(r["cl_waiting"]) for r in proxy.my_show("POOLS")) == 1, 30, "the waiter")
        rows(killer, f"kill query {waiter.id}")
        with pytest.raises(MyError) as e:
            waiter.answer()
        assert (e.value.code, str(e.value)) == (1317, "Query execution was interrupted")
        holder.rollback()
        assert waiter.value("select 3 from items limit 1") == "3"
