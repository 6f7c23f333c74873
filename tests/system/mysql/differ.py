# SPDX-License-Identifier: ISC
"""Random sessions, directly and through weir, whose every byte of every answer must be the same.

    tests/system/mysql/differ.py [--engine mariadb|mysql] [--seed N] [--rounds N] [--steps N]

A round has two or three sessions; their steps are drawn from the seed and played in turns, one at a time, by
packets (mywire): first on the server, then through a weir that has a connection for each session, so that
nobody waits and everybody gets what another left. Tables are made anew for each play. What is drawn is free
of what differs by nature (time, thread numbers, the order in which sessions lock one row). A round that
differs is shortened as long as it differs, and printed.
"""

import argparse
import hashlib
import os
import random
import re
import signal
import struct
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from pymysql.constants import CLIENT  # noqa: E402

from harness import mywire  # noqa: E402
from harness.mysql import USERS, MySQL  # noqa: E402
from harness.mywire import Wire  # noqa: E402
from harness.myproxy import MyProxy  # noqa: E402
from harness.proxy import wait_until  # noqa: E402

SESSIONS = ("a", "b", "c")
MORE_RESULTS, CURSOR = 8, 0x40

SETUP = [
    "create table if not exists t_{me} (id int primary key auto_increment, v varchar(20), n int not null default 0,"
    " unique key (n, v))",
    "truncate table t_{me}",
    "insert into t_{me} (v, n) values ('one', 1), ('two', 2), ('three', 3), ('four', 4)",
    "drop table if exists u_{me}",
    "drop table if exists other.t_{me}",
    "create table other.t_{me} (id int primary key auto_increment, v varchar(20), n int) auto_increment = 50",
]
ROUTINES = [
    "drop procedure if exists p_insert",
    "create procedure p_insert(in t varchar(5)) begin"
    " if t = 'a' then insert into t_a (v, n) values ('p', 900); elseif t = 'b' then insert into t_b (v, n) values"
    " ('p', 900); else insert into t_c (v, n) values ('p', 900); end if; select last_insert_id(), row_count(); end",
    "drop procedure if exists p_warns",
    "create procedure p_warns() begin declare x tinyint; select cast('1x' as signed); end",
    "drop procedure if exists p_fails",
    "create procedure p_fails() begin select 1; signal sqlstate '45000' set message_text = 'of the procedure'; end",
    "drop procedure if exists p_sets",
    "create procedure p_sets(in a int, out b int, inout c int) begin set b = a * 2, c = c + a; select a, b, c;"
    " set session group_concat_max_len = 3000 + a; end",
    "drop procedure if exists p_cursor",
    "create procedure p_cursor() begin declare x int; declare c cursor for select n from items order by id limit 3;"
    " open c; fetch c into x; select x; select 'more'; close c; end",
    "drop procedure if exists p_begins",
    "create procedure p_begins() begin start transaction; end",
    "drop procedure if exists p_temp",
    "create procedure p_temp() begin create temporary table if not exists tmp_p (a int); insert into tmp_p values (1);"
    " select count(*) from tmp_p; end",
]

# --- what is said -------------------------------------------------------------------------------

