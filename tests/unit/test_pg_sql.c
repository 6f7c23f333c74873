/* SPDX-License-Identifier: ISC
 * SQL's own PREPARE, EXECUTE and DEALLOCATE on conversations (see test_pg_relay.c): names are the
 * client's, whatever connection it has, and the server keeps no statement of SQL's.
 */
#include "config.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "pg_relay_say.h"

static void sees_none_of_sql(struct relay *r)
{
    for (int i = 0; i < RELAY_SERVERS; i++)
        for (int n = 0; n < MODEL_NAMES; n++)
            assert_false(r->models[i].statements[n].used && r->models[i].statements[n].from_sql);
}

static void prepares(struct relay *r)
{
    say(r, "QPREPARE a AS select 1");
    sees(r, "C:PREPARE Z:I ");
    assert_int_equal(r->lent, -1); /* no pin */
    sees_none_of_sql(r);
    say(r, "r1|QEXECUTE a|r0|QEXECUTE a|QEXECUTE a");
    sees(r, "T D:select 1 C:SELECT 1 Z:I T D:select 1 C:SELECT 1 Z:I "
            "T D:select 1 C:SELECT 1 Z:I ");
    say(r, "QPREPARE a AS select 2|QDEALLOCATE a|QEXECUTE a|QDEALLOCATE a");
    sees(r, "E:42P05 Z:I C:DEALLOCATE Z:I E:26000 Z:I E:26000 Z:I ");
    say(r, "QPREPARE a AS select 3|QPREPARE b AS SYNTAX|QEXECUTE b|QEXECUTE a");
    sees(r, "C:PREPARE Z:I E:42601 Z:I E:26000 Z:I T D:select 3 C:SELECT 1 Z:I ");
    sees_none_of_sql(r);
    assert_int_equal(r->lent, -1);
}

/* What is prepared in one way is there in the other. */
static void shares_with_the_protocol(struct relay *r)
{
    say(r, "Pa:select 1|S|QEXECUTE a|r1|QEXECUTE a");
    sees(r, "1 Z:I T D:select 1 C:SELECT 1 Z:I T D:select 1 C:SELECT 1 Z:I ");
    say(r, "QPREPARE b AS select 2|r0|Pb:select 3|S|B:b|E|S|QDEALLOCATE a|B:a|S");
    sees(r, "C:PREPARE Z:I E:42P05 Z:I 2 D:             select 2 C:SELECT 1 Z:I "
            "C:DEALLOCATE Z:I E:26000 Z:I ");
    say(r, "C:b|S|QEXECUTE b|QDEALLOCATE ALL|QPREPARE b AS select 4|QEXECUTE b");
    sees(r, "3 Z:I E:26000 Z:I C:DEALLOCATE ALL Z:I C:PREPARE Z:I T D:select 4 C:SELECT 1 Z:I ");
    sees_none_of_sql(r);
}

static void several_in_one_string(struct relay *r)
{
    say(r, "QPREPARE a AS select 1; EXECUTE a; DEALLOCATE a; EXECUTE a; select 9|QEXECUTE a");
    sees(r, "C:PREPARE T D:select 1 C:SELECT 1 C:DEALLOCATE E:26000 Z:I E:26000 Z:I ");
    say(r, "QPREPARE a AS select 2; FAIL; PREPARE b AS select 3|r1|QEXECUTE a|QEXECUTE b");
    sees(r, "C:PREPARE E:22012 Z:I T D:select 2 C:SELECT 1 Z:I E:26000 Z:I ");
    say(r, "QDEALLOCATE a; PREPARE a AS select 4; EXECUTE a|r0|QEXECUTE a");
    sees(r, "C:DEALLOCATE C:PREPARE T D:select 4 C:SELECT 1 Z:I T D:select 4 C:SELECT 1 Z:I ");
    say(r, "QPREPARE c AS select 5; PREPARE c AS select 6|QEXECUTE c; EXECUTE a; EXECUTE a");
    sees(r, "C:PREPARE E:42P05 Z:I T D:select 5 C:SELECT 1 T D:select 4 C:SELECT 1 "
            "T D:select 4 C:SELECT 1 Z:I ");
    sees_none_of_sql(r);
}

