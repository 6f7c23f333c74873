# SPDX-License-Identifier: ISC
"""Clients that go away in the middle of things. The server connection is kept and nobody sees a trace.

Each test kills a client at one moment and then looks with the next client, on the only server
connection there is: the same backend must serve it, and nothing of the dead one may be visible.
"""

import socket
import struct
import time

import pytest

from harness import wire
from harness.proxy import Sampler, crowd, wait_until
from harness.wire import PgError

pytestmark = pytest.mark.weir_only


@pytest.fixture
def one(start):
    return start(max_server_connections=1, query_wait_timeout=15)


@pytest.fixture(params=["fin", "reset"])
def leave(request):
    return wire.Conn.close if request.param == "fin" else wire.Conn.reset


def warm(proxy):
    """The pid of the only backend: the one opened to try the server may end with its first loan."""
    pids = [None]
    while len(pids) < 6 or len(set(pids[-5:])) > 1:
        assert len(pids) < 40, pids
        with proxy.client() as c:
            pids.append(c.backend_pid())
    return pids[-1]


def next_client_is_untouched(proxy, pid, within=15):
    begun = time.monotonic()
    with proxy.client() as c:
        msgs = c.simple("select pg_backend_pid(), count(*) from scratch")
        assert not wire.errors(msgs), wire.errors(msgs)
        got = wire.rows(msgs)[0]
        assert time.monotonic() - begun < within
        assert wire.kinds(msgs) == "TDCZ" and c.status == "I"
        assert got == [str(pid), "0"], f"backend {pid} expected, with no row left behind"
        msgs = c.simple("begin")
        assert wire.kinds(msgs) == "CZ", "no warning: there was no transaction open"
        c.simple("rollback")


def counts_are_exact(proxy, pg):
    def exact():
        row = proxy.pool()
        return [int(row[k]) for k in ("cl_active", "cl_waiting", "sv_active", "sv_idle", "sv_used", "sv_login")] == [
            0, 0, 0, 1, 0, 0] or row
    wait_until(lambda: exact() is True, 15, f"counts of a calm pool, last seen {exact()}")
    assert pg.count() == 1


def test_gone_while_idle(one, pg, leave):
    pid = warm(one)
    c = one.client()
    c.value("select 1")
    leave(c)
    next_client_is_untouched(one, pid)
    counts_are_exact(one, pg)


def test_gone_while_waiting(one, pg, leave):
    pid = warm(one)
    holder, waiter = one.clients(2)
    holder.simple("begin")
    waiter.send(wire.query("insert into scratch (who) values ('ghost')"))
    time.sleep(0.1)
    leave(waiter)
    time.sleep(0.1)
    holder.simple("commit")
    holder.terminate()
    next_client_is_untouched(one, pid)
    counts_are_exact(one, pg)


@pytest.mark.parametrize("script", [["begin"], ["begin", "insert into scratch (who) values ('ghost')"],
                                    ["begin", "select 1/0"], ["begin; savepoint a; insert into scratch default values"],
                                    ["begin", "declare c cursor for select * from items", "fetch 5 from c"]])
def test_gone_while_idle_in_a_transaction(one, pg, leave, script):
    pid = warm(one)
    c = one.client()
    for sql in script:
        c.simple(sql)
    leave(c)
    next_client_is_untouched(one, pid)
    counts_are_exact(one, pg)


def test_gone_with_terminate_in_a_transaction(one, pg):
    pid = warm(one)
    c = one.client()
    c.simple("begin")
    c.simple("insert into scratch (who) values ('ghost')")
    c.terminate()
    next_client_is_untouched(one, pid)
    counts_are_exact(one, pg)


@pytest.mark.parametrize("block", [False, True])
def test_gone_while_a_statement_runs(one, pg, leave, block):
    """The statement is cancelled at once, not left to run for nobody."""
    pid = warm(one)
    c = one.client()
    if block:
        c.simple("begin")
        c.simple("insert into scratch (who) values ('ghost')")
    c.send(wire.query("select pg_sleep(30)"))
    wait_until(lambda: pg.count("query like '%pg_sleep(30)%' and state = 'active'") == 1, 15, "the running statement")
    leave(c)
    begun = time.monotonic()
    wait_until(lambda: pg.count("query like '%pg_sleep(30)%' and state = 'active'") == 0, 15, "its cancellation")
    assert time.monotonic() - begun < 15
    next_client_is_untouched(one, pid)
    counts_are_exact(one, pg)


def test_gone_while_an_extended_statement_runs_without_sync(one, pg, leave):
    pid = warm(one)
    c = one.client()
    c.send(wire.parse("p", "select pg_sleep(30)"), wire.bind("", "p"), wire.execute(), wire.FLUSH)
    wait_until(lambda: pg.count("query like '%pg_sleep(30)%' and state = 'active'") == 1, 15, "the running statement")
    leave(c)
    next_client_is_untouched(one, pid)
    counts_are_exact(one, pg)


