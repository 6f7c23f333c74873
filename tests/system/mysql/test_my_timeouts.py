# SPDX-License-Identifier: ISC
"""What time does, and what administrators do: timeouts, drain, reload, the console's orders, servers that come and go."""

import os
import random
import signal
import socket
import time

import MySQLdb
import pymysql
import pytest
from pymysql.constants import CLIENT

from harness import mywire
from harness.mywire import Closed, MyError, Wire, query
from harness.myliar import MyLiar
from harness.mysql import MySQL
from harness.myproxy import LastingSampler, code, one, rows
from harness.postgres import free_port
from harness.proxy import ADMIN, Crowd, crowd, wait_until


def fails(conn, sql):
    """The number and the text of the error that this ends with."""
    with pytest.raises(pymysql.MySQLError) as e:
        rows(conn, sql)
    return e.value.args[0], str(e.value.args[1])


def server_id(conn):
    return one(conn, "select connection_id() + 0")


def wire(proxy, timeout=30, **more):
    return Wire(proxy.connect(**more), timeout)


# --- timeouts ------------------------------------------------------------------------------------

def test_query_wait_timeout(start):
    """1040 with who waited for whom; the session is kept and served when there is room."""
    proxy = start(max_server_connections=1, query_wait_timeout=1)
    with proxy.connect() as holder, proxy.connect() as waiter:
        holder.begin()
        rows(holder, "select 1 from items limit 1")
        number, text = fails(waiter, "select 2")
        assert number == 1040 and "within 1" in text and "1/1 lent" in text
        with Wire(proxy.connect()) as w:  # a prepare, and what comes behind it
            w.send(mywire.command(mywire.PREPARE, b"select 3"), mywire.command(mywire.PING))
            with pytest.raises(MyError) as e:
                w.answer()
            assert (e.value.code, e.value.state) == (1040, "08004")
            assert isinstance(w.answer(), mywire.OK)
        holder.rollback()
        assert one(waiter, "select 2") == 2


@pytest.mark.parametrize("kind", ["text", "prepared", "reset"])
def test_idle_transaction_timeout_takes_the_loan_back(start, kind):
    """1213/40001 at the next command, whatever it is but a reset; nothing of the transaction stays, and the session goes on."""
    proxy = start(max_server_connections=1, idle_transaction_timeout=1)
    with wire(proxy) as a:
        number = a.prepare("select ?")[0]
        a.query("begin")
        a.query("insert into scratch (who) values ('late')")
        with proxy.connect() as b:
            assert one(b, "select count(*) from scratch") == 0
        assert not a.readable(0), "nothing unasked is sent"
        if kind == "reset":
            assert not a.ask(mywire.RESET_CONNECTION).status & 1
            assert a.value("select count(*) from scratch") == "0"
            return
        with pytest.raises(MyError) as e:
            a.execute(number, ("x",)) if kind == "prepared" else a.query("commit")
        assert (e.value.code, e.value.state) == (1213, "40001")
        ok = a.query("do 1")
        assert not ok.status & 1, "no transaction is open"
        assert a.value("select count(*) from scratch") == "0"
        assert a.execute(number, ("x",)).rows[0][-1:] == b"x"


def test_an_active_transaction_is_not_idle(start):
    proxy = start(idle_transaction_timeout=2)
    with proxy.connect() as a:
        a.begin()
        assert one(a, "select sleep(3)") == 0
        for _ in range(3):
            time.sleep(0.5)
            assert one(a, "select 1") == 1
        a.commit()


def test_transaction_timeout(start):
    """However busy: after its time the transaction ends and the session lives."""
    proxy = start(max_server_connections=1, transaction_timeout=1)
    with proxy.connect() as a:
        a.begin()
        rows(a, "insert into scratch (who) values ('late')")
        with pytest.raises(pymysql.MySQLError) as e:
            for _ in range(100):
                rows(a, "select sleep(0.1)")
        assert code(e) in (1213, 1317)
        a.rollback()
        assert one(a, "select count(*) from scratch") == 0


