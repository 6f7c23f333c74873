/* SPDX-License-Identifier: ISC
 * PREPARE: what a client's text is known by, and what a server connection keeps of those that it
 * has prepared. Their executions are in my_prepared.c, which tells how the two belong together.
 */
#include "config.h"

#include "proto/mysql/my_cache.h"
#include "proto/mysql/my_lex.h"
#include "proto/mysql/my_session.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* What one client's statements may take here, beside one of the longest. */
#define STMTS_BYTES_MAX (64u * 1024u * 1024u)

/* Two texts are one statement only where they mean the same: in this schema, mode and character
 * sets. A collation alone may be "", the default one of its set. */
static void context(const struct my_client *c, char *to, size_t room)
{
    static const char *const names[] = {"sql_mode", "character_set_client",
                                        "character_set_connection", "collation_connection"};
    int n = snprintf(to, room, "%s", c->schema != NULL ? c->schema : "");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct var_entry e = {.value = ""};
        (void)my_set_value(c, names[i], &e);
        if (n >= 0 && (size_t)n < room)
            n += snprintf(to + n, room - (size_t)n, "\n%s", e.value);
    }
}

/* What is sent again and again is prepared once. Else servers keep what an older execution found
 * (SHOW CREATE VIEW) or what was the default then (CREATE TABLE): each is a statement of its own,
 * and closed when it has been executed. */
static uint64_t fleeting(const char *text, size_t n)
{
    static const char *const lasting[] = {"SELECT", "INSERT", "UPDATE", "DELETE",  "REPLACE",
                                          "WITH",   "CALL",   "VALUES", "TABLE",   "DO",
                                          "SET",    "BEGIN",  "COMMIT", "ROLLBACK"};
    size_t len = 0;
    while (len < n && ((text[len] | 0x20) >= 'a' && (text[len] | 0x20) <= 'z'))
        len++;
    for (size_t i = 0; i < sizeof lasting / sizeof lasting[0]; i++)
        if (my_word_is(text, (uint32_t)len, lasting[i], (uint32_t)strlen(lasting[i])))
            return 0;
    return len != 0 ? MY_DO_FLEETING : 0; /* a comment, or a parenthesis */
}

static uint64_t text_flags(const struct my_scan *scan, const char *text, size_t n)
{
    return scan->flags | my_returning(text, n) | fleeting(text, n) |
           (scan->n_volatiles != 0 || (scan->flags & MY_DO_BARE_SET) != 0 ? MY_DO_PAST : 0) |
           (scan->no_table ? MY_DO_NO_TABLE : 0);
}

enum proto_verdict my_out_of_memory(struct proto_out *out)
{
    my_put_error(out, 1, MY_ER_OUT_OF_RESOURCES, "HY000", "weir: out of memory");
    return PROTO_MORE;
}

/* The payload of several packets without their headers. */
static char *join(const struct my_in *m, size_t *n)
{
    char *text = malloc(m->total);
    size_t done = 0, len = MY_PACKET_FULL;
    for (size_t at = 0; text != NULL && len == MY_PACKET_FULL; at += MY_HEAD_BYTES + len) {
        len = my_get24(m->p + at);
        size_t skip = at == 0 ? 1 : 0; /* the command */
        memcpy(text + done, m->p + at + MY_HEAD_BYTES + skip, len - skip);
        done += len - skip;
    }
    *n = done;
    return text;
}

