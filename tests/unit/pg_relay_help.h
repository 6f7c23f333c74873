/* SPDX-License-Identifier: ISC
 * A client object, some server objects and, behind each of these, a PostgreSQL made of a few
 * lines: it knows statements, portals, transactions, COPY and the errors that come of misusing
 * them, and holds its answers back until Flush or Sync, as the real one does.
 *
 * Bytes go through the feeds in pieces of `piece` (0: as they come), from memory of exactly that
 * size, so that a sanitizer sees whoever looks beyond. What the client sees is written down as text
 * (relay_seen). Used by test_pg_relay*.c and, with the asserts of its own, by the fuzz targets.
 */
#ifndef TESTS_UNIT_PG_RELAY_HELP_H
#define TESTS_UNIT_PG_RELAY_HELP_H

#include "config.h"

#include "proto/pg/pg_crypto.h"
#include "proto/pg/pg_login.h"
#include "proto/pg/pg_session.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define RELAY_SERVERS 2
#define MODEL_NAMES   32

#define RELAY_REQUIRE(what)                                                                        \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);                             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* ---- a small PostgreSQL ------------------------------------------------------------------------
 */

struct model_name {
    char name[64], sql[200];
    int version;   /* of the tables, when it was prepared */
    uint32_t type; /* of its parameter, if it has one: it is an INSERT */
    bool used;
    bool from_sql;
};

struct model {
    struct model_name statements[MODEL_NAMES], portals[MODEL_NAMES];
    struct buf in, held, out;
    struct buf sets;   /* the texts of SET and RESET that it ran, one a line */
    const char *truth; /* rows for weir's question, "kind name value;..." */
    int version;
    uint32_t declared; /* type of a parameter, by the Parse at hand */
    int queries;
    char status;
    char copy; /* 'Q' simple, 'E' extended, 0 */
    bool copy_fails, skip, refuse_sets, cancel_sets;
    bool deaf; /* takes everything and says nothing */
};

static inline void model_msg(struct buf *b, char type, const void *body, size_t n)
{
    uint8_t head[5] = {(uint8_t)type};
    pg_put32(head + 1, (uint32_t)n + 4);
    RELAY_REQUIRE(buf_append(b, head, 5) && (n == 0 || buf_append(b, body, n)));
}

static inline void model_flush(struct model *m)
{
    if (buf_len(&m->held) != 0)
        RELAY_REQUIRE(buf_append(&m->out, buf_head(&m->held), buf_len(&m->held)));
    buf_release(&m->held);
}

static inline void model_error(struct model *m, const char *code, const char *text)
{
    struct pg_report r = {.severity = "ERROR", .sqlstate = code, .message = text};
    RELAY_REQUIRE(pg_msg_error(&m->held, &r));
    if (m->status == 'T')
        m->status = 'E';
    model_flush(m);
}

static inline struct model_name *model_find(struct model_name *in, const char *name)
{
    for (int i = 0; i < MODEL_NAMES; i++)
        if (in[i].used && strcmp(in[i].name, name) == 0)
            return &in[i];
    return NULL;
}

static inline struct model_name *model_set(struct model_name *in, const char *name, const char *sql,
                                           int version)
{
    struct model_name *at = model_find(in, name);
    for (int i = 0; at == NULL && i < MODEL_NAMES; i++)
        if (!in[i].used)
            at = &in[i];
    RELAY_REQUIRE(at != NULL);
    at->used = true;
    at->from_sql = false;
    at->version = version;
    at->type = 0;
    snprintf(at->name, sizeof at->name, "%.63s", name);
    snprintf(at->sql, sizeof at->sql, "%.199s", sql);
    return at;
}

static inline void model_tag(struct model *m, const char *tag)
{
    model_msg(&m->held, 'C', tag, strlen(tag) + 1);
}

static inline void model_row(struct model *m, int n, const char *const *values)
{
    struct pg_view v[3];
    for (int i = 0; i < n; i++)
        v[i] = pg_view_of(values[i]);
    RELAY_REQUIRE(pg_msg_data_row(&m->held, v, (size_t)n));
}

static inline void model_forget_statements(struct model *m)
{
    for (int i = 0; i < MODEL_NAMES; i++)
        if (m->statements[i].name[0] != '\0')
            m->statements[i].used = false;
}

static inline bool model_is(const char *sql, const char *what)
{
    return strncasecmp(sql, what, strlen(what)) == 0;
}

