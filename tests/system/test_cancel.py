# SPDX-License-Identifier: ISC
"""CancelRequest: it reaches what the client is doing now, and never anybody else."""

import re
import signal
import struct
import threading
import time

import psycopg2
import pytest

from harness import wire
from harness.proxy import Crowd, Sampler, crowd, wait_until

weir_only = pytest.mark.weir_only


def asleep(pg):
    """A cancel that overtakes its statement is ignored by PostgreSQL."""
    wait_until(lambda: pg.count("wait_event = 'PgSleep'") > 0, 20, "the statement")


def test_cancel_of_a_running_statement(shared, pg):
    with shared.client() as c:
        c.send(wire.query("select pg_sleep(20)"))
        asleep(pg)
        begun = time.monotonic()
        c.cancel(shared.host, shared.port)
        assert wire.error_code(c.until()) == "57014"
        assert time.monotonic() - begun < 15
        assert c.value("select 1") == "1"


def test_cancel_in_a_transaction_fails_it(shared, pg):
    with shared.client() as c:
        c.simple("begin")
        c.send(wire.query("select pg_sleep(20)"))
        asleep(pg)
        c.cancel(shared.host, shared.port)
        assert wire.error_code(c.until()) == "57014"
        assert c.status == "E"
        c.simple("rollback")


def test_cancel_through_libpq(shared, pg):
    conn = psycopg2.connect(shared.dsn())
    threading.Thread(target=lambda: (asleep(pg), conn.cancel())).start()
    with pytest.raises(psycopg2.errors.QueryCanceled):
        conn.cursor().execute("select pg_sleep(20)")
    conn.rollback()
    conn.close()


def test_cancel_when_idle_does_nothing(shared):
    with shared.client() as c:
        c.value("select 1")
        c.cancel(shared.host, shared.port)
        time.sleep(0.05)
        assert c.value("select 2") == "2"


def test_cancel_when_idle_in_a_transaction_does_nothing(shared):
    with shared.client() as c:
        c.simple("begin")
        c.cancel(shared.host, shared.port)
        time.sleep(0.1)
        assert c.value("select 2") == "2"
        c.simple("commit")


@pytest.mark.parametrize("spoil", ["key", "pid", "short", "long"])
def test_cancel_with_a_wrong_key_does_nothing(shared, spoil):
    with shared.client() as c:
        c.send(wire.query("select pg_sleep(0.5)"))
        time.sleep(0.1)
        pid, key = c.pid, c.key
        if spoil == "key":
            key = bytes([key[0] ^ 1]) + key[1:]
        elif spoil == "pid":
            pid ^= 1
        elif spoil == "short":
            key = key[:2]
        else:
            key = key + b"\0" * 300
        other = shared.open()
        other.send(wire.cancel_packet(pid, key))
        assert [m for m in other.until_closed(5) if m.type != "E"] == []
        assert wire.error_code(c.until()) is None


@weir_only
def test_cancel_of_a_waiting_client(start):
    proxy = start(max_server_connections=1)
    holder, waiter, behind = proxy.clients(3)
    holder.simple("begin")
    waiter.send(wire.query("insert into scratch (who) values ('never')"))
    behind.send(wire.query("select 5"))
    wait_until(lambda: proxy.pool()["cl_waiting"] == "2", 20, "the wait")
    waiter.cancel(proxy.host, proxy.port)
    msgs = waiter.until()
    assert wire.kinds(msgs) == "EZ" and wire.error_code(msgs) == "57014" and waiter.status == "I"
    holder.simple("commit")
    assert wire.rows(behind.until()) == [["5"]]
    assert waiter.value("select count(*) from scratch") == "0"
    for c in (holder, waiter, behind):
        c.terminate()


@weir_only
def test_cancel_of_a_waiting_extended_statement(start):
    proxy = start(max_server_connections=1)
    holder, waiter = proxy.clients(2)
    holder.simple("begin")
    waiter.send(wire.parse("", "select 1"), wire.bind("", ""), wire.execute(), wire.SYNC)
    wait_until(lambda: proxy.pool()["cl_waiting"] == "1", 20, "the wait")
    waiter.cancel(proxy.host, proxy.port)
    msgs = waiter.until()
    assert wire.kinds(msgs) == "EZ" and wire.error_code(msgs) == "57014"
    holder.simple("commit")
    assert waiter.value("select 1") == "1"
    holder.terminate(), waiter.terminate()


