/* SPDX-License-Identifier: ISC
 * The SQL scanner, text by text. The lexical cases were each compared with what PostgreSQL 15 makes
 * of them: how many statements, or a syntax error.
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/pg/pg_builtin.h"
#include "proto/pg/pg_scan.h"

#define SCS    PG_SCAN_OPT_SCS
#define OPAQUE PG_SCAN_SET_OPAQUE
#define NONAME (PG_SCAN_SET_OPAQUE | PG_SCAN_SET_UNNAMED)
#define MAY    (PG_SCAN_MAY_ANY | PG_SCAN_SET_OPAQUE)

/* The text in a block of exactly its size, so that the sanitizers see a read beyond it. */
static struct pg_scan scan(const char *text, unsigned opts)
{
    struct pg_scan out;
    size_t len = strlen(text);
    char *copy = malloc(len + (len == 0));
    assert_non_null(copy);
    memcpy(copy, text, len);
    pg_scan_text(copy, len, opts, &out);
    free(copy);
    return out;
}

static void check_span(const char *what, const char *text, struct pg_span at, const char *want)
{
    size_t len = want != NULL ? strlen(want) : 0;
    if (at.len != len || (len != 0 && memcmp(text + at.off, want, len) != 0))
        fail_msg("%s of {%s} is {%.*s}, not {%s}", what, text, (int)at.len, text + at.off,
                 want != NULL ? want : "");
}

struct row {
    const char *text;
    uint32_t statements;
    enum pg_scan_kind kind;
    uint64_t flags; /* but PG_SCAN_CALLS, which calls() looks at */
};

static void check_row(const struct row *r, unsigned opts)
{
    struct pg_scan got = scan(r->text, opts);
    if (got.statements != r->statements)
        fail_msg("{%s}: %u statements, not %u", r->text, got.statements, r->statements);
    if (got.kind != r->kind)
        fail_msg("{%s} is %s, not %s", r->text, pg_scan_kind_name(got.kind),
                 pg_scan_kind_name(r->kind));
    got.flags &= ~PG_SCAN_CALLS;
    if (got.flags != r->flags)
        fail_msg("{%s}: flags %#llx, not %#llx: too many '%s', missing '%s'", r->text,
                 (unsigned long long)got.flags, (unsigned long long)r->flags,
                 pg_scan_flag_name(got.flags & ~r->flags),
                 pg_scan_flag_name(r->flags & ~got.flags));
}

#define ROWS(rows, opts)                                                                           \
    for (size_t i = 0; i < sizeof(rows) / sizeof((rows)[0]); i++)                                  \
    check_row(&(rows)[i], opts)

/* ---- where statements end ---------------------------------------------------------------------
 */