static inline void model_truth(struct model *m)
{
    char rows[256];
    snprintf(rows, sizeof rows, "%s", m->truth != NULL ? m->truth : "");
    for (char *save = NULL, *row = strtok_r(rows, ";", &save); row != NULL;
         row = strtok_r(NULL, ";", &save)) {
        char kind[8] = "", name[64] = "", value[64] = "";
        RELAY_REQUIRE(sscanf(row, "%7s %63s %63s", kind, name, value) >= 2);
        const char *values[] = {kind, name, value};
        model_row(m, 3, values);
    }
    model_tag(m, "SELECT 1");
}

/* PREPARE name AS text, EXECUTE name, DEALLOCATE name. false: it failed. */
static inline bool model_run(struct model *m, const char *sql, bool simple);
static inline bool model_sql(struct model *m, const char *sql, bool simple)
{
    char name[64] = "";
    int at = 0;
    sscanf(sql, "%*s %63s AS %n", name, &at);
    struct model_name *st = model_find(m->statements, name);
    if (model_is(sql, "PREPARE ")) {
        if (strstr(sql, "SYNTAX") != NULL || st != NULL) {
            model_error(m, st != NULL ? "42P05" : "42601", "can't be prepared");
            return false;
        }
        model_set(m->statements, name, sql + at, m->version);
        model_find(m->statements, name)->from_sql = true;
        model_tag(m, "PREPARE");
        return true;
    }
    if (st == NULL) {
        char text[128];
        snprintf(text, sizeof text, "prepared statement \"%s\" does not exist", name);
        model_error(m, "26000", text);
        return false;
    }
    if (model_is(sql, "DEALLOCATE ")) {
        st->used = false;
        model_tag(m, "DEALLOCATE");
        return true;
    }
    if (strstr(st->sql, "*") != NULL && st->version != m->version) {
        model_error(m, "0A000", "cached plan must not change result type");
        return false;
    }
    const char *body = st->sql + strspn(st->sql, " ");
    if (model_is(body, "EXECUTE ")) { /* it may be its own */
        model_error(m, "0A000", "not to be executed by another");
        return false;
    }
    return model_run(m, body, simple);
}

/* One statement. false: it failed. */
static inline bool model_run(struct model *m, const char *sql, bool simple)
{
    bool ends = model_is(sql, "COMMIT") || model_is(sql, "ROLLBACK");
    if (m->status == 'E' && !ends && sql[0] != '\0') {
        model_error(m, "25P02", "aborted");
        return false;
    }
    if (sql[0] == '\0') {
        model_msg(&m->held, 'I', NULL, 0);
    } else if (model_is(sql, "BEGIN")) {
        m->status = 'T';
        model_tag(m, "BEGIN");
    } else if (ends) {
        model_tag(m, m->status == 'E' || model_is(sql, "ROLLBACK") ? "ROLLBACK" : "COMMIT");
        m->status = 'I';
    } else if (model_is(sql, "FAIL")) {
        model_error(m, "22012", "failed");
        return false;
    } else if (model_is(sql, "SET ") || model_is(sql, "RESET ") ||
               model_is(sql, "SELECT pg_catalog.set_config")) {
        RELAY_REQUIRE(buf_printf(&m->sets, "%s\n", sql));
        if (m->refuse_sets || (m->cancel_sets && !model_is(sql, "RESET "))) {
            model_error(m, m->refuse_sets ? "22023" : "57014", "refused or cancelled");
            return false;
        }
        if (strstr(sql, "reported") != NULL)
            model_msg(&m->held, 'S', "reported\0yes", 13);
        model_tag(m, model_is(sql, "RESET") ? "RESET" : "SET");
    } else if (model_is(sql, "DISCARD ALL") || model_is(sql, "DEALLOCATE ALL")) {
        model_forget_statements(m);
        model_tag(m, sql[1] == 'I' || sql[1] == 'i' ? "DISCARD ALL" : "DEALLOCATE ALL");
    } else if (model_is(sql, "CREATE ROLE")) {
        model_tag(m, "CREATE ROLE");
    } else if (model_is(sql, "PREPARE ") || model_is(sql, "EXECUTE ") ||
               model_is(sql, "DEALLOCATE ")) {
        return model_sql(m, sql, simple);
    } else if (model_is(sql, "COPY IN") || model_is(sql, "COPY BAD")) {
        m->copy = simple ? 'Q' : 'E';
        m->copy_fails = model_is(sql, "COPY BAD");
        model_msg(&m->held, 'G', "\0\0\0", 3);
        model_flush(m);
    } else if (model_is(sql, "COPY EARLY")) { /* fails before it reads, as a trigger can make it */
        model_msg(&m->held, 'G', "\0\0\0", 3);
        model_error(m, "P0001", "no");
        return false;
    } else if (model_is(sql, "COPY OUT")) {
        model_msg(&m->held, 'H', "\0\0\0", 3);
        model_msg(&m->held, 'd', "a\n", 2);
        model_msg(&m->held, 'd', "b\n", 2);
        model_msg(&m->held, 'c', NULL, 0);
        model_tag(m, "COPY 2");
    } else if (model_is(sql, "SELECT 's', name, setting")) {
        model_truth(m);
    } else {
        struct pg_column col = {.name = "c", .type_oid = 25};
        if (simple)
            RELAY_REQUIRE(pg_msg_row_description(&m->held, &col, 1));
        model_row(m, 1, &sql);
        model_tag(m, "SELECT 1");
    }
    return true;
}

