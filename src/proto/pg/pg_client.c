/* SPDX-License-Identifier: ISC
 * The client's bytes: message heads are read, bodies pass through. See pg_session.h.
 *
 * A message that must be looked into (a query's text, names) is forwarded only when it is whole, up
 * to PG_COLLECT_MAX: until then its sender holds nothing. Beyond that, and for CopyData always, it
 * is passed through as it comes.
 */
#include "config.h"

#include "proto/comment/comment.h"
#include "proto/pg/pg_scan.h"
#include "proto/pg/pg_session.h"

#include <stdlib.h>
#include <string.h>

#define PG_COLLECT_MAX (64u * 1024u)
#define FEED_MESSAGES  256u /* until the caller may look at its clock */

/* 'd' and 'c' are legal at any time: PostgreSQL ignores them outside COPY. */
static bool head_is_sound(uint8_t type, uint32_t len, struct proto_out *out)
{
    uint32_t max = 0;
    switch (type) {
    case 'Q':
    case 'P':
    case 'B':
    case 'F':
    case 'd':
        max = PG_LARGE_MAX;
        break;
    case 'C':
    case 'D':
    case 'E':
    case 'H':
    case 'S':
    case 'X':
    case 'c':
    case 'f':
        max = PG_SMALL_MAX;
        break;
    default:
        pg_put_error(out, "FATAL", "08P01", "invalid frontend message type %d", type);
        return false;
    }
    if (len < 4 || len > max) {
        pg_put_error(out, "FATAL", "08P01", "invalid message length");
        return false;
    }
    return true;
}

enum proto_verdict pg_push_query(struct pg_client *c, struct pg_server *s, const struct pg_in *m,
                                 struct proto_out *out)
{
    struct pg_expect *x = pg_expect_push(s, PG_X_QUERY, PG_A_PASS);
    if (x == NULL) {
        pg_put_error(out, "FATAL", "53200", "weir: out of memory");
        return PROTO_BAD;
    }
    /* A simple query destroys the unnamed statement, on the server as in the client's eyes; but not
     * when what is open before it fails, and it is skipped. */
    if (s->open && c->unnamed != NULL) {
        x->unnamed = x->replaced = true;
        x->stmt = c->unnamed;
        c->unnamed = NULL;
        pg_expect_set_unsure(s, x);
    }
    s->bound = false;
    s->open = false; /* its ReadyForQuery ends what stands before it, too */
    pg_stmt_put(&s->own);
    pg_sql_free(&s->sql_bound);
    if (s->unnamed != NULL)
        pg_stmt_put(&s->unnamed);
    if (c->unnamed != NULL)
        pg_stmt_put(&c->unnamed);
    proto_lane_add(&out->server, m->p, m->have);
    return PROTO_MORE;
}

bool pg_refuse_block(const struct pg_client *c, uint64_t scan_flags, struct proto_out *out)
{
    if (c->pool_mode != PG_MODE_STATEMENT || (scan_flags & PG_SCAN_TX_BEGIN) == 0)
        return false;
    pg_put_error(out, "FATAL", "08P01", "transaction blocks not allowed in statement pooling mode");
    return true;
}

static enum proto_verdict on_query(struct pg_client *c, struct pg_server *s, const struct pg_in *m,
                                   struct proto_out *out)
{
    const char *sql = (const char *)m->p + PG_HEAD_BYTES;
    size_t n = m->have - PG_HEAD_BYTES;
    if (s->open && pg_is_unsure(s, "", 0, NULL))
        return PROTO_WAIT;
    if (s->open && s->restore != NULL && s->status != 'E' && !pg_restore_in_batch(s, out))
        return PROTO_BAD;
    unsigned opts = 0;
    if (m->have < m->total)
        opts = PG_SCAN_OPT_CUT;
    else if (n != 0)
        n--; /* the NUL; if there is none the server refuses the message */
    struct pg_scan scan;
    enum proto_verdict v;
    pg_text_scan(sql, n, c->how, opts, &scan);
    if (pg_refuse_block(c, scan.flags, out))
        return PROTO_BAD;
    if ((scan.flags & PG_SQL_NAMES) != 0) {
        v = pg_sql_query(c, s, m, &scan, out);
        if (v != PROTO_LOAN)
            return v;
    }
    v = pg_sequence_forget(c, s, scan.flags, out);
    if (v != PROTO_MORE)
        return v;
    pg_note(c, s, scan.flags, sql, n);
    pg_hidden_note(c, s, &scan, sql, n);
    if ((scan.flags & (PG_SCAN_DISCARD_ALL | PG_SCAN_DEALLOCATE_ALL)) != 0 || s->resets)
        s->alone = true;
    return pg_push_query(c, s, m, out);
}

