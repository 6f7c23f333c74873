# SPDX-License-Identifier: ISC
"""Server connections that were idle: one whose server has vanished, hung up or started anew isn't lent."""

import signal
import time

import psycopg2
import pytest

from harness import wire
from harness.line import Line
from harness.proxy import wait_until
from harness.wire import PgError

pytestmark = pytest.mark.weir_only


@pytest.fixture
def line(pg):
    made = Line(pg.host, pg.port)
    yield made
    made.close()


@pytest.fixture
def weir(start, line):
    def make(**more):
        databases = {"shop": {"host": "127.0.0.1", "port": line.port, "dbname": "shop"}}
        return start(databases=databases, **{"max_server_connections": 3, "server_check_delay": "200ms", **more})
    return make


def fill(proxy, count):
    """So many connections, all of them idle."""
    clients = proxy.clients(count)
    for c in clients:
        c.simple("begin")
    for c in clients:
        c.simple("commit")
    return clients


@pytest.mark.parametrize("count", [1, 3])
def test_a_server_that_vanished_costs_a_delay(weir, line, count):
    proxy = weir()
    clients = fill(proxy, count)
    assert line.dialled - count in (0, 1), "one more if weir had tried the server, and hung up, before anybody came"
    line.cut()
    time.sleep(0.3)
    begun = time.monotonic()
    assert clients[0].value("insert into scratch (who) values ('once') returning who") == "once"
    assert time.monotonic() - begun < 10
    for c in clients:
        assert c.value("select count(*) from scratch") == "1", "and it was run once"
        c.terminate()
    assert line.sent < 200 * count, "of the statement nothing was sent into the void"
    wait_until(lambda: int(proxy.pool()["sv_idle"]) >= 1 and int(proxy.pool()["sv_active"]) == 0)


def test_a_deadline_that_passes_meanwhile(weir, line):
    """It is told so, and gets no connection any more: not the one that didn't answer, and not the next."""
    proxy = weir()
    with fill(proxy, 1)[0] as c:
        line.cut()
        time.sleep(0.3)
        with pytest.raises(PgError) as e:
            c.value("insert into scratch (who) values ('late') /* deadline_ms=300 */")
        assert e.value.code == "53300" and str(e.value).endswith(", its deadline")
        assert c.value("select count(*) from scratch") == "0"


def test_what_a_driver_notices_is_a_delay(weir, line):
    proxy = weir()
    conn = psycopg2.connect(proxy.dsn())
    cur = conn.cursor()
    cur.execute("set work_mem = '11MB'")
    conn.commit()
    wait_until(lambda: int(proxy.pool()["sv_active"]) == 0)
    line.cut()
    time.sleep(0.3)
    cur.execute("show work_mem")
    assert cur.fetchone() == ("11MB",)
    conn.close()


def test_all_who_wait_for_a_vanished_server_get_their_answers(weir, line):
    proxy = weir()
    clients = fill(proxy, 3)
    line.cut()
    time.sleep(0.3)
    for c in clients:
        c.send(wire.query("select 7"))
    for c in clients:
        assert wire.rows(c.until(timeout=20)) == [["7"]]
        c.terminate()


def test_a_client_that_leaves_while_its_connection_is_checked(weir, line):
    proxy = weir()
    a, b = fill(proxy, 2)
    line.cut()
    time.sleep(0.3)
    a.send(wire.query("insert into scratch (who) values ('gone')"))
    time.sleep(0.1)
    a.reset()
    assert b.value("select count(*) from scratch") == "0"
    b.terminate()


def test_a_cancel_while_the_connection_is_checked(weir, line):
    proxy = weir()
    a, b = fill(proxy, 2)
    line.cut()
    time.sleep(0.3)
    a.send(wire.query("insert into scratch (who) values ('never')"))
    time.sleep(0.1)
    a.cancel(proxy.host, proxy.port)
    msgs = a.until()
    assert wire.error_code(msgs) == "57014" and a.status == "I"
    assert a.value("select count(*) from scratch") == "0"
    a.terminate(), b.terminate()


def test_stopped_backends_are_not_waited_for(start, pg):
    """A server that takes bytes and says nothing; with the usual settings but for the delay."""
    proxy = start(max_server_connections=4, server_check_delay="300ms")
    clients = fill(proxy, 2)
    wait_until(lambda: pg.count("usename = 'app'") == 2, 10, "what other tests left to end")
    pids = [int(a["pid"]) for a in pg.activity("usename = 'app'")]
    pg.signal_backends(signal.SIGSTOP, pids)
    try:
        time.sleep(0.4)
        for c in clients:
            assert c.value("select 3") == "3"
    finally:
        pg.signal_backends(signal.SIGCONT, pids)
    wait_until(lambda: pg.count("usename = 'app'") <= 2, 10, "the stopped ones' end")
    for c in clients:
        c.terminate()


def test_a_connection_the_server_closed_while_idle_is_never_lent(start, pg):
    """However soon after that the client comes."""
    proxy = start(max_server_connections=2)
    with proxy.client() as c, pg.superuser() as s:
        for i in range(100):
            assert c.value("select 1") == "1"
            s.rows("select pg_terminate_backend(pid, 10000) from pg_stat_activity where usename = 'app'")
            if i % 2:
                time.sleep(0.002 * (i % 5))
            assert c.value(f"select {i}") == str(i)


@pytest.mark.parametrize("how", ["SIGINT", "SIGQUIT"])
def test_a_server_that_starts_anew(start, own_pg, how):
    server = own_pg()
    proxy = start(server, max_server_connections=3)
    clients = fill(proxy, 3)
    server.restart(getattr(signal, how))
    for c in clients:
        assert c.value("select 2", timeout=30) == "2"
        c.terminate()


@pytest.mark.parametrize("settings,asked", [
    ({}, False),  # the usual delay isn't over
    ({"server_check_delay": 0}, True),
    ({"server_check_delay": 0, "server_check_query": ""}, False),
])
def test_when_a_check_is_made(start, own_pg, settings, asked):
    server = own_pg(log_statement="all")
    proxy = start(server, max_server_connections=1, **{"server_check_query": "select 'are you there'", **settings})
    with proxy.client() as c:
        for _ in range(3):
            c.value("select 1")
            time.sleep(0.05)
    assert ("are you there" in server.log()) == asked


def test_a_check_that_fails_closes_the_connection(start, pg):
    proxy = start(max_server_connections=1, server_check_delay=0, server_check_query="select 1/0")
    with proxy.client() as c:
        pids = {c.value("select pg_backend_pid()") for _ in range(3) if not time.sleep(0.01)}
        assert len(pids) == 3


def test_settings_and_statements_survive_a_check(start):
    proxy = start(max_server_connections=1, server_check_delay=0)
    with proxy.client() as c:
        c.simple("set search_path = pg_catalog")
        c.extended("select $1::int + 1", [1], name="s")
        time.sleep(0.02)
        assert wire.rows(c.ask(wire.bind("", "s", ["4"]), wire.execute(), wire.SYNC)) == [["5"]]
        assert c.value("show search_path") == "pg_catalog"


def test_a_paused_pool_goes_on_behind_a_line_that_was_cut(weir, line):
    proxy = weir()
    clients = fill(proxy, 2)
    proxy.admin("PAUSE")
    for c in clients:
        c.send(wire.query("select 4"))
    line.cut()
    time.sleep(0.3)
    proxy.admin("RESUME")
    for c in clients:
        assert wire.rows(c.until(timeout=20)) == [["4"]]
        c.terminate()
