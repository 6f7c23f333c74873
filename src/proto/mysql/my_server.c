/* SPDX-License-Identifier: ISC
 * The server's bytes: packets are counted off against what was asked. Rows and column definitions
 * are stepped over by their length, whole or in part; what ends a result is looked at when it is
 * whole. See my_session.h.
 *
 * A packet's meaning depends on where it stands, never on its first byte alone: a row may begin
 * with the bytes of an EOF or an ERR. An EOF is shorter than nine bytes, and only the first packet
 * of a row of 16 MB and more is looked at.
 */
#include "config.h"

#include "proto/mysql/my_session.h"

#include <ctype.h>
#include <stdlib.h>

/* An OK with a state block, an ERR, an EOF: what claims to be longer is not believed. */
#define INFO_MAX    2048u
#define STATE_MAX   2048u
#define CONTROL_MAX (1024u * 1024u)

/* One packet, or the beginning of one that is only stepped over. */
struct packet {
    const uint8_t *p; /* its header */
    size_t have;
    uint32_t len; /* of its payload */
    bool first;   /* begins a logical packet */
};

static const uint8_t *body(const struct packet *k)
{
    return k->p + MY_HEAD_BYTES;
}

static bool shown(const struct my_client *c, const struct my_expect *x)
{
    return c != NULL && x != NULL && x->act == MY_A_PASS;
}

static void show(struct my_client *c, struct my_server *s, const struct my_expect *x,
                 const struct packet *k, struct proto_out *out)
{
    if (!shown(c, x))
        return;
    proto_lane_add(&out->client, k->p, k->have);
    s->seq = k->p[3];
}

#define DEFINITION_TEXTS 6u /* catalog, schema, table twice, name twice */

/* Behind a definition's texts stands MariaDB's block, if the server writes one, and then the rest.
 */
static bool cut_definition(const uint8_t *packet, size_t n, bool block, size_t *at, size_t *rest)
{
    struct my_reader r = my_reader_of(packet + MY_HEAD_BYTES, n - MY_HEAD_BYTES);
    for (unsigned i = 0; i < DEFINITION_TEXTS; i++)
        (void)my_read_lenenc_bytes(&r);
    *at = (size_t)(r.p - packet);
    if (block)
        (void)my_read_lenenc_bytes(&r);
    *rest = (size_t)(r.p - packet);
    return !r.bad;
}

size_t my_definition_for(const struct my_client *c, const uint8_t *packet, size_t n, uint8_t *to,
                         size_t room)
{
    size_t at, rest;
    bool add = (c->caps & MY_CAP_EXTENDED) != 0;
    if (n >= room || !cut_definition(packet, n, !add, &at, &rest))
        return 0;
    memcpy(to, packet, at);
    to[at] = 0; /* a block with nothing in it */
    memcpy(to + at + add, packet + rest, n - rest);
    size_t len = at + add + n - rest;
    my_put_head(to, (uint32_t)(len - MY_HEAD_BYTES), packet[3]);
    return len;
}

/* Of COM_FIELD_LIST: as long as a column's default value. */
static bool show_large_definition(const struct my_client *c, const struct packet *k,
                                  struct proto_out *out)
{
    size_t at, rest;
    uint8_t head[MY_HEAD_BYTES], nothing = 0;
    bool add = (c->caps & MY_CAP_EXTENDED) != 0;
    if (!cut_definition(k->p, k->have, !add, &at, &rest))
        return false;
    my_put_head(head, (uint32_t)(at + add + k->have - rest - MY_HEAD_BYTES), k->p[3]);
    my_put(out, &out->client, head, sizeof head);
    proto_lane_add(&out->client, body(k), at - MY_HEAD_BYTES);
    my_put(out, &out->client, &nothing, add);
    proto_lane_add(&out->client, k->p + rest, k->have - rest);
    return true;
}

