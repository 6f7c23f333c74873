/* SPDX-License-Identifier: ISC
 * The client's bytes: a packet is looked at when it is whole, up to MY_COLLECT_MAX; beyond that its
 * beginning decides and the rest passes through as it comes. See my_session.h.
 */
#include "config.h"

#include "base/clock.h"
#include "proto/comment/comment.h"
#include "proto/mysql/my_session.h"

#include <stdlib.h>

#define MY_COLLECT_MAX (1024u * 1024u)

bool my_expect_push(struct my_server *s, enum my_kind kind, enum my_act act, uint8_t command)
{
    if (s->len == MY_QUEUE_MAX)
        return false;
    s->queue[(s->head + s->len++) % MY_QUEUE_MAX] =
        (struct my_expect){.kind = (uint8_t)kind, .act = (uint8_t)act, .command = command};
    if (act == MY_A_PASS) {
        s->seq = 0;
        s->reset_done = false;
    }
    return true;
}

void my_pass_rest(struct my_client *c, const struct my_in *m, bool drop)
{
    c->skip = m->total - m->have;
    c->more = m->total == MY_HEAD_BYTES + MY_PACKET_FULL;
    c->drop = drop;
}

/* What isn't a statement leaves the warnings of the last one alone. */
static uint64_t passed_flags(enum my_kind kind)
{
    return kind == MY_R_RESULT ? 0 : MY_DO_SHOW_COUNT | MY_DO_NO_STATEMENT;
}

bool my_answer_late(struct my_client *c, const void *err, size_t n)
{
    free(c->late);
    c->late = malloc(n);
    if (c->late != NULL)
        memcpy(c->late, err, n);
    return c->late != NULL;
}

/* As soon as the last packet of the command is there. */
static void late_answer(struct my_client *c, struct proto_out *out)
{
    if (c->late == NULL || c->skip != 0 || c->more)
        return;
    c->late[3] = (uint8_t)(c->seq + 1);
    my_put(out, &out->client, c->late, MY_HEAD_BYTES + my_get24(c->late));
    free(c->late);
    c->late = NULL;
}

/* A command that passes as it is. */
static enum proto_verdict pass(struct my_client *c, struct my_server *s, const struct my_in *m,
                               enum my_kind kind, struct proto_out *out)
{
    if (s == NULL)
        return PROTO_LOAN;
    bool moves = m->p[MY_HEAD_BYTES] == MY_COM_INIT_DB; /* wherever it is */
    enum proto_verdict v = !moves               ? my_sync_all(c, s, out)
                           : my_sync(c, s, out) ? PROTO_MORE
                                                : PROTO_BAD;
    if (v != PROTO_MORE)
        return v;
    if (!my_expect_push(s, kind, MY_A_PASS, m->p[MY_HEAD_BYTES]))
        return PROTO_BAD;
    s->flags = passed_flags(kind);
    s->owner = c->turn = my_stamp(c, c->turn);
    proto_lane_add(&out->server, m->p, m->have);
    my_pass_rest(c, m, false);
    return PROTO_MORE;
}

/* COM_INIT_DB: of the schema that is in use already, nobody need be asked. */
static enum proto_verdict on_init_db(struct my_client *c, struct my_server *s,
                                     const struct my_in *m, struct proto_out *out)
{
    size_t n = m->have - MY_HEAD_BYTES - 1;
    if (c->schema != NULL && strlen(c->schema) == n &&
        memcmp(c->schema, m->p + MY_HEAD_BYTES + 1, n) == 0) {
        c->row_count = 0;
        c->turn = my_stamp(c, c->turn);
        my_put_ok_schema(c, out);
        return PROTO_MORE;
    }
    return pass(c, s, m, MY_R_OK, out);
}

static enum proto_verdict on_set_option(struct my_client *c, const struct my_in *m,
                                        struct proto_out *out)
{
    uint8_t packet[16];
    if (m->have != MY_HEAD_BYTES + 3 || my_get16(m->p + MY_HEAD_BYTES + 1) > 1) {
        my_put_error(out, 1, MY_ER_UNKNOWN_COM, "08S01", "Unknown command");
        return PROTO_MORE;
    }
    if (m->p[MY_HEAD_BYTES + 1] == 0)
        c->caps |= MY_CAP_MULTI_STATEMENTS;
    else
        c->caps &= ~MY_CAP_MULTI_STATEMENTS;
    c->row_count = -1;
    c->turn = my_stamp(c, c->turn);
    bool mariadb = c->report != NULL && c->report->mariadb;
    my_put(out, &out->client, packet,
           my_write_eof(packet, 1, c->status, mariadb ? 0 : c->warning_count));
    return PROTO_MORE;
}

