# SPDX-License-Identifier: ISC
"""weir.deadline and deadline_ms: how long the answer is worth anything, waiting included."""

import asyncio
import re
import time

import asyncpg
import psycopg
import psycopg2
import pytest

from harness import wire
from harness.proxy import wait_until
from harness.wire import PgError

pytestmark = pytest.mark.weir_only

SLEEP = "select pg_sleep(20)"


def took(work):
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


def holder(proxy):
    c = proxy.client()
    c.simple("begin")
    c.value("select 1")
    return c


def running(pg):
    return pg.count("query like '%pg_sleep(20)%' and state = 'active' and pid <> pg_backend_pid()")


@pytest.mark.parametrize("how", ["startup", "set", "comment before", "comment behind"])
def test_bounds_the_statement(start, pg, how):
    proxy = start(max_server_connections=1)
    with proxy.client(**({"options": "-c weir.deadline=700"} if how == "startup" else {})) as c:
        sql = SLEEP
        if how == "set":
            c.simple("set weir.deadline = 700")
        elif how == "comment before":
            sql = "/* deadline_ms=700 */ " + SLEEP
        elif how == "comment behind":
            sql = SLEEP + " /*app='x',deadline_ms='700'*/;"
        pid = c.backend_pid()
        begun = time.monotonic()
        with pytest.raises(PgError) as e:
            c.rows(sql)
        assert 0.6 < time.monotonic() - begun < 10
        assert e.value.code == "57014" and "deadline" in str(e.value)
        assert running(pg) == 0
        assert c.backend_pid() == pid
    with proxy.client() as c:  # nobody inherits it
        assert c.value("show weir.deadline") == "0"
        assert c.rows("select pg_sleep(1)") == [['']]


@pytest.mark.parametrize("how", ["startup", "set", "comment"])
def test_bounds_the_wait(start, pg, how):
    proxy = start(max_server_connections=1, query_wait_timeout=60)
    with holder(proxy), proxy.client(**({"options": "-c weir.deadline=500"} if how == "startup" else {})) as c:
        if how == "set":
            c.simple("set weir.deadline to '500ms'")
        begun = time.monotonic()
        with pytest.raises(PgError) as e:
            c.rows("select 1" + (" /* deadline_ms=500 */" if how == "comment" else ""))
        assert 0.4 < time.monotonic() - begun < 10
        assert e.value.code == "53300" and re.search(r"within 5\d\d ms \(.*\), its deadline$", str(e.value))
    row = {r["name"]: r for r in proxy.show("FUNCTIONS")}["app"]
    assert int(row["refusals"]) == 1
    assert 'weir_function_refusals_total{function="app",reason="deadline"} 1' in proxy.http("/metrics")


def test_waiting_counts(start):
    """Of 2.5 s the queue took one: the statement gets the rest."""
    proxy = start(max_server_connections=1)
    with holder(proxy) as h, proxy.client() as c:
        begun = time.monotonic()
        c.send(wire.query("/* deadline_ms=2500 */ " + SLEEP))
        wait_until(lambda: int(proxy.pool()["cl_waiting"]) == 1, 10, "the waiter")
        time.sleep(1)
        h.simple("rollback")
        assert wire.error_code(c.until()) == "57014"
        assert 2.2 < time.monotonic() - begun < 12


def test_shorter_of_deadline_and_query_timeout(start):
    proxy = start(max_server_connections=1, query_timeout=1)
    with proxy.client(options="-c weir.deadline=30s") as c:
        with pytest.raises(PgError) as e:
            c.rows(SLEEP)
        assert e.value.code == "57014" and "query_timeout" in str(e.value)


def test_each_statement_has_it_anew(start):
    proxy = start(max_server_connections=1)
    with proxy.client(options="-c weir.deadline=1500") as c:
        c.simple("begin")
        for _ in range(5):
            c.rows("select pg_sleep(0.5)")
        c.simple("commit")
        time.sleep(1.6)
        assert c.value("select 1") == "1"