static bool show_definition(struct my_client *c, struct my_server *s, const struct my_expect *x,
                            const struct packet *k, struct proto_out *out)
{
    if (!shown(c, x) || my_same_definitions(c, s)) {
        show(c, s, x, k, out);
        return true;
    }
    s->seq = k->p[3];
    if (k->have >= MY_DEFINITION_MAX)
        return show_large_definition(c, k, out);
    uint8_t *to = out->arena + out->arena_used;
    size_t n = my_definition_for(c, k->p, k->have, to, MY_DEFINITION_MAX);
    proto_lane_add(&out->client, to, n);
    out->arena_used += n;
    return n != 0;
}

/* The command at the head is answered. */
static void pop(struct my_client *c, struct my_server *s, bool ok, struct proto_out *out)
{
    struct my_expect x = *my_expect_head(s);
    s->head = (s->head + 1) % MY_QUEUE_MAX;
    s->len--;
    s->phase = MY_PH_FIRST;
    s->rows = 0;
    switch ((enum my_act)x.act) {
    case MY_A_PASS:
        free(s->overdue);
        s->overdue = NULL;
        buf_release(&s->longs);
        s->failed = !ok;
        if (c != NULL)
            out->queries++;
        if (ok &&
            (s->flags & MY_DO_RELEASE) != 0) /* here is nobody any more: not for others, either */
            s->dying = out->close_client = true;
        if (!x.cursor && x.kind == MY_R_RESULT)
            s->status &= (uint16_t)~MY_ST_CURSOR;
        if (ok && x.command == MY_COM_STMT_EXECUTE && (s->flags & MY_DO_FLEETING) != 0 &&
            (s->status & MY_ST_CURSOR) == 0)
            my_execute_over(s);
        my_effect_end(c, s);
        break;
    case MY_A_SET:
        if (!ok)
            s->dying = true; /* what follows it runs in a session that isn't the client's */
        s->owner = 0;
        if (s->report != NULL && !s->report->mariadb && x.command == MY_COM_QUERY)
            s->diagnosed = 0; /* MariaDB's list is that of the last one who read a table */
        break;
    case MY_A_PREPARE:
        s->owner = 0;
        break;
    case MY_A_SETTLE:
        my_settle_end(c, s, ok);
        if (s->settle == MY_S_NONE && c != NULL && c->deferred) {
            c->deferred = false;
            my_put_ok(c, out);
        }
        break;
    }
}

/* ---- what ends a result -------------------------------------------------------------------------
 */

/* The OK as the client may know it: of what weir has the server report, as much as the server would
 * have told the client by itself. */
static void show_ok(struct my_client *c, struct my_server *s, const struct packet *k,
                    struct my_ok *ok, struct proto_out *out)
{
    uint8_t state[STATE_MAX], packet[MY_OK_MAX + INFO_MAX + STATE_MAX];
    if (ok->state.p == NULL && (ok->status & MY_ST_STATE_CHANGED) == 0 &&
        ok->warnings == s->warning_count) {
        show(c, s, my_expect_head(s), k, out);
        return;
    }
    if (ok->info.n > INFO_MAX)
        ok->info.n = INFO_MAX; /* a text for people */
    size_t n =
        (c->caps & MY_CAP_SESSION_TRACK) != 0 ? my_track_filter(ok->state, state, STATE_MAX) : 0;
    ok->state = (struct my_view){state, n};
    my_put(out, &out->client, packet, my_write_ok(packet, k->p[3], ok));
    s->seq = k->p[3];
}

