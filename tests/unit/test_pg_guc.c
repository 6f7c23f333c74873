/* SPDX-License-Identifier: ISC
 * Interned sets of settings, and the SQL between two of them.
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

#include "proto/pg/pg_guc.h"

static int setup(void **state)
{
    *state = var_table_create();
    return *state == NULL;
}

static int teardown(void **state)
{
    struct var_table *t = *state;
    var_table_destroy(&t); /* asserts that nothing is left */
    return 0;
}

/* Replace *set by itself with one more setting. */
static void with(struct var_set **set, const char *name, enum var_form form, const char *value)
{
    struct var_set *more = var_set_with(*set, name, strlen(name), form, value, strlen(value));
    assert_non_null(more);
    var_set_put(set);
    *set = more;
}

static void without(struct var_set **set, const char *name)
{
    struct var_set *less = var_set_without(*set, name, strlen(name));
    assert_non_null(less);
    var_set_put(set);
    *set = less;
}

/* "a=1 b=~2": ~ marks a RAW value, ^ BYTES, ! a REPORT. Words may not have blanks. */
static struct var_set *make(struct var_table *t, const char *text)
{
    struct var_set *set = var_set_empty(t);
    char name[64], value[64];
    int used;
    while (sscanf(text, " %63[^=]=%63s%n", name, value, &used) == 2) {
        enum var_form form = value[0] == '~'   ? VAR_RAW
                             : value[0] == '^' ? VAR_BYTES
                             : value[0] == '!' ? VAR_REPORT
                                               : VAR_PLAIN;
        with(&set, name, form, value + (form != VAR_PLAIN));
        text += used;
    }
    return set;
}

static void equal_is_identical(void **state)
{
    struct var_set *a = make(*state, "b=2 a=1 c=~3"), *b = make(*state, "c=~3 A=9 B=2 a=1");
    assert_ptr_equal(a, b);
    assert_int_equal(var_set_count(a), 3);
    assert_string_equal(var_set_at(a, 0).name, "a");
    assert_string_equal(var_set_at(a, 2).name, "c");
    assert_int_equal(var_set_at(a, 2).form, VAR_RAW);

    struct var_entry e;
    assert_true(var_set_find(a, "B", 1, &e));
    assert_string_equal(e.value, "2");
    assert_int_equal(e.value_len, 1);
    assert_false(var_set_find(a, "d", 1, &e));
    assert_false(var_set_find(a, "", 0, &e));

    with(&b, "c", VAR_PLAIN, "3"); /* the same bytes in another form */
    assert_ptr_not_equal(a, b);
    with(&b, "c", VAR_RAW, "3");
    assert_ptr_equal(a, b);
    without(&b, "nope");
    assert_ptr_equal(a, b);
    without(&b, "B");
    without(&b, "a");
    without(&b, "c");
    struct var_set *empty = var_set_empty(*state);
    assert_ptr_equal(b, empty);
    var_set_put(&empty);
    assert_null(empty);
    var_set_put(&empty);
    var_set_put(&a);
    var_set_put(&b);
}

/* Name and value are not run together: "ab=c" is not "a=bc". */
static void keys_are_distinct(void **state)
{
    struct var_set *a = make(*state, "ab=c"), *b = make(*state, "a=bc");
    assert_ptr_not_equal(a, b);
    assert_string_equal(var_set_at(b, 0).value, "bc");
    var_set_put(&a);
    var_set_put(&b);
}

#define LONG63 "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
#define LONG64 LONG63 "n"

static void names_are_checked(void **state)
{
    static const char *const good[] = {"x",   "my.var",         "a$b", "a-b", "\xc3\xa9",
                                       "A_1", LONG63 "." LONG63};
    static const char *const bad[] = {"",    ".",    "a.",  ".a",  "a..b", LONG64, LONG64 ".x",
                                      "a b", "a\"b", "a'b", "a;b", "a\nb", "a\\b"};
    struct var_set *empty = var_set_empty(*state), *set;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        set = var_set_with(empty, good[i], strlen(good[i]), VAR_PLAIN, "v", 1);
        assert_non_null(set);
        var_set_put(&set);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_null(var_set_with(empty, bad[i], strlen(bad[i]), VAR_PLAIN, "v", 1));
    assert_null(var_set_with(empty, "x", 1, VAR_PLAIN, "a\0b", 3));
    assert_null(var_set_with(empty, "x\0y", 3, VAR_PLAIN, "v", 1));
    var_set_put(&empty);
}