VARIABLES = [
    ("sql_mode", ["''", "'ANSI_QUOTES'", "'STRICT_TRANS_TABLES'", "'NO_BACKSLASH_ESCAPES'", "'TRADITIONAL'", "default",
                  "'NO_SUCH_MODE'", "concat(@@sql_mode, ',PIPES_AS_CONCAT')", "'STRICT_ALL_TABLES,NO_ZERO_DATE'"]),
    ("time_zone", ["'+03:00'", "'SYSTEM'", "'-11:30'", "default", "'no/where'", "@@global.time_zone"]),
    ("sort_buffer_size", ["65536", "1048576", "default", "-1", "'x'"]),
    ("group_concat_max_len", ["1000", "2000", "default", "4"]),
    ("foreign_key_checks", ["0", "1", "on", "off", "default", "OFF"]),
    ("unique_checks", ["0", "1", "default"]),
    ("sql_safe_updates", ["0", "1"]),
    ("sql_select_limit", ["2", "default", "18446744073709551615"]),
    ("lock_wait_timeout", ["17", "50", "default"]),
    ("innodb_lock_wait_timeout", ["7", "default"]),
    ("long_query_time", ["1.5", "20", "default"]),
    ("auto_increment_increment", ["1", "5", "default"]),
    ("div_precision_increment", ["2", "8", "default"]),
    ("lc_time_names", ["'de_DE'", "'en_US'", "default"]),
    ("transaction_isolation", ["'READ-COMMITTED'", "'REPEATABLE-READ'", "default"]),
    ("character_set_results", ["latin1", "'utf8mb4'", "null", "binary"]),
    ("character_set_client", ["latin1", "utf8mb4"]),
    ("collation_connection", ["utf8mb4_bin", "latin1_swedish_ci", "'utf8mb4_general_ci'"]),
    ("sql_warnings", ["0", "1"]),
    ("sql_notes", ["0", "1"]),
    ("max_error_count", ["0", "2", "default"]),
    ("tmp_table_size", ["2097152", "default"]),
    ("optimizer_switch", ["'mrr=on'", "default"]),
    ("last_insert_id", ["77", "0"]),
    ("insert_id", ["300"]),
    ("timestamp", ["1700000000", "default"]),
    ("rand_seed1", ["5"]),
    ("wait_timeout", ["100", "default"]),
    ("no_such_variable", ["1"]),
    ("autocommit", ["0", "1", "on", "off", "default"]),
    ("profiling", ["0"]),
    ("pseudo_slave_mode", ["0"]),
]
# What is asked again: what weir keeps from servers is not here, nor what is a fact of the connection.
ASKED = [name for name, _ in VARIABLES if name not in ("no_such_variable", "wait_timeout", "rand_seed1", "insert_id",
                                                       "timestamp", "pseudo_slave_mode")]
NAMES = ["utf8mb4", "latin1", "utf8mb4 collate utf8mb4_bin", "'utf8mb4'", "default", "latin1 collate latin1_bin", "utf8",
         "no_such", "utf8mb4 collate latin1_bin", "ascii", "binary"]

PAST = ["last_insert_id()", "row_count()", "@@identity", "@@warning_count", "@@error_count",
        "@@last_insert_id", "@@session.warning_count", "LAST_INSERT_ID ( )", "`last_insert_id`()"]


ASKS_DIAGNOSTICS = re.compile(r"show (count\(\*\) )?(warnings|errors)|diagnostics|@@(session\.)?(warning|error)_count", re.I)
WRITES = re.compile(r"insert|update|delete|replace", re.I)