/* WAIT: s->preparing is what is to be sent. */
static enum proto_verdict prepare_text(struct my_client *c, struct my_server *s, const char *text,
                                       size_t n, struct proto_out *out)
{
    char key[1536]; /* all modes there are, and names of 64 characters, are 1,100 */
    size_t bytes;
    struct my_scan scan;
    my_scan(text, n, my_scan_opts(c), &scan);
    if ((scan.flags & MY_DO_KILL) != 0) { /* the number would be taken for one of the server's */
        my_put_error(out, 1, MY_ER_UNSUPPORTED_PS, "HY000",
                     "weir: KILL can't be prepared: send it as a text");
        return PROTO_MORE;
    }
    if (my_is_barred(c, &scan, text, out))
        return PROTO_MORE;
    (void)my_stmts_count(c->stmts, &bytes);
    if (bytes > STMTS_BYTES_MAX) {
        my_put_error(out, 1, MY_ER_MAX_PREPARED, "42000",
                     "weir: the statements that this client has prepared take more than %u MB",
                     STMTS_BYTES_MAX >> 20);
        return PROTO_MORE;
    }
    if (s == NULL)
        return PROTO_LOAN;
    uint64_t flags = text_flags(&scan, text, n);
    context(c, key, sizeof key);
    size_t len = strlen(key);
    if ((flags & MY_DO_FLEETING) != 0)
        snprintf(key + len, sizeof key - len, " %" PRIu64 ".%" PRIu32, c->token,
                 my_stmts_last(c->stmts) + 1);
    my_text_put(&s->preparing);
    s->preparing = my_text_intern(key, text, n, flags);
    if (s->preparing == NULL)
        return my_out_of_memory(out);
    if (my_cache_find(&s->cache, s->preparing) == NULL)
        my_prepared_trim(s);
    return PROTO_WAIT;
}

enum proto_verdict my_on_prepare(struct my_client *c, struct my_server *s, const struct my_in *m,
                                 struct proto_out *out)
{
    bool joined = m->total > MY_HEAD_BYTES + MY_PACKET_FULL;
    if (m->have < m->total) {
        my_put_error(out, 1, MY_ER_PACKET_TOO_LARGE, "08S01",
                     "weir: a statement to be prepared may have at most %u kB (max_statement_size)",
                     c->prepare_64k * 64u);
        my_pass_rest(c, m, true);
        return PROTO_MORE;
    }
    if (s == NULL && joined)
        return PROTO_LOAN;
    size_t n = m->total - MY_HEAD_BYTES - 1;
    char *text = joined ? join(m, &n) : (char *)m->p + MY_HEAD_BYTES + 1;
    if (text == NULL)
        return my_out_of_memory(out);
    enum proto_verdict v = prepare_text(c, s, text, n, out);
    if (joined)
        free(text);
    if (v != PROTO_WAIT)
        return v;
    if ((v = my_sync_all(c, s, out)) != PROTO_MORE) {
        my_text_put(&s->preparing);
        return v;
    }
    if (!my_expect_push(s, MY_R_PREPARE, MY_A_PASS, MY_COM_STMT_PREPARE))
        return PROTO_BAD;
    /* Preparing leaves what the last statement did alone; its warnings too where MariaDB is asked
     * to prepare what reads no table, and MySQL what asks for them. */
    bool mariadb = c->report != NULL && c->report->mariadb;
    uint64_t keeps = mariadb ? MY_DO_NO_TABLE : MY_DO_SHOW_WARNINGS | MY_DO_SHOW_COUNT;
    s->flags = MY_DO_NO_STATEMENT | ((s->preparing->flags & keeps) != 0 ? MY_DO_SHOW_COUNT : 0);
    s->no_table = false;
    s->warning_count = 0;
    if (s->owner != c->turn)
        s->owner = 0;
    proto_lane_add(&out->server, m->p, m->have);
    out->client_parses++;
    out->server_parses++;
    return PROTO_MORE;
}

/* ---- the numbers that a server connection has
 * ---------------------------------------------------
 */

static void put_close(struct my_server *s, uint32_t id)
{
    uint8_t packet[MY_HEAD_BYTES + 5];
    my_put_head(packet, 5, 0);
    packet[MY_HEAD_BYTES] = MY_COM_STMT_CLOSE;
    my_put32(packet + MY_HEAD_BYTES + 1, id);
    (void)!buf_append(&s->closing, packet, sizeof packet); /* a number more stays at the server */
}

void my_execute_failed(struct my_server *s)
{
    my_cache_spoil(s->cache, s->executing, s->executing_longs);
    if (s->executing_longs)
        put_close(s, s->executing);
    s->executing_longs = false;
}