static void bounds(void **state)
{
    struct var_set *set = var_set_empty(*state);
    char name[VAR_NAME_MAX + 2];
    char *big = malloc(VAR_VALUE_MAX + 1);
    memset(big, 'v', VAR_VALUE_MAX + 1);
    memset(name, 'n', sizeof(name));
    assert_null(var_set_with(set, name, VAR_NAME_MAX + 1, VAR_PLAIN, "v", 1));
    assert_null(var_set_with(set, "x", 1, VAR_PLAIN, big, VAR_VALUE_MAX + 1));
    for (int i = 0; i < VAR_ENTRIES_MAX; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        with(&set, name, VAR_PLAIN, "v");
    }
    assert_null(var_set_with(set, "one.more", 8, VAR_PLAIN, "v", 1));
    with(&set, "n7", VAR_PLAIN, "another");
    var_set_put(&set);

    set = var_set_empty(*state);
    for (uint32_t i = 0; i < VAR_SET_MAX / VAR_VALUE_MAX - 1; i++) {
        char one = (char)('a' + i);
        struct var_set *more = var_set_with(set, &one, 1, VAR_PLAIN, big, VAR_VALUE_MAX);
        assert_non_null(more);
        var_set_put(&set);
        set = more;
    }
    assert_null(var_set_with(set, "z", 1, VAR_PLAIN, big, VAR_VALUE_MAX));
    var_set_put(&set);
    free(big);
}

/* ---- SQL --------------------------------------------------------------------------------------
 */

#define PRIVILEGED 1u
#define UNPROVEN   2u

struct diff_row {
    const char *have, *want, *base, *sql;
    unsigned flags;
};

static void check_diff(struct var_table *t, const struct diff_row *r)
{
    struct var_set *have = make(t, r->have), *want = make(t, r->want);
    struct var_set *base = r->base != NULL ? make(t, r->base) : NULL;
    struct buf sql = {0};
    struct pg_guc_diff diff;
    assert_true(buf_append(&sql, "before", 6));
    assert_true(pg_guc_diff(have, want, base, &sql, &diff));
    size_t len = buf_len(&sql) - 6;
    const char *got = (const char *)buf_head(&sql) + 6;
    if (len != strlen(r->sql) || memcmp(got, r->sql, len) != 0)
        fail_msg("{%s} to {%s}: {%.*s}, not {%s}", r->have, r->want, (int)len, got, r->sql);
    assert_int_equal(diff.changes == 0, len == 0);
    assert_int_equal(diff.privileged, (r->flags & PRIVILEGED) != 0);
    assert_int_equal(diff.proven, (r->flags & UNPROVEN) == 0);
    assert_int_equal(diff.split, 0);
    buf_release(&sql);
    var_set_put(&have);
    var_set_put(&want);
    var_set_put(&base);
}

