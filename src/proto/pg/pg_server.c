/* SPDX-License-Identifier: ISC
 * The server's bytes: each message is matched with what was asked (expect) and passed on,
 * swallowed, or followed by answers that weir makes itself. See pg_session.h.
 *
 * Rows and COPY data are stepped over by their length, whole or in part. Everything else is short,
 * but for the few that a user's text can make as long as it likes, and is looked at when it is
 * whole; of these few the beginning will do. A server that claims otherwise is not believed.
 */
#include "config.h"

#include "proto/pg/pg_columns.h"
#include "proto/pg/pg_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Descriptions can be long; nothing else that is looked into whole is. */
#define PG_CONTROL_MAX (1024u * 1024u)

/* Of an error, a notice or what a function returned, so much is looked at if it is longer: severity
 * and code come first, and no error of this length is rewritten. */
#define PART_BYTES (64u * 1024u)

enum pass { PASS, DROP, BROKEN };

/* Is the answer at the head meant for the client? */
static bool shown(struct pg_server *s, const struct pg_client *c)
{
    if (c == NULL)
        return false;
    const struct pg_expect *x = pg_expect_head(s);
    return x == NULL || x->act == PG_A_PASS || x->act == PG_A_REPLACE;
}

static enum pass pop_if(struct pg_server *s, enum pg_expect_kind kind, enum pass verdict)
{
    const struct pg_expect *x = pg_expect_head(s);
    if (x == NULL || x->kind != kind)
        return BROKEN;
    pg_expect_pop(s);
    return verdict;
}

/* A COPY by the extended protocol is over: the Syncs sent while it ran were eaten by it. */
static void drop_maybes(struct pg_server *s)
{
    struct pg_expect *x;
    while (s->maybes && (x = pg_expect_head(s)) != NULL && x->maybe)
        pg_expect_pop(s);
    s->maybes = false;
    for (uint32_t i = 0; i < s->len; i++)
        s->maybes |= pg_expect_at(s, i)->maybe;
}

/* A COPY failed, the server has answered a Sync less than it was sent, and now answers what stands
 * behind them. */
static void drop_surplus(struct pg_server *s, uint8_t type)
{
    const struct pg_expect *x;
    if (type == 'Z' || type == 'N' || type == 'S' || type == 'A')
        return;
    while ((x = pg_expect_head(s)) != NULL && x->kind == PG_X_SYNC && s->len > 1)
        pg_expect_pop(s);
}

/* The COPY at the head failed. If it was reading, the error says where, and the Syncs in front of
 * the data are gone: what stands behind them is skipped up to the Sync that is answered. */
static void drop_early(struct pg_server *s, const uint8_t *body, size_t n)
{
    struct pg_view where;
    if (!s->maybes || !pg_msg_error_field(body, n, 'W', &where) || strstr(where.p, "COPY ") == NULL)
        return;
    uint32_t kept = 1;
    for (uint32_t i = 1; i < s->len; i++)
        if (!pg_expect_at(s, i)->early)
            *pg_expect_at(s, kept++) = *pg_expect_at(s, i);
    s->len = kept;
}

static enum pass on_complete(struct pg_client *c, struct pg_server *s, const uint8_t *body,
                             size_t n, enum pass verdict)
{
    const struct pg_expect *x = pg_expect_head(s);
    size_t len = pg_strlen(body, n);
    if (x == NULL || len == (size_t)-1)
        return BROKEN;
    s->copy = 0;
    if (x->act == PG_A_PASS)
        pg_on_tag(c, s, (const char *)body, len);
    if (x->sql != NULL)
        pg_sql_tag(c, x->sql, (const char *)body, len);
    if (x->kind == PG_X_QUERY)
        return verdict;
    if (x->kind != PG_X_EXECUTE)
        return BROKEN;
    pg_expect_pop(s);
    drop_maybes(s);
    return verdict;
}

static void forget_overdue(struct pg_server *s)
{
    free(s->overdue);
    s->overdue = NULL;
}

