# SPDX-License-Identifier: ISC
"""Transparent sessions: the same script directly and through weir, compared message by message.

Each script is played alone, then beside two other sessions that change the connections under its feet:
they hold one while it works, use it in between, and have settings and statements of their own, of the
same names and other contents. They check theirs, too.
"""

import asyncio
import time

import asyncpg
import pytest

from harness import wire
from harness.proxy import Proxy, crowd, wait_until
from harness.transcript import B, CS, DP, DS, E, P, S, difference, play
from scripts import LOGIN, PINS, SCRIPTS

pytestmark = pytest.mark.weir_only

NAMES = sorted(SCRIPTS)
_directly = {}


def directly(pg, name):
    """The transcript without a proxy, once per run."""
    if name not in _directly:
        login = dict(LOGIN[name])
        with pg.direct(login.pop("user", "app"), "shop", **login) as conn:
            _directly[name] = play(conn, SCRIPTS[name])
    return _directly[name]


def compare(pg, proxy, name, between=None):
    login = dict(LOGIN[name])
    want = directly(pg, name)
    if "user" in login:  # what the server reports for a user is known once one has been there
        with proxy.client(login["user"], "shop") as first:
            first.value("select 1")
    conn = proxy.client(login.pop("user", "app"), "shop", timeout=8, **login)
    try:
        got = play(conn, SCRIPTS[name], between)
    finally:
        conn.terminate()
    found = difference(SCRIPTS[name], want, got)
    assert found is None, found


class Disturber:
    """A session of its own that shares the connections, and must not notice either."""

    MINE = {"search_path": "beta", "work_mem": "77MB", "TimeZone": "America/Lima", "lock_timeout": "77s",
            "application_name": "disturber", "role": "writer", "datestyle": "German, DMY"}

    def __init__(self, proxy, user):
        self.conn = proxy.client(user, "shop", timeout=8)
        for name, value in self.MINE.items():
            self.conn.rows(f"set {name} = '{value}'")
        # names that the scripts use as well, with another meaning
        for name in ("s", "m3", "d", "q", "both"):
            self.conn.ask(P(name, "select 'disturber'::text"), S)

    def check(self):
        for name, value in self.MINE.items():
            got = self.conn.value(f"show {name}")
            assert got == value.replace("DMY", "DMY"), f"the other session lost its {name}: {got}"
        msgs = self.conn.ask(B("", "s"), E(), S)
        assert wire.rows(msgs) == [["disturber"]], msgs

    def quick(self):
        self.conn.value("select name from place")

    def hold(self):
        self.conn.simple("begin")
        self.conn.value("select 1")
        return lambda: self.conn.simple("commit")


def disturbance(first, second):
    """What happens between the steps; returns what is to be undone after the step."""
    def between(n, _conn):
        if n % 3 == 0:
            return first.hold()
        first.quick()
        if n % 3 == 2:
            second.quick()
        return None
    return between


@pytest.fixture(scope="module")
def two(pg):
    proxy = Proxy(pg, {"max_server_connections": 2, "query_wait_timeout": 6})
    with proxy.client() as c:
        c.value("select 1")  # from here on the server's parameters are known at login
    yield proxy
    problem = proxy.destroy()
    assert not problem, problem


@pytest.fixture(scope="module")
def single(pg):
    proxy = Proxy(pg, {"max_server_connections": 1, "query_wait_timeout": 6})
    with proxy.client() as c:
        c.value("select 1")  # from here on the server's parameters are known at login
    yield proxy
    problem = proxy.destroy()
    assert not problem, problem


@pytest.mark.parametrize("name", NAMES)
def test_alone(pg, single, name):
    # the first client of a user that no server connection was opened for is greeted with what others
    # were told, and corrected with its first answer (README, Honest limits): not the subject here
    with single.client(LOGIN[name].get("user", "app")) as first:
        first.value("select 1")
    compare(pg, single, name)


@pytest.mark.parametrize("name", NAMES)
def test_connections_change_under_its_feet(pg, two, name):
    user = LOGIN[name].get("user", "app")
    first, second = Disturber(two, user), Disturber(two, user)
    try:
        compare(pg, two, name, disturbance(first, second) if name not in PINS else lambda n, c: first.quick())
        first.check()
        second.check()
    finally:
        first.conn.terminate()
        second.conn.terminate()


@pytest.mark.parametrize("name", [n for n in NAMES if n not in PINS])
def test_one_connection_for_two_sessions(pg, single, name):
    other = Disturber(single, LOGIN[name].get("user", "app"))
    try:
        compare(pg, single, name, lambda n, c: other.quick())
        other.check()
    finally:
        other.conn.terminate()


# --- what one client must not see of another ----------------------------------------------------------------

LEFT_BEHIND = {
    "setting": "set work_mem = '66MB'",
    "custom setting": "set app.secret = 'x'",
    "role": "set role reader",
    "role that RESET ALL keeps": "set role reader | reset all",
    "search path": "set search_path = beta",
    "encoding": "set client_encoding = 'LATIN1'",
    "characteristics": "set session characteristics as transaction read only",
    "set_config": "select set_config('lock_timeout', '66s', false)",
    "hidden setting": "do $$ begin execute 'set lock_timeout = ' || 66000; end $$",
    "temporary table": "create temp table leftover (i int)",
    "advisory lock": "select pg_advisory_lock(66)",
    "shared advisory lock": "select pg_advisory_lock_shared(66)",
    "listen": "listen leftover",
    "cursor": "declare leftover cursor with hold for select 1",
    "prepared": "prepare leftover as select 1",
    "sequence": "select nextval('seq')",
    "temporary schema": "create function pg_temp.leftover() returns int language sql as 'select 1'",
}
PROBES = [
    "select name, setting from pg_settings where source = 'session' and name <> 'application_name' order by 1",
    "select current_user, session_user", "show search_path", "show client_encoding", "show default_transaction_read_only",
    "show lock_timeout", "select current_setting('app.secret', true)", "select to_regclass('pg_temp.leftover') is null",
    "select count(*) from pg_locks where locktype = 'advisory'", "select pg_listening_channels()",
    "select count(*) from pg_cursors", "select count(*) from pg_prepared_statements where name = 'leftover'",
    "select lastval()", "select count(*) from pg_proc where proname = 'leftover'",
]


