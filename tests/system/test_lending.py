# SPDX-License-Identifier: ISC
"""Lending: where a loan begins and ends, who waits how long, and in which order."""

import threading
import time

import psycopg
import pytest

from harness import wire
from harness.proxy import crowd, wait_until

weir_only = pytest.mark.weir_only


@pytest.fixture
def one(start):
    """A weir with a single server connection: whoever has it, nobody else has."""
    proxy = start(max_server_connections=1, query_wait_timeout=10)
    with proxy.client() as c:
        c.value("select 1")  # from here on the server's parameters are known at login
    return proxy


def waits(conn, seconds=0.2):
    return not conn.readable(seconds)


# --- boundaries -------------------------------------------------------------------------------------

def test_a_single_statement_is_one_loan(one):
    a, b = one.client(), one.client()
    assert a.backend_pid() == b.backend_pid() == a.backend_pid()
    a.terminate(), b.terminate()


@pytest.mark.parametrize("end", ["commit", "rollback", "prepare transaction", "commit and chain"])
def test_a_loan_lasts_as_long_as_the_transaction(one, end):
    a, b = one.client(), one.client()
    a.simple("begin")
    a.simple("select 1")
    b.send(wire.query("select 2"))
    assert waits(b)
    if end == "prepare transaction":
        assert wire.error_code(a.simple("prepare transaction 'x'")) == "55000"  # rolled back: max_prepared_transactions=0
    elif end == "commit and chain":
        a.simple("commit and chain")
        assert a.status == "T" and waits(b)
        a.simple("commit")
    else:
        a.simple(end)
    assert wire.rows(b.until()) == [["2"]]
    a.terminate(), b.terminate()


def test_a_failed_transaction_keeps_the_loan_until_it_ends(one):
    a, b = one.client(), one.client()
    a.simple("begin")
    assert wire.error_code(a.simple("select 1/0")) == "22012"
    assert a.status == "E"
    b.send(wire.query("select 2"))
    assert waits(b)
    assert wire.error_code(a.simple("select 1")) == "25P02"
    assert wire.tags(a.simple("commit")) == ["ROLLBACK"]
    assert wire.rows(b.until()) == [["2"]]
    a.terminate(), b.terminate()


def test_several_statements_in_one_string_are_one_loan(one):
    a, b = one.client(), one.client()
    a.send(wire.query("select 1; select pg_sleep(0.3); select 3"))
    time.sleep(0.05)
    b.send(wire.query("select 4"))
    assert waits(b, 0.1)
    assert wire.rows(a.until()) == [["1"], [""], ["3"]]
    assert wire.rows(b.until()) == [["4"]]
    a.terminate(), b.terminate()


def test_extended_without_sync_keeps_the_loan(one):
    """Until Sync there is an implicit transaction."""
    a, b = one.client(), one.client()
    a.send(wire.parse("", "select 1"), wire.bind("", ""), wire.execute(), wire.FLUSH)
    assert "D" in wire.kinds(a.quiet())
    b.send(wire.query("select 2"))
    assert waits(b)
    a.ask(wire.SYNC)
    assert wire.rows(b.until()) == [["2"]]
    a.terminate(), b.terminate()


def test_sync_alone_is_answered(one):
    with one.client() as a:
        assert wire.kinds(a.ask(wire.SYNC)) == "Z"
        assert wire.kinds(a.ask(wire.SYNC, wire.SYNC, wire.SYNC, ready=3)) == "ZZZ"


def test_flush_alone_is_harmless(one):
    with one.client() as a:
        a.send(wire.FLUSH)
        assert a.value("select 1") == "1"


def test_empty_query(one):
    with one.client() as a:
        assert wire.kinds(a.simple("")) == "IZ"
        assert wire.kinds(a.simple("  -- nothing")) == "IZ"


def test_a_transaction_inside_one_string(one):
    with one.client() as a:
        assert wire.tags(a.simple("begin; select 1; commit; begin")) == ["BEGIN", "SELECT 1", "COMMIT", "BEGIN"]
        assert a.status == "T"
        a.simple("commit")