class Draw:
    """Draws steps. `me` is replaced by the session's name at once."""

    def __init__(self, seed, mariadb):
        self.r, self.mariadb = random.Random(seed), mariadb
        self.me, self.then = "a", None

    def one(self, *of):
        return self.r.choice(of)

    def chance(self, percent):
        return self.r.random() * 100 < percent

    def number(self):
        return self.r.choice([0, 1, 2, 3, 4, 5, 7, 12, 99, 1000, -1])

    def text(self):
        return self.one("'x'", "'one'", "'two'", "null", "'it''s'", "repeat('l', 30)", "'12 monkeys'", "'\\\\'", "''", "0x41")

    # texts, of one statement

    def rows(self):
        t = f"t_{self.me}"
        return self.one(
            f"select * from {t} order by id", f"select count(*), sum(n) from {t}", f"select v from {t} where id = {self.number()}",
            f"select id, v from {t} order by id limit {self.r.randrange(4)}", "select 1", "select 'text', null, 1.5",
            f"select sql_calc_found_rows id from {t} order by id limit {self.r.randrange(3)}",
            f"(select 1) union (select n from {t} where id = 2)", f"select n, count(*) from {t} group by n order by n",
            f"select * from no_such_{self.me}", f"select no_such from {t}", "selec 1", "select cast('abc' as signed)",
            f"select n / 0 from {t} order by id limit 1", "select (select 1 union select 2)", "select database(), user()",
            f"with c as (select n from {t}) select count(*) from c", f"select id from {t} where v = {self.text()}",
            f"show tables like 't_{self.me}'", f"describe {t}", "select name from place", f"checksum table {t}",
            f"explain select 1 from {t} where id = 1" if self.mariadb else "select 2", "do 1, 2", "do cast('z' as signed)",
            f"select * from {t} where id in (select id from {t} where n > 1) order by id",
            f"select \"id\" from {t} limit 1", "select 'a' 'b'", "select charset('x'), collation('x')",
            "select @@version", f"select id from {t} where id = 1 for update", f"table {t}" if not self.mariadb else "values (1)")

    def changes(self):
        t = f"t_{self.me}"
        return self.one(
            f"insert into {t} (v, n) values ({self.text()}, {self.number()})",
            f"insert into {t} (v, n) values ('a', {self.number()}), ('b', {self.number()})",
            f"insert ignore into {t} (v, n) values ('one', 1), ('new', {self.number()})",
            f"insert into {t} (v, n) values ('one', 1) on duplicate key update n = n + 10, id = last_insert_id(id)",
            f"insert into {t} (v, n) select v, n + 50 from {t} where id <= 2",
            f"insert into {t} (v, n) values (last_insert_id(), row_count())",
            f"update {t} set n = n + 1 where id <= {self.number()}", f"update {t} set v = {self.text()} where id = {self.number()}",
            f"update {t} set n = n", f"update {t} set n = last_insert_id(n + 1) where id = 1", f"delete from {t} where id = {self.number()}",
            f"delete from {t} where n > 900", f"update {t} set n = 'abc' where id = 1", f"insert into {t} (n) values ('12 x')",
            f"insert into other.t_{self.me} (v, n) values ('o', 1)", f"update {t} set n = 5 order by id limit 2",
            f"insert into {t} () values ()", f"insert into {t} (no_such) values (1)",
            f"insert into {t} (v, n) values ('ret', 44) returning id, v" if self.mariadb else f"update {t} set n = 3 where id = 3")

    def past(self):
        t = f"t_{self.me}"
        p, q = self.one(*PAST), self.one(*PAST)
        return self.one(
            f"select {p}", f"select {p}, {q}", f"select {p} as x", f"select {p} + 1", f"SELECT {p} FROM dual",
            f"select {p}, id from {t} order by id limit 2", f"select * from {t} where id = {p}", f"select concat({p}, 'x')",
            f"select ({p})", f"select {p} limit 1", "show warnings", "show errors", "show count(*) warnings",
            "show count(*) errors", "show warnings limit 1", "show errors limit 1, 1", "SHOW WARNINGS;", f"set @p_{self.me} = {p}",
            f"insert into {t} (v, n) values ('past', {p})", "select last_insert_id(55)", f"do last_insert_id({self.number()})",
            "select @dn, @dr, @de, @dt", f"select distinct {p}", f"select if({p} > 0, 'y', 'n')", f"select {p} -- behind",
            f"select /* in */ {p}", f"select sql_no_cache {p}" if self.mariadb else f"select {p}", f"(select {p})", f"select {p} union select {q}",
            f"select 1 where {p} >= 0" if not self.mariadb else f"select 1 from dual where {p} >= 0")

    def assignment(self):
        name, values = self.r.choice(VARIABLES)
        how = self.one("{}", "session {}", "@@{}", "@@session.{}", "local {}", "@@LOCAL.{}", "{}", "SESSION {}")
        if "no_such" in name or self.chance(10):
            how = self.one("@@session.{}", "{}")
        if how == "@@{}" and name == "transaction_isolation":
            how = "session {}"
        return f"{how.format(name.upper() if self.chance(10) else name)} {self.one('=', ':=', '= ')} {self.r.choice(values)}"

    def variables(self):
        which = self.r.randrange(10)
        if which < 3:
            names = self.r.sample(ASKED, self.r.randint(1, 3))
            return "select " + ", ".join(self.one("@@", "@@session.") + n for n in names)
        if which < 6:
            return "set " + ", ".join(self.assignment() for _ in range(self.r.choice([1, 1, 1, 2, 3])))
        if which == 6:
            return self.one("set names ", "SET NAMES ", "set names ") + self.r.choice(NAMES)
        if which == 7:
            return self.one("/*!40101 set {} */", "/*!40101 SET @saved=@@sql_mode, {} */", "set {} -- x", "/* c */ set {}",
                            "set /* c */ {}", "/*!50003 set {} */", "/*!99999 set {} */", "set statement {} for select 1"
                            if self.mariadb else "set {}", "SET @old = 5, {}").format(self.assignment())
        if which == 8:
            return self.one("set character set latin1", "set charset default", "set character set utf8mb4",
                            "set session transaction read only", "set session transaction read write", "set transaction read only",
                            "set session transaction isolation level serializable", "set @@session.sql_mode = @@global.sql_mode",
                            "set transaction isolation level read uncommitted", "set session transaction isolation level repeatable read",
                            "set sql_mode = @saved", "set @@sql_mode = '', time_zone = '+01:00'", "show variables like 'sql_mode'",
                            "show session variables where variable_name in ('time_zone', 'autocommit')", "set role none")
        return self.one("set autocommit = 0", "set autocommit = 1", "set @@autocommit = 1", "set session autocommit = on",
                        "SET AUTOCOMMIT=1", "select @@autocommit, @@in_transaction" if self.mariadb else "select @@autocommit")

    def users(self):
        v = self.one("@x", "@y", "@`x`", "@X")
        t = f"t_{self.me}"
        return self.one(f"set {v} = {self.number()}", f"set {v} := {self.text()}", f"select {v}", f"select {v} := {self.number()}",
                        "select @x, @y", f"select max(id) into {v} from {t}", f"set {v} = (select count(*) from {t})",
                        f"select @r := @r + 1, id from {t} order by id limit 2", f"update {t} set n = (@x := n) where id = 1",
                        f"set @x = null, @y = null", f"select id, v into @x, @y from {t} where id = 1")

    def transactions(self):
        s = self.one("s1", "s2")
        return self.one("begin", "begin", "start transaction", "start transaction read only", "commit", "commit", "rollback",
                        "rollback", "start transaction with consistent snapshot", f"savepoint {s}", f"rollback to {s}",
                        f"release savepoint {s}", "commit work", "begin work",
                        f"create table if not exists u_{self.me} (a int)", f"drop table if exists u_{self.me}",
                        f"alter table t_{self.me} comment 'x'", "rollback to savepoint nowhere", "start transaction read write")

    def temporary(self):
        n = self.one("tmp1", "tmp2", "tmp1")
        return self.one(f"create temporary table {n} (a int, b varchar(10))", f"create temporary table if not exists {n} (a int)",
                        f"insert into {n} values (1, 'x')", f"insert into {n} (a) values ({self.number()})", f"select * from {n}",
                        f"drop temporary table {n}", f"drop table if exists {n}", f"drop temporary table if exists {n}",
                        f"create temporary table {n} as select id, v from t_{self.me}", f"alter table {n} add column c int",
                        f"drop table {n}", "drop temporary table if exists tmp1, tmp2", f"truncate table {n}",
                        f"create temporary table t_{self.me} (shadow int)", f"drop temporary table if exists t_{self.me}")

    def locks(self):
        lock = self.one(f"l1 {self.me}", f"l2 {self.me}")
        return self.one(f"select get_lock('{lock}', 0)", f"select release_lock('{lock}')", f"select is_free_lock('{lock}')",
                        f"select is_used_lock('{lock}') = connection_id()", "select release_all_locks()", f"do get_lock('{lock}', 0)",
                        f"do release_lock('{lock}')", f"select get_lock(concat('l1', ' {self.me}'), 0)", f"select GET_LOCK('{lock}', 0) as got",
                        f"lock tables t_{self.me} write", f"lock tables t_{self.me} read, items read", "unlock tables", "unlock tables",
                        f"handler t_{self.me} open", f"handler t_{self.me} read first", f"handler t_{self.me} read next",
                        f"handler t_{self.me} close", f"handler t_{self.me} open as h", "handler h read first", "handler h close")

    def texts(self):
        p = self.one("p1", "p2")
        return self.one(f"prepare {p} from 'select ? + 1'", f"prepare {p} from 'select * from t_{self.me} where id = ?'",
                        f"prepare {p} from 'insert into t_{self.me} (v, n) values (?, 70)'", "set @a = 1", f"execute {p} using @a",
                        f"execute {p} using @a", f"deallocate prepare {p}", f"drop prepare {p}", f"execute {p}", f"prepare {p} from 'selec'",
                        f"prepare {p} from 'set session sql_mode = \"ANSI_QUOTES\"'", "execute immediate 'select last_insert_id()'"
                        if self.mariadb else f"prepare {p} from 'select last_insert_id(), row_count()'", f"execute {p} using @a, @a")

    def routines(self):
        return self.one("call two_results(3)", "call nothing()", "call out_param(4, @o)", "select @o", "call sets_mode()",
                        "call sets_variable()", "select @hidden_by_call", f"call p_insert('{self.me}')", "call p_warns()", "call p_fails()",
                        "set @c = 1", "call p_sets(2, @b, @c)", "select @b, @c", "call p_begins()", "call p_temp()",
                        "select * from tmp_p", "call no_such()", "select twice(4)", "call two_results()")

    def others(self):
        return self.one("use other", "use shop", "use third", "use no_such", "select database()",
                        "select connection_id() = connection_id()", "select current_user()", "show databases like 'shop'",
                        "analyze table items", f"select table_rows >= 0 from information_schema.tables where table_name = 't_{self.me}'"
                        " and table_schema = 'shop'", "select sleep(0)", "", ";", "-- nothing", "/* nothing */",
                        f"xa start 'x{self.me}'", f"xa end 'x{self.me}'", f"xa rollback 'x{self.me}'",
                        f"xa commit 'x{self.me}' one phase", "begin not atomic select 1; set @na = 2; end" if self.mariadb else "select 3",
                        "select benchmark(1, 1)", "select 1 as `last_insert_id()`", "help 'no such thing'")

    def statement(self):
        pick = self.r.choices([self.rows, self.changes, self.past, self.variables, self.users, self.transactions, self.temporary,
                               self.locks, self.texts, self.routines, self.others],
                              [16, 14, 20, 14, 5, 11, 4, 4, 4, 4, 4])[0]
        return pick()

    def several(self):
        parts = [self.statement() for _ in range(self.r.choice([2, 2, 3]))]
        for i, part in enumerate(parts):
            if WRITES.match(part):
                break
            if ASKS_DIAGNOSTICS.search(part):  # of what was before the text: see docs/known-gaps.md
                parts[i] = "select 1"
        return "; ".join(parts)

    # steps

    def params(self):
        return [self.r.choice([1, 2, 3, 7, "x", "one", "text"]) for _ in range(self.r.choice([0, 1, 1, 1, 2]))]

    def binary(self):
        slot = self.r.randrange(3)
        t = f"t_{self.me}"
        text = self.one(f"select * from {t} where id = ?", "select ?, ?", f"insert into {t} (v, n) values (?, 60)", f"select * from {t} order by id",
                        f"update {t} set n = n + ? where id < 3", "select ? + 1", self.statement(), self.past(), self.past(), self.changes(),
                        f"select id from {t} where v <> ? order by id", "select 1", self.variables(), self.routines(), self.transactions())
        which = self.r.choice(["prepare"] * 5 + ["execute"] * 11 + ["close", "reset", "long", "fetch", "fetch", "bare"])
        if which == "prepare":
            return ("prepare", slot, text)
        if which == "execute":
            return ("execute", slot, self.params(), self.chance(12))
        if which == "long":
            return ("long", slot, 0, self.one("long", "data" * 50))
        if which == "fetch":
            return ("fetch", slot, self.r.choice([1, 2, 100]))
        return (which, slot)

    def step(self, me):
        self.me = me
        which = self.r.choices(["query", "several", "binary", "command", "found"], [64, 7, 20, 7, 2])[0]
        if which == "query":
            return ("query", self.statement())
        if which == "several":
            return ("query", self.several())
        if which == "found":
            self.then = ("query", self.one("select found_rows()", "select found_rows(), 1", "select found_rows() + 1", "do found_rows()"))
            return ("query", self.one(
                f"select sql_calc_found_rows id from t_{me} order by id limit {self.r.randrange(3)}", f"select id from t_{me} where n < 4",
                f"(select id from t_{me}) union (select 99)", f"select SQL_CALC_FOUND_ROWS * from t_{me} limit 1"))
        if which == "binary":
            return self.binary()
        return self.r.choice([("ping",), ("ping",), ("schema", "shop"), ("schema", "other"), ("schema", "no_such"), ("again",),
                              ("again",), ("user",), ("option", 1), ("option", 0), ("fields", f"t_{me}"), ("fields", "no_such")])

    def program(self, n_sessions, steps):
        names = SESSIONS[:n_sessions]
        out, me = [], names[0]
        for _ in range(steps):
            if self.chance(60):
                me = self.r.choice(names)
            out.append((me, self.step(me)))
            if self.then:  # perhaps with another's in between
                if self.chance(50):
                    other = self.r.choice(names)
                    out += [] if other == me else [(other, ("query", "select 1 from items limit 7"))]
                out.append((me, self.then))
                self.then = None
        return out

    def flags(self, n_sessions):
        out = {}
        for me in SESSIONS[:n_sessions]:
            f = CLIENT.MULTI_STATEMENTS | CLIENT.MULTI_RESULTS | CLIENT.PS_MULTI_RESULTS
            f |= self.r.choice([0, SESSION_TRACK]) | (CLIENT.FOUND_ROWS if self.chance(15) else 0)
            f |= CLIENT.IGNORE_SPACE if self.chance(10) else 0
            out[me] = (f, self.r.choice(["utf8mb4", "utf8mb4", "latin1"]))
        return out


