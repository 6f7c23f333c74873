/* SPDX-License-Identifier: ISC
 * A client object, two server objects and, behind each of these, a MySQL made of a few lines: it
 * knows transactions, prepared statements, cursors and LOAD DATA LOCAL, answers every command once,
 * and insists on what a server may rely on: commands that begin with number 0, and no number of a
 * statement that it did not give.
 *
 * Bytes go through the feeds in pieces of `piece` (0: as they come), from memory of exactly that
 * size, so that a sanitizer sees whoever looks beyond.
 */
#ifndef TESTS_UNIT_MY_RELAY_HELP_H
#define TESTS_UNIT_MY_RELAY_HELP_H

#include "config.h"

#include "proto/mysql/my_proto.h"
#include "proto/mysql/my_session.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define RELAY_SERVERS    2
#define MODEL_STATEMENTS 256

#define RELAY_REQUIRE(what)                                                                        \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);                             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* ---- a small MySQL -----------------------------------------------------------------------------
 */

struct model_statement {
    uint8_t params;
    bool used, rows;
};

struct model {
    struct model_statement statements[MODEL_STATEMENTS];
    struct buf in, out;
    uint16_t status;
    uint8_t seq;
    bool file, cursor;
    bool deaf; /* takes everything and says nothing */
};

static inline void model_packet(struct model *m, const void *p, size_t n)
{
    RELAY_REQUIRE(my_put_packet(&m->out, ++m->seq, p, n));
}

static inline void model_ok(struct model *m)
{
    const uint8_t p[] = {0, 0, 0, (uint8_t)m->status, (uint8_t)(m->status >> 8), 0, 0};
    model_packet(m, p, sizeof p);
}

static inline void model_eof(struct model *m, unsigned more)
{
    unsigned status = m->status | more;
    const uint8_t p[] = {0xfe, 0, 0, (uint8_t)status, (uint8_t)(status >> 8)};
    model_packet(m, p, sizeof p);
}

static inline void model_error(struct model *m, unsigned code)
{
    uint8_t p[16] = {0xff, (uint8_t)code, (uint8_t)(code >> 8), '#', '4', '2', '0', '0', '0', 'n',
                     'o'};
    model_packet(m, p, 11);
}

static inline void model_definitions(struct model *m, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        model_packet(m, "\3def\0\0\0\1x\0\x0c\x2d\0\0\1\0\0\xfd\0\0\0\0\0", 23);
}

static inline void model_rows(struct model *m, unsigned columns, unsigned rows, bool binary)
{
    uint8_t row[64];
    for (unsigned r = 0; r < rows; r++) {
        size_t n = 0;
        if (binary) {
            row[n++] = 0;
            row[n++] = 0;
        }
        for (unsigned c = 0; c < columns; c++) {
            row[n++] = 1;
            row[n++] = (uint8_t)('0' + r);
        }
        model_packet(m, row, n);
    }
    model_eof(m, 0);
}

static inline void model_result(struct model *m, unsigned columns, unsigned rows, bool binary)
{
    const uint8_t n = (uint8_t)columns;
    model_packet(m, &n, 1);
    model_definitions(m, columns);
    model_eof(m, 0);
    model_rows(m, columns, rows, binary);
}

static inline bool model_is(const char *sql, const char *what)
{
    return strncasecmp(sql, what, strlen(what)) == 0;
}

static inline void model_query(struct model *m, const char *sql)
{
    if (model_is(sql, "SELECT FOUND_ROWS(), ")) {
        unsigned columns = 2;
        for (const char *p = sql; (p = strstr(p, "IS_USED_LOCK")) != NULL; p++)
            columns++;
        model_result(m, columns < 20 ? columns : 20, 1, false);
    } else if (model_is(sql, "select") || model_is(sql, "show")) {
        model_result(m, model_is(sql, "show warnings") ? 3 : 1, 2, false);
    } else if (model_is(sql, "load data local")) {
        m->file = true;
        model_packet(m,
                     "\xfb"
                     "x",
                     2);
    } else if (model_is(sql, "begin")) {
        m->status |= MY_ST_IN_TRANS;
        model_ok(m);
    } else if (model_is(sql, "commit") || model_is(sql, "rollback")) {
        m->status &= (uint16_t)~MY_ST_IN_TRANS;
        model_ok(m);
    } else if (model_is(sql, "set") || model_is(sql, "insert")) {
        model_ok(m);
    } else {
        model_error(m, 1064);
    }
}