@pytest.mark.parametrize("what", sorted(LEFT_BEHIND))
@pytest.mark.parametrize("ending", ["terminate", "close"])
def test_nothing_is_left_to_the_next_client(start, pg, what, ending):
    proxy = start(max_server_connections=1)
    with proxy.client("app3") as before:
        clean = [[m for m in wire.rows(before.simple(p))] for p in PROBES]
    conn = proxy.client("app3")
    for sql in LEFT_BEHIND[what].split(" | "):
        assert wire.error_code(conn.simple(sql)) is None
    conn.simple("select 1")
    getattr(conn, ending)()
    with proxy.client("app3") as after:
        for probe, want in zip(PROBES, clean):
            msgs = after.simple(probe)
            got = wire.rows(msgs)
            if probe.startswith("select current_setting('app.secret'"):
                got, want = [[r[0] or None] for r in got], [[r[0] or None] for r in want]
            assert got == want, f"{what} seen by {probe}"
    assert pg.count("usename = 'app3'") == 1


def test_temp_buffers_end_no_session_where_others_had_temporary_tables(start):
    proxy = start(max_server_connections=1)
    with proxy.client() as mine, proxy.client() as other:
        mine.rows("set temp_buffers = 200")
        other.rows("create temp table had as select 1")
        other.rows("drop table had")
        assert mine.value("select 'here'") == "here"
        assert other.value("show temp_buffers") == "8MB"


def test_a_literal_says_what_it_says_under_the_settings_of_its_client(start):
    """The server reads it when the text is prepared; who has other settings has another statement."""
    proxy = start(max_server_connections=1)
    text = "select extract(day from date '1/8/1999')::int, extract(hour from timestamptz '1999-01-08 12:00' at time zone 'UTC')"
    for style, zone, want in (("mdy", "UTC", ["8", "12"]), ("dmy", "Asia/Tokyo", ["1", "3"])):
        with proxy.client(datestyle="ISO, " + style, timezone=zone) as c:
            for name in ("", "lit"):
                assert wire.rows(c.ask(P(name, text), B("", name), E(), S)) == [want]
            c.rows("prepare again as " + text)
            assert c.rows("execute again") == [want]


def test_an_idle_session_timeout_ends_no_shared_connection(start):
    """It is its client's, and comes back to it; what idles in between is the pool's."""
    proxy = start(max_server_connections=1)
    with proxy.client() as hurried, proxy.client() as other:
        hurried.rows("set idle_session_timeout = '100ms'")
        pid = other.backend_pid()
        assert hurried.value("show idle_session_timeout") == "100ms"
        time.sleep(0.6)
        assert (other.backend_pid(), other.value("show idle_session_timeout")) == (pid, "0")
        assert hurried.value("show idle_session_timeout") == "100ms"


def test_settings_of_a_fleet_do_not_mix(start):
    """Sixty sessions with a setting of their own on three connections, each checking it in each transaction."""
    proxy = start(max_server_connections=3)

    def work(i):
        with proxy.client(application_name=f"fn {i}") as c:
            c.rows(f"set lock_timeout = {1000 + i}")
            if i % 3 == 0:
                c.rows(f"set search_path = {'alpha' if i % 2 else 'beta'}")
            c.ask(P("mine", f"select {i}::int"), S)
            for n in range(25):
                assert c.value("show lock_timeout") in (f"{1000 + i}ms", f"{(1000 + i) // 1000}s"), (i, n)
                assert c.value("show application_name") == f"fn {i}"
                assert wire.rows(c.ask(B("", "mine"), E(), S)) == [[str(i)]]
                if i % 3 == 0:
                    assert c.value("select name from place") == ("alpha" if i % 2 else "beta")
        return True
    assert all(crowd(60, work))


def test_nothing_is_sent_when_nothing_differs(start, pg):
    """By the server's own log: 50 transactions of a session with settings are 50 statements."""
    def logged():
        return pg.log().count("app3@shop LOG:  statement: ")
    proxy = start(max_server_connections=1)
    with pg.superuser() as s:
        s.rows("alter role app3 set log_statement = 'all'")
    try:
        with proxy.client("app3", application_name="x", options="-c work_mem=5MB") as c:
            c.value("select 1")
            c.rows("set lock_timeout = '5s'")
            c.value("select 1")
            before = logged()
            for _ in range(50):
                c.value("select 1")
            assert logged() - before == 50
    finally:
        with pg.superuser() as s:
            s.rows("alter role app3 reset log_statement")


