/* SPDX-License-Identifier: ISC
 * Binary prepared statements over changing connections.
 *
 * A client's number stands for a text. PREPARE (my_prepare.c) always goes to a server, so that what
 * the client is told of columns is fresh, and the connection keeps what it prepared for whoever
 * executes the same text next. EXECUTE on a connection that lacks it prepares it first and waits
 * for the number. Parameter types come with the first execution only: they are kept, and put in
 * again wherever the connection was last given others.
 */
#include "config.h"

#include "proto/mysql/my_cache.h"
#include "proto/mysql/my_session.h"

#include <stdio.h>
#include <stdlib.h>

#define PARAM_HEAD   10u /* command, number, flags, iterations */
#define BULK_HEAD    7u  /* command, number, flags */
#define BULK_TYPES   128u
#define STMT_LAST    0xffffffffu
#define SCHEMA_BYTES 260u
/* A prepared text that asks of the session's past: on a connection where that is somebody else's, a
 * text with the values in it is executed in its place. NULL: out of memory. */
static struct my_text *past_text(const struct my_client *c, const struct my_server *s,
                                 const struct my_text *text)
{
    struct my_scan scan;
    struct buf sql = {0};
    my_scan(my_text_sql(text), text->text_len, my_scan_opts(c), &scan);
    struct my_text *put = NULL;
    if (my_rewrite(c, s, &scan, my_text_sql(text), text->text_len, &sql))
        put = my_text_intern(text->key, (const char *)buf_head(&sql), buf_len(&sql),
                             text->flags & ~MY_DO_PAST);
    buf_release(&sql);
    return put;
}

/* ---- EXECUTE ------------------------------------------------------------------------------------
 */

static bool is_mysql(const struct my_client *c)
{
    return c->report != NULL && !c->report->mariadb;
}

static enum proto_verdict malformed(const struct my_client *c, struct proto_out *out)
{
    my_put_error(out, 1, MY_ER_MALFORMED, "HY000", "Malformed communication packet%s",
                 is_mysql(c) ? "." : "");
    return PROTO_MORE;
}

static enum proto_verdict wrong_arguments(const struct my_client *c, struct proto_out *out)
{
    if (is_mysql(c))
        return malformed(c, out);
    my_put_error(out, 1, MY_ER_WRONG_ARGUMENTS, "HY000",
                 "Incorrect arguments to mysqld_stmt_execute");
    return PROTO_MORE;
}

/* A number that the client has not: the server says so itself, to one that it surely hasn't either,
 * and remembers it for SHOW WARNINGS. */
static enum proto_verdict unknown(struct my_client *c, struct my_server *s, const struct my_in *m,
                                  uint32_t id, enum my_kind kind, struct proto_out *out)
{
    const struct my_scan scan = {.statements = 1};
    if (s == NULL)
        return PROTO_LOAN;
    if (!my_sync(c, s, out) || !my_effect_note(c, s, &scan, "", 0) ||
        !my_expect_push(s, kind, MY_A_PASS, m->p[MY_HEAD_BYTES]))
        return PROTO_BAD;
    s->owner = c->turn = my_stamp(c, c->turn);
    s->executing = 0; /* its failure says nothing of what was executed before */
    s->executing_longs = false;
    /* Made up, for the client's own may be of any length: only the number counts. */
    uint8_t packet[MY_HEAD_BYTES + PARAM_HEAD] = {0};
    uint8_t cmd = m->p[MY_HEAD_BYTES];
    size_t n = cmd == MY_COM_STMT_EXECUTE        ? PARAM_HEAD
               : cmd == MY_COM_STMT_BULK_EXECUTE ? BULK_HEAD
               : cmd == MY_COM_STMT_FETCH        ? 9
                                                 : 5;
    id |= 0x80000000u;
    my_put_head(packet, (uint32_t)n, 0);
    packet[MY_HEAD_BYTES] = cmd;
    my_put32(packet + MY_HEAD_BYTES + 1, id != STMT_LAST ? id : id - 1);
    my_put(out, &out->server, packet, MY_HEAD_BYTES + n);
    return PROTO_MORE;
}

/* Have it prepared here, in the schema that it was prepared in first; the command stays until that
 * is answered, and my_sync_all() then goes back to the schema at hand. */
