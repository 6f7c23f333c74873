# SPDX-License-Identifier: ISC
"""SQL's PREPARE, EXECUTE and DEALLOCATE over changing server connections, and how texts are read.

That a session can't tell is shown by the scripts (test_session.py); here is what takes several
sessions, large texts, drivers, or bytes that are not UTF-8.
"""

import asyncio
import struct

import asyncpg
import psycopg
import psycopg2
import pytest

from harness import wire
from harness.transcript import B, CS, DS, E, P, S

pytestmark = pytest.mark.weir_only


def raw(data):
    """A simple query of these bytes."""
    return b"Q" + struct.pack("!I", len(data) + 5) + data + b"\0"


def spread(proxy, conns):
    """The next connection that is lent is another one than before: one is held meanwhile."""
    conns[0].simple("begin")
    conns[0].value("select 1")
    return lambda: conns[0].simple("commit")


def test_names_of_two_sessions_on_changing_connections(start):
    proxy = start(max_server_connections=2)
    a, b, other = proxy.clients(3)
    for n, c in enumerate((a, b)):
        c.rows(f"prepare same (int) as select $1 + {n}00")
        c.rows("prepare shared (text) as select upper($1)")
    for n in range(12):
        let_go = spread(proxy, [other]) if n % 2 else None
        assert a.value(f"execute same ({n})") == str(n)
        assert b.value(f"execute same ({n})") == str(100 + n)
        assert a.value("execute shared ('x')") == b.value("execute shared ('x')") == "X"
        if let_go:
            let_go()
    assert proxy.show("PINS") == []
    assert other.value("select count(*) from pg_prepared_statements where from_sql") == "0"
    assert wire.error_code(other.simple("execute same (1)")) == "26000"
    a.rows("deallocate same")
    assert wire.error_code(a.simple("execute same (1)")) == "26000"
    assert b.value("execute same (1)") == "101"
    for c in (a, b, other):
        c.terminate()


def test_a_table_that_changed_is_healed_for_execute(start, pg):
    proxy = start(max_server_connections=1)  # which has the statement
    with pg.superuser() as s:
        s.rows("drop table if exists changing; create table changing (a int); insert into changing values (1)")
        s.rows("grant all on changing to public")
        with proxy.client() as a, proxy.client() as b:
            for c in (a, b):
                c.rows("prepare ch as select * from changing")
                assert c.rows("execute ch") == [["1"]]
            s.rows("alter table changing add b int default 2")
            assert a.rows("execute ch") == [["1", "2"]]
            assert b.rows("execute ch") == [["1", "2"]]
            b.rows("deallocate ch; prepare ch as select * from changing")
            assert b.rows("execute ch") == [["1", "2"]]
            # inside a transaction block nothing can be repeated: PostgreSQL's own error
            a.simple("begin")
            assert a.rows("execute ch") == [["1", "2"]]
            a.simple("commit")
            s.rows("alter table changing add c int default 3")
            a.simple("begin")
            assert wire.error_code(a.simple("execute ch")) == "0A000"
            a.simple("rollback")
            assert a.rows("execute ch") == [["1", "2", "3"]]
        s.rows("drop table changing")


def types(found):
    """What a ParameterDescription says."""
    body = next(m.body for m in found if m.type == "t")
    return list(struct.unpack(f"!{len(body) // 4}I", body[2:]))