def test_cached_plan_after_ddl_is_healed_outside_a_transaction(start, pg):
    """The client that changed the table gets PostgreSQL's answer where it can; others never see
    'cached plan must not change result type' outside a transaction block."""
    proxy = start(max_server_connections=2)
    with pg.superuser() as s:
        s.rows("drop table if exists evolving; create table evolving (a int); insert into evolving values (1)")
        s.rows("grant all on evolving to public")
        with proxy.client() as a, proxy.client() as b:
            for c in (a, b):
                c.ask(P("ev", "select * from evolving"), S)
                assert wire.rows(c.ask(B("", "ev"), E(), S)) == [["1"]]
            s.rows("alter table evolving add b int default 2")
            for c in (a, b):
                msgs = c.ask(B("", "ev"), DP(), E(), S)
                assert wire.rows(msgs) == [["1", "2"]], wire.errors(msgs)
                msgs = c.ask(B("", "ev"), E(), S)
                assert wire.rows(msgs) == [["1", "2"]], wire.errors(msgs)
            # inside a transaction block nothing can be repeated: PostgreSQL's own error
            a.simple("begin")
            assert wire.rows(a.ask(B("", "ev"), E(), S)) == [["1", "2"]]
            s.rows("commit")
            a.simple("commit")
            a.simple("begin")
            a.value("select 1")
            s.rows("alter table evolving add c int default 3")
            msgs = a.ask(B("", "ev"), E(), S)
            assert wire.error_code(msgs) in ("0A000", None)
            a.simple("rollback")
            assert wire.rows(a.ask(B("", "ev"), DP(), E(), S)) == [["1", "2", "3"]]
        s.rows("drop table evolving")


def test_what_others_prepared_before_a_change_is_not_met_in_a_transaction(start, pg):
    """Who prepares after the change gets rows of it in a transaction block, too, where nothing can be repeated;
    on the connection where it was prepared, and on others."""
    proxy = start(max_server_connections=2)
    text = "select * from moved"
    with pg.superuser() as s:
        s.rows("drop table if exists moved; create table moved (a int); insert into moved values (1);"
               " grant all on moved to public")

        def execute(c):
            msgs = c.ask(B("", "m"), DP(), E(), S)
            return wire.error_code(msgs) or wire.rows(msgs)

        def everywhere(a, b, run):
            """On each of the two connections: one is taken by the other client."""
            a.simple("begin")
            b.simple("begin")
            seen = [run(a), run(b)]
            a.simple("rollback")
            b.simple("rollback")
            return seen

        with proxy.client() as a, proxy.client() as b:
            for c in (a, b):
                c.ask(P("m", text), S)
                c.simple("prepare p as " + text)
            assert everywhere(a, b, execute) == [[["1"]]] * 2
            assert everywhere(a, b, lambda c: c.value("execute p")) == ["1"] * 2
            s.rows("alter table moved add b int default 2")
        with proxy.client() as a, proxy.client() as b:
            def anew(c):
                assert wire.error_code(c.ask(P("m", text), S)) is None
                c.simple("prepare p as " + text)
                return [execute(c), c.rows("execute p")]
            assert everywhere(a, b, anew) == [[[["1", "2"]]] * 2] * 2
        with proxy.client() as a, proxy.client() as b:
            for c in (a, b):
                c.ask(P("m", text), S)
            s.rows("alter table moved add c int default 3")
            first = everywhere(a, b, execute)
            assert all(seen in ("0A000", [["1", "2", "3"]]) for seen in first)
            assert everywhere(a, b, execute) == [[["1", "2", "3"]]] * 2  # it was learnt
            with proxy.client() as owner:
                with pg.superuser() as boss:
                    boss.rows("alter table moved owner to app")
                owner.simple("alter table moved add d int default 4")
            assert everywhere(a, b, execute) == [[["1", "2", "3", "4"]]] * 2  # it was seen
        s.rows("drop table moved")


def test_no_rows_of_columns_that_the_client_does_not_know(start, pg):
    """Who goes by a description of before the change is told, as PostgreSQL does: such drivers prepare anew."""
    proxy = start(max_server_connections=1)
    with pg.superuser() as s:
        s.rows("drop table if exists shifting; create table shifting (a int); insert into shifting values (1);"
               " grant all on shifting to public")

        async def go():
            c = await asyncpg.connect(host=proxy.host, port=proxy.port, user="app", password="secret", database="shop")
            seen = [[tuple(r) for r in await c.fetch("select * from shifting")]]
            for change in ("add b int default 5", "alter a type text"):
                s.rows("alter table shifting " + change)
                seen.append([tuple(r) for r in await c.fetch("select * from shifting")])
            await c.close()
            return seen
        assert asyncio.run(go()) == [[(1,)], [(1, 5)], [("1", 5)]]
        with proxy.client() as c:
            c.ask(P("sh", "select * from shifting"), DS("sh"), S)
            s.rows("alter table shifting add c int default 6")
            assert wire.error_code(c.ask(B("", "sh"), E(), S)) == "0A000"
            assert wire.rows(c.ask(B("", "sh"), DP(), E(), S)) == [["1", "5", "6"]]
        s.rows("drop table shifting")


def test_a_format_for_each_column_of_before_a_change(start, pg):
    """pgx asks for a description in each batch, but sends a result format for each column that it was told of:
    PostgreSQL says that the columns have changed, and pgx prepares anew. A count that was always wrong stays wrong."""
    proxy = start(max_server_connections=1)
    with pg.superuser() as s, proxy.client() as c, proxy.client() as other:
        s.rows("drop table if exists counted; create table counted (a int, b int, c int);"
               " insert into counted values (1, 2, 3); grant all on counted to public")

        def run(formats):
            msgs = c.ask(B("", "n", result_formats=[0] * formats), DP(), E(), S)
            for error in wire.errors(msgs):
                assert error["C"] != "0A000" or error["R"] == "RevalidateCachedQuery"
            return wire.error_code(msgs) or wire.rows(msgs)

        known = 3
        c.ask(P("n", "select * from counted"), DS("n"), S)
        assert run(3) == [["1", "2", "3"]]
        assert run(2) == "08P01"
        for change, columns in (("drop column b", 2), ("add d int, add e int", 4)):
            s.rows("alter table counted " + change)
            assert [run(known), run(known)] == ["0A000"] * 2, change
            c.simple("begin")
            assert run(known) == "0A000", change
            c.simple("rollback")
            other.ask(P("o", "select * from counted"), DS("o"), B("", "o"), E(), S)
            assert run(known) == "0A000", change
            c.ask(CS("n"), P("n", "select * from counted"), DS("n"), S)
            assert len(run(columns)[0]) == columns
            assert run(columns - 1 if columns == 4 else columns + 1) == "08P01"
            known = columns
        s.rows("drop table counted")