/* A function called directly. Those of large objects (lo_open to lo_truncate64 in pg_proc.dat) keep
 * to the transaction; of any other nothing is known. */
static enum proto_verdict on_function(struct pg_server *s, const struct pg_in *m,
                                      struct proto_out *out)
{
    uint32_t oid = m->have >= PG_HEAD_BYTES + 4 ? pg_get32(m->p + PG_HEAD_BYTES) : 0;
    bool large_object = (oid >= 952 && oid <= 958) || oid == 715 || oid == 764 || oid == 767 ||
                        oid == 964 || oid == 1004 || (oid >= 3170 && oid <= 3172);
    if (!large_object)
        s->dirt |= PG_D_SETTINGS | PG_D_PINS;
    if (pg_expect_push(s, PG_X_FUNCTION, PG_A_PASS) == NULL)
        return PROTO_BAD;
    s->open = false;
    proto_lane_add(&out->server, m->p, m->have);
    return PROTO_MORE;
}

static enum proto_verdict on_sync(struct pg_server *s, const struct pg_in *m, struct proto_out *out)
{
    struct pg_expect *x = pg_expect_push(s, PG_X_SYNC, PG_A_PASS);
    if (x == NULL)
        return PROTO_BAD;
    /* In COPY FROM STDIN the server ignores it, unless the COPY has failed meanwhile. */
    x->maybe = s->copy == 'G' || s->copy == 'W';
    x->early = x->maybe && !s->copy_fed;
    s->maybes |= x->maybe;
    s->skipping = false;
    s->open = s->bound = false;
    s->asked = s->judged = NULL;
    s->alone |= s->resets;
    pg_stmt_put(&s->own);
    pg_sql_free(&s->sql_bound);
    proto_lane_add(&out->server, m->p, m->have);
    return PROTO_MORE;
}

/* May a COPY that the server hasn't begun yet want this data? */
static bool copy_may_begin(struct pg_server *s)
{
    for (uint32_t i = 0; i < s->len; i++) {
        const struct pg_expect *x = pg_expect_at(s, i);
        if (x->kind == PG_X_QUERY || x->kind == PG_X_EXECUTE)
            return true;
    }
    return false;
}

static enum proto_verdict on_copy(struct pg_server *s, const struct pg_in *m, struct proto_out *out)
{
    if (s->copy != 'G' && s->copy != 'W') {
        if (!copy_may_begin(s)) /* late data of a COPY that failed: nobody wants it */
            return PROTO_MORE;
        /* If it is none, or this stands behind its end, the server would keep its answers until
         * the Sync that comes then: one before may have been eaten. */
        pg_put_msg(out, &out->server, 'H', NULL, 0);
        s->alone = true;
        return PROTO_WAIT;
    }
    proto_lane_add(&out->server, m->p, m->have);
    s->copy_fed = true;
    if (m->p[0] != 'd')
        s->copy = s->copy == 'W' ? 'H' : 0;
    return PROTO_MORE;
}

