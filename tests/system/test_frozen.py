# SPDX-License-Identifier: ISC
"""Clients that freeze, for real: a stopped process, and a machine of which no packet comes any more.

There is one server connection. Each test freezes a real driver at one moment, sees that the connection is
lent on, that nothing uncommitted is visible and that the counts are right, and thaws it: the driver sees the
promised error and then works on the same connection.
"""

import time

import pytest

from harness import wire
from harness.frozen import LATE, Driver
from harness.netns import Machine
from harness.proxy import wait_until

pytestmark = pytest.mark.weir_only
DRIVERS = ["psycopg2", "psycopg", "asyncpg"]
TIMES = {"lease_dead_after": "2s", "idle_transaction_timeout": "2s", "query_wait_timeout": "60s"}


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
def driver(request, machine):
    made = []

    def make(name, proxy, where):
        made.append(Driver(name, proxy.port, where))
        made[-1].ok("!connect")
        return made[-1]
    make.made = made
    yield make
    machine.join()
    for d in made:
        d.kill()


def lent_on(proxy):
    """The next client gets the only server connection and sees nothing of the frozen one."""
    with proxy.client(timeout=LATE) as c:
        assert c.value("select count(*) from scratch") == "0"
        assert wire.kinds(c.simple("begin")) == "CZ", "no transaction was left open"
        c.simple("rollback")


def runs(pg, text):
    """It is being executed. Frozen before that, between its Parse and its Execute, asyncpg is another case."""
    wait_until(lambda: pg.count(f"query like '%{text}%' and wait_event in ('PgSleep', 'ClientWrite')") == 1, LATE, text)


def calm(proxy, pg):
    """Nobody holds or awaits anything, and the database sees one connection."""
    def counts():
        row = proxy.pool()
        return [int(row[k]) for k in ("cl_waiting", "sv_active", "sv_idle", "sv_login")]
    wait_until(lambda: counts() == [0, 0, 1, 0], LATE, f"calm, last seen {counts()}")
    assert pg.count("datname = 'shop'") == 1


def works(d):
    assert d.ok("select 41 + 1") == [["42"]]
    d.ok("begin")
    d.ok("insert into scratch (who) values ('thawed')")
    d.ok("rollback")


@pytest.mark.parametrize("name", DRIVERS)
def test_idle(weir, driver, pg, where, name):
    """It holds nothing: however long, it is left alone and notices nothing."""
    proxy = weir()
    d = driver(name, proxy, where)
    d.ok("set work_mem = '12MB'")
    d.freeze()
    lent_on(proxy)
    time.sleep(7)  # longer than lease_dead_after and the kernel's patience on top of it
    calm(proxy, pg)
    d.thaw()
    assert d.ok("show work_mem") == [["12MB"]]
    works(d)


@pytest.mark.parametrize("name", DRIVERS)
def test_idle_after_a_long_loan(weir, driver, pg, where, name):
    """What was asked of its socket while it held a loan is not asked when it holds none."""
    proxy = weir(idle_transaction_timeout="30s")
    d = driver(name, proxy, where)
    d.ok("select pg_sleep(1.5)")
    time.sleep(2)
    d.freeze()
    time.sleep(8)
    calm(proxy, pg)
    d.thaw()
    works(d)


@pytest.mark.parametrize("name", DRIVERS)
def test_in_a_transaction(weir, driver, pg, where, name):
    proxy = weir()
    d = driver(name, proxy, where)
    d.ok("begin")
    d.ok("insert into scratch (who) values ('frozen')")
    d.freeze()
    lent_on(proxy)
    calm(proxy, pg)
    d.thaw()
    lost = d.ask("select 1")
    assert lost.get("error") == "40001" and "rolled back" in lost["text"], lost
    assert d.ask("select 1").get("error") == "25P02"
    d.ok("rollback")
    works(d)
    lent_on(proxy)


@pytest.mark.parametrize("name", DRIVERS)
def test_commit_is_no_success(weir, driver, pg, where, name):
    proxy = weir()
    d = driver(name, proxy, where)
    d.ok("begin")
    d.ok("insert into scratch (who) values ('frozen')")
    d.freeze()
    lent_on(proxy)
    d.thaw()
    assert d.ask("commit").get("error") == "40001"
    d.ok("rollback")
    works(d)
    lent_on(proxy)


