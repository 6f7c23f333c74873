# SPDX-License-Identifier: ISC
"""Clients of MySQL that freeze, for real: a stopped process, and a machine of which no packet comes any more.

There is one server connection. Each test freezes a real driver at one moment, sees that the connection is
lent on, that nothing uncommitted is visible and that the counts are right, and thaws it: the driver sees the
promised error and then works on the same connection.
"""

import signal
import time

import pytest

from harness.frozen import LATE, Driver
from harness.myproxy import one, rows
from harness.netns import Machine
from harness.players import Player
from harness.proxy import wait_until

DRIVERS = ["pymysql", "mysqlclient"]
TIMES = {"lease_dead_after": "2s", "idle_transaction_timeout": "2s", "query_wait_timeout": "60s"}
LARGE = "select repeat('x', 3000) from items a, items b, (select sleep(0.5)) s limit 60000"
SMALL = "select repeat('x', 1000) from items a, items b, (select sleep(1)) s limit 3000"


@pytest.fixture(scope="module")
def machine():
    m = Machine()
    yield m
    m.destroy()


@pytest.fixture(params=["stopped", "lost"])
def where(request):
    return request.getfixturevalue("machine") if request.param == "lost" else None


@pytest.fixture
def weir(start, machine):
    return lambda **more: start(max_server_connections=1, listen_addr=f"127.0.0.1,{machine.near}", **{**TIMES, **more})


@pytest.fixture
def driver(machine):
    made = []

    def make(name, proxy, where, connect=True):
        made.append(Driver(name, proxy.mysql_port, where))
        if connect:
            made[-1].ok("!connect")
        return made[-1]
    yield make
    machine.join()
    for d in made:
        d.kill()


def lent_on(proxy, my):
    """The next client gets the only server connection and sees nothing of the frozen one."""
    with proxy.connect(connect_timeout=LATE, read_timeout=LATE) as c:
        assert one(c, "select count(*) from scratch") == 0
        assert one(c, "select @@in_transaction" if my.engine == "mariadb" else "select 0") == 0
        rows(c, "update items set n = n where id = 1")  # nobody has it locked


def calm(proxy, my):
    """Nobody holds or awaits anything, and the database sees one connection."""
    def counts():
        row = next(r for r in proxy.my_show("POOLS") if r["database"] == "shop" and r["user"] == "app")
        return [int(row[k]) for k in ("cl_waiting", "sv_active", "sv_idle", "sv_login")]
    wait_until(lambda: counts() == [0, 0, 1, 0], LATE, f"calm, last seen {counts()}")
    wait_until(lambda: my.count() == 1, LATE, "one connection at the server")
    assert my.value("select count(*) from shop.scratch") == 0


def busy(my, sql):
    wait_until(lambda: my.count(f"info like '%{sql}%'") == 1, LATE, "the statement")


def works(d):
    assert d.ok("select 41 + 1") == [["42"]]
    d.ok("begin")
    d.ok("insert into scratch (who) values ('thawed')")
    d.ok("rollback")


def in_transaction(d):
    d.ok("begin")
    d.ok("insert into scratch (who) values ('frozen')")
    d.ok("update items set n = 77 where id = 1")


@pytest.mark.parametrize("name", DRIVERS)
def test_idle(weir, driver, my, where, name):
    """It holds nothing: however long, it is left alone and notices nothing."""
    proxy = weir()
    d = driver(name, proxy, where)
    d.ok("set sql_mode = 'ANSI_QUOTES'")
    d.freeze()
    lent_on(proxy, my)
    time.sleep(7)  # longer than lease_dead_after and the kernel's patience on top of it
    calm(proxy, my)
    d.thaw()
    assert d.ok("select @@sql_mode") == [["ANSI_QUOTES"]]
    works(d)


@pytest.mark.parametrize("name", DRIVERS)
def test_in_a_transaction(weir, driver, my, where, name):
    proxy = weir()
    d = driver(name, proxy, where)
    in_transaction(d)
    d.freeze()
    lent_on(proxy, my)
    calm(proxy, my)
    d.thaw()
    lost = d.ask("select 1")
    assert lost.get("error") == "1213" and "rolled back" in lost.get("text", "rolled back"), lost
    works(d)
    lent_on(proxy, my)


def test_python_that_does_not_commit(weir, driver, my, where):
    """autocommit = 0 and a SELECT: a transaction that nobody meant."""
    proxy = weir()
    d = driver("pymysql-manual", proxy, where)
    d.ok("select count(*) from items")
    d.freeze()
    lent_on(proxy, my)
    calm(proxy, my)
    d.thaw()
    answer = d.ask("select count(*) from items")
    assert answer.get("error") == "1213" or answer.get("rows") == [["1000"]], answer
    d.ok("select count(*) from items")
    d.ok("rollback")


@pytest.mark.parametrize("name", DRIVERS)
def test_commit_is_no_success(weir, driver, my, where, name):
    proxy = weir()
    d = driver(name, proxy, where)
    in_transaction(d)
    d.freeze()
    lent_on(proxy, my)
    d.thaw()
    assert d.ask("commit").get("error") == "1213"
    works(d)
    lent_on(proxy, my)


EVERY = ["pymysql", "mysqlclient", "mysql2", "mariadb", "pdo", "pdo-prepare", "laravel", "go", "go-interpolate", "jdbc", "jdbc-server"]


