/* SPDX-License-Identifier: ISC
 * Parse, Bind, Describe and Close: statement names are the client's on one side and weir's on the
 * other, and a statement is prepared on the borrowed connection when it isn't there yet.
 *
 * Only names are rewritten; everything behind them passes through where it stands.
 * What must fail is made to fail by the server itself (a Describe of a name that can't exist, its
 * error replaced), so that the transaction and the rest of the pipeline fail as they should.
 */
#include "config.h"

#include "proto/comment/comment.h"
#include "proto/pg/pg_columns.h"
#include "proto/pg/pg_scan.h"
#include "proto/pg/pg_session.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_SUCH_STATEMENT PG_STMT_PREFIX "-"
#define DROPS_ALL         (PG_SCAN_DISCARD_ALL | PG_SCAN_DEALLOCATE_ALL)

static enum proto_verdict out_of_memory(struct proto_out *out)
{
    pg_put_error(out, "FATAL", "53200", "weir: out of memory");
    return PROTO_BAD;
}

/* A text is scanned in one piece, in which nobody else is served. */
#define PARSE_SCAN_MAX (1024u * 1024u)

uint64_t pg_scan_flags(const char *sql, size_t n, pg_text_how_t how, struct pg_scan *found)
{
    bool cut = n > PARSE_SCAN_MAX;
    pg_text_scan(sql, cut ? PARSE_SCAN_MAX : n, how, cut ? PG_SCAN_OPT_CUT : 0, found);
    if (pg_own_is(sql, n))
        return PG_STMT_OWN;
    struct comment said;
    comment_read(sql, n, &said);
    return found->flags | (said.deadline_ms != 0 || said.trace_id != NULL ? PG_STMT_SAID : 0);
}

/* Make the server fail here and show this error instead of its own. The routine is PostgreSQL's:
 * drivers know by it what to do (pgjdbc, asyncpg; postgres.js prepares anew and tries again). */