def test_function_call_message(one):
    """The old fast path, 'F': int4pl(2, 3)."""
    import struct
    with one.client() as a:
        oid = int(a.value("select 'int4pl'::regproc::oid"))
        body = struct.pack("!IHH", oid, 1, 0) + struct.pack("!H", 2)
        for arg in (b"2", b"3"):
            body += struct.pack("!I", len(arg)) + arg
        msgs = a.ask(wire.message("F", body + struct.pack("!H", 0)))
        assert wire.kinds(msgs) == "VZ"
        assert msgs[0].body[4:] == b"5"


def test_copy_in_both_directions(one):
    with one.client() as a:
        a.send(wire.query("copy (select generate_series(1, 3)) to stdout"))
        assert wire.kinds(a.until()) == "HdddcCZ"
        a.simple("begin")
        a.send(wire.query("copy scratch (who, note) from stdin"))
        assert a.recv().type == "G"
        a.send(wire.copy_data(b"a\tb\n"), wire.copy_data(b"c\td\n"), wire.COPY_DONE)
        assert wire.tags(a.until()) == ["COPY 2"]
        a.send(wire.query("copy scratch (who, note) from stdin"))
        a.recv()
        a.send(wire.copy_data(b"a\tb\n"), wire.copy_fail("no more"))
        assert wire.error_code(a.until()) == "57014"
        a.simple("rollback")
        assert a.value("select count(*) from scratch") == "0"


@weir_only
def test_copy_data_pipelined_with_the_statement_and_what_follows(one):
    """Everything in one write: COPY, its data, its end and the next query."""
    with one.client() as a:
        msgs = a.ask(wire.query("copy scratch (who, note) from stdin"), wire.copy_data(b"x\ty\n"), wire.COPY_DONE,
                     wire.query("delete from scratch"), ready=2)
        assert wire.tags(msgs) == ["COPY 1", "DELETE 1"]


def test_copy_in_extended_protocol(one):
    with one.client() as a:
        a.send(wire.parse("", "copy scratch (who, note) from stdin"), wire.bind("", ""), wire.execute(), wire.SYNC)
        assert "G" in wire.kinds(a.until("G"))
        a.send(wire.copy_data(b"x\ty\n"), wire.COPY_DONE, wire.SYNC)
        msgs = a.until()
        assert wire.tags(msgs) == ["COPY 1"] and a.status == "I"
        a.simple("delete from scratch")
    with one.client() as b:
        assert b.value("select 1") == "1"


@weir_only
def test_copy_fails_while_data_is_still_coming(one):
    """The server gives up on the second line; the rest of the data is for nobody, and nobody gets it."""
    with one.client() as a, one.client() as b:
        a.send(wire.query("copy items (id, name, n) from stdin"))
        a.recv()
        a.send(wire.copy_data(b"not a number\tx\t1\n"))
        for _ in range(50):
            a.send(wire.copy_data(b"5000\tx\t1\n" * 1000))
        a.send(wire.COPY_DONE)
        assert wire.error_code(a.until()) == "22P02"
        assert b.value("select 1") == "1"
        assert a.value("select 2") == "2"


@weir_only
def test_copy_that_fails_in_extended_protocol_and_what_is_pipelined_behind_it(one):
    """The Sync in front of the data is eaten where the COPY has read anything, and is answered where it hasn't."""
    begin = [wire.bind("", "cp"), wire.execute(), wire.SYNC]
    close = [wire.close_statement("k"), wire.SYNC]
    with one.client() as a:
        a.ask(wire.parse("cp", "copy items (id, name, n) from stdin"), wire.SYNC)
        for failing in ([wire.copy_fail("no more")], [wire.copy_data(b"bad\n"), wire.COPY_DONE]):
            a.ask(wire.parse("k", "select 1"), wire.SYNC)
            a.send(*begin)
            assert wire.kinds(a.until("G")) == "2G"
            a.send(*failing, wire.SYNC, *close, *begin, *failing, wire.close_statement("k"), wire.SYNC, *close)
            assert wire.kinds(a.until(count=4)) == "EZ3Z2GEZ3Z"
            assert a.value("select 1") == "1"
        a.simple("create temp table early (i int); create function pg_temp.no() returns trigger language plpgsql"
                 " as 'begin raise exception ''no''; end';"
                 "create trigger no before insert on early execute function pg_temp.no()")
        msgs = a.ask(wire.parse("", "copy early from stdin"), wire.bind("", ""), wire.execute(), wire.SYNC,
                     wire.copy_data(b"1\n"), wire.COPY_DONE, wire.SYNC, wire.query("select 2"), ready=3)
        assert wire.kinds(msgs) == "12GEZZTDCZ"
        a.simple("discard all")


