# SPDX-License-Identifier: ISC
"""Sessions that must not be able to tell a proxy from the database: what test_session.py plays."""

import struct

from harness import wire
from harness.transcript import B, CP, CS, DP, DS, E, H, P, Q, S, ext

SCRIPTS = {}
PINS = set()      # these keep their connection: not for a bound of one beside other clients
LOGIN = {}        # startup parameters, user


def script(name, *steps, pins=False, **login):
    assert name not in SCRIPTS
    SCRIPTS[name] = list(steps)
    if pins:
        PINS.add(name)
    LOGIN[name] = login


def shows(*names):
    return "; ".join(f"show {n}" for n in names)


# --- answers of any length ------------------------------------------------------------------------------

LONG = "select ('x' || repeat('y', 1200000))::int"
REPEAT_X = struct.pack("!IHHHI", 1622, 1, 0, 2, 1) + b"x" + struct.pack("!I", 7) + b"1200000" + struct.pack("!H", 0)

script("long notices", "do $$ begin raise notice '%', repeat('x', 1200000); end $$", "select 1",
       [P("", "do $$ begin raise warning '%', repeat('x', 100000); end $$"), B(), E(), P("", "select 2"), B(), E(), S],
       "begin", "do $$ begin raise notice '%', repeat('x', 1200000); end $$; select 3", "commit")
script("long errors", LONG, "select 1", [P("a", "select 2"), S], [P("", LONG), B(), E(), CS("a"), S],
       [B("", "a"), E(), S, P("", LONG), B(), E(), S, CS("a"), B("", "a"), E(), S, P("a", "select 4"), S],
       "begin", LONG, "select 5", "rollback", f"prepare q as {LONG}", "execute q", "select 6", LONG.replace("15000", "700"))
script("long answers of functions", [wire.message("F", REPEAT_X)], "select 1", "begin", [wire.message("F", REPEAT_X)], "commit")
script("a setting of great length", "select length(set_config('my.long', repeat('x', 1200000), false))",
       "select length(current_setting('my.long'))", "select 1", "select length(current_setting('my.long'))",
       "select set_config('my.long', 'short', false)", "show my.long", pins=True)

# --- settings -----------------------------------------------------------------------------------------

script("set and show", "set work_mem = '11MB'", "show work_mem", "set work_mem to default", "show work_mem",
       "set session work_mem = 12345", "show work_mem", "reset work_mem", "show work_mem")
script("set with every spelling", "SET Work_Mem TO '11MB'", "show work_mem", "set/**/search_path/* x */=/*y*/alpha--z",
       "show search_path", "set  search_path\n to \t alpha , beta", "show search_path", "set search_path = 'alpha, beta'",
       "show search_path", 'set search_path = "$user", "Mixed Case", beta', "show search_path",
       "set search_path = E'al\\x70ha'", "select name from place", "set search_path to $$alpha$$", "show search_path",
       "set schema 'beta'", "select name from place", "reset all", "show search_path")
script("set of reported parameters", "set datestyle = 'SQL, DMY'", "select date '2024-02-03'", "set timezone = 'Asia/Tokyo'",
       "show timezone", "set intervalstyle = 'iso_8601'", "select interval '1 day 2 hours'",
       "set client_encoding = 'LATIN1'", "select 'x'", "set standard_conforming_strings = off",
       "set standard_conforming_strings = on", "set application_name = 'a name'", "show application_name",
       "select application_name from pg_stat_activity where pid = pg_backend_pid()", "reset all", shows(
           "datestyle", "timezone", "intervalstyle", "client_encoding", "application_name"))
script("half a datestyle", "set datestyle = iso", "set datestyle = dmy", "show datestyle", "select date '2024-02-03'",
       "set datestyle = sql", "select date '2024-02-03'", "begin", "set datestyle = mdy", "commit", "show datestyle",
       "reset datestyle", "show datestyle", datestyle="Postgres, YMD")
script("half a datestyle at startup", "select date '2024-02-03'", "show datestyle", "set datestyle = dmy", "show datestyle",
       "reset datestyle", "show datestyle", datestyle="sql")
script("set names", "set names 'LATIN1'", "show client_encoding", "set names default", "show client_encoding")
script("set time zone", "set time zone 'Europe/Berlin'", "show timezone", "set time zone interval '+02:00' hour to minute",
       "show timezone", "set time zone -7", "show timezone", "set time zone local", "show timezone",
       "set time zone default", "show timezone")
script("set errors", "set no_such = 1", "show work_mem", "set work_mem = 'lots'", "show work_mem", "set work_mem = ",
       "set max_connections = 5", "show max_connections", "reset no_such", "set custom.thing = 'x'", "show custom.thing",
       "show custom.other", "reset custom.thing", "show custom.thing")
script("set in a transaction committed", "begin", "set work_mem = '13MB'", "show work_mem", "commit", "show work_mem",
       "select 1", "show work_mem")
script("set in a transaction rolled back", "set work_mem = '13MB'", "begin", "set work_mem = '14MB'", "show work_mem",
       "rollback", "show work_mem", "reset work_mem")
script("set in a failed transaction", "set lock_timeout = '5s'", "begin", "set lock_timeout = '6s'", "select 1/0",
       "set lock_timeout = '7s'", "commit", "show lock_timeout")
script("set local", "begin", "set local work_mem = '15MB'", "show work_mem", "commit", "show work_mem",
       "set local work_mem = '16MB'", "show work_mem", "begin; set local work_mem = '17MB'; show work_mem; commit",
       "show work_mem")
script("set local over set", "begin", "set work_mem = '18MB'", "set local work_mem = '19MB'", "show work_mem", "commit",
       "show work_mem")
script("set after set local", "begin", "set local work_mem = '18MB'", "set work_mem = '19MB'", "commit", "show work_mem")
script("savepoints", "begin", "set work_mem = '20MB'", "savepoint a", "set work_mem = '21MB'", "savepoint b",
       "set work_mem = '22MB'", "rollback to b", "show work_mem", "release a", "show work_mem", "rollback to a", "rollback",
       "show work_mem", "begin; set work_mem = '23MB'; savepoint a; set work_mem = '24MB'; rollback to a; commit",
       "show work_mem", "begin", "savepoint a", "set work_mem = '25MB'", "release savepoint a", "commit", "show work_mem")
