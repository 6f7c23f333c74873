/* SPDX-License-Identifier: ISC
 * What MySQL's statements mean, text by text. The lexical cases (which comments are executed, what
 * is white space in which character set, whether a quoted name calls a function) were each tried on
 * MariaDB 10.11.
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

#include "proto/mysql/my_scan.h"

#define ANSI        MY_SCAN_ANSI_QUOTES
#define NOBS        MY_SCAN_NO_BACKSLASH
#define SET         MY_DO_SET
#define OTHER       MY_DO_SET_OTHER
#define USER        MY_DO_USER_VAR
#define READ        MY_DO_READ_USER_VAR
#define LOCK        MY_DO_LOCK
#define MUCH        MY_DO_TOO_MUCH
#define ANY         MY_DO_ANYTHING
#define CALL        MY_DO_CALL
#define BEGIN       (MY_DO_BEGIN | MY_DO_UNLOCK_TABLES)
#define CREATE_TEMP MY_DO_TEMP_CREATE
#define DIAG        MY_DO_DIAGNOSTICS

/* The text in a block of exactly its size, so that the sanitizers see a read beyond it. */
static struct my_scan scan_n(const char *text, size_t n, unsigned opts)
{
    struct my_scan out;
    char *copy = malloc(n + (n == 0));
    assert_non_null(copy);
    memcpy(copy, text, n);
    memset(&out, 0xa5, sizeof out);
    my_scan(copy, n, opts, &out);
    free(copy);
    return out;
}

static struct my_scan scan(const char *text, unsigned opts)
{
    return scan_n(text, strlen(text), opts);
}

struct row {
    const char *text;
    uint32_t statements;
    uint64_t flags;
};

static void check_row(const struct row *r, unsigned opts)
{
    struct my_scan got = scan(r->text, opts);
    if (got.statements != r->statements)
        fail_msg("{%s}: %u statements, not %u", r->text, got.statements, r->statements);
    if (got.flags != r->flags)
        fail_msg("{%s}: flags %#llx, not %#llx: %#llx too many, %#llx missing", r->text,
                 (unsigned long long)got.flags, (unsigned long long)r->flags,
                 (unsigned long long)(got.flags & ~r->flags),
                 (unsigned long long)(r->flags & ~got.flags));
}

#define ROWS(rows, opts)                                                                           \
    for (size_t row_ = 0; row_ < sizeof(rows) / sizeof((rows)[0]); row_++)                         \
    check_row(&(rows)[row_], opts)

static void check_span(const char *what, const char *text, struct my_span at, const char *want)
{
    if (at.len != strlen(want) || memcmp(text + at.at, want, at.len) != 0)
        fail_msg("%s of {%s} is {%.*s}, not {%s}", what, text, (int)at.len, text + at.at, want);
}

/* ---- words, quotes, comments --------------------------------------------------------------------
 */

static const struct row lexical[] = {
    {"", 1, 0},
    {" \t\r\n\f\v", 1, 0},
    {";;;", 1, 0},
    {"--", 1, 0},
    {"#", 1, 0},
    {"/**/", 1, 0},
    {"select 1", 1, 0},
    {"select 1;", 1, 0},
    {";select 1;;select 2;", 2, 0},
    {"(select 1) union (select 2)", 1, 0},
    /* comments */
    {"select 1 -- ; select get_lock('a',1)", 1, 0},
    {"select 1 --; select release_all_locks()", 2, MY_DO_UNLOCK_ALL},
    {"select 1 --\t; select get_lock('a',1)", 1, 0},
    {"select 1 --\x01; select get_lock('a',1)", 1, 0},
    {"select 1 --\x7f; select get_lock('a',1)", 1, 0},
    {"select 1 --\n; select get_lock('a',1)", 2, LOCK},
    {"select 1 # ; select get_lock('a',1)", 1, 0},
    {"select 1 #\n; select get_lock('a',1)", 2, LOCK},
    {"select 1 /* ; select get_lock('a',1) */", 1, 0},
    {"select /*/ get_lock('a',1) */ 1", 1, 0},
    {"select 1 /* /* */ , get_lock('a',1)", 1, LOCK},
    {"select 1 /* ' */ , get_lock('a',1) -- '", 1, LOCK},
    {"select 1 /*", 1, MUCH},
    {"select 1 - -2 / 3 * 4; select 5", 2, 0},
    {"select get_lock/**/(/**/'a',1)", 1, LOCK},
    {"select get_lock-- \n('a',1)", 1, LOCK},
    /* comments that are executed */
    {"/*! select get_lock('a',1) */", 1, LOCK},
    {"select 1 /*! , get_lock('a',1) */", 1, LOCK},
    {"select 1 /*! , 2 /* , get_lock('a',1) */ , 3 */", 1, 0},
    {"select 1 /*! , 2 # , get_lock('a',1) */", 1, 0},
    {"select 1 /*!1234 , get_lock('a',1) */", 1, LOCK},
    {"/*!40101 SET NAMES utf8 */;", 1, SET},
    /* strings and names */
    {"select 'get_lock(''a'',1)'", 1, 0},
    {"select \"get_lock('a',1)\"", 1, 0},
    {"select 'a' ', get_lock(''a'',1)'", 1, 0},
    {"select '\\', get_lock(''a'',1)'", 1, 0},
    {"select '\\\\', get_lock('a',1)", 1, LOCK},
    {"select '''', get_lock('a',1)", 1, LOCK},
    {"select 'a\\'', get_lock('a',1)", 1, LOCK},
    {"select `a\\`, get_lock('a',1)", 1, LOCK},
    {"select `a``, get_lock('a',1)` from t", 1, 0},
    {"select `get_lock`('a',1)", 1, LOCK},
    {"select `get_lock` ('a',1)", 1, LOCK},
    {"select `get_lock`/**/('a',1)", 1, LOCK},
    {"select `get_lock`\n('a',1)", 1, LOCK},
    {"select `get_lock` from t", 1, 0},
    {"select `a`, `get_lock` = 1, `b`.`c` from `t` where (`x`) in (1)", 1, 0},
    {"select \"get_lock\"('a',1)", 1, 0},
    {"select get_lock, last_insert_id, row_count from t", 1, 0},
    {"select xget_lock('a',1), get_lockx('a',1), $get_lock('a',1)", 1, MY_DO_FUNCTION},
    {"select x'41', n'get_lock(', _utf8'get_lock(', b'1', 0x41, 1e5, .5, 1.5", 1, 0},
    {"select _latin1'\\'', get_lock('a',1)", 1, LOCK},
    {"select 'open", 1, MUCH},
    {"insert into t values ('open); select get_lock('a',1)", 1, MUCH},
    {"create table t (a varchar(10) default 'open)", 1, MUCH},
    {"SELECT \xc3\xa4\xc3\xb6 FROM t", 1, 0},
    {"select 1 :=", 1, 0},
};