static enum pass on_ready(struct pg_client *c, struct pg_server *s, const uint8_t *body, size_t n,
                          enum pass verdict, struct proto_out *out)
{
    const struct pg_expect *x = pg_expect_head(s);
    if (n != 1 || (body[0] != 'I' && body[0] != 'T' && body[0] != 'E'))
        return BROKEN;
    if (x == NULL || (x->kind != PG_X_QUERY && x->kind != PG_X_SYNC && x->kind != PG_X_FUNCTION))
        return BROKEN;
    s->status = (char)body[0];
    s->copy = 0;
    s->out_of_step = false;
    forget_overdue(s);
    enum pg_expect_act act = (enum pg_expect_act)x->act;
    bool query = x->kind == PG_X_QUERY;
    bool again = s->heal.state != PG_HEAL_OFF && pg_heal_on_ready(s, x);
    if (x->sql != NULL && pg_sql_on_ready(s, pg_expect_head(s)))
        again = true;
    pg_expect_pop(s);
    if (again)
        return DROP;
    if (s->maybes && query && act == PG_A_PASS)
        drop_maybes(s); /* sent while it was a COPY */
    if (s->len == 0)
        s->maybes = false;
    switch (act) {
    case PG_A_SET:
        if (!pg_set_ready(c, s, out))
            return BROKEN;
        if (s->kept_ready && s->len == 0 && !out->close_client)
            pg_kept_end(c, s, out);
        return DROP;
    case PG_A_SETTLE: {
        bool last = s->phase == PG_PH_BARRIER;
        pg_settle_ready(c, s);
        if (s->kept_ready && last)
            pg_kept_end(c, s, out);
        return DROP;
    }
    case PG_A_PASS:
        out->queries++;
        pg_change_end(c, s);
        return s->resets && pg_keep_ready(c, s) ? DROP : verdict;
    case PG_A_SWALLOW:
    case PG_A_FAKE:
    case PG_A_REPLACE:
    case PG_A_ASIDE:
        break;
    }
    return verdict;
}

static void note_error(struct pg_server *s, const uint8_t *body, size_t n)
{
    struct pg_view v;
    s->set_error[0] = '\0';
    if (pg_msg_error_field(body, n, 'M', &v)) {
        size_t len = v.n < sizeof s->set_error - 1 ? v.n : sizeof s->set_error - 1;
        memcpy(s->set_error, v.p, len);
        s->set_error[len] = '\0';
    }
    if (pg_msg_error_field(body, n, 'C', &v) && v.n == 5)
        memcpy(s->set_code, v.p, 6);
}

static bool is_fatal(const uint8_t *body, size_t n)
{
    struct pg_view v;
    if (!pg_msg_error_field(body, n, 'V', &v) && !pg_msg_error_field(body, n, 'S', &v))
        return false;
    return strcmp(v.p, "FATAL") == 0 || strcmp(v.p, "PANIC") == 0;
}

/* What the client called the statement of the message at the head. It may have closed it since, in
 * the same pipeline. */
static const char *name_used(struct pg_client *c, struct pg_server *s, const char *server_name)
{
    uint32_t mark = pg_expect_head(s)->mark;
    for (uint32_t i = 1; mark != 0 && i < s->len; i++) {
        const struct pg_expect *x = pg_expect_at(s, i);
        if (x->kind == PG_X_CLOSE && x->act == PG_A_FAKE && x->stmt != NULL &&
            memcmp(x->stmt->name, server_name, PG_STMT_NAME_BYTES - 1) == 0 &&
            pg_names_mark(x->name, strlen(x->name)) == mark)
            return x->name;
    }
    return pg_names_of(c->names, server_name, mark);
}

/* An error that names a statement names it as the server knows it: the client is told its own name.
 * true: the error was sent, renamed. */
static bool send_renamed(struct pg_client *c, struct pg_server *s, const uint8_t *body, size_t n,
                         struct proto_out *out)
{
    if (n > PROTO_ARENA_SLACK / 2)
        return false;
    const uint8_t *at = memmem(body, n, "\"" PG_STMT_PREFIX, PG_STMT_PREFIX_LEN + 1);
    size_t len = PG_STMT_NAME_BYTES - 1;
    if (at == NULL || (size_t)(body + n - at) < len + 2 || at[len + 1] != '"')
        return false;
    const char *name = name_used(c, s, (const char *)at + 1);
    if (name == NULL || strlen(name) > PROTO_ARENA_SLACK / 4)
        return false;
    size_t before = (size_t)(at + 1 - body), after = n - before - len;
    uint8_t head[PG_HEAD_BYTES] = {'E'};
    pg_put32(head + 1, (uint32_t)(4 + before + strlen(name) + after));
    pg_put(out, &out->client, head, sizeof head);
    pg_put(out, &out->client, body, before);
    pg_put(out, &out->client, name, strlen(name));
    pg_put(out, &out->client, at + 1 + len, after);
    return true;
}