static const struct row lexical[] = {
    {"", 0, PG_KIND_EMPTY, 0},
    {" \t\r\n\f\v", 0, PG_KIND_EMPTY, 0},
    {";", 0, PG_KIND_EMPTY, 0},
    {";;;", 0, PG_KIND_EMPTY, 0},
    {"--", 0, PG_KIND_EMPTY, 0},
    {"-- x;", 0, PG_KIND_EMPTY, 0},
    {"/**/", 0, PG_KIND_EMPTY, 0},
    {"/*;*/;", 0, PG_KIND_EMPTY, 0},
    {"select", 1, PG_KIND_SELECT, 0},
    {"select 1", 1, PG_KIND_SELECT, 0},
    {"SELECT 1;", 1, PG_KIND_SELECT, 0},
    {";select 1;;select 2;", 2, PG_KIND_SELECT, 0},
    {"select 1;select 2", 2, PG_KIND_SELECT, 0},
    {"(select 1);(select 2)", 2, PG_KIND_SELECT, 0},
    {"values (1),(2)", 1, PG_KIND_SELECT, 0},
    {"table t", 1, PG_KIND_SELECT, 0},
    {"with x as (select 1) select * from x", 1, PG_KIND_SELECT, 0},
    /* comments */
    {"select 1 -- ; select 2", 1, PG_KIND_SELECT, 0},
    {"select 1 --; \n; select 2", 2, PG_KIND_SELECT, 0},
    {"select 1 --; \r; select 2", 2, PG_KIND_SELECT, 0},
    {"select 1 /* ; */ ; select 2", 2, PG_KIND_SELECT, 0},
    {"select 1 /* /* ; */ ; */ ; select 2", 2, PG_KIND_SELECT, 0},
    {"select /*/ ; */ 1; select 2", 2, PG_KIND_SELECT, 0},
    {"select /* /*/ ; */ */ 1; select 2", 2, PG_KIND_SELECT, 0},
    {"select /* ' */ 1; select '2'", 2, PG_KIND_SELECT, 0},
    {"select /* -- */ 1; select 2", 2, PG_KIND_SELECT, 0},
    {"select -- /*\n 1; select 2 -- */", 2, PG_KIND_SELECT, 0},
    {"select 1 - - 2; select 3", 2, PG_KIND_SELECT, 0},
    {"select 1 +-- 2;\n 3; select 4", 2, PG_KIND_SELECT, 0},
    {"select 1 *-/* ; */ 2; select 3", 2, PG_KIND_SELECT, 0},
    {"select 4 / 2; select 3", 2, PG_KIND_SELECT, 0},
    {"/* x */ select 1", 1, PG_KIND_SELECT, 0},
    {"-- x\nselect 1", 1, PG_KIND_SELECT, 0},
    {"select 1 /* ", 1, PG_KIND_SELECT, MAY},
    {"select 1 /* /* */", 1, PG_KIND_SELECT, MAY},
    {"select 1 /", 1, PG_KIND_SELECT, 0},
    {"select 1 -", 1, PG_KIND_SELECT, 0},
    /* strings */
    {"select ';'; select ';'", 2, PG_KIND_SELECT, 0},
    {"select ''';'; select 2", 2, PG_KIND_SELECT, 0},
    {"select ''; select ''", 2, PG_KIND_SELECT, 0},
    {"select ''''; select ';'", 2, PG_KIND_SELECT, 0},
    {"select '\\'; select '\\'", 2, PG_KIND_SELECT, 0},
    {"select '\\''; select 2", 1, PG_KIND_SELECT, MAY},
    {"select E'\\'; select 2'", 1, PG_KIND_SELECT, 0},
    {"select e'\\\\'; select 2", 2, PG_KIND_SELECT, 0},
    {"select E'\\''';'; select 2", 2, PG_KIND_SELECT, 0},
    {"select E'a\\", 1, PG_KIND_SELECT, MAY},
    {"select E'", 1, PG_KIND_SELECT, MAY},
    {"select E", 1, PG_KIND_SELECT, 0},
    {"select fooE'\\'; select 2", 2, PG_KIND_SELECT, 0},
    {"select E '\\'; select 2", 2, PG_KIND_SELECT, 0},
    {"select $1e'\\'; '", 1, PG_KIND_SELECT, 0},
    {"select 1e'\\'; '", 1, PG_KIND_SELECT, 0},
    {"select 1.5e'\\'; '", 1, PG_KIND_SELECT, 0},
    {"select 1e5'\\'; select 2", 2, PG_KIND_SELECT, 0},
    {"select b'10'; select x'ff'; select n'x'", 3, PG_KIND_SELECT, 0},
    {"select X'ff\\'; select 2", 2, PG_KIND_SELECT, 0},
    {"select U&'\\0041;' ; select 2", 2, PG_KIND_SELECT, 0},
    {"select U&'d!0061t\\' uescape '!'; select 2", 2, PG_KIND_SELECT, 0},
    {"select u & '\\'; select 2", 2, PG_KIND_SELECT, 0},
    {"select u&2; select 3", 2, PG_KIND_SELECT, 0},
    {"select u&", 1, PG_KIND_SELECT, 0},
    {"select 'a' \n ';'; select 2", 2, PG_KIND_SELECT, 0},
    {"select E'a' \n '\\';'; select 2", 2, PG_KIND_SELECT, 0},
    {"select E'a' -- it's\n '\\';'; select 2", 2, PG_KIND_SELECT, 0},
    {"select E'a' \n -- it's\n '\\';'; select 2", 2, PG_KIND_SELECT, 0},
    {"select E'a' '\\'; select 2", 2, PG_KIND_SELECT, 0},
    {"select E'a' /* \n */ '\\'; select 2", 2, PG_KIND_SELECT, 0},
    {"select 'a' \n '\\'; select 2", 2, PG_KIND_SELECT, 0},
    {"select 'a\n;b'; select 2", 2, PG_KIND_SELECT, 0},
    {"select 'a", 1, PG_KIND_SELECT, MAY},
    {"select '", 1, PG_KIND_SELECT, MAY},
    /* dollar quotes */
    {"select $$;$$; select 2", 2, PG_KIND_SELECT, 0},
    {"select $a$ ; $b$ ; $$ ; ' $a$; select 2", 2, PG_KIND_SELECT, 0},
    {"select $$a$b$;$$; select 2", 2, PG_KIND_SELECT, 0},
    {"select $a$;$b$a$; select 2", 2, PG_KIND_SELECT, 0},
    {"select $a$;$$a$; select 2", 2, PG_KIND_SELECT, 0},
    {"select $a$;$A$;$a$; select 2", 2, PG_KIND_SELECT, 0},
    {"select $a1_\xc3\xa9$;$a1_\xc3\xa9$; select 2", 2, PG_KIND_SELECT, 0},
    {"select a$b$; select c$b$", 2, PG_KIND_SELECT, 0},
    {"select a$$; select c$$", 2, PG_KIND_SELECT, 0},
    {"select $1; select $2", 2, PG_KIND_SELECT, 0},
    {"select $1$;$; select 2", 3, PG_KIND_SELECT, 0},
    {"select 1$$;$$; select 2", 2, PG_KIND_SELECT, 0},
    {"select $1$$;$$; select 2", 2, PG_KIND_SELECT, 0},
    {"select $a ; select $b", 2, PG_KIND_SELECT, 0},
    {"select $-$; select 2", 2, PG_KIND_SELECT, 0},
    {"select $", 1, PG_KIND_SELECT, 0},
    {"select $$", 1, PG_KIND_SELECT, MAY},
    {"select $a$ $a", 1, PG_KIND_SELECT, MAY},
    {"select $$$$; select 2", 2, PG_KIND_SELECT, 0},
    {"select $a$$a$;select $b$$b$", 2, PG_KIND_SELECT, 0},
    /* identifiers */
    {"select \";\"; select 2", 2, PG_KIND_SELECT, 0},
    {"select \"a\"\";\"; select 2", 2, PG_KIND_SELECT, 0},
    {"select \"'\"; select \"'\"", 2, PG_KIND_SELECT, 0},
    {"select \"$$\"; select \"$$\"", 2, PG_KIND_SELECT, 0},
    {"select \"\\\"; select 2", 2, PG_KIND_SELECT, 0},
    {"select \"/*\"; select \"*/\"", 2, PG_KIND_SELECT, 0},
    {"select \"a", 1, PG_KIND_SELECT, MAY},
    {"select \"", 1, PG_KIND_SELECT, MAY},
    {"select U&\"d\\0061;ta\"; select 2", 2, PG_KIND_SELECT, MAY},
    {"select \xc3\xa9'; select 2'", 1, PG_KIND_SELECT, 0},
    {"\"select\" 1", 1, PG_KIND_OTHER, 0},
    {"selects 1", 1, PG_KIND_OTHER, 0},
    /* parentheses, rules, SQL bodies */
    {"create rule r as on insert to t do also (delete from a; delete from b)", 1, PG_KIND_CREATE,
     PG_SCAN_SEQ_IMPLICIT},
    {"select (1; select 2", 1, PG_KIND_SELECT, 0},
    {"select 1); select 2", 2, PG_KIND_SELECT, 0},
    {"create function f() returns int begin atomic select 1; select 2; end; select 3", 2,
     PG_KIND_CREATE, 0},
    {"create or replace function f() returns int language sql begin atomic select case 1 when 1 "
     "then 2 end; select 2; end; select 3",
     2, PG_KIND_CREATE, 0},
    {"create procedure p() begin atomic select 1 as end; select 2 as \"end\"; end; select 3", 2,
     PG_KIND_CREATE, 0},
    {"create procedure p() begin atomic select (case when true then (case 1 when 1 then 2 end) "
     "end); end; begin",
     2, PG_KIND_CREATE, PG_SCAN_TX_BEGIN},
    {"create procedure p() begin atomic insert into t values (nextval('s')); end", 1,
     PG_KIND_CREATE, 0},
    {"create procedure p() begin atomic select 1;", 1, PG_KIND_CREATE, MAY},
    {"create function f() returns int as $$ begin; set x = 1; end $$ language plpgsql; select 2", 2,
     PG_KIND_CREATE, 0},
    {"create function f() returns int return 1; select 2", 2, PG_KIND_CREATE, 0},
    {"create table begin_atomic (x int); select 1", 2, PG_KIND_CREATE, 0},
    {"create function f(a int default nextval('x')) returns int as 'select 1' language sql", 1,
     PG_KIND_CREATE, 0},
};

static void lexical_rules(void **state)
{
    (void)state;
    ROWS(lexical, SCS);
}

static const struct row nonconforming[] = {
    {"select '\\'; select 2'", 1, PG_KIND_SELECT, 0},
    {"select '\\\\'; select 2", 2, PG_KIND_SELECT, 0},
    {"select 'a''b\\';'; select 2", 2, PG_KIND_SELECT, 0},
    {"select b'\\'; select 2", 2, PG_KIND_SELECT, 0},
    {"select x'0' \n '\\'; select 2", 2, PG_KIND_SELECT, 0},
    {"select 'a' \n '\\';'; select 2", 2, PG_KIND_SELECT, 0},
    {"select $$\\$$; select 2", 2, PG_KIND_SELECT, 0},
    {"select n'\\';'; select 2", 2, PG_KIND_SELECT, 0},
    {"set x = 'a\\nb'", 1, PG_KIND_SET, OPAQUE},
    {"set x = 'a'", 1, PG_KIND_SET, PG_SCAN_SET_SIMPLE},
};

static void backslashes(void **state)
{
    (void)state;
    ROWS(nonconforming, 0);
}

/* ---- what statements do -----------------------------------------------------------------------
 */

