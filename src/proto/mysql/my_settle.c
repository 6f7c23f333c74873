/* SPDX-License-Identifier: ISC
 * The ends of a loan: what is asked of the server before the connection may go to somebody else,
 * and what cleans it after a client that left in the middle.
 */
#include "config.h"

#include "proto/mysql/my_cache.h"
#include "proto/mysql/my_session.h"

#include <stdio.h>
#include <stdlib.h>

#define WARNINGS_MAX (64u * 1024u) /* kept of SHOW WARNINGS; more: the client sees none of them */
#define ANSWER_MAX   (64u * 1024u) /* to weir's own questions: one row of numbers */

static bool put_quoted(struct buf *b, const char *name)
{
    bool ok = buf_printf(b, "x'");
    for (; ok && *name != '\0'; name++)
        ok = buf_printf(b, "%02x", (unsigned)(uint8_t)*name);
    return ok && buf_printf(b, "'");
}

/* These first: they are lost with whatever is asked before them, but for SHOW WARNINGS. */
static bool compose_question(struct my_server *s)
{
    struct my_held *h;
    bool ok = buf_printf(&s->sql, "SELECT FOUND_ROWS(), LAST_INSERT_ID(), ROW_COUNT()");
    LIST_FOREACH(h, &s->held, link)
    if (ok && h->pin == MY_PIN_LOCK)
        ok = buf_printf(&s->sql, ", IS_USED_LOCK(CONVERT(") && put_quoted(&s->sql, h->name) &&
             buf_printf(&s->sql, " USING utf8mb4)) <=> CONNECTION_ID()");
    return ok;
}

/* server_reset_query is due: when a session ends, and where it is to run each time. */
static bool wants_reset(const struct my_server *s)
{
    bool none = s->reset_query != NULL && s->reset_query[0] == '\0';
    return !none && !s->reset_done && (s->in_session || s->reset_always);
}

static bool send_settle(struct my_server *s, const char *sql, size_t n, struct proto_out *out)
{
    my_put_command(out, MY_COM_QUERY, sql, n);
    s->settle_left++;
    return my_expect_push(s, MY_R_RESULT, MY_A_SETTLE, MY_COM_QUERY);
}

static bool send_reset(struct my_server *s, struct proto_out *out)
{
    my_put_command(out, MY_COM_RESET_CONNECTION, NULL, 0);
    s->settle_left++;
    return my_expect_push(s, MY_R_OK, MY_A_SETTLE, MY_COM_RESET_CONNECTION) &&
           send_settle(s, s->tracking, strlen(s->tracking), out);
}

/* Instead of a reset: the next client's connection is a new one. */
static enum proto_loan give_up(struct my_server *s)
{
    s->dying = true;
    snprintf(s->words, sizeof s->words,
             "weir: it is closed, as COM_RESET_CONNECTION leaves a role "
             "and brings back nothing of init_connect");
    return LOAN_BROKEN;
}

enum proto_loan my_settle_start(struct my_server *s, enum my_settle what, struct proto_out *out)
{
    static const char rollback[] = "ROLLBACK AND NO CHAIN NO RELEASE";
    bool ok = false;
    if (s->worn && (what == MY_S_RESET || what == MY_S_WORDS))
        return give_up(s);
    buf_release(&s->notes);
    buf_release(&s->sql);
    s->settle = (uint8_t)what;
    s->settle_left = 0;
    s->owner = 0;
    switch (what) {
    case MY_S_ROLLBACK: /* whatever its client's completion_type is */
        ok = send_settle(s, rollback, sizeof rollback - 1, out);
        break;
    case MY_S_RESET:
        ok = send_reset(s, out);
        break;
    case MY_S_WORDS: /* what weir must be sure of is not left to them */
        s->reset_done = true;
        ok = s->reset_query == NULL || send_settle(s, s->reset_query, strlen(s->reset_query), out);
        ok = ok && send_reset(s, out);
        break;
    case MY_S_WARNINGS:
        ok = send_settle(s, "SHOW WARNINGS", 13, out);
        break;
    case MY_S_ASK:
        ok = compose_question(s) &&
             send_settle(s, (const char *)buf_head(&s->sql), buf_len(&s->sql), out);
        break;
    case MY_S_HIDDEN:
        ok = my_hidden_ask(s, out);
        break;
    case MY_S_CHECK:
    case MY_S_NONE:
        break;
    }
    return ok ? LOAN_SETTLE : LOAN_BROKEN;
}