script("several in one string", "set work_mem = '1MB'; set lock_timeout = '1s'; select 1", shows("work_mem", "lock_timeout"),
       "set work_mem = '2MB'; select 1/0; set lock_timeout = '2s'", shows("work_mem", "lock_timeout"),
       "begin; set work_mem = '3MB'; commit; set lock_timeout = '3s'; begin; set work_mem = '4MB'; rollback",
       shows("work_mem", "lock_timeout"), "set work_mem = '5MB'; begin; set work_mem = '6MB'; rollback; show work_mem",
       "show work_mem")
script("implicit transaction of one string is rolled back as a whole", "set work_mem = '7MB'; set lock_timeout = '9s'; selec 1",
       shows("work_mem", "lock_timeout"))
script("reset all and discard all", "set work_mem = '9MB'; set search_path = alpha", "reset all",
       shows("work_mem", "search_path"), "set work_mem = '9MB'; set search_path = alpha", "discard all",
       shows("work_mem", "search_path"), "begin", "discard all", "rollback", "discard plans", "discard sequences",
       "discard temp")
script("reset rolled back", "set work_mem = '9MB'", "begin", "reset work_mem", "show work_mem", "rollback", "show work_mem",
       "begin", "reset all", "rollback", "show work_mem")
script("set_config", "select set_config('work_mem', '8MB', false)", "show work_mem",
       "select set_config('work_mem', '9MB', true)", "show work_mem", "begin", "select set_config('work_mem', '10MB', true)",
       "show work_mem", "commit", "show work_mem", "select set_config(name, '12MB', false) from pg_settings"
       " where name = 'work_mem'", "show work_mem", "select set_config('app.user', 'x''y', false)",
       "select current_setting('app.user')", "select 1")
script("set_config in extended protocol", ext("select set_config($1, $2, false)", "search_path", "alpha"),
       "show search_path", ext("select set_config($1, $2, $3)", "work_mem", "10MB", "t"), "show work_mem",
       "begin", ext("select set_config('work_mem', $1, false)", "11MB"), "rollback", "show work_mem")
script("set_config in a block of PL/pgSQL", "do $$ begin perform set_config('work_mem', '6MB', false); end $$",
       "show work_mem", "do $$ begin execute 'set lock_' || 'timeout = 777'; end $$", "show lock_timeout")
script("settings by their view", "update pg_settings set setting = '6MB' where name = 'work_mem'", "show work_mem",
       ext("update pg_settings set setting = $1 where name = $2", "7MB", "work_mem"), "show work_mem", "begin",
       "update pg_catalog.pg_settings set setting = '8MB' where name = 'work_mem'", "rollback", "show work_mem",
       "with n as (select 'lock_timeout' as n) update pg_settings set setting = '3s' from n where name = n", "show lock_timeout")
script("function with its own setting", "create function f() returns text language sql set search_path = beta"
       " as 'select name from place'", "set search_path = alpha, public", "select f()", "show search_path",
       "drop function f()")
script("set in extended protocol", ext("set work_mem = '31MB'"), "show work_mem", ext("reset work_mem"), "show work_mem",
       [P("", "set work_mem = '32MB'"), B(), E(), P("", "select 1/0"), B(), E(), S], "show work_mem",
       [P("st", "set work_mem = '33MB'"), S], [B("", "st"), E(), S], "show work_mem", "reset work_mem",
       [B("", "st"), E(), S], ext("show work_mem"), [CS("st"), S])
script("set in a pipeline", [P("", "set work_mem = '41MB'"), B(), E(), S, P("", "show work_mem"), B(), E(), S,
                             P("", "set work_mem = '42MB'"), B(), E(), P("", "select 1/0"), B(), E(), S,
                             P("", "show work_mem"), B(), E(), S])
script("transaction characteristics", "set session characteristics as transaction isolation level serializable",
       "show default_transaction_isolation", "show transaction_isolation", "begin", "show transaction_isolation", "commit",
       "set session characteristics as transaction read only", "show transaction_read_only",
       "insert into scratch (who) values ('no')", "set session characteristics as transaction read write",
       "show default_transaction_read_only", "reset all", "set transaction isolation level serializable",
       "begin", "set transaction read only", "show transaction_read_only", "commit", "show transaction_read_only",
       "begin isolation level repeatable read read only deferrable", "show transaction_isolation", "commit")
script("set role", "select current_user, session_user", "set role reader", "select current_user, session_user",
       "select 1", "select current_user", "reset role", "select current_user", "set role writer", "begin", "set role reader",
       "rollback", "select current_user", "begin", "set local role reader", "select current_user", "commit",
       "select current_user", "set role none", "select current_user", "set role nobody", "set role 'reader'",
       "select current_user, current_setting('role')", "discard all", "select current_user")
script("set session authorization", "set session authorization reader", "select current_user, session_user", "select 1",
       "select current_user, session_user", "set session authorization default", "select current_user, session_user",
       "set local session authorization reader", "select current_user", "begin", "set session authorization writer", "rollback",
       "select current_user, session_user", "set session authorization app", "set role reader",
       "select current_user, session_user", "reset session authorization", "select current_user, session_user", user="boss")
script("set session authorization refused", "set session authorization reader", "select current_user",
       "set session authorization app", "select current_user")
script("startup options", "show work_mem", "show search_path", "set work_mem = '9MB'", "reset work_mem", "show work_mem",
       "discard all", shows("work_mem", "search_path", "application_name", "timezone"), "select 1",
       "select current_setting('app.tenant')", options="-c work_mem=6MB --search_path=beta,public -c app.tenant=t7",
       application_name="starter", TimeZone="Asia/Tokyo")
script("reset to startup values", "set timezone = 'America/Lima'", "reset timezone", "show timezone",
       "set search_path = alpha", "set datestyle = 'German'", "reset all", "show search_path", "select now()::text is null",
       "set timezone = 'UTC'", "discard all", "show timezone", "begin", "set timezone = 'America/Lima'", "reset timezone",
       "show timezone", "commit", "begin", "set search_path = public", "reset all", "show search_path", "rollback",
       "show search_path", [P("", "set timezone = 'UTC'"), B("", ""), E(), S], [P("", "reset all"), B("", ""), E(), S],
       "reset timezone", "reset no_such_setting", "select 1", TimeZone="Asia/Tokyo", search_path="beta, public",
       DateStyle="SQL, DMY")