@weir_only
def test_cancel_works_while_every_connection_is_lent(start, pg):
    """A cancel needs a connection of its own, inside the bound: it must not wait for the ones it would free."""
    proxy = start(max_server_connections=2)
    a, b = proxy.clients(2, user="app2")
    others = proxy.clients(10, user="app2")
    with Sampler(pg, "usename = 'app2'") as seen:
        for c in (a, b):
            c.send(wire.query("select pg_sleep(20)"))
        for c in others:
            c.send(wire.query("select pg_sleep(0.05)"))
        time.sleep(0.2)
        begun = time.monotonic()
        a.cancel(proxy.host, proxy.port)
        b.cancel(proxy.host, proxy.port)
        for c in (a, b):
            assert wire.error_code(c.until()) == "57014"
        assert time.monotonic() - begun < 15
        for c in others:
            assert wire.error_code(c.until()) is None
    assert seen.highest <= 2
    for c in [a, b] + others:
        c.terminate()


def sockets_to(port):
    """Connections to this port of the loopback, requests to cancel included."""
    with open("/proc/net/tcp") as f:
        rows = [line.split() for line in f][1:]
    return sum(row[2].endswith(f":{port:04X}") and row[3] == "01" for row in rows)


@weir_only
def test_a_cancel_stays_inside_the_bound_while_connections_come_back(start, own_pg):
    """Not even its socket is beyond: the first connection that comes back gives up its slot. (Not each time: a
    machine may stand still for longer than a cancel waits.)"""
    pg = own_pg()  # nobody else's sockets are counted
    proxy = start(pg, max_server_connections=3)
    done, peak, peaks = [], [0], []

    def look():
        while not done:
            peak[0] = max(peak[0], sockets_to(pg.port))
            time.sleep(0.001)

    def work(_):
        with proxy.client() as c:
            while not done:
                assert wire.error_code(c.simple("select pg_sleep(0.002)")) is None
    hogs = Crowd(6, work).start()
    eye = threading.Thread(target=look)
    eye.start()
    try:
        with proxy.client("app2") as a:
            for _ in range(10):
                a.send(wire.query("select pg_sleep(60)"))
                wait_until(lambda: pg.count("usename = 'app2' and query like '%60%' and state = 'active'") == 1, 20)
                peak[0] = 0
                a.cancel(proxy.host, proxy.port)
                assert wire.error_code(a.until(timeout=20)) == "57014"
                peaks.append(peak[0])
    finally:
        done.append(True)
        hogs.join(30)
        eye.join(30)
    assert min(peaks) <= 3, peaks


@weir_only
def test_cancel_with_a_bound_of_one(start, pg):
    proxy = start(max_server_connections=1)
    with proxy.client("app2") as a, Sampler(pg, "usename = 'app2'") as seen:
        a.send(wire.query("select pg_sleep(20)"))
        asleep(pg)
        a.cancel(proxy.host, proxy.port)
        assert wire.error_code(a.until()) == "57014"
    assert seen.highest <= 1


@weir_only
def test_a_cancel_waits_for_weirs_own_settings(start, pg):
    """They stand in front of the statement in the same write: it is the statement that is to be hit."""
    proxy = start(max_server_connections=1)
    a, b = proxy.clients(2, user="app2")
    a.simple("set work_mem = '17MB'")
    assert b.value("show work_mem") == "4MB"
    wait_until(lambda: pg.count("usename = 'app2'") == 1, 10, "what other tests left to end")
    pids = [int(row["pid"]) for row in pg.activity("usename = 'app2'")]
    pg.signal_backends(signal.SIGSTOP, pids)
    try:
        a.send(wire.query("select pg_sleep(60)"))
        time.sleep(0.2)
        a.cancel(proxy.host, proxy.port)
        time.sleep(0.3)
    finally:
        pg.signal_backends(signal.SIGCONT, pids)
    assert wire.error_code(a.until(timeout=20)) == "57014"
    assert a.value("show work_mem") == "17MB"
    a.terminate(), b.terminate()


@weir_only
def test_cancels_at_any_moment_leave_the_session_as_it_is(start):
    proxy = start(max_server_connections=1)
    a, b = proxy.clients(2, user="app2")
    a.simple("set search_path = pg_catalog, public")
    for i in range(150):
        assert b.value("show search_path") == '"$user", public'
        a.send(wire.query(f"select {i}"))
        a.cancel(proxy.host, proxy.port)
        assert wire.error_code(a.until()) in (None, "57014")
        assert a.value("show search_path") == "pg_catalog, public"
    a.terminate(), b.terminate()


