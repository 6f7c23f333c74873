# SPDX-License-Identifier: ISC
"""Random sessions, made from a seed: what three clients send, step by step, and nothing that depends on
a clock, a pid, or on what another client's server process does in its own time.

A step is (client, kind, data, marks):
  "ask"    bytes with Query, Sync or FunctionCall in them: read up to as many ReadyForQuery
  "flush"  extended messages and a Flush: read until each was answered, or one failed
  "copy"   the first bytes begin a COPY FROM STDIN, which may fail; the others go out when it began
  "fatal"  what may end the connection: read until ReadyForQuery or the end
  "again"  the client ends (how is data["end"]) and comes back with the parameters data["login"]
marks: "pins": from here on it may keep its server connection.
"""

import random
import struct

from . import wire
from .wire import bind, copy_data, copy_fail, message, parse, query

S, H, DONE = wire.SYNC, wire.FLUSH, wire.COPY_DONE
NAMES = ["", "", "s0", "s1", "s2"]
PORTALS = ["", "", "", "p0", "p1", "p2"]  # nothing is ever bound to the last one

SETTINGS = [
    ("work_mem", ["'5MB'", "'6MB'", "7777", "default"]), ("lock_timeout", ["'3s'", "4000", "'5s'"]),
    ("search_path", ["alpha", "beta, public", "'alpha, public'", "''", '"$user", public']),
    ("datestyle", ["'German'", "'SQL, DMY'", "iso"]), ("timezone", ["'Asia/Tokyo'", "'UTC'", "-3"]),
    ("intervalstyle", ["iso_8601", "'postgres'"]), ("application_name", ["'one'", "'t''wo'", "default"]),
    ("client_encoding", ["'LATIN1'", "'UTF8'"]), ("bytea_output", ["escape", "hex"]),
    ("extra_float_digits", ["0", "3", "'x'"]), ("geqo", ["off", "on", "maybe"]), ("my.var", ["'a'", "b", "1.5"]),
    ("other.var", ["'x y'", "''"]), ("default_transaction_isolation", ["'serializable'", "default"]),
    ("default_transaction_read_only", ["on", "off"]), ("client_min_messages", ["warning", "notice", "error"]),
    ("statement_timeout", ["'60s'", "0"]), ("no_such", ["1"]), ("max_connections", ["7"]), ("work_mem", ["'much'"]),
    ("default_text_search_config", ["'simple'", "default"]), ("row_security", ["off", "on"]),
    ("role", ["reader", "writer", "none", "nobody", "'reader'"]), ("xmloption", ["document"]),
    ("standard_conforming_strings", ["off", "on", "on"]),
]

PROBES = [
    "select name, setting from pg_settings where name in ('work_mem', 'lock_timeout', 'geqo', 'bytea_output', 'statement_timeout',"
    " 'extra_float_digits', 'row_security', 'default_transaction_isolation', 'xmloption') order by 1",
    "select current_user, session_user, current_setting('role')",
    # '' is what PostgreSQL leaves of a custom setting that the connection had before
    "select nullif(current_setting('my.var', true), ''), nullif(current_setting('other.var', true), '')",
    "show search_path", "show datestyle; show timezone; show work_mem", "show application_name",
    "select date '2024-05-06', interval '1 day 3 hours', '\\x00ff'::bytea", "show default_transaction_read_only",
    "show transaction_isolation", "select name from place", "show client_encoding",
    "select pg_listening_channels()", "select name, is_holdable from pg_cursors where name <> '' order by 1",
    "select objid, mode from pg_locks where locktype = 'advisory' and pid = pg_backend_pid() order by 1, 2",
    "select relname from pg_class where relnamespace = pg_my_temp_schema() order by 1",
]

