# SPDX-License-Identifier: ISC
"""Sessions by the byte, directly and through weir: what differed once, and some that are drawn (differ.py)."""

import pytest
from pymysql.constants import CLIENT

from harness.myproxy import MyProxy
from mysql.differ import SESSION_TRACK, Differ

USUAL = CLIENT.MULTI_STATEMENTS | CLIENT.MULTI_RESULTS | CLIENT.PS_MULTI_RESULTS
DIAGNOSTICS = ("get diagnostics @n = number, @r = row_count",
               "get current diagnostics condition 1 @e = mysql_errno, @s=returned_sqlstate , @m = message_text, @c = class_origin",
               "GET DIAGNOSTICS CONDITION 2 @`e` = MYSQL_ERRNO, @'s' = returned_sqlstate, @t = table_name;", "get diagnostics @n = no_such",
               "get diagnostics condition @one @e = mysql_errno")
BOTH = {"a": (USUAL, "utf8mb4"), "b": (USUAL, "utf8mb4")}
TRACKING = {"a": (USUAL | SESSION_TRACK, "utf8mb4"), "b": (USUAL | SESSION_TRACK, "latin1")}


def q(*texts, me="a"):
    return [(me, ("query", t)) for t in texts]


ELSEWHERE = q("select 1 from items limit 3", "update t_b set n = 7 where id = 1", me="b")