def test_what_follows_has_its_own_time(start):
    """Neither the deadline of the one before nor its cancel, which may come late, ends the next statement."""
    proxy = start(max_server_connections=2)
    with proxy.client() as c:
        with pytest.raises(PgError):
            c.rows("select pg_sleep(20) /* deadline_ms=200 */")
        assert c.rows("select pg_sleep(1.3)") == [['']]
        for i in range(10):  # the limits are looked at each 50 ms: some end just then
            if i % 2:
                c.simple("begin")
            assert wire.error_code(c.simple("select pg_sleep(0.15) /* deadline_ms=120 */")) in (None, "57014")
            if i % 2:
                c.simple("rollback")
            assert c.rows("select pg_sleep(0.03)") == [['']]


def test_set_show_reset_stay_here(start, pg):
    proxy = start(max_server_connections=1)
    with proxy.client(options="-c weir.deadline=9000") as c:
        for sql, shown in (("set weir.deadline = 2500", "2500"), ("SET SESSION weir.deadline TO '3s' ;", "3000"),
                           ("set \"weir.deadline\" to '1 min'", "60000"), ("set weir.deadline = 0", "0"),
                           ("reset weir.deadline", "9000"), ("set weir.deadline to default", "9000")):
            assert wire.error_code(c.simple(sql)) is None
            assert c.value("show weir.deadline") == shown
        for sql, code in (("set weir.deadline = 'soon'", "22023"), ("set weir.deadline = -1", "22023"),
                          ("set local weir.deadline = 1", "0A000")):
            assert wire.error_code(c.simple(sql)) == code
        c.simple("begin")
        assert c.simple("set weir.deadline = 2500")[-1] == wire.Msg("Z", b"T")
        assert wire.error_code(c.simple("select 1/0")) == "22012"
        assert wire.error_code(c.simple("set weir.deadline = 77")) == "25P02"
        c.simple("rollback")
        assert c.value("show weir.deadline") == "2500"
        with pytest.raises(PgError) as e:
            c.value("select current_setting('weir.deadline')")
        assert e.value.code == "42704"
    assert proxy.show("PINS") == []


def test_needs_no_server(start):
    proxy = start(max_server_connections=1)
    with holder(proxy), proxy.client() as c:
        c.simple("set weir.deadline = 400")
        assert c.value("show weir.deadline") == "400"


def test_wrong_in_the_startup(start):
    proxy = start()
    with pytest.raises(PgError) as e:
        proxy.client(options="-c weir.deadline=soon")
    assert e.value.code == "22023"


@pytest.mark.parametrize("how", ["comment", "startup"])
def test_in_a_pipeline(start, pg, how):
    """What came before is answered; the late one is cancelled; what follows it is skipped to the Sync."""
    proxy = start(max_server_connections=1)
    late = "/* deadline_ms=700 */ " + SLEEP if how == "comment" else SLEEP
    with proxy.client(**({"options": "-c weir.deadline=700"} if how == "startup" else {})) as c:
        def statement(name, sql):
            return [wire.parse(name, sql), wire.bind("", name), wire.execute()]
        for _ in range(2):
            c.send(*statement("", "insert into scratch (who) values ('pipeline')"), *statement("", late),
                   *statement("", "select 3"), wire.SYNC)
            msgs = c.until("Z", timeout=30)
            assert wire.error_code(msgs) == "57014" and "deadline" in wire.errors(msgs)[0]["M"]
            assert "INSERT 0 1" in wire.tags(msgs) and not [r for r in wire.rows(msgs) if r == ["3"]]
            assert c.value("select count(*) from scratch") == "0"
        assert running(pg) == 0


# --- real drivers --------------------------------------------------------------------------------------


