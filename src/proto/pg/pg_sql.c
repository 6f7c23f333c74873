/* SPDX-License-Identifier: ISC
 * See pg_sql.h. What goes to the server for one text:
 *
 *   Close, Parse of stand-ins; Parse of what EXECUTE needs; Sync     only if there is any
 *   Query                                                            the client's, renamed
 *   Describe, Sync for each PREPARE; Close of them all, Sync         only if there is any
 *
 * all in one write; the client sees the Query's answers only. Should something ahead fail, the text
 * runs all the same, as far as it would have: its EXECUTE fails, with the error of what was ahead.
 */
#include "config.h"

#include "proto/pg/pg_sql.h"

#include "proto/pg/pg_session.h"
#include "proto/pg/pg_sql_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STAND_IN_BYTES 16u
#define PAD_MAX        1024u /* characters in front of a PREPARE's statement that are kept */

void pg_sql_drop(struct pg_sql **qp)
{
    struct pg_sql *q = *qp;
    *qp = NULL;
    for (uint32_t i = 0; i < q->n; i++)
        pg_stmt_put(&q->items[i].stmt);
    buf_release(&q->sent);
    buf_release(&q->error);
    free(q);
}

static enum proto_verdict out_of_memory(struct proto_out *out)
{
    pg_put_error(out, "FATAL", "53200", "weir: out of memory");
    return PROTO_BAD;
}

/* ---- what the names stand for ------------------------------------------------------------------
 */

static void name_stand_in(struct pg_sql *q, struct pg_sql_item *it)
{
    (void)snprintf(it->sent, STAND_IN_BYTES, PG_STMT_PREFIX "s%u", (unsigned)(it - q->items));
    it->renamed = true;
}

/* Before item `i` the name stands for: a stand-in of this text (returned), a statement that is
 * known (*stmt), or nothing. */
static struct pg_sql_item *meaning(const struct pg_client *c, struct pg_sql *q, uint32_t i,
                                   struct pg_stmt **stmt)
{
    const char *name = q->items[i].name;
    *stmt = NULL;
    for (uint32_t j = i; j-- > 0;) {
        struct pg_sql_item *it = &q->items[j];
        if (it->flag == PG_SCAN_DEALLOCATE_ALL)
            return NULL;
        if (!it->renamed || it->flag == PG_SCAN_EXECUTE || strcmp(it->name, name) != 0)
            continue;
        if (it->flag == PG_SCAN_DEALLOCATE)
            return NULL;
        if (it->fresh)
            return it;
    }
    *stmt = pg_names_find(c->names, name, strlen(name));
    if (*stmt != NULL && ((*stmt)->flags & PG_STMT_OWN) != 0)
        *stmt = NULL;
    return NULL;
}

/* The statement of a PREPARE as a Parse would have it. Errors of later say where in the whole text
 * they are, so what stands before it is made up for with spaces. */
static struct pg_stmt *prepared_stmt(const struct pg_sql *q, struct pg_span body)
{
    size_t pad = pg_text_chars(q->text, body.off, q->how);
    struct buf b = {0};
    struct pg_stmt *stmt = NULL;
    if (pad > PAD_MAX)
        pad = 0;
    if (buf_printf(&b, "%*s", (int)pad, "") && buf_append(&b, q->text + body.off, body.len) &&
        buf_append(&b, "\0\0\0", 3))
        stmt = pg_stmt_intern(buf_head(&b), buf_len(&b), q->how, pg_scan_flags);
    buf_release(&b);
    return stmt;
}

/* Can the server be asked afterwards what the PREPARE's parameters are? In a failed transaction it
 * doesn't say, and a COPY would take the question for data. */