static enum proto_verdict prepare_first(struct my_server *s, struct my_text *text,
                                        struct proto_out *out)
{
    char schema[SCHEMA_BYTES];
    snprintf(schema, sizeof schema, "%.*s", (int)strcspn(text->key, "\n"), text->key);
    enum proto_verdict v = my_go_to_schema(s, schema[0] != '\0' ? schema : s->home, out);
    if (v != PROTO_MORE)
        return v;
    my_text_put(&s->preparing);
    s->preparing = my_text_get(text); /* keeps it until it is sent, and perhaps sent again */
    if (!my_expect_push(s, MY_R_PREPARE, MY_A_PREPARE, MY_COM_STMT_PREPARE) ||
        !my_send_prepare(s, text, out))
        return PROTO_BAD;
    return PROTO_WAIT;
}

/* The parameter part of an EXECUTE; of a BULK_EXECUTE, whose flags say whether types follow. */
struct execute {
    size_t head;    /* bytes that every one has */
    size_t bound;   /* of new_params_bound */
    size_t types_n; /* bytes of types that follow it */
    bool torn;      /* they are not all there */
};

/* Who says "the last one" must give types each time, also when that statement's are known. */
static bool look(const struct my_stmt *stmt, const struct my_in *m, bool last, struct execute *e)
{
    size_t bitmap = (stmt->params + 7u) / 8u;
    e->head = MY_HEAD_BYTES + PARAM_HEAD;
    e->bound = MY_HEAD_BYTES + PARAM_HEAD + bitmap;
    e->types_n = 0;
    e->torn = last;
    if (stmt->params == 0)
        return m->have >= MY_HEAD_BYTES + PARAM_HEAD;
    if (m->have < e->bound + 1)
        return false;
    if (m->p[e->bound] == 1)
        e->types_n = 2u * stmt->params;
    e->torn = m->have < e->bound + 1 + e->types_n || (last && e->types_n == 0);
    return !e->torn;
}

static bool is_bulk(const struct my_in *m)
{
    return m->p[MY_HEAD_BYTES] == MY_COM_STMT_BULK_EXECUTE;
}

static bool look_at_bulk(const struct my_stmt *stmt, const struct my_in *m, struct execute *e)
{
    e->head = MY_HEAD_BYTES + BULK_HEAD;
    e->bound = e->head - 1; /* types follow at once */
    e->types_n =
        m->have >= e->head && (m->p[e->head - 2] & BULK_TYPES) != 0 ? 2u * stmt->params : 0;
    e->torn = m->have < e->head + e->types_n;
    return !e->torn;
}

static void drop_longs(struct my_client *c, struct my_stmt *stmt)
{
    c->stmts->long_bytes -= buf_len(&stmt->longs);
    buf_release(&stmt->longs);
    stmt->longs_lost = false;
}

/* Long data was collected under the client's number. */
static void send_longs(struct my_client *c, struct my_stmt *stmt, uint32_t server_id,
                       struct my_server *s, struct proto_out *out)
{
    uint8_t *p = buf_head(&stmt->longs);
    size_t n = buf_len(&stmt->longs);
    c->stmts->long_bytes -= n;
    for (size_t at = 0; at < n; at += MY_HEAD_BYTES + my_get24(p + at))
        my_put32(p + at + MY_HEAD_BYTES + 1, server_id);
    /* Sent before the next command is looked at; the memory stays as long as that. */
    buf_release(&s->longs);
    s->longs = stmt->longs;
    stmt->longs = (struct buf){0};
    proto_lane_add(&out->server, buf_head(&s->longs), n);
}

static enum proto_verdict send_execute(struct my_client *c, struct my_server *s,
                                       struct my_stmt *stmt, struct my_cached *there,
                                       const struct my_in *m, const struct execute *e,
                                       struct proto_out *out)
{
    bool insert = stmt->params != 0 && e->types_n == 0 && stmt->types != NULL &&
                  there->types_id != stmt->types_id;
    size_t extra = insert ? 2u * stmt->params : 0;
    static const uint8_t yes[] = {1};
    if (insert && m->total + extra >= MY_PACKET_FULL) {
        my_put_error(out, 1, MY_ER_PACKET_TOO_LARGE, "08S01",
                     "weir: an execution of 16 MB needs its parameter types");
        return PROTO_MORE;
    }
    s->executing = there->server_id;
    s->executing_longs = buf_len(&stmt->longs) != 0;
    if (s->executing_longs)
        send_longs(c, stmt, there->server_id, s, out);
    size_t head = insert ? e->bound + 1 : e->head;
    uint8_t *copy = my_put(out, &out->server, m->p, e->head);
    my_put32(copy + MY_HEAD_BYTES + 1, there->server_id);
    if (insert) {
        my_put_head(copy, (uint32_t)(m->total - MY_HEAD_BYTES + extra), 0);
        if (is_bulk(m)) {
            copy[e->head - 2] |= BULK_TYPES;
        } else {
            proto_lane_add(&out->server, m->p + e->head, e->bound - e->head);
            proto_lane_add(&out->server, yes, 1);
        }
        proto_lane_add(&out->server, stmt->types, extra);
    }
    proto_lane_add(&out->server, m->p + head, m->have - head);
    if (stmt->params != 0 && stmt->types != NULL)
        there->types_id = stmt->types_id;
    my_pass_rest(c, m, false);
    return PROTO_MORE;
}