/* A statement that weir had cancelled: the client is told why, where PostgreSQL says "due to user
 * request". true: the error was sent. */
static bool send_overdue(struct pg_server *s, const uint8_t *body, size_t n, struct proto_out *out)
{
    struct pg_view code;
    if (s->overdue == NULL || !pg_msg_error_field(body, n, 'C', &code) ||
        strcmp(code.p, "57014") != 0)
        return false;
    pg_put_error(out, "ERROR", s->overdue_tx ? "40001" : "57014", "%s", s->overdue);
    s->overdue_told = s->overdue_tx;
    return true;
}

static enum pass on_error(struct pg_client *c, struct pg_server *s, const uint8_t *body, size_t n,
                          enum pass verdict, struct proto_out *out)
{
    struct pg_expect *x = pg_expect_head(s);
    if (is_fatal(body, n)) {
        s->dying = true;
        note_error(s, body, n);
        return DROP; /* the worker tells the client when the connection is gone */
    }
    if (x == NULL)
        return BROKEN;
    s->copy = 0;
    s->hidden_undone = true;
    if (c != NULL && x->mark != 0 && pg_heal_is_stale(body, n))
        pg_names_changed(c->names, x->mark);
    if (x->first && pg_heal_takes(s, c, body, n))
        return DROP;
    if (x->sql != NULL && c != NULL && pg_sql_hides(s, x->sql, body, n))
        return DROP;
    switch ((enum pg_expect_act)x->act) {
    case PG_A_SET:
        s->set_failed = true;
        note_error(s, body, n);
        return DROP;
    case PG_A_SETTLE:
        s->truth_failed = true;
        return DROP;
    case PG_A_REPLACE:
        if (c != NULL) {
            struct buf b = {0};
            if (pg_msg_fault(&b, "ERROR", x->fault))
                pg_put(out, &out->client, buf_head(&b), buf_len(&b));
            buf_release(&b);
        }
        verdict = DROP;
        break;
    case PG_A_ASIDE:
        pg_sql_keep_error(s, body, n);
        verdict = DROP;
        break;
    case PG_A_PASS:
    case PG_A_SWALLOW:
    case PG_A_FAKE:
        if (c != NULL &&
            (send_overdue(s, body, n, out) ||
             (x->sql != NULL && pg_sql_error(x->sql, body, n, out)) ||
             pg_columns_send_changed(c, x, body, n, out) || send_renamed(c, s, body, n, out)))
            verdict = DROP;
        else if (c != NULL)
            verdict = PASS; /* weir prepared the statement for the client: the failure is its own */
        break;
    }
    if (s->change != NULL) {
        if (s->change_done) /* a later statement of the same batch failed: it is rolled back */
            s->dirt |= PG_D_SETTINGS;
        pg_change_free(&s->change);
    }
    if (x->kind == PG_X_EXECUTE)
        drop_early(s, body, n);
    if (x->kind != PG_X_QUERY && x->kind != PG_X_FUNCTION && x->kind != PG_X_SYNC)
        pg_expect_fail(s, c);
    return verdict;
}

static enum pass on_parameter(struct pg_client *c, struct pg_server *s, const uint8_t *body,
                              size_t n, enum pass verdict, struct proto_out *out)
{
    size_t name = pg_strlen(body, n);
    size_t value = name == (size_t)-1 ? name : pg_strlen(body + name + 1, n - name - 1);
    if (value == (size_t)-1 || name + value + 2 != n)
        return BROKEN;
    (void)vars_take(&s->report, vars_with(s->report, (const char *)body, name, VAR_REPORT,
                                          (const char *)body + name + 1, value));
    struct var_entry e;
    if (verdict == PASS && s->resets && var_set_find(c->startup, (const char *)body, name, &e)) {
        s->misreport = true;
        return DROP;
    }
    if (verdict == PASS) {
        (void)vars_take(&c->report, vars_with(c->report, (const char *)body, name, VAR_REPORT,
                                              (const char *)body + name + 1, value));
        out->renamed |= strcmp((const char *)body, "application_name") == 0;
        c->how = pg_text_how(c->report);
    }
    return verdict;
}