static inline void model_ready(struct model *m)
{
    if (m->status == 'I')
        for (int i = 0; i < MODEL_NAMES; i++)
            m->portals[i].used = false;
    model_msg(&m->held, 'Z', &m->status, 1);
    model_flush(m);
}

static inline void model_query(struct model *m, char *sql)
{
    m->queries++;
    struct model_name *unnamed = model_find(m->statements, "");
    if (unnamed != NULL)
        unnamed->used = false;
    if (model_is(sql, "SELECT 's', name, setting") || strchr(sql, ';') == NULL) {
        if (model_run(m, sql, true) && m->copy != 0)
            return;
    } else {
        for (char *save = NULL, *one = strtok_r(sql, ";", &save); one != NULL;
             one = strtok_r(NULL, ";", &save)) {
            while (*one == ' ')
                one++;
            if (!model_run(m, one, true))
                break;
        }
    }
    model_ready(m);
}

static inline bool model_bind(struct model *m, const char *portal, const char *name)
{
    struct model_name *st = model_find(m->statements, name);
    if (st == NULL) {
        model_error(m, "26000", "no such statement on the server");
        return false;
    }
    if (m->status == 'E' && !model_is(st->sql, "COMMIT") && !model_is(st->sql, "ROLLBACK")) {
        model_error(m, "25P02", "aborted");
        return false;
    }
    if (strstr(st->sql, "*") != NULL && name[0] != '\0' && st->version != m->version) {
        model_error(m, "0A000", "cached plan must not change result type");
        return false;
    }
    char sql[220];
    snprintf(sql, sizeof sql, st->type != 0 ? "%s as %u" : "%s", st->sql, st->type);
    model_set(m->portals, portal, sql, 0);
    model_msg(&m->held, '2', NULL, 0);
    return true;
}

static inline bool model_describe(struct model *m, char what, const char *name)
{
    struct model_name *st = model_find(what == 'S' ? m->statements : m->portals, name);
    if (st == NULL) {
        model_error(m, what == 'S' ? "26000" : "34000", "nothing of that name on the server");
        return false;
    }
    uint8_t types[6] = {0, st->type != 0};
    pg_put32(types + 2, st->type);
    if (what == 'S')
        model_msg(&m->held, 't', types, st->type != 0 ? 6 : 2);
    if (what == 'S' && strstr(st->sql, "*") != NULL && name[0] != '\0' &&
        st->version != m->version) {
        model_error(m, "0A000", "cached plan must not change result type");
        return false;
    }
    char column[16] = "c";
    if (strstr(st->sql, "*") != NULL)
        snprintf(column, sizeof column, "c%d", m->version);
    struct pg_column col = {.name = column, .type_oid = 25};
    if (model_is(st->sql, "SELECT"))
        RELAY_REQUIRE(pg_msg_row_description(&m->held, &col, 1));
    else
        model_msg(&m->held, 'n', NULL, 0);
    return true;
}