def test_parameters_are_what_the_client_was_told(start, pg):
    """PostgreSQL fixes them with the Parse. Drivers send binary values of these types, whatever became of the table."""
    proxy = start(max_server_connections=2, workers=1)
    text = "insert into widening values ($1)"
    with pg.superuser() as s, proxy.client() as c, proxy.client() as new, proxy.client() as hog:
        s.rows("drop table if exists widening; create table widening (a int); grant all on widening to public")
        assert types(c.ask(P("w", text), DS("w"), S)) == [23]
        s.rows("alter table widening alter a type bigint")
        hog.simple("begin; select 1")
        for value in (1, 2):  # on a connection that hasn't the text, and on one that prepared it thus
            c.ask(B("", "w", struct.pack("!i", value), formats=[1]), E(), S)
        assert types(new.ask(P("n", text), DS("n"), S)) == [20]
        new.ask(B("", "n", struct.pack("!q", 3), formats=[1]), E(), S)
        c.ask(B("", "w", struct.pack("!i", 4), formats=[1]), E(), S)
        hog.simple("commit")
        assert s.rows("select a from widening order by 1") == [["1"], ["2"], ["3"], ["4"]]
        s.rows("drop table widening")


def test_who_prepares_is_told_the_parameters_of_now(start, pg):
    """Not those that the text had when the connection prepared it, or has in somebody else's schema."""
    proxy = start(max_server_connections=1)
    text = "insert into remade values ($1)"
    with pg.superuser() as s, proxy.client() as a, proxy.client() as b:
        s.rows("drop table if exists remade; create table remade (a date); create table beta.remade (a text);"
               " alter table remade owner to app; grant all on beta.remade to public")
        assert types(a.ask(P("r", text), DS("r"), S)) == [1082]
        b.simple("set search_path = beta")
        assert types(b.ask(P("r", text), DS("r"), S)) == [25]
        for _ in range(2):
            assert wire.error_code(b.ask(B("", "r", "any text"), E(), S)) is None
            assert wire.error_code(a.ask(B("", "r", "2026-11-30"), E(), S)) is None
        s.rows("alter table remade alter a type timestamp")
        assert types(a.ask(CS("r"), P("r", text), DS("r"), S)) == [1114]
        assert wire.error_code(a.ask(B("", "r", struct.pack("!q", 0), formats=[1]), E(), S)) is None
        assert s.rows("select max(a) from remade") == [["2026-11-30 00:00:00"]]
        a.simple("drop table remade; create table remade (a interval)")
        a.ask(P("q", text), S)  # in text, undescribed
        assert wire.error_code(a.ask(B("", "q", "1 day"), E(), S)) is None
        assert s.rows("select * from remade") == [["1 day"]]
        s.rows("drop table remade, beta.remade")


def test_large_texts(start):
    proxy = start(max_server_connections=2)
    with proxy.client() as a, proxy.client() as b:
        a.rows("prepare big (text) as select length($1)")
        a.ask(P("proto", "select length($1::text) + 1"), S)
        b.simple("begin")
        b.value("select 1")
        text = "x" * 300_000
        assert a.value(f"execute big ('{text}')") == "300000"
        assert a.value(f"execute proto ('{text}')") == "300001"
        b.simple("commit")
        # a text of which only the beginning is looked at stays the server's, and is a pin
        a.rows(f"prepare huge as select length('{text}')")
        assert a.value("execute huge") == "300000"
        assert [p["reason"] for p in proxy.show("PINS")] == ["PREPARE"]
        a.rows("prepare small as select 7")
        assert a.value("execute small") == "7"
        a.rows("deallocate huge")
        a.rows("deallocate small")
        assert a.value("execute big ('abc')") == "3"
        assert proxy.show("PINS") == []


def test_more_statements_in_one_string_than_a_connection_may_have(start):
    proxy = start(max_server_connections=2, max_prepared_statements=3)
    with proxy.client() as a, proxy.client() as b:
        for n in range(10):
            a.rows(f"prepare m{n} as select {n}")
        for held in (False, True):
            if held:
                b.simple("begin")
                b.value("select 1")
            msgs = a.simple("; ".join(f"execute m{n}" for n in range(10)))
            assert wire.rows(msgs) == [[str(n)] for n in range(10)], wire.errors(msgs)
            for n in (9, 0, 5):
                assert a.value(f"execute m{n}") == str(n)
        b.simple("commit")