static enum pass on_describe(struct pg_client *c, struct pg_server *s, uint8_t type,
                             const uint8_t *body, size_t n, enum pass verdict)
{
    const struct pg_expect *x = pg_expect_head(s);
    if (x == NULL)
        return BROKEN;
    pg_columns_described(c, s, (char)type, body, n);
    if (x->sql != NULL)
        pg_sql_shown(x->sql);
    if (x->kind == PG_X_DESCRIBE)
        pg_expect_pop(s);
    return verdict;
}

static enum pass on_copy_start(struct pg_server *s, uint8_t type, enum pass verdict)
{
    const struct pg_expect *x = pg_expect_head(s);
    if (x == NULL || (x->kind != PG_X_QUERY && x->kind != PG_X_EXECUTE))
        return BROKEN;
    s->copy = (char)type;
    s->copy_fed = s->out_of_step = false;
    if (type == 'H')
        return verdict;
    /* Syncs that are already on their way will be eaten, if the COPY gets as far as reading. */
    for (uint32_t i = 1; i < s->len; i++) {
        struct pg_expect *later = pg_expect_at(s, i);
        if (later->kind == PG_X_SYNC && later->act == PG_A_PASS)
            s->maybes = later->maybe = later->early = true;
        s->out_of_step |= later->kind != PG_X_SYNC && later->act != PG_A_FAKE;
    }
    return verdict;
}

/* One whole message that is not a row. */
static enum pass on_message(struct pg_client *c, struct pg_server *s, uint8_t type,
                            const uint8_t *body, size_t n, struct proto_out *out)
{
    if (s->maybes)
        drop_surplus(s, type);
    enum pass verdict = shown(s, c) ? PASS : DROP;
    const struct pg_expect *x = pg_expect_head(s);
    switch (type) {
    case 'Z':
        return on_ready(c, s, body, n, verdict, out);
    case 'C':
        return on_complete(c, s, body, n, verdict);
    case 'E':
        return on_error(c, s, body, n, verdict, out);
    case 'S':
        return on_parameter(c, s, body, n, verdict, out);
    case 'N':
        return verdict;
    case 't':
        if (x != NULL && x->act == PG_A_ASIDE && x->kind == PG_X_DESCRIBE)
            pg_sql_described(c, s, body, n);
        pg_columns_parameters(c, s, body, n);
        return s->heal.state != PG_HEAL_OFF && pg_heal_hides(s, x) ? DROP : verdict;
    case 'A':
        /* While weir asks whether the session listens now, it may already be told something. */
        return c != NULL && ((s->pins & PG_PIN_LISTEN) != 0 || (s->dirt & PG_D_PINS) != 0 ||
                             s->n_hidden != 0)
                   ? PASS
                   : DROP;
    case 'V':
        return x != NULL && x->kind == PG_X_FUNCTION ? verdict : BROKEN;
    case '1':
        return pop_if(s, PG_X_PARSE, verdict);
    case '2':
        return pop_if(s, PG_X_BIND, verdict);
    case '3':
        return pop_if(s, PG_X_CLOSE, verdict);
    case 'n':
    case 'T':
        return on_describe(c, s, type, body, n, verdict);
    case 's':
        return pop_if(s, PG_X_EXECUTE, verdict);
    case 'I':
        if (x != NULL && x->kind == PG_X_QUERY)
            return verdict;
        return pop_if(s, PG_X_EXECUTE, verdict);
    case 'G':
    case 'H':
    case 'W':
        return on_copy_start(s, type, verdict);
    case 'c':
        return verdict;
    default:
        return BROKEN;
    }
}

/* Rows and COPY data: the fast path. */
static inline bool is_bulk(uint8_t type)
{
    return type == 'D' || type == 'd';
}

static enum proto_verdict feed_raw(struct pg_client *c, const uint8_t *in, size_t n, size_t *used,
                                   struct proto_out *out)
{
    if (c != NULL)
        proto_lane_add(&out->client, in, n);
    *used = n;
    return PROTO_MORE;
}

