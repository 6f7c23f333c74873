# SPDX-License-Identifier: ISC
"""weir.deadline and deadline_ms: how long the answer is worth anything, waiting included."""

import re
import time

import pymysql
import pytest

from harness import mywire
from harness.mywire import Wire, query
from harness.myproxy import one, rows
from harness.proxy import wait_until

# As SLEEP() alone ends without an error when it is interrupted.
SLOW = "select count(*) from items where sleep(5) = 0"


def waits(proxy):
    return sum(int(r["cl_waiting"]) for r in proxy.my_show("POOLS"))


@pytest.mark.parametrize("how", ["attribute", "set", "comment before", "comment behind"])
def test_bounds_the_statement(start, my, how):
    proxy = start(max_server_connections=1)
    with attributed(proxy, {"weir.deadline": "700"} if how == "attribute" else {}) as c:
        sql = SLOW
        if how == "set":
            c.query("set weir.deadline = 700")
        elif how == "comment before":
            sql = "/* deadline_ms=700 */ " + SLOW
        elif how == "comment behind":
            sql = SLOW + " /*app='x',deadline_ms='700'*/;"
        begun = time.monotonic()
        with pytest.raises(mywire.MyError) as e:
            c.query(sql)
        assert 0.6 < time.monotonic() - begun < 20
        assert e.value.code == 1317 and "deadline" in str(e.value)
        wait_until(lambda: my.count("info like '%sleep(5)%'") == 0, 10, "its end")
        c.query("select 1")


def attributed(proxy, attributes):
    """PyMySQL sends attributes of its own only."""
    conn = pymysql.connect(host=proxy.host, port=proxy.mysql_port, user="app", password="secret", database="shop",
                           defer_connect=True)
    conn._connect_attrs = dict(conn._connect_attrs, **attributes)
    conn.connect()
    return Wire(conn)


@pytest.mark.parametrize("how", ["attribute", "set", "comment"])
def test_bounds_the_wait(start, how):
    proxy = start(max_server_connections=1, query_wait_timeout=60)
    with Wire(proxy.connect()) as h, attributed(proxy, {"weir.deadline": "500"} if how == "attribute" else {}) as c:
        h.query("begin")
        h.query("select 1 from items limit 1")
        if how == "set":
            c.query("set weir.deadline = '500'")
        begun = time.monotonic()
        with pytest.raises(mywire.MyError) as e:
            c.query("select 1" + (" /* deadline_ms=500 */" if how == "comment" else ""))
        assert 0.4 < time.monotonic() - begun < 20
        assert e.value.code == 1040 and re.search(r"within 5\d\d ms \(.*\), its deadline$", str(e.value))


def test_waiting_counts(start):
    proxy = start(max_server_connections=1)
    with Wire(proxy.connect()) as h, Wire(proxy.connect()) as c:
        h.query("begin")
        h.query("select 1 from items limit 1")
        begun = time.monotonic()
        c.send(query("/* deadline_ms=2500 */ " + SLOW))
        wait_until(lambda: waits(proxy) == 1, 10, "the waiter")
        time.sleep(1)
        h.query("rollback")
        with pytest.raises(mywire.MyError) as e:
            c.answer()
        assert e.value.code == 1317
        assert 2.2 < time.monotonic() - begun < 20


def test_prepared(start):
    proxy = start(max_server_connections=1)
    with Wire(proxy.connect()) as c:
        stmt = c.prepare(SLOW + " /* deadline_ms=600 */")[0]
        for _ in range(2):
            with pytest.raises(mywire.MyError) as e:
                c.execute(stmt)
            assert e.value.code == 1317
        stmt = c.prepare(SLOW)[0]
        c.query("set weir.deadline = 600")
        with pytest.raises(mywire.MyError) as e:
            c.execute(stmt)
        assert e.value.code == 1317


def test_what_follows_has_its_own_time(start):
    """Neither the deadline of the one before nor its cancel, which may come late, ends the next statement."""
    proxy = start(max_server_connections=2)
    with proxy.connect() as c:
        with pytest.raises(pymysql.MySQLError):
            one(c, "/* deadline_ms=200 */ " + SLOW)
        assert one(c, "select count(*) from items where id = 1 and sleep(1.3) = 0") == 1
        for _ in range(10):  # the limits are looked at each 50 ms: some end just then
            try:
                one(c, "select count(*) from items where id = 1 and sleep(0.15) = 0 /* deadline_ms=120 */")
            except pymysql.MySQLError as e:
                assert e.args[0] == 1317
            assert one(c, "select count(*) from items where id = 1 and sleep(0.03) = 0") == 1


def test_set_stays_here(start):
    proxy = start(max_server_connections=1)
    with proxy.connect() as c, proxy.connect() as h, c.cursor() as cur:
        rows(h, "begin")
        rows(h, "select * from items")
        cur.execute("SET @@weir.deadline := 700")  # needs no server
        cur.execute("set session weir.deadline = default")
        rows(h, "rollback")
        for sql, code in (("set weir.deadline = 'soon'", 1231), ("set weir.deadline = 5, sql_mode = ''", 1105)):
            with pytest.raises(pymysql.MySQLError) as e:
                cur.execute(sql)
            assert e.value.args[0] == code
        assert one(c, "select sleep(1.2)") == 0
    assert proxy.my_show("PINS") == ()


def test_reset_connection(start):
    proxy = start(max_server_connections=1)
    with Wire(proxy.connect()) as c:
        c.query("set weir.deadline = 500")
        c.ask(mywire.RESET_CONNECTION)
        c.query("select sleep(1) from items limit 1")


def test_wrong_in_the_attributes(start):
    proxy = start()
    with pytest.raises(pymysql.MySQLError) as e:
        attributed(proxy, {"weir.deadline": "soon"})
    assert e.value.args[0] == 1231