static const struct row kinds[] = {
    {"insert into t values (1)", 1, PG_KIND_INSERT, PG_SCAN_SEQ_IMPLICIT},
    {"insert into temp values (1)", 1, PG_KIND_INSERT, PG_SCAN_SEQ_IMPLICIT},
    {"with x as (insert into t default values returning *) select * from x", 1, PG_KIND_SELECT,
     PG_SCAN_RETURNING | PG_SCAN_SEQ_IMPLICIT},
    {"update t set x = 1", 1, PG_KIND_UPDATE, 0},
    {"delete from t", 1, PG_KIND_DELETE, 0},
    {"merge into temp t using s on a = b when matched then delete", 1, PG_KIND_MERGE,
     PG_SCAN_SEQ_IMPLICIT},
    {"copy t from stdin", 1, PG_KIND_COPY, PG_SCAN_COPY | PG_SCAN_SEQ_IMPLICIT},
    {"show all", 1, PG_KIND_SHOW, 0},
    {"vacuum t", 1, PG_KIND_OTHER, 0},
    {"grant execute on function f to x", 1, PG_KIND_OTHER, 0},
    {"alter table t set (fillfactor = 10)", 1, PG_KIND_ALTER, 0},
    {"alter role x set search_path to y", 1, PG_KIND_ALTER, 0},
    {"alter system set x = 1", 1, PG_KIND_ALTER, 0},
    {"drop table t", 1, PG_KIND_DROP, PG_SCAN_DROP},
    {"fetch all from c", 1, PG_KIND_FETCH, 0},
    {"move 3 in c", 1, PG_KIND_FETCH, 0},
    {"notify c, 'x'", 1, PG_KIND_NOTIFY, 0},
    {"listen c", 1, PG_KIND_LISTEN, PG_SCAN_LISTEN},
    {"unlisten c", 1, PG_KIND_UNLISTEN, PG_SCAN_UNLISTEN},
    {"unlisten *", 1, PG_KIND_UNLISTEN, PG_SCAN_UNLISTEN},
    {"load 'auto_explain'", 1, PG_KIND_LOAD, PG_SCAN_LOAD},
    {"close c", 1, PG_KIND_CLOSE, PG_SCAN_CLOSE},
    {"close all", 1, PG_KIND_CLOSE, PG_SCAN_CLOSE},
    {"do $$ begin perform set_config('a', 'b', false); end $$", 1, PG_KIND_DO, MAY},
    {"DO language plpgsql 'begin end'", 1, PG_KIND_DO, MAY},
    {"call p(1)", 1, PG_KIND_CALL, MAY},
    {"explain select 1", 1, PG_KIND_EXPLAIN, 0},
    {"explain (analyze, buffers) select nextval('s')", 1, PG_KIND_EXPLAIN, PG_SCAN_SEQUENCE},
    {"explain analyze verbose create temp table x as select 1", 1, PG_KIND_EXPLAIN,
     PG_SCAN_TEMP_OBJECT},
    {"explain (select 1) union select 2", 1, PG_KIND_EXPLAIN, 0},
    {"explain (costs off) execute p(1)", 1, PG_KIND_EXPLAIN, PG_SCAN_EXECUTE},
    {"explain explain explain select 1", 1, PG_KIND_EXPLAIN, 0},
    {"explain; begin", 2, PG_KIND_EXPLAIN, PG_SCAN_TX_BEGIN},
    /* transactions */
    {"begin", 1, PG_KIND_BEGIN, PG_SCAN_TX_BEGIN},
    {"BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY", 1, PG_KIND_BEGIN, PG_SCAN_TX_BEGIN},
    {"start transaction", 1, PG_KIND_BEGIN, PG_SCAN_TX_BEGIN},
    {"commit", 1, PG_KIND_COMMIT, PG_SCAN_TX_END},
    {"end work", 1, PG_KIND_COMMIT, PG_SCAN_TX_END},
    {"commit and chain", 1, PG_KIND_COMMIT, PG_SCAN_TX_END | PG_SCAN_TX_BEGIN},
    {"commit work and no chain", 1, PG_KIND_COMMIT, PG_SCAN_TX_END},
    {"rollback", 1, PG_KIND_ROLLBACK, PG_SCAN_TX_END},
    {"abort transaction", 1, PG_KIND_ROLLBACK, PG_SCAN_TX_END},
    {"rollback and chain", 1, PG_KIND_ROLLBACK, PG_SCAN_TX_END | PG_SCAN_TX_BEGIN},
    {"rollback to a", 1, PG_KIND_ROLLBACK_TO, PG_SCAN_ROLLBACK_TO},
    {"rollback work to savepoint a", 1, PG_KIND_ROLLBACK_TO, PG_SCAN_ROLLBACK_TO},
    {"savepoint a", 1, PG_KIND_SAVEPOINT, PG_SCAN_SAVEPOINT},
    {"release savepoint a", 1, PG_KIND_RELEASE, PG_SCAN_RELEASE},
    {"prepare transaction 'x'", 1, PG_KIND_PREPARE_TRANSACTION, PG_SCAN_TX_END},
    {"commit prepared 'x'", 1, PG_KIND_OTHER, 0},
    {"rollback prepared 'x'", 1, PG_KIND_OTHER, 0},
    {"begin; select 1; commit", 3, PG_KIND_BEGIN, PG_SCAN_TX_BEGIN | PG_SCAN_TX_END},
    /* prepared statements */
    {"prepare p as select 1", 1, PG_KIND_PREPARE, PG_SCAN_PREPARE},
    {"prepare p (int, text) as insert into t values ($1)", 1, PG_KIND_PREPARE,
     PG_SCAN_PREPARE | PG_SCAN_SEQ_IMPLICIT},
    {"prepare transaction as select 1", 1, PG_KIND_PREPARE, PG_SCAN_PREPARE},
    {"prepare U&\"p\" as select 1", 1, PG_KIND_PREPARE, PG_SCAN_PREPARE | MAY},
    {"execute p", 1, PG_KIND_EXECUTE, PG_SCAN_EXECUTE},
    {"execute p(1, 'x')", 1, PG_KIND_EXECUTE, PG_SCAN_EXECUTE},
    {"create table t as execute p(1)", 1, PG_KIND_CREATE, PG_SCAN_EXECUTE},
    {"create temp table t (a) with (fillfactor = 10) on commit drop as execute p", 1,
     PG_KIND_CREATE, PG_SCAN_EXECUTE | PG_SCAN_TEMP_TX},
    {"create table t as select 1 as execute from x", 1, PG_KIND_CREATE, 0},
    {"create trigger t after insert on x execute function f()", 1, PG_KIND_CREATE,
     PG_SCAN_SEQ_IMPLICIT},
    {"deallocate p", 1, PG_KIND_DEALLOCATE, PG_SCAN_DEALLOCATE},
    {"deallocate prepare p", 1, PG_KIND_DEALLOCATE, PG_SCAN_DEALLOCATE},
    {"deallocate prepare", 1, PG_KIND_DEALLOCATE, PG_SCAN_DEALLOCATE},
    {"deallocate \"all\"", 1, PG_KIND_DEALLOCATE, PG_SCAN_DEALLOCATE},
    {"deallocate all", 1, PG_KIND_DEALLOCATE, PG_SCAN_DEALLOCATE_ALL},
    {"deallocate prepare all", 1, PG_KIND_DEALLOCATE, PG_SCAN_DEALLOCATE_ALL},
    /* cursors */
    {"declare c cursor for select 1", 1, PG_KIND_DECLARE, 0},
    {"declare c cursor with hold for select 1", 1, PG_KIND_DECLARE, PG_SCAN_HOLD_CURSOR},
    {"declare c binary no scroll cursor with /* */ hold for select 1", 1, PG_KIND_DECLARE,
     PG_SCAN_HOLD_CURSOR},
    {"declare c cursor without hold for select 1", 1, PG_KIND_DECLARE, 0},
    {"declare c cursor for with hold as (select 1) select * from hold", 1, PG_KIND_DECLARE, 0},
    {"declare", 1, PG_KIND_DECLARE, 0},
    {"declare c", 1, PG_KIND_DECLARE, 0},
    {"discard all", 1, PG_KIND_DISCARD, PG_SCAN_DISCARD_ALL},
    {"discard plans", 1, PG_KIND_DISCARD, PG_SCAN_DISCARD_PLANS},
    {"discard sequences", 1, PG_KIND_DISCARD, PG_SCAN_DISCARD_SEQUENCES},
    {"discard temp", 1, PG_KIND_DISCARD, PG_SCAN_DISCARD_TEMP},
    {"discard temporary", 1, PG_KIND_DISCARD, PG_SCAN_DISCARD_TEMP},
};