static bool on_ok(struct my_client *c, struct my_server *s, const struct packet *k,
                  struct proto_out *out)
{
    const struct my_expect *x = my_expect_head(s);
    struct my_ok ok;
    if (!my_read_ok(body(k), k->len, (s->caps & MY_CAP_SESSION_TRACK) != 0, &ok))
        return false;
    s->status = ok.status;
    s->unknown = false;
    bool old = x->command == MY_COM_INIT_DB && my_is_mysql(c); /* it tells of what was before */
    s->warning_count = ok.warnings;
    if (old)
        ok.warnings = c->warning_count;
    if (ok.state.n != 0)
        my_track(c, s, ok.state);
    if (c != NULL && x->act == MY_A_PASS) {
        c->status = (uint16_t)(ok.status & MY_ST_LASTING);
        c->row_count = (int64_t)ok.affected;
        if (!my_keeps_warnings(c, s)) {
            c->warning_count = ok.warnings;
            c->error_count = 0;
        }
        if (ok.insert_id != 0)
            c->insert_id = ok.insert_id;
    }
    if (shown(c, x))
        show_ok(c, s, k, &ok, out);
    if ((ok.status & MY_ST_MORE_RESULTS) != 0)
        s->phase = MY_PH_FIRST;
    else
        pop(c, s, true, out);
    return true;
}

/* A statement that weir had cancelled: its client is told why. */
static bool show_overdue(struct my_client *c, struct my_server *s, const struct packet *k,
                         struct proto_out *out)
{
    if (s->overdue == NULL || !shown(c, my_expect_head(s)) ||
        my_get16(body(k) + 1) != MY_ER_QUERY_INTERRUPTED)
        return false;
    if (s->overdue_tx)
        my_put_error(out, k->p[3], MY_ER_LOCK_DEADLOCK, "40001", "%s", s->overdue);
    else
        my_put_error(out, k->p[3], MY_ER_QUERY_INTERRUPTED, "70100", "%s", s->overdue);
    s->overdue_told = s->overdue_tx && s->len == 1; /* what comes behind it knows nothing of it */
    s->seq = k->p[3];
    return true;
}

/* The client's schema is not there: in which one the connection is need not be known. */
static bool on_no_schema(struct my_server *s)
{
    char *unknown = strdup(MY_SCHEMA_UNKNOWN);
    if (unknown == NULL)
        return false;
    free(s->schema);
    s->schema = unknown;
    s->listed = true;
    s->diagnosed = 0;
    return true;
}

static void keep_state(struct my_client *c, const struct packet *k)
{
    const char *state = (const char *)body(k) + 4;
    bool told = k->len >= 9 && body(k)[3] == '#';
    size_t n = 0;
    while (told && n < 5 && isalnum((unsigned char)state[n]))
        n++;
    memcpy(c->error_state, state, n == 5 ? n : 0);
    c->error_state[n == 5 ? n : 0] = '\0';
}

static bool on_error(struct my_client *c, struct my_server *s, const struct packet *k,
                     struct proto_out *out)
{
    const struct my_expect *x = my_expect_head(s);
    if (k->len < 3)
        return false;
    if (x->kind == MY_R_PREPARE && my_prepare_again(s, my_get16(body(k) + 1), out))
        return true;
    bool schema = x->act == MY_A_SET && x->command == MY_COM_INIT_DB;
    if (schema && !on_no_schema(s))
        return false;
    if (schema || x->act == MY_A_PREPARE) {
        free(s->prepare_error);
        s->prepare_error = k->len < MY_ERR_MAX ? malloc(k->have) : NULL;
        if (s->prepare_error == NULL)
            return false;
        memcpy(s->prepare_error, k->p, k->have);
        if (!schema)
            my_text_put(&s->preparing);
    }
    if (x->act == MY_A_PASS && x->kind == MY_R_PREPARE)
        my_text_put(&s->preparing);
    if (x->command == MY_COM_STMT_EXECUTE || x->command == MY_COM_STMT_BULK_EXECUTE)
        my_execute_failed(s);
    if (x->cursor)
        s->status &= (uint16_t)~MY_ST_CURSOR;
    if (x->act == MY_A_PASS || x->act == MY_A_PREPARE) {
        s->error = (uint16_t)my_get16(body(k) + 1);
        s->unknown = true;
        if (c != NULL) {
            c->row_count = -1;
            c->error_count = c->warning_count = 1;
            c->error = s->error;
            keep_state(c, k);
        }
    }
    /* A command that is longer than the server takes. */
    bool early = shown(c, x) && my_is_sending(c, s) && k->len < MY_ERR_MAX;
    if (early && !my_answer_late(c, k->p, k->have))
        return false;
    if (early) /* it will hang up, and doesn't get the rest */
        c->drop = s->dying = true;
    if (!early && !show_overdue(c, s, k, out))
        show(c, s, x, k, out);
    pop(c, s, schema, out);
    return true;
}

