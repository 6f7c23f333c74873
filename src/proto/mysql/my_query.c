/* SPDX-License-Identifier: ISC
 * COM_QUERY: what can be answered without a server is; what asks of the session's own past on a
 * connection that doesn't know it gets the value put in its place; everything else passes.
 */
#include "config.h"

#include "proto/comment/comment.h"
#include "proto/mysql/my_lex.h"
#include "proto/mysql/my_session.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define RETURNING_MAX 256u /* the word stands at the end of a text */
/* A text with this much in it is not rewritten: nobody writes such a statement by hand. */
#define REWRITE_MAX (256u * 1024u)

/* INSERT .. RETURNING tells of no number: it is asked for. */
uint64_t my_returning(const char *text, size_t n)
{
    static const char word[] = "RETURNING";
    const size_t len = sizeof word - 1;
    if (n < len || ((text[0] | 0x20) != 'i' && (text[0] | 0x20) != 'r'))
        return 0;
    for (size_t i = n > RETURNING_MAX ? n - RETURNING_MAX : 0; i + len <= n; i++)
        if (my_word_is(text + i, (uint32_t)len, word, (uint32_t)len))
            return MY_DO_SET_INSERT_ID;
    return 0;
}

/* ---- without a server ---------------------------------------------------------------------------
 */

/* SET of nothing but what is in force already, or of what servers never hear. */
static bool is_idle_set(const struct my_client *c, const struct my_scan *scan, const char *text,
                        unsigned opts)
{
    if ((scan->flags & ~(MY_DO_VIRTUAL | MY_DO_BARE_SET)) != MY_DO_SET)
        return false;
    for (uint32_t i = 0; i < scan->n_assigns; i++)
        if (!scan->assigns[i].is_virtual && !my_set_is_noop(c, text, &scan->assigns[i], opts))
            return false;
    return true;
}

static bool is_current_schema(const struct my_client *c, const struct my_scan *scan,
                              const char *text)
{
    char name[256];
    return scan->flags == MY_DO_USE && scan->n_names == 1 && c->schema != NULL &&
           my_scan_ident(text, scan->names[0].text, name, sizeof name) != 0 &&
           strcmp(name, c->schema) == 0;
}

/* COMMIT and ROLLBACK begin another transaction, or end the session. */
static bool is_chained(const struct my_client *c)
{
    struct var_entry e;
    return my_set_value(c, "completion_type", &e) && strcmp(e.value, "NO_CHAIN") != 0 &&
           strcmp(e.value, "0") != 0;
}

/* Outside a transaction there is nothing to end. */
static bool ends_nothing(const struct my_client *c, const struct my_server *s,
                         const struct my_scan *scan)
{
    return s == NULL && (c->status & MY_ST_IN_TRANS) == 0 &&
           (scan->flags == MY_DO_COMMIT || scan->flags == MY_DO_ROLLBACK) && !is_chained(c);
}

/* A row of level, code and message in the binary form. */
static size_t binary_row(const uint8_t *row, size_t n, uint8_t *to, size_t room)
{
    struct my_warning w;
    if (!my_read_warning(row, n, &w) || w.level.n + w.message.n + 32 > room)
        return 0;
    size_t at = MY_HEAD_BYTES;
    to[at++] = 0; /* a row; no NULL in it */
    to[at++] = 0;
    at += my_write_lenenc(to + at, w.level.n);
    memcpy(to + at, w.level.p, w.level.n);
    at += w.level.n;
    my_put32(to + at, w.number);
    at += 4;
    at += my_write_lenenc(to + at, w.message.n);
    memcpy(to + at, w.message.p, w.message.n);
    return at + w.message.n;
}

static void put_status(uint8_t *eof, uint16_t status)
{
    eof[MY_HEAD_BYTES + 3] = (uint8_t)status;
    eof[MY_HEAD_BYTES + 4] = (uint8_t)(status >> 8);
}

/* The ends of what is kept tell of the session as it is now. */
static void say_status(const struct my_client *c)
{
    for (size_t at = 0; at < c->warnings_len; at += MY_HEAD_BYTES + my_get24(c->warnings + at))
        if (my_get24(c->warnings + at) < 9 && c->warnings[at + MY_HEAD_BYTES] == 0xfe)
            put_status(c->warnings + at, c->status);
}

