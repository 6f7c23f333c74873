/* SPDX-License-Identifier: ISC
 * The relay's protocol objects on conversations: what the client says, and what it must see. Each
 * conversation runs as it is, in pieces of seven bytes and byte by byte, in both directions.
 */
#include "config.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "pg_relay_say.h"

/* ---- simple ---------------------------------------------------------------------------------- */

static void simple(struct relay *r)
{
    say(r, "Qselect 1");
    sees(r, "T D:select 1 C:SELECT 1 Z:I ");
    assert_int_equal(r->lent, -1);
    say(r, "QBEGIN|Qselect 2|QCOMMIT");
    sees(r, "C:BEGIN Z:T T D:select 2 C:SELECT 1 Z:T C:COMMIT Z:I ");
    say(r, "QFAIL|Q");
    sees(r, "E:22012 Z:I I Z:I ");
    assert_int_equal(r->lent, -1);
}

static void fastpath(struct relay *r)
{
    static const uint8_t lo_open[] = {0, 0, 3, 0xb8, 0, 0, 0, 0, 0, 0};
    static const uint8_t other[] = {0, 0, 4, 0xff, 0, 0, 0, 0, 0, 0};
    say(r, "QBEGIN");
    send_msg(r, 'F', lo_open, sizeof lo_open);
    say(r, "QCOMMIT");
    sees(r, "C:BEGIN Z:T V Z:T C:COMMIT Z:I ");
    assert_int_equal(r->models[0].queries, 2);
    send_msg(r, 'F', other, sizeof other); /* may have done anything: the server is asked */
    sees(r, "V Z:I ");
    assert_int_equal(r->models[0].queries, 3);
}

/* ---- extended ----------------------------------------------------------------------------------
 */

static void unnamed_across_servers(struct relay *r)
{
    say(r, "P:select 1|S");
    r->next = 1;
    say(r, "B:|E|S");
    sees(r, "1 Z:I 2 D:select 1 C:SELECT 1 Z:I ");
    r->next = 0;
    say(r, "D:|B:|E|S");
    sees(r, "t T 2 D:select 1 C:SELECT 1 Z:I ");
}

/* Another client's unnamed statement is not ours. */
static void unnamed_is_private(struct relay *r)
{
    model_set(r->models[0].statements, "", "secret", 0);
    say(r, "B:|E|S");
    sees(r, "E:26000 Z:I ");
}

/* A Parse that was skipped leaves the unnamed statement as it was; one that failed takes it along.
 */
static void unnamed_undone(struct relay *r)
{
    say(r, "P:FAIL|B:|E|P:select 1|S|B:|E|S");
    sees(r, "1 2 E:22012 Z:I 2 E:22012 Z:I ");
    say(r, "P:SYNTAX|S|B:|S");
    sees(r, "E:42601 Z:I E:26000 Z:I ");
}

static void named(struct relay *r)
{
    say(r, "Pa:select 1|Pb:select 2|S");
    sees(r, "1 1 Z:I ");
    r->next = 1;
    say(r, "B:a|E|B:b|E|S");
    sees(r, "2 D:select 1 C:SELECT 1 2 D:select 2 C:SELECT 1 Z:I ");
    say(r, "Pa:select 3|S");
    sees(r, "E:42P05 Z:I ");
    say(r, "B:none|E|S|D:none|S");
    sees(r, "E:26000 Z:I E:26000 Z:I ");
    say(r, "C:a|S|B:a|S");
    sees(r, "3 Z:I E:26000 Z:I ");
    assert_int_equal(r->lent, -1);
}

/* Two statements fit: the third makes room, and the first comes back when it is wanted. */
static void evicted(struct relay *r)
{
    say(r, "Pa:select 1|Pb:select 2|Pc:select 3|S");
    sees(r, "1 1 1 Z:I ");
    for (int i = 0; i < 3; i++) {
        say(r, "B:a|E|B:b|E|B:c|E|S");
        sees(r, "2 D:select 1 C:SELECT 1 2 D:select 2 C:SELECT 1 2 D:select 3 C:SELECT 1 Z:I ");
    }
    assert_int_equal(pg_cache_count(r->servers[0]->cache), 2);
    say(r, "QBEGIN|QFAIL|B:a|E|S|QROLLBACK|B:a|E|S|B:b|E|S");
    sees(r, "C:BEGIN Z:T E:22012 Z:E E:25P02 Z:E C:ROLLBACK Z:I "
            "2 D:select 1 C:SELECT 1 Z:I 2 D:select 2 C:SELECT 1 Z:I ");
}