/* The EOF behind the last row, or (columns) behind the definitions. */
static bool on_eof(struct my_client *c, struct my_server *s, const struct packet *k,
                   struct proto_out *out)
{
    const struct my_expect *x = my_expect_head(s);
    if (k->len < 5)
        return false;
    uint16_t warnings = (uint16_t)my_get16(body(k) + 1), status = (uint16_t)my_get16(body(k) + 3);
    bool columns = s->phase == MY_PH_COLUMNS;
    bool cursor = x->cursor && (status & MY_ST_CURSOR) != 0;
    if (!columns || cursor) {
        s->status = status;
        s->unknown = false;
        s->warning_count = warnings;
        if ((status & MY_ST_STATE_CHANGED) != 0)
            s->changed = true; /* what, can't be said here */
    }
    uint16_t told = (uint16_t)(status & ~MY_ST_STATE_CHANGED);
    /* MySQL's libraries take a routine's own cursor for one that their EXECUTE has opened. Directly
     * they never hear of it here: they'd have DEPRECATE_EOF, and no packet in this place. */
    if (columns && !cursor && x->command == MY_COM_STMT_EXECUTE)
        told &= (uint16_t)~MY_ST_CURSOR;
    if (shown(c, x) && told != status) {
        uint8_t packet[16];
        my_put(out, &out->client, packet, my_write_eof(packet, k->p[3], told, warnings));
        s->seq = k->p[3];
    } else {
        show(c, s, x, k, out);
    }
    if (columns && !cursor) {
        s->phase = MY_PH_ROWS;
        s->out_params = (status & MY_ST_OUT_PARAMS) != 0;
        return true;
    }
    if (c != NULL && x->act == MY_A_PASS) {
        c->status = (uint16_t)(status & MY_ST_LASTING);
        c->row_count = -1;
        if (!my_leaves_counts(c, s))
            c->found_rows = s->rows;
        if (!my_keeps_warnings(c, s)) {
            c->warning_count = warnings;
            c->error_count = 0;
        }
    }
    bool more = s->out_params || (status & MY_ST_MORE_RESULTS) != 0;
    s->rows = 0;
    s->out_params = false;
    if (more)
        s->phase = MY_PH_FIRST;
    else
        pop(c, s, true, out);
    return true;
}

/* ---- where it stands ---------------------------------------------------------------------------
 */

/* LOCAL INFILE: the server asks the client for a file. */
static bool on_infile(struct my_client *c, struct my_server *s, const struct packet *k,
                      struct proto_out *out)
{
    const struct my_expect *x = my_expect_head(s);
    if (shown(c, x) && (c->caps & MY_CAP_LOCAL_FILES) != 0) {
        show(c, s, x, k, out);
        s->phase = MY_PH_INFILE;
        s->file_begun = false;
        return true;
    }
    /* Nobody who could send one: an empty file, and the client hears why. */
    uint8_t packet[MY_HEAD_BYTES];
    my_put_head(packet, 0, (uint8_t)(k->p[3] + 1));
    my_put(out, &out->server, packet, sizeof packet);
    s->infile_refused = shown(c, x);
    return true;
}

/* As the server answers one who has not said that it can. */
static void refuse_infile(const struct my_client *c, uint8_t seq, struct proto_out *out)
{
    if (c->report != NULL && c->report->mariadb)
        my_put_error(out, seq, MY_ER_LOCAL_INFILE, "HY000",
                     "The used command is not allowed because the MariaDB server or client has "
                     "disabled the local infile capability");
    else
        my_put_error(out, seq, MY_ER_LOCAL_INFILE_MYSQL, "42000",
                     "Loading local data is disabled; this must be enabled on both the client and "
                     "server sides");
}

