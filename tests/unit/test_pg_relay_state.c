/* SPDX-License-Identifier: ISC
 * The relay's protocol objects: settings, pins, and loans that end in disorder. As in
 * test_pg_relay.c each conversation runs whole, in pieces, and byte by byte.
 */
#include "config.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "pg_relay_say.h"

static void startup(struct relay *r, const char *name, const char *value)
{
    assert_true(vars_take(&r->c->startup, vars_with(r->c->startup, name, strlen(name), VAR_PLAIN,
                                                    value, strlen(value))));
    vars_assign(&r->c->current, r->c->startup);
    r->c->started = false;
}

static const char *ran(struct relay *r, int i)
{
    static char text[1024];
    snprintf(text, sizeof text, "%.*s", (int)buf_len(&r->models[i].sets),
             (const char *)buf_head(&r->models[i].sets));
    buf_release(&r->models[i].sets);
    return text;
}

/* ---- settings ----------------------------------------------------------------------------------
 */

static void set_follows(struct relay *r)
{
    say(r, "QSET work_mem TO 7");
    sees(r, "C:SET Z:I ");
    assert_int_equal(r->models[0].queries, 1);
    (void)ran(r, 0);
    r->next = 1;
    say(r, "Qselect 1");
    sees(r, "T D:select 1 C:SELECT 1 Z:I ");
    assert_non_null(strstr(ran(r, 1), "work_mem"));
    say(r, "Qselect 1|P:select 2|B:|E|S");
    sees(r, "T D:select 1 C:SELECT 1 Z:I 1 2 D:select 2 C:SELECT 1 Z:I ");
    assert_string_equal(ran(r, 1), "");
    say(r, "QRESET work_mem");
    sees(r, "C:RESET Z:I ");
    (void)ran(r, 1);
    r->next = 0;
    say(r, "Qselect 1");
    sees(r, "T D:select 1 C:SELECT 1 Z:I ");
    assert_non_null(strstr(ran(r, 0), "work_mem"));
}

static void set_fails(struct relay *r)
{
    r->models[0].refuse_sets = true;
    say(r, "QSET work_mem TO bad");
    sees(r, "E:22023 Z:I ");
    r->models[0].refuse_sets = false;
    (void)ran(r, 0);
    r->next = 1;
    say(r, "Qselect 1");
    sees(r, "T D:select 1 C:SELECT 1 Z:I ");
    assert_string_equal(ran(r, 1), "");
}

/* A later statement of the batch fails: the SET is rolled back with it, so the server is asked. */
static void set_undone(struct relay *r)
{
    say(r, "P:SET work_mem TO 7|B:|E|P:FAIL|B:|E|S");
    sees(r, "1 2 C:SET 1 2 E:22012 Z:I ");
    (void)ran(r, 0);
    r->next = 1;
    say(r, "Qselect 1");
    sees(r, "T D:select 1 C:SELECT 1 Z:I ");
    assert_string_equal(ran(r, 1), "");
}

static void truth_is_asked(struct relay *r)
{
    r->models[0].truth = "s work_mem 4096";
    say(r, "QBEGIN|QSET work_mem TO 4|QCOMMIT");
    sees(r, "C:BEGIN Z:T C:SET Z:T C:COMMIT Z:I ");
    assert_int_equal(r->models[0].queries, 4);
    r->next = 1;
    say(r, "Qselect 1");
    sees(r, "T D:select 1 C:SELECT 1 Z:I ");
    assert_non_null(strstr(ran(r, 1), "4096"));
    r->models[1].truth = "";
    say(r, "QBEGIN|QSET work_mem TO 9|QROLLBACK");
    forget(r);
    assert_int_equal(var_set_count(r->c->current), 0);
}

static void startup_is_set(struct relay *r)
{
    startup(r, "work_mem", "5000");
    say(r, "Qselect 1");
    sees(r, "T D:select 1 C:SELECT 1 Z:I ");
    assert_non_null(strstr(ran(r, 0), "5000"));
    assert_true(r->c->started);
    say(r, "QDISCARD ALL|QRESET ALL");
    sees(r, "C:DISCARD ALL Z:I C:RESET Z:I ");
    say(r, "Qselect 1");
    sees(r, "T D:select 1 C:SELECT 1 Z:I ");
}