/* Equal texts under two names are one statement of the server's. */
static void equal_texts(struct relay *r)
{
    say(r, "Pa:select 1|S|Pb:select 1|B:b|E|S");
    sees(r, "1 Z:I 1 2 D:select 1 C:SELECT 1 Z:I ");
    assert_int_equal(pg_cache_count(r->servers[0]->cache), 1);
    say(r, "C:a|B:b|E|S");
    sees(r, "3 2 D:select 1 C:SELECT 1 Z:I ");
}

/* What an error made the server skip has not happened. */
static void undone(struct relay *r)
{
    say(r, "Pa:select 1|S");
    forget(r);
    say(r, "P:FAIL|B:|E|C:a|Pa:select 9|Pb:select 2|S");
    sees(r, "1 2 E:22012 Z:I ");
    say(r, "B:a|E|S|B:b|S");
    sees(r, "2 D:select 1 C:SELECT 1 Z:I E:26000 Z:I ");
    say(r, "Pc:SYNTAX|B:c|S|Pc:select 3|B:c|E|S");
    sees(r, "E:42601 Z:I 1 2 D:select 3 C:SELECT 1 Z:I ");
    say(r, "Pd:select 4|Pe:SYNTAX|Pf:select 5|S|B:d|E|S");
    sees(r, "1 E:42601 Z:I 2 D:select 4 C:SELECT 1 Z:I ");
}

static void flushed(struct relay *r)
{
    say(r, "Pa:select 1|H");
    sees(r, "1 ");
    say(r, "B:a|H");
    sees(r, "2 ");
    say(r, "E|H");
    sees(r, "D:select 1 C:SELECT 1 ");
    say(r, "S");
    sees(r, "Z:I ");
    say(r, "P:FAIL|B:|E|H");
    sees(r, "1 2 E:22012 ");
    say(r, "B:|E|S|Qselect 1");
    sees(r, "Z:I T D:select 1 C:SELECT 1 Z:I ");
    say(r, "P:select 1|Qselect 2"); /* a Query ends the batch as well */
    sees(r, "1 T D:select 2 C:SELECT 1 Z:I ");
    assert_int_equal(r->lent, -1);
}

static void portals(struct relay *r)
{
    say(r, "QBEGIN|Pa:select 1|Bp:a|S|r1|Ep|S|DPp|Cp|Ep|S|QROLLBACK");
    sees(r, "C:BEGIN Z:T 1 2 Z:T D:select 1 C:SELECT 1 Z:T T 3 E:34000 Z:E C:ROLLBACK Z:I ");
}

/* A query drops the unnamed statement where it is run, not where it is skipped. */
static void skipped_query(struct relay *r)
{
    for (int i = 0; i < 2; i++) {
        say(r, "P:select 1|S|B:nope|Qselect 2|S|B:|E|S");
        sees(r, "1 Z:I E:26000 Z:I 2 D:select 1 C:SELECT 1 Z:I ");
        say(r, "B:|Qselect 2|B:|S");
        sees(r, "2 T D:select 2 C:SELECT 1 Z:I E:26000 Z:I ");
        say(r, "P:select 1|S|B:|E|Qselect 2|P:select 3|S|B:nope|Qselect 4|S|B:|E|S");
        sees(r, "1 Z:I 2 D:select 1 C:SELECT 1 T D:select 2 C:SELECT 1 Z:I 1 Z:I "
                "E:26000 Z:I 2 D:select 3 C:SELECT 1 Z:I ");
        say(r, "P:select 1|S|B:nope|P:select 2|S|B:nope|Qselect 4|S|B:|E|S");
        sees(r, "1 Z:I E:26000 Z:I E:26000 Z:I 2 D:select 1 C:SELECT 1 Z:I ");
        say(r, "P:select 1|S|B:nope|P:select 2|Qselect 4|S|B:|E|S");
        sees(r, "1 Z:I E:26000 Z:I 2 D:select 1 C:SELECT 1 Z:I ");
    }
    assert_int_equal(r->lent, -1);
}

/* ---- COPY
 * ---------------------------------------------------------------------------------------- */