/* Prepared statements are no part of a transaction. */
static void in_transactions(struct relay *r)
{
    say(r, "QBEGIN|QPREPARE a AS select 1|QFAIL|QEXECUTE a|QROLLBACK|r1|QEXECUTE a");
    sees(r, "C:BEGIN Z:T C:PREPARE Z:T E:22012 Z:E E:25P02 Z:E C:ROLLBACK Z:I "
            "T D:select 1 C:SELECT 1 Z:I ");
    say(r, "QBEGIN|QDEALLOCATE a|QROLLBACK|QEXECUTE a");
    sees(r, "C:BEGIN Z:T C:DEALLOCATE Z:T C:ROLLBACK Z:I E:26000 Z:I ");
    say(r, "QBEGIN; PREPARE b AS select 2; FAIL|QROLLBACK|QEXECUTE b");
    sees(r, "C:BEGIN C:PREPARE E:22012 Z:E C:ROLLBACK Z:I T D:select 2 C:SELECT 1 Z:I ");
    sees_none_of_sql(r);
}

/* What can't be prepared ahead of the text is the text's own error, once. */
static void ahead_fails(struct relay *r)
{
    say(r, "QPREPARE a AS select 1");
    forget(r);
    struct pg_stmt *gone = pg_names_remove(&r->c->names, "a", 1);
    struct pg_stmt *bad =
        pg_stmt_intern((const uint8_t *)"SYNTAX\0\0", 9, r->c->how, pg_scan_flags);
    assert_true(pg_names_add(&r->c->names, "a", 1, bad));
    pg_stmt_put(&gone);
    pg_stmt_put(&bad);
    say(r, "QEXECUTE a|Qselect 2; EXECUTE a|Qselect 3");
    sees(r, "E:42601 Z:I T D:select 2 C:SELECT 1 E:42601 Z:I T D:select 3 C:SELECT 1 Z:I ");
    say(r, "QBEGIN|QEXECUTE a|QROLLBACK");
    sees(r, "C:BEGIN Z:T E:42601 Z:E C:ROLLBACK Z:I ");
    assert_int_equal(pg_cache_count(r->servers[0]->cache), 0);
}

static void stale_plans(struct relay *r)
{
    say(r, "QPREPARE a AS select *|QEXECUTE a");
    forget(r);
    r->models[0].version++;
    say(r, "QEXECUTE a");
    sees(r, "T D:select * C:SELECT 1 Z:I ");
    r->models[0].version++;
    say(r, "QBEGIN|QEXECUTE a|QROLLBACK|QBEGIN|QEXECUTE a|QROLLBACK");
    sees(r, "C:BEGIN Z:T E:0A000 Z:E C:ROLLBACK Z:I C:BEGIN Z:T T D:select * C:SELECT 1 Z:T "
            "C:ROLLBACK Z:I ");
    r->models[0].version++;
    say(r, "Qselect 1; EXECUTE a");
    sees(r, "T D:select 1 C:SELECT 1 E:0A000 Z:I ");
    r->models[0].version++;
    say(r, "QBEGIN|QDEALLOCATE a|QPREPARE a AS select *|QEXECUTE a|QROLLBACK");
    sees(r,
         "C:BEGIN Z:T C:DEALLOCATE Z:T C:PREPARE Z:T T D:select * C:SELECT 1 Z:T C:ROLLBACK Z:I ");
    r->models[0].version++;
    if (r->piece == 0) { /* what is behind it is on its way */
        say(r, "QEXECUTE a|Qselect 1");
        sees(r, "E:0A000 Z:I T D:select 1 C:SELECT 1 Z:I ");
    }
    say(r, "QEXECUTE a");
    sees(r, "T D:select * C:SELECT 1 Z:I ");
}

static void in_the_extended_protocol(struct relay *r)
{
    say(r, "P:PREPARE a AS select 1|B:|E|S|r1|QEXECUTE a");
    sees(r, "1 2 C:PREPARE Z:I T D:select 1 C:SELECT 1 Z:I ");
    say(r, "Px:EXECUTE a|S|B:x|E|S|r0|B:x|E|S");
    sees(r, "1 Z:I 2 D:select 1 C:SELECT 1 Z:I 2 D:select 1 C:SELECT 1 Z:I ");
    say(r, "P:DEALLOCATE a|B:|E|P:EXECUTE a|B:|E|S|B:x|E|S");
    sees(r, "1 2 C:DEALLOCATE 1 2 E:26000 Z:I 2 E:26000 Z:I ");
    say(r, "P:PREPARE a AS select 2|B:|E|Pa:select 3|S|P:PREPARE b AS SYNTAX|B:|E|S");
    sees(r, "1 2 C:PREPARE E:42P05 Z:I 1 2 E:42601 Z:I ");
    say(r, "B:x|E|S|P:DEALLOCATE a|B:|S|B:x|E|S");
    sees(r, "2 D:select 2 C:SELECT 1 Z:I 1 2 Z:I 2 D:select 2 C:SELECT 1 Z:I ");
    sees_none_of_sql(r);
    assert_int_equal(r->lent, -1);
}