static void startup_refused(struct relay *r)
{
    startup(r, "work_mem", "bad");
    r->models[0].refuse_sets = true;
    say(r, "Qselect 1");
    sees(r, "E:22023 ");
    assert_true(r->closed);
}

/* RESET leads to what was given at startup, at once. */
static void reset_inside(struct relay *r)
{
    startup(r, "work_mem", "5000");
    r->models[0].truth = "s work_mem 5000";
    say(r, "QBEGIN|QSET work_mem TO 6000");
    forget(r);
    (void)ran(r, 0);
    say(r, "QRESET work_mem");
    say(r, "Qselect 1");
    sees(r, "C:RESET Z:T T D:select 1 C:SELECT 1 Z:T ");
    const char *text = ran(r, 0);
    assert_non_null(strstr(text, "RESET work_mem\n"));
    assert_non_null(strstr(text, "5000"));
    say(r, "Qselect 2|QRESET ALL|QROLLBACK");
    sees(r, "T D:select 2 C:SELECT 1 Z:T C:RESET Z:T C:ROLLBACK Z:I ");
    say(r, "QBEGIN|QFAIL|QRESET work_mem|QROLLBACK");
    sees(r, "C:BEGIN Z:T E:22012 Z:E E:25P02 Z:E C:ROLLBACK Z:I ");
    assert_int_equal(r->lent, -1);
}

/* So where the transaction begins in one string, or one batch, with it. */
static void reset_beside_begin(struct relay *r)
{
    static const struct {
        const char *say;
        bool restored;
    } rows[] = {
        {"QBEGIN; RESET work_mem", true},
        {"QBEGIN; SET work_mem TO 1; RESET ALL", true},
        {"QBEGIN; RESET work_mem; SET work_mem TO 1", false},
        {"QBEGIN; RESET ALL; SET LOCAL work_mem TO 1", false},
        {"QBEGIN; RESET statement_timeout", false},
        {"P:BEGIN|B:|E|P:RESET work_mem|B:|E|S", true},
    };
    startup(r, "work_mem", "5000");
    r->models[0].truth = "s work_mem 5000";
    say(r, "Qselect 1");
    forget(r);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        say(r, rows[i].say);
        forget(r);
        (void)ran(r, 0);
        say(r, "Qselect 1|QROLLBACK");
        sees(r, "T D:select 1 C:SELECT 1 Z:T C:ROLLBACK Z:I ");
        assert_int_equal(strstr(ran(r, 0), "5000") != NULL, rows[i].restored);
        assert_int_equal(r->lent, -1);
    }
}

/* RESET ALL passes over role and session_authorization: the client keeps them, and so does the
 * connection until they are taken from it. */
static void reset_all_keeps_rights(struct relay *r)
{
    startup(r, "work_mem", "5000");
    r->models[0].truth = "s work_mem 5000;s role reader";
    say(r, "QSET ROLE reader");
    say(r, "QRESET ALL");
    sees(r, "C:SET Z:I C:RESET Z:I ");
    struct var_entry e;
    assert_true(var_set_find(r->c->current, "role", 4, &e));
    assert_string_equal(e.value, "reader");
    assert_true(var_set_find(r->servers[0]->applied, "role", 4, &e));
    (void)ran(r, 0);
    r->next = 1;
    say(r, "Qselect 1");
    sees(r, "T D:select 1 C:SELECT 1 Z:I ");
    assert_non_null(strstr(ran(r, 1), "SET \"role\" TO 'reader'"));
}

/* A role that is dropped and created again is another, of which a connection with the old one's
 * rights knows nothing. */
static void role_is_another(struct relay *r)
{
    r->models[0].truth = r->models[1].truth = "s role reader";
    say(r, "QSET ROLE reader");
    sees(r, "C:SET Z:I ");
    r->next = 1;
    say(r, "Qselect 1");
    r->next = 0;
    say(r, "Qselect 1");
    forget(r);
    (void)ran(r, 0);
    r->next = 1;
    (void)ran(r, 1);
    say(r, "QCREATE ROLE reader");
    say(r, "Qselect 1");
    sees(r, "C:CREATE ROLE Z:I T D:select 1 C:SELECT 1 Z:I ");
    assert_non_null(strstr(ran(r, 1), "SET \"role\" TO 'reader'"));
    r->next = 0;
    say(r, "Qselect 1");
    assert_non_null(strstr(ran(r, 0), "SET \"role\" TO 'reader'"));
    say(r, "Qselect 2");
    sees(r, "T D:select 1 C:SELECT 1 Z:I T D:select 2 C:SELECT 1 Z:I ");
    assert_string_equal(ran(r, 0), "");
}