@weir_only
def test_copy_data_of_no_copy_in_extended_protocol(one):
    """PostgreSQL drops it. Nothing is kept waiting by it, though answers come only with the Sync behind it."""
    stray = [wire.copy_data(b"1\n"), wire.COPY_DONE, wire.copy_fail("no")]
    with one.client() as a:
        for text, kinds in (("select 1", "12DCZ"), ("begin", "12CZ"), ("selekt", "EZ"), ("", "12IZ")):
            msgs = a.ask(wire.parse("", text), wire.bind("", ""), wire.execute(), *stray, wire.SYNC)
            assert wire.kinds(msgs) == kinds, text
            a.simple("rollback")
        # DISCARD ALL is bound, and the COPY executed
        msgs = a.ask(wire.parse("d", "discard all"), wire.bind("p", "d"), wire.parse("", "copy scratch (note) from stdin"),
                     wire.bind("", ""), wire.execute(), wire.copy_data(b"1\n"), wire.COPY_DONE, wire.SYNC)
        assert wire.kinds(msgs) == "1212GCZ"


@weir_only
def test_what_a_copy_cannot_take_ends_the_connection(one):
    """PostgreSQL, which loses its place, ends it."""
    with one.client() as b:
        for begin in ([wire.parse("", "copy scratch (note) from stdin"), wire.bind("", ""), wire.execute()],
                      [wire.query("copy scratch (note) from stdin")]):
            with one.client() as a:
                a.send(*begin, wire.query("select 1"), wire.SYNC)
                msgs = a.until_closed()
                assert [m.fields["S"] for m in msgs if m.type == "E"] == ["ERROR", "FATAL"]
            assert b.value("select 2") == "2"


# --- pipelines ----------------------------------------------------------------------------------------

def test_pipelined_simple_queries(one):
    with one.client() as a:
        msgs = a.ask(*[wire.query(f"select {i}") for i in range(50)], ready=50)
        assert wire.rows(msgs) == [[str(i)] for i in range(50)]


def test_pipelined_extended_queries_with_an_error_in_the_middle(one):
    with one.client() as a:
        parts = []
        for i in range(9):
            parts += [wire.parse("", f"select 10/{i - 4}"), wire.bind("", ""), wire.execute(), wire.SYNC]
        msgs = a.ask(*parts, ready=9)
        assert len(wire.rows(msgs)) == 8
        assert wire.error_code(msgs) == "22012"
        assert wire.kinds(msgs).count("Z") == 9


def test_pipeline_with_transaction_statements_inside(one):
    with one.client() as a, one.client() as b:
        sqls = ["begin", "insert into scratch (who) values ('p')", "commit", "select 1", "begin", "select 2"]
        parts = []
        for sql in sqls:
            parts += [wire.parse("", sql), wire.bind("", ""), wire.execute(), wire.SYNC]
        msgs = a.ask(*parts, ready=6)
        assert [m.body.decode() for m in msgs if m.type == "Z"] == ["T", "T", "I", "I", "T", "T"]
        b.send(wire.query("select 3"))
        assert waits(b)
        a.simple("rollback")
        assert wire.rows(b.until()) == [["3"]]
        a.simple("delete from scratch")


def test_long_pipeline_whose_answers_are_read_late(one):
    """More than any buffer holds in both directions: nothing may be lost, nobody may lock up."""
    with one.client(timeout=20) as a:
        big = "x" * 2000
        count = 3000

        def feed():
            for i in range(count):
                a.send(wire.parse("", "select $1::text"), wire.bind("", "", [f"{i} {big}"]), wire.execute(), wire.SYNC)
        feeder = threading.Thread(target=feed, daemon=True)
        feeder.start()
        time.sleep(0.3)
        msgs = a.until("Z", count, 20)
        feeder.join(5)
        got = wire.rows(msgs)
        assert len(got) == count and [r[0].split(" ")[0] for r in got] == [str(i) for i in range(count)]


