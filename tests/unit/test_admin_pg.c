/* SPDX-License-Identifier: ISC
 * The console's PostgreSQL session: simple and extended protocol, every message split at every
 * byte, binary results, transaction blocks, pieces of long tables, damaged messages.
 */
#include "config.h"

#include "fake_admin.h"

#include "admin/admin_pg.h"
#include "admin/admin_table.h"
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- a client -----------------------------------------------------------------------------------
 */

static struct fake_admin *world;
static struct admin_pg *pg;
static char *away; /* the command that is being executed */
static struct admin_result *result;
static struct buf in, out, answer; /* sent, last piece received, all received */
static unsigned pieces;            /* how often the session wanted the buffer sent first */

static void on_execute(void *ctx, const char *text)
{
    (void)ctx;
    assert_null(away);
    away = strdup(text);
}

static void on_result(struct admin_result *r, void *arg)
{
    (void)arg;
    result = r;
}

static int set_up(void **state)
{
    (void)state;
    world = fake_admin_create();
    pg = admin_pg_create("weir 0.1.0", on_execute, NULL);
    pieces = 0;
    return pg == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    admin_pg_destroy(&pg);
    fake_admin_destroy(&world);
    free(away);
    away = NULL;
    buf_release(&in);
    buf_release(&out);
    buf_release(&answer);
    return 0;
}

static void put(const void *p, size_t n)
{
    assert_true(buf_append(&in, p, n));
}

/* A message: type, then the fields: 's' string, 'h' int16, 'i' int32, 'b' byte. */
static void message(char type, const char *fields, ...)
{
    uint8_t body[4096];
    size_t n = 0;
    va_list ap;
    va_start(ap, fields);
    for (; *fields != '\0'; fields++) {
        if (*fields == 's') {
            const char *s = va_arg(ap, const char *);
            memcpy(body + n, s, strlen(s) + 1);
            n += strlen(s) + 1;
            continue;
        }
        unsigned v = va_arg(ap, unsigned), bytes = *fields == 'h' ? 2 : *fields == 'i' ? 4 : 1;
        for (unsigned i = bytes; i > 0; i--)
            body[n++] = (uint8_t)(v >> (8 * (i - 1)));
    }
    va_end(ap);
    uint8_t head[5] = {(uint8_t)type, 0, 0, (uint8_t)((n + 4) >> 8), (uint8_t)(n + 4)};
    put(head, 5);
    put(body, n);
}

static void take_out(void)
{
    assert_true(buf_append(&answer, buf_head(&out), buf_len(&out)));
    buf_release(&out);
}

/* Go on until the session wants more bytes or ends. */
static enum admin_pg_state settle(enum admin_pg_state s)
{
    while (s == ADMIN_PG_WAIT || s == ADMIN_PG_MORE) {
        take_out();
        if (s == ADMIN_PG_MORE) {
            pieces++;
            s = admin_pg_more(pg, &out);
            continue;
        }
        result = NULL;
        admin_execute(world->admin, away, false, on_result, NULL);
        free(away);
        away = NULL;
        s = admin_pg_result(pg, result, &out);
    }
    take_out();
    return s;
}

/* Send what `in` holds, at most `chunk` bytes at a time (0: all at once). */
static enum admin_pg_state send_in(size_t chunk)
{
    enum admin_pg_state s = ADMIN_PG_READY;
    size_t given = 0;
    while (s == ADMIN_PG_READY && buf_len(&in) > 0) {
        size_t n = buf_len(&in), used = 0;
        given = chunk == 0 || given + chunk > n ? n : given + chunk;
        /* a copy of just these bytes, so that a sanitizer sees a read too far */
        uint8_t *copy = malloc(given);
        assert_non_null(copy);
        memcpy(copy, buf_head(&in), given);
        s = admin_pg_feed(pg, copy, given, &used, &out);
        free(copy);
        assert_true(used <= given);
        buf_consume(&in, used);
        given -= used;
        s = settle(s);
        if (used == 0 && given == n)
            break;
    }
    return s;
}

/* What was received, as types: "T D D C Z:I"; errors as "E:42601", tags as "C:SHOW". */
static const char *received(void)
{
    static char text[4096];
    size_t n = 0;
    text[0] = '\0';
    while (buf_len(&answer) > 0) {
        const uint8_t *m = buf_head(&answer);
        assert_true(buf_len(&answer) >= 5);
        uint32_t len = (uint32_t)m[1] << 24 | (uint32_t)m[2] << 16 | (uint32_t)m[3] << 8 | m[4];
        assert_true(len >= 4 && buf_len(&answer) >= len + 1);
        const char *body = (const char *)m + 5;
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%c", n == 0 ? "" : " ", m[0]);
        if (m[0] == 'Z')
            n += (size_t)snprintf(text + n, sizeof text - n, ":%c", body[0]);
        if (m[0] == 'C')
            n += (size_t)snprintf(text + n, sizeof text - n, ":%s", body);
        if (m[0] == 'E')
            for (const char *f = body; *f != '\0'; f += strlen(f) + 1)
                if (*f == 'C')
                    n += (size_t)snprintf(text + n, sizeof text - n, ":%s", f + 1);
        buf_consume(&answer, len + 1);
        assert_true(n < sizeof text);
    }
    return text;
}