/* What one server reported, and the next one doesn't, the client hears before anything else. */
static void reports(struct relay *r)
{
    say(r, "QSET x TO reported");
    sees(r, "S:reported=yes C:SET Z:I ");
    r->next = 1; /* the SET that weir repeats there is reported as well, which is no news */
    say(r, "Qselect 1");
    sees(r, "T D:select 1 C:SELECT 1 Z:I ");
    struct pg_server *s = r->servers[0];
    assert_true(vars_take(&s->report, vars_with(s->report, "reported", 8, VAR_REPORT, "no", 2)));
    r->next = 0;
    say(r, "Qselect 1");
    sees(r, "S:reported=no T D:select 1 C:SELECT 1 Z:I ");
}

/* ---- pins
 * ---------------------------------------------------------------------------------------- */

static void pinned(struct relay *r)
{
    r->models[0].truth = "p temp";
    say(r, "QCREATE TEMP TABLE t(a int)");
    forget(r);
    assert_int_equal(r->lent, 0);
    struct proto_facts f;
    pg_proto_ops.facts(r->c, r->servers[0], &f);
    assert_string_equal(f.pin_reason, "temporary object");
    say(r, "Qselect 1|Pa:select 2|B:a|E|S");
    forget(r);
    assert_int_equal(r->lent, 0);
    r->models[0].truth = "";
    say(r, "QDROP TABLE t");
    assert_int_equal(r->lent, -1);
}

static void sequences(struct relay *r)
{
    say(r, "QINSERT INTO t VALUES (1)");
    assert_int_equal(r->lent, -1);
    say(r, "Qselect lastval()");
    say(r, "QINSERT INTO t VALUES (2)");
    assert_int_equal(r->lent, 0);
    say(r, "Qselect lastval()");
    assert_int_equal(r->lent, 0);
    say(r, "QDISCARD ALL");
    assert_int_equal(r->lent, -1);
}

/* A temporary table, which is then dropped: noticed the second time as well. */
static void leaves_each_time(struct relay *r, const char *text)
{
    for (int turn = 0; turn < 2; turn++) {
        r->models[0].truth = "p temp";
        say(r, text);
        assert_int_equal(r->lent, 0);
        r->models[0].truth = "";
        say(r, "QDROP TABLE t");
        assert_int_equal(r->lent, -1);
    }
}

/* A function or a table that nobody knows is asked about, until it has left all as it was. */
static void hidden_functions(struct relay *r)
{
    static int number; /* a name of its own each time */
    char makes[64], quiet[64], fires[64];
    snprintf(makes, sizeof makes, "Qselect makes_%d()", ++number);
    snprintf(quiet, sizeof quiet, "Qselect s.\"Quiet_%d\" (1)", number);
    leaves_each_time(r, makes);
    say(r, quiet);
    r->models[0].truth = "p temp";
    say(r, quiet);
    say(r, "Qselect count(*), now()");
    assert_int_equal(r->lent, -1);
    snprintf(fires, sizeof fires, "QINSERT INTO s.fires_%d (a) VALUES (1)", number);
    leaves_each_time(r, fires);
    say(r, fires);
    r->models[0].truth = "p temp";
    say(r, fires);
    assert_int_equal(r->lent, -1);
}