@pytest.mark.parametrize("seconds", [3])
def test_a_late_cancel_never_hits_the_next_borrower(start, seconds):
    """Cancellers fire at statements that are about to end; bystanders on the same connections, who never
    asked to be cancelled, must never see 57014."""
    proxy = start(max_server_connections=2)
    end = time.monotonic() + seconds

    def work(i):
        n = 0
        with proxy.client() as c:
            while time.monotonic() < end:
                if i % 2:
                    c.send(wire.query("select pg_sleep(0.002)"))
                    time.sleep(0.0005 * (n % 8))
                    c.cancel(proxy.host, proxy.port)
                    assert wire.error_code(c.until()) in (None, "57014")
                else:
                    code = wire.error_code(c.simple("select pg_sleep(0.003)"))
                    assert code is None, f"a bystander was hit: {code}"
                n += 1
        return n
    done = crowd(12, work)
    assert min(done) > 3


@weir_only
def test_cancel_of_one_statement_does_not_hit_the_clients_next(start):
    """Cancel and the next statement race; the cancel was for what ran when it was sent. PostgreSQL itself
    can't promise that, but a connection that is given back in between must not carry it to others."""
    proxy = start(max_server_connections=1)
    with proxy.client() as a, proxy.client() as b:
        for _ in range(100):
            a.send(wire.query("select 1"))
            other = proxy.open()
            other.send(wire.cancel_packet(a.pid, a.key))
            a.until()
            assert wire.error_code(b.simple("select 2")) is None
            other.close()


@weir_only
def test_cancel_of_a_session_in_session_mode(start, pg):
    proxy = start(max_server_connections=1, pool_mode="session")
    with proxy.client() as a:
        a.send(wire.query("select pg_sleep(20)"))
        asleep(pg)
        a.cancel(proxy.host, proxy.port)
        assert wire.error_code(a.until()) == "57014"


@weir_only
def test_cancel_over_the_unix_socket_and_tls(start, pg):
    from test_login import tls_settings
    proxy = start(**tls_settings(pg))
    with proxy.client() as a:
        for how in ("unix", "tls"):
            a.send(wire.query("select pg_sleep(20)"))
            asleep(pg)
            other = wire.Conn(proxy.dir, proxy.port) if how == "unix" else proxy.open().start_tls()
            other.send(wire.cancel_packet(a.pid, a.key))
            assert wire.error_code(a.until()) == "57014"
            other.close()


@weir_only
def test_cancel_storm(start, pg):
    """Fifty clients cancel at once, again and again; the bound holds and everybody works on."""
    proxy = start(max_server_connections=3, query_wait_timeout=30)

    def work(i):
        with proxy.client("app2", timeout=40) as c:
            for _ in range(4):
                c.send(wire.query("select pg_sleep(10)"))
                time.sleep(0.05)
                for _ in range(5):  # one that overtakes its statement is ignored by PostgreSQL
                    c.cancel(proxy.host, proxy.port)
                    if c.readable(0.5):
                        break
                assert wire.error_code(c.until()) == "57014"
            assert c.value("select 1") == "1"
        return True
    with Sampler(pg, "usename = 'app2'") as seen:
        assert all(crowd(50, work))
    assert seen.highest <= 3


# --- pg_cancel_backend() of the process id that a client has from its login -----------------------

def calls(what, pid):
    """As drivers send it: a text, node-postgres, the JDBC driver, one with binary values."""
    literal, bound = f"select pg_{what}_backend({pid})", f"SELECT pg_catalog.pg_{what}_backend( $1::int4 );"

    def batch(text, values=(), formats=(), more=wire.describe_portal()):
        return wire.parse("", text) + wire.bind("", "", values, formats, formats) + more + wire.execute() + wire.message("S")
    return [wire.query(literal), batch(bound, [pid]), batch(literal), batch(bound, [pid], more=b""),
            batch(bound, [struct.pack("!i", pid)], (1,))]


def said(conn, messages):
    conn.send(messages)
    return [(m.type, re.sub(rb"\d{3,}", b"#", m.body)) for m in conn.until()]