static bool may_prepare(const struct pg_client *c, const struct pg_server *s,
                        const struct pg_scan *scan, const struct pg_scan_name *name, bool whole)
{
    bool may_fail_later =
        scan->statements > 1 && (s->status != 'I' || (scan->flags & PG_SCAN_TX_BEGIN) != 0);
    return whole && pg_names_bytes(c->names) <= PG_NAMES_BYTES_MAX && name->body.len != 0 &&
           (scan->flags & PG_SCAN_COPY) == 0 && (s->pins & PG_PIN_PREPARE) == 0 &&
           !(name->typed && may_fail_later);
}

static bool decide_prepare(const struct pg_client *c, struct pg_sql *q, struct pg_sql_item *it,
                           struct pg_span body)
{
    struct pg_stmt *known;
    struct pg_sql_item *twin = meaning(c, q, (uint32_t)(it - q->items), &known);
    if (twin != NULL) { /* 42P05 */
        memcpy(it->sent, twin->sent, sizeof it->sent);
        it->renamed = true;
        return true;
    }
    name_stand_in(q, it);
    it->dummy = known != NULL;
    it->fresh = known == NULL;
    if (!it->fresh)
        return true;
    it->stmt = prepared_stmt(q, body);
    return it->stmt != NULL;
}

static void decide_use(const struct pg_client *c, struct pg_server *s, struct pg_sql *q,
                       struct pg_sql_item *it)
{
    struct pg_stmt *known;
    struct pg_sql_item *twin = meaning(c, q, (uint32_t)(it - q->items), &known);
    if (twin != NULL) {
        memcpy(it->sent, twin->sent, sizeof it->sent);
        it->renamed = true;
    } else if (known != NULL && it->flag == PG_SCAN_DEALLOCATE) {
        name_stand_in(q, it);
        it->dummy = true;
    } else if (known != NULL &&
               ((s->status != 'E' && !q->joins) || pg_cache_touch(&s->cache, known))) {
        it->stmt = pg_stmt_get(known);
        memcpy(it->sent, known->name, sizeof it->sent);
        it->renamed = true;
    } else if (strncmp(it->name, PG_STMT_PREFIX, PG_STMT_PREFIX_LEN) == 0) {
        name_stand_in(q, it); /* what the connection has under that name is not this client's */
    }
}

/* *any: something is to be replaced; *left: a PREPARE stays as it is. */
static bool decide(const struct pg_client *c, struct pg_server *s, struct pg_sql *q,
                   const struct pg_scan *scan, bool whole, bool *any, bool *left)
{
    *any = *left = false;
    for (uint32_t i = 0; i < scan->n_names; i++) {
        const struct pg_scan_name *name = &scan->names[i];
        struct pg_sql_item *it = &q->items[q->n++];
        it->flag = name->flag;
        it->at = name->at;
        if (it->flag == PG_SCAN_DEALLOCATE_ALL)
            continue;
        bool readable = name->at.len != 0 && pg_scan_identifier(q->text, name->at, it->name) != 0;
        if (readable && it->flag != PG_SCAN_PREPARE)
            decide_use(c, s, q, it);
        else if (readable && may_prepare(c, s, scan, name, whole) &&
                 !decide_prepare(c, q, it, name->body))
            return false;
        *any |= it->renamed;
        q->changes |= it->renamed && it->flag != PG_SCAN_EXECUTE;
        *left |= it->flag == PG_SCAN_PREPARE && !it->renamed;
    }
    return true;
}

/* ---- sending ------------------------------------------------------------------------------------
 */

/* A Close; of what isn't there it is no error. */
static bool put_close(struct pg_server *s, struct buf *b, const char *name)
{
    uint8_t msg[PG_HEAD_BYTES + 1 + PG_STMT_NAME_BYTES] = {'C', 0, 0, 0, 0, 'S'};
    size_t n = strlen(name) + 1;
    pg_put32(msg + 1, (uint32_t)(4 + 1 + n));
    memcpy(msg + PG_HEAD_BYTES + 1, name, n);
    return pg_expect_push(s, PG_X_CLOSE, PG_A_ASIDE) != NULL &&
           buf_append(b, msg, PG_HEAD_BYTES + 1 + n);
}