def test_transaction_timeout_is_told_once(start):
    """As the running statement's error, and not before its end is known."""
    proxy = start(max_server_connections=1, transaction_timeout=1)
    with proxy.connect() as a, proxy.connect(autocommit=True) as b:
        a.begin()
        rows(a, "insert into scratch (who) values ('late')")
        assert fails(a, "select count(*) from items a, items b, items c, items d where a.n + b.n + c.n + d.n > 7")[0] == 1213
        assert one(b, "select count(*) from scratch") == 0, "its connection is lent on"
        a.rollback()
        assert one(a, "select count(*) from scratch") == 0


@pytest.mark.parametrize("block", [False, True])
def test_what_survives_the_transaction_timeout_is_not_told_to_be_lost(start, my, block):
    """To MySQL a SLEEP() that is interrupted is no error; to MariaDB it is."""
    proxy = start(max_server_connections=1, transaction_timeout=1, client_gone_timeout=60)
    with proxy.connect(autocommit=True) as a, proxy.connect(autocommit=True) as b:
        if block:
            a.begin()
            rows(a, "insert into scratch (who) values ('late')")
        survives = my.engine == "mysql"
        if survives:
            assert one(a, "select sleep(30)") == 1
        else:
            assert fails(a, "select sleep(30)")[0] == 1213
        assert one(b, "select count(*) from scratch") == 0
        if block and survives:
            with pytest.raises(pymysql.MySQLError) as e:
                a.commit()
            assert code(e) == 1213
        assert one(a, "select 1") == 1


def test_transaction_timeout_of_one_statement(start, my):
    proxy = start(max_server_connections=1, transaction_timeout=1)
    with proxy.connect() as a:
        assert fails(a, "select count(*) from items a, items b, items c, items d where a.n + b.n + c.n + d.n > 7")[0] in (1213, 1317)
        assert one(a, "select 1") == 1
    wait_until(lambda: my.count("info like 'select count%%'") == 0, 20, "its end")


def test_query_timeout_cancels_and_keeps_the_session(start):
    proxy = start(max_server_connections=1, query_timeout=1)
    with proxy.connect() as a:
        number = server_id(a)
        assert fails(a, "select count(*) from items a, items b, items c, items d where a.n + b.n + c.n + d.n > 7")[0] == 1317
        assert server_id(a) == number
        a.begin()  # the clock runs per statement, not per transaction
        for _ in range(4):
            assert one(a, "select sleep(0.4)") == 0
        a.commit()


def test_client_idle_timeout(start):
    proxy = start(client_idle_timeout=2)
    with wire(proxy) as idle, proxy.connect() as active:
        idle.query("select 1")
        wait_until(lambda: rows(active, "select 1") and idle.readable(), 30, "the end of the idle one")
        with pytest.raises(MyError) as e:
            idle.answer()
        assert e.value.code == 4031
        with pytest.raises((Closed, OSError)):
            idle.one()
        assert one(active, "select 1") == 1


def test_a_running_statement_is_not_client_idleness(start):
    proxy = start(client_idle_timeout=1)
    with proxy.connect() as c:
        assert one(c, "select sleep(2.5)") == 0


@pytest.mark.parametrize("said", [b"", b"\x20\0"])
def test_client_login_timeout(start, said):
    proxy = start(client_login_timeout=1)
    with socket.create_connection((proxy.host, proxy.mysql_port), 20) as s:
        s.sendall(said)
        data = b""
        while part := s.recv(4096):
            data += part
        greeting = 4 + int.from_bytes(data[:3], "little")
        assert len(data) == greeting or data[greeting + 4] == 0xff


def test_server_idle_timeout_closes_what_nobody_uses(start, my):
    proxy = start(max_server_connections=3, server_idle_timeout=1)
    crowd(3, lambda i: one(proxy.connect("app3"), "select sleep(0.3)"))
    wait_until(lambda: my.count("user = 'app3'") == 0, 30, "the end of idle connections")
    with proxy.connect("app3") as c:
        assert one(c, "select 1") == 1


def test_server_lifetime_replaces_old_connections_and_cuts_no_loan(start):
    proxy = start(max_server_connections=1, server_lifetime=1)
    with proxy.connect() as c:
        c.begin()
        first = server_id(c)
        time.sleep(2.5)
        assert server_id(c) == first
        c.commit()
        wait_until(lambda: server_id(c) != first, 20, "another connection")