@weir_only
def test_psycopg_pipeline_mode(shared):
    with psycopg.connect(shared.dsn(), autocommit=True) as conn:
        with conn.pipeline():
            curs = [conn.execute("select %s::int * 2", (i,)) for i in range(200)]
        assert [c.fetchone()[0] for c in curs] == [2 * i for i in range(200)]
    with psycopg.connect(shared.dsn()) as conn:
        with conn.pipeline():
            with conn.transaction():
                for i in range(20):
                    conn.execute("insert into scratch (who, note) values ('pipe', %s)", (str(i),))
            with pytest.raises(psycopg.errors.DivisionByZero):
                conn.execute("select 1/0").fetchone()
        conn.rollback()
        with conn.transaction():
            assert conn.execute("delete from scratch where who = 'pipe'").rowcount == 20


def test_eighty_clients_each_with_its_own_answers(shared):
    """A mix-up of answers would show at once: everyone asks for its own number."""
    def work(i):
        with shared.client() as c:
            for n in range(40):
                if n % 3 == 0:
                    assert c.value(f"select {i * 1000 + n}") == str(i * 1000 + n)
                elif n % 3 == 1:
                    assert wire.rows(c.extended("select $1::int", [i * 1000 + n])) == [[str(i * 1000 + n)]]
                else:
                    msgs = c.ask(wire.query("begin"), wire.query(f"select {i}"), wire.query("commit"), ready=3)
                    assert wire.rows(msgs) == [[str(i)]]
        return True
    assert all(crowd(80, work))


# --- pool modes -----------------------------------------------------------------------------------------

def test_session_mode_lends_for_the_whole_session(start):
    proxy = start(max_server_connections=1, pool_mode="session")
    a = proxy.client()
    a.rows("select 1")
    b = proxy.client()
    b.send(wire.query("select 2"))
    assert waits(b)
    a.terminate()
    assert wire.rows(b.until()) == [["2"]]
    b.terminate()


def test_session_mode_resets_between_clients(start):
    proxy = start(max_server_connections=1, pool_mode="session")
    with proxy.client() as a:
        a.rows("set work_mem = '11MB'")
        a.rows("create temp table t (i int)")
        a.rows("select pg_advisory_lock(5)")
        pid = a.backend_pid()
    with proxy.client() as b:
        assert b.backend_pid() == pid
        assert b.value("show work_mem") != "11MB"
        assert b.value("select to_regclass('pg_temp.t') is null") == "t"
        assert b.value("select count(*) from pg_locks where locktype = 'advisory'") == "0"


def test_session_mode_per_database_and_user(start, pg):
    proxy = start(max_server_connections=10, default_pool_size=1, databases={
        "shop": {"host": pg.host, "port": pg.port, "pool_mode": "session"}, "other": {"host": pg.host, "port": pg.port}},
        users={"app2": "pool_mode=session"})
    for user, database, shared in (("app", "shop", False), ("app", "other", True), ("app2", "other", False)):
        a, b = proxy.client(user, database), proxy.client(user, database)
        a.rows("select 1")
        b.send(wire.query("select 2"))
        assert waits(b, 0.15) != shared, (user, database)
        a.terminate()
        b.until()
        b.terminate()


def test_statement_mode_refuses_transaction_blocks(start):
    proxy = start(max_server_connections=1, pool_mode="statement")
    with proxy.client() as a:
        assert a.value("select 1") == "1"
        # PgBouncer ends the session here; keeping it is as good
        a.send(wire.query("begin"))
        assert "E" in wire.kinds(a.until("ZE"))
    with proxy.client() as b:
        assert b.value("select 1") == "1"