static const struct row temporary[] = {
    {"create temp table t (x int)", 1, PG_KIND_CREATE, PG_SCAN_TEMP_OBJECT},
    {"CREATE GLOBAL TEMPORARY TABLE t (x int)", 1, PG_KIND_CREATE, PG_SCAN_TEMP_OBJECT},
    {"create local temp table t (x int) on commit delete rows", 1, PG_KIND_CREATE,
     PG_SCAN_TEMP_OBJECT},
    {"create temp table t (x int) on commit drop", 1, PG_KIND_CREATE, PG_SCAN_TEMP_TX},
    {"create temp table t on commit drop as select nextval('s')", 1, PG_KIND_CREATE,
     PG_SCAN_TEMP_TX | PG_SCAN_SEQUENCE},
    {"create temp table a (x int) on commit drop; create temp table b (x int)", 2, PG_KIND_CREATE,
     PG_SCAN_TEMP_TX | PG_SCAN_TEMP_OBJECT},
    {"create temp table t as select 'on commit drop'", 1, PG_KIND_CREATE, PG_SCAN_TEMP_OBJECT},
    {"create or replace temp view v as select 1", 1, PG_KIND_CREATE, PG_SCAN_TEMP_OBJECT},
    {"create temp recursive view v(n) as select 1", 1, PG_KIND_CREATE, PG_SCAN_TEMP_OBJECT},
    {"create temp sequence s", 1, PG_KIND_CREATE, PG_SCAN_TEMP_OBJECT},
    {"create /* temp */ table temp (temporary int)", 1, PG_KIND_CREATE, 0},
    {"create table \"temp\" (x int)", 1, PG_KIND_CREATE, 0},
    {"create unlogged table t (x int)", 1, PG_KIND_CREATE, 0},
    {"create table pg_temp.t (x int)", 1, PG_KIND_CREATE, PG_SCAN_TEMP_OBJECT},
    {"create function pg_temp.f() returns int as 'select 1' language sql", 1, PG_KIND_CREATE,
     PG_SCAN_TEMP_OBJECT},
    {"select * from pg_temp_3.t", 1, PG_KIND_SELECT, PG_SCAN_TEMP_OBJECT},
    {"select * from \"pg_temp\".t", 1, PG_KIND_SELECT, PG_SCAN_TEMP_OBJECT},
    {"select pg_temperature, 'pg_temp' from t", 1, PG_KIND_SELECT, 0},
    {"select 1 into temp t", 1, PG_KIND_SELECT, PG_SCAN_TEMP_OBJECT},
    {"select 1 into local temporary table t from x", 1, PG_KIND_SELECT, PG_SCAN_TEMP_OBJECT},
    {"select 1 into \"temp\" from x", 1, PG_KIND_SELECT, 0},
    {"select 1 into unlogged t", 1, PG_KIND_SELECT, 0},
    {"set search_path to pg_temp, public", 1, PG_KIND_SET,
     PG_SCAN_SET_SIMPLE | PG_SCAN_TEMP_OBJECT},
    {"set search_path = 'PG_TEMP'", 1, PG_KIND_SET, PG_SCAN_SET_SIMPLE | PG_SCAN_TEMP_OBJECT},
    {"select set_config('search_path', 'pg_temp', true)", 1, PG_KIND_SELECT,
     PG_SCAN_SET_LOCAL | PG_SCAN_TEMP_OBJECT},
};

static const struct row functions[] = {
    {"select nextval('s')", 1, PG_KIND_SELECT, PG_SCAN_SEQUENCE},
    {"select NextVal ( 's')", 1, PG_KIND_SELECT, PG_SCAN_SEQUENCE},
    {"select nextval/* */ -- x\n ('s')", 1, PG_KIND_SELECT, PG_SCAN_SEQUENCE},
    {"select pg_catalog.nextval('s')", 1, PG_KIND_SELECT, PG_SCAN_SEQUENCE},
    {"select pg_catalog . \"nextval\" ('s')", 1, PG_KIND_SELECT, PG_SCAN_SEQUENCE},
    {"select nextval from t", 1, PG_KIND_SELECT, 0},
    {"select 'nextval(1)', $$ nextval(2) $$", 1, PG_KIND_SELECT, 0},
    {"select nextvalue('s'), xnextval(1)", 1, PG_KIND_SELECT, 0},
    {"select setval('s', 1)", 1, PG_KIND_SELECT, PG_SCAN_SEQUENCE},
    {"select currval('s')", 1, PG_KIND_SELECT, PG_SCAN_SEQ_READ},
    {"select lastval()", 1, PG_KIND_SELECT, PG_SCAN_SEQ_READ},
    {"select setseed(0.5)", 1, PG_KIND_SELECT, PG_SCAN_SEED},
    {"select public.dblink_connect('a', '')", 1, PG_KIND_SELECT, PG_SCAN_DBLINK},
    {"select dblink_connect_u('')", 1, PG_KIND_SELECT, PG_SCAN_DBLINK},
    {"select dblink('', 'select 1')", 1, PG_KIND_SELECT, 0},
    {"insert into t values (nextval('s')) returning currval('s')", 1, PG_KIND_INSERT,
     PG_SCAN_RETURNING | PG_SCAN_SEQ_IMPLICIT | PG_SCAN_SEQUENCE | PG_SCAN_SEQ_READ},
    {"select pg_advisory_lock(1)", 1, PG_KIND_SELECT, PG_SCAN_ADVISORY_LOCK},
    {"select pg_advisory_lock_shared(1)", 1, PG_KIND_SELECT, PG_SCAN_ADVISORY_LOCK},
    {"select pg_try_advisory_lock(1)", 1, PG_KIND_SELECT, PG_SCAN_ADVISORY_LOCK},
    {"select pg_try_advisory_lock_shared(1)", 1, PG_KIND_SELECT, PG_SCAN_ADVISORY_LOCK},
    {"select pg_advisory_xact_lock(1)", 1, PG_KIND_SELECT, 0},
    {"select pg_try_advisory_xact_lock_shared(1)", 1, PG_KIND_SELECT, 0},
    {"select pg_advisory_unlock(1)", 1, PG_KIND_SELECT, PG_SCAN_ADVISORY_UNLOCK},
    {"select pg_advisory_unlock_shared(1)", 1, PG_KIND_SELECT, PG_SCAN_ADVISORY_UNLOCK},
    {"select pg_advisory_unlock_all()", 1, PG_KIND_SELECT, PG_SCAN_ADVISORY_UNLOCK},
    {"select x.pg_advisory_lock(1) from (select pg_try_advisory_lock(2)) x", 1, PG_KIND_SELECT,
     PG_SCAN_ADVISORY_LOCK},
    {"select query_to_xml('select 1', true, true, '')", 1, PG_KIND_SELECT, MAY},
    {"select query_to_xmlschema('select 1', true, true, '')", 1, PG_KIND_SELECT, MAY},
    {"select query_to_xml_and_xmlschema('select 1', true, true, '')", 1, PG_KIND_SELECT, MAY},
    {"select * from ts_stat('select 1')", 1, PG_KIND_SELECT, MAY},
    {"select ts_rewrite('a', 'select 1')", 1, PG_KIND_SELECT, MAY},
    {"select name from pg_settings", 1, PG_KIND_SELECT, 0},
    {"update pg_settings set setting = '5MB'", 1, PG_KIND_UPDATE, PG_SCAN_SET_OPAQUE},
    {"update pg_catalog.\"pg_settings\" set setting = $1", 1, PG_KIND_UPDATE, PG_SCAN_SET_OPAQUE},
    {"with a as (select 1) update pg_settings set setting = 1; select 1", 2, PG_KIND_SELECT,
     PG_SCAN_SET_OPAQUE},
    {"explain analyze update pg_settings set setting = 1", 1, PG_KIND_EXPLAIN, PG_SCAN_SET_OPAQUE},
    /* the third argument */
    {"select set_config('a.b', 'c', false)", 1, PG_KIND_SELECT, OPAQUE},
    {"select set_config('a.b', $1, true)", 1, PG_KIND_SELECT, PG_SCAN_SET_LOCAL},
    {"select pg_catalog.set_config('a.b', f(1, 2), 'true')", 1, PG_KIND_SELECT, PG_SCAN_SET_LOCAL},
    {"select set_config('a.b', 'c', TRUE), set_config('d', 'e', false)", 1, PG_KIND_SELECT,
     OPAQUE | PG_SCAN_SET_LOCAL},
    {"select set_config('a.b', 'c', $1)", 1, PG_KIND_SELECT, OPAQUE},
    {"select set_config('a.b', 'c', not true)", 1, PG_KIND_SELECT, OPAQUE},
    {"select set_config('a.b', 'c', true and false)", 1, PG_KIND_SELECT, OPAQUE},
    {"select set_config('a.b', 'c', (true))", 1, PG_KIND_SELECT, OPAQUE},
    {"select set_config('a.b', 'c', is_local => true)", 1, PG_KIND_SELECT, OPAQUE},
    {"select set_config($1, 'c', false)", 1, PG_KIND_SELECT, NONAME},
    {"select set_config($1, 'c', true)", 1, PG_KIND_SELECT, PG_SCAN_SET_LOCAL},
    {"select set_config('a' || 'b', 'c', false)", 1, PG_KIND_SELECT, NONAME},
    {"select set_config($$a.b$$, 'c', false)", 1, PG_KIND_SELECT, NONAME},
    {"select set_config('a.''b', 'c', false)", 1, PG_KIND_SELECT, NONAME},
    {"select set_config(E'a.b', 'c', false)", 1, PG_KIND_SELECT, NONAME},
    {"select set_config(setting_name => 'a.b', new_value => 'c', is_local => false)", 1,
     PG_KIND_SELECT, NONAME},
    {"select set_config('a', set_config('b', 'c', false), true)", 1, PG_KIND_SELECT,
     NONAME | PG_SCAN_SET_LOCAL},
    {"select set_config('a', set_config('b', 'c', true), true)", 1, PG_KIND_SELECT,
     NONAME | PG_SCAN_SET_LOCAL},
    {"select set_config('a', nextval('s')::text, true)", 1, PG_KIND_SELECT,
     PG_SCAN_SET_LOCAL | PG_SCAN_SEQUENCE},
    {"select set_config('a', 'b', true", 1, PG_KIND_SELECT, PG_SCAN_SET_LOCAL},
    {"select set_config from t", 1, PG_KIND_SELECT, 0},
    {"select \"set_config\"('a', 'b', 'false')", 1, PG_KIND_SELECT, OPAQUE},
    {"select U&\"set\\005fconfig\"('a', 'b', false)", 1, PG_KIND_SELECT, MAY},
    {"select \"\", \"x\"", 1, PG_KIND_SELECT, 0},
};