SESSION_TRACK, STATE_CHANGED = 1 << 23, 0x4000


# --- one session ---------------------------------------------------------------------------------

def scramble(plugin, password, salt):
    def xor(a, b):
        return bytes(x ^ y for x, y in zip(a, b))
    password = password.encode()
    if plugin == b"mysql_native_password":
        first = hashlib.sha1(password).digest()
        return xor(first, hashlib.sha1(salt + hashlib.sha1(first).digest()).digest())
    first = hashlib.sha256(password).digest()
    return xor(first, hashlib.sha256(hashlib.sha256(first).digest() + salt).digest())


class Session:
    """Plays steps and tells what came back, packet by packet, as text."""

    def __init__(self, conn):
        self.wire = Wire(conn, 20)
        self.slots = {}
        self.calls = set()
        self.gone = self.asked = False  # asked for a cursor

    def close(self):
        self.wire.close()

    def play(self, step):
        if self.gone:
            return ["gone"]
        try:
            return getattr(self, "on_" + step[0])(*step[1:])
        except (mywire.Closed, ConnectionError):
            self.gone = True
            return ["closed"]

    # answers

    @staticmethod
    def name(data):
        if data[:1] == b"\xff":
            code = struct.unpack_from("<H", data, 1)[0]
            text = data[3:].decode("utf8", "replace")
            if code in (1243, 1421):
                text = re.sub(r"\(\d+\)", "(n)", text)
            return f"ERR {code} {text}"
        return repr(data)

    @staticmethod
    def column(data):
        """The length of what is computed of numbers is as long as the numbers are guessed to be."""
        fixed = len(data) - 12
        computed = data[4:7] == bytes(3) and data[fixed + 6] == 8
        return data[:fixed + 2] + bytes(4) + data[fixed + 6:] if computed else data

    @staticmethod
    def rest(ok):
        """Info, and session changes but for variables: MariaDB tells of SET name and not of SET @@name."""
        if not ok.status & STATE_CHANGED:
            return repr(ok.rest)
        n, at = mywire.lenenc(ok.rest, 0)
        info, at = ok.rest[at:at + n], mywire.lenenc(ok.rest, at + n)[1]
        changes = []
        while at < len(ok.rest):
            n, data = mywire.lenenc(ok.rest, at + 1)
            changes += [ok.rest[at:data + n]] if ok.rest[at] else []
            at = data + n
        return f"{info!r} {sorted(changes)!r}" if info or changes else repr(b"")

    def result(self):
        """One result; (packets, status or None)."""
        first = self.wire.payload()
        out = [self.name(first)]
        if first[:1] == b"\xff":
            return out, None
        if first[:1] == b"\x00":
            ok = mywire.OK(first)
            out[0] = f"OK affected={ok.affected} id={ok.insert_id} status={ok.status & ~STATE_CHANGED:#x} warnings={ok.warnings} {self.rest(ok)}"
            return out, ok.status
        if first[:1] == b"\xfe" and len(first) < 9:
            eof = mywire.EOF(first)
            return [f"EOF status={eof.status & ~STATE_CHANGED:#x} warnings={eof.warnings}"], eof.status
        if first[:1] == b"\xfb":
            self.wire.send(mywire.packet(b"", self.wire.seq + 1))
            return [*out, *self.result()[0]], 0
        for _ in range(mywire.lenenc(first, 0)[0]):
            out.append("column " + repr(self.column(self.wire.payload())))
        eof = mywire.EOF(self.wire.payload())
        cursor = self.asked and eof.status & CURSOR  # else it is a routine's own, and weir may keep it back
        status = eof.status & ~STATE_CHANGED & ~(0 if cursor else CURSOR)
        out.append(f"EOF status={status:#x} warnings={eof.warnings}")
        if cursor:
            return out, eof.status
        return self.rows(out)

    def rows(self, out):
        while True:
            data = self.wire.payload()
            if data[:1] == b"\xff":
                return [*out, self.name(data)], None
            if data[:1] == b"\xfe" and len(data) < 9:
                eof = mywire.EOF(data)
                return [*out, f"EOF status={eof.status & ~STATE_CHANGED:#x} warnings={eof.warnings}"], eof.status
            out.append("row " + repr(re.sub(rb".Unknown prepared statement handler \(\d+\)", b"..(n)", data)))

    def results(self):
        out = []
        while True:
            part, status = self.result()
            out += part
            if status is None or not status & MORE_RESULTS:
                return out

    # steps

    def on_query(self, sql):
        self.wire.send(mywire.query(sql))
        return self.results()

    def on_ping(self):
        self.wire.send(mywire.command(mywire.PING))
        return self.results()

    def on_schema(self, name):
        self.wire.send(mywire.command(mywire.INIT_DB, name.encode()))
        return self.results()

    def on_again(self):
        self.wire.send(mywire.command(mywire.RESET_CONNECTION))
        self.slots = {}
        return self.results()

    def on_option(self, value):
        self.wire.send(mywire.command(mywire.SET_OPTION, struct.pack("<H", value)))
        return self.results()

    def on_fields(self, table):
        self.wire.send(mywire.command(mywire.FIELD_LIST, table.encode() + b"\0"))
        out = []
        while True:
            data = self.wire.payload()
            if data[:1] == b"\xff" or (data[:1] == b"\xfe" and len(data) < 9):
                return out + [self.name(data)]
            out.append("field " + repr(data))

    def on_user(self, charset=45):
        plugin = b"mysql_native_password"
        self.wire.send(mywire.command(mywire.CHANGE_USER, b"app\0\0shop\0" + struct.pack("<H", charset) + plugin + b"\0\0"))
        self.slots = {}
        while True:
            data = self.wire.payload()
            if data[:1] == b"\xfe":
                plugin, salt = data[1:].split(b"\0", 1)
                answer = scramble(plugin, USERS["app"][0], salt[:20])
                self.wire.send(mywire.packet(answer, self.wire.seq + 1))
            elif data[:2] != b"\x01\x03":
                return [self.name(data[:1])]

    # prepared statements

    def number(self, slot):
        return self.slots.get(slot, 0x7fff0000 + slot)

    def on_prepare(self, slot, sql):
        self.wire.send(mywire.command(mywire.PREPARE, sql.encode()))
        first = self.wire.payload()
        if first[:1] == b"\xff":
            return [self.name(first)]
        old = self.slots.pop(slot, None)
        if old is not None:
            self.wire.send(mywire.command(mywire.CLOSE, struct.pack("<I", old)))
        self.slots[slot], columns, params = struct.unpack_from("<IHH", first, 1)
        (self.calls.add if sql.startswith("call") else self.calls.discard)(slot)
        out = ["prepared " + repr(first[5:])]
        for n in (params, columns):
            if n:
                out += ["definition " + repr(self.wire.payload()) for _ in range(n)]
                eof = mywire.EOF(self.wire.payload())
                out.append(f"EOF status={eof.status & ~STATE_CHANGED:#x} warnings={eof.warnings}")
        return out

    def on_execute(self, slot, params, cursor):
        self.wire.send(Wire.execution(self.number(slot), params, 1 if cursor else 0))
        self.asked = cursor and slot not in self.calls
        try:
            return self.results()
        finally:
            self.asked = False

    def on_bare(self, slot):
        """Without parameters and types."""
        self.wire.send(Wire.execution(self.number(slot)))
        return self.results()

    def on_close(self, slot):
        self.wire.send(mywire.command(mywire.CLOSE, struct.pack("<I", self.number(slot))))
        self.slots.pop(slot, None)
        return []

    def on_reset(self, slot):
        self.wire.send(mywire.command(mywire.RESET, struct.pack("<I", self.number(slot))))
        return self.results()

    def on_long(self, slot, param, data):
        self.wire.send(mywire.command(mywire.LONG_DATA, struct.pack("<IH", self.number(slot), param) + data.encode()))
        return []

    def on_fetch(self, slot, rows):
        self.wire.send(mywire.command(mywire.FETCH, struct.pack("<II", self.number(slot), rows)))
        return self.rows([])[0]