@weir_only
def test_statement_mode_refuses_transaction_blocks_in_extended_protocol(start):
    proxy = start(max_server_connections=1, pool_mode="statement")
    insert = [wire.parse("", "insert into scratch (note) values ('statement')"), wire.bind("", ""), wire.execute()]
    for name in ("", "b"):
        with proxy.client() as a:
            assert wire.error_code(a.ask(wire.parse(name, "start transaction"), wire.SYNC)) is None
            a.send(*insert, wire.parse(name + "2", "begin"), wire.bind("", name + "2"), wire.execute(), wire.SYNC)
            assert [(e["S"], e["C"]) for e in wire.errors(a.until_closed())] == [("FATAL", "08P01")]
        with proxy.client() as a:
            a.send(wire.parse(name, "begin"), wire.bind("", name), wire.execute(), wire.SYNC)
            assert [(e["S"], e["C"]) for e in wire.errors(a.until_closed())] == [("FATAL", "08P01")]
    with proxy.client() as b:
        assert b.value("select count(*) from scratch") == "0"


# --- the queue ---------------------------------------------------------------------------------------------

@weir_only
def test_wait_that_runs_out_is_53300_and_the_session_is_kept(start):
    proxy = start(max_server_connections=1, query_wait_timeout="500ms")
    a, b = proxy.client(), proxy.client()
    a.simple("begin")
    begun = time.monotonic()
    msgs = b.simple("select 2")
    took = time.monotonic() - begun
    assert 0.4 < took < 1.5
    error = wire.errors(msgs)[0]
    assert error["C"] == "53300" and error["S"] == "ERROR"
    assert "1/1" in error["M"] and "500" in error["M"], error["M"]
    assert b.status == "I"
    a.simple("commit")
    assert b.value("select 3") == "3"
    a.terminate(), b.terminate()


@weir_only
def test_wait_that_runs_out_in_extended_protocol_skips_to_sync(start):
    proxy = start(max_server_connections=1, query_wait_timeout="300ms")
    a, b = proxy.client(), proxy.client()
    a.simple("begin")
    msgs = b.extended("select $1::int", [1])
    assert wire.kinds(msgs) == "EZ" and wire.error_code(msgs) == "53300"
    # two pipelined units: each is answered
    parts = [wire.parse("", "select 1"), wire.bind("", ""), wire.execute(), wire.SYNC]
    msgs = b.ask(*parts, *parts, ready=2, timeout=5)
    assert wire.kinds(msgs) == "EZEZ", wire.kinds(msgs)
    a.simple("commit")
    assert wire.rows(b.extended("select $1::int", [7])) == [["7"]]
    a.terminate(), b.terminate()


@weir_only
def test_full_queue_is_53300_at_once(start):
    proxy = start(max_server_connections=1, max_waiting_clients=2)
    clients = proxy.clients(4)
    clients[0].simple("begin")
    for c in clients[1:3]:
        c.send(wire.query("select 1"))
        time.sleep(0.05)
    begun = time.monotonic()
    msgs = clients[3].simple("select 2")
    assert time.monotonic() - begun < 15
    assert wire.error_code(msgs) == "53300" and clients[3].status == "I"
    clients[0].simple("commit")
    for c in clients[1:3]:
        assert wire.rows(c.until()) == [["1"]]
    assert clients[3].value("select 3") == "3"
    for c in clients:
        c.terminate()


@weir_only
def test_first_come_first_served(one):
    holder = one.client()
    holder.simple("begin")
    queue = one.clients(12)
    order, lock = [], threading.Lock()
    for i, c in enumerate(queue):
        c.send(wire.query("select clock_timestamp()"))
        time.sleep(0.03)
    holder.simple("commit")
    stamps = [wire.rows(c.until())[0][0] for c in queue]
    assert stamps == sorted(stamps), stamps
    for c in queue + [holder]:
        c.terminate()


@weir_only
def test_a_waiter_that_leaves_is_forgotten_at_once(one):
    holder, leaver, stayer = one.clients(3)
    holder.simple("begin")
    leaver.send(wire.query("insert into scratch (who) values ('ghost')"))
    time.sleep(0.1)
    stayer.send(wire.query("select 1"))
    wait_until(lambda: int(one.pool()["cl_waiting"]) == 2, 15, "two waiters")
    leaver.close()
    wait_until(lambda: int(one.pool()["cl_waiting"]) == 1, 15, "one waiter less")
    holder.simple("commit")
    assert wire.rows(stayer.until()) == [["1"]]
    assert stayer.value("select count(*) from scratch") == "0"
    holder.terminate(), stayer.terminate()