/* With nothing held there is nothing at any server to reset; else the client has its answer when
 * the server has given its own. */
static enum proto_verdict on_reset(struct my_client *c, struct my_server *s, struct proto_out *out)
{
    my_client_reset(c);
    if (s != NULL && (s->pins != 0 || my_in_transaction(s))) {
        bool worn = s->worn; /* it goes, and the client has nothing to wait for */
        c->deferred = !worn;
        if (my_settle_start(s, MY_S_RESET, out) != LOAN_SETTLE && !worn)
            return PROTO_BAD;
        if (!worn)
            return PROTO_MORE;
        my_held_forget(s, UINT32_MAX);
        s->status &= (uint16_t)~MY_ST_IN_TRANS;
        s->savepoint = s->touched = s->next_left = false;
    }
    my_put_ok(c, out);
    return PROTO_MORE;
}

static enum proto_verdict on_kill(struct my_client *c, const struct my_in *m, struct proto_out *out)
{
    if (m->have < MY_HEAD_BYTES + 5) {
        my_put_error(out, 1, MY_ER_MALFORMED, "HY000", "Malformed communication packet");
        return PROTO_MORE;
    }
    out->kill_id = my_get32(m->p + MY_HEAD_BYTES + 1);
    c->kill_id = out->kill_id;
    c->kill_query = false;
    out->kill_seen_us = c->looked_us;
    out->kill = PROTO_KILL_SESSION;
    return PROTO_WAIT;
}

static enum proto_verdict refuse(const char *what, struct proto_out *out)
{
    my_put_error(out, 1, MY_ER_UNKNOWN_COM, "08S01", "weir: %s", what);
    return PROTO_MORE;
}

/* One whole command, or the beginning of a large one. */
static enum proto_verdict command(struct my_client *c, struct my_server *s, const struct my_in *m,
                                  struct proto_out *out)
{
    switch ((enum my_command)m->p[MY_HEAD_BYTES]) {
    case MY_COM_QUIT:
        return PROTO_BYE;
    case MY_COM_QUERY:
        return my_on_query(c, s, m, out);
    case MY_COM_STMT_PREPARE:
        return my_on_prepare(c, s, m, out);
    case MY_COM_STMT_BULK_EXECUTE:
        if ((c->caps & MY_CAP_BULK) == 0)
            break;
        return my_on_statement(c, s, m, out);
    case MY_COM_STMT_EXECUTE:
    case MY_COM_STMT_FETCH:
    case MY_COM_STMT_CLOSE:
    case MY_COM_STMT_RESET:
    case MY_COM_STMT_SEND_LONG_DATA:
        return my_on_statement(c, s, m, out);
    case MY_COM_PING:
        c->row_count = 0;
        c->turn = my_stamp(c, c->turn);
        my_put_ok_ping(c, out);
        return PROTO_MORE;
    case MY_COM_INIT_DB:
        return on_init_db(c, s, m, out);
    case MY_COM_SET_OPTION:
        return on_set_option(c, m, out);
    case MY_COM_RESET_CONNECTION:
        return on_reset(c, s, out);
    case MY_COM_PROCESS_KILL:
        return on_kill(c, m, out);
    case MY_COM_FIELD_LIST:
        return pass(c, s, m, MY_R_FIELDS, out);
    case MY_COM_STATISTICS:
        return pass(c, s, m, MY_R_TEXT, out);
    case MY_COM_PROCESS_INFO:
        c->looked_us = clock_now_us();
        return pass(c, s, m, MY_R_RESULT, out);
    case MY_COM_REFRESH: /* of one byte: there is no bit for a lock in it */
        return pass(c, s, m, MY_R_OK, out);
    case MY_COM_SHUTDOWN: /* for whom the server allows it */
    case MY_COM_DEBUG:
        return pass(c, s, m, MY_R_EOF, out);
    case MY_COM_CHANGE_USER:
        return PROTO_LOGIN;
    case MY_COM_BINLOG_DUMP:
    case MY_COM_BINLOG_DUMP_GTID:
    case MY_COM_TABLE_DUMP:
    case MY_COM_REGISTER_SLAVE:
        return refuse("replication needs a connection to the server itself", out);
    case MY_COM_SLEEP:
        break;
    }
    my_put_error(out, 1, MY_ER_UNKNOWN_COM, "08S01", "Unknown command");
    return PROTO_MORE;
}