static void differences(void **state)
{
    static const struct diff_row rows[] = {
        {"", "", NULL, "", 0},
        {"a=1", "a=1", NULL, "", 0},
        {"", "a=1", NULL, "SET \"a\" TO '1'", UNPROVEN},
        {"a=1", "", NULL, "RESET \"a\"", 0},
        {"a=1", "a=2", NULL, "SET \"a\" TO '2'", UNPROVEN},
        {"a=1 b=2 d=4", "b=2 c=3", NULL, "RESET \"a\"; SET \"c\" TO '3'; RESET \"d\"", UNPROVEN},
        {"", "b=1 a=2", NULL, "SET \"a\" TO '2'; SET \"b\" TO '1'", UNPROVEN},
        {"", "x=it's", NULL, "SET \"x\" TO 'it''s'", UNPROVEN},
        {"", "x=a\\b'", NULL, "SET \"x\" TO  E'a\\\\b'''", UNPROVEN},
        {"", "x=~\"$user\",'b'", NULL, "SET \"x\" TO \"$user\",'b'", UNPROVEN},
        {"", "My.Var=x", NULL, "SET \"my\".\"var\" TO 'x'", UNPROVEN},
        /* bytes of the database's encoding */
        {"", "client_encoding=LATIN1 my.a=^\xc3\xa9'", NULL,
         "SET \"client_encoding\" TO 'LATIN1'; SELECT pg_catalog.set_config('my.a',"
         "pg_catalog.convert_from(pg_catalog.decode('c3a927','hex'),"
         "pg_catalog.getdatabaseencoding()),false)",
         UNPROVEN},
        {"my.a=^\xc3\xa9", "", NULL, "RESET \"my\".\"a\"", 0},
        /* lists of identifiers */
        {"", "search_path=a,b", NULL, "SELECT pg_catalog.set_config('search_path','a,b',false)",
         UNPROVEN},
        {"", "search_path=~a,b", NULL, "SET \"search_path\" TO a,b", UNPROVEN},
        {"", "DateStyle=iso,dmy", NULL, "SET \"datestyle\" TO 'iso,dmy'", UNPROVEN},
        {"a.b.c=x", "", NULL, "RESET \"a\".\"b\".\"c\"", 0},
        {"search_path=x", "", NULL, "RESET \"search_path\"", 0},
        {"", "temp_buffers=200", NULL,
         "SELECT pg_catalog.set_config('temp_buffers','200',false) WHERE"
         " pg_catalog.pg_my_temp_schema() OPERATOR(pg_catalog.=) 0",
         UNPROVEN},
        {"temp_buffers=200", "", NULL, "RESET \"temp_buffers\"", 0},
        {"", "datestyle=iso", NULL, "SET \"datestyle\" TO 'iso'", UNPROVEN},
        {"datestyle=German", "datestyle=iso", NULL,
         "RESET \"datestyle\"; SET \"datestyle\" TO 'iso'", UNPROVEN},
        /* what isn't a setting of the session */
        {"", "transaction_isolation=x", NULL, "", 0},
        {"transaction_read_only=on", "", NULL, "", 0},
        {"", "TimeZone=!UTC", NULL, "", 0},
        {"transaction_timeout=5s", "", NULL, "RESET \"transaction_timeout\"", 0},
        /* rights */
        {"", "role=r", NULL, "SET \"role\" TO 'r'", PRIVILEGED | UNPROVEN},
        {"role=r", "", NULL, "RESET \"role\"", PRIVILEGED},
        {"role=r", "role=r", NULL, "", 0},
        {"role=r", "role=s", NULL, "RESET \"role\"; SET \"role\" TO 's'", PRIVILEGED | UNPROVEN},
        {"role=r a=1", "role=r z=2", NULL,
         "RESET \"role\"; RESET \"a\"; SET \"z\" TO '2'; SET \"role\" TO 'r'",
         PRIVILEGED | UNPROVEN},
        {"role=r session_authorization=s", "", NULL, "RESET SESSION AUTHORIZATION; RESET \"role\"",
         PRIVILEGED},
        {"", "a=1 role=r session_authorization=s z=2", NULL,
         "SET \"a\" TO '1'; SET \"z\" TO '2'; SET \"session_authorization\" TO 's'; "
         "SET \"role\" TO 'r'",
         PRIVILEGED | UNPROVEN},
        /* the connection's own startup values */
        {"", "a=1", "a=1", "", 0},
        {"a=2", "a=1", "a=1", "RESET \"a\"", 0},
        {"", "a=2", "a=1", "SET \"a\" TO '2'", UNPROVEN},
        {"a=2", "", "a=1", "RESET \"a\"", 0},
        {"a=1", "a=1", "a=2", "", 0},
        {"", "", "a=1", "", 0},
        /* the encoding first */
        {"", "a=1 client_encoding=LATIN1 z=2", NULL,
         "SET \"client_encoding\" TO 'LATIN1'; SET \"a\" TO '1'; SET \"z\" TO '2'", UNPROVEN},
        {"client_encoding=LATIN1 a=1", "", NULL, "RESET \"client_encoding\"; RESET \"a\"", 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check_diff(*state, &rows[i]);
}

static void check_split(struct var_table *t, const char *have_text, const char *want_text,
                        const char *first, const char *second)
{
    struct var_set *have = make(t, have_text), *want = make(t, want_text);
    struct buf sql = {0};
    struct pg_guc_diff diff;
    assert_true(buf_append(&sql, "b", 1));
    assert_true(pg_guc_diff(have, want, NULL, &sql, &diff));
    const char *got = (const char *)buf_head(&sql) + 1;
    assert_int_equal(diff.split, strlen(first));
    assert_int_equal(buf_len(&sql) - 1, strlen(first) + strlen(second));
    assert_memory_equal(got, first, strlen(first));
    assert_memory_equal(got + diff.split, second, strlen(second));
    buf_release(&sql);
    var_set_put(&have);
    var_set_put(&want);
}

/* The server converts a message as a whole, by the encoding that was set before it. */
static void encoding_goes_ahead(void **state)
{
    check_split(*state, "role=r", "client_encoding=LATIN1 x=\xe4",
                "RESET \"role\"; SET \"client_encoding\" TO 'LATIN1'", "SET \"x\" TO '\xe4'");
    check_split(*state, "client_encoding=LATIN1", "x=\xc3\xa4 y=1", "RESET \"client_encoding\"",
                "SET \"x\" TO '\xc3\xa4'; SET \"y\" TO '1'");
    check_split(*state, "x=1", "x=\xc3\xa4", "", "SET \"x\" TO '\xc3\xa4'");
}

static void proven_values(void **state)
{
    struct var_set *empty = var_set_empty(*state), *a = make(*state, "a=1"),
                   *ab = make(*state, "a=1 b=2");
    struct buf sql = {0};
    struct pg_guc_diff diff;
    var_set_mark_proven(a);
    assert_true(var_set_at(a, 0).proven);
    assert_true(pg_guc_diff(empty, a, NULL, &sql, &diff));
    assert_true(diff.proven);
    assert_true(pg_guc_diff(empty, ab, NULL, &sql, &diff));
    assert_false(diff.proven);
    var_set_mark_proven(ab);
    assert_true(pg_guc_diff(a, ab, NULL, &sql, &diff));
    assert_true(diff.proven);
    buf_release(&sql);
    var_set_put(&empty);
    var_set_put(&a);
    var_set_put(&ab);
}

/* ---- reports ----------------------------------------------------------------------------------
 */

static void on_difference(void *arg, const struct var_entry *e)
{
    char *text = arg;
    size_t len = strlen(text);
    snprintf(text + len, 256 - len, "%s=%s ", e->name, e->value);
}

static void report_differences(void **state)
{
    struct var_set *a = make(*state, "TimeZone=!UTC DateStyle=!ISO is_superuser=!off x=!1"),
                   *b = make(*state, "TimeZone=!GMT DateStyle=!ISO is_superuser=!on y=!2");
    char text[256] = "";
    var_set_each_difference(a, b, on_difference, text);
    assert_string_equal(text, "is_superuser=on TimeZone=GMT y=2 ");
    text[0] = '\0';
    var_set_each_difference(a, a, on_difference, text);
    assert_string_equal(text, "");
    var_set_put(&a);
    var_set_put(&b);
}

/* ---- travelling -------------------------------------------------------------------------------
 */

static void packing(void **state)
{
    struct var_table *there = var_table_create();
    struct var_set *a = make(*state, "role=r b=~2 TimeZone=!UTC empty=x"), *b, *same;
    struct buf bytes = {0};
    struct var_entry e;
    with(&a, "empty", VAR_PLAIN, "");
    var_set_mark_proven(a);
    with(&a, "new", VAR_PLAIN, "v");
    assert_true(var_set_pack(a, &bytes));
    b = var_set_unpack(there, buf_head(&bytes), buf_len(&bytes));
    assert_non_null(b);
    assert_int_equal(var_set_count(b), 5);
    for (uint32_t i = 0; i < 5; i++) {
        struct var_entry x = var_set_at(a, i), y = var_set_at(b, i);
        assert_string_equal(x.name, y.name);
        assert_string_equal(x.value, y.value);
        assert_int_equal(x.form, y.form);
        assert_int_equal(x.proven, y.proven);
    }
    assert_true(var_set_find(b, "new", 3, &e));
    assert_false(e.proven);
    same = var_set_unpack(there, buf_head(&bytes), buf_len(&bytes));
    assert_ptr_equal(same, b);
    var_set_put(&same);
    for (size_t len = 1; len < buf_len(&bytes); len++) {
        char *copy = malloc(len);
        memcpy(copy, buf_head(&bytes), len);
        same = var_set_unpack(there, copy, len);
        assert_true(same == NULL || var_set_count(same) < 5);
        var_set_put(&same);
        copy[0] ^= 0x55;
        assert_null(var_set_unpack(there, copy, len));
        free(copy);
    }
    same = var_set_unpack(there, NULL, 0);
    assert_int_equal(var_set_count(same), 0);
    var_set_put(&same);
    buf_release(&bytes);
    var_set_put(&a);
    var_set_put(&b);
    var_table_destroy(&there);
}

/* Many sets that come and go in no order: the tables hold exactly what is used. */
static void churn(void **state)
{
    struct var_set *live[64] = {0};
    unsigned seed = 1;
    for (int step = 0; step < 20000; step++) {
        seed = seed * 1103515245u + 12345u;
        unsigned i = (seed >> 16) % 64, n = (seed >> 22) % 10;
        char name[8], value[8];
        snprintf(name, sizeof(name), "n%u", n);
        snprintf(value, sizeof(value), "%u", (seed >> 26) % 4);
        if (live[i] == NULL)
            live[i] = var_set_empty(*state);
        if ((seed >> 30) == 0)
            var_set_put(&live[i]);
        else if ((seed >> 30) == 1)
            without(&live[i], name);
        else
            with(&live[i], name, VAR_PLAIN, value);
    }
    for (int i = 0; i < 64; i++) {
        for (int j = 0; j < i; j++) {
            if (live[i] == NULL || live[j] == NULL || live[i] == live[j])
                continue;
            char text[256] = "";
            var_set_each_difference(live[i], live[j], on_difference, text);
            var_set_each_difference(live[j], live[i], on_difference, text);
            assert_string_not_equal(text, ""); /* equal content would be one set */
        }
    }
    for (int i = 0; i < 64; i++)
        var_set_put(&live[i]);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(equal_is_identical),
        T(keys_are_distinct),
        T(names_are_checked),
        T(bounds),
        T(differences),
        T(encoding_goes_ahead),
        T(proven_values),
        T(report_differences),
        T(packing),
        T(churn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