@weir_only
def test_a_waiter_that_has_sent_much_costs_no_one_else(one):
    """A waiting client's bulk stays in its socket: bounded memory, not a buffer that grows."""
    holder, big = one.clients(2)
    holder.simple("begin")
    before = one.status("VmRSS")
    chunk = b"1\tx\t1\n" * 10000
    big.sock.settimeout(0.5)
    sent = 0
    try:
        big.send(wire.query("copy scratch (id, who, note) from stdin"))
        for _ in range(400):
            big.send(wire.copy_data(chunk))
            sent += len(chunk)
    except (TimeoutError, OSError):
        pass
    assert one.status("VmRSS") - before < 16384, "kB grown"
    big.close()
    holder.simple("commit")
    assert holder.value("select 1") == "1"
    holder.terminate()


@weir_only
def test_last_returned_is_lent_first(start):
    proxy = start(max_server_connections=3, workers=1)
    clients = proxy.clients(3)
    pids = []
    for c in clients:
        c.simple("begin")
        pids.append(c.backend_pid())
    for c in clients:
        c.simple("commit")
    assert len(set(pids)) == 3
    assert [clients[0].backend_pid() for _ in range(3)] == [pids[2]] * 3
    for c in clients:
        c.terminate()


# --- spool and back-pressure ----------------------------------------------------------------------------------

@weir_only
def test_an_answer_that_fits_the_spool_ends_the_loan_whatever_the_client_does(one):
    """b gets the only connection although a has not read a byte of its 40 kB."""
    a, b = one.clients(2)
    a.send(wire.query("select repeat('x', 40000)"))
    time.sleep(0.1)
    assert b.value("select 1") == "1"
    assert wire.rows(a.until())[0][0] == "x" * 40000
    a.terminate(), b.terminate()


@weir_only
def test_a_slow_reader_of_a_large_answer_costs_bounded_memory(start, pg):
    proxy = start(max_server_connections=2)
    a = proxy.client(timeout=20)
    before = proxy.status("VmRSS")
    a.send(wire.query("select repeat('x', 1000) from generate_series(1, 100000)"))
    time.sleep(1)
    assert proxy.status("VmRSS") - before < 8192, "kB grown for an answer of 100 MB"
    with proxy.client() as b:
        assert b.value("select 1") == "1"
    msgs = a.until("Z", 1, 20)
    assert sum(m.type == "D" for m in msgs) == 100000
    a.terminate()


@weir_only
def test_a_client_that_sends_faster_than_the_server_reads(start):
    proxy = start(max_server_connections=1)
    a = proxy.client(timeout=20)
    before = proxy.status("VmRSS")
    a.simple("begin")
    a.send(wire.query("create temp table slow on commit drop as select ''::text as t"))
    a.until()
    a.send(wire.query("copy slow from stdin"))
    a.recv()
    line = b"y" * 999 + b"\n"
    for _ in range(30):
        a.send(wire.copy_data(line * 1000))
    assert proxy.status("VmRSS") - before < 8192
    a.send(wire.COPY_DONE)
    assert wire.tags(a.until(timeout=20)) == ["COPY 30000"]
    a.simple("commit")
    a.terminate()


@weir_only
def test_a_100_mb_parameter_and_row(start):
    proxy = start(max_server_connections=1)
    with proxy.client(timeout=30) as a:
        text = b"z" * 100_000_000
        a.send(wire.parse("", "select length($1::text), $1::text"), wire.bind("", "", [text]), wire.execute(), wire.SYNC)
        msgs = a.until(timeout=30)
        row = next(m for m in msgs if m.type == "D")
        assert len(row.body) > 100_000_000
        assert proxy.status("VmHWM") < 200_000


@weir_only
def test_parts_of_a_message_at_every_pace(one):
    """Each byte of a small pipeline in a write of its own."""
    with one.client() as a:
        stream = wire.parse("s", "select $1::int") + wire.bind("", "s", [5]) + wire.execute() + wire.SYNC + wire.query("select 6")
        for i in range(len(stream)):
            a.send(stream[i:i + 1])
        msgs = a.until("Z", 2)
        assert wire.rows(msgs) == [["5"], ["6"]]