script("reset to startup options", "reset all", "set timezone = 'America/Lima'", "reset timezone", "set datestyle = 'ISO'; select 1;"
       " reset datestyle", "show datestyle", "discard all", "select date '2024-02-03'", "begin", "reset timezone", "show timezone",
       "set local datestyle = 'ISO'", "commit", "begin", "reset all", "select date '2024-02-03'", "rollback", ext("discard all"),
       [P("", "reset all"), B(), E(), S, P("", "show datestyle"), B(), E(), S], [Q("select 1"), Q("reset all"), Q("show timezone")],
       "reset application_name; select 1/0", "set application_name = 'y'; reset application_name", "show application_name",
       TimeZone="Asia/Tokyo", DateStyle="German", application_name="x", extra_float_digits="2")
script("reset to startup values in what leaves a transaction open", "begin; reset all", "show datestyle", "select date '2024-02-03'",
       "commit", "reset datestyle; begin", "show datestyle", "set datestyle to default; savepoint a", "show datestyle", "show work_mem",
       "set work_mem = '9MB'; reset work_mem; set timezone = 'UTC'; reset datestyle", "show work_mem", shows("timezone", "datestyle"),
       "rollback", shows("timezone", "datestyle", "work_mem"), "set time zone 'UTC'; reset all; begin", "show timezone", "commit",
       "begin; reset datestyle; set datestyle = 'SQL, MDY'", "show datestyle", "rollback", "begin; reset datestyle; set local datestyle = 'SQL, MDY'",
       "show datestyle", "rollback", "show datestyle", "begin; savepoint a; set datestyle = 'SQL, MDY'; savepoint b; reset datestyle; rollback to b",
       "show datestyle", "rollback to a", "show datestyle", "commit", "set names default; begin", "show client_encoding", "rollback",
       "begin; reset search_path", "select name from place", "rollback", "begin; reset all; select 1/0", "rollback",
       "show datestyle", [P("", "begin"), B(), E(), P("", "reset datestyle"), B(), E(), S], "show datestyle", "commit",
       [P("", "reset work_mem"), B(), E(), P("", "begin"), B(), E(), S], "show work_mem", "commit",
       [P("", "begin"), B(), E(), P("", "reset all"), B(), E(), P("", "set datestyle = 'SQL, MDY'"), B(), E(), S], shows("datestyle", "work_mem"),
       "rollback", [Q("begin; reset all"), Q("show datestyle"), Q("rollback")], DateStyle="German", work_mem="6MB",
       TimeZone="Asia/Tokyo", client_encoding="LATIN1", search_path="beta, public")
script("startup values beyond ascii in another encoding", "show application_name", "show my.a", "show search_path", "set my.a = 'x'",
       "reset my.a", "set client_encoding = 'UTF8'", "show my.a", "begin", "reset all", "show my.a", "commit",
       "discard all", shows("my.a", "search_path", "client_encoding"), client_encoding="LATIN1", application_name="caf\u00e9",
       search_path="alpha", **{"my.a": "'\u00e9\\"})
script("startup values beyond ascii", "show my.a", "set client_encoding = 'LATIN1'", "show my.a", "set my.a = 'x'", "reset my.a",
       "show my.a", application_name="caf\u00e9", **{"my.a": "\u00e9"})
script("names in a query behind a batch without sync", [P("a", "select 1"), Q("execute a")], [P("b", "select 2"), H], "deallocate b",
       "execute b", [P("b", "select 3"), H], "prepare b as select 4", "execute b", [CS("nope"), Q("prepare d as select 5")], "execute d",
       [P("", "select 6"), B(), E(), Q("prepare e(int) as select $1 + 1; execute e(6)")], "execute e(7)", [P("f", "selec"), H],
       [S], "execute f", "execute a", "begin", [P("g", "select 8"), Q("execute g")], "commit",
       [P("", "insert into place values ('x')"), B(), E(), Q("execute nope")], "select count(*) from place",
       [P("", "insert into place values ('x')"), B(), E(), Q("prepare h as select 9; execute nope")], "select count(*) from place",
       [P("", "execute a"), B(), E(), S], search_path="alpha")
script("reset in a batch that a query ends", [P("", "reset all"), B(), E(), Q("show datestyle")], "show search_path",
       [P("", "reset search_path"), B(), E(), Q("select name from place")], [P("", "discard all"), B(), E(), Q("show datestyle")],
       "set datestyle = 'SQL, MDY'", [P("", "reset all"), B(), E(), Q(shows("datestyle", "search_path", "work_mem"))], "show datestyle",
       "begin", [P("", "reset datestyle"), B(), E(), Q("select date '2024-02-03'")], "show datestyle", "rollback", "show datestyle",
       "set work_mem = '9MB'", [P("", "reset work_mem"), B(), E(), Q("select 1/0")], "show work_mem", "begin", "select 1/0",
       [P("", "select 1"), B(), E(), H], [S], "rollback", [P("", "reset work_mem"), B(), E(), P("", "select 1/0"), B(), E(), H], [S],
       "show work_mem", [P("a", "reset all"), B("", "a"), E(), Q("prepare p as select 1; execute p")], [B("", "a"), E(), S], "execute p",
       DateStyle="German", search_path="beta, public", work_mem="6MB")
script("reset of what has the server's own value", "set datestyle = 'ISO, MDY'", "reset datestyle", "select date '2024-02-03'",
       "set client_encoding = 'UTF8'", "set names default", "set datestyle = 'ISO, MDY'; set client_encoding = 'UTF8'", "reset all",
       "select date '2024-02-03'", "set datestyle = 'ISO, MDY'", "begin", "reset datestyle", "show datestyle", "rollback", "show datestyle",
       "discard all", "show datestyle", "set datestyle = 'ISO, MDY'", "begin; reset all", "select date '2024-02-03'", "commit",
       DateStyle="German", client_encoding="LATIN1")