static inline bool model_parse(struct model *m, const char *name, const char *sql)
{
    if (m->status == 'E' && !model_is(sql, "COMMIT") && !model_is(sql, "ROLLBACK")) {
        model_error(m, "25P02", "aborted");
        return false;
    }
    if (name[0] != '\0' && model_find(m->statements, name) != NULL) {
        model_error(m, "42P05", "statement exists on the server");
        return false;
    }
    if (name[0] == '\0' && model_find(m->statements, "") != NULL)
        model_find(m->statements, "")->used = false;
    if (model_is(sql, "SYNTAX")) {
        model_error(m, "42601", "syntax error");
        return false;
    }
    struct model_name *st = model_set(m->statements, name, sql, m->version);
    if (model_is(sql, "INSERT"))
        st->type = m->declared != 0 ? m->declared : (uint32_t)m->version;
    model_msg(&m->held, '1', NULL, 0);
    return true;
}

static inline bool model_extended(struct model *m, char type, const char *a, const char *b)
{
    struct model_name *st;
    switch (type) {
    case 'P':
        return model_parse(m, a, b);
    case 'B':
        return model_bind(m, a, b);
    case 'D':
        return model_describe(m, a[0], a + 1);
    case 'C':
        st = model_find(a[0] == 'S' ? m->statements : m->portals, a + 1);
        if (st != NULL)
            st->used = false;
        model_msg(&m->held, '3', NULL, 0);
        return true;
    default:
        st = model_find(m->portals, a);
        if (st == NULL) {
            model_error(m, "34000", "no such portal");
            return false;
        }
        return model_run(m, st->sql, false);
    }
}

static inline void model_copy(struct model *m, char type)
{
    bool extended = m->copy == 'E';
    if (type == 'd' && !m->copy_fails)
        return;
    if (type != 'd' && type != 'c' && type != 'f') {
        struct pg_report r = {.severity = "FATAL", .sqlstate = "08P01", .message = "out of step"};
        if (type != 'S' && type != 'H') {
            RELAY_REQUIRE(pg_msg_error(&m->held, &r));
            model_flush(m);
            m->deaf = true;
        }
        return;
    }
    m->copy = 0;
    if (type == 'c' && !m->copy_fails) {
        model_tag(m, "COPY 1");
    } else {
        static const char fields[] = "SERROR\0VERROR\0C57014\0Mbad copy\0WCOPY t, line 1\0";
        char body[sizeof fields];
        memcpy(body, fields, sizeof body);
        if (type != 'f')
            memcpy(body + sizeof "SERROR\0VERROR", "C22P02", 6);
        model_msg(&m->held, 'E', body, sizeof body);
        if (m->status == 'T')
            m->status = 'E';
        model_flush(m);
        m->skip = extended;
    }
    if (!extended)
        model_ready(m);
}

static inline void model_message(struct model *m, char type, uint8_t *body, size_t n)
{
    char a[256], b[2048];
    snprintf(a, sizeof a, "%.*s", (int)n, (char *)body);
    size_t len = strnlen((char *)body, n);
    snprintf(b, sizeof b, "%.*s", (int)(len < n ? n - len - 1 : 0), (char *)body + len + 1);
    size_t types = len + 1 + strlen(b) + 1; /* in a Parse */
    m->declared = n >= types + 6 && pg_get16(body + types) != 0 ? pg_get32(body + types + 2) : 0;
    if (m->copy != 0) {
        model_copy(m, type);
        return;
    }
    if (type == 'S') {
        m->skip = false;
        model_ready(m);
        return;
    }
    if (m->skip)
        return;
    switch (type) {
    case 'Q':
        if (n != 0 && memchr(body, 0, n) == body + n - 1) {
            model_query(m, (char *)body);
        } else {
            model_error(m, "08P01", "invalid message");
            model_ready(m);
        }
        break;
    case 'F':
        model_msg(&m->held, 'V', "\xff\xff\xff\xff", 4);
        model_ready(m);
        break;
    case 'H':
        model_flush(m);
        break;
    case 'd':
    case 'c':
    case 'f':
        break;
    default:
        m->skip = !model_extended(m, type, a, b);
        break;
    }
}

static inline void model_feed(struct model *m, const void *p, size_t n)
{
    if (m->deaf)
        return;
    RELAY_REQUIRE(buf_append(&m->in, p, n));
    while (buf_len(&m->in) >= 5) {
        uint8_t *at = buf_head(&m->in);
        size_t total = 1 + (size_t)pg_get32(at + 1);
        if (buf_len(&m->in) < total)
            break;
        model_message(m, (char)at[0], at + 5, total - 5);
        buf_consume(&m->in, total);
    }
}

