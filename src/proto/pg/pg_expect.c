/* SPDX-License-Identifier: ISC
 * What the server still owes, in order: see pg_session.h. Also the small composers of messages.
 *
 * Taking back: entries are undone from the last to the first, so that "Close a, Parse a" skipped by
 * an error leaves the name as it was.
 */
#include "config.h"

#include "proto/pg/pg_session.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void entry_fini(struct pg_server *s, struct pg_expect *x)
{
    s->unsure -= x->unsure;
    pg_stmt_put(&x->stmt);
    pg_sql_free(&x->sql);
    if (x->name != NULL || x->fault != NULL) {
        free(x->name);
        free(x->fault);
        x->name = NULL;
        x->fault = NULL;
    }
}

static bool ring_grow(struct pg_server *s)
{
    uint32_t cap = s->cap != 0 ? s->cap * 2 : 16;
    if (cap > PG_EXPECT_MAX)
        return false;
    struct pg_expect *fresh = calloc(cap, sizeof *fresh);
    if (fresh == NULL)
        return false;
    for (uint32_t i = 0; i < s->len; i++)
        fresh[i] = *pg_expect_at(s, i);
    free(s->ring);
    s->ring = fresh;
    s->cap = cap;
    s->head = 0;
    return true;
}

struct pg_expect *pg_expect_push(struct pg_server *s, enum pg_expect_kind kind,
                                 enum pg_expect_act act)
{
    if (s->len == s->cap && !ring_grow(s))
        return NULL;
    struct pg_expect *x = pg_expect_at(s, s->len++);
    memset(x, 0, sizeof *x);
    x->kind = (uint8_t)kind;
    x->act = (uint8_t)act;
    return x;
}

void pg_expect_pop(struct pg_server *s)
{
    assert(s->len > 0);
    entry_fini(s, &s->ring[s->head]);
    s->head = (s->head + 1) & (s->cap - 1);
    s->len--;
}

/* Of the entries behind the segment that ends at `end`, the first that decides what the client's
 * unnamed statement is, whatever it was before; NULL: none does. */
static struct pg_expect *next_unnamed(struct pg_server *s, uint32_t end)
{
    for (uint32_t i = end; i < s->len; i++) {
        struct pg_expect *x = pg_expect_at(s, i);
        if (pg_expect_is_own(x) || x->act == PG_A_SWALLOW)
            continue;
        if (x->kind == PG_X_QUERY || x->unnamed)
            return x;
    }
    return NULL;
}

/* The client's unnamed statement is what it was before this entry. */
static void undo_unnamed(struct pg_server *s, struct pg_client *c, struct pg_expect *x,
                         uint32_t end)
{
    bool failed = x == pg_expect_head(s) && x->kind == PG_X_PARSE; /* itself; others were skipped */
    pg_stmt_put(&s->unnamed);
    if (!failed && !x->replaced)
        return;
    struct pg_stmt *before = failed ? NULL : x->stmt; /* one that fails has dropped the old one */
    if (!failed)
        x->stmt = NULL;
    struct pg_expect *later = next_unnamed(s, end);
    struct pg_stmt **to = &c->unnamed;
    if (later != NULL && later->kind == PG_X_QUERY) {
        to = &before; /* which drops it all the same */
    } else if (later != NULL) {
        to = &later->stmt;
        later->replaced = true;
    }
    pg_stmt_put(to);
    if (to != &before)
        *to = before;
}

/* The server never did what this entry noted. */
static void entry_undo(struct pg_expect *x, struct pg_server *s, struct pg_client *c, uint32_t end)
{
    if (x->kind == PG_X_PARSE) {
        if (x->cached)
            pg_cache_remove(&s->cache, x->stmt->name);
        if (x->act == PG_A_SWALLOW || x->act == PG_A_ASIDE) {
            if (x->stmt == s->unnamed && !x->cached)
                pg_stmt_put(&s->unnamed);
            return;
        }
    }
    if (x->unnamed && c != NULL) {
        undo_unnamed(s, c, x, end);
    } else if (x->kind == PG_X_PARSE && x->name == NULL) {
        pg_stmt_put(&s->unnamed);
    } else if (x->kind == PG_X_PARSE && c != NULL) {
        struct pg_stmt *gone = pg_names_remove(&c->names, x->name, strlen(x->name));
        pg_stmt_put(&gone);
    } else if (x->kind == PG_X_CLOSE && x->name != NULL) {
        if (x->cached)
            pg_cache_put_back(&s->cache, x->name);
        else if (c != NULL && x->stmt != NULL)
            (void)!pg_names_add(&c->names, x->name, strlen(x->name), x->stmt);
    }
}