def test_gone_after_parse_without_sync(one, pg, leave):
    """The server waits for a Sync that will never come from the client."""
    pid = warm(one)
    c = one.client()
    c.send(wire.parse("", "insert into scratch (who) values ('ghost')"), wire.bind("", ""), wire.execute(), wire.FLUSH)
    c.quiet()
    leave(c)
    next_client_is_untouched(one, pid)
    counts_are_exact(one, pg)


def test_gone_in_a_failed_pipeline(one, pg, leave):
    pid = warm(one)
    c = one.client()
    c.send(wire.parse("", "select 1/0"), wire.bind("", ""), wire.execute(), wire.FLUSH)
    c.until("E")
    leave(c)
    next_client_is_untouched(one, pid)
    counts_are_exact(one, pg)


def test_gone_with_several_long_statements_sent(one, pg, leave):
    """Each of them is cancelled in its turn: the same connection serves the next client, and none beside it."""
    pid = warm(one)
    c = one.client()
    c.send(*[wire.query(f"select pg_sleep({20 + i})") for i in range(4)])
    wait_until(lambda: pg.count("wait_event = 'PgSleep'") == 1, 10, "the first statement")
    leave(c)
    next_client_is_untouched(one, pid)
    counts_are_exact(one, pg)


def test_gone_with_a_pipeline_behind_a_running_statement(one, pg, leave):
    """What had been sent after the running statement must not be carried out as if somebody wanted it."""
    pid = warm(one)
    c = one.client()
    c.send(wire.query("select pg_sleep(30)"), wire.query("begin"), wire.query("insert into scratch (who) values ('ghost')"))
    wait_until(lambda: pg.count("query like '%pg_sleep(30)%' and state = 'active'") == 1, 15, "the running statement")
    leave(c)
    next_client_is_untouched(one, pid)
    counts_are_exact(one, pg)


def test_gone_in_copy_in(one, pg, leave):
    pid = warm(one)
    c = one.client()
    c.send(wire.query("copy scratch (who, note) from stdin"))
    c.until("G")
    c.send(wire.copy_data(b"ghost\tx\n" * 100))
    time.sleep(0.05)
    leave(c)
    next_client_is_untouched(one, pid)
    counts_are_exact(one, pg)


def test_gone_in_copy_in_in_a_message(one, pg, leave):
    """CopyData of 1,000 bytes announced, 10 sent."""
    pid = warm(one)
    c = one.client()
    c.send(wire.query("copy scratch (who, note) from stdin"))
    c.until("G")
    c.send(wire.copy_data(b"ghost\tx\n"), wire.copy_data(b"x" * 1000)[:10])
    time.sleep(0.05)
    leave(c)
    begun = time.monotonic()
    with one.client() as d:
        # the half message can't be completed truthfully: only here may the backend be another
        assert d.value("select count(*) from scratch") == "0"
    assert time.monotonic() - begun < 20


def test_gone_in_copy_out(one, pg, leave):
    pid = warm(one)
    c = one.client()
    c.send(wire.query("copy (select repeat('x', 1000) from generate_series(1, 1000000)) to stdout"))
    c.until("d", 10)
    leave(c)
    next_client_is_untouched(one, pid)
    counts_are_exact(one, pg)


def test_gone_in_a_large_answer(one, pg, leave):
    pid = warm(one)
    c = one.client()
    c.send(wire.query("select repeat('x', 1000) from generate_series(1, 1000000)"))
    c.until("D", 10)
    leave(c)
    next_client_is_untouched(one, pid)
    counts_are_exact(one, pg)


def test_gone_without_reading_a_large_answer(one, pg, leave):
    pid = warm(one)
    c = one.client()
    c.send(wire.query("select repeat('x', 1000) from generate_series(1, 1000000)"))
    time.sleep(0.3)
    leave(c)
    next_client_is_untouched(one, pid)
    counts_are_exact(one, pg)


@pytest.mark.parametrize("cut", [1, 3, 5, 20])
def test_gone_in_the_middle_of_a_message_outside_a_transaction(one, pg, leave, cut):
    pid = warm(one)
    c = one.client()
    c.send(wire.query("insert into scratch (who) values ('ghost')")[:cut])
    time.sleep(0.05)
    leave(c)
    with one.client() as d:
        assert d.value("select count(*) from scratch") == "0"
    next_client_is_untouched(one, pid)


def test_gone_in_the_middle_of_a_large_message(one, pg, leave):
    warm(one)
    c = one.client()
    c.send(wire.query("select '" + "x" * 1_000_000 + "'")[:500_000])
    time.sleep(0.1)
    leave(c)
    with one.client() as d:
        assert d.value("select count(*) from scratch") == "0"
    with one.client() as d:
        assert d.value("select 1") == "1"
    assert pg.count() == 1