/* SHOW WARNINGS as it was kept, or what is asked for of its rows. false: out of memory. */
static bool put_warnings(struct my_client *c, const struct my_scan *scan, bool binary,
                         struct proto_out *out)
{
    const uint8_t *p = c->warnings;
    bool errors = (scan->flags & MY_DO_SHOW_ERRORS) != 0;
    size_t room = 2 * (size_t)c->warnings_len + 64,
           used = 0; /* no row is twice as long as binary */
    uint8_t seq = 1;
    uint32_t row = 0;
    int ends = 0;
    if (!errors && !binary && scan->limit_from == 0 && scan->limit == UINT32_MAX) {
        say_status(c);
        proto_lane_add(&out->client, p, c->warnings_len);
        return true;
    }
    free(c->picked);
    if ((c->picked = malloc(room)) == NULL)
        return false;
    for (size_t at = 0; at < c->warnings_len; at += MY_HEAD_BYTES + my_get24(p + at)) {
        const uint8_t *payload = p + at + MY_HEAD_BYTES;
        uint8_t *packet = c->picked + used;
        size_t n = my_get24(p + at);
        bool end = n < 9 && payload[0] == 0xfe, is_row = ends == 1 && !end;
        if (is_row && ((errors && !my_is_error_row(payload, n)) || row++ < scan->limit_from ||
                       row - scan->limit_from > scan->limit))
            continue;
        ends += end;
        size_t len = is_row && binary ? binary_row(payload, n, packet, room - used) : 0;
        if (len == 0)
            memcpy(packet, p + at, len = MY_HEAD_BYTES + n);
        my_put_head(packet, (uint32_t)(len - MY_HEAD_BYTES), seq++);
        if (end)
            put_status(packet, c->status);
        used += len;
    }
    proto_lane_add(&out->client, c->picked, used);
    return true;
}

bool my_put_warnings(struct my_client *c, const struct my_text *text, struct proto_out *out)
{
    struct my_scan scan;
    if (c->warnings == NULL)
        return false;
    my_scan(my_text_sql(text), text->text_len, my_scan_opts(c), &scan);
    return put_warnings(c, &scan, true, out);
}

static bool answer_here(struct my_client *c, struct my_server *s, const struct my_scan *scan,
                        const char *text, unsigned opts, struct proto_out *out)
{
    if (scan->statements != 1)
        return false;
    if ((scan->flags & MY_DO_SHOW_WARNINGS) != 0 && c->warnings != NULL &&
        (s == NULL || s->diagnosed != c->diagnosis) && put_warnings(c, scan, false, out)) {
        c->row_count = -1; /* as after every list of rows; no connection knows of this one */
        c->turn = my_stamp(c, c->turn);
        out->queries++;
        return true;
    }
    if (s != NULL && s->pins != 0)
        return false;
    if (!is_idle_set(c, scan, text, opts) && !is_current_schema(c, scan, text) &&
        !ends_nothing(c, s, scan))
        return false;
    my_memory_clear(c);
    my_put_ok_set(c, scan, text, out);
    out->queries++;
    return true;
}

/* ---- with one ----------------------------------------------------------------------------------
 */

static enum proto_verdict kill_command(struct my_client *c, const struct my_server *s,
                                       const struct my_scan *scan, struct proto_out *out)
{
    bool self = scan->kill_id == MY_KILL_SELF || (s != NULL && scan->kill_id == s->thread_id);
    uint64_t id = self ? c->id : scan->kill_id;
    if (scan->statements != 1) {
        my_put_error(out, 1, MY_ER_UNKNOWN, "HY000", "weir: KILL must be a text of its own");
        return PROTO_MORE;
    }
    if (id == MY_KILL_OTHER) { /* KILL USER, KILL QUERY ID, an expression: they mean the server's */
        my_put_error(out, 1, MY_ER_NO_SUCH_THREAD, "HY000",
                     "weir: KILL takes a number, as CONNECTION_ID() or SHOW PROCESSLIST has it");
        return PROTO_MORE;
    }
    c->kill_id = id;
    c->kill_query = scan->kill_query;
    out->kill_id = id <= UINT32_MAX ? (uint32_t)id : 0;
    out->kill_seen_us = c->looked_us;
    out->kill = scan->kill_query ? PROTO_KILL_QUERY : PROTO_KILL_SESSION;
    return PROTO_WAIT;
}

static bool send_text(struct my_client *c, struct my_server *s, const struct my_in *m,
                      const struct my_scan *scan, struct proto_out *out)
{
    const char *text = (const char *)m->p + MY_HEAD_BYTES + 1;
    size_t n = m->have - MY_HEAD_BYTES - 1;
    bool whole = m->have == m->total && n <= REWRITE_MAX, told = false;
    if (whole && (scan->flags & MY_DO_DIAGNOSTICS) != 0 && my_diagnostics_differ(c, s)) {
        buf_release(&s->notes);
        told = my_diagnostics_set(c, s, text, n, &s->notes);
        if (told && my_is_mysql(c))
            s->diagnosed = 0; /* a SET empties its list, GET DIAGNOSTICS doesn't */
    }
    if (!told && (!whole || !my_needs_rewrite(c, s, scan))) {
        proto_lane_add(&out->server, m->p, m->have);
        return true;
    }
    if (!told) {
        buf_release(&s->notes);
        if (!my_rewrite(c, s, scan, text, n, &s->notes))
            return false;
    }
    my_put_command(out, MY_COM_QUERY, buf_head(&s->notes), buf_len(&s->notes));
    return true;
}