script("parameters reported beside a PREPARE", "set datestyle = 'SQL, MDY'; prepare s as select 1", "execute s", "begin",
       "set time zone interval '+05:30' hour to minute; prepare u as select 2", "execute u", "reset timezone; prepare v as select 3",
       "show timezone", "commit", "do $$ begin set time zone 'Asia/Tokyo'; end $$; prepare w as select 4", "execute w",
       [Q("reset datestyle; prepare x as select 5"), Q("show datestyle"), Q("set datestyle = 'SQL, DMY'; deallocate x"), Q("select 6")],
       "set datestyle = 'ISO, MDY'; prepare x as select 1/0; select 1/0", "select 7", DateStyle="German", TimeZone="Europe/Berlin")
script("nothing differs", "set work_mem = '4MB'", "show work_mem", "set application_name = ''", "select 1")
script("temporary-looking names", "select 'set work_mem = 1'", "select $$create temp table x$$", "show work_mem",
       "select 'listen x'", "-- set work_mem = '1MB'\nselect 1", "/* set x */ select 2", "show work_mem")
script("values that need care", "set application_name = 'it''s'", "show application_name",
       r"set application_name = E'tab\tback\\slash'", "show application_name", "set search_path = ''", "show search_path",
       "select count(*) from public.items where id < 3", "set app.x = '$1 $$'", "show app.x", "select 1", "show app.x",
       'set "app"."y" = on', "show app.y", "set app.z to 1.5", "show app.z", "set app.list = a, b", "show app.x")
script("many custom settings in one string", "; ".join(f"set my.v{i} = '{i}'" for i in range(30)), "select 1", "show my.v0; show my.v13",
       "select set_config('my.v1', 'a', false), set_config('my.v2', 'b', false), set_config('my.v3', 'c', false),"
       " set_config('my.v4', 'd', false), set_config('my.v5', 'e', false)", "show my.v29; show my.v1; show my.v5")
script("settings with units and booleans", "set statement_timeout = 61000", "show statement_timeout",
       "set statement_timeout = '2min'", "show statement_timeout", "set geqo = off", "show geqo", "set geqo = 'ye'",
       "show geqo", "set geqo to true", "show geqo", "set statement_timeout = 0")
script("reset all leaves the rights", "set role reader", "set work_mem = '11MB'", "reset all", "select current_user",
       "show work_mem", "begin", "reset all", "select current_user", "commit", "select current_user", "reset role",
       "select current_user")
script("reset all leaves the rights of startup", "select current_user", "set role writer", "reset all", "select current_user",
       "begin", "set work_mem = '11MB'", "reset all", "select current_user, current_setting('work_mem')", "commit",
       "select current_user", "reset role", "select current_user", "discard all", "select current_user", role="reader",
       work_mem="13MB")
script("settings that order each other", "set search_path = beta", "set role reader", "select name from place",
       "reset role", "set search_path = alpha", "select name from place")
script("show all differs in nothing", "select name, setting from pg_settings where source = 'session' order by 1",
       "set work_mem = '6MB'; set application_name = 'x'; set search_path = alpha",
       "select name, setting, source from pg_settings where source = 'session' order by 1", "select 1",
       "select name, setting, source from pg_settings where source = 'session' order by 1")
script("statement_timeout works and is one's own", "set statement_timeout = '150ms'", "select pg_sleep(2)", "select 1",
       "select pg_sleep(2)", "reset statement_timeout", "select pg_sleep(0.2)")

# --- transactions, errors, notices ---------------------------------------------------------------------

script("transaction warnings", "commit", "rollback", "begin", "begin", "commit", "savepoint a", "release a", "abort",
       "begin", "savepoint a", "select 1/0", "rollback to a", "select 2", "commit", "begin; select 1; commit; commit")
script("notices", "do $$ begin raise notice 'hello %', 1; raise warning 'careful'; end $$", "drop table if exists nothing",
       "set client_min_messages = warning", "drop table if exists nothing", "select 1", "drop table if exists nothing",
       "reset client_min_messages", "do $$ begin raise exception 'own' using errcode = 'W0001', detail = 'd', hint = 'h';"
       " end $$", "select 1")
script("errors and positions", "selec 1", "select * from nowhere", "select 1 from items where nothing = 1", "select 'a'::int",
       "insert into items values (1, 'x', 1)", "select 1; select 2; selec 3; select 4", "")
script("tags", "insert into scratch (who) values ('a'), ('b') returning who", "update scratch set note = 'n' where who = 'a'",
       "delete from scratch", "create table tagged (i int)", "alter table tagged add j int", "truncate tagged",
       "select * into tagged2 from tagged", "drop table tagged, tagged2", "explain (costs off) select 1", "checkpoint",
       "values (1), (2)", "show server_version")
script("chain", "begin isolation level serializable", "commit and chain", "show transaction_isolation", "rollback and chain",
       "show transaction_isolation", "commit")
script("copy", [Q("copy scratch (who, note) from stdin"), wire.copy_data(b"a\tb\nc\td\n"), wire.COPY_DONE],
       "copy (select who, note from scratch order by 1) to stdout", "copy alpha.place (name) to stdout with (format csv, header)",
       [Q("copy scratch (who, note) from stdin"), wire.copy_data(b"a\n"), wire.COPY_DONE],
       [Q("copy scratch (who, note) from stdin"), wire.copy_fail("stop")], "delete from scratch", "select 1")
script("copy binary", "copy (select 1::int, 'x'::text) to stdout (format binary)",
       [Q("copy scratch (who) from stdin (format csv)"), wire.copy_data(b'"q"\n'), wire.COPY_DONE], "delete from scratch")
script("large objects and cursors in a transaction", "begin", "declare c cursor for select id from items order by id",
       "fetch 3 from c", "move 5 in c", "fetch 1 from c", "close c", "fetch 1 from c", "rollback",
       "declare c cursor for select 1", "fetch 1 from c")
script("empty and odd simple queries", "", ";", ";;", "select 1;", "; select 2 ;; select 3;", "--", "/* */")

# --- prepared statements ---------------------------------------------------------------------------------