static bool put_sync(struct pg_server *s, struct buf *b)
{
    static const uint8_t sync[] = {'S', 0, 0, 0, 4};
    return pg_expect_push(s, PG_X_SYNC, PG_A_ASIDE) != NULL && buf_append(b, sync, sizeof sync);
}

/* A stand-in as it has to be before the text: there, or not there. What an earlier text has left of
 * it is closed. */
static bool put_stand_in(struct pg_server *s, struct buf *b, const struct pg_sql_item *it)
{
    uint8_t msg[PG_HEAD_BYTES + STAND_IN_BYTES + 3] = {'P'};
    size_t n = strlen(it->sent) + 1;
    if (!put_close(s, b, it->sent) || it->fresh)
        return it->fresh;
    pg_put32(msg + 1, (uint32_t)(4 + n + 3));
    memcpy(msg + PG_HEAD_BYTES, it->sent, n);
    return pg_expect_push(s, PG_X_PARSE, PG_A_ASIDE) != NULL &&
           buf_append(b, msg, PG_HEAD_BYTES + n + 3);
}

static bool is_ready(struct pg_server *s, const struct pg_stmt *stmt)
{
    return pg_cache_touch(&s->cache, stmt) && !pg_cache_is_old(s->cache, stmt);
}

/* What EXECUTE needs, as far as there is room to say it: false with `*full` when there isn't. */
static bool put_needed(struct pg_client *c, struct pg_server *s, struct pg_sql *q, bool *sent,
                       bool *full, struct proto_out *out)
{
    uint32_t limit = q->n > c->prepared_limit ? q->n : c->prepared_limit;
    for (uint32_t i = 0; !q->joins && i < q->n; i++) {
        struct pg_sql_item *it = &q->items[i];
        if (it->flag != PG_SCAN_EXECUTE || it->stmt == NULL || is_ready(s, it->stmt))
            continue;
        *full = proto_out_full(out);
        if (*full)
            return false;
        if (!pg_put_needed(s, it->stmt, limit, PG_A_ASIDE, out))
            return false;
        *sent = true;
    }
    return true;
}

/* PROTO_MORE: all that must be there is, or is on its way. */
static enum proto_verdict put_ahead(struct pg_client *c, struct pg_server *s, struct pg_sql *q,
                                    struct proto_out *out)
{
    bool sent = false, full = false, ok = true;
    struct buf b = {0};
    ok = put_needed(c, s, q, &sent, &full, out) || full;
    for (uint32_t i = 0; ok && !full && i < q->n; i++) {
        if (!q->items[i].dummy && !q->items[i].fresh)
            continue;
        ok = put_stand_in(s, &b, &q->items[i]);
        sent = true;
    }
    if (ok && sent && !q->joins)
        ok = put_sync(s, &b);
    if (ok && buf_len(&b) != 0)
        pg_put(out, &out->server, buf_head(&b), buf_len(&b));
    buf_release(&b);
    s->open = s->bound = false;
    if (!ok)
        return out_of_memory(out);
    return full ? PROTO_FULL : PROTO_MORE;
}

/* The text with its names replaced, as a Query of which `more` bytes follow. */
static bool compose(struct pg_sql *q, size_t text_len, size_t more)
{
    uint8_t head[PG_HEAD_BYTES] = {'Q'};
    size_t at = 0;
    bool ok = buf_append(&q->sent, head, sizeof head);
    for (uint32_t i = 0; ok && i < q->n; i++) {
        struct pg_sql_item *it = &q->items[i];
        if (!it->renamed)
            continue;
        ok = buf_append(&q->sent, q->text + at, it->at.off - at);
        it->chars = (uint32_t)pg_text_chars(q->text + it->at.off, it->at.len, q->how);
        it->sent_at = (uint32_t)(buf_len(&q->sent) - PG_HEAD_BYTES);
        ok = ok && buf_append(&q->sent, it->sent, strlen(it->sent));
        at = it->at.off + it->at.len;
    }
    ok = ok && buf_append(&q->sent, q->text + at, text_len - at);
    if (!ok)
        return false;
    q->sent_len = buf_len(&q->sent) - PG_HEAD_BYTES;
    pg_put32(buf_head(&q->sent) + 1, (uint32_t)(buf_len(&q->sent) - 1 + more));
    return true;
}