def test_a_session_that_leaves_takes_its_names_along(start):
    proxy = start(max_server_connections=1)
    for ending in ("terminate", "close"):
        c = proxy.client()
        c.rows("prepare mine as select 1; execute mine")
        c.send(wire.query("prepare late (int) as select $1, pg_sleep(0.2)"), wire.query("execute late (1)"))
        getattr(c, ending)()
        with proxy.client() as d:
            assert wire.error_code(d.simple("execute mine")) == "26000"
            assert wire.error_code(d.simple("execute late (1)")) == "26000"
            d.rows("prepare mine as select 2")
            assert d.value("execute mine") == "2"
            assert d.value("select count(*) from pg_prepared_statements where from_sql") == "0"


def test_show_statements(start):
    proxy = start(max_server_connections=2)
    a, b, holder = proxy.clients(3)
    with a, b, holder:
        for c in (a, b):
            c.ask(P("s", "select $1::int, 'secret', 4711 from items where id = $1"), S)
            c.rows("prepare of_sql (int) as select $1, $$secret$$")
        holder.simple("begin")
        holder.value("select 1")
        assert wire.error_code(a.ask(B("", "s", 1), E(), S)) is None
        a.rows("execute of_sql (1)")
        holder.simple("commit")
        holder.simple("begin")
        holder.ask(P("", "select 2"), B(), E(), S)
        rows = {r["statement"]: r for r in proxy.show("STATEMENTS")}
        row = rows["select $1::int, ?, ? from items where id = $1"]
        assert (row["database"], row["user"], int(row["clients"]), int(row["bytes"])) == ("shop", "app", 2, 55)
        assert int(row["servers"]) in (1, 2) and row["name"].startswith("weir_")
        row = rows["select $1, ?"]
        assert int(row["clients"]) == 2 and int(row["servers"]) >= 1
        assert int(rows["select ?"]["clients"]) == 1
        assert not any("secret" in str(r) for r in rows.values())
        holder.simple("commit")
        b.rows("deallocate s")
        rows = {r["statement"]: r for r in proxy.show("STATEMENTS")}
        assert int(rows["select $1::int, ?, ? from items where id = $1"]["clients"]) == 1


# --- drivers --------------------------------------------------------------------------------------------

def by_psycopg2(dsn):
    conn = psycopg2.connect(dsn)
    conn.autocommit = True

    def run(sql):
        cur = conn.cursor()
        cur.execute(sql)
        return [list(r) for r in cur.fetchall()] if cur.description else []
    return run, conn.close


def by_psycopg(dsn):
    conn = psycopg.connect(dsn, autocommit=True)

    def run(sql):
        cur = conn.execute(sql, prepare=sql.startswith("execute"))
        return [list(r) for r in cur.fetchall()] if cur.description else []
    return run, conn.close


def by_asyncpg(dsn):
    loop = asyncio.new_event_loop()
    conn = loop.run_until_complete(asyncpg.connect(dsn))

    def run(sql):
        return [list(r.values()) for r in loop.run_until_complete(conn.fetch(sql))]

    def close():
        loop.run_until_complete(conn.close())
        loop.close()
    return run, close


@pytest.mark.parametrize("driver", [by_psycopg2, by_psycopg, by_asyncpg])
def test_drivers_prepare_and_execute_in_turns(start, driver):
    proxy = start(max_server_connections=2)
    dsn = f"postgresql://app:secret@127.0.0.1:{proxy.port}/shop"
    mine, done = zip(*[driver(proxy.dsn() if driver is not by_asyncpg else dsn) for _ in range(2)])
    with proxy.client() as other:
        for n, run in enumerate(mine):
            run(f"prepare q (int) as select $1 * {n + 1}")
        for turn in range(6):
            if turn % 2:
                other.simple("begin")
                other.value("select 1")
            for n, run in enumerate(mine):
                assert run(f"execute q ({turn})") == [[turn * (n + 1)]]
            if turn % 2:
                other.simple("commit")
        for n, run in enumerate(mine):
            run("deallocate q")
            run(f"prepare q as select 'again {n}'")
        for n, run in enumerate(mine):
            assert run("execute q") == [[f"again {n}"]]
        assert proxy.show("PINS") == []
    for close in done:
        close()