static bool broken(struct pg_server *s, const char *text)
{
    s->dying = true;
    if (s->set_error[0] == '\0') {
        (void)snprintf(s->set_error, sizeof s->set_error, "%s", text);
        memcpy(s->set_code, "08P01", 6);
    }
    return false;
}

/* What of the message has come goes to the client or is dropped, and the rest behind it. */
static void step_over(struct pg_server *s, bool drop, const uint8_t *p, size_t have, size_t total,
                      size_t *pos, struct proto_out *out)
{
    size_t take = total < have ? total : have;
    s->skip_drop = drop;
    if (!drop)
        proto_lane_add(&out->client, p, take);
    s->skip = total - take;
    *pos += take;
}

/* How much of a message's body has to be there before it is looked at. */
static size_t body_needed(uint8_t type, size_t n)
{
    bool any_length = type == 'E' || type == 'N' || type == 'V';
    return any_length && n > PART_BYTES ? PART_BYTES : n;
}

/* The message at *pos; false when it isn't whole (*more) or breaks the protocol. */
static bool one_message(struct pg_client *c, struct pg_server *s, const uint8_t *in, size_t n,
                        size_t *pos, bool *more, struct proto_out *out)
{
    const uint8_t *p = in + *pos;
    size_t have = n - *pos;
    *more = have < PG_HEAD_BYTES;
    if (*more)
        return false;
    uint32_t len = pg_get32(p + 1);
    if (len < 4 || len > PG_LARGE_MAX)
        return broken(s, "weir: the server sent a message of impossible length");
    size_t total = 1 + (size_t)len;
    const struct pg_expect *x = pg_expect_head(s);
    if (is_bulk(p[0]) && (x == NULL || x->act != PG_A_SETTLE)) {
        if (x == NULL)
            return broken(s, "weir: the server sent a row that nobody asked for");
        step_over(s, !shown(s, c), p, have, total, pos, out);
        return true;
    }
    if (is_bulk(p[0]) && total > PG_CONTROL_MAX) { /* a setting's value: not one to replay */
        s->truth_failed |= s->phase == PG_PH_TRUTH;
        step_over(s, true, p, have, total, pos, out);
        return true;
    }
    size_t needed = body_needed(p[0], total - PG_HEAD_BYTES);
    if (needed > have - PG_HEAD_BYTES) {
        *more = needed <= PG_CONTROL_MAX;
        return *more ? false : broken(s, "weir: the server sent a message of impossible length");
    }
    if (is_bulk(p[0])) {
        pg_settle_row(s, p + PG_HEAD_BYTES, needed);
        *pos += total;
        return true;
    }
    enum pass verdict = on_message(c, s, p[0], p + PG_HEAD_BYTES, needed, out);
    if (verdict == BROKEN)
        return broken(s, "weir: the server sent a message out of order");
    step_over(s, verdict == DROP || c == NULL, p, have, total, pos, out);
    return true;
}

/* What weir answers itself follows the server's message when that has gone out whole. */
static void send_fakes(struct pg_server *s, struct pg_client *c, struct proto_out *out)
{
    if (s->len != 0 && pg_expect_head(s)->act == PG_A_FAKE)
        (void)pg_expect_fakes(s, c, out);
}

enum proto_verdict pg_server_feed(void *ps, void *pc, const uint8_t *in, size_t n, size_t *used,
                                  struct proto_out *out)
{
    struct pg_server *s = ps;
    struct pg_client *c = pc;
    size_t pos = 0;
    enum proto_verdict v = PROTO_MORE;
    if (s->raw)
        return feed_raw(c, in, n, used, out);
    while (pos < n) {
        if (s->skip != 0) {
            size_t take = s->skip < n - pos ? (size_t)s->skip : n - pos;
            if (!s->skip_drop && c != NULL)
                proto_lane_add(&out->client, in + pos, take);
            s->skip -= take;
            pos += take;
            if (s->skip == 0)
                send_fakes(s, c, out);
            continue;
        }
        if (proto_out_full(out) || out->close_client) { /* nothing follows its last error */
            v = PROTO_FULL;
            break;
        }
        bool more;
        if (!one_message(c, s, in, n, &pos, &more, out)) {
            v = more ? PROTO_MORE : PROTO_BAD;
            break;
        }
        if (s->skip == 0)
            send_fakes(s, c, out);
    }
    *used = pos;
    return v;
}