/* Ask for the types of what was prepared. */
static bool put_describe(struct pg_server *s, struct buf *b, const struct pg_sql_item *it)
{
    uint8_t msg[PG_HEAD_BYTES + 1 + STAND_IN_BYTES] = {'D', 0, 0, 0, 0, 'S'};
    size_t n = strlen(it->sent) + 1;
    pg_put32(msg + 1, (uint32_t)(4 + 1 + n));
    memcpy(msg + PG_HEAD_BYTES + 1, it->sent, n);
    struct pg_expect *x = pg_expect_push(s, PG_X_DESCRIBE, PG_A_ASIDE);
    if (x == NULL || (x->name = strdup(it->name)) == NULL)
        return false;
    x->stmt = pg_stmt_get(it->stmt);
    pg_expect_set_unsure(s, x);
    return buf_append(b, msg, PG_HEAD_BYTES + 1 + n);
}

/* Ask what was prepared, and clean up. */
static bool put_behind(struct pg_server *s, struct pg_sql *q)
{
    bool any = false, ok = true;
    for (uint32_t i = 0; ok && i < q->n; i++)
        if (q->items[i].fresh)
            ok = any = put_describe(s, &q->sent, &q->items[i]) && put_sync(s, &q->sent);
    for (uint32_t i = 0; ok && i < q->n; i++)
        if (q->items[i].fresh)
            ok = put_close(s, &q->sent, q->items[i].sent);
    return ok && (!any || put_sync(s, &q->sent));
}

/* What the statements do when they are executed. */
static void note(struct pg_client *c, struct pg_server *s, struct pg_sql *q,
                 const struct pg_scan *scan, bool left)
{
    uint64_t flags = scan->flags;
    if (!left)
        flags &= ~PG_SCAN_PREPARE;
    if (scan->statements != 1 || scan->kind != PG_KIND_PREPARE || left) { /* else it isn't now */
        pg_note(c, s, flags, q->text, q->text_len);
        pg_hidden_note(c, s, scan, q->text, q->text_len);
    }
    for (uint32_t i = 0; i < q->n; i++) {
        struct pg_stmt *stmt = q->items[i].stmt;
        if (q->items[i].flag != PG_SCAN_EXECUTE || stmt == NULL)
            continue;
        flags = stmt->flags & ~(PG_STMT_OWN | PG_STMT_SAID);
        /* Not a text of its own: what it sets is asked for. */
        if ((flags & (PG_SCAN_SET_SIMPLE | PG_SCAN_RESET_ONE | PG_SCAN_RESET_ALL)) != 0)
            flags |= PG_SCAN_SET_OPAQUE;
        pg_note_stmt(c, s, flags, stmt);
        pg_hidden_note_stmt(c, s, stmt);
    }
}

/* Is something of the client's unanswered? What it does to the names must be known first. */
static bool is_early(struct pg_server *s)
{
    for (uint32_t i = 0; i < s->len; i++) {
        const struct pg_expect *x = pg_expect_at(s, i);
        if (x->act != PG_A_SET && x->act != PG_A_ASIDE)
            return true;
        if (x->act == PG_A_ASIDE && x->kind == PG_X_DESCRIBE)
            return true;
    }
    return false;
}