static bool is_eof(const struct packet *k)
{
    return k->len < 9 && body(k)[0] == 0xfe;
}

/* The first packet of a response. */
static bool on_first(struct my_client *c, struct my_server *s, const struct packet *k,
                     struct proto_out *out)
{
    const struct my_expect *x = my_expect_head(s);
    if (x->kind == MY_R_TEXT) {
        show(c, s, x, k, out);
        pop(c, s, true, out);
        return true;
    }
    switch (body(k)[0]) {
    case 0xff:
        return on_error(c, s, k, out);
    case 0x00:
        if (x->kind == MY_R_PREPARE) {
            s->phase = MY_PH_PARAMS;
            if (!my_prepared(c, s, x, body(k), k->len, out))
                return false;
            s->seq = k->p[3];
            return true;
        }
        if (s->infile_refused) {
            s->infile_refused = false;
            /* the question and the empty file were not the client's */
            refuse_infile(c, (uint8_t)(k->p[3] - 2), out);
            s->unknown = true;
            pop(c, s, false, out);
            return true;
        }
        return on_ok(c, s, k, out);
    case 0xfb:
        return x->kind == MY_R_RESULT && on_infile(c, s, k, out);
    case 0xfe:
        if (is_eof(k) && (x->kind == MY_R_EOF || x->kind == MY_R_OK || x->kind == MY_R_FIELDS ||
                          x->kind == MY_R_FETCH))
            return on_eof(c, s, k, out);
        return false;
    default:
        break;
    }
    if (x->kind != MY_R_RESULT)
        return false;
    struct my_reader r = my_reader_of(body(k), k->len);
    uint64_t n = my_read_lenenc(&r);
    if (r.bad || my_left(&r) != 0 || n == 0 || n > 0xffff)
        return false;
    s->left = (uint32_t)n;
    s->phase = MY_PH_COLUMNS;
    show(c, s, x, k, out);
    return true;
}

/* After a PREPARE's first packet: the definitions of parameters, then of columns, each with an EOF
 * if there are any. */
static bool on_definition(struct my_client *c, struct my_server *s, const struct packet *k,
                          struct proto_out *out)
{
    struct my_expect *x = my_expect_head(s);
    if (s->left != 0) {
        s->left--;
        return show_definition(c, s, x, k, out);
    }
    if (!is_eof(k))
        return false;
    show(c, s, x, k, out);
    s->left = 0;
    s->phase = s->phase == MY_PH_PARAMS ? MY_PH_PREPARE_COLUMNS : MY_PH_FIRST;
    if (s->phase == MY_PH_PREPARE_COLUMNS)
        s->left = s->prepare_columns;
    return true;
}

/* Blocks that have no definitions are not there at all. */
static void end_prepare(struct my_client *c, struct my_server *s, struct proto_out *out)
{
    if (s->phase == MY_PH_PARAMS && s->left == 0 && s->prepare_params == 0) {
        s->phase = MY_PH_PREPARE_COLUMNS;
        s->left = s->prepare_columns;
    }
    if (s->phase == MY_PH_PREPARE_COLUMNS && s->prepare_columns == 0)
        pop(c, s, true, out);
}

static bool on_row(struct my_client *c, struct my_server *s, const struct packet *k,
                   struct proto_out *out)
{
    const struct my_expect *x = my_expect_head(s);
    if (k->len != 0 && body(k)[0] == 0xff && k->len < MY_PACKET_FULL)
        return on_error(c, s, k, out);
    if (k->len != 0 && is_eof(k))
        return on_eof(c, s, k, out);
    s->rows++;
    show(c, s, x, k, out);
    return true;
}