static void copy(struct relay *r)
{
    say(r, "QCOPY IN|dx|dy|c|QCOPY OUT");
    sees(r, "G C:COPY 1 Z:I H d d c C:COPY 2 Z:I ");
    say(r, "QCOPY BAD|dx|dy|c|Qselect 1");
    sees(r, "G E:22P02 Z:I T D:select 1 C:SELECT 1 Z:I ");
    say(r, "QCOPY IN|fno");
    sees(r, "G E:57014 Z:I ");
    assert_int_equal(r->lent, -1);
}

static void copy_extended(struct relay *r)
{
    say(r, "P:COPY IN|B:|E|S"); /* that Sync is eaten */
    sees(r, "1 2 G ");
    say(r, "dx|c|S|Qselect 1");
    sees(r, "C:COPY 1 Z:I T D:select 1 C:SELECT 1 Z:I ");
    say(r, "P:COPY IN|B:|E|H");
    say(r, "dx|c|S");
    sees(r, "1 2 G C:COPY 1 Z:I ");
    say(r, "P:COPY OUT|B:|E|S");
    sees(r, "1 2 H d d c C:COPY 2 Z:I ");
    assert_int_equal(r->lent, -1);
}

static void copy_extended_fails(struct relay *r)
{
    for (int i = 0; i < 3; i++) {
        say(r, "P:COPY BAD|B:|E|S");
        say(r, "dx|dy|c|S");
        sees(r, "1 2 G E:22P02 Z:I ");
        assert_int_equal(r->lent, -1);
        say(r, "P:COPY BAD|B:|E|S|dx|dy|c|S|Qselect 1|P:select 2|B:|E|S");
        sees(r, "1 2 G E:22P02 Z:I T D:select 1 C:SELECT 1 Z:I 1 2 D:select 2 C:SELECT 1 Z:I ");
    }
    /* What follows in the same pipeline is answered in its turn. */
    for (int i = 0; i < 2; i++) {
        say(r, "Pa:select 1|S|P:COPY BAD|B:|E|S");
        forget(r);
        say(r, "dx|c|S|C:a|S|Pa:select 2|S|P:COPY BAD|B:|E|S|fno|C:a|S|C:a|S|Qselect 1");
        sees(r, "E:22P02 Z:I 3 Z:I 1 Z:I 1 2 G E:57014 Z:I 3 Z:I T D:select 1 C:SELECT 1 Z:I ");
        say(r, "P:COPY BAD|B:|E|H|S|dx|c|S|S|C:a|S");
        sees(r, "1 2 G E:22P02 Z:I Z:I 3 Z:I ");
        say(r, "P:COPY EARLY|B:|E|S|c|S|Qselect 1");
        sees(r, "1 2 G E:P0001 Z:I Z:I T D:select 1 C:SELECT 1 Z:I ");
        assert_int_equal(r->lent, -1);
    }
    say(r, "QBEGIN|P:COPY BAD|B:|E|S|dx|S");
    say(r, "QROLLBACK");
    sees(r, "C:BEGIN Z:T 1 2 G E:22P02 Z:E C:ROLLBACK Z:I ");
    assert_int_equal(r->lent, -1);
}

static void copy_of_nothing(struct relay *r)
{
    for (int i = 0; i < 2; i++) {
        say(r, "P:select 1|B:|E|dx|c|fno|S|dx|P:select 2|B:|dx|c|E|S|dx|S");
        sees(r, "1 2 D:select 1 C:SELECT 1 Z:I 1 2 D:select 2 C:SELECT 1 Z:I Z:I ");
        say(r, "P:COPY IN|B:|E|S|dx|c|dx|fno|S|P:COPY IN|B:|E|c|c|S|Qselect 1");
        sees(r, "1 2 G C:COPY 1 Z:I 1 2 G C:COPY 1 Z:I T D:select 1 C:SELECT 1 Z:I ");
        say(r, "P:FAIL|B:|E|dx|c|S|Qselect 1|dx|c|Qselect 2");
        sees(r, "1 2 E:22012 Z:I T D:select 1 C:SELECT 1 Z:I T D:select 2 C:SELECT 1 Z:I ");
    }
    assert_int_equal(r->lent, -1);
}

/* Bound, but it is the COPY that is executed. */
static void copy_beside_drop_all(struct relay *r)
{
    say(r, "Pd:DISCARD ALL|Bp:d|Pc:COPY IN|B:c|E|dx|c|S|Qselect 1");
    sees(r, "1 2 1 2 G C:COPY 1 Z:I T D:select 1 C:SELECT 1 Z:I ");
    say(r, "B:d|E|B:c|E|S|dx|c|S");
    sees(r, "2 C:DISCARD ALL E:26000 Z:I Z:I ");
    assert_int_equal(r->lent, -1);
}