/* One message, or the beginning of a large one, with a server at hand. */
static enum proto_verdict one_message(struct pg_client *c, struct pg_server *s,
                                      const struct pg_in *m, struct proto_out *out)
{
    uint8_t type = m->p[0];
    if (type == 'd' || type == 'c' || type == 'f') {
        c->drop = s->copy != 'G' && s->copy != 'W';
        return on_copy(s, m, out);
    }
    if (type == 'S')
        return on_sync(s, m, out);
    if (type == 'X')
        return PROTO_BYE;
    if (s->copy == 'G' && type != 'H') { /* the server would lose its place, and the connection */
        pg_put_error(out, "FATAL", "08P01", "unexpected message type 0x%02X during COPY from stdin",
                     type);
        return PROTO_BAD;
    }
    if (s->skipping) { /* the server would ignore it */
        c->drop = true;
        return PROTO_MORE;
    }
    if (type == 'H') {
        /* With something in it the server refuses it: an answer after all. */
        if (m->total != PG_HEAD_BYTES && s->copy != 'G' && s->copy != 'W' &&
            pg_expect_push(s, PG_X_CLOSE, PG_A_PASS) == NULL)
            return PROTO_BAD;
        s->open |= m->total != PG_HEAD_BYTES;
        proto_lane_add(&out->server, m->p, m->have);
        return PROTO_MORE;
    }
    /* Nothing is under way: the settings can be brought up to date first. */
    if (s->len == 0 && !s->open && s->applied != c->current && s->status == 'I' &&
        pg_sync_settings(c, s, out))
        return PROTO_WAIT;
    if (s->restore != NULL && s->len == 0 && !s->open)
        pg_restore_startup(s, out);
    switch (type) {
    case 'Q':
        return on_query(c, s, m, out);
    case 'F':
        return on_function(s, m, out);
    case 'P':
        if (m->have < m->total || m->total > c->statement_max_bytes) {
            c->drop = true;
            return pg_refuse_statement(s, out);
        }
        return pg_extended(c, s, m, out);
    default: {
        enum proto_verdict v = pg_extended(c, s, m, out);
        s->bound |= type != 'C';
        return v;
    }
    }
}

static enum proto_verdict with_server(struct pg_client *c, struct pg_server *s,
                                      const struct pg_in *m, struct proto_out *out)
{
    if (s->heal.state == PG_HEAL_WATCH) /* another batch behind it: what fails now fails */
        s->heal.state = PG_HEAL_OFF;
    enum proto_verdict v = one_message(c, s, m, out);
    if (s->heal.state == PG_HEAL_KEEP && v == PROTO_MORE)
        pg_heal_keep(s, m);
    return v;
}

bool pg_client_again(struct pg_client *c, struct pg_server *s, const uint8_t *p, size_t n,
                     struct proto_out *out)
{
    bool drop = c->drop;
    enum proto_verdict v = PROTO_MORE;
    while (n != 0 && v == PROTO_MORE) {
        size_t total = 1 + (size_t)pg_get32(p + 1);
        struct pg_in m = {.p = p, .have = total, .total = total};
        v = one_message(c, s, &m, out);
        p += total;
        n -= total;
    }
    c->drop = drop;
    return v == PROTO_MORE;
}

/* How much of a message must be there before it is looked at. */
static size_t wanted(const struct pg_client *c, const struct pg_server *s, uint8_t type,
                     size_t total)
{
    if (type == 'd' && s != NULL)
        return PG_HEAD_BYTES;
    if (total <= PG_COLLECT_MAX || (type == 'P' && total <= c->statement_max_bytes))
        return total;
    return PG_COLLECT_MAX;
}

static enum proto_verdict feed_raw(struct pg_server *s, const uint8_t *in, size_t n, size_t *used,
                                   struct proto_out *out)
{
    if (s == NULL) {
        *used = 0;
        return n != 0 && in[0] == 'X' ? PROTO_BYE : PROTO_LOAN;
    }
    proto_lane_add(&out->server, in, n);
    *used = n;
    return PROTO_MORE;
}

/* The statement that a Bind is for, when its text says more than SQL. */
static const struct pg_stmt *said_by_bind(const struct pg_client *c, const char *body, size_t n)
{
    size_t portal = strnlen(body, n);
    size_t name = portal < n ? strnlen(body + portal + 1, n - portal - 1) : n;
    const struct pg_stmt *stmt = c->unnamed;
    if (portal + 1 + name >= n)
        return NULL;
    if (name != 0)
        stmt = pg_names_find(c->names, body + portal + 1, name);
    return stmt != NULL && (stmt->flags & PG_STMT_SAID) != 0 ? stmt : NULL;
}