def test_a_description_is_kept_to_on_every_connection(start, pg):
    """Also on one where the statement was prepared after the change, or by somebody who calls another table by its name."""
    proxy = start(max_server_connections=2, workers=1)  # of two, each might go back to a connection of its own
    with pg.superuser() as s, proxy.client() as c, proxy.client() as hog:
        s.rows("drop table if exists drifting; create table drifting (a int); insert into drifting values (1);"
               " create table alpha.here (a int); create table beta.here (b text, c int); insert into alpha.here values (1);"
               " insert into beta.here values ('b', 2); grant all on all tables in schema public, alpha, beta to public")
        text = "select * from drifting"

        def elsewhere(*messages):
            """On the connection that `c` didn't have last."""
            hog.simple("begin")
            found = c.ask(*messages, S)
            hog.simple("rollback")
            for error in wire.errors(found):  # drivers go by that
                assert error["C"] != "0A000" or error["R"] == "RevalidateCachedQuery"
            return wire.error_code(found) or wire.rows(found)

        c.ask(P("d", text), DS("d"), S)
        assert elsewhere(B("", "d"), E()) == [["1"]]
        s.rows("drop table drifting; create table drifting (a int); insert into drifting values (2);"
               " grant all on drifting to public")
        assert elsewhere(B("", "d"), E()) == [["2"]]  # of the same make
        for change in ("add b int default 7", "rename b to z", "alter z type text"):
            c.ask(CS("d"), P("d", text + " -- before " + change), DS("d"), S)
            s.rows("alter table drifting " + change)
            assert elsewhere(B("", "d"), E()) == "0A000", change
            assert wire.error_code(c.ask(B("", "d"), E(), S)) == "0A000", change
            hog.simple("begin")
            c.simple("begin")
            assert wire.error_code(c.ask(B("", "d"), E(), S)) == "0A000", change
            c.simple("rollback")
            hog.simple("rollback")
            c.ask(CS("d"), P("d", text + " -- before " + change), DS("d"), S)
            assert wire.error_code(c.ask(B("", "d"), E(), S)) is None
            assert elsewhere(B("", "d"), E()) == [["2", "7"]]
        c.ask(P("p", text), B("", "p"), DP(), E(), S)  # JDBC's way: the portal's, once
        s.rows("alter table drifting add c int default 8")
        assert elsewhere(B("", "p"), E()) == "0A000"
        assert elsewhere(B("", "p"), DP(), E()) == [["2", "7", "8"]]
        assert elsewhere(B("", "p"), E()) == [["2", "7", "8"]]
        s.rows("drop table drifting")
        assert elsewhere(B("", "d"), E()) == "42P01"
        for who, schema in ((c, "alpha"), (hog, "beta")):
            who.simple(f"set search_path = {schema}")
            who.ask(P("h", "select * from here"), DS("h"), S)
        for _ in range(3):
            assert wire.rows(c.ask(B("", "h"), E(), S)) == [["1"]]
            assert wire.rows(hog.ask(B("", "h"), E(), S)) == [["b", "2"]]
        s.rows("drop table alpha.here, beta.here")


def test_server_side_statements_are_shared_and_bounded(start, pg):
    """A hundred clients with the same statement under names of their own are one statement on the server;
    five hundred different ones stay below the limit per connection."""
    proxy = start(max_server_connections=1, max_prepared_statements=50)

    def work(i):
        with proxy.client() as c:
            c.ask(P(f"own{i}", "select 'shared' || $1::text"), S)
            assert wire.rows(c.ask(B("", f"own{i}", "x"), E(), S)) == [["sharedx"]]
            for n in range(10):
                c.ask(P(f"d{n}", f"select {i * 10 + n}"), S)
            for n in range(10):
                assert wire.rows(c.ask(B("", f"d{n}"), E(), S)) == [[str(i * 10 + n)]]
    crowd(50, work)
    with proxy.client() as c:
        shared = int(c.value("select count(*) from pg_prepared_statements where statement like '%shared%'"))
        total = int(c.value("select count(*) from pg_prepared_statements"))
    assert shared <= 1 and total <= 50, (shared, total)