static void test_lexical(void **state)
{
    (void)state;
    ROWS(lexical, 0);
}

static void test_sql_modes(void **state)
{
    static const struct row ansi[] = {
        {"select \"get_lock\"('a',1)", 1, LOCK},
        {"select \"get_lock\" ('a',1)", 1, LOCK},
        {"select \"a\"\"b\", 'c' from \"t\"", 1, 0},
        {"select \"a\\\", get_lock('a',1)", 1, MUCH},
    };
    static const struct row no_backslash[] = {
        {"select '\\', get_lock('a',1)", 1, LOCK},
        {"select \"\\\", get_lock('a',1)", 1, LOCK},
        {"select '\\\\', get_lock('a',1)", 1, LOCK},
    };
    (void)state;
    ROWS(ansi, ANSI);
    ROWS(no_backslash, NOBS);
}

/* 0x95 0x5c and 0x81 0x60 are characters in gbk; in sjis 0xb1 is one alone. */
static void test_charsets(void **state)
{
    static const struct row gbk[] = {
        {"select '\x95\\', get_lock('a',1)", 1, LOCK},
        {"select '\x95\\\\', get_lock(''a'',1)'", 1, 0},
        {"select `\x81``, get_lock('a',1)", 1, LOCK},
        {"select \x81` from t", 1, 0},
        {"select '\x81', get_lock('a',1)", 1, LOCK},
        {"select '\x81", 1, MUCH},
    };
    static const struct row big5[] = {
        {"select '\xa4\\', get_lock('a',1)", 1, LOCK},
        {"select '\x95\\', get_lock(''a'',1)'", 1, 0},
    };
    static const struct row sjis[] = {
        {"select '\x95\\', get_lock('a',1)", 1, LOCK},
        {"select '\xb1\\', get_lock(''a'',1)'", 1, 0},
        {"select '\xe0\\', get_lock('a',1)", 1, LOCK},
    };
    static const struct row latin1[] = {
        {"select\xa0get_lock('a',1)", 1, LOCK},
        {"set\xa0@x\xa0=\xa0"
         "1",
         1, SET | USER},
        {"select '\x95\\', get_lock(''a'',1)'", 1, 0},
        {"select 1 --\x80, 2", 1, ANY},
        {"select m\xfcller from t", 1, 0},
    };
    static const struct row cp852[] = {{"select\xffget_lock('a',1)", 1, LOCK}};
    static const struct row plain[] = {
        {"select '\x95\\', get_lock(''a'',1)'", 1, 0},
        {"select\xa0get_lock('a',1)", 1, 0},
    };
    (void)state;
    ROWS(gbk, my_scan_charset("gbk"));
    ROWS(gbk, my_scan_charset("gb18030"));
    ROWS(big5, my_scan_charset("big5"));
    ROWS(sjis, my_scan_charset("sjis"));
    ROWS(sjis, my_scan_charset("cp932"));
    ROWS(latin1, my_scan_charset("latin1"));
    ROWS(cp852, my_scan_charset("cp852"));
    ROWS(plain, my_scan_charset("utf8mb4"));
    assert_int_equal(my_scan_charset("utf8mb4"), 0);
    assert_int_equal(my_scan_charset("koi8r"), my_scan_charset("of the future"));
    assert_int_not_equal(my_scan_charset("koi8r"), 0);
}