/* ---- dropping statements by SQL
 * ---------------------------------------------------------------------- */

static void deallocate(struct relay *r)
{
    say(r, "Pa:select 1|S|QDEALLOCATE a|B:a|S");
    sees(r, "1 Z:I C:DEALLOCATE Z:I E:26000 Z:I ");
    say(r, "Pa:select 1|S");
    r->next = 1;
    say(r, "QDEALLOCATE a|QDEALLOCATE a");
    sees(r, "1 Z:I C:DEALLOCATE Z:I E:26000 Z:I ");
    say(r, "Pa:select 1|S|QBEGIN|QFAIL|QDEALLOCATE a|QROLLBACK|B:a|E|S");
    sees(r, "1 Z:I C:BEGIN Z:T E:22012 Z:E E:25P02 Z:E C:ROLLBACK Z:I "
            "2 D:select 1 C:SELECT 1 Z:I ");
}

static void drop_all(struct relay *r)
{
    say(r, "Pa:select 1|S|QBEGIN|QDEALLOCATE ALL|Pa:select 1|B:a|E|S|QCOMMIT");
    sees(r, "1 Z:I C:BEGIN Z:T C:DEALLOCATE ALL Z:T 1 2 D:select 1 C:SELECT 1 Z:T C:COMMIT Z:I ");
    say(r, "P:DEALLOCATE ALL|B:|E|Pa:select 1|B:a|E|S");
    sees(r, "1 2 C:DEALLOCATE ALL 1 2 D:select 1 C:SELECT 1 Z:I ");
    say(r, "QDISCARD ALL"); /* nothing but weir's memory is concerned */
    sees(r, "C:DISCARD ALL Z:I ");
    int loans = r->loans;
    say(r, "QDEALLOCATE ALL");
    sees(r, "C:DEALLOCATE ALL Z:I ");
    assert_int_equal(r->loans, loans);
    say(r, "B:a|S");
    sees(r, "E:26000 Z:I ");
}

/* ---- stale plans
 * ------------------------------------------------------------------------------------------ */

static void heals(struct relay *r)
{
    say(r, "Pa:select *|S");
    r->models[0].version++;
    forget(r);
    say(r, "B:a|DP|E|S");
    sees(r, "2 T D:select * C:SELECT 1 Z:I ");
    r->models[0].version++;
    say(r, "D:a|S"); /* its ParameterDescription comes before the error, and is seen once */
    sees(r, "t T Z:I ");
    r->models[0].version++;
    say(r, "Pb:select *|B:b|E|B:b|E|S");
    sees(r, "1 2 D:select * C:SELECT 1 2 D:select * C:SELECT 1 Z:I ");
    r->models[0].version++;
    say(r, "Pc:select *|B:c|H");
    say(r, "E|S");
    sees(r, "1 2 D:select * C:SELECT 1 Z:I ");
    assert_int_equal(r->lent, -1);
}

/* Not in a transaction, nor when something was shown, or the client has a description. */
static void heals_not(struct relay *r)
{
    say(r, "Pa:select *|Pb:select 1|S|QBEGIN");
    r->models[0].version++;
    forget(r);
    say(r, "B:a|E|S|QROLLBACK");
    sees(r, "E:0A000 Z:E C:ROLLBACK Z:I ");
    say(r, "B:a|E|S");
    forget(r);
    r->models[0].version++;
    say(r, "B:b|E|B:a|E|S");
    sees(r, "2 D:select 1 C:SELECT 1 E:0A000 Z:I ");
    say(r, "B:a|E|S");
    sees(r, "2 D:select * C:SELECT 1 Z:I ");
    say(r, "D:a|S");
    forget(r);
    r->models[0].version++;
    say(r, "B:a|E|S"); /* it would take the rows for what they were */
    sees(r, "E:0A000 Z:I ");
    say(r, "D:a|B:a|E|S");
    sees(r, "t T 2 D:select * C:SELECT 1 Z:I ");
}