def test_what_others_drew_from_sequences_is_nobodys_answer(start):
    """Directly, too, who has not drawn himself has no currval() and no lastval(). Who has keeps them as long as nobody
    else had the connection."""
    proxy = start(max_server_connections=1)
    insert = "insert into scratch (who) values ('x')"
    asked = ("select lastval()", "select currval('scratch_id_seq')")
    with proxy.client() as one, proxy.client() as other:
        for ask in asked:
            one.rows(insert)
            assert wire.error_code(other.simple(ask)) == "55000"
        one.rows(insert)
        assert wire.error_code(other.ask(P("", asked[0]), B(), E(), S)) == "55000"
        one.rows(insert)
        other.ask(P("named", asked[1]), S)
        one.rows(insert)
        assert wire.error_code(other.ask(B("", "named"), E(), S)) == "55000"
        one.rows(insert)
        other.simple("begin")
        assert wire.error_code(other.simple(asked[0])) == "55000"
        other.simple("rollback")
        other.simple("begin")
        drawn = other.value(insert + " returning id")
        assert other.value(asked[0]) == drawn
        other.simple("commit")
        other.simple("discard all")
        one.rows(insert)
        other.ask(P("asks", asked[0]), S)
        for before in (wire.query("select 1"), wire.query("select 1/0"), P("", "select 1") + B() + E() + S, E("no such portal") + S):
            for ask in (wire.query(asked[0]), P("", asked[0]) + B() + E() + S, B("", "asks") + E() + S):
                one.rows(insert)  # in a pipeline, too
                other.send(before + ask)
                other.until()
                assert wire.error_code(other.until()) == "55000"
        other.simple("deallocate asks")
        # what draws nothing makes nobody else's number one's own
        for harmless in ("select 1", "select count(*), now() from pg_class", "create sequence unused", "set work_mem = '5MB'", "drop sequence unused"):
            one.rows(insert)
            other.simple(harmless)
            assert wire.error_code(other.simple(asked[0])) == "55000", harmless
            one.rows(insert)
            other.simple("begin")
            other.simple("select 1")
            assert wire.error_code(other.simple(asked[1])) == "55000", harmless
            other.simple("rollback")
    with proxy.client() as alone:
        drawn = alone.value(insert + " returning id")
        assert alone.value(asked[1]) == drawn
    # a function that inserts makes its number the caller's, and takes the one before from whoever had it
    with proxy.client() as maker, proxy.client() as caller, proxy.client() as before:
        maker.simple(f"create function put() returns int language sql as $${insert} returning id$$")
        before.rows(insert)
        drawn = caller.value("select put()")
        assert wire.error_code(before.simple(asked[0])) == "55000"
        drawn = caller.value("select put()")
        assert caller.value(asked[0]) == drawn
        maker.simple("drop function put()")


@pytest.mark.parametrize("how", ["pdo", "new"])
def test_an_insert_keeps_its_connection_for_a_moment(start, how):
    """PHP's lastInsertId() is SELECT LASTVAL(), in a transaction of its own; and so it is for who isn't known yet."""
    proxy = start(max_server_connections=1)
    insert = "insert into scratch (who) values ('x')"

    def inserts(c):
        if how == "pdo":
            c.ask(P("pdo_stmt_00000001", insert), S)
            c.ask(B("", "pdo_stmt_00000001"), E(), S)
        else:
            c.simple(insert)
    for _ in range(20):  # this machine may take longer than the moment
        with proxy.client() as pdo, proxy.client() as other:
            inserts(pdo)
            other.send(wire.query(insert + " returning id"))
            held = not other.readable(0.01)
            last = pdo.simple("SELECT LASTVAL()")
            drawn = int(wire.rows(other.until())[0][0])
            assert proxy.show("PINS") == []
            if held and wire.error_code(last) is None:
                break
    assert held and wire.rows(last) == [[str(drawn - 1)]]
    for farewell in (wire.message("X"), wire.parse("", "select 1") + wire.message("X"), wire.query("begin") + wire.message("X")):
        with proxy.client() as pdo, proxy.client() as other:
            inserts(pdo)
            pdo.send(farewell)
            assert other.value("select 1") == "1"


def test_notifications_reach_an_idle_listener_and_nobody_else(start):
    proxy = start(max_server_connections=3)
    listener, sender, bystander = proxy.clients(3)
    listener.rows("listen news")
    bystander.value("select 1")
    sender.rows("notify news, 'hello'")
    msg = listener.recv(3)
    assert msg.type == "A" and b"hello" in msg.body
    assert not bystander.readable(0.2) and not sender.readable(0)
    for c in (listener, sender, bystander):
        c.terminate()


UNSEEN = {"create temp table unseen (a int)": ("temporary object", "select count(*) from unseen"),
          "perform pg_advisory_lock(77)": ("advisory lock", "select count(*) from pg_locks where locktype = 'advisory'"),
          "listen unseen": ("LISTEN", "select pg_listening_channels()"), "set role reader": (None, "select current_user"),
          "perform set_config('work_mem', '7MB', false)": (None, "show work_mem"),
          "perform set_config('my.unseen', 'x', false)": (None, "select nullif(current_setting('my.unseen', true), '')"),
          "set session \"My\".Unseen to 'y'": (None, "select nullif(current_setting('my.unseen', true), '')")}


@pytest.mark.parametrize("how", ["text", "prepared", "sql"])
def test_what_a_function_does_unseen(start, how):
    """It is its client's, as if the text had said it, and nobody else meets it; later calls are watched as well."""
    proxy = start(max_server_connections=1)
    with proxy.client() as c:
        for i, body in enumerate(UNSEEN):
            c.simple(f"create function unseen_{how}{i}() returns int language plpgsql as $$begin {body}; return 1; end$$")
        c.simple(f"create function unseen_{how}_none(i int) returns int language sql as 'select i'")
    with proxy.client() as one, proxy.client() as other:
        for _ in range(2):
            for i, (reason, probe) in enumerate(UNSEEN.values()):
                before = other.simple(probe)
                call = f"select unseen_{how}{i}()"
                if how == "sql":
                    one.simple(f"prepare unseen as {call}")
                    call = "execute unseen"
                done = one.ask(P("", call), B(), E(), S) if how == "prepared" else one.simple(call)
                assert wire.rows(done) == [["1"]]
                if reason is not None:
                    wait_until(lambda: [p["reason"] for p in proxy.show("PINS")] == [reason], 10, reason)
                after = one.value(probe)
                assert wire.rows(before) != [[after]], "it has what the function has done"
                if reason is None:
                    assert wire.rows(other.simple(probe)) == wire.rows(before)
                one.simple("discard all")
                assert wire.rows(other.simple(probe)) == wire.rows(before) and other.status == "I"
        pid = one.backend_pid()
        assert [one.value(f"select unseen_{how}_none({i})") for i in range(3)] == ["0", "1", "2"]
        assert other.backend_pid() == pid
    with proxy.client() as c:
        for i in [*range(len(UNSEEN)), "_none"]:
            c.simple(f"drop function unseen_{how}{i}")