/* The number of a client that is there is no server's affair. */
static void other_clients(struct relay *r)
{
    static const char *const texts[] = {
        "QSELECT pg_cancel_backend(1073741828)",
        "P:select pg_terminate_backend(1073741828);|B:|DP|E|S",
        "Pk:select pg_terminate_backend(1073741828)|S",
        "B:k|DP|E|S",
        "QSELECT pg_cancel_backend(1073741829)",
        "QSELECT pg_cancel_backend(4)",
        "QSELECT pg_cancel_backend(1073741828), 1",
        "QSELECT pg_cancel_backend(2147483648)",
    };
    static const char *const answers[] = {"T D:t C:SELECT 1 Z:I ", "1 2 T D:t C:SELECT 1 Z:I ", "",
                                          "2 T D:t C:SELECT 1 Z:I "};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        int loans = r->loans;
        bool here = i == 0 || ((i == 1 || i == 3) && r->piece == 0); /* batches in one piece only */
        say(r, texts[i]);
        assert_int_equal(r->loans - loans, here ? 0 : 1);
        assert_int_equal(r->lent, -1);
        if (here)
            sees(r, answers[i]);
        else
            forget(r);
    }
}

/* What one client asks, another one that logs in alike may ask as well. */
static void sequences_by_kind(struct relay *r)
{
    static int kind = 5000; /* a new one each time */
    char mem[16];
    struct relay like;
    snprintf(mem, sizeof mem, "%d", ++kind);
    startup(r, "work_mem", mem);
    for (int i = 0; i < 32; i++) {
        say(r, "QINSERT INTO t VALUES (1)");
        assert_true(r->lent == -1 && r->lingered);
    }
    say(r, "QINSERT INTO t VALUES (1)");
    assert_true(r->lent == -1 && !r->lingered);
    say(r, "Ppdo_stmt_1:INSERT INTO t VALUES (1)|S");
    assert_true(r->lent == -1 && !r->lingered);
    say(r, "B:pdo_stmt_1|E|S");
    assert_true(r->lent == -1 && r->lingered);
    say(r, "QBEGIN|QINSERT INTO t VALUES (1)|QCOMMIT");
    assert_true(r->lent == -1 && r->lingered);
    say(r, "Qselect 1");
    assert_true(r->lent == -1 && !r->lingered);
    say(r, "QINSERT INTO t VALUES (1) RETURNING a");
    assert_true(r->lent == -1 && !r->lingered);

    relay_init(&like, r->piece);
    startup(&like, "work_mem", mem);
    say(&like, "QINSERT INTO t VALUES (1)");
    assert_true(like.lent == -1 && !like.lingered);
    say(r, "Qselect lastval()");
    assert_true(r->lent == -1 && !r->lingered);
    say(&like, "QINSERT INTO t VALUES (1)");
    assert_true(like.lent == -1 && like.lingered);
    relay_fini(&like);
}

/* ---- idle, and asked whether it is there
 */

static enum proto_loan checked(struct relay *r, const char *query)
{
    assert_int_equal(r->lent, -1);
    assert_true(pg_proto_ops.check(r->servers[0], query, &r->out));
    relay_take(r, 0);
    if (!r->models[0].deaf)
        relay_pump(r, r->piece);
    enum proto_loan loan = pg_proto_ops.state(r->servers[0], NULL, true, 1, &r->out);
    relay_take(r, 0);
    return loan;
}

/* Whoever borrows it next notices nothing. */
static void check_answers(struct relay *r)
{
    say(r, "QSET work_mem TO 7|P:select 1|B:|E|S");
    sees(r, "C:SET Z:I 1 2 D:select 1 C:SELECT 1 Z:I ");
    (void)ran(r, 0);
    assert_int_equal(checked(r, "<empty>"), LOAN_CLEAN);
    assert_int_equal(checked(r, "select 'there'"), LOAN_CLEAN);
    say(r, "B:|E|S");
    sees(r, "2 D:select 1 C:SELECT 1 Z:I ");
    assert_string_equal(ran(r, 0), "");
}

static void check_fails(struct relay *r)
{
    assert_int_equal(checked(r, "FAIL"), LOAN_BROKEN);
    sees(r, "");
}

static void check_is_not_answered(struct relay *r)
{
    r->models[0].deaf = true;
    assert_int_equal(checked(r, "<empty>"), LOAN_SETTLE);
    sees(r, "");
}

/* What a cancel would hit now: on another connection weir's settings, on its own the statement. */
static void own_words_come_first(struct relay *r)
{
    struct proto_facts facts;
    say(r, "QSET work_mem TO 7");
    sees(r, "C:SET Z:I ");
    r->next = 1;
    r->models[1].deaf = true;
    say(r, "Qselect 1");
    pg_proto_ops.facts(r->c, r->servers[1], &facts);
    assert_true(facts.busy && facts.own);
}