void pg_expect_fail(struct pg_server *s, struct pg_client *c)
{
    uint32_t end = 0; /* first entry that stays */
    while (end < s->len && pg_expect_at(s, end)->kind != PG_X_SYNC)
        end++;
    for (uint32_t i = end; i-- > 0;) {
        entry_undo(pg_expect_at(s, i), s, c, end);
        entry_fini(s, pg_expect_at(s, i));
    }
    if (s->cap != 0)
        s->head = (s->head + end) & (s->cap - 1);
    s->len -= end;
    /* Without a Sync on its way the server ignores everything until one comes. */
    s->skipping = s->len == 0;
}

static void put_described(const struct pg_expect *x, struct proto_out *out)
{
    if (!x->portal)
        pg_put_msg(out, &out->client, 't', "\0", 2); /* no parameters */
    if (pg_own_has_rows((const char *)x->stmt->body))
        pg_own_describe(out);
    else
        pg_put_msg(out, &out->client, 'n', NULL, 0);
}

static void put_fake(struct pg_client *c, const struct pg_expect *x, struct proto_out *out)
{
    switch ((enum pg_expect_kind)x->kind) {
    case PG_X_PARSE:
        pg_put_msg(out, &out->client, '1', NULL, 0);
        break;
    case PG_X_BIND:
        pg_put_msg(out, &out->client, '2', NULL, 0);
        break;
    case PG_X_CLOSE:
        pg_put_msg(out, &out->client, '3', NULL, 0);
        break;
    case PG_X_DESCRIBE:
        put_described(x, out);
        break;
    case PG_X_EXECUTE: {
        const char *sql = (const char *)x->stmt->body;
        pg_own_run(c, sql, strlen(sql), out);
        break;
    }
    case PG_X_QUERY:
    case PG_X_SYNC:
    case PG_X_FUNCTION:
        break;
    }
}

bool pg_expect_fakes(struct pg_server *s, struct pg_client *c, struct proto_out *out)
{
    struct pg_expect *x;
    while ((x = pg_expect_head(s)) != NULL && x->act == PG_A_FAKE) {
        if (proto_out_full(out))
            return false;
        if (c != NULL)
            put_fake(c, x, out);
        pg_expect_pop(s);
    }
    return true;
}

void pg_expect_clear(struct pg_server *s)
{
    while (s->len != 0)
        pg_expect_pop(s);
}

uint8_t *pg_put(struct proto_out *out, struct proto_lane *lane, const void *p, size_t n)
{
    assert(n <= out->arena_size - out->arena_used);
    uint8_t *to = out->arena + out->arena_used;
    if (p != NULL)
        memcpy(to, p, n);
    out->arena_used += n;
    proto_lane_add(lane, to, n);
    return to;
}

void pg_put_msg(struct proto_out *out, struct proto_lane *lane, char type, const void *body,
                size_t n)
{
    uint8_t head[PG_HEAD_BYTES];
    head[0] = (uint8_t)type;
    pg_put32(head + 1, (uint32_t)n + 4);
    pg_put(out, lane, head, sizeof head);
    if (n != 0)
        pg_put(out, lane, body, n);
}

void pg_put_column(struct proto_out *out, const char *name, uint32_t type, uint16_t bytes,
                   bool binary)
{
    size_t n = strlen(name) + 1;
    uint8_t head[PG_HEAD_BYTES + 2] = {'T'}, tail[18] = {0};
    pg_put32(head + 1, (uint32_t)(4 + 2 + n + sizeof tail));
    pg_put16(head + PG_HEAD_BYTES, 1);
    pg_put32(tail + 6, type);
    pg_put16(tail + 10, bytes);
    pg_put32(tail + 12, UINT32_MAX); /* no modifier */
    pg_put16(tail + 16, binary);
    pg_put(out, &out->client, head, sizeof head);
    pg_put(out, &out->client, name, n);
    pg_put(out, &out->client, tail, sizeof tail);
}

void pg_put_query(struct proto_out *out, const char *sql, size_t n)
{
    uint8_t head[PG_HEAD_BYTES] = {'Q'};
    pg_put32(head + 1, (uint32_t)n + 5);
    pg_put(out, &out->server, head, sizeof head);
    pg_put(out, &out->server, sql, n);
    pg_put(out, &out->server, "", 1);
}

void pg_put_error(struct proto_out *out, const char *severity, const char *code, const char *fmt,
                  ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    struct buf b = {0};
    struct pg_report r = {.severity = severity, .sqlstate = code, .message = text};
    if (pg_msg_error(&b, &r))
        pg_put(out, &out->client, buf_head(&b), buf_len(&b));
    buf_release(&b);
}