def test_keepalive_of_server_connections(start, my):
    proxy = start(tcp_keepidle=700)
    with proxy.connect() as c:
        assert one(c, "select 1") == 1
        wait_until(lambda: proxy.probes_due(my.port), what="a probe")
        assert 0 < max(proxy.probes_due(my.port)) <= 700


def test_server_connect_timeout(start):
    """A server that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        proxy = start(server_connect_timeout=1, query_wait_timeout=5,
                      databases={"shop": f"mysql://app:secret@127.0.0.1:{deaf.getsockname()[1]}/shop"})
        with proxy.connect() as c:
            assert fails(c, "select 1")[0] in (2003, 1040)
            c.ping()


def test_a_server_that_is_not_there(start):
    """Refused at once: 2003, and the session is kept."""
    proxy = start(databases={"shop": f"mysql://app:secret@127.0.0.1:{free_port()}/shop"}, query_wait_timeout=3)
    with proxy.connect() as c:
        for _ in range(2):
            assert fails(c, "select 1")[0] in (2003, 1040)
        c.ping()


def test_connector_c_reads_what_is_said(start):
    """It takes 2000 to 2999 from a server for a malformed packet, and its user would see nothing else."""
    with MyLiar(lambda sock, com, body: False) as liar:
        hosts = {"shop": free_port(), "other": liar.port}
        proxy = start(databases={name: f"mysql://app:secret@127.0.0.1:{port}/{name}" for name, port in hosts.items()},
                      query_wait_timeout=3)
        for name, number, text in (("shop", 1429, "failed: Connection refused"), ("other", 1158, "closed the connection")):
            c = MySQLdb.connect(host=proxy.host, port=proxy.mysql_port, user="app", password="secret", db=name, autocommit=None)
            with pytest.raises(MySQLdb.MySQLError) as e:
                c.query("select 1")
            assert e.value.args[0] == number and text in e.value.args[1]
            c.ping()
            c.close()


def test_what_the_server_refuses_is_said_in_its_words(start, my):
    proxy = start(databases={"shop": f"mysql://{my.host}:{my.port}/no_such_schema"}, query_wait_timeout=20)
    with wire(proxy) as c:
        for _ in range(2):
            with pytest.raises(MyError) as e:
                c.query("select 1")
        assert "no_such_schema" in str(e.value)
        assert c.error(mywire.PING) is None


# --- signals -------------------------------------------------------------------------------------

def test_sigterm_drains(start, my):
    """Who is in a transaction ends it; who is idle is told 1053; nobody new gets in; then it is over."""
    proxy = start(shutdown_timeout=30)
    busy, running, idle = wire(proxy), wire(proxy), wire(proxy)
    busy.query("begin")
    busy.query("insert into scratch (who) values ('drained')")
    running.send(query("select sleep(1), 'ran'"))
    wait_until(lambda: my.count("info like 'select sleep(1)%%'") == 1, 20, "the statement")
    proxy.signal(signal.SIGTERM)
    with pytest.raises(MyError) as e:
        idle.answer()
    assert (e.value.code, e.value.state) == (1053, "08S01")
    assert running.answer().rows == [[b"0", b"ran"]]
    assert busy.value("select 1") == "1"
    assert isinstance(busy.query("commit"), mywire.OK)
    with pytest.raises(pymysql.MySQLError, match="refused"):
        proxy.connect(connect_timeout=15)
    with pytest.raises((MyError, Closed, OSError)):
        busy.answer()
    assert proxy.wait(20) == 0
    assert my.value("select count(*) from shop.scratch") == 1


def test_the_end_comes_between_two_results(start):
    """What a client hears of it counts on from what it has."""
    proxy = start()
    with proxy.connect(client_flag=CLIENT.MULTI_STATEMENTS) as c, c.cursor() as cur:
        cur.execute("select 1; select sleep(20)")
        proxy.signal(signal.SIGINT)
        with pytest.raises(pymysql.OperationalError) as error:
            cur.nextset()
        assert error.value.args[0] == 1053


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_the_end_of_an_open_transaction(start, my, how):
    """SIGTERM: when shutdown_timeout is over; SIGINT: at once. Its client is told, and nothing of it stays."""
    proxy = start(shutdown_timeout=1)
    with wire(proxy, user="app3") as c:
        c.query("begin")
        c.query("insert into scratch (who) values ('cut')")
        proxy.signal(how)
        with pytest.raises(MyError) as e:
            c.answer()
        assert (e.value.code, e.value.state) == (1053, "08S01")
        assert proxy.wait(20) == 0
    wait_until(lambda: my.count("user = 'app3'") == 0, 20, "the server's side")
    assert my.value("select count(*) from shop.scratch") == 0


def config(proxy, key):
    return next(r["value"] for r in proxy.my_show("CONFIG") if r["key"] == key)


def test_a_broken_file_is_refused_whole(start):
    proxy = start(max_server_connections=2)
    with proxy.connect() as c:
        with open(proxy.ini_path) as f:
            good = f.read()
        with open(proxy.ini_path, "w") as f:
            f.write(good.replace("[weir]", "[weir]\nnonsense = 1").replace("max_server_connections = 2", "max_server_connections = 9"))
        at = len(proxy.log())
        proxy.signal(signal.SIGHUP)
        proxy.wait_log("nonsense", 20, at)
        assert config(proxy, "max_server_connections") == "2"
        assert one(c, "select 1") == 1
        with open(proxy.ini_path, "w") as f:
            f.write(good.replace("max_server_connections = 2", "max_server_connections = 4"))
        proxy.signal(signal.SIGHUP)
        wait_until(lambda: config(proxy, "max_server_connections") == "4", 20, "the new bound")
        assert one(c, "select 1") == 1


def test_reload_under_load_disturbs_nobody(start):
    proxy = start(max_server_connections=3, query_wait_timeout=30)
    end = time.monotonic() + 3

    def work(i):
        with proxy.connect() as c:
            n = 0
            while time.monotonic() < end or n == 0:
                assert one(c, f"select {n} from items limit 1") == n
                n += 1
            return n
    hogs = Crowd(8, work).start()
    while time.monotonic() < end:
        proxy.reconfigure(query_wait_timeout=random.choice([20, 30]), max_server_connections=random.choice([2, 3, 4]))
        time.sleep(0.1)
    assert min(hogs.join()) > 0


def test_reload_of_users_and_databases(start, my):
    proxy = start(auth_type="plain")
    my.rows("create user if not exists newcomer@'%' identified by 'fresh'")
    my.rows("grant all on shop.* to newcomer@'%'")
    proxy.userlist["newcomer"] = "fresh"
    proxy.databases["renamed"] = f"mysql://{my.host}:{my.port}/shop"

    def attempt():
        try:
            with proxy.connect("newcomer", "renamed", "fresh") as c:
                return one(c, "select database()")
        except pymysql.MySQLError as e:
            return e.args[0]
    assert attempt() == 1045
    with proxy.connect() as old:
        proxy.reconfigure()
        # each worker takes the settings over for itself
        wait_until(lambda: attempt() == "shop", 20, "the new user")
        assert one(old, "select 1") == 1
        del proxy.databases["renamed"]
        proxy.reconfigure()
        wait_until(lambda: attempt() == 1049, 20, "the database's end")
        assert one(old, "select 1") == 1


# --- the console ---------------------------------------------------------------------------------

def order(proxy, what):
    with proxy.connect(ADMIN[0], "weir", ADMIN[1]) as c:
        return rows(c, what)


def test_disable_and_enable(start):
    proxy = start()
    with proxy.connect() as c:
        assert one(c, "select 1") == 1
        order(proxy, "disable shop")
        assert one(c, "select 2") == 2, "who is in stays in"
        with pytest.raises(pymysql.MySQLError):
            proxy.connect()
        order(proxy, "enable shop")
        with proxy.connect() as new:
            assert one(new, "select 3") == 3


def test_kill_ends_the_clients_of_a_database(start):
    proxy = start()
    with wire(proxy) as c, proxy.connect(schema="other") as other:
        c.query("begin")
        c.query("insert into scratch (who) values ('killed')")
        order(proxy, "kill shop")
        with pytest.raises((MyError, Closed, OSError)) as e:
            c.query("select 1")
        assert not isinstance(e.value, MyError) or e.value.code in (1927, 1040)
        order(proxy, "resume shop")
        assert one(other, "select 1") == 1
        with proxy.connect() as again:
            assert one(again, "select count(*) from scratch") == 0


def test_reconnect_replaces_every_connection(start):
    proxy = start(max_server_connections=1)
    with proxy.connect() as c:
        c.begin()
        first = server_id(c)
        order(proxy, "reconnect shop")
        assert server_id(c) == first, "no loan is cut"
        c.commit()
        wait_until(lambda: server_id(c) != first, 20, "another connection")


# --- the server ----------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def troubled(engine):
    """A server that these tests stop and freeze; each leaves it running."""
    made = MySQL(engine)
    yield made
    made.destroy()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_restart_under_load(start, troubled, how):
    """A delay for those outside of transactions; what ran at that moment is lost, and nothing else."""
    server = troubled
    proxy = start(server, max_server_connections=4, query_wait_timeout=60)
    end = [time.monotonic() + 120]

    def work(_):
        done, since, errors = 0, 0, []
        with proxy.connect(read_timeout=90) as c:
            while (time.monotonic() < end[0] or since == 0) and c.open:
                try:
                    one(c, "select sleep(0.002)")
                    done, since = done + 1, since + 1
                except pymysql.MySQLError as e:
                    errors.append(e.args[0])
                    since = 0
                    time.sleep(0.02)
        return done, errors, since
    hogs = Crowd(12, work).start()
    time.sleep(1)
    server.restart(how)
    with LastingSampler(server) as seen:
        end[0] = time.monotonic() + 2
        done = hogs.join(90)
    assert all(since > 0 for _, _, since in done), done
    # Each lost the statement that ran, and perhaps the one that met the server's farewell; while it is away they are told.
    lost = [[e for e in errors if e not in (2003, 1040)] for _, errors, _ in done]
    assert max(len(e) for e in lost) <= 2, lost
    assert seen.highest <= 4
    calm(proxy)


def calm(proxy):
    def counts():
        pools = [r for r in proxy.my_show("POOLS") if r["database"] == "shop"]
        return [sum(int(r[k]) for r in pools) for k in ("cl_active", "cl_waiting", "sv_active", "sv_login")]
    wait_until(lambda: counts() == [0, 0, 0, 0], 30, "counts of a calm pool")


def test_a_frozen_server_and_its_return(start, troubled):
    """It looks like a machine that hangs. Who can't be served has an answer in time, and the pool comes back by itself."""
    server = troubled
    proxy = start(server, max_server_connections=2, query_wait_timeout=1)
    with wire(proxy) as a, wire(proxy) as b, wire(proxy) as third:
        a.query("begin"), b.query("begin")
        a.query("rollback"), b.query("rollback")
        server.proc.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, server.proc.pid, os.WSTOPPED | os.WNOWAIT)
        try:
            a.send(query("select 1")), b.send(query("select 1"))
            time.sleep(0.2)
            with pytest.raises(MyError) as e:
                third.query("select 1")
            assert e.value.code in (1040, 2003)
            assert proxy.my_show("POOLS"), "the console is there all the time"
        finally:
            server.proc.send_signal(signal.SIGCONT)
        assert a.answer().rows == b.answer().rows == [[b"1"]]
        assert third.value("select 1") == "1"
    calm(proxy)


def test_killed_connections_are_replaced(start, my):
    """Without a word to idle clients; in a transaction its client hears of it and goes on, or has to come again."""
    proxy = start(max_server_connections=2)
    idle, c = proxy.connect("app3"), wire(proxy, user="app3")
    assert one(idle, "select 1") == 1
    c.query("begin")
    c.query("insert into scratch (who) values ('killed')")
    for (number,) in my.rows("select id from information_schema.processlist where user = 'app3'"):
        my.rows(f"kill {number}")
    with pytest.raises((MyError, Closed, OSError)) as e:
        c.query("commit")
    assert not isinstance(e.value, MyError) or e.value.state in ("08S01", "70100")
    assert one(idle, "select count(*) from scratch") == 0
    idle.close()
    c.close()


def test_a_server_that_is_down_at_the_start_is_found_later(start, troubled):
    server = troubled
    server.stop()
    proxy = start(server, query_wait_timeout=5)
    with proxy.connect(read_timeout=60) as c:
        assert fails(c, "select 4")[0] in (2003, 1040)
        server.start()

        def served():
            try:
                return one(c, "select 4") == 4
            except pymysql.MySQLError:
                return False
        wait_until(served, 60, "service")