@pytest.mark.parametrize("body", ["perform set_config('my.done', 'x', false)", "set my.done = 'x'", "set my.other = 'z'; set my.done to x"])
@pytest.mark.parametrize("how", ["text", "prepared"])
def test_custom_settings_in_a_do(start, body, how):
    probe, text = "select nullif(current_setting('my.done', true), '')", f"do $x$ begin {body}; end $x$"
    proxy = start(max_server_connections=1)
    with proxy.client() as one, proxy.client() as other:
        _ = one.simple(text) if how == "text" else one.ask(P("", text), B(), E(), S)
        assert other.value(probe) is None
        assert one.value(probe) == "x"
        assert other.value(probe) is None
        proxy.admin("reconnect")
        assert one.value(probe) == "x", "on another connection"


def test_a_setting_too_long_to_be_asked_for_stays_where_it_is(start):
    probe = "select length(nullif(current_setting('my.long', true), ''))"
    proxy = start(max_server_connections=2)
    with proxy.client() as one, proxy.client() as other:
        one.rows("select length(set_config('my.long', repeat('x', 1200000), false))")
        assert other.value(probe) is None
        assert one.value(probe) == "1200000"


@pytest.mark.parametrize("text", ["do 'begin perform set_config(''my.done'', ''x'', false); end'",
                                  "do $$ begin execute 'set my.done = 1'; end $$"])
def test_custom_settings_that_a_do_composes_are_nobody_elses(start, text):
    proxy = start(max_server_connections=1)
    with proxy.client() as one, proxy.client() as other:
        one.simple(text)
        assert other.value("select nullif(current_setting('my.done', true), '')") is None


def test_a_custom_setting_of_a_function_within_another(start):
    """Named by neither the text nor the function that the text names; local ones aren't taken for it."""
    probe = "select nullif(current_setting('my.tenant', true), '')"
    proxy = start(max_server_connections=1)
    with proxy.client() as one, proxy.client() as other:
        one.simple("create function inner_one(t text) returns void language plpgsql as "
                   "$$begin perform set_config('my.tenant', t, false); set local my.local = 1; end$$; "
                   "create function outer_one(t text) returns void language sql as 'select inner_one(t)'")
        for c, tenant in ((one, "a"), (other, "b"), (one, "c")):
            c.rows(f"select outer_one('{tenant}')")
        assert [one.value(probe), other.value(probe), one.value(probe)] == ["c", "b", "c"]
        with proxy.client() as fresh:
            assert fresh.value(probe) is None
        one.simple("drop function outer_one, inner_one")


@pytest.mark.parametrize("mode", ["session", "transaction"])
@pytest.mark.parametrize("before", ["select 1", "set session characteristics as transaction isolation level serializable",
                                    "set lock_timeout = 5; set datestyle = iso"])
def test_a_reset_leads_to_the_startup_value_whatever_was_set_before(start, pg, mode, before):
    """Also where the connection stays with its client, and nothing else is asked for."""
    proxy = start(max_server_connections=1, pool_mode=mode)
    given = {"work_mem": "3MB", "DateStyle": "German", "application_name": "mine"}
    probe = ("select current_setting('work_mem'), current_setting('datestyle'), current_setting('application_name'), "
             "current_setting('lock_timeout'), current_setting('default_transaction_isolation')")
    for reset in ("reset all", "discard all", "reset work_mem", "reset datestyle; select 1", "begin; reset all; commit",
                  "reset all; select 1/0", "do $$ begin reset work_mem; end $$"):
        steps = [before, "set work_mem = '5MB'", reset, probe, [P("", "reset all"), B(), E(), S], probe]
        with pg.direct(**given) as direct, proxy.client(**given) as c:
            found = difference(steps, play(direct, steps), play(c, steps))
            assert found is None, (reset, found)


@pytest.mark.parametrize("mode", ["session", "transaction"])
@pytest.mark.parametrize("text", ["set lock_timeout = 7; reset all", "begin; reset all; commit", "do $$ begin reset statement_timeout; end $$",
                                  "select set_config('statement_timeout', null, false) is null", "reset statement_timeout; select 1",
                                  "set statement_timeout = 0; select 1", "set statement_timeout = '1500ms'; select 1",
                                  "set statement_timeout = '20min'; select 1", "reset statement_timeout; select 1/0"])
def test_a_limit_given_at_startup_outlasts_its_reset(start, pg, mode, text):
    """The question what is set runs without the limit, and yet learns whether it is one of the session's own."""
    proxy = start(max_server_connections=1, pool_mode=mode)
    with proxy.client(statement_timeout="1h") as c, pg.direct(statement_timeout="1h") as direct:
        for before in ("select 1", "set work_mem = '5MB'; select 1", "set statement_timeout = '2h'"):
            for conn in (direct, c):
                conn.simple(before)
                conn.simple(text)
            assert c.value("show statement_timeout") == direct.value("show statement_timeout"), before