static const struct row settings[] = {
    {"set x = 1", 1, PG_KIND_SET, PG_SCAN_SET_SIMPLE},
    {"set x to default", 1, PG_KIND_SET, PG_SCAN_RESET_ONE},
    {"reset x", 1, PG_KIND_RESET, PG_SCAN_RESET_ONE},
    {"reset all", 1, PG_KIND_RESET, PG_SCAN_RESET_ALL},
    {"reset time zone", 1, PG_KIND_RESET, PG_SCAN_RESET_ONE},
    {"reset transaction isolation level", 1, PG_KIND_RESET, PG_SCAN_SET_LOCAL},
    {"reset session authorization", 1, PG_KIND_RESET, OPAQUE},
    {"reset role", 1, PG_KIND_RESET, OPAQUE},
    {"reset", 1, PG_KIND_RESET, OPAQUE},
    {"set", 1, PG_KIND_SET, OPAQUE},
    {"set x", 1, PG_KIND_SET, OPAQUE},
    {"set x =", 1, PG_KIND_SET, OPAQUE},
    {"set x = 1 2", 1, PG_KIND_SET, OPAQUE},
    {"set x = 1,", 1, PG_KIND_SET, OPAQUE},
    {"set x = -'a'", 1, PG_KIND_SET, OPAQUE},
    {"set x = E'a'", 1, PG_KIND_SET, OPAQUE},
    {"set x = U&'a'", 1, PG_KIND_SET, OPAQUE},
    {"set x = 'a\\b'", 1, PG_KIND_SET, OPAQUE},
    {"set x = $1", 1, PG_KIND_SET, OPAQUE},
    {"set x = f(1)", 1, PG_KIND_SET, OPAQUE},
    {"set x from current", 1, PG_KIND_SET, OPAQUE},
    {"set x = 0x10", 1, PG_KIND_SET, OPAQUE},
    {"set U&\"x\" = 1", 1, PG_KIND_SET, MAY},
    {"set x = 1; select 1", 2, PG_KIND_SET, OPAQUE},
    {"select 1; set x = 1", 2, PG_KIND_SELECT, OPAQUE},
    {"set x = 1; set y = 2", 2, PG_KIND_SET, OPAQUE},
    {"begin; reset x", 2, PG_KIND_BEGIN, PG_SCAN_TX_BEGIN | OPAQUE},
    {"select 1; reset all", 2, PG_KIND_SELECT, PG_SCAN_RESET_ALL | OPAQUE},
    {"set local x = 1", 1, PG_KIND_SET, PG_SCAN_SET_LOCAL},
    {"set local role x", 1, PG_KIND_SET, PG_SCAN_SET_LOCAL},
    {"set local.x = 1", 1, PG_KIND_SET, NONAME},
    {"set transaction isolation level serializable", 1, PG_KIND_SET, PG_SCAN_SET_LOCAL},
    {"set transaction snapshot 'x'", 1, PG_KIND_SET, PG_SCAN_SET_LOCAL},
    {"set transaction.x = 1", 1, PG_KIND_SET, NONAME},
    {"set constraints all deferred", 1, PG_KIND_SET, PG_SCAN_SET_LOCAL},
    {"set transaction_isolation = 'serializable'", 1, PG_KIND_SET, PG_SCAN_SET_LOCAL},
    {"set transaction_timeout = '5s'", 1, PG_KIND_SET, PG_SCAN_SET_SIMPLE},
    {"set session \"Transaction_Read_Only\" to on", 1, PG_KIND_SET, PG_SCAN_SET_LOCAL},
    {"set session characteristics as transaction read only", 1, PG_KIND_SET, OPAQUE},
    {"set session authorization x", 1, PG_KIND_SET, OPAQUE},
    {"set session session authorization x", 1, PG_KIND_SET, OPAQUE},
    {"set session_authorization = 'x'", 1, PG_KIND_SET, OPAQUE},
    {"set role x", 1, PG_KIND_SET, OPAQUE},
    {"set session role to x", 1, PG_KIND_SET, OPAQUE},
    {"set \"role\" to x", 1, PG_KIND_SET, OPAQUE},
    {"set role.x = 1", 1, PG_KIND_SET, NONAME},
    {"set temp_buffers to 200", 1, PG_KIND_SET, PG_SCAN_SET_OPAQUE},
    {"set seed to 0.5", 1, PG_KIND_SET, PG_SCAN_SEED},
    {"set time zone interval '1' hour", 1, PG_KIND_SET, OPAQUE},
    {"set time zone local", 1, PG_KIND_SET, PG_SCAN_RESET_ONE},
    {"set time zone default", 1, PG_KIND_SET, PG_SCAN_RESET_ONE},
    {"set names default", 1, PG_KIND_SET, PG_SCAN_RESET_ONE},
    {"set names", 1, PG_KIND_SET, PG_SCAN_RESET_ONE},
    {"set catalog 'x'", 1, PG_KIND_SET, OPAQUE},
};