void my_execute_over(struct my_server *s)
{
    my_cache_spoil(s->cache, s->executing, true);
    put_close(s, s->executing);
}

void my_send_closes(struct my_server *s, struct proto_out *out)
{
    if (buf_len(&s->closing) == 0)
        return;
    buf_release(&s->closed); /* there is no answer to these */
    s->closed = s->closing;
    s->closing = (struct buf){0};
    proto_lane_add(&out->server, buf_head(&s->closed), buf_len(&s->closed));
}

void my_prepared_trim(struct my_server *s)
{
    uint32_t id, limit = s->prepared_limit != 0 ? s->prepared_limit : 1;
    while (my_cache_count(s->cache) >= limit && my_cache_evict(&s->cache, &id))
        put_close(s, id);
}

bool my_send_prepare(struct my_server *s, const struct my_text *text, struct proto_out *out)
{
    const char *sql = my_text_sql(text);
    size_t n = text->text_len, len = MY_PACKET_FULL - 1;
    out->server_parses++;
    if (n < len) {
        my_put_command(out, MY_COM_STMT_PREPARE, sql, n);
        return true;
    }
    buf_release(&s->notes);
    for (size_t at = 0, seq = 0; len >= MY_PACKET_FULL - 1; at += len, seq++) {
        uint8_t head[MY_HEAD_BYTES + 1], first = seq == 0;
        size_t room = MY_PACKET_FULL - first;
        len = n - at < room ? n - at : room;
        my_put_head(head, (uint32_t)len + first, (uint8_t)seq);
        head[MY_HEAD_BYTES] = MY_COM_STMT_PREPARE;
        if (!buf_append(&s->notes, head, MY_HEAD_BYTES + first) ||
            !buf_append(&s->notes, sql + at, len))
            return false;
        if (len < room)
            break;
    }
    proto_lane_add(&out->server, buf_head(&s->notes), buf_len(&s->notes));
    return true;
}

bool my_prepare_again(struct my_server *s, unsigned code, struct proto_out *out)
{
    uint32_t id, n = my_cache_count(s->cache);
    bool some = false;
    if (code != MY_ER_MAX_PREPARED || s->preparing == NULL)
        return false;
    for (uint32_t i = 0; i < (n + 1) / 2 && my_cache_evict(&s->cache, &id); i++) {
        put_close(s, id);
        some = true;
    }
    if (!some)
        return false;
    /* The server's room is others', too: from now on this much has to do. */
    s->prepared_limit = s->prepared_share = my_cache_count(s->cache) + 1;
    my_send_closes(s, out);
    return my_send_prepare(s, s->preparing, out);
}

bool my_prepared(struct my_client *c, struct my_server *s, const struct my_expect *x,
                 const uint8_t *p, size_t n, struct proto_out *out)
{
    uint32_t close;
    if (n < 12 || s->preparing == NULL)
        return false;
    uint32_t id = my_get32(p + 1);
    uint16_t columns = (uint16_t)my_get16(p + 5), params = (uint16_t)my_get16(p + 7);
    s->left = s->prepare_params = params;
    s->prepare_columns = columns;
    if (!my_cache_add(&s->cache, s->preparing, id, &close))
        return false;
    if (close != 0)
        put_close(s, close);
    if (s->preparing->text_len >= MY_PACKET_FULL - 1)
        buf_release(&s->notes);
    if (x->act == MY_A_PASS && c != NULL) {
        struct my_stmt *stmt = my_stmts_add(&c->stmts, s->preparing, params, columns);
        if (stmt == NULL)
            return false;
        uint8_t packet[MY_HEAD_BYTES + 12];
        my_put_head(packet, 12, 1);
        memcpy(packet + MY_HEAD_BYTES, p, 12);
        my_put32(packet + MY_HEAD_BYTES + 1, stmt->id);
        my_put(out, &out->client, packet, sizeof packet);
    } else if (c != NULL) {
        c->kept_back = false;
    }
    my_text_put(&s->preparing);
    return true;
}