def test_gone_in_the_middle_of_a_message_in_a_transaction(one, pg, leave):
    pid = warm(one)
    c = one.client()
    c.simple("begin")
    c.simple("insert into scratch (who) values ('ghost')")
    c.send(wire.query("select 1")[:4])
    time.sleep(0.05)
    leave(c)
    next_client_is_untouched(one, pid)


@pytest.mark.parametrize("stage", ["nothing", "half startup", "startup", "sasl"])
def test_gone_in_the_middle_of_a_login(one, pg, leave, stage):
    pid = warm(one)
    for _ in range(20):
        c = one.open()
        packet = wire.startup_packet({"user": "app", "database": "shop"})
        if stage == "half startup":
            c.send(packet[:9])
        elif stage in ("startup", "sasl"):
            c.send(packet)
            c.recv()
            if stage == "sasl":
                first = wire.Scram("secret").first()
                c.send(wire.message("p", wire.cstr("SCRAM-SHA-256") + struct.pack("!I", len(first)) + first))
        leave(c)
    next_client_is_untouched(one, pid)
    counts_are_exact(one, pg)


def test_gone_while_pinned(one, pg, leave):
    """What pinned the connection is undone before the next one gets it."""
    warm(one)
    c = one.client()
    c.rows("create temp table ghost (i int)")
    c.rows("select pg_advisory_lock(77)")
    c.rows("listen ghost")
    c.rows("set work_mem = '77MB'")
    c.rows("prepare ghost as select 1")
    leave(c)
    with one.client() as d:
        assert d.value("select to_regclass('pg_temp.ghost') is null") == "t"
        assert d.value("select count(*) from pg_locks where locktype = 'advisory'") == "0"
        assert d.rows("select pg_listening_channels()") == []
        assert d.value("show work_mem") == "4MB"
        assert d.value("select count(*) from pg_prepared_statements where name = 'ghost'") == "0"
    counts_are_exact(one, pg)


def test_half_close_still_gets_its_answer(one):
    """A client that has said all it wants to say and shuts its sending side down may still read, or may
    be taken for gone; but the connection must come back either way."""
    pid = warm(one)
    c = one.client()
    c.send(wire.query("select 1"))
    c.sock.shutdown(socket.SHUT_WR)
    c.until_closed(5)
    next_client_is_untouched(one, pid)


def test_a_statement_that_ignores_cancel_closes_the_connection_after_a_limit(start, pg):
    """The limit is there so that the bound is not held by what can't be stopped."""
    proxy = start(max_server_connections=1, query_wait_timeout=30)
    c = proxy.client()
    c.simple("begin")
    c.send(wire.query("do $$ begin loop begin perform pg_sleep(0.5); exception when query_canceled then null; end; end loop; end $$"))
    time.sleep(0.3)
    c.reset()
    with proxy.client(timeout=30) as d:
        assert d.value("select count(*) from scratch") == "0"
        assert pg.count("usename = 'app'") >= 1
    with pg.superuser() as s:
        s.rows("select pg_terminate_backend(pid) from pg_stat_activity where query like 'do %loop%' and pid <> pg_backend_pid()")


def test_gone_while_a_base_backup_waits(start, pg):
    """For its checkpoint, which may take minutes: a walsender doesn't look whether its client is there meanwhile."""
    proxy = start(max_server_connections=1)
    waits = "wait_event in ('CheckpointStart', 'CheckpointDone')"
    with pg.superuser() as s:
        s.rows("create table dirty as select repeat('x', 500) from generate_series(1, 20000)")
        c = proxy.client("repl", "shop", replication="true")
        c.send(wire.query("BASE_BACKUP"))
        wait_until(lambda: pg.count(f"backend_type = 'walsender' and {waits}") == 1, 20, "the wait")
        with Sampler(pg) as seen:
            c.reset()
            with proxy.client(timeout=30) as d:
                assert d.value("select 1") == "1"
        assert seen.highest == 1
        s.rows("drop table dirty")
        s.rows("checkpoint")


def test_five_hundred_departures_in_a_row_cost_no_server_connection(start, pg):
    """A function fleet that is scaled down in mid-flight: the death spiral of other poolers."""
    proxy = start(max_server_connections=3)
    crowd(3, lambda i: proxy.client().value("select pg_sleep(0.1)"))

    def work(i):
        for n in range(25):
            c = proxy.client()
            c.send(wire.query(("select pg_sleep(0.3)", "begin; insert into scratch (who) values ('ghost')",
                               "copy scratch (who) from stdin", "select repeat('x', 1000) from generate_series(1, 50000)")[
                                   (i + n) % 4]))
            time.sleep(0.005)
            c.reset()
    with Sampler(pg) as seen:
        crowd(20, work)
    assert seen.highest <= 3
    wait_until(lambda: pg.count("state <> 'idle'") == 0, 10, "calm")
    with proxy.client() as c:
        assert c.value("select count(*) from scratch") == "0"
    # a cancel that finds no free slot has an idle connection closed for its own: fewer of the first
    # ones may be left, never more than the bound
    assert len(pg.activity()) <= 3