/* SET weir.deadline never reaches a server, so nothing else may stand beside it. */
static enum proto_verdict set_deadline(struct my_client *c, const struct my_scan *scan,
                                       const char *text, struct proto_out *out)
{
    const struct my_scan_assign *a = &scan->assigns[0];
    if (scan->statements != 1 || scan->n_assigns != 1 || scan->n_volatiles != 0) {
        my_put_error(out, 1, MY_ER_UNKNOWN, "HY000",
                     "weir: SET weir.deadline must be a statement of its own");
        return PROTO_MORE;
    }
    const char *value = text + a->value.at;
    size_t n = a->value.len;
    if (n >= 2 && (value[0] == '\'' || value[0] == '"') && value[n - 1] == value[0]) {
        value++;
        n -= 2;
    }
    if (n == 7 && strncasecmp(value, "DEFAULT", n) == 0) {
        c->deadline_ms = c->start_deadline_ms;
    } else if (!comment_read_ms(value, n, &c->deadline_ms)) {
        my_put_error(out, 1, MY_ER_WRONG_VALUE_FOR_VAR, "42000",
                     "Variable 'weir.deadline' can't be set to the value of '%.*s'",
                     n < 64 ? (int)n : 64, value);
        return PROTO_MORE;
    }
    my_put_ok(c, out);
    return PROTO_MORE;
}

/* SET of autocommit to what isn't plainly on. */
static bool begins_by_setting(const struct my_client *c, const struct my_scan *scan,
                              const char *text)
{
    char name[32], value[8];
    for (uint32_t i = 0; i < scan->n_assigns; i++) {
        const struct my_scan_assign *a = &scan->assigns[i];
        if (a->scope == MY_SCOPE_SESSION && my_scan_name(text, a->name, name, sizeof name) != 0 &&
            strcmp(name, "autocommit") == 0)
            return !my_scan_literal(text, a->value, my_scan_opts(c), value, sizeof value) ||
                   (strcmp(value, "1") != 0 && strcasecmp(value, "ON") != 0);
    }
    return false;
}

bool my_is_barred(const struct my_client *c, const struct my_scan *scan, const char *text,
                  struct proto_out *out)
{
    if (c->pool_mode != MY_MODE_STATEMENT ||
        ((scan->flags & (MY_DO_BEGIN | MY_DO_XA)) == 0 && !begins_by_setting(c, scan, text)))
        return false;
    my_put_error(out, 1, MY_ER_UNKNOWN, "HY000",
                 "weir: transactions are not allowed in statement pooling mode");
    return true;
}

/* What MySQL warns of when the connection is brought to the session (SET NAMES utf8mb3) is in the
 * list that this statement asks about: it has to be emptied ahead of it. */
static void expect_warnings(const struct my_client *c, struct my_server *s,
                            const struct my_scan *scan)
{
    const uint64_t asks = MY_DO_SHOW_WARNINGS | MY_DO_SHOW_COUNT | MY_DO_DIAGNOSTICS;
    if (s == NULL || !my_is_mysql(c) || (scan->flags & asks) == 0 || s->vars == c->vars)
        return;
    s->listed = true;
    s->diagnosed = 0;
}

enum proto_verdict my_on_query(struct my_client *c, struct my_server *s, const struct my_in *m,
                               struct proto_out *out)
{
    const char *text = (const char *)m->p + MY_HEAD_BYTES + 1;
    size_t n = m->have - MY_HEAD_BYTES - 1;
    struct my_scan scan;
    enum proto_verdict v;
    unsigned opts = my_scan_opts(c);
    my_scan(text, n, opts | (m->have < m->total ? MY_SCAN_CUT : 0), &scan);
    scan.flags |= my_returning(text, n);
    if ((scan.flags & MY_DO_KILL) != 0)
        return kill_command(c, s, &scan, out);
    if ((scan.flags & MY_DO_DEADLINE) != 0)
        return set_deadline(c, &scan, text, out);
    expect_warnings(c, s, &scan);
    if (scan.flags != 0 && answer_here(c, s, &scan, text, opts, out))
        return PROTO_MORE;
    if (my_is_barred(c, &scan, text, out))
        return PROTO_MORE;
    if (s == NULL)
        return PROTO_LOAN;
    if (scan.flags == MY_DO_USE && scan.statements == 1) { /* out of one that is not there, too */
        if (!my_sync(c, s, out))
            return PROTO_BAD;
    } else if ((v = my_sync_all(c, s, out)) != PROTO_MORE) {
        return v;
    }
    if (!my_give_insert_id(c, s, &scan, out) || !my_effect_note(c, s, &scan, text, n) ||
        !send_text(c, s, m, &scan, out) || !my_expect_push(s, MY_R_RESULT, MY_A_PASS, MY_COM_QUERY))
        return PROTO_BAD;
    my_pass_rest(c, m, false);
    if (!my_leaves_counts(c, s))
        s->owner = c->turn = my_stamp(c, c->turn);
    else if (s->owner != c->turn) { /* here are none of the last statement, nor where it was this */
        s->owner = 0;
        c->turn = my_stamp(c, c->turn);
    }
    return PROTO_MORE;
}