static void query_is(const char *text, const char *expected)
{
    message('Q', "s", text);
    assert_int_equal(send_in(0), ADMIN_PG_READY);
    assert_string_equal(received(), expected);
}

/* ---- simple
 * --------------------------------------------------------------------------------------- */

static void test_greet(void **state)
{
    (void)state;
    assert_true(admin_pg_greet(pg, 1, 2, &out));
    take_out();
    assert_string_equal(received(), "S S S S S S S S S S S K Z:I");
}

static void test_simple(void **state)
{
    (void)state;
    query_is("SHOW POOLS", "T D D C:SHOW Z:I");
    query_is("SHOW VERSION;", "T D C:SHOW Z:I");
    query_is("", "I Z:I");
    query_is(" ; -- nothing", "I Z:I");
    query_is("SHOW HELP", "N C:SHOW Z:I");
    query_is("SHOW PEERS", "T C:SHOW Z:I");
    query_is("RELOAD", "N C:RELOAD Z:I");
    query_is("KILL nodb", "E:3D000 Z:I");
    query_is("DISCARD ALL", "C:DISCARD ALL Z:I");
    query_is("SELECT 1", "T D C:SELECT 1 Z:I");
    query_is("SHOW VERSION; SELECT 1;; PAUSE", "T D C:SHOW T D C:SELECT 1 C:PAUSE Z:I");
    query_is("SELECT 1; nonsense; SELECT 1", "T D C:SELECT 1 E:42601 Z:I");
    query_is("KILL nodb; SELECT 1", "E:3D000 Z:I");
    query_is("SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;",
             "T D C:SELECT 1 C:CLOSE CURSOR ALL C:UNLISTEN C:RESET Z:I");
}

static void test_block(void **state)
{
    (void)state;
    query_is("BEGIN", "C:BEGIN Z:T");
    query_is("SELECT 1", "T D C:SELECT 1 Z:T");
    query_is("COMMIT", "C:COMMIT Z:I");
    query_is("BEGIN; nonsense", "C:BEGIN E:42601 Z:E");
    query_is("SELECT 1", "E:25P02 Z:E");
    query_is("", "I Z:E");
    query_is("COMMIT", "C:ROLLBACK Z:I");
    query_is("BEGIN; SAVEPOINT a; nonsense", "C:BEGIN C:SAVEPOINT E:42601 Z:E");
    query_is("ROLLBACK TO a", "C:ROLLBACK Z:T");
    query_is("RELEASE a; ROLLBACK", "C:RELEASE C:ROLLBACK Z:I");
    query_is("BEGIN; KILL nodb; COMMIT", "C:BEGIN E:3D000 Z:E");
    query_is("ROLLBACK; SELECT 1", "C:ROLLBACK T D C:SELECT 1 Z:I");
}

/* ---- extended
 * ------------------------------------------------------------------------------------- */

static void extended(const char *text, unsigned format)
{
    message('P', "ssh", "", text, 0u);
    message('B', "sshhhh", "", "", 0u, 0u, 1u, format);
    message('D', "bs", (unsigned)'P', "");
    message('E', "si", "", 0u);
    message('S', "");
}

static void expect(const char *expected)
{
    assert_int_equal(send_in(0), ADMIN_PG_READY);
    assert_string_equal(received(), expected);
}

static void test_extended(void **state)
{
    (void)state;
    extended("SHOW POOLS", 0);
    expect("1 2 T D D C:SHOW Z:I");
    extended("", 0);
    expect("1 2 n I Z:I");
    extended("SET extra_float_digits = 3", 0);
    expect("1 2 n C:SET Z:I");
    extended("BEGIN", 0);
    expect("1 2 n C:BEGIN Z:T");
    extended("nonsense", 0);
    expect("E:42601 Z:E");
    extended("SELECT 1", 0);
    expect("1 2 T E:25P02 Z:E");
    extended("ROLLBACK", 0);
    expect("1 2 n C:ROLLBACK Z:I");
    /* prepared once, used twice, with and without a Describe of the statement */
    message('P', "ssh", "s1", "SHOW STATS", 0u);
    message('D', "bs", (unsigned)'S', "s1");
    message('S', "");
    message('B', "sshhh", "p", "s1", 0u, 0u, 0u);
    message('E', "si", "p", 0u);
    message('S', "");
    message('H', "");
    message('C', "bs", (unsigned)'S', "s1");
    message('C', "bs", (unsigned)'P', "never");
    message('S', "");
    expect("1 t T Z:I 2 D D C:SHOW Z:I 3 3 Z:I");
}