# --- a play ------------------------------------------------------------------------------------

class Differ:
    def __init__(self, my, proxy):
        self.my, self.proxy = my, proxy
        for statement in ROUTINES:
            my.rows(statement)

    def fresh(self):
        with self.my.root() as conn, conn.cursor() as c:
            for me in SESSIONS:
                for statement in SETUP:
                    c.execute(statement.replace("{me}", me))

    def quiet(self):
        """Every connection is one of weir's, and nobody has it."""
        busy = sum(int(p["sv_active"]) + int(p["cl_active"]) for p in self.proxy.my_show("POOLS") if p["user"] == "app")
        idle = sum(int(p["sv_idle"]) for p in self.proxy.my_show("POOLS") if p["user"] == "app")
        return busy == 0 and self.my.count() == idle

    def play(self, connect, flags, program):
        self.fresh()
        sessions = {me: Session(connect(client_flag=f, charset=charset)) for me, (f, charset) in flags.items()}
        try:
            return [sessions[me].play(step) for me, step in program]
        finally:
            for s in sessions.values():
                s.close()
            wait_until(self.quiet, 20, "the sessions' end")  # what they held is free

    def difference(self, flags, program):
        """(index, directly, through weir) of the first step that differs, or None."""
        direct = self.play(self.my.direct, flags, program)
        through = self.play(self.proxy.connect, flags, program)
        for i, (d, t) in enumerate(zip(direct, through)):
            if d != t:
                return i, d, t
        return None

    def shorten(self, flags, program, found):
        program = program[:found[0] + 1]
        size = max(1, len(program) // 2)
        while size:
            at = 0
            while at < len(program):
                shorter = program[:at] + program[at + size:]
                now = self.difference(flags, shorter) if shorter else None
                if now is not None:
                    program, found = shorter[:now[0] + 1], now
                else:
                    at += size
            size //= 2
        return program, found

    def round(self, seed, steps):
        """None, or a text that says what differs."""
        draw = Draw(seed, self.my.engine == "mariadb")
        n = draw.r.choice([2, 2, 3])
        flags, program = draw.flags(n), draw.program(n, steps)
        found = self.difference(flags, program)
        if found is None:
            return None
        program, found = self.shorten(flags, program, found)
        used = {me for me, _ in program}
        lines = [f"seed {seed}, flags " + ", ".join(f"{me}={flags[me][0]:#x}/{flags[me][1]}" for me in sorted(used))]
        lines += [f"  {me}: {step!r}" for me, step in program]
        return "\n".join(lines + ["directly:", *map("  {}".format, found[1]), "through weir:", *map("  {}".format, found[2])])


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--engine", default="mariadb")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--rounds", type=int, default=100)
    p.add_argument("--steps", type=int, default=40)
    a = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # nothing is left behind
    my = MySQL(a.engine)
    proxy = MyProxy(my, {"max_server_connections": 3, "query_wait_timeout": 10, "workers": 1})
    failed = 0
    try:
        differ = Differ(my, proxy)
        for seed in range(a.seed, a.seed + a.rounds):
            said = differ.round(seed, a.steps)
            if said:
                failed += 1
                print(said, flush=True)
        print(f"{a.rounds} rounds from seed {a.seed}: {failed} differ", flush=True)
    finally:
        problem = proxy.destroy()
        my.destroy()
    return 1 if failed or problem else 0


if __name__ == "__main__":
    sys.exit(main())