static void no_own_words(struct relay *r)
{
    struct proto_facts facts;
    say(r, "QSET work_mem TO 7");
    sees(r, "C:SET Z:I ");
    r->models[0].deaf = true;
    say(r, "Qselect 1");
    pg_proto_ops.facts(r->c, r->servers[0], &facts);
    assert_true(facts.busy && !facts.own);
}

/* A late cancel hits the restoring of a startup value inside a transaction. */
static void restoring_is_cancelled(struct relay *r)
{
    startup(r, "work_mem", "7");
    say(r, "QBEGIN");
    say(r, "QRESET work_mem");
    sees(r, "C:BEGIN Z:T C:RESET Z:T ");
    r->models[0].cancel_sets = true;
    say(r, "Qselect 1");
    sees(r, "E:57014 Z:E ");
    assert_false(r->closed);
    r->models[0].cancel_sets = false;
    say(r, "QROLLBACK");
    sees(r, "C:ROLLBACK Z:I ");
    assert_int_equal(r->lent, -1);
}

/* ---- the end in disorder
 * ---------------------------------------------------------------------------- */

/* The client is gone; weir cleans up. Where a statement runs, `cancel` ends it. */
static void gone(struct relay *r, bool wants_cancel)
{
    int i = r->lent;
    assert_int_not_equal(i, -1);
    bool cancel = pg_proto_ops.abandon(r->servers[i], r->c, &r->out);
    assert_int_equal(cancel, wants_cancel);
    relay_take(r, i);
    r->lent = -1;
    enum proto_loan loan = LOAN_BUSY;
    for (int turn = 0; turn < 10 && loan != LOAN_CLEAN; turn++) {
        loan = pg_proto_ops.state(r->servers[i], NULL, true, 1, &r->out);
        relay_take(r, i);
        assert_int_not_equal(loan, LOAN_BROKEN);
        relay_pump(r, r->piece);
    }
    assert_int_equal(loan, LOAN_CLEAN);
    assert_false(r->broken);
    assert_int_equal(r->models[i].status, 'I');
    assert_int_equal(r->models[i].copy, 0);
    assert_false(r->models[i].skip);
}

static void gone_in_transaction(struct relay *r)
{
    say(r, "QBEGIN|Qselect 1");
    gone(r, false);
}

static void gone_failed(struct relay *r)
{
    say(r, "QBEGIN|QFAIL");
    gone(r, false);
}

static void gone_in_copy(struct relay *r)
{
    say(r, "QCOPY IN|dx");
    gone(r, false);
}

static void gone_in_copy_extended(struct relay *r)
{
    say(r, "P:COPY IN|B:|E|S|dx");
    gone(r, false);
}

static void gone_after_copy_failed(struct relay *r)
{
    say(r, "P:COPY BAD|B:|E|S|dx");
    gone(r, false);
}

static void gone_without_sync(struct relay *r)
{
    say(r, "P:select 1|B:|H");
    gone(r, false);
}

static void gone_skipping(struct relay *r)
{
    say(r, "P:FAIL|B:|E|H");
    gone(r, false);
}

static void gone_pinned(struct relay *r)
{
    r->models[0].truth = "p temp";
    say(r, "QCREATE TEMP TABLE t(a int)");
    gone(r, false);
}

static void gone_running(struct relay *r)
{
    r->models[0].deaf = true; /* the answers are still to come */
    say(r, "QBEGIN|Qselect 1");
    r->models[0].deaf = false;
    static const uint8_t rest[] = "C\0\0\0\nBEGIN\0Z\0\0\0\5TC\0\0\0\rSELECT 1\0Z\0\0\0\5T";
    assert_true(buf_append(&r->models[0].out, rest, sizeof rest - 1));
    r->models[0].status = 'T';
    gone(r, true);
}