script("named statement across syncs", [P("s", "select $1::int + 1"), S], [B("", "s", 1), DP(), E(), S],
       [DS("s"), S], [B("", "s", 2), E(), S], "select 1", [B("", "s", 3), E(), S], [CS("s"), S], [B("", "s", 4), E(), S], [S],
       "select 1")
script("unnamed statement across syncs", [P("", "select $1::int * 10"), S], [B("", "", 4), DP(), E(), S], [B("", "", 5), E(), S],
       [DS(""), S], [P("", "select $1::text", [25]), S], [B("", "", "x"), E(), S], [CS(""), S], [B("", "", "x"), E(), S])
script("simple query drops the unnamed statement", [P("", "select 1"), S], "select 2", [B(), E(), S], "select 3")
script("unnamed statement that fails to parse", [P("", "select 1"), S], [P("", "selec"), S], [B(), E(), S])
script("named statement that fails to parse", [P("bad", "selec"), S], [B("", "bad"), E(), S], [DS("bad"), S],
       [P("bad", "select 1"), S], [B("", "bad"), E(), S], [CS("bad"), S])
script("name in use", [P("s", "select 1"), S], [P("s", "select 2"), S], [B("", "s"), E(), S],
       [P("s", "select 1"), P("t", "select 3"), S], [B("", "t"), E(), S], [CS("s"), P("s", "select 4"), B("", "s"), E(), S],
       [CS("s"), S])
script("names that are too long", "set client_min_messages = warning", [P("n" * 70, "select $1::int"), S], [B("", "n" * 63, 1), E(), S], [B("", "n" * 70, 1, 2), S],
       [P("n" * 64, "select 2"), S], f'execute {"n" * 70}(3)', [DS("n" * 62), S], f'deallocate {"n" * 90}', [DS("n" * 70), S],
       f'prepare {"m" * 70} as select 4', [B("", "m" * 66), E(), S], [CS("m" * 65), S], [B("", "m" * 63), E(), S])
script("name in use within a pipeline", [P("s", "select 1"), P("s", "select 2"), S], [B("", "s"), E(), S], [CS("s"), S],
       [P("s", "select 5"), S, P("s", "select 6"), S, B("", "s"), E(), S, CS("s"), S])
script("unknown names", [B("", "nope"), E(), S], [DS("nope"), S], [DP("nope"), S], [E("nope"), S], [CS("nope"), CP("nope"), S],
       [DS(""), S], "select 1")
script("unknown name inside a transaction", "begin", [B("", "nope"), E(), S], "select 1", "rollback",
       "begin", [DS("nope"), S], [CS("nope"), S], "commit")
script("describe before execute", [P("d", "select id, name from items where id = $1"), DS("d"), S],
       [B("", "d", 7), DP(), E(), S], [P("e", "insert into scratch (who) values ($1)"), DS("e"), S],
       [B("", "e", "x"), E(), S], "delete from scratch", [CS("d"), CS("e"), S])
script("parse, bind and execute without describe", [P("", "select 1"), B(), E(), S], [P("n", "select 2"), B("", "n"), E(), S],
       [CS("n"), S])
script("several executions in one sync", [P("m", "select $1::int"), B("", "m", 1), E(), B("", "m", 2), E(), B("p", "m", 3), E("p"),
                                           S], [CS("m"), S])
script("error inside a pipeline skips to sync", [P("a", "select 1"), B("", "a"), E(), P("b", "select 1/0"), B("", "b"), E(),
                                                  P("c", "select 3"), B("", "c"), E(), S],
       [B("", "a"), E(), S], [B("", "c"), E(), S], [DS("b"), S], [CS("a"), CS("b"), S])
script("error in bind", [P("i", "select $1::int"), B("", "i", "not a number"), E(), S], [B("", "i", 5), E(), S],
       [B("", "i"), E(), S], [B("", "i", 1, 2), E(), S], [CS("i"), S])
script("pipeline of syncs with an error in the middle", [P("", "select 1"), B(), E(), S, P("x", "selec"), S, P("", "select 2"),
                                                          B(), E(), S], [DS("x"), S])
script("statement parsed in a failed unit", [P("keep", "select 9"), P("", "select 1/0"), B(), E(), S], [B("", "keep"), E(), S],
       [CS("keep"), S])
script("statement parsed in a rolled back transaction lives", "begin", [P("live", "select 9"), S], "rollback",
       [B("", "live"), E(), S], [CS("live"), S])
script("statement closed in a rolled back transaction is gone", [P("dead", "select 9"), S], "begin", [CS("dead"), S],
       "rollback", [B("", "dead"), E(), S])
script("close inside a failed unit", [P("k", "select 1"), S], [P("", "select 1/0"), B(), E(), CS("k"), S], [B("", "k"), E(), S],
       [CS("k"), S])
script("flush", [P("f", "select $1::int"), H], [DS("f"), H], [B("", "f", 1), E(), H], [S], [B("", "f", 2), E(), H, B("", "f", 3), E(),
                                                                                         H], [S], [CS("f"), H], [S])
script("flush with an error", [P("", "select 1/0"), B(), E(), H], [P("", "select 2"), B(), E(), H], [S], "select 1")
script("portals in a transaction", "begin", [P("", "select id from items order by id"), B("p", ""), S], [E("p", 3), S],
       [E("p", 2), S], [DP("p"), S], [CP("p"), S], [E("p", 1), S], "rollback",
       "begin", [P("c", "select id from items order by id limit 4"), B("q", "c"), E("q", 2), S], [E("q", 0), S], [E("q", 0), S],
       "commit", [E("q"), S], [CS("c"), S])
script("portal limit in one sync", [P("", "select id from items order by id"), B("", ""), E("", 2), E("", 2), S],
       [E("", 2), S])
script("portal name in use", "begin", [P("", "select 1"), B("p"), S], [P("", "select 1"), B("p"), S], "rollback")
script("binary parameters and results", [P("b", "select $1::int4, $2::text", [23, 25]),
                                          B("", "b", b"\0\0\0\5", b"x", formats=[1, 0], result_formats=[1, 0]), DP(), E(), S],
       [B("", "b", None, None, result_formats=[1]), E(), S], [CS("b"), S])