static enum proto_verdict fail_here(struct pg_server *s, struct proto_out *out, const char *code,
                                    const char *routine, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

static enum proto_verdict fail_here(struct pg_server *s, struct proto_out *out, const char *code,
                                    const char *routine, const char *fmt, ...)
{
    struct pg_expect *x = pg_expect_push(s, PG_X_DESCRIBE, PG_A_REPLACE);
    if (x == NULL || (x->fault = calloc(1, sizeof *x->fault)) == NULL)
        return out_of_memory(out);
    char text[200];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    pg_fault_set(x->fault, code, "%s", text);
    x->fault->routine = routine;
    s->open = true;
    static const char body[] = "S" NO_SUCH_STATEMENT;
    pg_put_msg(out, &out->server, 'D', body, sizeof body);
    return PROTO_MORE;
}

static enum proto_verdict pass(struct pg_server *s, enum pg_expect_kind kind, const struct pg_in *m,
                               struct proto_out *out)
{
    if (pg_expect_push(s, kind, PG_A_PASS) == NULL)
        return out_of_memory(out);
    s->open = true;
    proto_lane_add(&out->server, m->p, m->have);
    return PROTO_MORE;
}

/* Parse of a remembered statement under its server name ("" for the unnamed one). The body is
 * stable memory: the statement is held by the entry that the caller pushed. */
static void put_parse(struct pg_server *s, struct proto_out *out, const char *name,
                      const struct pg_stmt *stmt)
{
    size_t len = strlen(name) + 1;
    s->open = true;
    out->server_parses += len > 1;
    uint8_t head[PG_HEAD_BYTES] = {'P'};
    pg_put32(head + 1, (uint32_t)(4 + len + stmt->body_len));
    pg_put(out, &out->server, head, sizeof head);
    pg_put(out, &out->server, name, len);
    proto_lane_add(&out->server, stmt->body, stmt->body_len);
}

/* Close what the cache no longer has. */
static bool put_cache_close(struct pg_server *s, const char *name, enum pg_expect_act act,
                            struct proto_out *out)
{
    struct pg_expect *x = pg_expect_push(s, PG_X_CLOSE, act);
    if (x == NULL || (x->name = strdup(name)) == NULL)
        return false;
    x->cached = true;
    pg_expect_set_unsure(s, x);
    uint8_t body[1 + PG_STMT_NAME_BYTES] = {'S'};
    memcpy(body + 1, name, PG_STMT_NAME_BYTES);
    pg_put_msg(out, &out->server, 'C', body, sizeof body);
    return true;
}

/* It is to be prepared there anew. */
static bool put_renewal(struct pg_server *s, const struct pg_stmt *stmt, enum pg_expect_act act,
                        struct proto_out *out)
{
    pg_cache_remove(&s->cache, stmt->name);
    s->open = true;
    return put_cache_close(s, stmt->name, act, out);
}

#define EVICT_MAX 8u /* for one that is prepared, when a reload has lowered the limit */

/* Note in the cache that the statement will be there; close what makes room. It stays itself: one
 * that is there without being known would be in the way of the next Parse. */
static bool cache_note(struct pg_server *s, struct pg_stmt *stmt, uint32_t limit,
                       struct proto_out *out)
{
    char evicted[PG_STMT_NAME_BYTES];
    if (!pg_cache_add(&s->cache, stmt))
        return false;
    limit += limit == 0;
    for (uint32_t i = 0; i < EVICT_MAX && pg_cache_evict(&s->cache, limit, evicted); i++)
        if (!put_cache_close(s, evicted, PG_A_SWALLOW, out))
            return false;
    return true;
}

bool pg_put_needed(struct pg_server *s, struct pg_stmt *stmt, uint32_t limit,
                   enum pg_expect_act act, struct proto_out *out)
{
    if (pg_cache_touch(&s->cache, stmt) && !put_renewal(s, stmt, act, out))
        return false;
    if (!cache_note(s, stmt, limit, out))
        return false;
    struct pg_expect *x = pg_expect_push(s, PG_X_PARSE, act);
    if (x == NULL)
        return false;
    x->stmt = pg_stmt_get(stmt);
    x->cached = true;
    pg_expect_set_unsure(s, x);
    put_parse(s, out, stmt->name, stmt);
    return true;
}

/* The named statement is on the server (*there), or on its way there. An old one serves who goes by
 * a description of it, or is refused. */
static bool ensure_named(struct pg_client *c, struct pg_server *s, struct pg_stmt *stmt,
                         pg_columns_t expected, bool *there, struct proto_out *out)
{
    *there = c->prepared_limit != 0 && pg_cache_touch(&s->cache, stmt) &&
             (expected != 0 || !pg_cache_is_old(s->cache, stmt));
    return *there || pg_put_needed(s, stmt, c->prepared_limit, PG_A_SWALLOW, out);
}

/* Has the server the unnamed statement only if it gets as far as weir's Parse in a batch that is
 * sent? Where that fails before, what another client left is there still. */
static bool unnamed_is_unsure(struct pg_server *s)
{
    bool synced = false;
    for (uint32_t i = s->len; i-- > 0;) {
        const struct pg_expect *x = pg_expect_at(s, i);
        synced |= x->kind == PG_X_SYNC;
        if (x->kind == PG_X_PARSE && x->act == PG_A_SWALLOW && !x->cached && x->name == NULL)
            return synced;
    }
    return false;
}

/* The server's unnamed statement is the client's. */
static bool ensure_unnamed(struct pg_client *c, struct pg_server *s, struct proto_out *out)
{
    if (c->unnamed == NULL || (c->unnamed == s->unnamed && !unnamed_is_unsure(s)))
        return true;
    struct pg_expect *x = pg_expect_push(s, PG_X_PARSE, PG_A_SWALLOW);
    if (x == NULL)
        return false;
    x->stmt = pg_stmt_get(c->unnamed);
    pg_stmt_put(&s->unnamed);
    s->unnamed = pg_stmt_get(c->unnamed);
    put_parse(s, out, "", c->unnamed);
    return true;
}

static enum proto_verdict parse_unnamed(struct pg_client *c, struct pg_server *s,
                                        const struct pg_in *m, const uint8_t *body, size_t n,
                                        struct proto_out *out)
{
    struct pg_stmt *stmt = c->unnamed, *old = NULL;
    const char *sql = (const char *)body;
    bool replaced = stmt == NULL || stmt->body_len != n || memcmp(stmt->body, body, n) != 0 ||
                    stmt->how != pg_text_how_of(sql, strlen(sql), c->how);
    if (replaced) {
        stmt = pg_stmt_intern(body, n, c->how, pg_scan_flags);
        if (stmt == NULL)
            return out_of_memory(out);
    }
    enum proto_verdict v = pg_sequence_forget(c, s, stmt->flags, out);
    if (v != PROTO_MORE) {
        if (replaced)
            pg_stmt_put(&stmt);
        return v;
    }
    if (replaced) {
        old = c->unnamed;
        c->unnamed = stmt;
    }
    bool own = (stmt->flags & PG_STMT_OWN) != 0;
    if (s->unnamed != stmt && !own) {
        pg_stmt_put(&s->unnamed);
        s->unnamed = pg_stmt_get(stmt);
    }
    s->pins &= ~(uint32_t)PG_PIN_LARGE;
    struct pg_expect *x = pg_expect_push(s, PG_X_PARSE, own ? PG_A_FAKE : PG_A_PASS);
    if (x == NULL) {
        pg_stmt_put(&old);
        return out_of_memory(out);
    }
    x->unnamed = true;
    x->replaced = replaced;
    x->stmt = old;
    pg_expect_set_unsure(s, x);
    if (own) {
        (void)pg_expect_fakes(s, c, out);
        return PROTO_MORE;
    }
    s->open = true;
    proto_lane_add(&out->server, m->p, m->have);
    return PROTO_MORE;
}

bool pg_is_unsure(struct pg_server *s, const char *name, size_t n, const struct pg_stmt *stmt)
{
    bool synced = false;
    if (s->unsure == 0)
        return false;
    for (uint32_t i = s->len; i-- > 0;) {
        const struct pg_expect *x = pg_expect_at(s, i);
        synced |= x->kind == PG_X_SYNC || x->kind == PG_X_QUERY;
        if (x->sql != NULL && x->unsure && n != 0)
            return true; /* PREPARE or DEALLOCATE of who knows which */
        if (x->unnamed && n == 0)
            return synced; /* the last one decides */
        if (!synced || !x->unsure)
            continue;
        if (stmt != NULL && (x->stmt == stmt || (x->kind == PG_X_CLOSE && x->cached &&
                                                 strcmp(x->name, stmt->name) == 0)))
            return true;
        if (x->name != NULL && !(x->kind == PG_X_CLOSE && x->cached) && strlen(x->name) == n &&
            memcmp(x->name, name, n) == 0)
            return true;
    }
    return false;
}

/* The name is in use. PostgreSQL looks at the name last: what else is wrong with the text comes
 * first. It is judged in the unnamed slot. */
static enum proto_verdict parse_in_use(struct pg_client *c, struct pg_server *s, const char *name,
                                       const uint8_t *body, size_t n, struct proto_out *out)
{
    if (!pg_own_is((const char *)body, strlen((const char *)body))) {
        struct pg_expect *x = pg_expect_push(s, PG_X_PARSE, PG_A_SWALLOW);
        if (x == NULL || (x->stmt = pg_stmt_intern(body, n, c->how, pg_scan_flags)) == NULL)
            return out_of_memory(out);
        pg_stmt_put(&s->unnamed);
        put_parse(s, out, "", x->stmt);
    }
    return fail_here(s, out, "42P05", "StorePreparedStatement",
                     "prepared statement \"%s\" already exists", name);
}

static enum proto_verdict parse_named(struct pg_client *c, struct pg_server *s, const char *name,
                                      size_t name_len, const uint8_t *body, size_t n,
                                      struct proto_out *out)
{
    if (pg_is_unsure(s, name, name_len, NULL))
        return PROTO_WAIT;
    if (pg_names_find(c->names, name, name_len) != NULL)
        return parse_in_use(c, s, name, body, n, out);
    if (pg_names_bytes(c->names) > PG_NAMES_BYTES_MAX)
        return fail_here(s, out, "54000", "StorePreparedStatement",
                         "weir: the statements that this client has prepared take more than %u MB",
                         PG_NAMES_BYTES_MAX >> 20);
    c->pdo |= strncmp(name, "pdo_stmt_", 9) == 0;
    struct pg_stmt *stmt = pg_stmt_intern(body, n, c->how, pg_scan_flags);
    if (stmt == NULL)
        return out_of_memory(out);
    enum proto_verdict v = PROTO_MORE;
    if (pg_is_unsure(s, name, name_len, stmt)) {
        v = PROTO_WAIT;
        goto out;
    }
    v = pg_sequence_forget(c, s, stmt->flags, out);
    if (v != PROTO_MORE)
        goto out;
    /* The server judges the text each time, for what it means changes: search_path, a table that is
     * gone, a failed transaction. Where it has the statement, or might refuse it without fault of
     * the text, it gets the text in the unnamed slot, so that the cache stays true. What it has may
     * have columns of long ago: that is seen when it is used, or it is prepared anew. */
    bool own = (stmt->flags & PG_STMT_OWN) != 0;
    bool there = pg_cache_touch(&s->cache, stmt);
    bool renew = !own && there && s->status != 'E' &&
                 (pg_cache_is_outlived(s->cache, stmt) || !pg_heal_can(s));
    bool judged = !own && !renew && (s->status == 'E' || there);
    if ((renew && !put_renewal(s, stmt, PG_A_SWALLOW, out)) ||
        (!own && !judged && !cache_note(s, stmt, c->prepared_limit, out)) ||
        !pg_names_add(&c->names, name, name_len, stmt)) {
        v = out_of_memory(out);
        goto out;
    }
    struct pg_expect *x = pg_expect_push(s, PG_X_PARSE, own ? PG_A_FAKE : PG_A_PASS);
    if (x == NULL || (x->name = strdup(name)) == NULL) {
        v = out_of_memory(out);
        goto out;
    }
    x->stmt = pg_stmt_get(stmt);
    x->cached = !own && !judged;
    pg_expect_set_unsure(s, x);
    if (judged) {
        pg_stmt_put(&s->unnamed);
        s->judged = (stmt->flags & PG_SQL_NAMES) == 0 ? stmt : NULL;
    }
    if (own)
        (void)pg_expect_fakes(s, c, out);
    else
        put_parse(s, out, judged ? "" : stmt->name, stmt);
out:
    pg_stmt_put(&stmt);
    return v;
}

/* Query and types are whole and nothing is behind them? What isn't is for the server to refuse. */
static bool parse_is_sound(const uint8_t *body, size_t n)
{
    size_t query = pg_strlen(body, n);
    if (query == (size_t)-1 || n - query - 1 < 2)
        return false;
    return n - query - 1 == 2 + 4 * (size_t)pg_get16(body + query + 1);
}

static enum proto_verdict on_parse(struct pg_client *c, struct pg_server *s, const struct pg_in *m,
                                   struct proto_out *out)
{
    const uint8_t *msg = m->p;
    const char *name = (const char *)msg + PG_HEAD_BYTES;
    size_t rest = m->have - PG_HEAD_BYTES;
    size_t name_len = pg_strlen(msg + PG_HEAD_BYTES, rest);
    if (name_len == (size_t)-1 ||
        !parse_is_sound(msg + PG_HEAD_BYTES + name_len + 1, rest - name_len - 1))
        return pass(s, PG_X_PARSE, m, out);
    const uint8_t *body = msg + PG_HEAD_BYTES + name_len + 1;
    size_t n = rest - name_len - 1;
    struct pg_fault fault;
    if (pg_own_is_wrong((const char *)body, strlen((const char *)body), &fault))
        return fail_here(s, out, fault.sqlstate, fault.routine, "%s", fault.message);
    if (name_len == 0)
        return parse_unnamed(c, s, m, body, n, out);
    return parse_named(c, s, name, name_len, body, n, out);
}

/* Send msg with the statement name at `at` (old_len without NUL) replaced. */
static void put_renamed(struct proto_out *out, const struct pg_in *m, size_t at, size_t old_len,
                        const char *name)
{
    size_t len = strlen(name);
    uint8_t *head = pg_put(out, &out->server, m->p, PG_HEAD_BYTES);
    pg_put32(head + 1, (uint32_t)(m->total - 1 - old_len + len));
    proto_lane_add(&out->server, m->p + PG_HEAD_BYTES, at - PG_HEAD_BYTES);
    pg_put(out, &out->server, name, len);
    proto_lane_add(&out->server, m->p + at + old_len, m->have - at - old_len);
}

/* Bind or Describe of a statement of weir's own, or what is done with its portal. */
static enum proto_verdict use_own(struct pg_client *c, struct pg_server *s,
                                  enum pg_expect_kind kind, struct pg_stmt *stmt, bool portal,
                                  struct proto_out *out)
{
    struct pg_expect *x = pg_expect_push(s, kind, PG_A_FAKE);
    if (x == NULL)
        return out_of_memory(out);
    x->stmt = pg_stmt_get(stmt);
    x->portal = portal;
    s->open = true;
    if (kind == PG_X_BIND)
        s->own = pg_stmt_get(stmt);
    (void)pg_expect_fakes(s, c, out);
    return PROTO_MORE;
}

static enum proto_verdict describe_portal(struct pg_server *s, const struct pg_in *m,
                                          struct proto_out *out)
{
    size_t at = PG_HEAD_BYTES + 1;
    size_t n = m->have > at ? pg_strlen(m->p + at, m->have - at) : (size_t)-1;
    enum proto_verdict v = pass(s, PG_X_DESCRIBE, m, out);
    if (v == PROTO_MORE && n != (size_t)-1)
        pg_columns_ask(s, pg_expect_at(s, s->len - 1), (const char *)m->p + at, n);
    return v;
}

static bool is_own_portal(const struct pg_server *s, const struct pg_in *m, size_t at)
{
    return s->own != NULL && m->have > at && m->p[at] == '\0';
}

/* Of a statement with names in its text, another is used in its place: *used. */
static enum proto_verdict use_replaced(struct pg_client *c, struct pg_server *s,
                                       enum pg_expect_kind kind, const struct pg_stmt *stmt,
                                       const struct pg_in *m, size_t at, size_t name_len,
                                       bool *used, struct proto_out *out)
{
    bool bind = kind == PG_X_BIND;
    struct pg_stmt *use;
    enum proto_verdict v =
        pg_sql_bind(c, s, stmt, bind, bind && m->p[PG_HEAD_BYTES] != '\0', &use, out);
    *used = v != PROTO_MORE || use != NULL;
    if (!*used)
        return v;
    struct pg_expect *x = v == PROTO_MORE ? pg_expect_push(s, kind, PG_A_PASS) : NULL;
    if (v == PROTO_MORE && x == NULL)
        v = out_of_memory(out);
    if (v == PROTO_MORE) {
        x->mark = pg_names_mark((const char *)m->p + at, name_len);
        s->open = true;
        put_renamed(out, m, at, name_len, use->name);
    }
    pg_stmt_put(&use);
    return v;
}

/* The statement has the columns that the client goes by; else *v says what becomes of its message.
 */
static bool has_columns(struct pg_client *c, struct pg_server *s, struct pg_stmt *stmt,
                        pg_columns_t expected, struct proto_out *out, enum proto_verdict *v)
{
    switch (pg_columns_check(c, s, stmt, expected, out)) {
    case PG_COLUMNS_SAME:
        return true;
    case PG_COLUMNS_ASKED:
        *v = PROTO_WAIT;
        break;
    case PG_COLUMNS_OTHER:
        *v = fail_here(s, out, PG_CHANGED_CODE, PG_CHANGED_ROUTINE, PG_CHANGED_TEXT);
        break;
    case PG_COLUMNS_NO_MEMORY:
        *v = out_of_memory(out);
        break;
    }
    return false;
}

/* Describe of the statement that was prepared just before, and judged. */
static enum proto_verdict describe_judged(struct pg_server *s, const struct pg_in *m,
                                          struct pg_stmt *stmt, const char *name, size_t name_len,
                                          struct proto_out *out)
{
    struct pg_expect *x = pg_expect_push(s, PG_X_DESCRIBE, PG_A_PASS);
    if (x == NULL)
        return out_of_memory(out);
    x->judged = true;
    x->stmt = pg_stmt_get(stmt);
    x->name = strndup(name, pg_name_len(name_len));
    x->mark = pg_names_mark(name, name_len);
    s->open = true;
    put_renamed(out, m, PG_HEAD_BYTES + 1, name_len, "");
    return PROTO_MORE;
}

static enum proto_verdict no_such_statement(struct pg_server *s, enum pg_expect_kind kind,
                                            const char *name, struct proto_out *out)
{
    const char *routine =
        kind == PG_X_BIND ? "exec_bind_message" : "exec_describe_statement_message";
    if (name[0] == '\0')
        return fail_here(s, out, "26000", routine, "unnamed prepared statement does not exist");
    return fail_here(s, out, "26000", "FetchPreparedStatement",
                     "prepared statement \"%s\" does not exist", name);
}

/* What the statement may do; its Bind has the values at `values`. */
static void note_bound(struct pg_client *c, struct pg_server *s, struct pg_stmt *stmt,
                       const struct pg_in *m, size_t values)
{
    uint64_t flags = stmt->flags;
    if ((flags & PG_SCAN_SET_UNNAMED) != 0 && m->have == m->total &&
        pg_note_parameters(s, m->p + values, m->have - values))
        flags = (flags & ~PG_SCAN_SET_UNNAMED) | PG_SCAN_SET_OPAQUE;
    pg_note_stmt(c, s, flags, stmt);
    pg_hidden_note_stmt(c, s, stmt);
    s->drops_all |= (stmt->flags & DROPS_ALL) != 0;
}

/* A message that names a statement at `at`: find it, bring it to the server, rename. */
static enum proto_verdict use_statement(struct pg_client *c, struct pg_server *s,
                                        enum pg_expect_kind kind, const struct pg_in *m, size_t at,
                                        struct proto_out *out)
{
    const char *name = (const char *)m->p + at;
    size_t name_len = pg_strlen(m->p + at, m->have - at);
    if (name_len == (size_t)-1)
        return pass(s, kind, m, out);
    struct pg_stmt *stmt = c->unnamed;
    bool there = false;
    pg_columns_t told = 0, expected = 0;
    enum proto_verdict v;
    if (name_len == 0 && pg_is_unsure(s, name, 0, NULL))
        return PROTO_WAIT;
    if (name_len == 0) {
        /* What the connection has under that name may be another client's. */
        if (stmt == NULL && (s->pins & PG_PIN_LARGE) == 0)
            return no_such_statement(s, kind, name, out);
        if (stmt != NULL && (stmt->flags & PG_STMT_OWN) != 0)
            return use_own(c, s, kind, stmt, false, out);
    } else {
        stmt = kind == PG_X_BIND ? pg_names_to_bind(c->names, name, name_len, s->cache, &told)
                                 : pg_names_find(c->names, name, name_len);
        if (pg_is_unsure(s, name, name_len, stmt))
            return PROTO_WAIT;
        if (stmt != NULL && stmt == s->judged)
            return describe_judged(s, m, stmt, name, name_len, out);
        if (stmt == NULL && (s->pins & PG_PIN_PREPARE) != 0)
            return pass(s, kind, m, out);
        if (stmt == NULL)
            return no_such_statement(s, kind, name, out);
        if ((stmt->flags & PG_STMT_OWN) != 0)
            return use_own(c, s, kind, stmt, false, out);
        if (kind == PG_X_BIND)
            expected = pg_columns_expected(told, m);
    }
    if (stmt != NULL && kind == PG_X_BIND && pg_refuse_block(c, stmt->flags, out))
        return PROTO_BAD;
    if (stmt != NULL && (stmt->flags & PG_SQL_NAMES) != 0) {
        bool used;
        v = use_replaced(c, s, kind, stmt, m, at, name_len, &used, out);
        if (used)
            return v;
    }
    if (kind == PG_X_BIND && name_len != 0 && !has_columns(c, s, stmt, expected, out, &v))
        return v;
    v = stmt != NULL ? pg_sequence_forget(c, s, stmt->flags, out) : PROTO_MORE;
    if (v != PROTO_MORE)
        return v;
    if (!(name_len == 0 ? ensure_unnamed(c, s, out)
                        : ensure_named(c, s, stmt, expected, &there, out)))
        return out_of_memory(out);
    if (stmt != NULL && kind == PG_X_BIND)
        note_bound(c, s, stmt, m, at + name_len + 1);
    if (name_len == 0)
        return pass(s, kind, m, out);
    bool first = s->heal.state == PG_HEAL_OFF ? there && pg_heal_start(s, stmt->name, expected == 0)
                                              : pg_heal_is_first(s);
    struct pg_expect *x = pg_expect_push(s, kind, PG_A_PASS);
    if (x == NULL)
        return out_of_memory(out);
    x->first = first;
    x->mark = pg_names_mark(name, name_len);
    if (kind == PG_X_DESCRIBE) {
        x->stmt = pg_stmt_get(stmt);
        x->name = strndup(name, pg_name_len(name_len)); /* without it the answer isn't noted */
    } else {
        pg_columns_bound(s, stmt, told, name, name_len, (const char *)m->p + PG_HEAD_BYTES);
    }
    s->open = true;
    put_renamed(out, m, at, name_len, stmt->name);
    return PROTO_MORE;
}

static enum proto_verdict on_close_statement(struct pg_client *c, struct pg_server *s,
                                             const struct pg_in *m, struct proto_out *out)
{
    size_t at = PG_HEAD_BYTES + 1;
    const char *name = (const char *)m->p + at;
    size_t name_len = pg_strlen(m->p + at, m->have - at);
    if (name_len == (size_t)-1 || at + name_len + 1 != m->total)
        return pass(s, PG_X_CLOSE, m, out);
    if (name_len == 0) {
        struct pg_expect *x = pg_expect_push(s, PG_X_CLOSE, PG_A_PASS);
        if (x == NULL)
            return out_of_memory(out);
        x->unnamed = x->replaced = true;
        x->stmt = c->unnamed;
        c->unnamed = NULL;
        pg_stmt_put(&s->unnamed);
        s->open = true;
        proto_lane_add(&out->server, m->p, m->have);
        return PROTO_MORE;
    }
    if (pg_is_unsure(s, name, name_len, NULL))
        return PROTO_WAIT;
    struct pg_stmt *gone = pg_names_remove(&c->names, name, name_len);
    if (gone == NULL && (s->pins & PG_PIN_PREPARE) != 0)
        return pass(s, PG_X_CLOSE, m, out);
    struct pg_expect *x = pg_expect_push(s, PG_X_CLOSE, PG_A_FAKE);
    if (x == NULL || (x->name = strdup(name)) == NULL) {
        pg_stmt_put(&gone);
        return out_of_memory(out);
    }
    pg_expect_set_unsure(s, x);
    x->stmt = gone; /* kept for taking back, should this Close be skipped */
    (void)pg_expect_fakes(s, c, out);
    return PROTO_MORE;
}

/* All statements may go with this one. What is behind it in the pipeline is looked at when that is
 * known; the server says so at once when it is asked to Flush. */
static enum proto_verdict execute_drops_all(struct pg_server *s, const struct pg_in *m,
                                            struct proto_out *out)
{
    enum proto_verdict v = pass(s, PG_X_EXECUTE, m, out);
    if (m->have == m->total)
        pg_put_msg(out, &out->server, 'H', NULL, 0);
    s->drops_all = false;
    s->alone = true;
    return v;
}

enum proto_verdict pg_extended(struct pg_client *c, struct pg_server *s, const struct pg_in *m,
                               struct proto_out *out)
{
    size_t body = m->have - PG_HEAD_BYTES;
    bool statement = body > 0 && m->p[PG_HEAD_BYTES] == 'S';
    if (m->p[0] != 'D')
        s->judged = NULL;
    switch (m->p[0]) {
    case 'P':
        return on_parse(c, s, m, out);
    case 'B': {
        size_t portal = pg_strlen(m->p + PG_HEAD_BYTES, body);
        pg_columns_forget(s);
        if (portal == (size_t)-1)
            return pass(s, PG_X_BIND, m, out);
        if (portal == 0) {
            pg_stmt_put(&s->own);
            pg_sql_free(&s->sql_bound);
        }
        return use_statement(c, s, PG_X_BIND, m, PG_HEAD_BYTES + portal + 1, out);
    }
    case 'D':
        if (statement)
            return use_statement(c, s, PG_X_DESCRIBE, m, PG_HEAD_BYTES + 1, out);
        if (is_own_portal(s, m, PG_HEAD_BYTES + 1))
            return use_own(c, s, PG_X_DESCRIBE, s->own, true, out);
        return describe_portal(s, m, out);
    case 'C':
        if (statement)
            return on_close_statement(c, s, m, out);
        return pass(s, PG_X_CLOSE, m, out);
    default:
        if (is_own_portal(s, m, PG_HEAD_BYTES))
            return use_own(c, s, PG_X_EXECUTE, s->own, true, out);
        if (s->sql_bound != NULL && m->have == m->total && m->have > PG_HEAD_BYTES &&
            m->p[PG_HEAD_BYTES] == '\0')
            return pg_sql_execute(s, m, out);
        return s->drops_all ? execute_drops_all(s, m, out) : pass(s, PG_X_EXECUTE, m, out);
    }
}

enum proto_verdict pg_refuse_statement(struct pg_server *s, struct proto_out *out)
{
    return fail_here(s, out, "54000", NULL,
                     "weir: the statement is larger than max_statement_size");
}