/* While weir asks what is set: the next client's connection is known to have it. */
static void gone_while_asked(struct relay *r)
{
    struct model *m = &r->models[0];
    say(r, "QBEGIN|QSET work_mem TO 4");
    m->deaf = true;
    say(r, "QCOMMIT");
    static const uint8_t done[] = "C\0\0\0\013COMMIT\0Z\0\0\0\5I";
    assert_true(buf_append(&m->out, done, sizeof done - 1));
    m->status = 'I';
    relay_pump(r, r->piece);
    assert_int_equal(((struct pg_server *)r->servers[0])->phase, PG_PH_TRUTH);
    m->deaf = false;
    m->truth = "s work_mem 4";
    model_truth(m);
    model_ready(m);
    model_flush(m);
    gone(r, true);
    assert_int_equal(var_set_count(((struct pg_server *)r->servers[0])->applied), 1);
}

/* Within a message too large to be kept whole. */
static void gone_within_message(struct relay *r)
{
    static uint8_t head[70000] = "Q\0\1\x86\xa0SELECT 1";
    memset(head + 13, ' ', sizeof head - 13);
    relay_send(r, head, sizeof head);
    assert_int_equal(r->lent, 0);
    gone(r, true);
}

/* ---- taken back
 * -------------------------------------------------------------------------------------- */

static void take_back(struct relay *r)
{
    int i = r->lent;
    size_t used;
    struct buf b = {0};
    assert_true(pg_proto_ops.say(r->c, r->servers[i], PROTO_EV_TAKEN_BACK, "late", NULL, NULL, 0,
                                 &used, &b));
    (void)pg_proto_ops.abandon(r->servers[i], r->c, &r->out);
    relay_take(r, i);
    r->lent = -1;
    r->models[i].deaf = true;
    r->next = 1;
    buf_release(&b);
}

static void taken_back(struct relay *r)
{
    say(r, "QBEGIN");
    forget(r);
    take_back(r);
    say(r, "QCOMMIT|Qselect 1|QCOMMIT|Qselect 2");
    sees(r, "E:40001 Z:E E:25P02 Z:E C:ROLLBACK Z:I T D:select 2 C:SELECT 1 Z:I ");
}

/* No transaction is chained to it, and nothing runs as if there was one. */
static void taken_back_chained(struct relay *r)
{
    say(r, "Pr:ROLLBACK AND CHAIN|S|QBEGIN");
    forget(r);
    take_back(r);
    say(r, "QCOMMIT AND CHAIN|QROLLBACK AND CHAIN|Qselect 1|P:COMMIT AND CHAIN|S|B:r|S|Qselect 2");
    sees(r, "E:40001 Z:E E:40001 Z:E E:25P02 Z:E E:25P02 Z:E E:25P02 Z:E E:25P02 Z:E ");
    say(r, "QROLLBACK AND NO CHAIN|Qselect 1");
    sees(r, "C:ROLLBACK Z:I T D:select 1 C:SELECT 1 Z:I ");
}

static void taken_back_extended(struct relay *r)
{
    say(r, "QBEGIN|Pr:ROLLBACK|S");
    forget(r);
    take_back(r);
    say(r, "P:COMMIT|B:|E|S|P:select 1|B:|E|S");
    sees(r, "E:40001 Z:E E:25P02 Z:E ");
    say(r, "B:none|E|S|P:COMMIT|D:|B:|DP|E|S|P:select 2|B:|E|S");
    sees(r, "E:25P02 Z:E 1 t n 2 n C:ROLLBACK Z:I 1 2 D:select 2 C:SELECT 1 Z:I ");
}

/* A driver that prepared its ROLLBACK long ago only binds it. */
static void taken_back_bound(struct relay *r)
{
    say(r, "Pr:ROLLBACK|S|QBEGIN");
    forget(r);
    take_back(r);
    say(r, "Qselect 1|B:r|DP|E|S|Qselect 2");
    sees(r, "E:40001 Z:E 2 n C:ROLLBACK Z:I T D:select 2 C:SELECT 1 Z:I ");
}

/* Whoever waits for answers is told now, once for each. */
static void taken_back_running(struct relay *r)
{
    say(r, "QBEGIN");
    forget(r);
    r->models[0].deaf = true;
    say(r, "Qselect 1|Qselect 2|P:select 3|B:|E|S");
    take_back(r);
    sees(r, "E:40001 Z:E E:25P02 Z:E E:25P02 Z:E ");
    say(r, "QROLLBACK|Qselect 1");
    sees(r, "C:ROLLBACK Z:I T D:select 1 C:SELECT 1 Z:I ");
}