static enum proto_verdict send(struct pg_client *c, struct pg_server *s, const struct pg_in *m,
                               struct pg_sql **qp, const struct pg_scan *scan, bool left,
                               struct proto_out *out)
{
    struct pg_sql *q = *qp;
    enum proto_verdict v = put_ahead(c, s, q, out);
    if (v != PROTO_MORE)
        return v;
    note(c, s, q, scan, left);
    /* Nothing of it is sent before all of it is there: the buffer may move. */
    v = pg_push_query(c, s, &(struct pg_in){.p = m->p}, out);
    if (v != PROTO_MORE)
        return v;
    struct pg_expect *x = pg_expect_at(s, s->len - 1);
    x->sql = q;
    if (q->changes)
        pg_expect_set_unsure(s, x);
    q->once = !q->changes && scan->statements == 1 && q->n == 1 && s->status == 'I' && !q->joins &&
              m->have == m->total;
    *qp = NULL;
    if (!compose(q, m->have - PG_HEAD_BYTES, m->total - m->have) || !put_behind(s, q))
        return out_of_memory(out);
    proto_lane_add(&out->server, buf_head(&q->sent), buf_len(&q->sent));
    s->alone = (scan->flags & (PG_SCAN_DISCARD_ALL | PG_SCAN_DEALLOCATE_ALL)) != 0 || s->resets;
    q->text = NULL;
    return PROTO_MORE;
}

enum proto_verdict pg_sql_query(struct pg_client *c, struct pg_server *s, const struct pg_in *m,
                                const struct pg_scan *scan, struct proto_out *out)
{
    bool whole = m->have == m->total, any, left;
    if (scan->n_names > PG_SCAN_NAMES_MAX)
        return PROTO_LOAN;
    bool early = is_early(s);
    if (early && s->open) { /* no Sync ends that batch, so nothing else makes the server answer */
        pg_put_msg(out, &out->server, 'H', NULL, 0);
        s->alone = true;
    }
    if (early)
        return PROTO_WAIT;
    struct pg_sql *q = calloc(1, sizeof *q + scan->n_names * sizeof q->items[0]);
    if (q == NULL)
        return out_of_memory(out);
    q->text = (const char *)m->p + PG_HEAD_BYTES;
    q->text_len = m->have - PG_HEAD_BYTES - (whole && m->have > PG_HEAD_BYTES);
    q->how = c->how;
    q->joins = s->open;
    enum proto_verdict v = PROTO_LOAN;
    if (!decide(c, s, q, scan, whole, &any, &left))
        v = out_of_memory(out);
    else if (any)
        v = send(c, s, m, &q, scan, left, out);
    pg_sql_free(&q);
    return v;
}

bool pg_sql_again(struct pg_client *c, struct pg_server *s, struct proto_out *out)
{
    struct pg_sql *q = s->sql_again;
    struct pg_stmt *stmt = q->items[0].stmt;
    struct buf b = {0};
    s->sql_again = NULL;
    s->hold = q->stale = false;
    pg_cache_remove(&s->cache, stmt->name);
    bool ok = put_close(s, &b, stmt->name);
    if (ok)
        pg_put(out, &out->server, buf_head(&b), buf_len(&b));
    buf_release(&b);
    ok = ok && put_ahead(c, s, q, out) == PROTO_MORE &&
         pg_push_query(c, s, &(struct pg_in){.p = buf_head(&q->sent)}, out) == PROTO_MORE;
    if (!ok) {
        pg_sql_free(&q);
        return false;
    }
    pg_expect_at(s, s->len - 1)->sql = q;
    proto_lane_add(&out->server, buf_head(&q->sent), buf_len(&q->sent));
    return true;
}

/* ---- the extended protocol
 * -----------------------------------------------------------------------
 */

/* The text with its names replaced is a statement of its own. */
static struct pg_stmt *replaced(struct pg_sql *q, const struct pg_stmt *stmt)
{
    struct buf b = {0};
    struct pg_stmt *use = NULL;
    if (compose(q, q->text_len + 1, 0) &&
        buf_append(&b, buf_head(&q->sent) + PG_HEAD_BYTES, q->sent_len) &&
        buf_append(&b, stmt->body + q->text_len + 1, stmt->body_len - q->text_len - 1))
        use = pg_stmt_intern(buf_head(&b), buf_len(&b), stmt->how, pg_scan_flags);
    buf_release(&b);
    return use;
}