def test_psycopg(start):
    proxy = start(max_server_connections=2)
    with psycopg.connect(proxy.dsn(), autocommit=True) as conn:
        conn.execute("set weir.deadline = 600")
        with pytest.raises(psycopg.errors.QueryCanceled, match="deadline"):
            conn.execute(SLEEP)
        assert conn.execute("select %s::int", [5]).fetchone() == (5,)
        conn.execute("set weir.deadline = 0")
        with pytest.raises(psycopg.errors.QueryCanceled, match="deadline"):
            conn.execute("select pg_sleep(%s) /* deadline_ms=600 */", [20])
        for _ in range(3):
            with pytest.raises(psycopg.errors.QueryCanceled, match="deadline"):
                conn.execute("select pg_sleep(%s) /* deadline_ms=600 */", [20], prepare=True)
        assert conn.execute("show weir.deadline", prepare=True).fetchone() == ("0",)
        for ms in (100, 200, 100):  # by the extended protocol, named and not
            conn.execute(f"set weir.deadline = {ms}", prepare=ms == 100)
            assert conn.execute("show weir.deadline").fetchone() == (str(ms),)
        with conn.pipeline():
            conn.execute("set weir.deadline = 700")
            a = conn.execute("show weir.deadline")
            b = conn.execute("select 1")
            conn.execute("reset weir.deadline")
            assert a.fetchone() == ("700",) and b.fetchone() == (1,)
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            conn.execute("set weir.deadline = 'x'", prepare=True)
        with conn.transaction():
            conn.execute("set weir.deadline = '5s'")
            assert conn.execute("select 2").fetchone() == (2,)
        assert conn.execute("show weir.deadline").fetchone() == ("5000",)


def test_psycopg2_rolls_back_and_goes_on(start):
    proxy = start(max_server_connections=1)
    conn = psycopg2.connect(proxy.dsn(options="-c weir.deadline=600"))
    with conn, conn.cursor() as cur:
        cur.execute("select 1")
        with pytest.raises(psycopg2.errors.QueryCanceled):
            cur.execute(SLEEP)
        conn.rollback()
        cur.execute("select 2")
        assert cur.fetchone() == (2,)
    conn.close()


def test_asyncpg(start):
    proxy = start(max_server_connections=2)

    async def work():
        conn = await asyncpg.connect(host=proxy.host, port=proxy.port, user="app", password="secret", database="shop", server_settings={"weir.deadline": "5000"})
        assert await conn.fetchval("show weir.deadline") == "5000"
        for _ in range(3):  # the second time the text isn't sent any more
            with pytest.raises(asyncpg.QueryCanceledError, match="deadline"):
                await conn.fetch("/* deadline_ms=600 */ select pg_sleep($1)", 20)
        stmt = await conn.prepare("set weir.deadline = 700")
        await stmt.fetch()
        assert await conn.fetchval("show weir.deadline") == "700"
        with pytest.raises(asyncpg.QueryCanceledError, match="deadline"):
            await conn.fetch(SLEEP)
        await conn.execute("reset weir.deadline")
        assert await conn.fetchval("show weir.deadline") == "5000"
        assert await conn.fetchval("select 1") == 1
        await conn.close()
    asyncio.run(work())


@pytest.mark.parametrize("also", ["select 1", "set work_mem = '12MB'"])
@pytest.mark.parametrize("reset", ["reset all", "discard all", "reset weir.deadline",
                                   "SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;"])
def test_a_reset_of_the_session_ends_it(start, reset, also):
    """Pools hand a session on: its next user has not asked for the deadline of the last one."""
    proxy = start()
    with proxy.client() as c, proxy.client(options="-c weir.deadline=9000") as timed:
        for conn, then in ((c, "0"), (timed, "9000")):
            conn.simple("set weir.deadline = 300")
            conn.simple(also)
            assert wire.error_code(conn.simple(reset)) is None
            assert conn.value("show weir.deadline") == then
            assert wire.error_code(conn.simple("select pg_sleep(0.6)")) is None