static void statements(void **state)
{
    (void)state;
    ROWS(kinds, SCS);
    ROWS(temporary, SCS);
    ROWS(functions, SCS);
    ROWS(settings, SCS);
}

/* ---- names and values -------------------------------------------------------------------------
 */

static void simple_settings(void **state)
{
    static const struct {
        const char *text, *setting, *value;
    } rows[] = {
        {"set x = 1", "x", "1"},
        {"SET X TO 1 ;", "x", "1"},
        {"set session x to on", "x", "on"},
        {"set x=-5", "x", "-5"},
        {"set x = + 1.5e3", "x", "+ 1.5e3"},
        {"set x='a;b' -- ;", "x", "'a;b'"},
        {"set x to 'it''s'", "x", "'it''s'"},
        {"set x to 'a' \n 'b'", "x", "'a' \n 'b'"},
        {"set x to $$a'b$$", "x", "$$a'b$$"},
        {"set x to $t$a\\b$t$;;", "x", "$t$a\\b$t$"},
        {"set search_path to \"$user\", public , 'x'", "search_path", "\"$user\", public , 'x'"},
        {"set DateStyle = iso, mdy", "datestyle", "iso, mdy"},
        {"set my.Var to 'v'", "my.var", "'v'"},
        {"set my . \"Var\" . z to v", "my.var.z", "v"},
        {"set \"TimeZone\" = 'UTC'", "timezone", "'UTC'"},
        {"set time zone 'Europe/Berlin'", "timezone", "'Europe/Berlin'"},
        {"set session time /* */ zone -7", "timezone", "-7"},
        {"set time zone utc", "timezone", "utc"},
        {"set time = 3", "time", "3"},
        {"set time.zone = 3", "time.zone", "3"},
        {"set names 'utf8'", "client_encoding", "'utf8'"},
        {"set names = 3", "names", "3"},
        {"set schema 'a'", "search_path", "'a'"},
        {"set xml option document", "xmloption", "document"},
        {"/* c */ set /* d */ x /* e */ = /* f */ 1 /* g */", "x", "1"},
        {"set client_encoding to 'UTF8'", "client_encoding", "'UTF8'"},
        {"set x to default", "x", NULL},
        {"reset x", "x", NULL},
        {"reset My.X", "my.x", NULL},
        {"reset time zone", "timezone", NULL},
        {"set names", "client_encoding", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pg_scan got = scan(rows[i].text, SCS);
        char name[PG_SETTING_MAX];
        uint64_t want = rows[i].value != NULL ? PG_SCAN_SET_SIMPLE : PG_SCAN_RESET_ONE;
        if (got.flags != want)
            fail_msg("{%s}: %s", rows[i].text, pg_scan_flag_name(got.flags));
        size_t len = pg_scan_setting(rows[i].text, &got, name);
        assert_string_equal(name, rows[i].setting);
        assert_int_equal(len, strlen(name));
        check_span("value", rows[i].text, got.value, rows[i].value);
    }
}

static void long_names(void **state)
{
    char text[1024], name[PG_SETTING_MAX];
    (void)state;
    /* each part may have 63 bytes, all of them together PG_SETTING_MAX - 1 */
    for (int len = 60; len < 67; len++) {
        snprintf(text, sizeof(text), "set \"%0*d\".\"%0*d\" = 1", len, 1, len, 2);
        struct pg_scan got = scan(text, SCS);
        bool fits = len <= 63;
        assert_int_equal(got.flags, fits ? PG_SCAN_SET_SIMPLE : NONAME);
        assert_int_equal(pg_scan_setting(text, &got, name), fits ? 2 * len + 1 : 0);
    }
    snprintf(text, sizeof(text), "set \"%063d\".\"%063d\".b = 1", 1, 2);
    assert_int_equal(scan(text, SCS).flags, NONAME);
}

static void statement_names(void **state)
{
    static const struct {
        const char *text, *token, *name;
        uint64_t flag;
    } rows[] = {
        {"prepare P as select 1", "P", "p", PG_SCAN_PREPARE},
        {"prepare \"P \"\"q\" (int) as select 1", "\"P \"\"q\"", "P \"q", PG_SCAN_PREPARE},
        {"execute /* */ p1 (2)", "p1", "p1", PG_SCAN_EXECUTE},
        {"explain analyze execute \"p\"", "\"p\"", "p", PG_SCAN_EXECUTE},
        {"create table t as execute p", "p", "p", PG_SCAN_EXECUTE},
        {"deallocate prepare S_1;", "S_1", "s_1", PG_SCAN_DEALLOCATE},
        {"deallocate prepare", "prepare", "prepare", PG_SCAN_DEALLOCATE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pg_scan got = scan(rows[i].text, SCS);
        char name[64];
        assert_int_equal(got.n_names, 1);
        assert_int_equal(got.names[0].flag, rows[i].flag);
        check_span("name", rows[i].text, got.names[0].at, rows[i].token);
        assert_int_equal(pg_scan_identifier(rows[i].text, got.names[0].at, name),
                         strlen(rows[i].name));
        assert_string_equal(name, rows[i].name);
    }
    const char *many = "execute a; execute b; execute c; prepare d as select 1; deallocate e";
    struct pg_scan got = scan(many, SCS);
    assert_int_equal(got.n_names, 5);
    check_span("last name", many, got.names[3].at, "d");
    assert_int_equal(got.names[3].flag, PG_SCAN_PREPARE);
}

static void calls(void **state)
{
    static const struct {
        const char *text, *names[PG_SCAN_USED_MAX];
    } rows[] = {
        {"select f(1), s.G (2), \"h\"\n(3), pg_catalog.k(4)", {"f", "s.g", "h", "k"}},
        {"select s.count(1), \"S\".\"T\"(2), pg_catalog.now()", {"s.count", "s.t"}},
        {"alter table x add column c int default f()", {"f"}},
        {"create table x as select f()", {"f"}},
        {"create materialized view x as select f()", {"f"}},
        {"create view x as select f()", {NULL}},
        {"create table x (a int default f())", {NULL}},
        {"insert into pg_t (a) values (f(1), now())", {"f"}},
        {"update pg_t set a = (1 + (f(a)))", {"f"}},
        {"with x (a) as (select f(1)) select g()", {"f", "g"}},
        {"with recursive x (a) as (select f(1)) select g()", {"f", "g"}},
        {"select 'f(1)', $$g(2)$$, (1) -- h(3)\n", {NULL}},
        {"create function f(int) returns int", {NULL}},
        {"select f", {NULL}},
        {"(", {NULL}},
        {"select (f)(\"\"(", {NULL}},
        {"select count(*), Coalesce (a, 1) from pg_t", {NULL}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pg_scan found = scan(rows[i].text, SCS);
        uint32_t n = 0;
        for (; n < PG_SCAN_USED_MAX && rows[i].names[n] != NULL; n++)
            if (found.used[n] != pg_builtin_mark(rows[i].names[n], strlen(rows[i].names[n])))
                fail_msg("{%s}: not %s", rows[i].text, rows[i].names[n]);
        if (found.n_used != n || (n != 0) != ((found.flags & PG_SCAN_CALLS) != 0))
            fail_msg("{%s}: %u names", rows[i].text, found.n_used);
    }
}

static void tables(void **state)
{
    (void)state;
    static const struct {
        const char *text, *tables[2]; /* how, and which */
    } rows[] = {
        {"select * from v", {"r v"}},
        {"select 1 from S . x", {"r s.x"}},
        {"select 1 from S/**/.-- y\nx, a", {"r s.x", "r a"}},
        {"select * from a.\"B\".C where x", {"r a.b.c"}},
        {"select * from only t", {"r t"}},
        {"select 1 left join \"V\" on true", {"r v"}},
        {"select * from a, s.b", {"r a", "r s.b"}},
        {"select * from a x , b", {"r a", "r b"}},
        {"select * from a as x,b y where c, d", {"r a", "r b"}},
        {"select * from a -- the first\n as /**/ b, -- the other\n v", {"r a", "r v"}},
        {"select * from only/**/t", {"r t"}},
        {"select * from a order by b, c", {"r a"}},
        {"select * from a,", {"r a"}},
        {"update a set b, c", {"u a"}},
        {"insert into s.t values", {"i s.t"}},
        {"merge into t using", {"m t"}},
        {"update t set a = 1", {"u t"}},
        {"update only s.t set a = 1", {"u s.t"}},
        {"delete /* x */ from t", {"d t"}},
        {"copy t to stdout", {"r t"}},
        {"copy s.t (a, b) from stdin", {"i s.t", "r stdin"}},
        {"table v", {"r v"}},
        {"with x as (delete from t returning 1) select * from v", {"d t", "r v"}},
        {"declare c cursor for select * from v", {"r v"}},
        {"explain analyze update t set a = 1", {"u t"}},
        {"select 1 from pg_class", {NULL}},
        {"select 1 from pg_catalog.pg_class", {NULL}},
        {"select 1 from \"", {NULL}},
        {"select 1 from s.", {NULL}},
        {"select 1 from 'v'", {NULL}},
        {"create rule r as on update to t do nothing", {NULL}},
        {"create view v as select * from t", {NULL}},
        {"update", {NULL}},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pg_scan found = scan(rows[i].text, SCS);
        const char *const *want = rows[i].tables;
        uint32_t n = 0;
        for (; n < 2 && want[n] != NULL; n++)
            if (found.used[n] != pg_scan_table_mark(want[n][0], want[n] + 2, strlen(want[n] + 2)))
                fail_msg("{%s}: not %s", rows[i].text, want[n]);
        if (found.n_used != n)
            fail_msg("{%s}: %u tables", rows[i].text, found.n_used);
    }
    assert_int_not_equal(pg_scan_table_mark('r', "log", 3), pg_builtin_mark("log", 3));
    static const char *const nameless[] = {"select f/* x */ (1)",
                                           "select f/**/(1)",
                                           "select f -- x\n (1)",
                                           "select f -- count\n(1)",
                                           "select f -- into count\n(1)",
                                           "select f -- count\r(1)",
                                           "select s . f(1)",
                                           "select s/**/.f(1)"};
    for (size_t i = 0; i < sizeof(nameless) / sizeof(nameless[0]); i++)
        assert_int_equal(scan(nameless[i], SCS).n_used, PG_SCAN_USED_MAX + 1);
    char many[400] = "select ";
    for (int i = 0; i <= PG_SCAN_USED_MAX; i++)
        strcat(many, "f(1) + ");
    assert_int_equal(scan(many, SCS).n_used, PG_SCAN_USED_MAX + 1);
}

/* Tables of the server's own are no names, but neither are any number of them looked at. */
static void many_tables(void **state)
{
    static const char unit[] = " from pg_class +";
    char text[20000] = "select";
    size_t n = strlen(text);
    (void)state;
    for (; n + sizeof unit < sizeof text && n < 40 * sizeof unit; n += sizeof unit - 1)
        memcpy(text + n, unit, sizeof unit);
    assert_int_equal(scan(text, SCS).n_used, 0);
    for (; n + sizeof unit < sizeof text; n += sizeof unit - 1)
        memcpy(text + n, unit, sizeof unit);
    assert_int_equal(scan(text, SCS).n_used, PG_SCAN_USED_MAX + 1);
}

static void custom_settings(void **state)
{
    static const struct {
        const char *text, *names; /* each with a blank behind */
    } rows[] = {
        {"set my.Var = 1", "my.var "},
        {"set \"My\" . \"x\" to default", "my.x "},
        {"reset my.var", "my.var "},
        {"begin; set a.b = 'x'; select set_config('C.d', $1, false); reset e.f", "a.b c.d e.f "},
        {"set local a.b = 1", ""},
        {"select set_config('a.b', 'c', true)", ""},
        {"select set_config('work_mem', '1.5', false)", ""},
        {"set x = 1.5", ""},
        {"set time zone 'a.b'", ""},
        {"do $$ begin perform set_config('a.b', 'x', false); set c.D = 1; end $$", "a.b c.d "},
        {"DO LANGUAGE plpgsql $x$ begin set session a.b to 1; set local \"c\".d = 2; end $x$",
         "a.b c.d "},
        {"do 'begin update t set x = t.y; set a.b = 1; end'", "a.b "},
        {"do $$ begin raise notice 'set a.b = 1'; -- set c.d = 1\nend $$", ""},
        {"set local.x = 1", ""}, /* its name isn't read, see below */
        {"set a.a=1;set a.b=1;set a.c=1;set a.d=1;set a.e=1", "a.a a.b a.c a.d a.e "},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pg_scan got = scan(rows[i].text, SCS);
        char names[256] = "", one[PG_SETTING_MAX];
        for (uint32_t j = 0; j < got.n_custom && j < PG_SCAN_CUSTOM_MAX; j++) {
            size_t len = pg_scan_custom(rows[i].text, got.custom[j], one);
            assert_int_equal(len, strlen(one));
            snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s ", one);
        }
        if (strcmp(names, rows[i].names) != 0)
            fail_msg("{%s}: {%s}", rows[i].text, names);
    }
    char many[2000] = "";
    for (int i = 0; i <= PG_SCAN_CUSTOM_MAX; i++)
        snprintf(many + strlen(many), sizeof(many) - strlen(many), "set a.v%d = 1;", i);
    assert_int_equal(scan(many, SCS).n_custom, PG_SCAN_CUSTOM_MAX + 1);
    /* Bodies that can't be read, and what they compose. */
    assert_true((scan("do 'begin perform set_config(''a.b'', ''c'', false); end'", SCS).flags &
                 NONAME) != 0);
    assert_true((scan("do E'begin set a\\.b = 1; end'", SCS).flags & NONAME) == NONAME);
    assert_true((scan("do $$ begin execute 'set a.b = 1'; end $$", SCS).flags & NONAME) == NONAME);
    assert_true((scan("do $$ begin perform set_config(x, 'c', false); end $$", SCS).flags &
                 NONAME) == NONAME);
    assert_true((scan("do $$ begin set a = 1; end $$", SCS).flags & NONAME) != NONAME);
    /* Settings whose first half is a keyword of SET's. */
    assert_int_equal(scan("set local.x = 1", SCS).flags, NONAME);
    assert_int_equal(scan("set role.x = 1", SCS).flags, NONAME);
    assert_int_equal(scan("set session.x = 1", SCS).flags, NONAME);
}

static void identifiers_are_cut(void **state)
{
    char text[256], name[64];
    (void)state;
    memset(text, 'A', 100);
    assert_int_equal(pg_scan_identifier(text, (struct pg_span){0, 63}, name), 63);
    assert_int_equal(pg_scan_identifier(text, (struct pg_span){0, 64}, name), 63);
    assert_int_equal(pg_scan_identifier(text, (struct pg_span){0, 100}, name), 63);
    assert_int_equal(strspn(name, "a"), 63);
    memcpy(text + 62, "\xc3\xa9", 2); /* would be cut in the middle */
    assert_int_equal(pg_scan_identifier(text, (struct pg_span){0, 100}, name), 62);
    memcpy(text + 61, "\xc3\xa9z", 3);
    assert_int_equal(pg_scan_identifier(text, (struct pg_span){0, 100}, name), 63);
    assert_int_equal(pg_scan_identifier("'x'", (struct pg_span){0, 3}, name), 0);
    assert_int_equal(pg_scan_identifier("\"x", (struct pg_span){0, 2}, name), 0);
    assert_int_equal(pg_scan_identifier("x", (struct pg_span){0, 0}, name), 0);
    assert_string_equal(name, "");
}

static void first_statement(void **state)
{
    static const char *const rows[][2] = {
        {" ; select 1 ; select 2", "select 1"},
        {"/* x */ begin", "begin"},
        {"prepare p as select ';' ;", "prepare p as select ';'"},
        {"", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check_span("first", rows[i][0], scan(rows[i][0], SCS).first, rows[i][1]);
}

static void whole_texts(void **state)
{
    static const struct {
        const char *text;
        enum pg_scan_whole whole;
    } rows[] = {
        {"DISCARD ALL", PG_WHOLE_DISCARD_ALL},
        {" discard /* */ all; ; -- x", PG_WHOLE_DISCARD_ALL},
        {"discard all x", PG_WHOLE_NONE},
        {"discard temp", PG_WHOLE_NONE},
        {"discard \"all\"", PG_WHOLE_NONE},
        {"reset all", PG_WHOLE_RESET_ALL},
        {"reset all, x", PG_WHOLE_NONE},
        {"deallocate all", PG_WHOLE_DEALLOCATE_ALL},
        {"Deallocate Prepare All;", PG_WHOLE_DEALLOCATE_ALL},
        {"deallocate alle", PG_WHOLE_NONE},
        {"explain reset all", PG_WHOLE_NONE},
        {"select 1; reset all", PG_WHOLE_NONE},
        {"reset all; reset all", PG_WHOLE_NONE},
        {"SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;",
         PG_WHOLE_ASYNCPG_RESET},
        {"select pg_advisory_unlock_all ( ) ; close all; unlisten *; reset all",
         PG_WHOLE_ASYNCPG_RESET},
        {"select pg_advisory_unlock_all(), 1; close all; unlisten *; reset all", PG_WHOLE_NONE},
        {"select pg_advisory_unlock_all(); close all; unlisten *", PG_WHOLE_NONE},
        {"close all; select pg_advisory_unlock_all(); unlisten *; reset all", PG_WHOLE_NONE},
        {"select 1; select pg_advisory_unlock_all(); close all; unlisten *; reset all",
         PG_WHOLE_NONE},
        {"select 1;select 1;select 1;select 1;select 1;select 1;select 1;select 1;reset all",
         PG_WHOLE_NONE},
        {"", PG_WHOLE_NONE},
        {"discard all /*", PG_WHOLE_NONE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (scan(rows[i].text, SCS).whole != rows[i].whole)
            fail_msg("{%s}", rows[i].text);
    struct pg_scan reset = scan(rows[13].text, SCS);
    assert_int_equal(reset.flags, PG_SCAN_ADVISORY_UNLOCK | PG_SCAN_CLOSE | PG_SCAN_UNLISTEN |
                                      PG_SCAN_RESET_ALL | OPAQUE);
}

/* ---- what can't be read -----------------------------------------------------------------------
 */

static void cut_texts(void **state)
{
    (void)state;
    assert_int_equal(scan("insert into t values (1", SCS | PG_SCAN_OPT_CUT).flags,
                     MAY | PG_SCAN_SEQ_IMPLICIT);
    assert_int_equal(scan("set x = 1", SCS | PG_SCAN_OPT_CUT).flags, MAY);
    assert_int_equal(scan("discard all", SCS | PG_SCAN_OPT_CUT).whole, PG_WHOLE_NONE);
}

static void unsafe_encodings(void **state)
{
    (void)state;
    assert_int_equal(scan("select 1", SCS | PG_SCAN_OPT_UNSAFE_ENC).flags, 0);
    assert_int_equal(scan("select '\x95\\'", SCS | PG_SCAN_OPT_UNSAFE_ENC).flags, MAY);
    assert_int_equal(scan("set x = '\x95\x5c'", SCS | PG_SCAN_OPT_UNSAFE_ENC).flags, MAY);
}

/* Every beginning of every text above, at its exact size: nothing is read beyond the end, all spans
 * lie inside. */
static void check_cuts(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t len = strlen(rows[i].text); len-- > 0;) {
            struct pg_scan out;
            char *copy = malloc(len + (len == 0)), name[PG_SETTING_MAX];
            memcpy(copy, rows[i].text, len);
            pg_scan_text(copy, len, (unsigned)(len % 8), &out);
            (void)pg_scan_setting(copy, &out, name);
            assert_true(out.first.off + out.first.len <= len);
            assert_true(out.value.off + out.value.len <= len);
            free(copy);
        }
    }
}

#define CUTS(rows) check_cuts(rows, sizeof(rows) / sizeof((rows)[0]))

static void any_beginning(void **state)
{
    (void)state;
    CUTS(lexical);
    CUTS(nonconforming);
    CUTS(kinds);
    CUTS(temporary);
    CUTS(functions);
    CUTS(settings);
}

/* What an attacker would try against a scanner: time that grows faster than the text. */
static void long_texts(void **state)
{
    static const char *const units[] = {
        "\\",       "'",           "''\n",     "$a",    "$$",      "/*",
        "*/",       "(",           "\"",       "E'\\'", "--\n",    "x$a$",
        ";",        "set_config(", "explain ", "'a'\n", "- ",      "begin atomic ",
        "$a$b",     "pg_temp",     "copy;",    "copy(", "from a,", "from pg_a,",
        "do 'set';"};
    const size_t size = 1u << 20;
    char *text = malloc(size + 16);
    (void)state;
    for (size_t u = 0; u < sizeof(units) / sizeof(units[0]); u++) {
        for (int opts = 0; opts < 2; opts++) {
            struct pg_scan out;
            size_t len = 0, n = strlen(units[u]);
            for (; len + n <= size; len += n)
                memcpy(text + len, units[u], n);
            pg_scan_text(text, len, (unsigned)opts, &out); /* a timeout of the harness, if at all */
            memmove(text + 3, text, len);
            memcpy(text, " E'", 3);
            pg_scan_text(text, len + 3, (unsigned)opts, &out);
        }
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lexical_rules),
        cmocka_unit_test(backslashes),
        cmocka_unit_test(statements),
        cmocka_unit_test(simple_settings),
        cmocka_unit_test(long_names),
        cmocka_unit_test(statement_names),
        cmocka_unit_test(identifiers_are_cut),
        cmocka_unit_test(calls),
        cmocka_unit_test(tables),
        cmocka_unit_test(many_tables),
        cmocka_unit_test(custom_settings),
        cmocka_unit_test(first_statement),
        cmocka_unit_test(whole_texts),
        cmocka_unit_test(cut_texts),
        cmocka_unit_test(unsafe_encodings),
        cmocka_unit_test(any_beginning),
        cmocka_unit_test(long_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