# --- how texts are read -----------------------------------------------------------------------------------

HIDDEN = {
    # read as if backslashes were plain, the SET is inside a string
    "standard_conforming_strings": ("set standard_conforming_strings = off; set escape_string_warning = off",
                                    rb"select 'a\', ' b; set work_mem = '7MB' --'"),
    # read byte by byte, the second half of a character protects the quote behind it
    "SJIS": ("set client_encoding = 'SJIS'", b"select E'\x95\\', 'x'; set work_mem = '7MB' --'"),
    "BIG5": ("set client_encoding = 'BIG5'", b"select E'\xb3\\', 'x'; set work_mem = '7MB' --'"),
    "GBK": ("set client_encoding = 'GBK'", b"select E'\x95\\', 'x'; set work_mem = '7MB' --'"),
    "GB18030": ("set client_encoding = 'GB18030'", b"select E'\x95\\', 'x'; set work_mem = '7MB' --'"),
    "SHIFT_JIS_2004": ("set client_encoding = 'SHIFT_JIS_2004'", b"select E'\x95\\', 'x'; set work_mem = '7MB' --'"),
}


@pytest.mark.parametrize("what", sorted(HIDDEN))
def test_what_a_text_sets_is_seen_as_the_server_reads_it(start, pg, what):
    prepare, text = HIDDEN[what]
    proxy = start(max_server_connections=2)
    with pg.direct("app", "shop") as direct, proxy.client() as c, proxy.client() as other:
        for conn in (direct, c):
            conn.rows(prepare)
            msgs = conn.ask(raw(text))
            assert wire.error_code(msgs) is None, (conn, wire.errors(msgs))
        assert direct.value("show work_mem") == "7MB"
        other.simple("begin")
        other.value("select 1")
        assert c.value("show work_mem") == "7MB"
        other.simple("commit")
        assert other.value("show work_mem") == "4MB"


def test_equal_bytes_in_two_encodings_are_two_statements(start):
    proxy = start(max_server_connections=1)
    with proxy.client() as utf8, proxy.client(client_encoding="LATIN1") as latin1:
        for c, length in ((utf8, "1"), (latin1, "2")):
            c.ask(P("n", "select length('é')"), S)
            assert wire.rows(c.ask(B("", "n"), E(), S)) == [[length]]
            c.rows("prepare q as select length('é')")
            assert c.value("execute q") == length
        assert wire.rows(utf8.ask(B("", "n"), E(), S)) == [["1"]]
        assert utf8.value("execute q") == "1"


def test_equal_texts_with_and_without_standard_strings(start):
    proxy = start(max_server_connections=1)
    with proxy.client() as on, proxy.client() as off:
        off.rows("set standard_conforming_strings = off; set escape_string_warning = off")
        for c, length in ((on, "2"), (off, "1")):
            c.ask(P("n", r"select length('\\')"), S)
            assert wire.rows(c.ask(B("", "n"), E(), S)) == [[length]]
        assert wire.rows(on.ask(B("", "n"), E(), S)) == [["2"]]


def test_backslash_quote(start, pg):
    """What the server refuses, or not, by backslash_quote, and what the text sets when it doesn't."""
    proxy = start(max_server_connections=2)
    text = rb"select E'\'', 'x'; set work_mem = '7MB'"
    with pg.direct("app", "shop") as direct, proxy.client() as c, proxy.client() as other:
        for value in ("off", "on", "safe_encoding"):
            for encoding in ("UTF8", "SJIS"):
                found = []
                for conn in (direct, c):
                    conn.rows(f"set backslash_quote = {value}; set client_encoding = '{encoding}'; set work_mem = '5MB'")
                    code = wire.error_code(conn.ask(raw(text)))
                    if conn is c:
                        other.simple("begin")
                        other.value("select 1")
                    found.append((code, conn.value("show work_mem"), conn.value("show backslash_quote")))
                    if conn is c:
                        other.simple("commit")
                assert found[0] == found[1], (value, encoding)