@pytest.mark.parametrize("name", EVERY)
def test_what_every_driver_sees(start, my, drivers, name):
    """Stopped in a transaction that is taken back: 1213 for what comes next, COMMIT included; then it goes on."""
    proxy = start(max_server_connections=1, idle_transaction_timeout="1s", query_wait_timeout=60)
    with Player(name, drivers[name], proxy) as p:
        for word in ("select 1", "commit"):
            for sql in ("begin", "insert into scratch (who) values ('frozen')", "update items set n = 77 where id = 1"):
                assert "sets" in p.query(sql), sql
            p.proc.send_signal(signal.SIGSTOP)
            lent_on(proxy, my)
            p.proc.send_signal(signal.SIGCONT)
            lost = p.query(word)
            assert str(lost.get("error")) == "1213" and "rolled back" in lost.get("text", "rolled back"), lost
            assert "sets" in p.query("rollback")
            assert p.value("select 41 + 1") in (42, "42")
            for sql in ("begin", "insert into scratch (who) values ('thawed')", "rollback"):
                assert "sets" in p.query(sql), sql
    calm(proxy, my)


@pytest.mark.parametrize("name", DRIVERS)
def test_machine_gone_in_a_statement(weir, driver, machine, my, name):
    """Only a lost machine: a stopped process's statement may run, and ends."""
    proxy = weir(idle_transaction_timeout="0")
    d = driver(name, proxy, machine)
    in_transaction(d)
    d.send("select sleep(600)")
    busy(my, "sleep(600)")
    d.freeze()
    lent_on(proxy, my)
    calm(proxy, my)
    d.thaw()
    told = d.answer()  # to MySQL a SLEEP() that is interrupted is no error
    assert told.get("error") == "1213" or d.ask("commit").get("error") == "1213", told
    works(d)


@pytest.mark.parametrize("name", DRIVERS)
def test_stopped_in_a_statement(weir, driver, my, name):
    proxy = weir()
    d = driver(name, proxy, None)
    in_transaction(d)
    d.send("select sleep(3)")
    busy(my, "sleep(3)")
    d.freeze()
    lent_on(proxy, my)
    calm(proxy, my)
    d.thaw()
    assert "rows" in d.answer(), "that statement was answered before"
    assert d.ask("commit").get("error") == "1213"
    works(d)


@pytest.mark.parametrize("name", DRIVERS)
def test_in_the_middle_of_an_answer(weir, driver, my, where, name):
    """More than spool and sockets hold: the rest is not waited for."""
    proxy = weir(idle_transaction_timeout="0")
    d = driver(name, proxy, where)
    d.send(LARGE)
    busy(my, "sleep(0.5)")
    d.freeze()
    lent_on(proxy, my)
    calm(proxy, my)
    d.thaw()
    answer = d.answer()
    assert answer.get("error") == "1213", answer
    works(d)


@pytest.mark.parametrize("name", DRIVERS)
def test_small_answers_wait_in_the_spool(weir, driver, my, where, name):
    """The loan ends without the client; nothing is lost for it."""
    proxy = weir(client_spool="4MB")
    d = driver(name, proxy, where)
    d.send(SMALL)
    busy(my, "sleep(1)")
    d.freeze()
    lent_on(proxy, my)
    calm(proxy, my)
    d.thaw()
    assert d.answer().get("count") == 3000
    works(d)


@pytest.mark.parametrize("name", DRIVERS)
def test_waiting(weir, driver, my, where, name):
    """In the queue: a stopped one is served and finds its answer; a lost one is told to come again."""
    proxy = weir(idle_transaction_timeout="30s")
    d = driver(name, proxy, where)
    with proxy.connect(read_timeout=LATE) as holder:
        holder.begin()
        one(holder, "select count(*) from items")
        d.send("select 7")
        wait_until(lambda: sum(int(r["cl_waiting"]) for r in proxy.my_show("POOLS")) == 1, LATE, "the wait")
        d.freeze()
        one(holder, "select sleep(6)")
        holder.rollback()
    lent_on(proxy, my)
    calm(proxy, my)
    d.thaw()
    answer = d.answer()
    assert answer.get("error") == "1040" if where else answer.get("rows") == [["7"]], answer
    works(d)


def test_in_login(weir, driver, where, my):
    proxy = weir(client_login_timeout="2s")
    d = driver("pymysql", proxy, where, connect=False)
    d.ok("!login")
    d.freeze()
    lent_on(proxy, my)
    proxy.wait_log("client_login_timeout", LATE)
    d.thaw()
    assert "error" in d.ask("!finish")
    d.ok("!connect")
    works(d)


@pytest.mark.parametrize("name", DRIVERS)
def test_killed_machine(weir, driver, machine, my, name):
    """It never comes back: nothing but a socket remembers it, and that not for ever."""
    proxy = weir(idle_transaction_timeout="0")
    d = driver(name, proxy, machine)
    in_transaction(d)
    machine.cut()
    d.kill()
    lent_on(proxy, my)
    calm(proxy, my)


@pytest.mark.parametrize("name", DRIVERS)
def test_killed_process(weir, driver, my, name):
    """Its kernel says so: at once, whatever the time limits."""
    proxy = weir(idle_transaction_timeout="0", lease_dead_after="0")
    d = driver(name, proxy, None)
    in_transaction(d)
    d.kill()
    lent_on(proxy, my)
    calm(proxy, my)


def test_a_pinned_session_is_ended(weir, machine, driver, my):
    """Its temporary table can't be had again: it is told, not left to wonder."""
    proxy = weir(idle_transaction_timeout="0")
    d = driver("pymysql", proxy, machine)
    d.ok("create temporary table mine (x int)")
    d.freeze()
    lent_on(proxy, my)
    d.thaw()
    assert "error" in d.ask("select * from mine")
    d.ok("!connect")
    works(d)