static inline void model_fini(struct model *m)
{
    buf_release(&m->in);
    buf_release(&m->held);
    buf_release(&m->out);
    buf_release(&m->sets);
}

/* ---- the worker, without sockets
 * ----------------------------------------------------------------- */

struct relay {
    struct pg_client *c;
    struct pg_server *servers[RELAY_SERVERS];
    struct model models[RELAY_SERVERS];
    struct buf cin, sin[RELAY_SERVERS], seen;
    struct proto_out out;
    size_t piece;
    int next;      /* the server that is lent next */
    int lent;      /* -1: none */
    bool lingered; /* the last loan was one to be kept for a moment */
    int loans;
    bool closed, broken, refuse;
    uint8_t arena[32768];
};

static inline void relay_out_reset(struct relay *r)
{
    r->out.client.n = r->out.server.n = 0;
    r->out.client.bytes = r->out.server.bytes = 0;
    r->out.arena_used = 0;
    r->out.close_client = false;
}

/* Both lanes are taken; a lane says how much it holds and keeps to its size. */
static inline void relay_take(struct relay *r, int server)
{
    struct proto_lane *lanes[] = {&r->out.client, &r->out.server};
    for (int l = 0; l < 2; l++) {
        size_t bytes = 0;
        RELAY_REQUIRE(lanes[l]->n >= 0 && lanes[l]->n <= PROTO_SPANS);
        for (int i = 0; i < lanes[l]->n; i++) {
            bytes += lanes[l]->v[i].iov_len;
            if (l == 0)
                RELAY_REQUIRE(
                    buf_append(&r->seen, lanes[l]->v[i].iov_base, lanes[l]->v[i].iov_len));
            else if (server >= 0)
                model_feed(&r->models[server], lanes[l]->v[i].iov_base, lanes[l]->v[i].iov_len);
        }
        RELAY_REQUIRE(bytes == lanes[l]->bytes);
        RELAY_REQUIRE(l == 0 || bytes == 0 || server >= 0);
    }
    r->closed |= r->out.close_client;
    relay_out_reset(r);
}

static inline void relay_state(struct relay *r);

/* Feed what is in cin. */
static inline void relay_feed_client(struct relay *r)
{
    while (!r->closed && buf_len(&r->cin) != 0) {
        size_t n = buf_len(&r->cin), used = 0;
        uint8_t *exact = malloc(n);
        RELAY_REQUIRE(exact != NULL);
        memcpy(exact, buf_head(&r->cin), n);
        int at = r->lent;
        enum proto_verdict v = pg_proto_ops.from_client(r->c, at >= 0 ? r->servers[at] : NULL,
                                                        exact, n, &used, &r->out);
        RELAY_REQUIRE(used <= n);
        relay_take(r, at);
        free(exact);
        buf_consume(&r->cin, used);
        if (r->out.kill != PROTO_KILL_NONE) { /* there are clients of even numbers only */
            bool there = r->out.kill_id % 2 == 0;
            r->out.kill = PROTO_KILL_NONE;
            RELAY_REQUIRE(v == PROTO_WAIT);
            RELAY_REQUIRE(pg_proto_ops.say(r->c, NULL,
                                           there ? PROTO_EV_KILL_DONE : PROTO_EV_KILL_UNKNOWN, "",
                                           NULL, NULL, 0, &used, &r->seen));
            continue;
        }
        if (v == PROTO_FULL)
            continue;
        if (v == PROTO_BYE || v == PROTO_BAD)
            r->closed = true;
        if (v != PROTO_LOAN)
            return;
        if (r->refuse) {
            struct buf b = {0};
            r->closed = !pg_proto_ops.say(r->c, NULL, PROTO_EV_NO_LOAN, "none", NULL,
                                          buf_head(&r->cin), buf_len(&r->cin), &used, &b);
            RELAY_REQUIRE(used <= buf_len(&r->cin));
            buf_consume(&r->cin, used);
            RELAY_REQUIRE(buf_append(&r->seen, buf_head(&b), buf_len(&b)));
            buf_release(&b);
            continue;
        }
        r->lent = r->next;
        r->loans++;
        (void)pg_proto_ops.begin(r->servers[r->lent], r->c, &r->out);
        relay_take(r, r->lent);
    }
}