static void test_versions(void **state)
{
    static const char lock[] = "select 1 /*!99999 ' */ , get_lock('a',1) -- '";
    static const struct row mariadb[] = {
        {"select 1 /*!99999 , get_lock('a',1) */", 1, 0},
        {"select 1 /*!50701 , get_lock('a',1) */", 1, 0},
        {"select 1 /*!50000 , get_lock('a',1) */", 1, LOCK},
        {"select 1 /*!100000 , get_lock('a',1) */", 1, LOCK},
        {"select 1 /*!110000 , get_lock('a',1) */", 1, 0},
        {"select 1 /*!1000001 , get_lock('a',1) */", 1, LOCK},
        {"select 1 /*M! , get_lock('a',1) */", 1, LOCK},
        {"select 1 /*M!50701 , get_lock('a',1) */", 1, LOCK},
        {"select 1 /*!99999 /* */ , get_lock('a',1) */ , 2", 1, 0},
        {lock, 1, LOCK},
    };
    static const struct row mysql[] = {
        {"select 1 /*!99999 , get_lock('a',1) */", 1, 0},
        {"select 1 /*!50701 , get_lock('a',1) */", 1, LOCK},
        {"select 1 /*!90704 , get_lock('a',1) */", 1, LOCK},
        {"select 1 /*!90705 , get_lock('a',1) */", 1, 0},
        {"select 1 /*M! , get_lock('a',1) */", 1, 0},
        {"select 1 /*M!50701 ' */, get_lock('a',1) -- '", 1, LOCK},
        {lock, 1, LOCK},
    };
    static const struct row unknown[] = {
        {"select 1 /*!99999 , get_lock('a',1) */", 1, LOCK},
        {"select 1 /*!50701 , 2 */", 1, 0},
        {"/*!50701 select */ lock tables t read", 1, ANY | MY_DO_LOCK_TABLES},
        {lock, 1, ANY | MUCH},
    };
    (void)state;
    unsigned maria = my_scan_server("10.11.19-MariaDB-0+deb12u1", true);
    ROWS(mariadb, maria);
    ROWS(mysql, my_scan_server("9.7.4", false));
    ROWS(unknown, 0);
    assert_int_equal(maria, my_scan_server("5.5.5-10.11.19-MariaDB", true));
    assert_int_equal(maria >> MY_SCAN_VERSION_SHIFT, 101119);
    assert_int_equal(my_scan_server("9.7.4", false) >> MY_SCAN_VERSION_SHIFT, 90704);
    assert_int_equal(my_scan_server("8.0.36-0ubuntu0.22.04.1", false) >> MY_SCAN_VERSION_SHIFT,
                     80036);
    static const char *const wrong[] = {"",     "x",       "9",       "9.",     "9.7",
                                        "9..1", "9.7.100", "999.1.1", "-1.0.0", "9.7.x"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(my_scan_server(wrong[i], false), 0);
}

/* ---- what statements do -------------------------------------------------------------------------
 */

static const struct row meanings[] = {
    /* rows */
    {"SELECT c FROM sbtest1 WHERE id=5012", 1, 0},
    {"INSERT INTO t VALUES (1,'a'),(2,'b')", 1, 0},
    {"SELECT client_id, row_c, user_name FROM t", 1, 0},
    {"DELETE FROM t WHERE a/b-c > 1 AND d = '-- ;'", 1, 0},
    /* transactions */
    {"BEGIN", 1, BEGIN},
    {"begin work", 1, BEGIN},
    {"start transaction", 1, BEGIN},
    {"START TRANSACTION READ ONLY, WITH CONSISTENT SNAPSHOT", 1, BEGIN},
    {"start slave", 1, 0},
    {"COMMIT", 1, MY_DO_COMMIT},
    {"commit work", 1, MY_DO_COMMIT},
    {"commit and chain", 1, 0},
    {"commit release", 1, MY_DO_RELEASE},
    {"rollback work and no chain release", 1, MY_DO_RELEASE},
    {"commit and chain no release", 1, 0},
    {"ROLLBACK", 1, MY_DO_ROLLBACK},
    {"rollback to savepoint a", 1, 0},
    {"savepoint a", 1, MY_DO_SAVEPOINT},
    {"rollback; select 1", 2, MY_DO_ROLLBACK},
    {"xa start 'a'", 1, MY_DO_XA},
    /* user variables */
    {"select @x", 1, READ},
    {"select @x := 1", 1, USER},
    {"select @x:=@y", 1, USER | READ},
    {"select @x/**/:=1", 1, USER},
    {"select @'a b' := 1, @`c``d`, @\"e\"", 1, USER | READ},
    {"select 1 into @x", 1, USER | READ},
    {"select 1 into @x, @y from t", 1, USER | READ},
    {"select 1 into outfile '@x'", 1, 0},
    {"select 1 into/**/@x", 1, USER | READ},
    {"update t set a = @n := @n + 1", 1, USER | READ},
    {"load data local infile 'x' into table t (a, @b) set c = @b", 1,
     USER | READ | MY_DO_SET_INSERT_ID},
    {"grant select on *.* to root@localhost, 'a'@'%', `b`@`c`", 1, 0},
    {"create user a@b", 1, 0},
    {"call p(1, @out)", 1, CALL | USER | READ},
    {"call p()", 1, CALL},
    {"do @x := 1", 1, USER},
    {"do 1", 1, 0},
    {"get diagnostics @n = number", 1, DIAG | USER | READ},
    /* locks by name */
    {"select get_lock('a', 10)", 1, LOCK},
    {"SELECT GET_LOCK ( 'a', 10 ), GET_LOCK('b', 1)", 1, LOCK},
    {"select get_lock(concat('a'), 10)", 1, LOCK | MUCH},
    {"select get_lock('a' 'b', 10)", 1, LOCK | MUCH},
    {"select get_lock(?, 10)", 1, LOCK | MUCH},
    {"do get_lock('a', 1)", 1, LOCK},
    {"(select get_lock('a', 1))", 1, LOCK},
    {"with x as (select get_lock('a', 1)) select * from x", 1, LOCK},
    {"values (get_lock('a', 1))", 1, LOCK},
    {"insert into t values (get_lock('a', 1))", 1, LOCK},
    {"select release_lock('a')", 1, MY_DO_UNLOCK},
    {"select release_all_locks()", 1, MY_DO_UNLOCK_ALL},
    {"select is_free_lock('a')", 1, 0},
    /* tables */
    {"lock tables t read", 1, MY_DO_LOCK_TABLES},
    {"lock table t write", 1, MY_DO_LOCK_TABLES},
    {"unlock tables", 1, MY_DO_UNLOCK_TABLES},
    {"flush tables with read lock", 1, MY_DO_FLUSH | MY_DO_LOCK_TABLES},
    {"flush tables t, u with read lock", 1, MY_DO_FLUSH | MY_DO_LOCK_TABLES},
    {"flush local tables t for export", 1, MY_DO_FLUSH | MY_DO_LOCK_TABLES},
    {"flush tables", 1, MY_DO_FLUSH},
    {"flush privileges", 1, MY_DO_FLUSH},
    {"lock instance for backup", 1, MY_DO_LOCK_SERVER},
    {"unlock instance", 1, MY_DO_UNLOCK_SERVER},
    {"backup stage start", 1, MY_DO_LOCK_SERVER},
    {"backup stage end", 1, MY_DO_UNLOCK_SERVER},
    {"backup lock t", 1, MY_DO_LOCK_SERVER},
    {"backup unlock", 1, MY_DO_UNLOCK_SERVER},
    {"backup", 1, 0},
    {"create temporary table t (a int)", 1, CREATE_TEMP},
    {"create or replace temporary table if not exists t like u", 1, CREATE_TEMP},
    {"create temporary table t select get_lock('a',1)", 1, CREATE_TEMP | LOCK},
    {"create temporary table", 1, CREATE_TEMP | MUCH},
    {"create table temporary (a int)", 1, 0},
    {"drop table t", 1, MY_DO_DROP_TABLE},
    {"drop temporary table if exists t, u", 1, MY_DO_DROP_TABLE},
    {"drop view v", 1, 0},
    {"alter table t rename to u", 1, MY_DO_RENAME_TABLE},
    {"alter online ignore table t add b int", 1, MY_DO_RENAME_TABLE},
    {"alter database d character set utf8", 1, 0},
    {"rename table t to u", 1, MY_DO_RENAME_TABLE},
    {"rename user a to b", 1, 0},
    {"handler t open", 1, MY_DO_HANDLER_OPEN},
    {"handler t open as x", 1, MY_DO_HANDLER_OPEN},
    {"handler x close", 1, MY_DO_HANDLER_CLOSE},
    {"handler x read first", 1, 0},
    /* statements of statements */
    {"prepare s from 'select get_lock(1,1)'", 1, MY_DO_PREPARE},
    {"prepare s from @x", 1, MY_DO_PREPARE | READ},
    {"execute s using @x", 1, CALL | READ},
    {"execute immediate 'select 1'", 1, CALL},
    {"deallocate prepare s", 1, MY_DO_DEALLOCATE},
    {"drop prepare s", 1, MY_DO_DEALLOCATE},
    {"begin not atomic lock tables t read; end", 2 + 1, CALL | MY_DO_LOCK_TABLES},
    {"if 1 then set @x = 1; else set sql_mode = ''; end if", 3 + 2, CALL | SET | USER},
    {"while @x do lock tables t read; end while", 3, CALL | READ | MY_DO_LOCK_TABLES},
    {"l: loop set @x = 1; leave l; end loop", 4, CALL | SET | USER},
    {"set statement max_statement_time=1 for select get_lock('a',1)", 1, OTHER | LOCK},
    {"set statement a=1, b=(select 2) for lock tables t read", 1, OTHER | MY_DO_LOCK_TABLES},
    {"set statement a=1", 1, OTHER},
    /* the statement before */
    {"show warnings", 1, MY_DO_SHOW_WARNINGS},
    {"show warnings;", 1, MY_DO_SHOW_WARNINGS},
    {"show warnings limit 1", 1, MY_DO_SHOW_WARNINGS},
    {"show warnings limit 1 offset 2", 1, MY_DO_SHOW_WARNINGS},
    {"show errors", 1, MY_DO_SHOW_WARNINGS | MY_DO_SHOW_ERRORS},
    {"show count(*) warnings", 1, MY_DO_SHOW_COUNT},
    {"select @@error_count", 1, MY_DO_COUNT_WARNINGS},
    {"show tables", 1, 0},
    {"select sql_calc_found_rows * from t limit 1", 1, MY_DO_CALC_ROWS},
    {"select SQL_CALC_FOUND_ROWS a from t", 1, MY_DO_CALC_ROWS},
    {"update t set a = last_insert_id(a + 1)", 1, MY_DO_SET_INSERT_ID},
    /* others */
    {"use d", 1, MY_DO_USE},
    {"use", 1, MY_DO_USE},
    {"kill 5", 1, MY_DO_KILL},
    {"show full processlist", 1, MY_DO_LOOK},
    {"show processlist", 1, MY_DO_LOOK},
    {"show engine innodb status", 1, MY_DO_LOOK},
    {"select id from information_schema.processlist", 1, MY_DO_LOOK},
    {"select id from `sys`.processlist where f(1)", 1, MY_DO_LOOK | MY_DO_FUNCTION},
    {"(select processlist_id from performance_schema.threads)", 1, MY_DO_LOOK},
    {"select id from Processlist", 1, MY_DO_LOOK},
    {"select id from information_schemas where processlist", 1, 0},
    {"select id from sys_t", 1, 0},
    {"select 1; kill 5", 2, MY_DO_KILL},
    {"explain select get_lock('a',1)", 1, LOCK},
};

static void test_meanings(void **state)
{
    (void)state;
    ROWS(meanings, 0);
}

/* What a definition contains happens later, and elsewhere. */
static void test_definitions(void **state)
{
    static const struct row rows[] = {
        {"create view v as select last_insert_id(), connection_id()", 1, 0},
        {"create or replace algorithm=merge definer=root@localhost sql security invoker view v as "
         "select row_count()",
         1, 0},
        {"create table t (a int default (connection_id()))", 1, 0},
        {"alter table t alter a set default (connection_id())", 1, MY_DO_RENAME_TABLE},
        {"alter view v as select found_rows()", 1, 0},
        {"create procedure p() begin set @x = 1; select get_lock('a',1); lock tables t read; end",
         1, MY_DO_ROUTINE},
        {"create definer=`root`@`%` procedure p() begin if a then begin end; end if; case a when 1 "
         "then select case a when 2 then 3 end; end case; commit; end; select 1",
         2, MY_DO_ROUTINE},
        {"create procedure p() set @x = 1; lock tables t read", 2,
         MY_DO_ROUTINE | MY_DO_LOCK_TABLES},
        {"create function f() returns int return connection_id()", 1, MY_DO_ROUTINE},
        {"create trigger x before insert on t for each row begin set @x = 1; end", 1,
         MY_DO_ROUTINE},
        {"create event e on schedule every 1 day do begin loop set @x = 1; end loop; end", 1,
         MY_DO_ROUTINE},
        {"create procedure p() begin select begin from t; end; lock tables t read", 1,
         MY_DO_ROUTINE | ANY},
        {"create package p as procedure q(); end", 2, ANY},
        {"create definer=event@localhost event e on schedule every 1 day do set @x=1", 1,
         MY_DO_ROUTINE},
        {"create", 1, 0},
        {"create definer", 1, 0},
        {"create definer=", 1, 0},
    };
    (void)state;
    ROWS(rows, 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(scan(rows[i].text, 0).n_volatiles, 0);
}

/* ---- SET ----------------------------------------------------------------------------------------
 */

static void test_set(void **state)
{
    static const struct row rows[] = {
        {"set autocommit = 0", 1, SET},
        {"SET SESSION sql_mode='ANSI', time_zone := '+00:00', @@foreign_key_checks=0", 1,
         SET | MY_DO_BARE_SET},
        {"set @x = 1", 1, SET | USER},
        {"set @x = get_lock('a',1), @@wait_timeout = 5", 1, SET | USER | LOCK | MY_DO_VIRTUAL},
        {"set @x = (select @y := 1), @z = @y", 1, SET | USER | READ},
        {"set names utf8mb4", 1, SET},
        {"set names 'utf8mb4' collate utf8mb4_bin, @x = 1", 1, SET | USER},
        {"set character set utf8", 1, SET | OTHER},
        {"set charset utf8, autocommit=1", 1, SET | OTHER},
        {"set transaction isolation level serializable", 1, SET | OTHER | MY_DO_SET_NEXT},
        {"set local transaction read only", 1, SET | OTHER},
        {"set session transaction isolation level serializable", 1, SET | OTHER},
        {"set global transaction read only", 1, SET | OTHER},
        {"set @@transaction_isolation = 'SERIALIZABLE'", 1, SET | MY_DO_SET_NEXT},
        {"set @@tx_read_only = 1", 1, SET | MY_DO_SET_NEXT},
        {"set @@`tx_read_only` = 1", 1, SET | MY_DO_SET_NEXT},
        {"set @@session.transaction_isolation = 'SERIALIZABLE'", 1, SET},
        {"set transaction_isolation = 'SERIALIZABLE'", 1, SET},
        {"set wait_timeout = 5", 1, SET | MY_DO_VIRTUAL},
        {"set `wait_timeout` = 5", 1, SET | MY_DO_VIRTUAL},
        {"set session Interactive_Timeout = 5", 1, SET | MY_DO_VIRTUAL},
        {"set @@session_track_schema = off", 1, SET | MY_DO_VIRTUAL},
        {"set global wait_timeout = 5", 1, SET},
        {"set @wait_timeout = 5", 1, SET | USER},
        {"set password = 'x'", 1, OTHER},
        {"set password for a = 'x'", 1, OTHER},
        {"set role none", 1, OTHER | MUCH},
        {"set resource group g", 1, OTHER | MUCH},
        {"set default role all to a", 1, 0},
        {"set weir.deadline = 2500", 1, SET | MY_DO_DEADLINE},
        {"set", 1, SET | OTHER},
        {"set autocommit", 1, SET | OTHER},
        {"set autocommit 1", 1, SET | OTHER},
        {"set a = 1 b = 2", 1, SET},
        {"set a = 1,", 1, SET | OTHER},
        {"set names", 1, SET},
        {"set names utf8 collate", 1, SET},
        {"set @x", 1, SET | OTHER | USER},
        {"set @@", 1, SET | OTHER},
        {"set a.", 1, SET | OTHER},
    };
    (void)state;
    ROWS(rows, 0);
}

static void check_assign(const char *text, uint32_t i, enum my_scope scope, const char *name,
                         enum my_value kind, const char *value, bool is_virtual)
{
    struct my_scan s = scan(text, 0);
    if (s.n_assigns <= i)
        fail_msg("{%s}: %u assignments", text, s.n_assigns);
    const struct my_scan_assign *a = &s.assigns[i];
    check_span("name", text, a->name, name);
    check_span("value", text, a->value, value);
    if (a->scope != scope || a->kind != kind || a->is_virtual != is_virtual)
        fail_msg("{%s}: scope %d, kind %d, virtual %d", text, a->scope, a->kind, a->is_virtual);
}

static void test_assigns(void **state)
{
    static const char list[] = "set session sql_mode = 'a,b', @@global.x = -1, y = f(1, 2) + 3, "
                               "@z := default, local w = on, global p = 1, q = 2, @@r = 3";
    (void)state;
    check_assign("set autocommit=0", 0, MY_SCOPE_SESSION, "autocommit", MY_VALUE_LITERAL, "0",
                 false);
    check_assign(list, 0, MY_SCOPE_SESSION, "sql_mode", MY_VALUE_LITERAL, "'a,b'", false);
    check_assign(list, 1, MY_SCOPE_GLOBAL, "x", MY_VALUE_LITERAL, "-1", false);
    check_assign(list, 2, MY_SCOPE_SESSION, "y", MY_VALUE_EXPRESSION, "f(1, 2) + 3", false);
    check_assign(list, 3, MY_SCOPE_USER, "@z", MY_VALUE_DEFAULT, "default", false);
    check_assign(list, 4, MY_SCOPE_SESSION, "w", MY_VALUE_WORD, "on", false);
    check_assign(list, 5, MY_SCOPE_GLOBAL, "p", MY_VALUE_LITERAL, "1", false);
    check_assign(list, 6, MY_SCOPE_GLOBAL, "q", MY_VALUE_LITERAL, "2", false); /* GLOBAL holds */
    check_assign(list, 7, MY_SCOPE_SESSION, "r", MY_VALUE_LITERAL, "3", false);
    check_assign("set @@session . wait_timeout = 60", 0, MY_SCOPE_SESSION, "wait_timeout",
                 MY_VALUE_LITERAL, "60", true);
    check_assign("set names utf8 collate 'utf8_bin'", 0, MY_SCOPE_NAMES, "utf8", MY_VALUE_WORD,
                 "'utf8_bin'", false);
    check_assign("set names default", 0, MY_SCOPE_NAMES, "default", MY_VALUE_DEFAULT, "", false);
    check_assign("set a=1;set b=2", 1, MY_SCOPE_SESSION, "b", MY_VALUE_LITERAL, "2", false);
    check_assign("set x = _utf8'a'", 0, MY_SCOPE_SESSION, "x", MY_VALUE_LITERAL, "_utf8'a'", false);
    check_assign("set x = 'a' 'b'", 0, MY_SCOPE_SESSION, "x", MY_VALUE_EXPRESSION, "'a' 'b'",
                 false);
    check_assign("set x = - 1", 0, MY_SCOPE_SESSION, "x", MY_VALUE_EXPRESSION, "- 1", false);
    check_assign("set x = concat(@@sql_mode, ',', last_insert_id()), y = 2", 1, MY_SCOPE_SESSION,
                 "y", MY_VALUE_LITERAL, "2", false);
    check_assign("set hot.key_buffer_size = 1", 0, MY_SCOPE_SESSION, "hot.key_buffer_size",
                 MY_VALUE_LITERAL, "1", false);
}

/* One more than is noted. */
static void test_bounds(void **state)
{
    char text[1024] = "set a0=1";
    (void)state;
    for (int i = 1; i < MY_SCAN_ASSIGNS; i++)
        sprintf(text + strlen(text), ",a%d=1", i);
    assert_int_equal(scan(text, 0).flags, SET);
    strcat(text, ",b=1");
    assert_int_equal(scan(text, 0).flags, SET | OTHER | MUCH);
    assert_int_equal(scan(text, 0).n_assigns, MY_SCAN_ASSIGNS);
    strcpy(text, "drop table a");
    for (int i = 1; i < MY_SCAN_NAMES; i++)
        sprintf(text + strlen(text), ",a%d", i);
    assert_int_equal(scan(text, 0).flags, MY_DO_DROP_TABLE);
    strcat(text, ",b");
    assert_int_equal(scan(text, 0).flags, MY_DO_DROP_TABLE | MUCH);
    strcpy(text, "select row_count()");
    for (int i = 1; i < MY_SCAN_VOLATILES; i++)
        strcat(text, ",row_count()");
    assert_int_equal(scan(text, 0).flags, 0);
    strcat(text, ",row_count()");
    assert_int_equal(scan(text, 0).flags, DIAG | MUCH);
    assert_int_equal(scan(text, 0).n_volatiles, MY_SCAN_VOLATILES);
}

/* ---- functions of somebody's own ----------------------------------------------------------------
 */

static void test_calls(void **state)
{
    static const struct row none[] = {
        {"select count(*), max (a), `sum`.`b` from t where (a) in (1) and b in(2)", 1, 0},
        {"select 1 from t where (a and (b or (c)))", 1, 0},
        {"insert into t(a, b) values (1, now()), (2, if(1, 2, 3))", 1, 0},
        {"insert into `d` . `t` (a, b) values(1, 'f(1)')", 1, 0},
        {"select 'mine(1)', `mine` from t", 1, 0},
        {"select st_area(a), json_extract(b, '$.a') from t", 1, 0},
        {"create table mine (a int)", 1, 0},
        {"create view v as select mine() from t", 1, 0},
        {"select cast(a as decimal(10, 2)), row_number() over (partition by b) from t", 1, 0},
    };
    static const struct row some[] = {
        {"select mine()", 1, MY_DO_FUNCTION},
        {"select mine(a) from t", 1, MY_DO_FUNCTION},
        {"select a from t where b = d.count (1)", 1, MY_DO_FUNCTION},
        {"select `count of` (1) from t", 1, MY_DO_FUNCTION},
        {"select a from t where b in (select max(mine\n(c)) from u)", 1, MY_DO_FUNCTION},
        {"update t set a = mine(1) where b = 2", 1, MY_DO_FUNCTION},
        {"insert into t (a) values (mine(1))", 1, MY_DO_FUNCTION},
        {"delete from t where mine(a)", 1, MY_DO_FUNCTION},
        {"do mine()", 1, MY_DO_FUNCTION},
        {"set sql_mode = mine()", 1, SET | MY_DO_FUNCTION},
        {"(select mine())", 1, MY_DO_FUNCTION},
        {"select mine/* */(1)", 1, MY_DO_FUNCTION},
    };
    (void)state;
    ROWS(none, 0);
    ROWS(some, 0);
    uint32_t mine = scan("select mine(1)", 0).calls;
    assert_true(mine != 0);
    assert_int_equal(scan("select Mine (2) from t", 0).calls, mine);
    assert_int_not_equal(scan("select mine(1), theirs(2)", 0).calls, mine);
    assert_int_not_equal(scan("call mine(1)", 0).calls, 0);
    assert_int_not_equal(scan("call mine(1)", 0).calls, mine);
    assert_int_equal(scan("call mine(1)", 0).calls, scan("call mine", 0).calls);
    assert_int_equal(scan("execute immediate 'do mine()'", 0).calls, 0);
}

/* What is looked for by halves lies in order. */
static void test_builtin(void **state)
{
    static const char *const words[] = {
#define MY_BUILTIN(name) name,
#include "proto/mysql/my_builtin.def"
#undef MY_BUILTIN
    };
    char text[128];
    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (i != 0 && strcmp(words[i - 1], words[i]) >= 0)
            fail_msg("%s stands behind %s", words[i], words[i - 1]);
        snprintf(text, sizeof text, "select a from t where b = %s (1)", words[i]);
        if ((scan(text, 0).flags & MY_DO_FUNCTION) != 0)
            fail_msg("%s isn't found", words[i]);
    }
}

/* ---- names --------------------------------------------------------------------------------------
 */

static void check_names(const char *text, const char *want)
{
    struct my_scan s = scan(text, 0);
    char all[512] = "", name[128];
    for (uint32_t i = 0; i < s.n_names; i++) {
        assert_int_equal(s.names[i].what & s.flags, s.names[i].what);
        assert_true(my_scan_ident(text, s.names[i].text, name, sizeof name) != 0);
        sprintf(all + strlen(all), "%s%s", i != 0 ? "," : "", name);
    }
    if (strcmp(all, want) != 0)
        fail_msg("{%s}: names {%s}, not {%s}", text, all, want);
}

static void test_names(void **state)
{
    static const char quoted[] = "`A``b` . \"C\"";
    char name[8];
    (void)state;
    check_names("create temporary table if not exists d . `T x` (a int)", "d.T x");
    check_names("drop temporary table if exists a, `b`.c, d restrict", "a,b.c,d");
    check_names("select get_lock('x',1), get_lock(\"y\",1)", "x,y");
    check_names("use `d`", "d");
    check_names("use d;", "d");
    check_names("prepare s from 'x'", "s");
    check_names("deallocate prepare `S`", "S");
    check_names("drop prepare s; prepare t from 'x'", "s,t");
    check_names("handler d.t open as x", "x");
    check_names("handler d.t open", "t");
    check_names("handler t close", "t");
    check_names("create temporary table t(a int); drop table t", "t,t");
    struct my_span all = {0, sizeof quoted - 1};
    assert_int_equal(my_scan_ident(quoted, all, name, sizeof name), 5);
    assert_string_equal(name, "A`b.C");
    assert_int_equal(my_scan_name(quoted, all, name, sizeof name), 5);
    assert_string_equal(name, "a`b.c");
    assert_int_equal(my_scan_name(quoted, all, name, 6), 5);
    assert_int_equal(my_scan_name(quoted, all, name, 5), 0);
    assert_int_equal(my_scan_name(quoted, (struct my_span){0, 0}, name, sizeof name), 0);
}

static void check_literal(const char *text, unsigned opts, const char *want)
{
    char value[8];
    bool ok = my_scan_literal(text, (struct my_span){0, (uint32_t)strlen(text)}, opts, value,
                              sizeof value);
    if (ok != (want != NULL) || (ok && strcmp(value, want) != 0))
        fail_msg("{%s}: {%s}", text, ok ? value : "no literal");
}

static void test_literals(void **state)
{
    (void)state;
    check_literal("'a'", 0, "a");
    check_literal("\"a\"", 0, "a");
    check_literal("''", 0, "");
    check_literal("'a''b'", 0, "a'b");
    check_literal("'a\"b'", 0, "a\"b");
    check_literal("'a\\b'", 0, NULL);
    check_literal("'a\\b'", NOBS, "a\\b");
    check_literal("-1.5", 0, "-1.5");
    check_literal("utf8", 0, "utf8");
    check_literal("'1234567'", 0, "1234567");
    check_literal("'12345678'", 0, NULL);
    check_literal("1234567", 0, "1234567");
    check_literal("12345678", 0, NULL);
    check_literal("", 0, NULL);
    check_literal("'", 0, NULL);
    check_literal("'a", 0, NULL);
    check_literal("_utf8'a'", 0, NULL);
    check_literal("1+f()", 0, NULL);
}

/* ---- questions about the session ----------------------------------------------------------------
 */

/* `want`: for each of them its kind, and * when it is a column of its own. */
static void check_volatiles(const char *text, const char *want)
{
    static const char kinds[] = "ircwen";
    struct my_scan s = scan(text, 0);
    char all[64] = "";
    for (uint32_t i = 0; i < s.n_volatiles; i++) {
        const struct my_scan_volatile *v = &s.volatiles[i];
        sprintf(all + strlen(all), "%c%s", kinds[v->kind], v->item ? "*" : "");
        assert_true(v->text.at + v->text.len <= strlen(text));
        assert_true(i == 0 ||
                    v->text.at >= s.volatiles[i - 1].text.at + s.volatiles[i - 1].text.len);
    }
    if (s.alone)
        strcat(all, "!");
    if (strcmp(all, want) != 0)
        fail_msg("{%s}: {%s}, not {%s}", text, all, want);
}

static void test_volatiles(void **state)
{
    static const char spans[] = "select @@session.identity, LAST_INSERT_ID ( ) + 1";
    (void)state;
    check_volatiles("select last_insert_id()", "i*!");
    check_volatiles("SELECT LAST_INSERT_ID();", "i*!");
    check_volatiles("select @@identity", "i*!");
    check_volatiles("select @@`last_insert_id`", "i*!");
    check_volatiles("select @@local.last_insert_id", "i*!");
    check_volatiles("select row_count()", "r*!");
    check_volatiles("select found_rows()", "c*!");
    check_volatiles("select @@warning_count", "w*!");
    check_volatiles("select @@session.error_count", "e*!");
    check_volatiles("select connection_id()", "n*!");
    check_volatiles("/* c */ select connection_id() -- d", "n*!");
    check_volatiles("select `connection_id`()", "n*!");
    check_volatiles("select connection_id() as id", "n");
    check_volatiles("select connection_id() id", "n");
    check_volatiles("select connection_id() from dual", "n*");
    check_volatiles("select connection_id() limit 1", "n*");
    check_volatiles("select distinct connection_id(), row_count()", "n*r*");
    check_volatiles("select last_insert_id() union select found_rows()", "i*c*");
    check_volatiles("select (select last_insert_id())", "i");
    check_volatiles("select a from (select last_insert_id()) t", "i*");
    check_volatiles("(select last_insert_id())", "i*");
    check_volatiles("select f(1, last_insert_id(), 2)", "i");
    check_volatiles("select 1, last_insert_id() + 1", "i");
    check_volatiles("select a from t order by b, last_insert_id()", "i");
    check_volatiles("select a from t where id = last_insert_id()", "i");
    check_volatiles("select 1 where 2, last_insert_id()", "i");
    check_volatiles("insert into t values (1, last_insert_id(), 2)", "i");
    check_volatiles("insert into t select last_insert_id()", "i*");
    check_volatiles("create table t as select last_insert_id(), 1", "i*");
    check_volatiles("create temporary table t as (select row_count())", "r*");
    check_volatiles("set @x = last_insert_id()", "i");
    check_volatiles("select last_insert_id(5)", "");
    check_volatiles("select last_insert_id", "");
    check_volatiles("select last_insert_id(", "");
    check_volatiles("select row_count(), 1; select 2", "r*");
    check_volatiles("select row_count(); select 2", "r*");
    check_volatiles("select @@sql_mode, @@global.identity", "");
    check_volatiles("select 1 from t where a = 'row_count()'", "");
    struct my_scan s = scan(spans, 0);
    assert_int_equal(s.n_volatiles, 2);
    check_span("first", spans, s.volatiles[0].text, "@@session.identity");
    check_span("second", spans, s.volatiles[1].text, "LAST_INSERT_ID ( )");
}

static const char *column(const char *text, const char *part)
{
    static char out[256];
    struct my_span sp;
    if (!my_scan_column(text, strlen(text), 0, (uint32_t)(strstr(text, part) - text), &sp))
        return "";
    snprintf(out, sizeof out, "%.*s", (int)sp.len, text + sp.at);
    return out;
}

/* What the server would call a column in which something is replaced. */
static void test_columns(void **state)
{
    (void)state;
    static const char *const own[] = {
        "select f(row_count()) x",
        "select f(row_count()) as x, 1",
        "select row_count() + 1 `x` from t",
        "select f(row_count()) 'x'",
        "insert into t values (row_count())",
        "select 1 from t where row_count() = 1",
        "set @x = row_count()",
        "select /*!50000 row_count() */ + 1",
        "select 1 order by row_count()",
    };
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        assert_string_equal(column(own[i], "row_count"), "");
    assert_string_equal(column("select f(row_count()), 1", "row_count"), "f(row_count())");
    assert_string_equal(column("select 1, distinct_, row_count()  +  1 from t", "row_count"),
                        "row_count()  +  1");
    assert_string_equal(column("select distinct if(row_count() > 0, 'y', 'n') -- c", "row_count"),
                        "if(row_count() > 0, 'y', 'n')");
    assert_string_equal(column("(select row_count() /* x */ + 1) union select 2", "row_count"),
                        "row_count() /* x */ + 1");
    assert_string_equal(column("select 1; select 2 + row_count(); select 3", "row_count"),
                        "2 + row_count()");
    assert_string_equal(column("select row_count() is null, 2", "row_count"),
                        "row_count() is null");
    assert_string_equal(column("select case when row_count() then 1 end", "row_count"),
                        "case when row_count() then 1 end");
    assert_string_equal(column("select (select row_count() from t), 2", "row_count"),
                        "(select row_count() from t)");
    assert_string_equal(column("with c as (select row_count() * 2) select * from c", "row_count"),
                        "row_count() * 2");
    assert_int_equal(scan("select 1; select 2", 0).second, 10);
    assert_int_equal(scan("select 1;", 0).second, UINT32_MAX);
}

/* A statement that reads no table leaves the warnings of the one before it alone. */
static void test_tables(void **state)
{
    static const struct {
        const char *text;
        bool no_table;
    } rows[] = {
        {"select 1", true},
        {"select f(from_days(1))", true},
        {"select a_from, from_b", true},
        {"set @x = 1", true},
        {"do 1", true},
        {"begin", true},
        {"show warnings", true},
        {"select 1 from t", false},
        {"select id from t where id = 5", false},
        {"select 1 as a_b from t", false},
        {"select 1 -- \n from t", false},
        {"select (select 1 from t)", false},
        {"select 1 into @x from t", false},
        {"select 1 union select a from t", false},
        {"insert into t values (1)", false},
        {"update t set a = 1", false},
        {"delete from t", false},
        {"call p()", false},
        {"select 1; delete from t", false},
        {"(select 1)", false},
        {"if 1 then select 1; end if", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (scan(rows[i].text, 0).no_table != rows[i].no_table)
            fail_msg("{%s}", rows[i].text);
    /* MariaDB's lists are tables, but for some. */
    static const char *const lists[] = {"show tables", "show full columns from t",
                                        "show create view v", "show session status",
                                        "show variables like 'x'"};
    static const char *const none[] = {"show warnings", "show full processlist", "show grants",
                                       "show create procedure p", "show count(*) errors"};
    for (size_t i = 0; i < 5; i++) {
        assert_false(scan(lists[i], MY_SCAN_MARIADB).no_table);
        assert_true(scan(lists[i], 0).no_table);
        assert_true(scan(none[i], MY_SCAN_MARIADB).no_table);
    }
}

static void test_limits(void **state)
{
    struct my_scan s = scan("show warnings", 0);
    (void)state;
    assert_int_equal(s.limit_from, 0);
    assert_int_equal(s.limit, UINT32_MAX);
    s = scan("show errors limit 3;", 0);
    assert_int_equal(s.limit_from, 0);
    assert_int_equal(s.limit, 3);
    s = scan("show warnings limit 4, 5", 0);
    assert_int_equal(s.limit_from, 4);
    assert_int_equal(s.limit, 5);
    s = scan("show warnings limit 6 offset 2", 0);
    assert_int_equal(s.limit_from, 2);
    assert_int_equal(s.limit, 6);
    assert_int_equal(s.flags & MY_DO_DIAGNOSTICS, 0);
    s = scan("show count(*) errors", 0);
    assert_int_equal(s.n_volatiles, 1);
    assert_true(s.volatiles[0].whole && s.volatiles[0].kind == MY_V_ERROR_COUNT);
}

static void check_kill(const char *text, uint64_t id, bool query)
{
    struct my_scan s = scan(text, 0);
    if ((s.flags & MY_DO_KILL) == 0 || s.kill_id != id || s.kill_query != query)
        fail_msg("{%s}: %llu, %d", text, (unsigned long long)s.kill_id, s.kill_query);
}

/* Whatever is killed, its number must not reach a server. */
static void test_kill(void **state)
{
    (void)state;
    check_kill("kill 5", 5, false);
    check_kill("KILL CONNECTION 16777217;", 16777217, false);
    check_kill("kill query 7", 7, true);
    check_kill("kill soft query 7", 7, true);
    check_kill("kill hard 7", 7, false);
    check_kill("kill 18446744073709551615", MY_KILL_OTHER, false);
    check_kill("kill 99999999999999999999999", MY_KILL_OTHER, false);
    check_kill("kill connection_id()", MY_KILL_SELF, false);
    check_kill("kill query connection_id()", MY_KILL_SELF, true);
    check_kill("kill 1+1", MY_KILL_OTHER, false);
    check_kill("kill @x", MY_KILL_OTHER, false);
    check_kill("kill query id 5", MY_KILL_OTHER, true);
    check_kill("kill user a", MY_KILL_OTHER, false);
    check_kill("kill 0x10", MY_KILL_OTHER, false);
    check_kill("kill", MY_KILL_OTHER, false);
    check_kill("kill connection_id(", MY_KILL_OTHER, false);
    check_kill("select 1; kill 5", 5, false);
}

/* ---- texts that are not whole, or not sane ------------------------------------------------------
 */

static void test_cut(void **state)
{
    static const struct row rows[] = {
        {"insert into t values ('abc", 1, 0},
        {"select * from t where id in (1,2,", 1, 0},
        {"set autocommit = 1", 1, SET | ANY},
        {"commit", 1, MY_DO_COMMIT | ANY},
        {"use d", 1, MY_DO_USE | ANY},
        {"show warnings", 1, DIAG | ANY},
        {"create procedure p() begin", 1, MY_DO_ROUTINE | ANY},
        {"insert into t values (1); set", 2, SET | OTHER | ANY},
    };
    (void)state;
    ROWS(rows, MY_SCAN_CUT);
    assert_false(scan("select connection_id()", MY_SCAN_CUT).alone);
}

/* Every prefix of every text above, in a block of its size. */
static void test_prefixes(void **state)
{
    static const struct row *const tables[] = {lexical, meanings};
    static const size_t sizes[] = {sizeof lexical / sizeof lexical[0],
                                   sizeof meanings / sizeof meanings[0]};
    (void)state;
    for (size_t t = 0; t < 2; t++)
        for (size_t i = 0; i < sizes[t]; i++)
            for (size_t n = strlen(tables[t][i].text); n != 0; n--)
                for (unsigned opts = 0; opts < 128; opts += 16)
                    (void)scan_n(tables[t][i].text, n, opts);
}

/* Nests and repeats: neither recursion nor quadratic time. */
static void test_large(void **state)
{
    static const char *const parts[] = {"(",          "begin not atomic ",
                                        "if 1 then ", "set statement a=1 for ",
                                        "/*! ",       "/*!99999 ",
                                        "`a`(",       "get_lock(",
                                        "@@",         "case ",
                                        "set a=",     "create procedure p() begin "};
    size_t n = 1u << 20;
    char *text = malloc(n);
    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        size_t len = strlen(parts[i]);
        for (size_t at = 0; at < n; at++)
            text[at] = parts[i][at % len];
        (void)scan_n(text, n, 0);
    }
    free(text);
}

static void test_digest(void **state)
{
    static const struct {
        const char *sql, *shown;
    } rows[] = {
        {"select  'secret', \"secret\" /* secret */ , 47.11 from `T` where a=?",
         "select ?, ? , ? from `T` where a=?"},
        {"select @x := 5", "select @x := ?"},
        {"select 'a\\', 'secret", "select ?"},
        {"select 'secret", "select ?"},
        {"", ""},
    };
    char to[64];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        my_scan_digest(rows[i].sql, strlen(rows[i].sql), 0, to, sizeof to);
        assert_string_equal(to, rows[i].shown);
    }
    for (size_t room = 1; room < sizeof to; room++) {
        my_scan_digest(rows[0].sql, strlen(rows[0].sql), 0, to, room);
        assert_true(strlen(to) < room);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lexical),  cmocka_unit_test(test_sql_modes),
        cmocka_unit_test(test_charsets), cmocka_unit_test(test_versions),
        cmocka_unit_test(test_meanings), cmocka_unit_test(test_definitions),
        cmocka_unit_test(test_set),      cmocka_unit_test(test_assigns),
        cmocka_unit_test(test_bounds),   cmocka_unit_test(test_names),
        cmocka_unit_test(test_literals), cmocka_unit_test(test_volatiles),
        cmocka_unit_test(test_kill),     cmocka_unit_test(test_tables),
        cmocka_unit_test(test_limits),   cmocka_unit_test(test_cut),
        cmocka_unit_test(test_prefixes), cmocka_unit_test(test_large),
        cmocka_unit_test(test_calls),    cmocka_unit_test(test_builtin),
        cmocka_unit_test(test_columns),  cmocka_unit_test(test_digest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