PATH = "select set_config('search_path', 'alpha', false)"
UNNAMED = {  # what was done before by others, and what sets a search_path unseen
    "a WITH of that name": (["with f_path as (select 1) select 1", "with f_path(x) as (select 1) select 1"], ["select f_path()"]),
    "behind many names": (["with " + ", ".join(f"a{i}(x) as (select 1)" for i in range(40)) + " select 1"] * 2,
                          ["with " + ", ".join(f"a{i}(x) as (select 1)" for i in range(40)) + " select f_path() from a1"]),
    "another database": (["other", "create or replace function f_path() returns int language sql as 'select 1'", "select f_path()"],
                         ["select f_path()"]),
    "another schema": (["select calm.f_path()"], ["select public.f_path()"]),
    "another search_path": (["set search_path = calm", "select f_path()", "reset search_path"], ["select f_path()"]),
    "a comment between": ([], ["select f_path/* x */()"]), "a comment of a line": ([], ["select f_path -- x\n()"]),
    "a comment of a built-in's name": ([], ["select f_path -- count\n()"]),
    "a schema with blanks": (["set search_path = calm", "select f_path()", "reset search_path"],
                             ["set search_path = calm", "select public . f_path()"]),
    "a table that was read": (["select * from fired", "select * from fired"], ["insert into fired values (1)"]),
    "a table that was copied out": (["copy fired to stdout"], ["copy fired from program 'echo 1'"]),
    "a view behind a comment": ([], ["select 1 from pg_am a, -- and\n viewed"]),
    "a table of rows": ([], ["table viewed"]), "a table that is made": ([], ["create table made as select f_path()"]),
    "an explained one": ([], ["explain analyze create table made as select f_path()"]),
    "a column that is added": (["select 1"], ["create table made (a int)", "insert into made values (1)",
                                              "alter table made add column t text default f_path()"]),
    "a limit of its own": (["select 1"], ["set statement_timeout = '1s'", "select f_path()"]),
    "a limit that it sets": ([], ["select f_hasty()"]),
    "a function that changes": (["select f_late()"], ["begin", "create or replace function f_late() returns text language sql as "
                                                      f"$$ {PATH} $$", "!select f_late()", "commit", "select f_late()"]),
}


@pytest.mark.parametrize("case", UNNAMED)
def test_names_that_tell_nothing(start, pg, case):
    """What is harmless elsewhere, or of another kind, or can't be read, is asked about."""
    before, texts = UNNAMED[case]
    with pg.superuser("shop") as su, pg.superuser("other") as there:
        clean = ("drop table if exists made, fired; drop view if exists viewed; drop schema if exists calm cascade; "
                 "drop function if exists f_path, f_fire, f_hasty, f_late")
        su.simple(clean)
        su.simple(f"create function f_path() returns text language sql as $$ {PATH} $$; create schema calm; "
                  "create function calm.f_path() returns int language sql as 'select 1'; grant usage on schema calm to public; "
                  "create function f_hasty() returns text language sql as "
                  f"$$ select set_config('statement_timeout', '1ms', false); {PATH} $$; "
                  "create function f_late() returns text language sql as 'select null::text'; alter function f_late owner to app; "
                  "create function f_fire() returns trigger language plpgsql as $$ begin perform public.f_path(); return new; end $$; "
                  "create table fired (a int); create view viewed as select f_path(); grant all on fired, viewed to public; "
                  "create trigger t before insert on fired for each row execute function f_fire(); "
                  "grant pg_execute_server_program to app")
        proxy = start(max_server_connections=3, default_pool_size=1 + (case == "a function that changes"), query_wait_timeout=30)
        others = proxy.client(database="other" if before[:1] == ["other"] else "shop")
        for sql in before[before[:1] == ["other"]:]:
            others.simple(sql)
        with proxy.client() as one, proxy.client() as other:
            for sql in texts:
                if sql.startswith("!"):
                    others.simple(sql[1:])
                else:
                    one.simple(sql)
            assert other.value("show search_path") == '"$user", public'
            assert one.value("show search_path") == "alpha"
        others.terminate()
        su.simple(clean + "; revoke pg_execute_server_program from app")
        there.simple("drop function if exists f_path")


def test_what_a_trigger_or_a_view_does_unseen(start):
    """Likewise; also of a trigger that comes when its table is known to be harmless."""
    proxy = start(max_server_connections=1)
    with proxy.client() as one, proxy.client() as other:
        for name, body in ("makes", "create temp table if not exists unseen (a int)"), ("sets", "perform set_config('work_mem', '7MB', false)"):
            one.simple(f"create function {name}() returns trigger language plpgsql as $$begin {body}; return null; end$$")
        one.simple("create function viewed() returns int language plpgsql as $$begin perform pg_advisory_lock(78); return 1; end$$; "
                   "create view unseen_view as select viewed(); create table fires (a int)")
        one.simple("insert into fires values (0)")
        one.simple("create trigger makes after insert on fires execute function makes(); "
                   "create trigger sets after update on public.fires execute function sets()")
        assert other.value("show work_mem") != "7MB"
        for _ in range(2):
            one.simple("update only public.fires set a = 1")
            assert other.value("show work_mem") != "7MB" and one.value("show work_mem") == "7MB"
            one.simple("reset work_mem")
            for text, reason, end in ("insert into fires (a) values (1)", "temporary object", "drop table unseen"), (
                    "select * from unseen_view", "advisory lock", "select pg_advisory_unlock_all()"):
                one.ask(P("", text), B(), E(), S)
                wait_until(lambda: [p["reason"] for p in proxy.show("PINS")] == [reason], 10, reason)
                one.simple(end)
                wait_until(lambda: proxy.show("PINS") == [], 10, "no pin")
        assert wire.rows(other.simple("select count(*) from pg_locks where locktype = 'advisory'")) == [["0"]]
        one.simple("drop view unseen_view; drop table fires; drop function makes, sets, viewed")