bool my_check(void *ps, const char *query, struct proto_out *out)
{
    struct my_server *s = ps;
    buf_release(&s->notes);
    s->settle = MY_S_CHECK;
    s->settle_left = 0;
    s->owner = s->diagnosed = 0;
    if (strcmp(query, "<empty>") != 0)
        return send_settle(s, query, strlen(query), out);
    my_put_command(out, MY_COM_PING, NULL, 0);
    s->settle_left++;
    return my_expect_push(s, MY_R_OK, MY_A_SETTLE, MY_COM_PING);
}

/* SHOW WARNINGS is kept as this client will be shown it. */
static void keep_warning(const struct my_client *c, struct my_server *s, const uint8_t *packet,
                         size_t n)
{
    uint8_t copy[MY_DEFINITION_MAX];
    if (s->phase == MY_PH_COLUMNS && s->left != 0 && c != NULL && !my_same_definitions(c, s)) {
        n = my_definition_for(c, packet, n, copy, sizeof copy);
        packet = copy;
    }
    if (buf_len(&s->notes) + n <= WARNINGS_MAX)
        (void)!buf_append(&s->notes, packet, n);
}

void my_settle_packet(const struct my_client *c, struct my_server *s, const uint8_t *packet,
                      size_t n)
{
    if (s->settle == MY_S_WARNINGS)
        keep_warning(c, s, packet, n);
    if ((s->settle == MY_S_ASK || s->settle == MY_S_HIDDEN) && s->phase == MY_PH_ROWS &&
        n > MY_HEAD_BYTES && packet[MY_HEAD_BYTES] != 0xfe && packet[MY_HEAD_BYTES] != 0xff)
        s->dying |= buf_len(&s->notes) + n > ANSWER_MAX ||
                    !buf_append(&s->notes, packet + MY_HEAD_BYTES, n - MY_HEAD_BYTES);
}

/* Rows of SHOW WARNINGS begin with their level. */
bool my_is_error_row(const uint8_t *row, size_t n)
{
    static const char level[] = "\x05"
                                "Error";
    return n >= sizeof level - 1 && memcmp(row, level, sizeof level - 1) == 0;
}

bool my_next_warning(const struct my_client *c, struct my_warnings_at *w)
{
    const uint8_t *p = c->warnings;
    while (p != NULL && w->next + MY_HEAD_BYTES < c->warnings_len) {
        w->row = p + w->next + MY_HEAD_BYTES;
        w->len = my_get24(p + w->next);
        w->next += MY_HEAD_BYTES + w->len;
        bool end = w->row[0] == 0xfe && w->len < 9;
        w->ends += end;
        if (!end && w->ends == 1)
            return true;
    }
    return false;
}

bool my_read_warning(const uint8_t *row, size_t n, struct my_warning *to)
{
    struct my_reader r = my_reader_of(row, n);
    to->level = my_read_lenenc_bytes(&r);
    struct my_view code = my_read_lenenc_bytes(&r);
    to->message = my_read_lenenc_bytes(&r);
    to->number = 0;
    for (size_t i = 0; i < code.n; i++)
        to->number = to->number * 10 + (uint32_t)(code.p[i] - '0');
    return !r.bad;
}

static void count_warnings(struct my_client *c)
{
    struct my_warnings_at w = {0};
    c->warning_count = c->error_count = 0;
    while (my_next_warning(c, &w)) {
        c->warning_count++;
        c->error_count = (uint16_t)(c->error_count + my_is_error_row(w.row, w.len));
    }
}

static void take_warnings(struct my_client *c, struct my_server *s)
{
    uint16_t warnings = c->warning_count, errors = c->error_count;
    free(c->warnings);
    c->warnings = NULL;
    size_t n = buf_len(&s->notes);
    if (n == 0 || n + 1024 > WARNINGS_MAX || (c->warnings = malloc(n)) == NULL)
        return;
    memcpy(c->warnings, buf_head(&s->notes), n);
    c->warnings_len = (uint32_t)n;
    count_warnings(c);
    if (c->warning_count < warnings) /* max_error_count bounds the list, not the count */
        c->warning_count = warnings;
    if (c->error_count < errors)
        c->error_count = errors;
}

static uint64_t cell_number(struct my_reader *r)
{
    struct my_view v = my_read_lenenc_bytes(r);
    uint64_t n = 0;
    size_t sign = v.p != NULL && v.n != 0 && v.p[0] == '-' ? 1 : 0;
    for (size_t i = sign; v.p != NULL && i < v.n && v.p[i] >= '0' && v.p[i] <= '9'; i++)
        n = n * 10 + (uint64_t)(v.p[i] - '0');
    return sign != 0 ? UINT64_MAX - n + 1 : n;
}