static void test_extended_errors(void **state)
{
    (void)state;
    message('P', "ssh", "a", "SELECT 1", 0u);
    message('P', "ssh", "a", "SELECT 1", 0u);
    message('P', "ssh", "b", "SELECT 1", 0u);
    message('Q', "s", "SELECT 1");
    message('S', "");
    expect("1 E:42P05 Z:I");
    message('B', "sshhh", "", "b", 0u, 0u, 0u);
    message('S', "");
    expect("E:26000 Z:I");
    message('E', "si", "none", 0u);
    message('S', "");
    expect("E:34000 Z:I");
    message('P', "sshi", "c", "SELECT 1", 1u, 23u);
    message('S', "");
    expect("E:0A000 Z:I");
    message('B', "sshhih", "", "a", 0u, 1u, 0u, 0u);
    message('S', "");
    expect("E:08P01 Z:I");
    message('B', "sshhhh", "", "a", 0u, 0u, 1u, 2u);
    message('S', "");
    expect("E:22023 Z:I");
    message('B', "sshhhhh", "", "a", 0u, 0u, 2u, 0u, 0u);
    message('S', "");
    expect("E:08P01 Z:I");
    message('P', "ss", "d", "SELECT 1"); /* no number of types */
    message('S', "");
    expect("E:08P01 Z:I");
    message('F', "ih", 1u, 0u);
    expect("E:0A000 Z:I");
}

/* The rows in portions, as with a fetch size. */
static void test_portions(void **state)
{
    (void)state;
    message('P', "ssh", "", "SHOW CLIENTS", 0u);
    message('B', "sshhh", "p", "", 0u, 0u, 0u);
    message('E', "si", "p", 2u);
    message('E', "si", "p", 2u);
    message('S', "");
    expect("1 2 D D s D C:SHOW Z:I");
    message('E', "si", "p", 2u); /* the portal went with its transaction */
    message('S', "");
    expect("E:34000 Z:I");
}

/* The n-th column of the first DataRow. */
static size_t data_column(unsigned column, uint8_t *to, size_t room)
{
    while (buf_head(&answer)[0] != 'D') {
        const uint8_t *m = buf_head(&answer);
        buf_consume(&answer, (size_t)((uint32_t)m[3] << 8 | m[4]) + 1);
    }
    const uint8_t *p = buf_head(&answer) + 7;
    for (;; column--) {
        size_t n = (size_t)p[2] << 8 | p[3];
        if (p[0] == 0xff)
            n = 0;
        p += 4;
        if (column == 0) {
            assert_true(n <= room);
            memcpy(to, p, n);
            return n;
        }
        p += n;
    }
}

static void binary_is(const char *text, unsigned column, const void *expected, size_t n)
{
    uint8_t value[256];
    extended(text, 1);
    assert_int_equal(send_in(0), ADMIN_PG_READY);
    assert_int_equal(data_column(column, value, sizeof value), n);
    assert_memory_equal(value, expected, n);
    buf_release(&answer);
}

static void test_binary(void **state)
{
    (void)state;
    binary_is("SELECT 1", 0, "\0\0\0\1", 4);
    binary_is("SHOW POOLS", 0, "shop", 4);
    binary_is("SHOW POOLS", 2, "\0\0\0\3", 4);                      /* cl_active */
    binary_is("SHOW CLIENTS", 20, "\0\0\0\0\0\0\0\1", 8);           /* id */
    binary_is("SHOW STATS", 1, "\0\0\0\0\0\0\0\0", 8);              /* 0 */
    binary_is("SHOW STATS", 2, "\0\1\0\0\0\0\0\0\0\x64", 10);       /* 100 */
    binary_is("SHOW STATS", 6, "\0\2\0\1\0\0\0\0\x01\xf4\0\0", 12); /* 5000000 = 500 0000 */
    binary_is("SHOW STATS", 4,                                      /* 1844 6744 0737 0955 1615 */
              "\0\5\0\4\0\0\0\0\x07\x34\x1a\x58\x02\xe1\x03\xbb\x06\x4f", 18);
}

/* ---- bytes
 * ----------------------------------------------------------------------------------------- */