/* What it was told of the columns holds on every connection, or it is told that it doesn't. */
static void keeps_to_the_description(struct relay *r)
{
    say(r, "Pa:select *|D:a|S|Pb:select *|S|Pc:select 1|D:c|S|Pd:FAIL|D:d|S");
    forget(r);
    r->next = 1;
    say(r, "B:a|E|B:c|E|S");
    sees(r, "2 D:select * C:SELECT 1 2 D:select 1 C:SELECT 1 Z:I ");
    r->models[0].version++;
    r->models[1].version++;
    pg_cache_clear(&r->servers[1]->cache); /* that was a connection of before */
    model_forget_statements(&r->models[1]);
    r->next = 1;
    say(r, "B:a|E|B:b|E|S");
    sees(r, "E:0A000 Z:I ");
    r->next = 1;
    say(r, "B:b|E|B:c|E|S|B:d|E|S"); /* it was told nothing of this one */
    sees(r, "2 D:select * C:SELECT 1 2 D:select 1 C:SELECT 1 Z:I 2 E:22012 Z:I ");
    r->next = 1;
    say(r, "QBEGIN|B:a|E|S|QROLLBACK");
    sees(r, "C:BEGIN Z:T E:0A000 Z:E C:ROLLBACK Z:I ");
    r->next = 1;
    say(r, "C:a|Pa:select *|D:a|S|QBEGIN|B:a|E|S|QROLLBACK");
    sees(r, "3 1 t T Z:I C:BEGIN Z:T 2 D:select * C:SELECT 1 Z:T C:ROLLBACK Z:I ");
    r->next = 0;
    say(r, "Pp:select *|B:p|DP|E|S"); /* told of the portal's, it goes by that as well */
    sees(r, "1 2 T D:select * C:SELECT 1 Z:I ");
    r->next = 1;
    say(r, "B:p|E|S");
    sees(r, "2 D:select * C:SELECT 1 Z:I ");
    r->models[0].version++;
    r->models[1].version++;
    say(r, "B:p|E|S");
    sees(r, "E:0A000 Z:I ");
    pg_cache_clear(&r->servers[1]->cache);
    model_forget_statements(&r->models[1]);
    r->next = 1;
    say(r, "B:p|E|S");
    sees(r, "E:0A000 Z:I ");
    r->next = 0;
    say(r, "C:a|Pa:select *|D:a|S");
    sees(r, "3 1 t T Z:I ");
    say(r, "B:a|E|H"); /* which has it from before */
    sees(r, "2 D:select * C:SELECT 1 ");
    say(r, "S");
    sees(r, "Z:I ");
    assert_int_equal(r->lent, -1);
}

/* Values go to a statement whose parameters are those that the client was told of. */
static void keeps_to_the_parameters(struct relay *r)
{
    r->c->prepared_limit = 10;
    r->models[0].version = r->models[1].version = 10;
    say(r, "Pa:INSERT|D:a|S");
    forget(r);
    say(r, "B:a|E|S");
    sees(r, "2 D:INSERT as 10 C:SELECT 1 Z:I ");
    r->models[0].version = r->models[1].version = 11;
    r->next = 1;
    say(r, "Pb:INSERT|D:b|S|B:b|E|S");
    sees(r, "1 t n Z:I 2 D:INSERT as 11 C:SELECT 1 Z:I ");
    r->next = 1;
    say(r, "B:a|E|S|B:b|E|S");
    sees(r, "2 D:INSERT as 10 C:SELECT 1 Z:I 2 D:INSERT as 11 C:SELECT 1 Z:I ");
    r->next = 0; /* which has it from before, as whoever asks should not be told */
    say(r, "Pc:INSERT|D:c|S|B:c|E|S");
    sees(r, "1 t n Z:I 2 D:INSERT as 11 C:SELECT 1 Z:I ");
    r->next = 0;
    say(r, "B:a|E|B:c|E|D:a|S");
    sees(r, "2 D:INSERT as 10 C:SELECT 1 2 D:INSERT as 11 C:SELECT 1 t n Z:I ");
    r->next = 0;
    say(r, "Pd:INSERT|B:d|E|S"); /* it can't know */
    sees(r, "1 2 D:INSERT as 10 C:SELECT 1 Z:I ");
    pg_stmt_on_tag("DROP TABLE");
    r->next = 0;
    say(r, "Pe:INSERT|B:e|E|S");
    sees(r, "1 2 D:INSERT as 11 C:SELECT 1 Z:I ");
    assert_int_equal(r->lent, -1);
}