static void taken_back_open(struct relay *r)
{
    say(r, "QBEGIN|P:select 1|B:|H");
    forget(r);
    take_back(r);
    sees(r, ""); /* nothing is owed: not before the client says more */
    say(r, "E|S|QROLLBACK");
    sees(r, "E:40001 Z:E C:ROLLBACK Z:I ");
}

/* The Sync would have committed it. */
static void taken_back_flushed(struct relay *r)
{
    say(r, "P:select 1|B:|E|H");
    forget(r);
    take_back(r);
    sees(r, "");
    say(r, "H|S");
    sees(r, "E:40001 Z:I ");
    say(r, "P:DISCARD ALL|B:|H");
    forget(r);
    take_back(r);
    say(r, "E|E|S|S");
    sees(r, "E:40001 Z:I Z:I ");
}

static void taken_back_in_copy(struct relay *r)
{
    say(r, "QBEGIN|P:COPY IN|B:|E|S|dx");
    forget(r);
    take_back(r);
    sees(r, "E:40001 ");
    say(r, "dx|c|S|QROLLBACK");
    sees(r, "Z:E C:ROLLBACK Z:I ");
}

/* ---- lost
 * ------------------------------------------------------------------------------------------------
 */

static bool lose(struct relay *r)
{
    size_t used;
    struct buf b = {0};
    int i = r->lent;
    bool kept = pg_proto_ops.say(r->c, r->servers[i], PROTO_EV_LOST_SERVER, "gone", "57P01", NULL,
                                 0, &used, &b);
    assert_true(buf_append(&r->seen, buf_head(&b), buf_len(&b)));
    buf_release(&b);
    r->lent = -1;
    r->next = 1;
    r->models[i].deaf = true;
    return kept;
}

static void lost_running(struct relay *r)
{
    r->models[0].deaf = true;
    say(r, "Qselect 1|P:select 2|B:|E|S|Qselect 3");
    assert_true(lose(r));
    sees(r, "E:57P01 Z:I E:57P01 Z:I E:57P01 Z:I ");
    say(r, "Qselect 1");
    sees(r, "T D:select 1 C:SELECT 1 Z:I ");
}

static void lost_open(struct relay *r)
{
    say(r, "P:select 1|B:|H");
    forget(r);
    assert_true(lose(r));
    sees(r, "E:57P01 ");
    say(r, "E|S|Qselect 1");
    sees(r, "Z:I T D:select 1 C:SELECT 1 Z:I ");
}

static void lost_skipping(struct relay *r)
{
    say(r, "P:FAIL|B:|E|H");
    forget(r);
    assert_true(lose(r));
    say(r, "E|S|Qselect 1");
    sees(r, "Z:I T D:select 1 C:SELECT 1 Z:I ");
}

static void lost_in_copy(struct relay *r)
{
    say(r, "P:COPY IN|B:|E|S|dx");
    forget(r);
    assert_true(lose(r));
    say(r, "c|S|Qselect 1");
    sees(r, "E:57P01 Z:I T D:select 1 C:SELECT 1 Z:I ");
}

static void lost_in_transaction(struct relay *r)
{
    say(r, "QBEGIN");
    forget(r);
    assert_false(lose(r));
    sees(r, "E:57P01 ");
}

static void lost_behind_settings(struct relay *r)
{
    startup(r, "work_mem", "5000");
    vars_mark_proven(r->c->startup);
    r->models[0].deaf = true;
    say(r, "Qselect 1");
    assert_true(lose(r));
    sees(r, "E:57P01 Z:I ");
}

/* No loan to be had: each message that needs one fails in its own way. */
static void refused(struct relay *r)
{
    r->refuse = true;
    say(r, "Qselect 1|P:select 1|B:|E|S|QDISCARD ALL");
    sees(r, "E:53300 Z:I E:53300 Z:I C:DISCARD ALL Z:I ");
    r->refuse = false;
    say(r, "Qselect 1");
    sees(r, "T D:select 1 C:SELECT 1 Z:I ");
}

#define CONVERSATION(name)                                                                         \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        converse(name);                                                                            \
    }