static void take_hidden(struct my_server *s)
{
    struct my_reader r = my_reader_of(buf_head(&s->notes), buf_len(&s->notes));
    my_hidden_take(s, cell_number(&r));
}

/* The locks that are held no more, in the order in which they were asked for. */
static bool take_answer(struct my_client *c, struct my_server *s)
{
    if (buf_len(&s->notes) == 0)
        return false;
    struct my_reader r = my_reader_of(buf_head(&s->notes), buf_len(&s->notes));
    struct my_held *h = LIST_FIRST(&s->held);
    bool some = (s->vague & MY_PIN_LOCK) != 0;
    uint64_t found = cell_number(&r), id = cell_number(&r), count = cell_number(&r);
    s->listed = true; /* MySQL warns of FOUND_ROWS() */
    s->diagnosed = 0;
    if (r.bad)
        return false;
    if (c != NULL) {
        c->found_rows = found;
        if (s->ask_id)
            c->insert_id = id;
        if (!s->asked_warnings)
            c->row_count = (int64_t)count;
    }
    while (h != NULL) {
        struct my_held *next = LIST_NEXT(h, link);
        if (h->pin == MY_PIN_LOCK) {
            if (cell_number(&r) == 0) {
                LIST_REMOVE(h, link);
                free(h);
            } else {
                some = true;
            }
        }
        h = next;
    }
    if (!some)
        s->pins &= ~(uint32_t)MY_PIN_LOCK;
    return !r.bad;
}

/* As a connection is after its login. */
static void forget_all(struct my_server *s)
{
    my_held_forget(s, UINT32_MAX);
    my_cache_clear(&s->cache);
    buf_release(&s->closing);
    struct var_set *none = vars_empty();
    (void)vars_take(&s->vars, none);
    s->owner = s->diagnosed = 0;
    s->hidden.n = 0;
    s->savepoint = s->touched = s->next_left = s->id_given = s->stuck = false;
    /* It is in its schema still, but the server's @@collation_database, which LOAD DATA goes by, is
     * not that schema's any more: whoever comes next enters it again. */
    const char *schema = s->schema != NULL ? s->schema : s->home;
    if (schema[0] != '\0') {
        my_set_text(&s->schema, MY_SCHEMA_UNKNOWN);
        s->dying |= s->schema == NULL;
    }
}

void my_settle_end(struct my_client *c, struct my_server *s, bool ok)
{
    if (!ok && s->settle == MY_S_ROLLBACK && s->late_cancel) {
        s->late_cancel = false; /* that was the late cancel: once more */
        s->unknown = true;
        s->settle = MY_S_NONE;
        return;
    }
    if (!ok) {
        s->dying = true;
        return;
    }
    if (--s->settle_left != 0)
        return;
    switch ((enum my_settle)s->settle) {
    case MY_S_WARNINGS:
        s->want_warnings = false;
        if (c != NULL) {
            c->status = (uint16_t)(s->status & MY_ST_LASTING);
            take_warnings(c, s);
        }
        break;
    case MY_S_ASK:
        s->ask = false;
        if (!take_answer(c, s))
            s->dying = true;
        break;
    case MY_S_HIDDEN:
        take_hidden(s);
        break;
    case MY_S_RESET:
    case MY_S_WORDS:
        forget_all(s);
        break;
    case MY_S_ROLLBACK:
        s->late_cancel = s->savepoint = s->touched = s->next_left = false;
        s->diagnosed = 0; /* MySQL's list is empty now */
        break;
    case MY_S_CHECK:
    case MY_S_NONE:
        break;
    }
    buf_release(&s->notes);
    s->settle = MY_S_NONE;
}

/* ---- the seam -----------------------------------------------------------------------------------
 */

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

enum proto_loan my_begin(void *ps, void *pc, struct proto_out *out)
{
    struct my_server *s = ps;
    struct my_client *c = pc;
    (void)out;
    s->flags = 0;
    s->pins = s->vague = 0;
    s->pin_since_us = 0;
    s->ask = s->want_warnings = s->failed = s->savepoint = s->id_given = s->stuck = s->touched =
        s->overdue_told = false;
    s->prepared_limit = smaller(c->prepared_limit, s->prepared_share);
    s->in_session = c->pool_mode == MY_MODE_SESSION;
    s->reset_done = false;
    free(s->prepare_error);
    s->prepare_error = NULL;
    my_client_meet(c, s);
    return LOAN_BUSY;
}