script("types that are given or not", [P("t1", "select $1 + 1", [20]), DS("t1"), S], [P("t2", "select $1 + 1"), DS("t2"), S],
       [P("t3", "select $1", [0]), DS("t3"), S], [P("t4", "select $1 + 1", [23]), DS("t4"), S], [B("", "t1", 1), E(), S],
       [B("", "t4", 1), E(), S], [CS("t1"), CS("t2"), CS("t3"), CS("t4"), S])
script("equal text and different types", [P("u1", "select $1", [23]), P("u2", "select $1", [25]), DS("u1"), DS("u2"), S],
       [B("", "u1", 5), DP(), E(), S], [B("", "u2", 5), DP(), E(), S], [CS("u1"), CS("u2"), S])
script("search path decides what a statement means", "set search_path = alpha", [P("pl", "select name from place"), S],
       [B("", "pl"), E(), S], "set search_path = beta", [B("", "pl"), E(), S], [P("", "select name from place"), B(), E(), S],
       "set search_path = alpha", [B("", "pl"), E(), S], [CS("pl"), S])
script("statement that outlives its table", "create table brief (i int)", [P("br", "select i from brief"), S], "drop table brief",
       [B("", "br"), E(), S], "create table brief (i int)", [B("", "br"), E(), S], "drop table brief", [CS("br"), S])
script("prepared transaction statements", [P("bg", "begin"), P("cm", "commit"), P("rb", "rollback"), S], [B("", "bg"), E(), S],
       [B("", "cm"), E(), S], [B("", "bg"), E(), S], ext("select 1/0"), [B("", "cm"), E(), S], [B("", "rb"), E(), S],
       [CS("bg"), CS("cm"), CS("rb"), S])
script("utility statements in extended protocol", ext("create table uu (i int)"), ext("insert into uu values ($1)", 5),
       ext("select * from uu"), ext("truncate uu"), ext("drop table uu"), ext("show work_mem"), ext(""), ext("explain (costs off)"
                                                                                                    " select 1"))
script("several commands in a prepared statement", ext("select 1; select 2"), "select 3")
script("many statements", *[[P(f"m{i}", f"select {i} + $1::int"), S] for i in range(60)],
       *[[B("", f"m{i}", i), E(), S] for i in range(60)], *[[CS(f"m{i}"), S] for i in range(60)], [B("", "m3", 1), E(), S])
script("long statement names", [P("n" * 200, "select 1"), S], [B("", "n" * 200), E(), S], [P("naïve 'quoted\" name", "select 2"),
                                                                                          B("", "naïve 'quoted\" name"), E(), S],
       [CS("n" * 200), S])
script("statement with a trailing semicolon and comments", [P("z", "select 1; -- end"), B("", "z"), E(), S],
       [P("zz", "/* first */ select 2 /* last */"), B("", "zz"), E(), S])

script("what is wrong with a text comes before its name", [P("s", "select 1"), S], [P("s", "selec"), S],
       [P("s", "select 1; select 2"), S], [P("s", "select * from nowhere"), S], [P("s", "select 1"), S], "begin", "select 1/0",
       [P("s", "select 2"), S], [P("fresh", "select 1"), S], "rollback", [B("", "s"), E(), S], [CS("s"), S])
script("a text that the connection has is judged anew", "set search_path = alpha", [P("j1", "select name from place"), S],
       "set search_path = ''", [P("j2", "select name from place"), S], [DS("j2"), S], "reset search_path",
       [Q("begin"), Q("select 1/0"), P("j3", "select name from place"), S, Q("rollback")], [CS("j1"), S])
script("unnamed statement and segments that fail", [P("", "select 1"), S], [B("", "nope"), P("", "select 2"), S, P("", "select 3"), S],
       [B(), E(), S], [B("", "nope"), P("", "select 4"), S, P("", "select 3"), B("", "nope"), S], [B(), E(), S],
       [E("nope"), P("", "select 5"), S, Q("select 6")], [B(), E(), S], [P("", "select 7"), S], [B("", "nope"), CS(""), S],
       [B(), E(), S], [B("", "nope"), P("", "select 8"), S, P("", "selec"), S], [B(), E(), S],
       [P("", "select 9"), S], [B("", "nope"), P("", "select 10"), S, B("", "nope"), P("", "select 11"), S], [B(), E(), S])
script("errors call a statement what the client calls it", [P("n1", "select $1::int"), P("n2", "select $1::int"), S],
       [B("", "n2"), E(), S], [B("", "n1", 1, 2), S, CS("n1"), P("n1", "select 1"), S], [B("", "n1", 1), S], [CS("n1"), CS("n2"), S])

# --- SQL's own statements -----------------------------------------------------------------------------------

script("prepare and execute", "prepare q (int) as select $1 + 1", "execute q (1)", "select 1", "execute q (2)",
       "prepare q as select 1", "deallocate q", "execute q (3)", "deallocate q", "prepare q as select 1", "execute q",
       "deallocate all", "execute q", "select 1")
script("prepare in a rolled back transaction", "begin", "prepare r as select 1", "rollback", "execute r", "deallocate r",
       "execute r")
script("deallocate what protocol prepared", [P("d1", "select 1"), P("d2", "select 2"), S], "deallocate d1", [B("", "d1"), E(), S],
       [B("", "d2"), E(), S], "deallocate prepare d2", [B("", "d2"), E(), S], "deallocate d3",
       [P("d1", "select 3"), B("", "d1"), E(), S], "discard all", [B("", "d1"), E(), S])
script("deallocate in a rolled back transaction", [P("f1", "select 1"), S], "begin", "deallocate f1", "rollback",
       [B("", "f1"), E(), S])
script("a function that suits better", "create function suits (anyelement) returns text language sql as $$ select 'any' $$",
       "prepare suits1 as select suits(1)", "execute suits1", [P("suits2", "select suits(2)"), S],
       "create function suits (int) returns text language sql as $$ select 'int' $$", "prepare suits3 as select suits(1)",
       "execute suits3", [P("suits4", "select suits(2)"), B("", "suits4"), E(), S], "drop function suits (int)",
       "drop function suits (anyelement)")
script("an error's place in a prepared text", "set search_path = alpha", "prepare place1 as select name from place",
       "prepare  place2 ( text ) as select name from place where name = $1", "execute place1", "set search_path = public",
       "execute place1", "execute  place2 ('x')", "select 1", "execute place1")