/* Another client's statement has no name here. */
static void others_are_out_of_reach(struct relay *r)
{
    model_set(r->models[0].statements, "weir_0123", "secret", 0);
    say(r, "QEXECUTE weir_0123|QDEALLOCATE weir_0123|QPREPARE weir_0123 AS select 1");
    sees(r, "E:26000 Z:I E:26000 Z:I C:PREPARE Z:I ");
    assert_true(model_find(r->models[0].statements, "weir_0123") != NULL);
}

static void too_odd(struct relay *r)
{
    r->models[0].truth = "p prepare";
    say(r, "QPREPARE U&\"a\" AS select 1|QEXECUTE U&\"a\"");
    sees(r, "C:PREPARE Z:I T D:select 1 C:SELECT 1 Z:I ");
    assert_int_equal(r->lent, 0);
    assert_int_equal(r->servers[0]->pins, PG_PIN_PREPARE);
}

#define CONVERSATION(name)                                                                         \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        converse(name);                                                                            \
    }
CONVERSATION(prepares)
CONVERSATION(shares_with_the_protocol)
CONVERSATION(several_in_one_string)
CONVERSATION(in_transactions)
CONVERSATION(ahead_fails)
CONVERSATION(stale_plans)
CONVERSATION(in_the_extended_protocol)
CONVERSATION(others_are_out_of_reach)
CONVERSATION(too_odd)

/* What the client's text was is where its errors are, whatever was sent. A place within the name is
 * one in the text that was prepared. */
static void test_errors(void **state)
{
    static const struct {
        const char *position, *shown;
    } rows[] = {{"3", "3"}, {"9", "9"}, {"20", "20"}, {"46", "10"}, {"50", "14"}, {"900", "900"}};
    (void)state;
    struct relay *r = calloc(1, sizeof *r);
    relay_init(r, 0);
    say(r, "Pa:select 1|S|QEXECUTE a");
    forget(r);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf b = {0};
        r->models[0].deaf = true;
        say(r, "r0|QEXECUTE a ('\xc3\xa4'), $");
        struct pg_expect *x = pg_expect_at(r->servers[0], r->servers[0]->len - 1);
        assert_non_null(x->sql);
        char body[256];
        int n = snprintf(body, sizeof body, "SERROR%cC42601%cMat \"%s\" or \"weir_x\"%cP%s%c", 0, 0,
                         pg_names_find(r->c->names, "a", 1)->name, 0, rows[i].position, 0);
        model_msg(&r->models[0].out, 'E', body, (size_t)n + 1);
        model_msg(&r->models[0].out, 'Z', "I", 1);
        r->models[0].deaf = false;
        relay_pump(r, 0);
        struct pg_view v;
        assert_true(pg_msg_error_field(buf_head(&r->seen) + 5, buf_len(&r->seen) - 11, 'P', &v));
        assert_string_equal(v.p, rows[i].shown);
        assert_true(pg_msg_error_field(buf_head(&r->seen) + 5, buf_len(&r->seen) - 11, 'M', &v));
        assert_string_equal(v.p, "at \"a\" or \"weir_x\"");
        buf_release(&b);
        forget(r);
    }
    relay_fini(r);
    free(r);
}

static void test_digest(void **state)
{
    static const struct {
        const char *sql, *shown;
        bool scs;
    } rows[] = {
        {"select  'secret' ,\n12.5 -- secret\n from \"T\" /* secret */ where a=$1",
         "select ? , ? from \"T\" where a=$1", true},
        {"select $$secret$$, $x$secret$x$, E'se\\'cret', U&'secret', b'1'", "select ?, ?, ?, ?, ?",
         true},
        {"select 'a\\', 'secret", "select ?, ?", true},
        {"select 'a\\', 'secret' --'", "select ?secret?", false},
        {"select \"secret", "select ?", true},
        {"", "", true},
    };
    char to[64];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        pg_text_digest(to, sizeof to, rows[i].sql, strlen(rows[i].sql),
                       rows[i].scs ? PG_TEXT_PLAIN : 0);
        assert_string_equal(to, rows[i].shown);
    }
    for (size_t room = 1; room < sizeof to; room++) {
        pg_text_digest(to, room, rows[0].sql, strlen(rows[0].sql), PG_TEXT_PLAIN);
        assert_true(strlen(to) < room);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prepares),
        cmocka_unit_test(test_shares_with_the_protocol),
        cmocka_unit_test(test_several_in_one_string),
        cmocka_unit_test(test_in_transactions),
        cmocka_unit_test(test_ahead_fails),
        cmocka_unit_test(test_stale_plans),
        cmocka_unit_test(test_in_the_extended_protocol),
        cmocka_unit_test(test_others_are_out_of_reach),
        cmocka_unit_test(test_too_odd),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_digest),
    };
    relay_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