static inline void model_prepare(struct model *m, const char *sql)
{
    unsigned id = 1, params = 0;
    while (id < MODEL_STATEMENTS && m->statements[id].used)
        id++;
    if (id == MODEL_STATEMENTS || model_is(sql, "selec ")) {
        model_error(m, 1461);
        return;
    }
    for (const char *p = sql; *p != '\0' && params < 200; p++)
        params += *p == '?';
    bool rows = model_is(sql, "select") || model_is(sql, "show");
    m->statements[id] =
        (struct model_statement){.params = (uint8_t)params, .used = true, .rows = rows};
    const uint8_t p[] = {0, (uint8_t)id, 0, 0, 0, rows, 0, (uint8_t)params, 0, 0, 0, 0};
    model_packet(m, p, sizeof p);
    model_definitions(m, params);
    if (params != 0)
        model_eof(m, 0);
    model_definitions(m, rows);
    if (rows)
        model_eof(m, 0);
}

/* weir gives no number that the server doesn't know, but for those with the highest bit: of a
 * client's number that is nobody's the server is to say so itself. NULL: one of these. */
static inline struct model_statement *model_statement(struct model *m, const uint8_t *p, size_t n)
{
    RELAY_REQUIRE(n >= 5);
    uint32_t id = my_get32(p + 1);
    if (id >> 31 != 0)
        return NULL;
    RELAY_REQUIRE(id < MODEL_STATEMENTS && m->statements[id].used);
    return &m->statements[id];
}

static inline void model_execute(struct model *m, const uint8_t *p, size_t n)
{
    const struct model_statement *s = model_statement(m, p, n);
    if (s == NULL) {
        model_error(m, 1243);
        return;
    }
    RELAY_REQUIRE(n >= 10);
    size_t bound = 10 + (s->params + 7u) / 8u;
    RELAY_REQUIRE(s->params == 0 || n > bound);
    if (s->params != 0 && p[bound] == 1)
        RELAY_REQUIRE(n >= bound + 1 + 2u * s->params);
    if (!s->rows) {
        model_ok(m);
    } else if (p[5] != 0) {
        m->cursor = true;
        model_packet(m, "\1", 1);
        model_definitions(m, 1);
        model_eof(m, MY_ST_CURSOR);
    } else {
        model_result(m, 1, 2, true);
    }
}