def test_a_function_that_changes_nothing_is_asked_about_once(start, pg):
    proxy = start(max_server_connections=1)

    def last():
        with pg.superuser() as s:
            return s.value(f"select query from pg_stat_activity where pid = {pid}")

    def asked():
        return wait_until(lambda: "pg_settings" in last(), 10, "the question")
    with proxy.client() as c:
        pid = c.backend_pid()
        c.simple("create function idle(i int) returns int language sql as 'select i'")
        assert c.value("select idle(0)") == "0" and asked()
        for i in (1, 2):
            assert c.value(f"select idle({i})") == str(i)
            time.sleep(0.1)  # for the question that must not come
            assert last() == f"select idle({i})"
        c.simple("create or replace function idle(i int) returns int language sql as 'select i + 1'")
        assert c.value("select idle(0)") == "1" and asked()
        c.simple("drop function idle")


PIN_CAUSES = {
    "create temp table p (i int)": "drop table p",
    "select pg_advisory_lock(9)": "select pg_advisory_unlock(9)",
    "listen p": "unlisten p",
    "declare p cursor with hold for select 1": "close p",
    "select nextval('seq')": "discard sequences",
    'prepare U&"p" as select 1': 'deallocate U&"p"',  # a name that is not read
}


@pytest.mark.parametrize("cause", sorted(PIN_CAUSES))
def test_a_pin_is_shown_with_its_reason_and_ends_with_its_cause(start, cause):
    proxy = start(max_server_connections=2)
    with proxy.client(application_name="pinner") as c:
        c.rows(cause)
        c.value("select 1")
        pins = proxy.show("PINS")
        assert len(pins) == 1, pins
        row = pins[0]
        text = " ".join(str(v) for v in row.values())
        assert "pinner" in text, "the function is named"
        assert any(k in row for k in ("reason",)) and row["reason"], row
        assert any("age" in k or "seconds" in k for k in row), row
        assert any("digest" in k or "statement" in k or "query" in k for k in row), row
        c.rows(PIN_CAUSES[cause])
        c.value("select 1")
        assert proxy.show("PINS") == []


def test_what_dblink_opened_is_kept_and_is_nobody_elses(start, pg):
    with pg.superuser() as c:
        c.rows("create extension if not exists dblink")
    proxy = start(max_server_connections=2)
    with proxy.client("boss") as c, proxy.client("boss") as other:
        c.rows(f"select dblink_connect('there', 'host={pg.dir} port={pg.port} user=postgres dbname=shop')")
        for _ in range(3):
            assert other.value("select dblink_get_connections()") is None
            assert c.value("select i from dblink('there', 'select 7') as t (i int)") == "7"
        assert [row["reason"] for row in proxy.show("PINS")] == ["dblink connection"]
        kept = c.value("select pg_backend_pid()")
    wait_until(lambda: pg.count(f"pid = {kept}") == 0, 10, "the end of the connection that had it")
    with proxy.client("boss") as c:
        assert c.value("select dblink_get_connections()") is None


def test_a_pin_lasts_as_long_as_its_client_wants(start):
    """client_gone_timeout is for what a client left behind, and for weir's own questions."""
    proxy = start(max_server_connections=len(PIN_CAUSES), client_gone_timeout="3s")
    clients = proxy.clients(len(PIN_CAUSES))
    for c, cause in zip(clients, sorted(PIN_CAUSES)):
        c.rows(cause)
    pids = [c.backend_pid() for c in clients]
    time.sleep(6)
    assert len(proxy.show("PINS")) == len(PIN_CAUSES)
    assert [c.backend_pid() for c in clients] == pids
    for c in clients:
        c.terminate()


def test_a_pin_lasts(start):
    """Longer than what weir gives itself to ask what pins, also with a statement sent meanwhile."""
    proxy = start(max_server_connections=2, client_gone_timeout=1)
    with proxy.client() as idle, proxy.client() as busy:
        idle.rows("create temp table p (i int)")
        busy.send(wire.query("select set_config('work_mem', '5MB', false)"), wire.query("select pg_sleep(3)"))
        busy.until("Z", 2)
        time.sleep(0.5)
        assert idle.value("select count(*) from p") == "0"
        assert busy.value("show work_mem") == "5MB"
        assert len(proxy.show("PINS")) == 1


def test_a_pin_ends_with_its_client(start):
    proxy = start(max_server_connections=2)
    c = proxy.client()
    c.rows("create temp table p (i int)")
    wait_until(lambda: len(proxy.show("PINS")) == 1, 15, "the pin")
    c.terminate()
    wait_until(lambda: proxy.show("PINS") == [], 15, "the pin's end")


def test_nothing_pins_without_cause(start):
    proxy = start(max_server_connections=2)
    with proxy.client() as c:
        for sql in ("set work_mem = '5MB'", "set role reader", "select 1", "begin", "savepoint a",
                    "create temp table x (i int) on commit drop", "commit", "select pg_advisory_xact_lock(1)",
                    "select 'create temp table'", "notify x", "select set_config('work_mem', '6MB', false)",
                    "prepare np (int) as select $1, nextval('seq')", "prepare n2 as select 1; execute n2"):
            c.simple(sql)
        c.extended("select $1::int", [1], name="named")
        assert proxy.show("PINS") == []