/* The client's file, packet by packet, up to an empty one that doesn't end one of 16 MB. false: the
 * header isn't there yet. */
static bool feed_file(struct my_client *c, struct my_server *s, const uint8_t *in, size_t n,
                      size_t *pos, struct proto_out *out)
{
    if (n - *pos < MY_HEAD_BYTES)
        return false;
    uint32_t len = my_get24(in + *pos);
    proto_lane_add(&out->server, in + *pos, MY_HEAD_BYTES);
    s->seq = in[*pos + 3];
    s->file_begun = true;
    *pos += MY_HEAD_BYTES;
    if (len == 0 && !c->more)
        s->phase = MY_PH_FIRST;
    c->skip = len;
    c->more = len == MY_PACKET_FULL;
    c->drop = false;
    return true;
}

void my_lost_forget(struct my_client *c)
{
    free(c->lost_text);
    c->lost_text = NULL;
    c->lost = MY_LOST_NO;
}

/* It ends the session that was: nothing of that can be taken for done. */
static bool starts_anew(uint8_t com)
{
    return com == MY_COM_RESET_CONNECTION || com == MY_COM_CHANGE_USER;
}

/* What it should have known before it sent this. */
static enum proto_verdict tell_lost(struct my_client *c, const struct my_in *m,
                                    struct proto_out *out)
{
    const char *text = c->lost_text != NULL ? c->lost_text : "weir: the transaction is lost";
    bool taken = c->lost == MY_LOST_TAKEN, over = c->lost == MY_LOST_SESSION;
    my_put_error(out, 1, taken ? MY_ER_LOCK_DEADLOCK : my_error_for(c, MY_CR_SERVER_LOST),
                 taken ? "40001" : "08S01", "%s", text);
    my_lost_forget(c);
    my_execute_refused(c, m);
    my_pass_rest(c, m, true);
    return over ? PROTO_BAD : PROTO_MORE;
}

/* How long it may take, and whose it is. */
static void note_said(const struct my_client *c, const struct my_in *m, struct proto_out *out)
{
    struct comment said = {.trace_id = NULL};
    const uint8_t *body = m->p + MY_HEAD_BYTES + 1;
    size_t n = m->have - MY_HEAD_BYTES - 1;
    uint8_t com = body[-1];
    if (com == MY_COM_QUERY || com == MY_COM_STMT_PREPARE) {
        comment_read((const char *)body, n, &said);
    } else if ((com == MY_COM_STMT_EXECUTE || com == MY_COM_STMT_BULK_EXECUTE) && n >= 4) {
        const struct my_stmt *stmt = my_stmts_find(c->stmts, my_get32(body));
        if (stmt != NULL)
            comment_read(my_text_sql(stmt->text), stmt->text->text_len, &said);
    }
    out->deadline_ms = said.deadline_ms != 0 ? said.deadline_ms : c->deadline_ms;
    if (said.trace_id != NULL)
        out->trace_id = said.trace_id;
}

static bool has_answer(uint8_t com)
{
    return com != MY_COM_QUIT && com != MY_COM_STMT_CLOSE && com != MY_COM_STMT_SEND_LONG_DATA;
}

/* What weir did ahead of this command has failed: that is its answer. */
static bool tell_failed(struct my_client *c, struct my_server *s, struct proto_out *out)
{
    if (s->prepare_error == NULL)
        return false;
    my_put(out, &out->client, s->prepare_error, MY_HEAD_BYTES + my_get24(s->prepare_error));
    free(s->prepare_error);
    s->prepare_error = NULL;
    c->row_count = -1;
    c->turn = my_stamp(c, c->turn);
    return true;
}

static enum proto_verdict one_packet(struct my_client *c, struct my_server *s,
                                     const struct my_in *m, struct proto_out *out)
{
    if (m->p[3] != 0) {
        my_put_error(out, (uint8_t)(m->p[3] + 1), 1156, "08S01", "Got packets out of order");
        return PROTO_BAD;
    }
    if (m->total == MY_HEAD_BYTES) {
        my_put_error(out, 1, MY_ER_UNKNOWN_COM, "08S01", "Unknown command");
        return PROTO_MORE;
    }
    /* Whoever answers it, "the last one" is this one, or none. */
    if (m->p[MY_HEAD_BYTES] == MY_COM_STMT_PREPARE && c->stmts != NULL)
        c->stmts->latest = 0;
    if (c->lost != MY_LOST_NO && starts_anew(m->p[MY_HEAD_BYTES]))
        my_lost_forget(c);
    if (c->lost != MY_LOST_NO && has_answer(m->p[MY_HEAD_BYTES]))
        return tell_lost(c, m, out);
    note_said(c, m, out);
    c->seq = 0;
    my_pass_rest(c, m, true); /* unless it goes to a server: no byte of another's answer may */
    if (s != NULL && has_answer(m->p[MY_HEAD_BYTES]) && tell_failed(c, s, out)) {
        my_execute_refused(c, m);
        return PROTO_MORE;
    }
    return command(c, s, m, out);
}