CONVERSATION(set_follows)
CONVERSATION(set_fails)
CONVERSATION(set_undone)
CONVERSATION(truth_is_asked)
CONVERSATION(startup_is_set)
CONVERSATION(startup_refused)
CONVERSATION(reset_inside)
CONVERSATION(reset_beside_begin)
CONVERSATION(reset_all_keeps_rights)
CONVERSATION(role_is_another)
CONVERSATION(reports)
CONVERSATION(pinned)
CONVERSATION(sequences)
CONVERSATION(sequences_by_kind)
CONVERSATION(hidden_functions)
CONVERSATION(other_clients)
CONVERSATION(gone_in_transaction)
CONVERSATION(gone_failed)
CONVERSATION(gone_in_copy)
CONVERSATION(gone_in_copy_extended)
CONVERSATION(gone_after_copy_failed)
CONVERSATION(gone_without_sync)
CONVERSATION(gone_skipping)
CONVERSATION(gone_pinned)
CONVERSATION(gone_running)
CONVERSATION(gone_while_asked)
CONVERSATION(gone_within_message)
CONVERSATION(taken_back)
CONVERSATION(taken_back_chained)
CONVERSATION(taken_back_extended)
CONVERSATION(taken_back_bound)
CONVERSATION(taken_back_running)
CONVERSATION(taken_back_open)
CONVERSATION(taken_back_flushed)
CONVERSATION(taken_back_in_copy)
CONVERSATION(lost_running)
CONVERSATION(lost_open)
CONVERSATION(lost_skipping)
CONVERSATION(lost_in_copy)
CONVERSATION(lost_in_transaction)
CONVERSATION(lost_behind_settings)
CONVERSATION(refused)
CONVERSATION(check_answers)
CONVERSATION(check_fails)
CONVERSATION(check_is_not_answered)
CONVERSATION(own_words_come_first)
CONVERSATION(no_own_words)
CONVERSATION(restoring_is_cancelled)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_follows),
        cmocka_unit_test(test_set_fails),
        cmocka_unit_test(test_set_undone),
        cmocka_unit_test(test_truth_is_asked),
        cmocka_unit_test(test_startup_is_set),
        cmocka_unit_test(test_startup_refused),
        cmocka_unit_test(test_reset_inside),
        cmocka_unit_test(test_reset_beside_begin),
        cmocka_unit_test(test_reset_all_keeps_rights),
        cmocka_unit_test(test_role_is_another),
        cmocka_unit_test(test_reports),
        cmocka_unit_test(test_pinned),
        cmocka_unit_test(test_sequences),
        cmocka_unit_test(test_sequences_by_kind),
        cmocka_unit_test(test_hidden_functions),
        cmocka_unit_test(test_other_clients),
        cmocka_unit_test(test_gone_in_transaction),
        cmocka_unit_test(test_gone_failed),
        cmocka_unit_test(test_gone_in_copy),
        cmocka_unit_test(test_gone_in_copy_extended),
        cmocka_unit_test(test_gone_after_copy_failed),
        cmocka_unit_test(test_gone_without_sync),
        cmocka_unit_test(test_gone_skipping),
        cmocka_unit_test(test_gone_pinned),
        cmocka_unit_test(test_gone_running),
        cmocka_unit_test(test_gone_while_asked),
        cmocka_unit_test(test_gone_within_message),
        cmocka_unit_test(test_taken_back),
        cmocka_unit_test(test_taken_back_chained),
        cmocka_unit_test(test_taken_back_extended),
        cmocka_unit_test(test_taken_back_bound),
        cmocka_unit_test(test_taken_back_running),
        cmocka_unit_test(test_taken_back_open),
        cmocka_unit_test(test_taken_back_flushed),
        cmocka_unit_test(test_taken_back_in_copy),
        cmocka_unit_test(test_lost_running),
        cmocka_unit_test(test_lost_open),
        cmocka_unit_test(test_lost_skipping),
        cmocka_unit_test(test_lost_in_copy),
        cmocka_unit_test(test_lost_in_transaction),
        cmocka_unit_test(test_lost_behind_settings),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_check_answers),
        cmocka_unit_test(test_check_fails),
        cmocka_unit_test(test_check_is_not_answered),
        cmocka_unit_test(test_own_words_come_first),
        cmocka_unit_test(test_no_own_words),
        cmocka_unit_test(test_restoring_is_cancelled),
    };
    relay_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