def test_errors_of_names_have_the_routine_by_which_drivers_know_them(start, pg):
    """postgres.js prepares anew and asks again when it is PostgreSQL's FetchPreparedStatement that finds no name."""
    proxy = start()
    asked = [P("q", "select 1"), S], [P("q", "select 2"), S], [B("", "none"), E(), S], [DS("none"), S], [DS(""), S], \
        [B("", ""), E(), S]
    with pg.direct() as direct, proxy.client() as c:
        found, expected = ([[(e["C"], e["M"], e.get("R")) for e in wire.errors(conn.ask(*messages))] for messages in asked]
                           for conn in (c, direct))
    assert found == expected


# --- the unnamed statement, and batches that fail ---------------------------------------------------

FAILS = {"runs": [P("z", "select 1/0"), B("", "z"), E()], "parse": [P("y", "selekt")], "no statement": [B("", "nope")],
         "no portal": [E("nope")], "taken": [P("taken", "select 'refused'")], "no description": [DS("nope")]}


@pytest.mark.parametrize("fails", FAILS)
def test_what_another_left_in_the_unnamed_slot_is_never_executed(start, pg, fails):
    """The server skips weir's own Parse with the rest of a batch that fails; what is pipelined behind needs it still."""
    proxy = start(max_server_connections=1)

    def session(c, before):
        with c:
            c.ask(P("taken", "select 0"), S)
            c.ask(P("", "select 'mine'"), S)
            before()
            answers = c.ask(*FAILS[fails], B("p", ""), S, B("", ""), E(), S, B("", ""), E(), S, ready=3)
            return [(m.type, m.fields.get("C") if m.type == "E" else m.body) for m in answers]

    def leave_one():
        with proxy.client() as other:
            other.ask(P("", "select 'of another client'"), B("", ""), E(), S)
    assert session(proxy.client(), leave_one) == session(pg.direct(), lambda: None)


def test_errors_of_a_text_with_names_say_the_clients_own_name(start, pg):
    """For `execute a`, prepared by the protocol, the server has another statement, under a name of weir's."""
    proxy = start(max_server_connections=1)
    for text in ("deallocate a", "prepare b as select 1", "execute a"):
        for name in ("u", ""):
            told = []
            for login in (pg.direct, proxy.client):
                with login() as c:
                    c.simple("prepare a as select 1")
                    msgs = c.ask(P(name, text), B("", name, "2"), S)
                    told += [(e["C"], e["M"]) for e in wire.errors(msgs)]
            assert len(told) == 2 and told[0] == told[1], (text, name)


def test_what_a_client_has_prepared_is_bounded(start):
    """In weir's memory, for a server has only some of them; the session goes on, and may prepare again when it has closed one."""
    proxy = start()
    with proxy.client(timeout=60) as c:
        big = "select '" + "x" * 4_000_000 + "'"
        for i in range(40):
            msgs = c.ask(wire.parse(f"s{i}", f"/* {i} */" + big), wire.SYNC)
            if wire.error_code(msgs):
                break
        assert 14 <= i < 20 and wire.error_code(msgs) == "54000"
        text = c.ask(wire.bind("", "s3"), wire.execute(), wire.SYNC)
        assert len(wire.rows(text)[0][0]) == 4_000_000
        msgs = c.ask(wire.close_statement("s3"), wire.close_statement("s0"), wire.parse("again", "/* again */" + big), wire.SYNC)
        assert wire.kinds(msgs) == "331Z"
        c.simple("deallocate all")
        for i in range(10):
            assert wire.kinds(c.ask(wire.parse(f"t{i}", f"/* {i} */" + big), wire.SYNC)) == "1Z"