PLAIN = [
    "select 1", "select 'x' as a, null as b, 1.5 as c", "select generate_series(1, 5)", "select 1/0", "selec 1",
    "select * from nowhere", "select 1 where false", "", ";", "/* nothing */", "values (1, 'a'), (2, 'b')", "select",
    "select repeat('x', 3000)", "select repeat('y', 100000)", "select i, repeat('z', i) from generate_series(1, 700) i",
    "select 'é'::text", "select count(*) from items where n = 0", "select name from place", "explain (costs off) select 1",
    "select 'set work_mem = 1'", "select $$create temp table no (i int)$$", "show server_version",
    "do $$ begin raise notice 'said %', 1; end $$", "do $$ begin raise warning 'careful' using hint = 'h'; end $$",
    "do $$ begin raise exception 'own' using errcode = 'W0001', detail = 'd'; end $$", "select current_user",
    "select 'a'::int", "select 1 as \"Mixed Case\"", "table items limit 2", "select pg_notify('c10', 'other')", "notify c20, 'other'",
    "select pg_advisory_xact_lock(7000)", "lock table scratch in access share mode", "set constraints all deferred",
    "drop table if exists nothing_there", "reset no_such", "checkpoint",
]

TRANSACTION = [
    "begin", "begin", "begin", "start transaction read only", "begin isolation level serializable", "commit", "commit", "end",
    "rollback", "abort", "savepoint a", "savepoint a", "savepoint b", "rollback to a", "rollback to savepoint b", "release a",
    "release savepoint b", "commit and chain", "rollback and chain", "set transaction read only",
    "set transaction isolation level repeatable read", "prepare transaction 'x'",
]

SETS = [
    "reset all", "reset work_mem", "reset search_path", "reset role", "reset application_name", "reset my.var",
    "reset session authorization", "set session authorization default", "set session authorization app",
    "set session authorization reader", "set local session authorization app", "set schema 'beta'", "set names 'UTF8'",
    "set time zone local", "set time zone interval '+02:00' hour to minute",
    "set session characteristics as transaction isolation level repeatable read",
    "set session characteristics as transaction read only, isolation level serializable",
    "set session characteristics as transaction read write", "set search_path from current", "set local my.var = 'l'",
    "select set_config('work_mem', '8MB', false)", "select set_config('work_mem', '9MB', true)",
    "select set_config('work_' || 'mem', '21MB', false)", "select set_config('search_path', 'beta', false), set_config('"
    "application_name', 'both', false)", "select set_config(name, '11MB', false) from pg_settings where name = 'work_mem'",
    "do $$ begin perform set_config('lock_timeout', '9s', false); end $$",
    "do $$ begin execute 'set work_' || 'mem = ''3MB'''; end $$", "do $$ begin set local work_mem = '2MB'; end $$",
    "do $$ begin perform set_config('work_mem', '4MB', false); raise exception 'undone'; end $$",
    "discard plans", "discard sequences", "discard temp", "discard all", "discard all", "alter system set work_mem = 1",
]

PINNING = [
    "create temp table tt{p} (i int)", "insert into tt{p} values (1), (2)", "select i from tt{p} order by i", "drop table tt{p}",
    "create temp table od{p} on commit drop as select 1 as x", "select 5 as five into temp ts{p}", "drop table if exists ts{p}",
    "create temp view tv{p} as select 2 as two", "drop view tv{p}", "create temp sequence tq{p}", "drop sequence if exists tq{p}",
    "select pg_try_advisory_lock({p}1)", "select pg_try_advisory_lock({p}2), pg_try_advisory_lock_shared({p}3)",
    "select pg_advisory_unlock({p}1)", "select pg_advisory_unlock_all()", "listen c{p}", "listen d{p}", "unlisten c{p}",
    "unlisten *", "notify c{p}, 'self'", "select pg_notify('d{p}', 'text')", "select nextval('sq{c}')", "select currval('sq{c}')",
    "select setval('sq{c}', 40)", "declare h{p} cursor with hold for select i from generate_series(1, 9) i",
    "fetch 2 from h{p}", "move 1 in h{p}", "close h{p}", "close all", "select setseed(0.25)", "select setseed(2)",
    "create function pg_temp.tf() returns int language sql as 'select 5'", "create function pg_temp.tf() returns int language sql as 'select 6'; select pg_temp.tf()",
    "do $$ begin execute 'create te' || 'mp table hid{p} (i int)'; end $$", "drop table if exists hid{p}",
]