@pytest.mark.parametrize("workers", [1, 2])
def test_cancel_by_the_process_id(start, pg, workers):
    """Also when its statement has the only connection; the answer is PostgreSQL's."""
    proxy = start(max_server_connections=1, workers=workers)
    with proxy.client() as c, proxy.client() as other, pg.direct() as direct, pg.direct() as idle:
        for call, likewise in zip(calls("cancel", c.pid), calls("cancel", idle.pid)):
            c.send(wire.query("select pg_sleep(20)"))
            asleep(pg)
            assert said(other, call) == said(direct, likewise)
            assert wire.error_code(c.until()) == "57014"
            assert c.value("select 1") == "1"
        for call, likewise in zip(calls("cancel", other.pid), calls("cancel", direct.pid)):
            found, expected = said(other, call), said(direct, likewise)
            assert [kind for kind, _ in found] == [kind for kind, _ in expected] and found[-2][0] == "E"
            assert other.value("select 2") == "2"


@pytest.mark.parametrize("more", [wire.describe_portal(), b""])
def test_cancel_by_a_statement_prepared_before(start, pg, more):
    """As most drivers have it; also when every connection is lent by then."""
    proxy = start(max_server_connections=1)
    prepare = wire.parse("q", "select pg_cancel_backend($1)") + wire.describe_statement("q") + wire.message("S")
    with proxy.client() as c, proxy.client() as other, pg.direct() as direct, pg.direct() as idle:
        assert said(other, prepare) == said(direct, prepare)

        def execute(pid, formats=()):
            value = struct.pack("!i", pid) if formats else pid
            return wire.bind("", "q", [value], formats, formats) + more + wire.execute() + wire.message("S")
        for formats in ((), (1,)):
            c.send(wire.query("select pg_sleep(20)"))
            asleep(pg)
            assert said(other, execute(c.pid, formats)) == said(direct, execute(idle.pid, formats))
            assert wire.error_code(c.until()) == "57014"
        nobody = 2**31 - 2
        assert said(other, execute(nobody)) == said(direct, execute(nobody))
        close = wire.message("C", b"Sq\0") + wire.message("S")
        assert said(other, close) == said(direct, close)
        other.send(execute(c.pid))
        assert wire.error_code(other.until()) == "26000"


def test_terminate_by_the_process_id(start, pg):
    proxy = start(max_server_connections=2)
    with proxy.client() as other, pg.direct() as direct:
        for n, text in enumerate(("", "select pg_sleep(20)", "begin")):
            with proxy.client() as c, pg.direct() as idle:
                if text != "":
                    c.send(wire.query(text))
                if "sleep" in text:
                    asleep(pg)
                elif text != "":
                    c.until()
                assert said(other, calls("terminate", c.pid)[n]) == said(direct, calls("terminate", idle.pid)[n])
                assert wire.error_code(c.until_closed()) == "57P01"
        with proxy.client() as c:
            c.send(calls("terminate", c.pid)[0])
            assert wire.error_code(c.until_closed()) == "57P01"
        assert other.value("select 3") == "3"
        wait_until(lambda: pg.count("state <> 'idle' and usename = 'app'") == 0, 10, "the end of what they did")


def test_a_process_id_that_is_nobodys_is_for_the_server(start, pg):
    """So is one of the server's own, one of another user's client, and a call in a transaction."""
    proxy = start(max_server_connections=4)
    with proxy.client() as c, proxy.client(user="app2") as stranger, proxy.client() as idle, pg.direct() as direct:
        nobody = 2**31 - 2
        c.value("select 1")
        for call in calls("cancel", nobody):
            answers = said(c, call)
            assert answers == said(direct, call) and "N" in [kind for kind, _ in answers]
        stranger.send(wire.query("select pg_sleep(1), 'done'"))
        asleep(pg)
        assert c.value(f"select pg_cancel_backend({stranger.pid})") == "f"
        assert wire.rows(stranger.until())[0][1] == "done"
        c.simple("begin")
        assert c.value(f"select pg_cancel_backend({idle.pid})") == "f"
        c.simple("commit")
        c.send(wire.query("select pg_sleep(20)"))
        asleep(pg)
        with pg.superuser() as s:
            pid = s.value("select pid from pg_stat_activity where wait_event = 'PgSleep'")
        assert idle.value(f"select pg_cancel_backend({pid})") == "t"
        assert wire.error_code(c.until()) == "57014"