/* The number 0xffffffff is MariaDB's "the last one": of what was prepared, not of what is left. */
static struct my_stmt *find(struct my_client *c, const struct my_in *m, uint32_t *id)
{
    /* MariaDB takes what is missing for 0. */
    *id = m->have >= MY_HEAD_BYTES + 5 ? my_get32(m->p + MY_HEAD_BYTES + 1) : 0;
    bool last = *id == STMT_LAST && !is_mysql(c);
    if (last)
        return c->stmts != NULL ? my_stmts_find(c->stmts, c->stmts->latest) : NULL;
    return my_stmts_find(c->stmts, *id);
}

void my_execute_refused(struct my_client *c, const struct my_in *m)
{
    uint32_t id;
    struct execute e;
    uint8_t com = m->have > MY_HEAD_BYTES ? m->p[MY_HEAD_BYTES] : 0;
    if (com != MY_COM_STMT_EXECUTE && com != MY_COM_STMT_BULK_EXECUTE)
        return;
    struct my_stmt *stmt = find(c, m, &id);
    if (stmt == NULL)
        return;
    bool whole = is_bulk(m) ? look_at_bulk(stmt, m, &e) : look(stmt, m, id == STMT_LAST, &e);
    if (whole && e.types_n != 0 && !my_stmt_set_types(stmt, m->p + e.bound + 1))
        my_stmts_remove(&c->stmts, stmt->id); /* out of memory: better 1243 than wrong values */
    else
        drop_longs(c, stmt);
}

/* Where LAST_INSERT_ID() can't be replaced in the text, or is asked for when it is done: give the
 * connection the value. */
bool my_give_insert_id(const struct my_client *c, struct my_server *s, const struct my_scan *scan,
                       struct proto_out *out)
{
    char sql[64];
    bool reads = ((scan->flags & MY_DO_TOO_MUCH) != 0 && scan->n_volatiles != 0) ||
                 (scan->flags & (MY_DO_SET_INSERT_ID | MY_DO_CALL | MY_DO_PREPARE)) != 0;
    if (scan->statements > 1)
        for (uint32_t i = 0; i < scan->n_volatiles; i++)
            reads |= scan->volatiles[i].kind == MY_V_LAST_INSERT_ID;
    if (!reads || s->id_given)
        return true;
    s->id_given = true;
    int n = snprintf(sql, sizeof sql, "SET last_insert_id=%llu", (unsigned long long)c->insert_id);
    uint8_t *copy = my_put(out, NULL, sql, (size_t)n);
    my_put_command(out, MY_COM_QUERY, copy, (size_t)n);
    return my_expect_push(s, MY_R_OK, MY_A_SET, MY_COM_QUERY);
}

/* Executing the text again would close the cursor that another of the client's statements has. */
static bool part(const struct my_client *c, struct my_server *s, struct my_stmt *stmt)
{
    const struct my_cached *there = my_cache_find(&s->cache, stmt->text);
    return there == NULL || !there->cursor || stmt->cursor ||
           my_stmts_part(c->stmts, stmt, c->token);
}

/* What began with a cursor gives no rows on MySQL 9, and no end of them, to who executes it without
 * one; so it is prepared anew. The client's own cursor is over with that. */
static bool is_spent(const struct my_client *c, struct my_server *s, struct my_stmt *stmt,
                     struct my_cached *there, const struct my_in *m)
{
    if (!is_mysql(c) || !there->had_cursor || m->p[MY_HEAD_BYTES + 5] != 0)
        return false;
    stmt->cursor = there->cursor = false;
    my_cursor_closed(s);
    return true;
}

