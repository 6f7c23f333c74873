# SPDX-License-Identifier: ISC
"""pool_mode and server_reset_query."""

import pytest

from harness import mywire
from harness.mywire import Wire
from harness.proxy import wait_until


def free(proxy):
    return all(int(p["sv_active"]) == 0 for p in proxy.my_show("POOLS") if p["user"] == "app")


def test_session(my, start):
    """The connection is one client's until it goes, and clean when the next one gets it."""
    proxy = start(max_server_connections=1, pool_mode="session", query_wait_timeout="300ms")
    with Wire(proxy.connect()) as c:
        c.query("set @x = 1, time_zone = '+05:00'")
        thread = my.value("select id from information_schema.processlist where user = 'app'")
        with Wire(proxy.connect()) as other:
            assert other.error(mywire.QUERY, b"select 1") == 1040
        assert c.value("select @x") == "1"
        assert len(proxy.my_show("PINS")) <= 1
        c.quit()
    wait_until(lambda: free(proxy), 10, "the connection")
    with Wire(proxy.connect()) as other:
        assert other.query("select @x, @@time_zone").rows == [[None, b"SYSTEM"]]
        assert my.value("select id from information_schema.processlist where user = 'app'") == thread


def test_reset_of_a_session_is_the_servers(my, start):
    proxy = start(max_server_connections=1, pool_mode="session")
    with Wire(proxy.connect()) as c:
        c.query("create temporary table tmp (a int)")
        c.query("select get_lock('session', 0)")
        c.ask(mywire.RESET_CONNECTION)
        assert c.error(mywire.QUERY, b"select * from tmp") == 1146
        assert my.value("select is_free_lock('session')") == 1


def test_statement(start):
    proxy = start(max_server_connections=1, pool_mode="statement")
    with Wire(proxy.connect()) as c:
        for sql in ("begin", "start transaction", "/* x */ START TRANSACTION read only", "select 1; begin", "xa start 'x'",
                    "set autocommit = 0", "set time_zone = '+01:00', @@session.autocommit = off"):
            assert c.error(mywire.QUERY, sql.encode()) == 1105, sql
            assert c.error(mywire.PREPARE, sql.encode()) in (1105, 1064), sql
        c.query("set autocommit = 1")
        c.query("insert into scratch (who) values ('statement')")
        assert c.value("select count(*) from scratch where who = 'statement'") == "1"
        assert c.value("select @@autocommit") == "1"


@pytest.mark.parametrize("how", ["quit", "reset"])
def test_reset_query_of_a_session(my, start, how):
    proxy = start(max_server_connections=1, pool_mode="session",
                  server_reset_query="insert into scratch (who, note) values (concat('left ', @me), database())")
    for i in range(2):
        with Wire(proxy.connect()) as c:
            c.query(f"set @me = '{i}'")
            c.query("begin")
            c.query("insert into scratch (who) values ('rolled back')")
            getattr(c, how)()
        wait_until(lambda: free(proxy), 10, "the connection")
        assert my.rows("select who, note from scratch order by id") == [(f"left {n}", "shop") for n in range(i + 1)]
    with Wire(proxy.connect()) as c:
        assert c.query("select @me").rows == [[None]]


def test_reset_query_that_fails(my, start):
    proxy = start(max_server_connections=1, pool_mode="session", server_reset_query="select no_such_column")
    for _ in range(2):
        with Wire(proxy.connect()) as c:
            assert c.query("select @x").rows == [[None]]
            c.query("set @x = 1")
            c.quit()


def test_no_reset_query(my, start):
    """What weir knows of is undone all the same."""
    proxy = start(max_server_connections=1, pool_mode="session", server_reset_query="")
    with Wire(proxy.connect()) as c:
        c.query("set time_zone = '+05:00'")
        c.query("create temporary table tmp (a int)")
        c.quit()
    wait_until(lambda: free(proxy), 10, "the connection")
    with Wire(proxy.connect()) as c:
        assert c.value("select @@time_zone") == "SYSTEM"
        assert c.error(mywire.QUERY, b"select * from tmp") == 1146


@pytest.mark.parametrize("words", ["DISCARD ALL", "insert into scratch (who) values ('always')"])
def test_reset_query_always(my, start, words):
    proxy = start(max_server_connections=1, server_reset_query=words, server_reset_query_always=1)
    with Wire(proxy.connect()) as c:
        number = c.prepare("select 5")[0]
        c.query("set time_zone = '+05:00'")
        for _ in range(3):
            assert c.value("select @@time_zone") == "+05:00"
            assert len(c.execute(number).rows) == 1
        wait_until(lambda: free(proxy), 10, "the connection")
        if words != "DISCARD ALL":
            assert my.value("select count(*) from shop.scratch where who = 'always'") == 8
        assert int(my.rows("show global status like 'Prepared_stmt_count'")[0][1]) == 0