/* One piece of what server `i` has to say; false: nothing. */
static inline bool relay_feed_server(struct relay *r, int i, size_t piece)
{
    struct buf *from = &r->models[i].out;
    size_t n = buf_len(from), used = 0;
    if (n == 0)
        return false;
    if (piece != 0 && piece < n)
        n = piece;
    RELAY_REQUIRE(buf_append(&r->sin[i], buf_head(from), n));
    buf_consume(from, n);
    enum proto_verdict v = PROTO_FULL;
    while (v == PROTO_FULL && buf_len(&r->sin[i]) != 0) {
        size_t have = buf_len(&r->sin[i]);
        uint8_t *exact = malloc(have);
        RELAY_REQUIRE(exact != NULL);
        memcpy(exact, buf_head(&r->sin[i]), have);
        v = pg_proto_ops.from_server(r->servers[i], r->lent == i ? r->c : NULL, exact, have, &used,
                                     &r->out);
        RELAY_REQUIRE(used <= have);
        relay_take(r, i);
        free(exact);
        buf_consume(&r->sin[i], used);
    }
    if (v == PROTO_BAD)
        r->broken = true;
    return true;
}

static inline void relay_state(struct relay *r)
{
    int i = r->lent;
    if (i < 0 || r->broken)
        return;
    enum proto_loan loan = pg_proto_ops.state(r->servers[i], r->c, true, 1, &r->out);
    relay_take(r, i);
    if (loan == LOAN_BROKEN)
        r->broken = true;
    r->lingered = loan == LOAN_LINGER;
    if (loan == LOAN_CLEAN || loan == LOAN_LINGER) {
        r->lent = -1;
        relay_feed_client(r);
    }
}

static inline void relay_pump(struct relay *r, size_t piece)
{
    bool any = true;
    while (any && !r->broken) {
        any = false;
        for (int i = 0; i < RELAY_SERVERS; i++) {
            if (!relay_feed_server(r, i, piece))
                continue;
            any = true;
            if (r->lent == i) {
                relay_feed_client(r);
                relay_state(r);
            }
        }
    }
}

/* The client sends this, and everybody says what there is to say. */
static inline void relay_send(struct relay *r, const void *p, size_t n)
{
    const uint8_t *at = p;
    while (n != 0) {
        size_t take = r->piece != 0 && r->piece < n ? r->piece : n;
        RELAY_REQUIRE(buf_append(&r->cin, at, take));
        relay_feed_client(r);
        if (r->piece != 0)
            relay_pump(r, r->piece);
        at += take;
        n -= take;
    }
    relay_pump(r, r->piece);
}

/* Once. */
static inline void relay_set_up(void)
{
    struct err e;
    RELAY_REQUIRE(vars_init() && pg_crypto_init(&e));
}

static inline void relay_init(struct relay *r, size_t piece)
{
    memset(r, 0, sizeof *r);
    r->out.arena = r->arena;
    r->out.arena_size = sizeof r->arena;
    r->piece = piece;
    r->lent = -1;
    r->c = calloc(1, pg_proto_ops.client_bytes);
    RELAY_REQUIRE(r->c != NULL);
    r->c->magic = PG_CLIENT_MAGIC;
    r->c->prepared_limit = 2;
    r->c->statement_max_bytes = 65536;
    r->c->startup = vars_empty();
    r->c->current = vars_empty();
    r->c->report = vars_empty();
    r->c->how = pg_text_how(r->c->report);
    r->c->started = true;
    for (int i = 0; i < RELAY_SERVERS; i++) {
        struct pg_server *s = calloc(1, pg_proto_ops.server_bytes);
        RELAY_REQUIRE(s != NULL);
        s->magic = PG_SERVER_MAGIC;
        s->status = 'I';
        s->applied = vars_empty();
        s->report = vars_empty();
        s->login = vars_empty();
        r->servers[i] = s;
        r->models[i].status = 'I';
    }
}

static inline void relay_fini(struct relay *r)
{
    pg_proto_ops.client_fini(r->c);
    free(r->c);
    for (int i = 0; i < RELAY_SERVERS; i++) {
        pg_proto_ops.server_fini(r->servers[i]);
        free(r->servers[i]);
        model_fini(&r->models[i]);
        buf_release(&r->sin[i]);
    }
    buf_release(&r->cin);
    buf_release(&r->seen);
}

#endif