/* How long it may take, and whose it is. */
static void note_said(struct pg_client *c, const struct pg_in *m, struct proto_out *out)
{
    struct comment said = {.trace_id = NULL};
    const char *text = (const char *)m->p + PG_HEAD_BYTES;
    size_t n = m->have - PG_HEAD_BYTES;
    switch (m->p[0]) {
    case 'P': {
        size_t name = strnlen(text, n);
        if (name < n)
            comment_read(text + name + 1, strnlen(text + name + 1, n - name - 1), &said);
        break;
    }
    case 'Q':
        comment_read(text, n, &said);
        break;
    case 'B': {
        const struct pg_stmt *stmt = c->said ? said_by_bind(c, text, n) : NULL;
        if (stmt != NULL)
            comment_read((const char *)stmt->body, stmt->text_len, &said);
        break;
    }
    case 'E':
    case 'F':
        break;
    default:
        return;
    }
    c->said |= said.deadline_ms != 0 || said.trace_id != NULL;
    if (said.deadline_ms == 0)
        said.deadline_ms = c->deadline_ms;
    if (said.deadline_ms != 0 && (out->deadline_ms == 0 || said.deadline_ms < out->deadline_ms))
        out->deadline_ms = said.deadline_ms;
    if (said.trace_id != NULL)
        out->trace_id = said.trace_id;
}

/* Like PgBouncer, which follows statements with a name and counts no others. */
static void count_statement(const struct pg_in *m, struct proto_out *out)
{
    const uint8_t *name = m->p + PG_HEAD_BYTES;
    size_t n = m->have - PG_HEAD_BYTES;
    if (m->p[0] == 'B') {
        size_t portal = strnlen((const char *)name, n);
        portal += portal < n;
        name += portal;
        n -= portal;
    }
    bool named = n != 0 && name[0] != '\0';
    out->client_parses += named && m->p[0] == 'P';
    out->binds += named && m->p[0] == 'B';
}

/* Of a client without a loan. */
static bool may_be_kill(const struct pg_client *c, uint8_t type)
{
    return (type == 'Q' || type == 'P' || (type == 'B' && c->may_kill)) && !c->skip_to_sync &&
           c->lost == PG_LOST_NO;
}

enum proto_verdict pg_client_feed(void *pc, void *ps, const uint8_t *in, size_t n, size_t *used,
                                  struct proto_out *out)
{
    struct pg_client *c = pc;
    struct pg_server *s = ps;
    size_t pos = 0;
    enum proto_verdict v = PROTO_MORE;
    if (c->replication)
        return feed_raw(s, in, n, used, out);
    for (unsigned fed = 1; pos < n && v == PROTO_MORE; fed++) {
        if (proto_out_full(out) || fed % FEED_MESSAGES == 0) {
            v = PROTO_FULL;
            break;
        }
        if (c->skip != 0) {
            size_t take = c->skip < n - pos ? (size_t)c->skip : n - pos;
            if (!c->drop)
                proto_lane_add(&out->server, in + pos, take);
            c->skip -= take;
            pos += take;
            continue;
        }
        if (s != NULL && s->alone && (s->len == 0 || s->copy == 'G' || s->copy == 'W'))
            s->alone = false; /* a COPY waits for its data, what was before it is answered */
        if (s != NULL &&
            (s->hold || s->alone || s->phase != PG_PH_NONE || s->len > PG_EXPECT_MAX - 64)) {
            v = PROTO_WAIT;
            break;
        }
        if (n - pos < PG_HEAD_BYTES)
            break;
        struct pg_in m = {.p = in + pos, .have = n - pos};
        uint32_t len = pg_get32(m.p + 1);
        if (!head_is_sound(m.p[0], len, out)) {
            v = PROTO_BAD;
            break;
        }
        m.total = 1 + (size_t)len;
        if (m.have > m.total) {
            m.behind = m.have - m.total;
            m.have = m.total;
        }
        if (m.have < wanted(c, s, m.p[0], m.total))
            break;
        c->drop = false;
        note_said(c, &m, out);
        if (m.p[0] == 'P' && s != NULL && !c->may_kill)
            c->may_kill = pg_kill_is_parsed(&m);
        if (s == NULL && may_be_kill(c, m.p[0])) {
            size_t taken = 0;
            v = pg_kill(c, m.p, n - pos, &taken, out);
            pos += taken;
            if (v == PROTO_MORE)
                continue;
            if (v != PROTO_LOAN)
                break;
        }
        v = m.p[0] == 'Q' ? pg_own(c, s, &m, out) : PROTO_LOAN;
        if (v == PROTO_LOAN)
            v = s == NULL ? pg_local(c, &m, out) : with_server(c, s, &m, out);
        if (v != PROTO_MORE)
            break;
        if (!c->drop)
            count_statement(&m, out);
        c->skip = m.total - m.have;
        pos += m.have;
    }
    *used = pos;
    return v;
}