/* Where nothing can be repeated, what is old is prepared anew before anybody meets it. */
static void renews(struct relay *r)
{
    say(r, "Pa:select *|Pd:select 2|S");
    r->models[0].version++;
    forget(r);
    say(r, "QBEGIN|Pb:select *|S|B:b|E|S|B:a|E|S|QROLLBACK");
    sees(r, "C:BEGIN Z:T 1 Z:T 2 D:select * C:SELECT 1 Z:T 2 D:select * C:SELECT 1 Z:T "
            "C:ROLLBACK Z:I ");
    r->models[0].version++;
    say(r, "QBEGIN|B:a|E|S|QROLLBACK"); /* nobody could know */
    sees(r, "C:BEGIN Z:T E:0A000 Z:E C:ROLLBACK Z:I ");
    say(r, "QBEGIN|B:a|E|S|B:b|E|S|QROLLBACK");
    sees(r, "C:BEGIN Z:T 2 D:select * C:SELECT 1 Z:T 2 D:select * C:SELECT 1 Z:T C:ROLLBACK Z:I ");
    r->models[0].version++;
    pg_stmt_all_changed();
    say(r, "QBEGIN|B:a|E|S|Pc:SYNTAX|S|QROLLBACK");
    sees(r, "C:BEGIN Z:T 2 D:select * C:SELECT 1 Z:T E:42601 Z:E C:ROLLBACK Z:I ");
    r->models[0].version++;
    pg_stmt_all_changed(); /* skipped by an error, it is as old as it was */
    say(r, "QBEGIN|Pc:SYNTAX|B:a|E|S|QROLLBACK|QBEGIN|B:a|E|S|QROLLBACK");
    sees(r, "C:BEGIN Z:T E:42601 Z:E C:ROLLBACK Z:I C:BEGIN Z:T 2 D:select * C:SELECT 1 Z:T "
            "C:ROLLBACK Z:I ");
    say(r, "D:a|S");
    forget(r);
    r->models[0].version++;
    pg_stmt_all_changed();
    say(r, "QBEGIN|B:a|E|S|QROLLBACK"); /* it was told of other columns */
    sees(r, "C:BEGIN Z:T E:0A000 Z:E C:ROLLBACK Z:I ");
    say(r, "QBEGIN|C:a|Pa:select *|B:a|E|S|QROLLBACK");
    sees(r, "C:BEGIN Z:T 3 1 2 D:select * C:SELECT 1 Z:T C:ROLLBACK Z:I ");
    assert_int_equal(r->lent, -1);
}

#define CONVERSATION(name)                                                                         \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        converse(name);                                                                            \
    }
CONVERSATION(simple)
CONVERSATION(fastpath)
CONVERSATION(unnamed_across_servers)
CONVERSATION(unnamed_is_private)
CONVERSATION(unnamed_undone)
CONVERSATION(named)
CONVERSATION(evicted)
CONVERSATION(equal_texts)
CONVERSATION(undone)
CONVERSATION(flushed)
CONVERSATION(portals)
CONVERSATION(skipped_query)
CONVERSATION(copy)
CONVERSATION(copy_extended)
CONVERSATION(copy_extended_fails)
CONVERSATION(copy_of_nothing)
CONVERSATION(copy_beside_drop_all)
CONVERSATION(deallocate)
CONVERSATION(drop_all)
CONVERSATION(heals)
CONVERSATION(heals_not)
CONVERSATION(keeps_to_the_description)
CONVERSATION(keeps_to_the_parameters)
CONVERSATION(renews)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_simple),
        cmocka_unit_test(test_fastpath),
        cmocka_unit_test(test_unnamed_across_servers),
        cmocka_unit_test(test_unnamed_is_private),
        cmocka_unit_test(test_unnamed_undone),
        cmocka_unit_test(test_named),
        cmocka_unit_test(test_evicted),
        cmocka_unit_test(test_equal_texts),
        cmocka_unit_test(test_undone),
        cmocka_unit_test(test_flushed),
        cmocka_unit_test(test_portals),
        cmocka_unit_test(test_skipped_query),
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_copy_extended),
        cmocka_unit_test(test_copy_extended_fails),
        cmocka_unit_test(test_copy_of_nothing),
        cmocka_unit_test(test_copy_beside_drop_all),
        cmocka_unit_test(test_deallocate),
        cmocka_unit_test(test_drop_all),
        cmocka_unit_test(test_heals),
        cmocka_unit_test(test_heals_not),
        cmocka_unit_test(test_keeps_to_the_description),
        cmocka_unit_test(test_keeps_to_the_parameters),
        cmocka_unit_test(test_renews),
    };
    relay_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