static enum proto_loan end_abandoned(struct my_server *s, struct proto_out *out)
{
    bool open = s->unknown || s->late_cancel || s->touched || s->next_left || my_in_transaction(s);
    bool pinned = s->pins != 0 || s->hidden.n != 0 || !LIST_EMPTY(&s->held), words = wants_reset(s);
    s->ask = s->want_warnings = false;
    if (open && (words ? s->reset_query != NULL : !pinned))
        return my_settle_start(s, MY_S_ROLLBACK, out);
    if (words || pinned)
        return my_settle_start(s, words ? MY_S_WORDS : MY_S_RESET, out);
    return LOAN_CLEAN;
}

enum proto_loan my_state(void *ps, void *pc, bool may_end, uint64_t now_us, struct proto_out *out)
{
    struct my_server *s = ps;
    struct my_client *c = pc;
    if (s->dying)
        return LOAN_BROKEN;
    if (s->settle != MY_S_NONE)
        return LOAN_SETTLE;
    if (s->len != 0 || s->skip != 0 || s->cont || s->phase != MY_PH_FIRST)
        return LOAN_BUSY;
    if (c == NULL)
        return end_abandoned(s, out);
    if ((c->skip != 0 || c->more) && !c->drop)
        return LOAN_BUSY;
    if (s->want_warnings) {
        s->asked_warnings = true;
        return my_settle_start(s, MY_S_WARNINGS, out);
    }
    if (s->ask)
        return my_settle_start(s, MY_S_ASK, out);
    if (s->prepare_error != NULL)
        return LOAN_BUSY; /* the command that it answers is fed next */
    if (my_in_transaction(s))
        return LOAN_QUIET;
    if (!may_end)
        return LOAN_BUSY;
    if (s->in_session)
        return LOAN_KEEP;
    if (s->pins != 0) {
        if (s->pin_since_us == 0)
            s->pin_since_us = now_us;
        return LOAN_KEEP;
    }
    if (s->late_cancel)
        return my_settle_start(s, MY_S_ROLLBACK, out);
    /* Ahead of another OK, which would tell of the change that is looked for. */
    if (s->hidden.n != 0)
        return my_settle_start(s, MY_S_HIDDEN, out);
    if (s->touched || s->next_left)
        return my_settle_start(s, MY_S_ROLLBACK, out);
    return wants_reset(s) ? my_settle_start(s, MY_S_WORDS, out) : LOAN_CLEAN;
}

bool my_is_awaited(const struct my_client *c, const struct my_server *s)
{
    bool waits = c->deferred;
    for (uint32_t i = 0; i < s->len; i++)
        waits |= s->queue[(s->head + i) % MY_QUEUE_MAX].act == MY_A_PASS;
    return waits;
}

/* The session stays: who waits for an answer has it now. */
static void tell_taken(struct my_client *c, struct my_server *s, struct proto_out *out)
{
    bool waits = my_is_awaited(c, s);
    c->deferred = false;
    c->status &= (uint16_t)~MY_ST_IN_TRANS;
    if (!waits) {
        if (s->overdue_told)
            my_lost_forget(c);
        return;
    }
    if ((s->skip != 0 || s->cont) && !s->skip_drop) {
        out->close_client = true; /* half a row is out */
        return;
    }
    const char *text =
        c->lost_text != NULL ? c->lost_text : "weir: the transaction was rolled back";
    struct buf late = {0};
    if (!my_is_sending(c, s))
        my_put_error(out, (uint8_t)(s->seq + 1), MY_ER_LOCK_DEADLOCK, "40001", "%s", text);
    else if (!my_put_err(&late, 1, MY_ER_LOCK_DEADLOCK, "40001", text) ||
             !my_answer_late(c, buf_head(&late), buf_len(&late)))
        out->close_client = true;
    buf_release(&late);
    my_lost_forget(c);
}

bool my_abandon(void *ps, void *pc, struct proto_out *out)
{
    struct my_server *s = ps;
    struct my_client *c = pc;
    bool running = s->len != 0;
    if (c != NULL && c->lost == MY_LOST_TAKEN)
        tell_taken(c, s, out);
    if (c != NULL && (c->skip != 0 || c->more) && !c->drop) {
        if (s->phase != MY_PH_INFILE)
            s->dying = true; /* nothing that could be filled in is sure not to be executed */
        c->drop = true;
    }
    if (s->phase == MY_PH_INFILE) {
        if (s->file_begun) {
            s->dying = true; /* an end here would make half a file a whole one */
        } else {
            uint8_t packet[MY_HEAD_BYTES];
            my_put_head(packet, 0, (uint8_t)(s->seq + 1));
            my_put(out, &out->server, packet, sizeof packet);
            s->phase = MY_PH_FIRST;
        }
    }
    return running && !s->dying;
}