PROGRAMS = {
    "numbers of statements nobody has": [("a", ("execute", 0, [1], False)), *q("show warnings"), ("a", ("reset", 0)), ("a", ("fetch", 0, 1)),
                                         ("a", ("close", 0)), *q("select row_count()")],
    "an execution without its parameters": [("a", ("prepare", 0, "select ? + 1")), ("a", ("bare", 0))],
    "a fetch without a cursor": [("a", ("prepare", 0, "select id from items")), *ELSEWHERE, ("a", ("fetch", 0, 1)), *q("select row_count()")],
    "names of columns": [*q("insert into t_a (v, n) values ('x', 50)"), *ELSEWHERE,
                         *q("select if(row_count() > 0, 'y', 'n'), concat(last_insert_id(), 'x'), row_count() /* x */ + 1, @@warning_count+0",
                            "select concat(row_count()) x, (last_insert_id()) as y, case when row_count() then 1 end, row_count() is null",
                            "select distinct `last_insert_id`() + 1, 'a', n from t_a where n = row_count()",
                            "(select last_insert_id() + 0) union select 2", "with c as (select last_insert_id() * 1) select * from c",
                            "show count(*) warnings", "show count(*) errors", "select @@identity, @@error_count, @@last_insert_id")],
    "the first of several statements": [*q("update t_a set n = n + 1"), *ELSEWHERE, *q("select row_count(); select row_count()")],
    "a number that RETURNING hides": [*q("insert into t_a (v, n) values ('r', 44)"), *ELSEWHERE,
                                      *q("select last_insert_id()", "do last_insert_id(12)"), *ELSEWHERE, *q("select last_insert_id(), @@identity")],
    "what a procedure put in": [*q("call p_insert('a')"), *ELSEWHERE, *q("select last_insert_id(), row_count()", "call p_fails()"), *ELSEWHERE,
                                *q("select row_count()", "show warnings")],
    "found rows are not the insert id": [*q("insert into t_b (v, n) values ('b', 70)", me="b"), *q("select sql_calc_found_rows id from t_a limit 1"),
                                         *q("select last_insert_id()")],
    "ping": [*q("update t_a set n = n + 1"), ("a", ("ping",)), *q("select row_count()"), *q("describe t_a"), ("a", ("ping",)),
             *q("select cast('x' as signed)"), ("a", ("ping",)), ("a", ("schema", "shop")), ("a", ("schema", "other")), ("a", ("option", 1)),
             *q("show warnings")],
    "warnings as they are now": [*q("begin", "insert into t_a (no_such) values (1)", "rollback", "show errors", "show errors limit 1")],
    "warnings that stay": [*q("drop table if exists u_a"), *ELSEWHERE, *q("start transaction read only", "select @@warning_count", "savepoint s",
                           "select @@warning_count", "release savepoint s", "commit", "select 1 from dual", "select @@warning_count")],
    "warnings after a list": [step for what in ("tables", "full tables", "databases", "variables like 'x'", "session status like 'x'", "create table t_a",
                                                "create database shop", "columns from t_a", "index from t_a", "table status like 'x'", "collation like 'x'",
                                                "grants", "privileges", "engines", "procedure status like 'x'", "plugins")
                              for step in (*q("selec", f"show {what}", "show warnings", "select @@warning_count"), *ELSEWHERE,
                                           *q("show warnings", "selec"), *ELSEWHERE, *q(f"show {what}", "show warnings"))],
    "warnings after a call": [*q("selec"), *ELSEWHERE, *q("call p_insert('a')", "select @@warning_count, @@error_count")],
    "warnings after preparing": [step for text in ("select 1", "select * from t_a", "begin", "do 1", "show warnings", "update t_a set n = 1")
                                 for step in (*q("select cast('x' as signed)"), *ELSEWHERE, ("a", ("prepare", 0, text)), *q("show warnings"))],
    "collations": [*q("set names utf8mb4 collate utf8mb4_bin"), *ELSEWHERE, *q("select 'A' = 'a', collation('x')", "select v from t_a",
                   "set names 'latin1' collate 'latin1_german1_ci', time_zone = '+02:00'"), *ELSEWHERE,
                   *q("select collation('x'), v, @@time_zone from t_a", "set names utf8mb4"), *ELSEWHERE, *q("select collation('x'), v from t_a",
                   "/*!40101 SET NAMES latin1 COLLATE latin1_bin */"), *ELSEWHERE, *q("select collation('x'), @@collation_connection"),
                   ("a", ("prepare", 0, "set names utf8mb4 collate utf8mb4_unicode_ci")), ("a", ("execute", 0, [], False)), *ELSEWHERE,
                   *q("select collation('x')")],
    "names that change nothing": q("set names utf8mb4", "select @@collation_connection", "set names utf8mb4", "set names latin1",
                                   "set names latin1", "select collation('x'), @@character_set_results", "set names utf8", "set names utf8"),
    "reset": [*q("set names latin1", "set sql_mode = ''"), ("a", ("option", 1)), ("a", ("again",)), *ELSEWHERE,
              *q("select @@character_set_client, @@collation_connection, @@sql_mode", "select 1; select 2", "select v from t_a limit 1")],
    "change user": [*q("set insert_id = 300, time_zone = '+01:00'"), ("a", ("user",)), *ELSEWHERE,
                    *q("insert into t_a (v, n) values ('x', 1234)", "select @@time_zone, last_insert_id()")],
    "change user leaves the option": [step for on in (1, 0) for how in ("user", "again", "user")
                                      for step in (("a", ("option", on)), ("a", (how,)), *ELSEWHERE, *q("select 1; select 2"))],
    "change user to what is warned of": [step for ask in ("show warnings", "show count(*) warnings", "get diagnostics @n = number")
                                         for step in (("a", ("user", 45)), *q("select 1"), ("a", ("user", 33)), *q(ask, "show warnings"), *ELSEWHERE,
                                                      *q("show warnings", "select cast('x' as signed)"), *ELSEWHERE, *q(ask, "show warnings"))],
    "the schema of a statement": [("a", ("prepare", 0, "select name from place")), ("a", ("prepare", 1, "select name, last_insert_id() from place")),
                                  *q("use other"), *ELSEWHERE, ("a", ("execute", 0, [], False)), ("a", ("execute", 1, [], False)),
                                  *q("select database(), name from place")],
    "counts of another's command": [*q("select id from t_a"), ("b", ("schema", "other")), *q("insert into t_a (v, n) values ('past', row_count())"),
                                    *q("select n from t_a where v = 'past'")],
    "reading a transaction": q("begin", "select 1", "commit", "start transaction read only", "rollback", "set autocommit = 0",
                               "select n from t_a limit 1", "commit"),
    "set @@name": [*q("set @@sort_buffer_size = 65536, @@sql_mode = 'ANSI_QUOTES', time_zone = '+01:00'"), *ELSEWHERE,
                   *q("select @@sort_buffer_size, @@sql_mode, @@time_zone", "/*!40101 SET @@sql_mode = '' */"), *ELSEWHERE, *q("select @@sql_mode"),
                   ("a", ("prepare", 0, "set @@lock_wait_timeout = 17")), ("a", ("execute", 0, [], False)), *ELSEWHERE,
                   *q("select @@lock_wait_timeout", "set @@insert_id = 400"), *q("insert into t_b (v, n) values ('mine', 1)", me="b"),
                   *q("insert into t_a (v, n) values ('x', 4321)", "select last_insert_id()", "set @@tx_isolation = 'SERIALIZABLE'",
                      "set @@no_such = 1", "set @@max_connections = 5")],
    "a savepoint before the first table": [
        *q("set autocommit = 0", "savepoint one"), *ELSEWHERE, *q("savepoint two", "release savepoint two"), *ELSEWHERE,
        *q("rollback to one", "select 1", "insert into t_a (v, n) values ('s', 61)"), *ELSEWHERE, *q("rollback to one", "commit", "rollback to one"),
        *ELSEWHERE, ("a", ("prepare", 0, "savepoint three")), ("a", ("execute", 0, [], False)), *ELSEWHERE, *q("rollback to three", "rollback"),
        *ELSEWHERE, *q("savepoint four", "set autocommit = 1", "rollback to four", "savepoint five", "rollback to five")],
    "get diagnostics": [step for text in ("select cast('x' as signed), 'y' + 1", "selekt 'ä'", "select 1", "drop table if exists u_a", "select 1/0",
                                          "insert into t_a (v, n) values ('w', '12 monkeys')", "update t_a set n = n + 1", "set names latin1",
                                          "insert ignore into t_a (id, v, n) values (1, 'w', null), (1, repeat('long', 9999), -1)",
                                          "select 'ä' + 1", "signal sqlstate '45001' set message_text = 'mine', mysql_errno = 3333")
                        for get in DIAGNOSTICS for step in (*q(text), *ELSEWHERE, *q(get, f"select @n, @r, @e, @s, {'@m' if text.isascii() else 'sha1(@m)'}, @c, @t"),
                                                             ("a", ("again",)))],
    "warnings that GET DIAGNOSTICS leaves": [step for text in ("select cast('x' as signed)", "selec") for other in ([], ELSEWHERE)
                                             for step in (*q(text), *other, *q("get diagnostics @n = number", "show warnings", "select @@error_count"),
                                                          *other, *q("get diagnostics condition 1 @e = mysql_errno", "show warnings"))],
    "a condition that isn't there": [step for text in ("select 1", "select cast('x' as signed)", "selec", "update t_a set n = n")
                                     for step in (*q(text, "get diagnostics condition 2 @e = mysql_errno", "select @@warning_count, @@error_count"),
                                                  *ELSEWHERE, *q("show warnings", text, "get diagnostics condition 3 @m = message_text"), *ELSEWHERE,
                                                  *q("show warnings", "show count(*) errors", "select @@warning_count, @@error_count"))],
    "a part of the warnings": [*q("select cast('x' as signed), cast('y' as signed), cast('z' as signed)"), *ELSEWHERE,
                               *q("show warnings limit 1 offset 1", "show warnings limit 9 offset 3", "show warnings limit 1, 2")],
    "more warnings than are listed": [*q("set max_error_count = 1", "select cast('x' as signed), cast('y' as signed)"), *ELSEWHERE,
                                      *q("show warnings", "select @@warning_count, @@error_count")],
    "what a text that was prepared asks": [*q("insert into t_a (v, n) values ('z', 62)", "prepare s from 'select row_count(), last_insert_id()'",
                                              "update t_a set n = n + 1 where id < 3", "execute s", "insert into t_a (v, n) values ('y', 63)",
                                              "execute s"), *ELSEWHERE, *q("execute s", "deallocate prepare s")],
    "an insert id that is set": [*q("set last_insert_id = 78"), *ELSEWHERE, *q("select last_insert_id(), @@identity", "set identity = 79, sql_mode = ''"),
                                 *ELSEWHERE, *q("select last_insert_id()", "insert into t_a (v, n) values ('id', last_insert_id())"), *ELSEWHERE,
                                 *q("select n from t_a where v = 'id'", "set last_insert_id = default", "set last_insert_id = 'x'"), *ELSEWHERE,
                                 *q("select last_insert_id()")],
    "a collation of another character set": [
        *q("set names latin1"), *ELSEWHERE, *q("set collation_connection = utf8mb4_bin"), *ELSEWHERE,
        *q("select collation('x'), @@character_set_connection, @@character_set_client", "set character_set_connection = latin1"), *ELSEWHERE,
        *q("select collation('x')", "set session collation_connection = 'binary'"), *ELSEWHERE,
        *q("select charset('x')", "set collation_connection = utf16_bin, time_zone = _latin1'+02:00', lc_time_names = 1"), *ELSEWHERE,
        *q("select charset('x'), @@time_zone, @@lc_time_names")],
    "character sets of the server, of files and of the schema": [
        *q("set character_set_server = latin1"), *ELSEWHERE, *q("select @@character_set_server, @@collation_server", "set collation_server = cp1251_bin"),
        *ELSEWHERE, *q("select @@character_set_server, @@collation_server", "set character_set_filesystem = latin1"), *ELSEWHERE,
        *q("select @@character_set_filesystem", "set collation_server = default", "set character_set_filesystem = default"), *ELSEWHERE,
        *q("select @@character_set_server, @@collation_server, @@character_set_filesystem", "set character_set_database = latin1"), *ELSEWHERE,
        *q("select @@character_set_database, @@collation_database"),
        *q("select @@character_set_server, @@character_set_filesystem, @@character_set_database", me="b")],
    "a setting that is NULL": [*q("set session default_tmp_storage_engine = MEMORY"), *ELSEWHERE, *q("set session default_tmp_storage_engine = NULL"),
                               *ELSEWHERE, *q("select @@default_tmp_storage_engine", "set character_set_results = null"), *ELSEWHERE,
                               *q("select @@character_set_results", "select 1 from t_a limit 1")],
    "one setting that sets another": [*q("set max_join_size = 2", "set sql_big_selects = 1"), *ELSEWHERE, *q("select @@max_join_size, @@sql_big_selects",
                                      "select count(*) from t_a x, t_a y, t_a z")],
    "a temporary table that could not be dropped": [
        *q("create temporary table u_a (n int)", "set session transaction read only", "drop temporary table u_a"), *ELSEWHERE,
        *q("drop table no_such_a, u_a", "select * from u_a", "set session transaction read write"), *ELSEWHERE,
        *q("drop sequence u_a"), *ELSEWHERE, *q("insert into u_a values (1)", "drop table no_such_a, u_a", "select * from u_a", "drop table if exists u_a")],
    "the last row once": [*q("set sql_auto_is_null = 1", "insert into t_a (v, n) values ('null', 64)"), *ELSEWHERE,
                          *q("select v from t_a where id is null", "select v from t_a where id is null")],
    "a setting that is warned of": [step for text in ("set big_tables = 0", "set storage_engine = innodb", "set profiling = 0", "set pseudo_slave_mode = 0",
                                                      "set max_delayed_threads = 20", "set sql_mode = 'STRICT_ALL_TABLES'", "set names utf8mb3",
                                                      "set character_set_client = utf8mb3", "set sql_mode = 'NO_ZERO_DATE,PAD_CHAR_TO_FULL_LENGTH'")
                                    for step in (*q("select 1 from t_a limit 1", text, text, "show warnings"), *ELSEWHERE, *q(text, "show warnings"))],
    "a routine's cursor": [*q("call p_cursor()", "select 1", "call p_cursor()"), *ELSEWHERE, ("a", ("prepare", 0, "call p_cursor()")),
                           ("a", ("execute", 0, [], False)), ("a", ("execute", 0, [], True)), *ELSEWHERE, *q("select 2")],
    "two cursors": [
        ("a", ("prepare", 0, "select id from items order by id")), ("a", ("prepare", 1, "select id from items order by id")),
        *[("a", (do, slot, *more)) for do, more in (("execute", ([], True)), ("fetch", (2,)), ("fetch", (1,))) for slot in (0, 1)], *ELSEWHERE,
        ("a", ("close", 0)), *ELSEWHERE, ("a", ("fetch", 1, 2)), ("a", ("prepare", 0, "select id from items order by id")), ("a", ("execute", 0, [], False)),
        ("a", ("prepare", 2, "select name from items")), ("a", ("execute", 2, [], True)), *ELSEWHERE, ("a", ("fetch", 2, 2000)), *ELSEWHERE,
        ("a", ("fetch", 1, 2)), *ELSEWHERE, ("a", ("reset", 1)), *ELSEWHERE, ("a", ("execute", 1, [], True)), ("a", ("fetch", 1, 2000))],
    "what is prepared anew": [
        *q("create or replace view u_v as select 1 as one"), ("a", ("prepare", 0, "show create view u_v")), ("a", ("execute", 0, [], False)),
        *q("create or replace view u_v as select 2 as two"), ("a", ("prepare", 1, "show create view u_v")), ("a", ("execute", 1, [], False)),
        ("a", ("prepare", 1, "show create view u_v")), *ELSEWHERE, *q("create or replace view u_v as select 3 as three", me="b"), *ELSEWHERE,
        ("b", ("prepare", 0, "show create view u_v")), *ELSEWHERE, ("b", ("execute", 0, [], False)),
        *ELSEWHERE, *q("drop view u_v"), ("a", ("prepare", 2, "select 'ä', collation('x')")),
        ("a", ("execute", 2, [], False)), *q("set names latin1"), ("a", ("prepare", 3, "select 'ä', collation('x')")), ("a", ("execute", 3, [], False)),
        *q("set names utf8mb4, character_set_connection = cp1251"), ("a", ("prepare", 4, "select 'ä', collation('x')")), ("a", ("execute", 4, [], False))],
    "SET TRANSACTION and what is prepared behind it": [
        ("a", ("prepare", 0, "set transaction read only")), ("a", ("execute", 0, [], False)), *ELSEWHERE, ("a", ("prepare", 1, "begin")), *ELSEWHERE,
        ("a", ("execute", 1, [], False)), *q("delete from t_a", "rollback")],
    "what a prepared SHOW WARNINGS leaves": [*q("update t_a set n = 'abc' where id = 1", "select cast('x' as signed)", "update ignore t_a set n = 'z' where id < 3"),
                                             *ELSEWHERE, ("a", ("prepare", 0, "show warnings")), ("a", ("execute", 0, [], False)), *q("select row_count()")],
    "settings told": q("set autocommit = 1", "set names utf8mb4", "set time_zone = 'SYSTEM', autocommit = on", "use shop",
                       "set @@character_set_client = utf8mb4", "set character_set_results = utf8mb4"),
}