/* What the replaced statement needs, and itself. */
static bool put_for_bind(struct pg_client *c, struct pg_server *s, struct pg_sql *q,
                         struct pg_stmt *use, struct proto_out *out)
{
    const struct pg_sql_item *it = &q->items[0];
    uint32_t limit = c->prepared_limit > 2 ? c->prepared_limit : 2; /* both at once */
    struct buf b = {0};
    bool ok = true;
    if (it->flag == PG_SCAN_EXECUTE && it->stmt != NULL && !is_ready(s, it->stmt))
        ok = pg_put_needed(s, it->stmt, limit, PG_A_SWALLOW, out);
    if (ok && (it->fresh || it->dummy))
        ok = put_stand_in(s, &b, it);
    if (ok && buf_len(&b) != 0)
        pg_put(out, &out->server, buf_head(&b), buf_len(&b));
    buf_release(&b);
    return ok &&
           (pg_cache_touch(&s->cache, use) || pg_put_needed(s, use, limit, PG_A_SWALLOW, out));
}

enum proto_verdict pg_sql_bind(struct pg_client *c, struct pg_server *s, const struct pg_stmt *stmt,
                               bool bind, bool portal, struct pg_stmt **use, struct proto_out *out)
{
    struct pg_scan scan;
    const char *sql = (const char *)stmt->body;
    size_t n = stmt->text_len;
    bool any, left;
    *use = NULL;
    if (n > PG_SCAN_MAX)
        return PROTO_MORE;
    pg_text_scan(sql, n, stmt->how, 0, &scan);
    /* The names are looked at when the statement runs: of another portal that can't be said. */
    if (scan.n_names != 1 || s->status == 'E' || (scan.names[0].flag != PG_SCAN_EXECUTE && !bind))
        return PROTO_MORE;
    struct pg_sql *q = calloc(1, sizeof *q + sizeof q->items[0]);
    if (q == NULL)
        return out_of_memory(out);
    q->text = sql;
    q->text_len = n;
    q->how = stmt->how;
    enum proto_verdict v = PROTO_MORE;
    if (!decide(c, s, q, &scan, true, &any, &left)) {
        v = out_of_memory(out);
    } else if (q->items[0].name[0] != '\0' &&
               pg_is_unsure(s, q->items[0].name, strlen(q->items[0].name), NULL)) {
        v = PROTO_WAIT;
    } else if (any && !(portal && q->changes)) {
        *use = replaced(q, stmt);
        if (*use == NULL || !put_for_bind(c, s, q, *use, out))
            v = out_of_memory(out);
        if (bind)
            note(c, s, q, &scan, left);
        if (bind && !portal) {
            s->sql_bound = q;
            q = NULL;
        }
    }
    pg_sql_free(&q);
    return v;
}

enum proto_verdict pg_sql_execute(struct pg_server *s, const struct pg_in *m, struct proto_out *out)
{
    struct pg_sql *q = s->sql_bound;
    struct pg_expect *x = pg_expect_push(s, PG_X_EXECUTE, PG_A_PASS);
    if (x == NULL)
        return out_of_memory(out);
    s->sql_bound = NULL;
    x->sql = q;
    proto_lane_add(&out->server, m->p, m->have);
    if (!q->changes)
        return PROTO_MORE;
    pg_expect_set_unsure(s, x);
    struct buf b = {0};
    bool ok = !q->items[0].fresh ||
              (put_describe(s, &b, &q->items[0]) && put_close(s, &b, q->items[0].sent));
    if (ok && buf_len(&b) != 0)
        pg_put(out, &out->server, buf_head(&b), buf_len(&b));
    buf_release(&b);
    if (!ok)
        return out_of_memory(out);
    /* What is behind it in the pipeline is looked at when this is answered. */
    pg_put_msg(out, &out->server, 'H', NULL, 0);
    s->alone = true;
    return PROTO_MORE;
}