@pytest.mark.parametrize("name", DRIVERS)
def test_machine_gone_in_a_statement(weir, driver, machine, pg, name):
    """Only a lost machine: a stopped process's statement may run, and ends."""
    proxy = weir(idle_transaction_timeout="0")
    d = driver(name, proxy, machine)
    d.ok("begin")
    d.ok("insert into scratch (who) values ('frozen')")
    d.send("select pg_sleep(600)")
    runs(pg, "pg_sleep(600)")
    d.freeze()
    lent_on(proxy)
    calm(proxy, pg)
    d.thaw()
    assert d.answer().get("error") == "40001"
    assert d.ask("select 1").get("error") == "25P02"
    d.ok("rollback")
    works(d)


@pytest.mark.parametrize("name", DRIVERS)
def test_stopped_in_a_statement(weir, driver, pg, name):
    proxy = weir()
    d = driver(name, proxy, None)
    d.ok("begin")
    d.ok("insert into scratch (who) values ('frozen')")
    d.send("select pg_sleep(3)")
    runs(pg, "pg_sleep(3)")
    d.freeze()
    lent_on(proxy)
    calm(proxy, pg)
    d.thaw()
    assert "rows" in d.answer(), "that statement was answered before"
    assert d.ask("commit").get("error") == "40001"
    d.ok("rollback")
    works(d)


@pytest.mark.parametrize("name", DRIVERS)
def test_in_the_middle_of_an_answer(weir, driver, pg, where, name):
    """More than spool and sockets hold: the rest is not waited for."""
    proxy = weir(idle_transaction_timeout="0")
    d = driver(name, proxy, where)
    d.send("select repeat('x', 3000), i from generate_series(1, 60000) i, pg_sleep(0.5)")
    runs(pg, "generate_series(1, 60000)")
    d.freeze()
    lent_on(proxy)
    calm(proxy, pg)
    d.thaw()
    answer = d.answer()
    assert answer.get("error") == "40001", answer
    works(d)


@pytest.mark.parametrize("name", DRIVERS)
def test_small_answers_wait_in_the_spool(weir, driver, pg, where, name):
    """The loan ends without the client; nothing is lost for it."""
    proxy = weir(client_spool="4MB")
    d = driver(name, proxy, where)
    d.send("select repeat('x', 1000) from generate_series(1, 3000), pg_sleep(1)")
    runs(pg, "generate_series(1, 3000)")
    d.freeze()
    lent_on(proxy)
    calm(proxy, pg)
    d.thaw()
    assert d.answer().get("count") == 3000
    works(d)


@pytest.mark.parametrize("name", DRIVERS)
def test_waiting(weir, driver, machine, pg, where, name):
    """In the queue: a stopped one is served and finds its answer; a lost one is told to come again."""
    proxy = weir()
    d = driver(name, proxy, where)
    with proxy.client(timeout=LATE) as holder:
        holder.simple("begin")
        holder.send(wire.query("select pg_sleep(6)"))
        d.send("select 7")
        wait_until(lambda: proxy.pool()["cl_waiting"] == "1", LATE, "the wait")
        d.freeze()
        holder.until()
        holder.simple("commit")
    lent_on(proxy)
    calm(proxy, pg)
    d.thaw()
    answer = d.answer()
    if where:
        assert answer.get("error") == "53300", answer
    elif name == "asyncpg":  # stopped between Flush and Sync: an open transaction like any other
        assert answer.get("error") == "40001", answer
    else:
        assert answer.get("rows") == [["7"]], answer
    works(d)


def test_in_login(weir, driver, machine, where, pg):
    proxy = weir(client_login_timeout="2s")
    d = Driver("psycopg2", proxy.port, where)
    driver.made.append(d)
    d.ok("!login")
    d.freeze()
    lent_on(proxy)
    proxy.wait_log("client_login_timeout", LATE)
    d.thaw()
    assert "error" in d.ask("!finish")
    d.ok("!connect")
    works(d)


@pytest.mark.parametrize("name", DRIVERS)
def test_killed_machine(weir, driver, machine, pg, name):
    """It never comes back: nothing but a socket remembers it, and that not for ever."""
    proxy = weir(idle_transaction_timeout="0")
    d = driver(name, proxy, machine)
    d.ok("begin")
    d.ok("insert into scratch (who) values ('frozen')")
    machine.cut()
    d.kill()
    lent_on(proxy)
    calm(proxy, pg)