static bool on_packet(struct my_client *c, struct my_server *s, const struct packet *k,
                      struct proto_out *out)
{
    const struct my_expect *x = my_expect_head(s);
    if (x == NULL) { /* nobody asked: its last words, if any */
        if (k->len >= 9 && body(k)[0] == 0xff && body(k)[3] == '#') {
            size_t n = k->len - 9 < sizeof s->words - 1 ? k->len - 9 : sizeof s->words - 1;
            memcpy(s->words_state, body(k) + 4, 5);
            memcpy(s->words, body(k) + 9, n);
            s->words[n] = '\0';
        }
        return false;
    }
    if (k->len == 0 && s->phase != MY_PH_ROWS)
        return false;
    if (x->act == MY_A_SETTLE)
        my_settle_packet(c, s, k->p, k->have);
    switch ((enum my_phase)s->phase) {
    case MY_PH_FIRST:
        if (x->kind == MY_R_FIELDS && body(k)[0] != 0xff && !is_eof(k))
            return show_definition(c, s, x, k, out);
        if (x->kind == MY_R_FETCH)
            return on_row(c, s, k, out);
        return on_first(c, s, k, out);
    case MY_PH_COLUMNS:
        if (s->left == 0 && body(k)[0] == 0xff) /* a cursor could not be opened */
            return on_error(c, s, k, out);
        if (s->left == 0)
            return is_eof(k) && on_eof(c, s, k, out);
        s->left--;
        return show_definition(c, s, x, k, out);
    case MY_PH_ROWS:
        return on_row(c, s, k, out);
    case MY_PH_PARAMS:
    case MY_PH_PREPARE_COLUMNS:
        if (!on_definition(c, s, k, out))
            return false;
        if (s->phase == MY_PH_FIRST)
            pop(c, s, true, out);
        return true;
    case MY_PH_INFILE: /* the server ends it before the file did: an error */
        s->phase = MY_PH_FIRST;
        return on_first(c, s, k, out);
    }
    return false;
}

/* May this packet be passed on before all of it is there? */
static bool may_stream(const struct my_server *s, const struct packet *k)
{
    if (!k->first)
        return true;
    if (s->len == 0 || k->have < MY_HEAD_BYTES + 1)
        return false;
    bool rows =
        s->phase == MY_PH_ROWS || (s->phase == MY_PH_FIRST && s->queue[s->head].kind == MY_R_FETCH);
    if (!rows || s->queue[s->head].act == MY_A_SETTLE)
        return false;
    return body(k)[0] != 0xff && (body(k)[0] != 0xfe || k->len >= 9);
}

enum proto_verdict my_server_feed(void *ps, void *pc, const uint8_t *in, size_t n, size_t *used,
                                  struct proto_out *out)
{
    struct my_server *s = ps;
    struct my_client *c = pc;
    size_t pos = 0;
    *used = 0;
    while (pos < n) {
        if (proto_out_full(out)) {
            *used = pos;
            return PROTO_FULL;
        }
        if (s->skip != 0) {
            size_t take = s->skip < n - pos ? (size_t)s->skip : n - pos;
            if (!s->skip_drop && c != NULL)
                proto_lane_add(&out->client, in + pos, take);
            s->skip -= take;
            pos += take;
            continue;
        }
        if (n - pos < MY_HEAD_BYTES)
            break;
        struct packet k = {.p = in + pos, .len = my_get24(in + pos), .first = !s->cont};
        size_t total = MY_HEAD_BYTES + (size_t)k.len;
        k.have = n - pos < total ? n - pos : total;
        if (k.have < total && !may_stream(s, &k)) {
            if (k.first && k.len > CONTROL_MAX && k.have > MY_HEAD_BYTES)
                return PROTO_BAD;
            break;
        }
        s->skip_drop = !shown(c, my_expect_head(s));
        bool ok = true;
        if (k.first)
            ok = on_packet(c, s, &k, out);
        else if (!s->skip_drop)
            proto_lane_add(&out->client, k.p, k.have);
        if (!ok || s->dying)
            return PROTO_BAD;
        if (s->phase == MY_PH_PARAMS || s->phase == MY_PH_PREPARE_COLUMNS)
            end_prepare(c, s, out);
        s->cont = k.len == MY_PACKET_FULL;
        s->skip = total - k.have;
        pos += k.have;
    }
    *used = pos;
    return PROTO_MORE;
}