static inline void model_command(struct model *m, const uint8_t *p, size_t n)
{
    char sql[4096];
    snprintf(sql, sizeof sql, "%.*s", (int)(n - 1), (const char *)p + 1);
    switch ((enum my_command)p[0]) {
    case MY_COM_QUERY:
        model_query(m, sql);
        break;
    case MY_COM_STMT_PREPARE:
        model_prepare(m, sql);
        break;
    case MY_COM_STMT_EXECUTE:
        model_execute(m, p, n);
        break;
    case MY_COM_STMT_FETCH:
        RELAY_REQUIRE(n == 9);
        if (model_statement(m, p, n) == NULL) {
            model_error(m, 1243);
            break;
        }
        model_packet(m, "\0\0\1a", 4);
        model_eof(m, m->cursor ? MY_ST_CURSOR : MY_ST_LAST_ROW);
        m->cursor = !m->cursor;
        break;
    case MY_COM_STMT_CLOSE:
        RELAY_REQUIRE(model_statement(m, p, n) != NULL);
        model_statement(m, p, n)->used = false;
        break;
    case MY_COM_STMT_SEND_LONG_DATA:
        RELAY_REQUIRE(model_statement(m, p, n) != NULL);
        break;
    case MY_COM_STMT_RESET:
        if (model_statement(m, p, n) != NULL)
            model_ok(m);
        else
            model_error(m, 1243);
        break;
    case MY_COM_RESET_CONNECTION:
        memset(m->statements, 0, sizeof m->statements);
        m->status = MY_ST_AUTOCOMMIT;
        model_ok(m);
        break;
    case MY_COM_STATISTICS:
        model_packet(m, "Uptime", 6);
        break;
    case MY_COM_PROCESS_INFO:
        model_result(m, 2, 1, false);
        break;
    case MY_COM_FIELD_LIST:
        model_definitions(m, 1);
        model_eof(m, 0);
        break;
    case MY_COM_SET_OPTION:
    case MY_COM_DEBUG:
    case MY_COM_SHUTDOWN:
        model_eof(m, 0);
        break;
    case MY_COM_INIT_DB:
    case MY_COM_REFRESH:
        model_ok(m);
        break;
    case MY_COM_SLEEP:
    case MY_COM_QUIT:
    case MY_COM_PROCESS_KILL:
    case MY_COM_PING:
    case MY_COM_CHANGE_USER:
    case MY_COM_BINLOG_DUMP:
    case MY_COM_TABLE_DUMP:
    case MY_COM_REGISTER_SLAVE:
    case MY_COM_BINLOG_DUMP_GTID:
    case MY_COM_STMT_BULK_EXECUTE:
    default:
        fprintf(stderr, "command %u, which weir answers itself or refuses\n", p[0]);
        abort();
    }
}

static inline void model_feed(struct model *m, const void *p, size_t n)
{
    if (m->deaf)
        return;
    RELAY_REQUIRE(buf_append(&m->in, p, n));
    while (buf_len(&m->in) >= MY_HEAD_BYTES) {
        const uint8_t *at = buf_head(&m->in);
        size_t len = my_get24(at);
        if (buf_len(&m->in) < MY_HEAD_BYTES + len)
            break;
        m->seq = at[3];
        if (m->file) {
            m->file = len != 0;
            if (!m->file)
                model_ok(m);
        } else {
            RELAY_REQUIRE(at[3] == 0 && len != 0);
            model_command(m, at + MY_HEAD_BYTES, len);
        }
        buf_consume(&m->in, MY_HEAD_BYTES + len);
    }
}

/* ---- the worker, without sockets ---------------------------------------------------------------
 */

struct relay {
    struct my_client *c;
    struct my_server *servers[RELAY_SERVERS];
    struct model models[RELAY_SERVERS];
    struct buf cin, sin[RELAY_SERVERS];
    struct proto_out out;
    size_t piece;
    int next; /* the server that is lent next */
    int lent; /* -1: none */
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
        uint8_t sum = 0;
        RELAY_REQUIRE(lanes[l]->n >= 0 && lanes[l]->n <= PROTO_SPANS);
        for (int i = 0; i < lanes[l]->n; i++) {
            const uint8_t *p = lanes[l]->v[i].iov_base;
            bytes += lanes[l]->v[i].iov_len;
            for (size_t k = 0; k < lanes[l]->v[i].iov_len; k++)
                sum = (uint8_t)(sum + p[k]); /* each byte is there to be read */
            if (l == 1 && server >= 0)
                model_feed(&r->models[server], p, lanes[l]->v[i].iov_len);
        }
        RELAY_REQUIRE(bytes == lanes[l]->bytes && (bytes != 0 || sum == 0));
        RELAY_REQUIRE(l == 0 || bytes == 0 || server >= 0);
    }
    r->closed |= r->out.close_client;
    relay_out_reset(r);
}

static inline void relay_state(struct relay *r);