script("prepare with a mixed-case name", 'prepare "Mixed" as select 1', 'execute "Mixed"', "execute mixed", "execute MIXED",
       'deallocate "Mixed"', "prepare PLAIN as select 2", "execute plain", "deallocate PlAiN")
script("prepare insert and explain execute", "prepare ins (text) as insert into scratch (who) values ($1)", "execute ins ('a')",
       "explain (costs off) execute ins ('b')", "create temp table ct on commit drop as select 1", "delete from scratch",
       "deallocate ins")

script("execute what protocol prepared", [P("e1", "select $1::int + 1", (23,)), S], "execute e1 (4)", "select 1", "execute e1 (5)",
       [B("", "e1", 6), E(), S], "explain (costs off) execute e1 (7)", "create table made as execute e1 (8)", "select * from made",
       "drop table made", "execute e1", "execute e1 (1, 2)", "execute e1 ('x')", "deallocate e1", "execute e1 (1)",
       [B("", "e1", 6), E(), S])
script("bind what sql prepared", "prepare b1 (int, text) as select $1 + 1 as n, $2 as who", [B("", "b1", 6, "x"), DP(""), E(), S],
       [DS("b1"), S], [P("b1", "select 1"), S], [CS("b1"), S], "execute b1 (1, 'a')", [P("b1", "select 5"), S], "execute b1",
       "prepare b1 as select 6", "deallocate b1", "prepare b1 as select 7", [DS("b1"), B("", "b1"), E(), S])
script("prepared names in one string", "prepare o1 as select 1; execute o1; deallocate o1; execute o1", "execute o1",
       "prepare o1 as select 1; prepare o1 as select 2", "execute o1", "deallocate o1; prepare o1 (int) as select $1; execute o1 (3)",
       "execute o1 (4); execute o1 (5); select 6", "prepare o2 as select 2; select 1/0; prepare o3 as select 3", "execute o2",
       "execute o3", "deallocate all; execute o1", "execute o2", "prepare o1 as select 1; deallocate all; prepare o1 as select 8",
       "execute o1", "execute o1; deallocate o9; execute o1", "begin; prepare o4 as select 4; execute o4; rollback; execute o4",
       "execute o4", "; ; execute o4 ;", "execute o1; execute o4; deallocate o1; deallocate o4; select 1", "execute o1")
script("many prepared names in one string", "; ".join(f"prepare w{i} as select {i}" for i in range(20)),
       "; ".join(f"execute w{i}" for i in range(20)), "; ".join(f"execute w{i}" for i in range(0, 20, 3)),
       "; ".join(f"deallocate w{i}" for i in range(19)), "execute w19", "execute w18")
script("prepare in transactions", "begin", "prepare t1 (int) as select $1 * 2", "execute t1 (4)", "rollback", "execute t1 (5)",
       "begin", "deallocate t1", "prepare t2 as select 1", "select 1/0", "execute t2", "rollback", "execute t1 (6)", "execute t2",
       "begin", "prepare t3 as select 'x' + 1", "execute t2", "rollback", "begin", "execute t2", "savepoint a", "execute nothing",
       "rollback to a; execute t2", "prepare t4 as select 4", "select 1/0", "rollback to a", "execute t4", "commit", "execute t4")
script("where errors of prepared statements are", "prepare p1 as select nothing from items", "prepare p1 as selec 1",
       "prepare p1 (nosuch) as select 1", "prepare p1 as select 1 from nosuch", "prepare a_rather_long_name_that_needs_no_room as select nope",
       "prepare p1 as select $1 + 1; select 'ä' as \"ö\", nope", "select 'äöü'; prepare p2 as select nope", "execute p1 ('x')",
       "execute p1 (nope)", "execute p1 (1) from", "explain execute p1 (nope); select 1", "prepare", "prepare p3", "prepare p3 as",
       "execute", "deallocate", "prepare p3 (int as select 1", "prepare p3 as select 1 )", "prepare p3 (int) as select $1; selec",
       "execute p3 (1)", "prepare p4 as select * from gone_soon", "create table gone_soon (i int)", "prepare p4 as select * from gone_soon",
       "drop table gone_soon", "execute p4", "execute p4", "create table gone_soon (i int)", "execute p4", "drop table gone_soon")
script("prepared statements of every kind", "prepare k1 (text, text) as insert into scratch (who, note) values ($1, $2) returning who",
       "execute k1 ('kinds', 'a''b;c')", "prepare k2 as update scratch set note = 'n' where who = 'kinds'", "execute k2",
       "prepare k3 (text) as delete from scratch where who = $1", "execute k3 ('kinds')", "prepare k4 as values (1), (2)",
       "execute k4", "prepare k5 as with q as (select 1 as x) select x from q", "execute k5", "prepare k6 as set work_mem = '1MB'",
       "prepare k7 (anyelement) as select $1", "prepare k8 (numeric(4,2), varchar(3)[]) as select $1, $2",
       "execute k8 (1.239, array['abcdef'])", "execute k8 (1)", 'prepare "k 9" ("char") as select $1', "execute \"k 9\" ('xy')",
       "prepare k10 (unknown) as select $1 || 'x'", "execute k10 (5)", "prepare k11 as select $1 as a, $2 as b", "execute k11 (1, 'x')",
       [DS("k11"), S])
script("settings in prepared statements", "prepare s1 (text) as select set_config('lock_timeout', $1, false)", "execute s1 ('71s')",
       "show lock_timeout", "select 1", "show lock_timeout", "prepare s2 as select set_config('work_mem', '9MB', true)", "execute s2",
       "show work_mem", "begin", "execute s1 ('72s')", "rollback", "show lock_timeout", "prepare s3 as select name from place",
       "execute s3", "set search_path = alpha", "execute s3", "deallocate s3", "prepare s3 as select name from place", "execute s3")
script("discard and prepared statements", "prepare x1 as select 1", [P("x2", "select 2"), S], "discard plans", "execute x1", "execute x2",
       "discard all", "execute x1", "execute x2", "prepare x1 as select 3", "execute x1", "deallocate all", "execute x1")