static enum proto_verdict on_execute(struct my_client *c, struct my_server *s,
                                     const struct my_in *m, struct proto_out *out)
{
    uint32_t id;
    struct execute e;
    struct my_stmt *stmt = find(c, m, &id);
    bool bulk = is_bulk(m);
    if (m->total < MY_HEAD_BYTES + (bulk ? BULK_HEAD : PARAM_HEAD))
        return malformed(c, out);
    if (stmt == NULL)
        return unknown(c, s, m, id, MY_R_RESULT, out);
    if (bulk ? !look_at_bulk(stmt, m, &e) : !look(stmt, m, id == STMT_LAST, &e))
        return e.torn ? malformed(c, out) : wrong_arguments(c, out);
    if (stmt->longs_lost) {
        drop_longs(c, stmt);
        my_put_error(out, 1, MY_ER_UNKNOWN, "HY000",
                     "weir: long data of more than %u MB, or of 16 MB in one packet",
                     MY_LONG_DATA_MAX >> 20);
        return PROTO_MORE;
    }
    if (e.types_n != 0 && !my_stmt_set_types(stmt, m->p + e.bound + 1))
        return PROTO_BAD;
    if (s == NULL)
        return PROTO_LOAN;
    if ((stmt->text->flags & MY_DO_SHOW_WARNINGS) != 0 && s->diagnosed != c->diagnosis &&
        my_put_warnings(c, stmt->text, out)) {
        c->row_count = -1;
        c->turn = my_stamp(c, c->turn);
        return PROTO_MORE;
    }
    if (!part(c, s, stmt))
        return my_out_of_memory(out);
    struct my_text *text = (stmt->text->flags & MY_DO_PAST) != 0 ? past_text(c, s, stmt->text)
                                                                 : my_text_get(stmt->text);
    struct my_cached *there = text != NULL ? my_cache_find(&s->cache, text) : NULL;
    if (there != NULL && is_mysql(c) && !there->cursor && !my_cached_fits(there, stmt))
        there = NULL;
    if (there != NULL && is_spent(c, s, stmt, there, m))
        there = NULL;
    if (there == NULL)
        my_prepared_trim(s);
    enum proto_verdict v = PROTO_BAD;
    if (there != NULL)
        v = my_sync_all(c, s, out);
    else if (text != NULL && my_sync(c, s, out))
        v = prepare_first(s, text, out);
    my_text_put(&text); /* the cache, or what is being prepared, holds it on */
    if (v != PROTO_MORE)
        return v;
    uint64_t flags = stmt->text->flags;
    struct my_scan scan = {.statements = 1, .no_table = (flags & MY_DO_NO_TABLE) != 0};
    if ((flags & ~MY_DO_NO_TABLE) != 0)
        my_scan(my_text_sql(stmt->text), stmt->text->text_len, my_scan_opts(c), &scan);
    scan.flags |= flags & (MY_DO_SET_INSERT_ID | MY_DO_FLEETING);
    if (!my_give_insert_id(c, s, &scan, out) ||
        !my_effect_note(c, s, &scan, my_text_sql(stmt->text), stmt->text->text_len))
        return PROTO_BAD;
    if (!my_cached_settle(there, stmt))
        return PROTO_BAD;
    size_t before = out->server.bytes;
    v = send_execute(c, s, stmt, there, m, &e, out);
    if (v != PROTO_MORE || out->server.bytes == before)
        return v;
    out->binds++;
    s->owner = c->turn = my_stamp(c, c->turn);
    s->long_id = stmt->id;
    if (!my_expect_push(s, MY_R_RESULT, MY_A_PASS, m->p[MY_HEAD_BYTES]))
        return PROTO_BAD;
    my_expect_last(s)->cursor =
        !bulk && m->p[MY_HEAD_BYTES + 5] != 0 && (scan.flags & MY_DO_CALL) == 0;
    there->had_cursor |= my_expect_last(s)->cursor;
    return PROTO_MORE;
}

/* ---- the others ---------------------------------------------------------------------------------
 */