/* Of all the packets that make one payload; of those that have not begun to come, as if they were
 * empty. */
static size_t chain_bytes(const uint8_t *p, size_t n, size_t max)
{
    size_t at = 0;
    for (bool more = true; more && at <= max; at += MY_HEAD_BYTES) {
        more = at + MY_HEAD_BYTES <= n && my_get24(p + at) == MY_PACKET_FULL;
        at += at + MY_HEAD_BYTES <= n ? my_get24(p + at) : 0;
    }
    return at;
}

/* How much of a command must be there before it is looked at. What belongs to no one connection
 * (long data, a text that is to be prepared anywhere) is kept whole, if it isn't too long. */
static size_t collected(const struct my_client *c, struct my_in *m)
{
    uint8_t com = m->have > MY_HEAD_BYTES ? m->p[MY_HEAD_BYTES] : 0;
    if (com == MY_COM_STMT_SEND_LONG_DATA)
        return MY_HEAD_BYTES + MY_PACKET_FULL;
    if (com != MY_COM_STMT_PREPARE)
        return MY_COLLECT_MAX;
    size_t max = (size_t)c->prepare_64k << 16, all = m->total;
    if (m->total == MY_HEAD_BYTES + MY_PACKET_FULL)
        all = chain_bytes(m->p, m->n, max);
    if (all > max)
        return MY_COLLECT_MAX;
    m->total = all;
    m->have = m->n < all ? m->n : all;
    return all;
}

/* Must this client's next command wait? */
static bool must_wait(const struct my_server *s)
{
    return s != NULL &&
           (s->len != 0 || s->settle != MY_S_NONE || s->want_warnings || s->ask || s->dying);
}

enum proto_verdict my_client_feed(void *pc, void *ps, const uint8_t *in, size_t n, size_t *used,
                                  struct proto_out *out)
{
    struct my_client *c = pc;
    struct my_server *s = ps;
    size_t pos = 0;
    enum proto_verdict v = PROTO_MORE;
    while (pos < n && v == PROTO_MORE) {
        if (proto_out_full(out)) {
            v = PROTO_FULL;
            break;
        }
        if (c->skip != 0) {
            size_t take = c->skip < n - pos ? (size_t)c->skip : n - pos;
            if (!c->drop && s != NULL)
                proto_lane_add(&out->server, in + pos, take);
            c->skip -= take;
            pos += take;
            continue;
        }
        late_answer(c, out);
        if (s != NULL && s->phase == MY_PH_INFILE) {
            if (!feed_file(c, s, in, n, &pos, out))
                break;
            continue;
        }
        if (!c->more && must_wait(s)) {
            v = PROTO_WAIT;
            break;
        }
        if (n - pos < MY_HEAD_BYTES)
            break;
        struct my_in m = {.p = in + pos, .total = MY_HEAD_BYTES + (size_t)my_get24(in + pos)};
        m.n = n - pos;
        m.have = m.n < m.total ? m.n : m.total;
        if (c->more) { /* the rest of a packet of 16 MB and more */
            c->more = m.total == MY_HEAD_BYTES + MY_PACKET_FULL;
            c->seq = m.p[3];
            if (!c->drop && s != NULL) {
                proto_lane_add(&out->server, m.p, MY_HEAD_BYTES);
                s->seq = c->seq;
            }
            c->skip = m.total - MY_HEAD_BYTES;
            pos += MY_HEAD_BYTES;
            continue;
        }
        size_t whole = collected(c, &m);
        if (m.have < (m.total < whole ? m.total : whole))
            break;
        if (m.have > whole)
            m.have = whole;
        v = one_packet(c, s, &m, out);
        if (out->kill != PROTO_KILL_NONE) { /* the message is used; say() will answer it */
            pos += m.have;
            break;
        }
        if (v == PROTO_LOAN || v == PROTO_WAIT || v == PROTO_LOGIN) {
            c->skip = 0;
            c->more = c->drop = false;
            break;
        }
        pos += m.have;
    }
    if (v == PROTO_MORE)
        late_answer(c, out);
    *used = pos;
    return v;
}
