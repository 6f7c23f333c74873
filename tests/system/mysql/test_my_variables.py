# SPDX-License-Identifier: ISC
"""Session variables over changing server connections."""

import pytest

from harness import mywire
from harness.mywire import MyError, Wire
from harness.proxy import wait_until

# Idle or refused as they are set, or of the one connection only (see docs/known-gaps.md).
ELSEWHERE = {"autocommit", "pseudo_thread_id", "timestamp", "rand_seed1", "rand_seed2", "identity", "insert_id", "last_insert_id"}


@pytest.mark.parametrize("value", ["default", "@@global.{}"])
def test_every_variable_set_to_its_default(start, value):
    """Also those of which the server takes DEFAULT and not the value that it is: the session goes on elsewhere."""
    proxy = start(max_server_connections=2)
    with Wire(proxy.connect()) as c, Wire(proxy.connect()) as other:
        names = [row[0].decode() for row in c.query("show session variables").rows]
        tried = 0
        for name in sorted(set(names) - ELSEWHERE):
            try:
                c.query(f"set session {name} = {value.format(name)}")
            except MyError:
                continue  # read-only, global only, or for others
            before = c.query(f"select @@session.{name}").rows
            other.query("begin")  # on the connection that was used last
            assert c.query(f"select @@session.{name}").rows == before, name
            other.query("commit")
            c.ask(mywire.RESET_CONNECTION)
            tried += 1
        assert tried > 50


def test_every_variable_back_from_another_value(start):
    """Reset, or for the next client: also those whose default the server shows in words that it doesn't take, and
    those that nobody can switch off."""
    proxy = start(max_server_connections=2)
    with Wire(proxy.connect()) as c:
        names = [row[0].decode() for row in c.query("show session variables").rows]
    tried = []
    for name in sorted(set(names) - ELSEWHERE):
        with Wire(proxy.connect()) as c:
            for value in ("'2030-01-01'", "2", "1", "0", "1048576", "'utf8mb4_bin'", "'latin1'"):
                try:
                    before = c.query(f"select @@session.{name}").rows
                    c.query(f"set session {name} = {value}")
                    after = c.query(f"select @@session.{name}").rows
                except MyError:
                    continue  # read-only, global only, or no value for it
                if before == after:
                    continue
                tried.append(name)
                c.ask(mywire.RESET_CONNECTION)
                assert c.value("select 1") == "1", name
                c.query(f"set session {name} = {value}")
                break
        with Wire(proxy.connect()) as c:
            assert c.value("select 2") == "2", name
    assert len(tried) > 50
    assert proxy.my.engine != "mariadb" or "system_versioning_asof" in tried


@pytest.mark.parametrize("before", [[], ["set autocommit = 0"]])
def test_an_end_that_begins_another_transaction(start, before):
    proxy = start(max_server_connections=2)
    with Wire(proxy.connect()) as c, Wire(proxy.connect()) as other:
        for sql in [*before, "set completion_type = 1", "commit", "insert into scratch (who) values ('chained')", "rollback"]:
            c.query(sql)
        assert other.value("select count(*) from scratch where who = 'chained'") == "0"
        for sql in ("set completion_type = default", "rollback"):
            c.query(sql)
        wait_until(lambda: not any(int(p["sv_active"]) for p in proxy.my_show("POOLS")), 10, "the end of the loan")


TRACKING = ["session_track_system_variables = 'auto_increment_increment'", "SESSION session_track_system_variables = ''",
            "@@session_track_schema = off, session_track_state_change = 0", "`session_track_state_change` = default"]


@pytest.mark.parametrize("tracking", TRACKING)
@pytest.mark.parametrize("how", ["text", "prepared"])
def test_what_weir_is_told_of_is_not_the_clients_to_choose(start, tracking, how):
    """In a list that goes to the server, as MariaDB Connector/J begins with: nothing of anybody stays unseen afterwards."""
    asked = "select @@auto_increment_increment, @@group_concat_max_len, @@sql_mode, database()"
    text = f"set autocommit = 1, {tracking}, sql_mode = concat(@@sql_mode, ',PIPES_AS_CONCAT')"
    proxy = start(max_server_connections=1)
    with Wire(proxy.connect()) as fresh:
        before = fresh.query(asked).rows
    with Wire(proxy.connect()) as first:
        if how == "prepared":
            first.query(f"prepare p from '{text.replace(chr(39), chr(39) * 2)}'")
            first.query("execute p")
        else:
            first.query(text)
    for change in ("set auto_increment_increment = 3, group_concat_max_len = 77", "use other", "create temporary table unseen (a int)"):
        with Wire(proxy.connect()) as c:
            c.query(change)
        with Wire(proxy.connect()) as c:
            assert c.query(asked).rows == before, change
            assert c.error(mywire.QUERY, b"select * from unseen") == 1146


WRITES = b"insert into scratch (note) values ('x')"


@pytest.mark.parametrize("between", ["select 1", "do 1", "set autocommit = 1", "set names latin1", "show warnings",
                                     "use shop", "savepoint s", "unlock tables"])
def test_what_is_set_for_the_next_transaction_waits_for_it(start, between):
    """What reads no table is none; neither its client nor anybody else finds that it was."""
    proxy = start(max_server_connections=2)
    with Wire(proxy.connect()) as c, Wire(proxy.connect()) as stranger:
        c.query("set transaction read only")
        c.query(between)
        for _ in range(3):
            assert stranger.error(mywire.QUERY, WRITES) is None
        assert c.error(mywire.QUERY, WRITES) == 1792
        c.query("rollback")
        wait_until(lambda: not proxy.my_show("PINS"), 10, "the end of the pin")
        assert c.error(mywire.QUERY, WRITES) is None


@pytest.mark.parametrize("steps", [["select count(*) from items"], ["begin", "select count(*) from items", "commit"],
                                   ["begin", "select 1", "set autocommit = 0", "set autocommit = 1", "rollback"], ["select id from plain"],
                                   ["set autocommit = 0", "select id from plain", "select 1"], ["call nothing()"]])
def test_what_was_set_for_a_transaction_is_over_with_it(start, my, steps):
    """Where a table may be of an engine without transactions (plain), it is seen to that nothing is left."""
    proxy = start(max_server_connections=1)
    my.rows("create table plain (id int) engine = myisam select 1 as id")
    try:
        with Wire(proxy.connect()) as c, Wire(proxy.connect()) as stranger:
            c.query("set transaction read only")
            for sql in steps:
                c.query(sql)
            wait_until(lambda: not proxy.my_show("PINS"), 10, "the end of the pin")
            assert stranger.error(mywire.QUERY, WRITES) is None
    finally:
        my.rows("drop table plain")