/* Rows of an open cursor: the connection is kept for it. */
static enum proto_verdict on_fetch(struct my_client *c, struct my_server *s, const struct my_in *m,
                                   struct proto_out *out)
{
    uint32_t id;
    struct my_stmt *stmt = find(c, m, &id);
    struct my_cached *there =
        stmt != NULL && s != NULL ? my_cache_find(&s->cache, stmt->text) : NULL;
    if (is_mysql(c) && m->total < MY_HEAD_BYTES + 9)
        return malformed(c, out);
    if (stmt == NULL)
        return unknown(c, s, m, id, MY_R_FETCH, out);
    if (m->total != MY_HEAD_BYTES + 9)
        return wrong_arguments(c, out);
    if (s == NULL)
        return PROTO_LOAN;
    /* Where no cursor is open it is for the server to say so. */
    const struct my_scan scan = {.statements = 1};
    if (!my_sync(c, s, out) || !my_effect_note(c, s, &scan, "", 0))
        return PROTO_BAD;
    if (there == NULL)
        return prepare_first(s, stmt->text, out);
    s->owner = c->turn = my_stamp(c, c->turn);
    uint8_t *copy = my_put(out, &out->server, m->p, m->have);
    my_put32(copy + MY_HEAD_BYTES + 1, there->server_id);
    s->long_id = stmt->id;
    return my_expect_push(s, MY_R_FETCH, MY_A_PASS, MY_COM_STMT_FETCH) ? PROTO_MORE : PROTO_BAD;
}

/* A cursor that is open there is closed by COM_STMT_RESET. */
static bool close_cursor(struct my_server *s, struct my_stmt *stmt, enum my_act act,
                         struct proto_out *out)
{
    struct my_cached *there = my_cache_find(&s->cache, stmt->text);
    stmt->cursor = false;
    if (there != NULL)
        there->cursor = false;
    my_cursor_closed(s);
    if (there == NULL)
        return true;
    uint8_t id[4];
    my_put32(id, there->server_id);
    uint8_t *copy = my_put(out, NULL, id, sizeof id);
    my_put_command(out, MY_COM_STMT_RESET, copy, sizeof id);
    return my_expect_push(s, MY_R_OK, act, MY_COM_STMT_RESET);
}

static enum proto_verdict on_reset(struct my_client *c, struct my_server *s, const struct my_in *m,
                                   struct proto_out *out)
{
    uint32_t id;
    struct my_stmt *stmt = find(c, m, &id);
    if (is_mysql(c) && m->total < MY_HEAD_BYTES + 5)
        return malformed(c, out);
    if (stmt == NULL)
        return unknown(c, s, m, id, MY_R_OK, out);
    drop_longs(c, stmt);
    if (stmt->cursor && s != NULL) {
        s->flags = 0;
        return close_cursor(s, stmt, MY_A_PASS, out) ? PROTO_MORE : PROTO_BAD;
    }
    my_put_ok(c, out);
    return PROTO_MORE;
}

static enum proto_verdict on_close(struct my_client *c, struct my_server *s, const struct my_in *m,
                                   struct proto_out *out)
{
    uint32_t id;
    struct my_stmt *stmt = find(c, m, &id);
    if (stmt == NULL)
        return PROTO_MORE; /* no answer, even to a wrong number */
    bool ok = !stmt->cursor || s == NULL || close_cursor(s, stmt, MY_A_SET, out);
    my_stmts_remove(&c->stmts, stmt->id);
    return ok ? PROTO_MORE : PROTO_BAD;
}

static enum proto_verdict on_long_data(struct my_client *c, const struct my_in *m)
{
    uint32_t id;
    struct my_stmt *stmt = find(c, m, &id);
    if (stmt == NULL || m->have < MY_HEAD_BYTES + 7)
        return PROTO_MORE;
    /* Answered by nothing in this protocol: the execution is. */
    if (stmt->longs_lost || my_get24(m->p) == MY_PACKET_FULL ||
        c->stmts->long_bytes + m->have > MY_LONG_DATA_MAX ||
        !buf_append(&stmt->longs, m->p, m->have)) {
        drop_longs(c, stmt);
        stmt->longs_lost = true;
        return PROTO_MORE;
    }
    c->stmts->long_bytes += m->have;
    return PROTO_MORE;
}

enum proto_verdict my_on_statement(struct my_client *c, struct my_server *s, const struct my_in *m,
                                   struct proto_out *out)
{
    switch (m->p[MY_HEAD_BYTES]) {
    case MY_COM_STMT_EXECUTE:
    case MY_COM_STMT_BULK_EXECUTE:
        return on_execute(c, s, m, out);
    case MY_COM_STMT_FETCH:
        return on_fetch(c, s, m, out);
    case MY_COM_STMT_RESET:
        return on_reset(c, s, m, out);
    case MY_COM_STMT_CLOSE:
        return on_close(c, s, m, out);
    default:
        return on_long_data(c, m);
    }
}