TABLES = [
    "create table r{c} (i int, t text)", "create table if not exists r{c} (i int, t text)", "drop table r{c}",
    "insert into r{c} values (1, 'a'), (2, 'b') returning i", "update r{c} set i = i + 1", "delete from r{c}",
    "select i, t from r{c} order by i limit 5", "truncate r{c}", "alter table r{c} add column if not exists j int",
    "copy r{c} (i, t) to stdout", "copy (select i from r{c} order by i) to stdout (format csv, header)",
    "insert into r{c} (t) values ('only')", "select count(*) from r{c}", "create index on r{c} (i)",
    "copy (select generate_series(1, 4)) to stdout (format binary)", "copy (select 1/0) to stdout", "analyze r{c}",
    "copy (select i, repeat('w', 100) from generate_series(1, 2000) i) to stdout", "vacuum r{c}",
]

CURSORS = [
    "declare k{c} cursor for select i from generate_series(1, 20) i", "fetch 3 from k{c}", "fetch all from k{c}", "close k{c}",
    "move 2 in k{c}", "fetch backward 1 from k{c}", "fetch 2 from p0",
]

# (text, types given, values)
PREPARED = [
    ("select $1::int + 1", (), ["1"]), ("select $1::int + 1", (), ["no number"]), ("select $1::int + 1", (), []),
    ("select $1, $2::int", (25,), ["t", "5"]), ("select $1", (23,), ["8"]), ("select $1", (), ["untyped"]),
    ("select 1/i from generate_series(0, $1::int) i", (), ["2"]), ("select 1/i from generate_series($1::int, 2) i", (), ["1"]), ("select i from generate_series(1, $1::int) i", (), ["7"]),
    ("insert into r{c} values ($1, $2)", (), ["3", "c"]), ("insert into r{c} (i) values ($1) returning i", (), ["4"]),
    ("select set_config($1, $2, false)", (), ["work_mem", "12MB"]), ("select set_config($1, $2, false)", (), ["my.var", "p"]),
    ("select set_config($1, $2, $3)", (), ["search_path", "alpha", "t"]), ("select repeat('r', $1)", (), ["70000"]),
    ("select $1::bytea", (), ["\\x0102"]), ("select name from place where $1", (16,), ["t"]),
    ("select id from items where id = any ($1) order by id", (), ["{3,1,2}"]), ("select; select", (), []),
    ("select i from r{c} where i = $1", (), ["1"]), ("select $1::timestamptz", (), ["2024-01-02 03:04:05+00"]),
]


def choose(rnd, weighted):
    return rnd.choices([w[0] for w in weighted], [w[1] for w in weighted])[0]