@pytest.mark.parametrize("name", DRIVERS)
def test_killed_process(weir, driver, pg, name):
    """Its kernel says so: at once, whatever the time limits."""
    proxy = weir(idle_transaction_timeout="0", lease_dead_after="0")
    d = driver(name, proxy, None)
    d.ok("begin")
    d.ok("insert into scratch (who) values ('frozen')")
    d.kill()
    lent_on(proxy)
    calm(proxy, pg)


def test_a_slow_reader_is_no_frozen_one(weir, pg):
    """It takes a little now and then, over more than the time limit."""
    proxy = weir()
    with proxy.client(timeout=LATE) as c:
        c.send(wire.query("select repeat('x', 1000) from generate_series(1, 40000)"))
        got = 0
        for _ in range(16):
            time.sleep(0.4)
            got += len(c.sock.recv(2_000_000))
        while True:
            data = c.sock.recv(2_000_000)
            got += len(data)
            if data.endswith(b"Z\0\0\0\5I"):
                break
        assert got > 40_000_000


def test_frozen_between_flush_and_sync(weir, machine, pg):
    proxy = weir()
    with proxy.client(timeout=LATE) as a:
        a.send(wire.parse("", "insert into scratch (who) values ('frozen')"), wire.bind("", ""), wire.execute(), wire.FLUSH)
        a.until("C")
        lent_on(proxy)
        msgs = a.ask(wire.SYNC)
        assert wire.error_code(msgs) == "40001", wire.kinds(msgs)
        if a.status == "E":
            a.simple("rollback")
        assert a.value("select count(*) from scratch") == "0"


def test_frozen_in_copy_in(weir, machine, pg):
    proxy = weir()
    with proxy.client(timeout=LATE) as a:
        a.send(wire.query("copy scratch (who) from stdin"))
        a.until("G")
        a.send(wire.copy_data(b"frozen\n"))
        lent_on(proxy)
        msgs = a.ask(wire.copy_data(b"more\n"), wire.COPY_DONE)
        assert wire.error_code(msgs) == "40001", wire.kinds(msgs)
        assert a.status == "I" and a.value("select count(*) from scratch") == "0"


def test_a_pinned_session_is_ended(weir, machine, driver, pg):
    """Its temporary table can't be had again: it is told, not left to wonder."""
    proxy = weir(idle_transaction_timeout="0")
    d = driver("psycopg2", proxy, machine)
    d.ok("create temp table mine (x int)")
    d.freeze()
    lent_on(proxy)
    d.thaw()
    assert "error" in d.ask("select * from mine")
    d.ok("!connect")
    works(d)


@pytest.mark.parametrize("how", ["tcp", "unix"])
def test_a_slow_reader_is_not_a_frozen_one(start, how):
    """It takes a little all the time; so much lies in the kernel that weir can send nothing for longer than a frozen
    client may take."""
    proxy = start(max_server_connections=1, lease_dead_after="3s")
    with wire.Conn(proxy.dir, proxy.port) if how == "unix" else proxy.open() as c:
        c.login("app", "secret", "shop")
        c.send(wire.query("select repeat('x', 1000) from generate_series(1, 12000)"))
        end = time.monotonic() + 10
        while time.monotonic() < end:
            c.buffer += c.sock.recv(10000)
            time.sleep(0.05)
        msgs = c.until(timeout=60)
        assert wire.errors(msgs) == [] and len(wire.rows(msgs)) == 12000


def test_who_does_not_read_is_told_what_came_of_its_statement(start):
    """More than the spool holds, and perhaps carried out by then: who is told that it was not may do it again."""
    proxy = start(max_server_connections=1, client_spool="64kB", lease_dead_after="1s", client_gone_timeout="60s")
    with proxy.client(timeout=LATE) as a, proxy.client(timeout=LATE) as b:
        a.send(wire.query("insert into scratch (who) select repeat('x', 1000) from generate_series(1, 7000) returning who"))
        wait_until(lambda: proxy.pool()["sv_active"] == "1", LATE, "its loan")
        there = int(b.value("select count(*) from scratch"))
        msgs = a.until(timeout=LATE)
        if there:
            assert wire.errors(msgs) == [] and len(wire.rows(msgs)) == there == 7000
        else:
            assert wire.error_code(msgs) == "40001" and msgs[-1].body == b"I"
        assert a.value("select count(*) from scratch") == str(there)
        a.simple("delete from scratch")