@pytest.fixture(scope="module")
def differ(my):
    """One worker: who gets which connection is then the program's doing and not chance."""
    proxy = MyProxy(my, {"max_server_connections": 3, "query_wait_timeout": 10, "workers": 1})
    yield Differ(my, proxy)
    problem = proxy.destroy()
    assert not problem, problem


@pytest.mark.parametrize("flags", [BOTH, TRACKING], ids=["plain", "tracking"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_what_differed(differ, program, flags):
    steps = PROGRAMS[program]
    found = differ.difference(flags, steps)
    assert found is None, f"{steps[found[0]]}\ndirectly: {found[1]}\nthrough weir: {found[2]}"


@pytest.mark.parametrize("how", ["again", "user"])
def test_white_space_that_the_handshake_asks_for(differ, how):
    """MySQL remembers it for good, MariaDB up to the next reset."""
    steps = [*q("select @@sql_mode"), *ELSEWHERE, *q("select @@sql_mode, count (*) from t_a"), ("a", (how,)), *ELSEWHERE, *q("select @@sql_mode")]
    flags = {"a": (USUAL | CLIENT.IGNORE_SPACE, "utf8mb4"), "b": (USUAL, "utf8mb4")}
    for program in (steps, steps[-5:]):
        found = differ.difference(flags, program)
        assert found is None, f"{program[found[0]]}\ndirectly: {found[1]}\nthrough weir: {found[2]}"


def test_no_files_from_a_client_that_cannot_send_them(my, differ):
    answers = []
    for connect in (my.direct, differ.proxy.connect):
        with connect() as conn, conn.cursor() as c:
            for sql in ("load data local infile '/etc/passwd' into table scratch", "select 1"):
                try:
                    c.execute(sql)
                    answers.append(c.fetchall())
                except Exception as e:
                    answers.append(e.args)
    assert answers[:2] == answers[2:]


@pytest.mark.parametrize("seed", range(1, 10))
def test_drawn(differ, seed):
    said = differ.round(seed, 30)
    assert said is None, "\n" + said