class Maker:
    """Writes the steps of one seed."""

    def __init__(self, seed, clients=3, pins=True):
        self.rnd = random.Random(seed)
        self.clients, self.pins = clients, pins
        self.lives = [0] * clients
        self.rows = set()  # (client, portal): what may be executed once more. PostgreSQL crashes on some others
        self.marks = set()

    def pick(self, texts, client):
        """{c}: the client; {p}: this session of it, for the one before may not be cleaned up yet."""
        text = self.rnd.choice(texts)
        return text.replace("{c}", str(client)).replace("{p}", f"{client}{self.lives[client]}")

    def setting(self):
        name, values = self.rnd.choice(SETTINGS)
        how = choose(self.rnd, [("set", 6), ("set session", 1), ("set local", 2), ("SET\n/*x*/ ", 1)])
        return f"{how} {name} {self.rnd.choice(['=', 'to'])} {self.rnd.choice(values)}"

    def statement(self, client):
        kind = choose(self.rnd, [("plain", 20), ("transaction", 16), ("setting", 14), ("sets", 9), ("probe", 12),
                                 ("pin", 9 if self.pins else 0), ("table", 12), ("cursor", 4)])
        if kind == "setting":
            return self.setting()
        if kind == "pin":
            self.marks.add("pins")
        else:
            text = {"plain": PLAIN, "transaction": TRANSACTION, "sets": SETS, "probe": PROBES, "table": TABLES,
                    "cursor": CURSORS}[kind]
            return self.pick(text, client)
        return self.pick(PINNING, client)

    # --- extended protocol ------------------------------------------------------------------------

    def text(self, client):
        if self.rnd.random() < 0.5:
            sql, types, values = self.rnd.choice(PREPARED)
            return sql.replace("{c}", str(client)), types, values
        sql = self.statement(client)
        return sql, (), []

    def values(self):
        return self.rnd.choice([[], ["1"], ["1"], ["2", "b"], [None], ["x"]])

    def binding(self, name, values):
        rnd = self.rnd
        formats = rnd.choice([(), (), (), (0,), (1,), (0, 1)])
        if 1 in formats:
            values = [struct.pack("!i", 3) if v is not None else None for v in values]
        return bind("p3", name, values, formats, rnd.choice([(), (), (0,), (1,), (0, 0)]))

    def extended(self, client, count):
        """`count` messages of the extended protocol, without Sync."""
        rnd, out = self.rnd, []
        while len(out) < count:
            kind = choose(rnd, [("whole", 10), ("parse", 6), ("reuse", 8), ("describe", 3), ("close", 3), ("execute", 3),
                                ("broken", 0.4)])
            name = rnd.choice(NAMES)
            if kind == "whole":
                sql, types, values = self.text(client)
                portal = rnd.choice(PORTALS[:-1])
                if rnd.random() < 0.3 and name:
                    out.append(wire.close_statement(name))
                out.append(parse(name, sql, types))
                if rnd.random() < 0.2:
                    out.append(wire.describe_statement(name))
                out.append(bind(portal, name, values))
                self.rows.discard((client, portal))
                if sql.startswith(("select $", "select i", "values", "show")):
                    self.rows.add((client, portal))
                if rnd.random() < 0.6:
                    out.append(wire.describe_portal(portal))
                out.append(wire.execute(portal, rnd.choice([0, 0, 0, 1, 3])))
            elif kind == "parse":
                sql, types, _ = self.text(client)
                out.append(parse(name, sql, types))
            elif kind == "reuse":
                portal = rnd.choice(PORTALS[:-1])
                self.rows.discard((client, portal))
                out += [bind(portal, name, self.values()), wire.execute(portal, rnd.choice([0, 0, 2]))]
            elif kind == "describe":
                out.append(wire.describe_statement(name) if rnd.random() < 0.6 else
                           wire.describe_portal(rnd.choice(PORTALS)))
            elif kind == "close":
                out.append(wire.close_statement(name) if rnd.random() < 0.7 else wire.close_portal(rnd.choice(PORTALS)))
            elif kind == "execute":
                portal = rnd.choice(PORTALS)
                if (client, portal) in self.rows or portal == "p2":
                    out.append(wire.execute(portal, rnd.choice([0, 1, 2])))
            else:
                out.append(rnd.choice([message("D", b"Xname\0"), message("C", b"Xname\0"), message("B", b"\0\0\0"),
                                       message("P", b"s9\0select 1\0"), message("E", b"\0"), self.binding(name, ["1"]),
                                       message("P", b"s9\0select 1\0\0\0more"), message("D", b"S"), message("H", b"x"), message("S", b"x")]))
        return out

    def batch(self, client):
        out = self.extended(client, self.rnd.randint(1, 6))
        return out + [S]

    def pipeline(self, client):
        out = []
        for _ in range(self.rnd.randint(2, 5)):
            what = choose(self.rnd, [("batch", 8), ("query", 2), ("sync", 1)])
            out += {"batch": lambda: self.batch(client), "query": lambda: [query(self.simple_text(client))],
                    "sync": lambda: [S]}[what]()
        return out

    # --- simple protocol, COPY, functions -----------------------------------------------------------

    def simple_text(self, client):
        count = choose(self.rnd, [(1, 7), (2, 2), (3, 1), (5, 0.5)])
        return "; ".join(self.statement(client) for _ in range(count))

    def function(self):
        """FunctionCall: int4pl, int4div, repeat, set_config, and one that isn't there."""
        oid, values = self.rnd.choice([(177, ["1", "2"]), (154, ["1", "0"]), (154, ["6", "2"]), (1622, ["ab", "3"]),
                                       (2078, ["work_mem", "13MB", "f"]), (2078, ["work_mem", "14MB", "t"]), (999999, []),
                                       (177, ["1"])])
        body = struct.pack("!IHHH", oid, 1, 0, len(values))
        for value in values:
            body += struct.pack("!i", len(value)) + value.encode()
        return message("F", body + struct.pack("!H", 0))

    def copy_in(self, client):
        rnd = self.rnd
        sql = rnd.choice([f"copy r{client} (i, t) from stdin", f"copy r{client} (i) from stdin (format csv)",
                          f"copy r{client} from stdin (format binary)", f"copy nowhere{client} from stdin",
                          f"select 1; copy r{client} (i, t) from stdin; select 2", "copy items from stdin"])
        data = [copy_data(rnd.choice([b"1\tx\n", b"2\ty\n", b"5\n", b"no\tz\n", b"7\tpart", b"\n", b"", b"8\t" + b"q" * 9000
                                      + b"\n", b"\\.\n"])) for _ in range(rnd.randint(0, 4))]
        end = choose(rnd, [(DONE, 8), (copy_fail("no more"), 3)])
        if rnd.random() < 0.2:
            data.insert(0, H)
        if rnd.random() < 0.5:
            return [query(sql)], data + [end]
        # under a name of its own: bound elsewhere it would wait for data
        begin = [wire.close_statement("cp"), parse("cp", sql), bind("cp", "cp"), wire.execute("cp")]
        return begin, data + [end, S]

    # --- the whole ------------------------------------------------------------------------------------

    def step(self, client):
        rnd = self.rnd
        self.marks = set()
        kind = choose(rnd, [("simple", 40), ("batch", 26), ("pipeline", 8), ("flush", 6), ("copy", 5), ("copy at once", 3),
                            ("function", 3), ("again", 3), ("fatal", 0.5)])
        if kind == "simple":
            data = [query(self.simple_text(client))]
        elif kind == "batch":
            data = self.batch(client)
        elif kind == "pipeline":
            data = self.pipeline(client)
        elif kind == "flush":
            return (client, "flush", self.extended(client, rnd.randint(1, 4)) + [H], self.marks)
        elif kind == "copy":
            begin, rest = self.copy_in(client)
            return (client, "copy", {"begin": begin, "rest": rest}, self.marks)
        elif kind == "copy at once":
            begin, rest = self.copy_in(client)
            data = begin + rest
        elif kind == "function":
            data = [self.function()]
        elif kind == "again":
            self.lives[client] += 1
            return (client, "again", {"end": rnd.choice(["X", "close", "reset"]), "login": self.login()}, self.marks)
        else:
            data = [rnd.choice([message("y", b""), message("Q", b"no end"), message("p", b"x\0"), message("Q", b"a\0b\0")])]
            self.lives[client] += 1
            return (client, "fatal", data, self.marks)
        return (client, "ask", data, self.marks)

    def login(self):
        return self.rnd.choice([{}, {}, {"application_name": "named"}, {"options": "-c work_mem=3MB --search_path=beta"},
                                {"TimeZone": "Asia/Tokyo", "DateStyle": "German"}, {"options": "-c my.var=start"},
                                {"client_encoding": "LATIN1"}, {"options": "-c role=reader"}])

    def steps(self, count):
        out, client = [], 0
        for _ in range(count):
            if self.rnd.random() < 0.5:
                client = self.rnd.randrange(self.clients)
            out.append(self.step(client))
        return out