/* An event that the client outlives, with what waits of it. */
static inline void relay_say(struct relay *r, enum proto_event ev, struct my_server *s, bool waits)
{
    struct buf b = {0};
    size_t used = 0, n = waits ? buf_len(&r->cin) : 0;
    r->closed |= !my_proto_ops.say(r->c, s, ev, "so it is", NULL, n != 0 ? buf_head(&r->cin) : NULL,
                                   n, &used, &b);
    RELAY_REQUIRE(used <= n);
    buf_consume(&r->cin, used);
    buf_release(&b);
}

/* Feed what is in cin. */
static inline void relay_feed_client(struct relay *r)
{
    while (!r->closed && buf_len(&r->cin) != 0) {
        size_t n = buf_len(&r->cin), used = 0;
        uint8_t *exact = malloc(n);
        RELAY_REQUIRE(exact != NULL);
        memcpy(exact, buf_head(&r->cin), n);
        int at = r->lent;
        enum proto_verdict v = my_proto_ops.from_client(r->c, at >= 0 ? r->servers[at] : NULL,
                                                        exact, n, &used, &r->out);
        RELAY_REQUIRE(used <= n);
        relay_take(r, at);
        free(exact);
        buf_consume(&r->cin, used);
        if (r->out.kill != PROTO_KILL_NONE) {
            r->out.kill = PROTO_KILL_NONE;
            relay_say(r, PROTO_EV_KILL_UNKNOWN, NULL, false);
            continue;
        }
        if (v == PROTO_FULL)
            continue;
        if (v == PROTO_BYE || v == PROTO_BAD || v == PROTO_LOGIN)
            r->closed = true;
        if (v != PROTO_LOAN)
            return;
        RELAY_REQUIRE(at < 0);
        if (r->refuse) {
            relay_say(r, PROTO_EV_NO_LOAN, NULL, true);
            continue;
        }
        r->lent = r->next;
        (void)my_proto_ops.begin(r->servers[r->lent], r->c, &r->out);
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
        v = my_proto_ops.from_server(r->servers[i], r->lent == i ? r->c : NULL, exact, have, &used,
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
    enum proto_loan loan = my_proto_ops.state(r->servers[i], r->c, true, 1, &r->out);
    relay_take(r, i);
    if (loan == LOAN_BROKEN)
        r->broken = true;
    if (loan == LOAN_CLEAN) {
        RELAY_REQUIRE(r->models[i].deaf || (r->models[i].status & MY_ST_IN_TRANS) == 0);
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

static inline void relay_init(struct relay *r, size_t piece)
{
    const struct my_client_start client = {
        .id = 7,
        .caps = MY_CAPS_OFFERED,
        .limits = {.prepared = 2, .pool_mode = MY_MODE_TRANSACTION},
        .charset = 45};
    memset(r, 0, sizeof *r);
    r->out.arena = r->arena;
    r->out.arena_size = sizeof r->arena;
    r->piece = piece;
    r->lent = -1;
    r->c = calloc(1, my_proto_ops.client_bytes);
    RELAY_REQUIRE(r->c != NULL && my_client_init(r->c, &client));
    for (int i = 0; i < RELAY_SERVERS; i++) {
        struct my_server *s = calloc(1, my_proto_ops.server_bytes);
        const struct my_server_start server = {.fd = -1,
                                               .report =
                                                   my_report_create("11.4.2-MariaDB", 45, true),
                                               .home = "shop",
                                               .tracking = "SET NAMES utf8mb4",
                                               .thread_id = 1,
                                               .caps = MY_CAPS_WANTED};
        RELAY_REQUIRE(s != NULL && server.report != NULL && my_server_init(s, &server));
        r->servers[i] = s;
        r->models[i].status = MY_ST_AUTOCOMMIT;
    }
}

static inline void relay_fini(struct relay *r)
{
    my_proto_ops.client_fini(r->c);
    free(r->c);
    for (int i = 0; i < RELAY_SERVERS; i++) {
        my_proto_ops.server_fini(r->servers[i]);
        free(r->servers[i]);
        buf_release(&r->models[i].in);
        buf_release(&r->models[i].out);
        buf_release(&r->sin[i]);
    }
    buf_release(&r->cin);
}

#endif