static void conversation(void)
{
    message('Q', "s", "SHOW POOLS; SELECT 1; BEGIN");
    extended("SHOW CLIENTS", 1);
    message('P', "ssh", "x", "nonsense", 0u);
    message('B', "sshhh", "", "x", 0u, 0u, 0u);
    message('S', "");
    message('Q', "s", "ROLLBACK");
    message('X', "");
}

static void test_split(void **state)
{
    (void)state;
    char whole[4096];
    conversation();
    size_t n = buf_len(&in);
    assert_int_equal(send_in(0), ADMIN_PG_CLOSE);
    (void)snprintf(whole, sizeof whole, "%s", received());
    assert_string_equal(whole, "T D D C:SHOW T D C:SELECT 1 C:BEGIN Z:T 1 2 T D D D C:SHOW Z:T "
                               "E:42601 Z:E C:ROLLBACK Z:I");
    for (size_t chunk = 1; chunk < n; chunk++) {
        admin_pg_destroy(&pg);
        buf_release(&in);
        pg = admin_pg_create("weir 0.1.0", on_execute, NULL);
        conversation();
        assert_int_equal(send_in(chunk), ADMIN_PG_CLOSE);
        assert_string_equal(received(), whole);
    }
}

/* Each byte of a conversation changed to several others: no fault, and every answer well-formed. */
static void test_damaged(void **state)
{
    (void)state;
    static const uint8_t masks[] = {0x01, 0x20, 0x80, 0xff};
    conversation();
    size_t n = buf_len(&in);
    for (size_t at = 0; at < n; at++)
        for (size_t m = 0; m < sizeof masks; m++) {
            admin_pg_destroy(&pg);
            buf_release(&in);
            pg = admin_pg_create("weir 0.1.0", on_execute, NULL);
            conversation();
            buf_head(&in)[at] ^= masks[m];
            (void)send_in(0);
            (void)received();
        }
}

static void test_hostile_lengths(void **state)
{
    (void)state;
    static const char *const bad[] = {"Q\0\0\0\3",         "Q\0\0\0\0", "Q\x7f\xff\xff\xff",
                                      "Q\xff\xff\xff\xff", "Q\0\1\0\1", "?\0\0\0\4",
                                      "\0\0\0\0\4",        "p\0\0\0\4"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        buf_release(&in);
        put(bad[i], 5);
        assert_int_equal(send_in(0), ADMIN_PG_CLOSE);
        assert_string_equal(received(), "E:08P01");
    }
    buf_release(&in);
    put("Q\0\0\0\6a", 6); /* no NUL at its end */
    put("b", 1);
    assert_int_equal(send_in(0), ADMIN_PG_READY);
    assert_string_equal(received(), "E:08P01 Z:I");
    put("Q\0\0\0\x8"
        "a\0b\0",
        9);
    assert_int_equal(send_in(0), ADMIN_PG_READY);
    assert_string_equal(received(), "E:08P01 Z:I");
}

static size_t many_pools(void *ctx, struct view_pool **rows)
{
    (void)ctx;
    *rows = calloc(5000, sizeof **rows);
    assert_non_null(*rows);
    for (size_t i = 0; i < 5000; i++)
        (*rows)[i].pool_mode = "transaction";
    return 5000;
}

/* A long table goes out in pieces of bounded size. */
static void test_long(void **state)
{
    (void)state;
    world->source.pools = many_pools;
    message('Q', "s", "SHOW POOLS");
    size_t used;
    enum admin_pg_state s = admin_pg_feed(pg, buf_head(&in), buf_len(&in), &used, &out);
    assert_int_equal(s, ADMIN_PG_WAIT);
    assert_int_equal(used, buf_len(&in));
    size_t rows = 0, biggest = 0;
    admin_execute(world->admin, away, false, on_result, NULL);
    for (s = admin_pg_result(pg, result, &out); s == ADMIN_PG_MORE; s = admin_pg_more(pg, &out)) {
        biggest = buf_len(&out) > biggest ? buf_len(&out) : biggest;
        take_out();
        pieces++;
    }
    take_out();
    assert_int_equal(s, ADMIN_PG_READY);
    assert_true(pieces > 5);
    assert_true(biggest < 70000);
    while (buf_len(&answer) > 0) {
        const uint8_t *m = buf_head(&answer);
        rows += m[0] == 'D';
        buf_consume(&answer, (size_t)((uint32_t)m[3] << 8 | m[4]) + 1);
    }
    assert_int_equal(rows, 5000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_greet),
        TEST(test_simple),
        TEST(test_block),
        TEST(test_extended),
        TEST(test_extended_errors),
        TEST(test_portions),
        TEST(test_binary),
        TEST(test_split),
        TEST(test_damaged),
        TEST(test_hostile_lengths),
        TEST(test_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