script("prepared statements in the extended protocol", ext("prepare y1 as select 1"), "execute y1", ext("execute y1"),
       ext("deallocate y1"), ext("execute y1"), [P("y2", "select $1::int"), S], ext("execute y2 (4)"), ext("deallocate y2"),
       [B("", "y2", 1), E(), S], [P("y4", "select $1::int * 3"), S], [P("y3", "execute y4 (7)"), S], [B("", "y3"), E(), S],
       [DS("y3"), B("", "y3"), DP(""), E(), S], ext("prepare y4 as select 9"), "deallocate y4", [B("", "y3"), E(), S],
       ext("prepare y4 (int) as select $1 + 100"), [B("", "y3"), E(), S], ext("deallocate prepare y4"),
       ext("prepare y5 as select nope"), ext("execute y5"), ext("deallocate y5"), ext("deallocate all"), "select 1")
script("prepared in one batch", [P("", "prepare z1 (int) as select $1 + 1"), B(), E(), P("", "execute z1 (1)"), B(), DP(""), E(),
                                 P("", "deallocate z1"), B(), E(), P("", "execute z1 (1)"), B(), E(), S], "execute z1 (1)",
       [P("", "prepare z2 as select 2"), B(), E(), P("", "select 1/0"), B(), E(), P("", "deallocate z2"), B(), E(), S], "execute z2",
       [P("", "deallocate z2"), B(), E(), P("z2", "select 5"), B("", "z2"), E(), S], "execute z2")
script("statements that have names like the proxy's", "prepare weir_s0 as select 1", "execute weir_s0", "deallocate weir_s1",
       "execute weir_0123456789abcdef0123456789abcdef", 'prepare "weir_-" as select 2', 'execute "weir_-"', "deallocate weir_s0",
       "execute weir_s0")

# --- what pins ---------------------------------------------------------------------------------------------------

script("temporary table", "create temp table tt (i int)", "insert into tt values (1)", "select * from tt", "select 1",
       "begin; insert into tt values (2); rollback", "select * from tt", "drop table tt", "select * from tt", pins=True)
script("temporary objects of other kinds", "create temporary view tv as select 1 as x", "select * from tv",
       "create temp sequence ts", "select nextval('ts')", "select currval('ts')", "create function pg_temp.tf() returns int"
       " language sql as 'select 5'", "select pg_temp.tf()", "select 6 as six into temp tsel", "select * from tsel",
       "create table pg_temp.tq (i int)", "select count(*) from tq", "discard temp", "select * from tv", "discard all", pins=True)
script("temporary table on commit", "begin", "create temp table oc (i int) on commit drop", "insert into oc values (1)",
       "select * from oc", "commit", "select * from oc")
script("temporary table rolled back", "begin", "create temp table rb (i int)", "rollback", "select * from rb")
script("temporary table in extended protocol", ext("create temp table te (i int)"), ext("insert into te values ($1)", 4),
       ext("select * from te"), ext("drop table te"), pins=True)
script("temporary table hidden from the text", "do $$ begin execute 'create te' || 'mp table th (i int)'; end $$",
       "select count(*) from th", "drop table th", pins=True)
script("advisory locks", "select pg_advisory_lock(1)", "select pg_try_advisory_lock(2)", "select count(*) from pg_locks where"
       " locktype = 'advisory' and pid = pg_backend_pid()", "select pg_advisory_unlock(1)", "select pg_advisory_unlock(1)",
       "select pg_advisory_unlock_all()", "select count(*) from pg_locks where locktype = 'advisory' and"
       " pid = pg_backend_pid()", "begin", "select pg_advisory_xact_lock(3)", "commit", pins=True)
script("listen and notify", "listen ch", "notify ch, 'one'", "select pg_listening_channels()", "select pg_notify('ch', 'two')",
       "begin", "notify ch, 'three'", "commit", "unlisten ch", "notify ch", "select pg_listening_channels()", "listen a; listen b",
       "unlisten *", "select pg_listening_channels()", pins=True)
script("listen rolled back", "begin", "listen lr", "rollback", "notify lr", "select pg_listening_channels()")
script("with hold cursor", "begin", "declare h cursor with hold for select id from items order by id", "commit", "fetch 2 from h",
       "select 1", "fetch 2 from h", "close h", "fetch 1 from h", "declare h2 cursor with hold for select 1", "fetch all from h2",
       "close all", "fetch 1 from h2", pins=True)
script("with hold cursor rolled back", "begin", "declare h cursor with hold for select 1", "rollback", "fetch 1 from h")
script("sequences", "create sequence sq", "select currval('sq')", "select lastval()", "select nextval('sq')", "select currval('sq')",
       "select lastval()", "select 1", "select currval('sq')", "select setval('sq', 40)", "select currval('sq')",
       "insert into scratch (id, who) values (nextval('sq'), 'x') returning id", "select lastval()", "delete from scratch",
       "discard sequences", "select lastval()", "drop sequence sq", pins=True)
script("serial and lastval", "create table ser (id serial primary key, n int)", "insert into ser (n) values (1)",
       "select lastval()", "select 1", "select currval('ser_id_seq')", "insert into ser (n) values (2) returning id",
       "drop table ser", pins=True)
script("load", "load 'auto_explain'", "show auto_explain.log_min_duration", "select 1", "show auto_explain.log_min_duration",
       user="boss", pins=True)
script("random seed", "select setseed(0.5)", "select random() < 2", "select 1", pins=True)
script("discard all ends a pin and keeps the startup values", "select pg_advisory_lock(4711)", "discard all",
       shows("my.a", "search_path"), "set my.a = ''", "listen x", "select 1", shows("my.a"), "unlisten *", shows("my.a"), "reset my.a",
       shows("my.a"), "listen x", "reset all", shows("my.a"), "discard all", shows("my.a"), search_path="alpha", pins=True,
       **{"my.a": "start"})
script("described before it is executed", [P("d", "discard all"), DS("d"), B("", "d"), E(), S], shows("my.a", "search_path"),
       "set my.a = 'x'", [P("", "reset all"), DS(""), B(), DP(), E(), S], shows("my.a", "search_path"),
       [P("s", "set my.a = 'y'"), DS("s"), B("", "s"), E(), S], shows("my.a"), search_path="alpha", **{"my.a": "start"})
