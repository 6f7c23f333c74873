/* SPDX-License-Identifier: ISC
 * See admin_pg.h.
 *
 *               feed                     execute                    result
 *   READING ----------> a command is due ---------> AWAY -----------------------> ANSWERING
 *      ^                    | (a driver's pleasantry                                  | rows, a
 * piece |                    |  is answered here)                                      | at a time
 *      +--------------------+---------------------------------------------------------+
 *
 * A simple Query may hold several statements: they are taken one by one, and the first error drops
 * the rest. In the extended protocol an error drops everything up to Sync.
 * Which statements and portals there are, and whether a transaction block is open, is kept as
 * PostgreSQL keeps it, because drivers and pools look at it.
 */
#include "config.h"

#include "admin/admin_pg.h"
#include "admin/admin_pg_item.h"
#include "admin/admin_pg_row.h"

#include "admin/admin_command.h"
#include "admin/admin_result.h"
#include "admin/admin_table.h"

#include "base/buf.h"
#include "proto/pg/pg_msg.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_MAX    (64u * 1024u)
#define STATEMENTS_MAX 256u          /* and as many portals: each may be a whole message long */
#define PIECE_BYTES    (64u * 1024u) /* of rows, then the caller sends */

enum phase { PHASE_READING, PHASE_AWAY, PHASE_ANSWERING };

struct admin_pg {
    const char *version;
    admin_pg_execute_cb *execute;
    void *ctx;
    enum phase phase;
    char block;    /* as ReadyForQuery says it: I, T, E */
    bool skipping; /* until Sync */
    bool broken;   /* memory is out: nothing that is in the buffer can be trusted */
    bool simple;   /* the command under way comes from a Query */
    char *batch;   /* the Query under way */
    size_t batch_at, batch_len;
    bool batch_empty;             /* no command in it so far */
    struct admin_pg_item *portal; /* being executed; NULL when simple */
    uint32_t row_limit;           /* of this Execute, 0: none */
    uint32_t rows_sent;
    struct admin_result *result; /* being sent */
    size_t next_row;
    struct admin_pg_items statements, portals;
    size_t n_statements, n_portals;
};

/* ---- life -------------------------------------------------------------------------------------
 */

struct admin_pg *admin_pg_create(const char *version, admin_pg_execute_cb *execute, void *ctx)
{
    struct admin_pg *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->version = version;
    p->execute = execute;
    p->ctx = ctx;
    p->block = 'I';
    TAILQ_INIT(&p->statements);
    TAILQ_INIT(&p->portals);
    return p;
}

static void statement_free(struct admin_pg *p, struct admin_pg_item *it)
{
    admin_pg_item_free(&p->statements, &p->n_statements, it);
}

static void portal_free(struct admin_pg *p, struct admin_pg_item *it)
{
    admin_pg_item_free(&p->portals, &p->n_portals, it);
}

static void portals_free_all(struct admin_pg *p)
{
    while (!TAILQ_EMPTY(&p->portals))
        portal_free(p, TAILQ_FIRST(&p->portals));
}

void admin_pg_destroy(struct admin_pg **pp)
{
    struct admin_pg *p = *pp;
    if (p == NULL)
        return;
    *pp = NULL;
    portals_free_all(p);
    while (!TAILQ_EMPTY(&p->statements))
        statement_free(p, TAILQ_FIRST(&p->statements));
    admin_result_destroy(&p->result);
    free(p->batch);
    free(p);
}

/* ---- answers ------------------------------------------------------------------------------------
 */

/* Every writer of pg_msg.h says whether there was memory; here it is noted once. */
static void wrote(struct admin_pg *p, bool ok)
{
    if (!ok)
        p->broken = true;
}

static void put_ready(struct admin_pg *p, struct buf *out)
{
    wrote(p, pg_msg_ready(out, p->block));
}

/* An error ends what is under way: the rest of the Query, or everything up to Sync. */
static void put_error(struct admin_pg *p, struct buf *out, const char *sqlstate, const char *text)
{
    struct pg_report r = {.severity = "ERROR", .sqlstate = sqlstate, .message = text};
    wrote(p, pg_msg_error(out, &r));
    if (p->block == 'T')
        p->block = 'E';
    if (p->simple) {
        p->batch_at = p->batch_len;
        p->batch_empty = false;
    } else {
        p->skipping = true;
    }
}

static enum admin_pg_state put_fatal(struct admin_pg *p, struct buf *out, const char *text)
{
    struct pg_report r = {.severity = "FATAL", .sqlstate = "08P01", .message = text};
    wrote(p, pg_msg_error(out, &r));
    return ADMIN_PG_CLOSE;
}

static void put_row_description(struct admin_pg *p, struct buf *out,
                                const struct admin_command *cmd,
                                const struct admin_pg_formats *formats)
{
    struct admin_column one;
    size_t n;
    const struct admin_column *columns = admin_columns(cmd, &one, &n);
    if (columns == NULL)
        wrote(p, pg_msg_bare(out, 'n'));
    else
        wrote(p, admin_pg_put_columns(out, columns, n, formats));
}

/* The first line is the message, the rest its detail, as PgBouncer has it in SHOW HELP. */
static void put_notice(struct admin_pg *p, struct buf *out, const char *text)
{
    const char *newline = strchr(text, '\n');
    char head[256];
    (void)snprintf(head, sizeof head, "%.*s", newline == NULL ? 255 : (int)(newline - text), text);
    struct pg_report r = {
        .severity = "NOTICE", .sqlstate = "00000", .message = head, .detail = newline};
    wrote(p, pg_msg_notice(out, &r));
}

/* "SELECT 1" already says how many rows; SHOW and orders say none, as PgBouncer. */
static void put_complete(struct admin_pg *p, struct buf *out, const char *tag)
{
    wrote(p, tag[0] == '\0' ? pg_msg_bare(out, 'I') : pg_msg_command_complete(out, tag));
}

bool admin_pg_greet(struct admin_pg *p, uint32_t pid, uint32_t secret, struct buf *out)
{
    static const char *const status[][2] = {
        {"server_encoding", "UTF8"},
        {"client_encoding", "UTF8"},
        {"DateStyle", "ISO, MDY"},
        {"IntervalStyle", "postgres"},
        {"TimeZone", "UTC"},
        {"integer_datetimes", "on"},
        {"standard_conforming_strings", "on"},
        {"default_transaction_read_only", "off"},
        {"in_hot_standby", "off"},
        {"is_superuser", "off"},
    };
    char version[128];
    (void)snprintf(version, sizeof version, "15.0 (%s)", p->version);
    uint8_t key[4] = {(uint8_t)(secret >> 24), (uint8_t)(secret >> 16), (uint8_t)(secret >> 8),
                      (uint8_t)secret};
    bool ok = pg_msg_parameter_status(out, "server_version", version);
    for (size_t i = 0; ok && i < sizeof status / sizeof status[0]; i++)
        ok = pg_msg_parameter_status(out, status[i][0], status[i][1]);
    return ok && pg_msg_backend_key(out, pid, key, sizeof key) && pg_msg_ready(out, 'I');
}

/* ---- carrying out
 * -------------------------------------------------------------------------------- */

/* BEGIN and its kin, and whether a failed block forbids the command. false: it was an error. */
static bool track_block(struct admin_pg *p, const struct admin_command *cmd, const char **tag,
                        struct buf *out)
{
    *tag = cmd->tag;
    if (cmd->verb == ADMIN_COMMIT || cmd->verb == ADMIN_ROLLBACK) {
        if (p->block == 'E')
            *tag = "ROLLBACK";
        p->block = 'I';
        return true;
    }
    if (cmd->verb == ADMIN_NOOP && strcmp(cmd->tag, "ROLLBACK") == 0) { /* to a savepoint */
        p->block = p->block == 'E' ? 'T' : p->block;
        return true;
    }
    if (p->block == 'E' && cmd->verb != ADMIN_EMPTY) {
        put_error(p, out, "25P02",
                  "current transaction is aborted, commands ignored until end of transaction "
                  "block");
        return false;
    }
    if (cmd->verb == ADMIN_BEGIN)
        p->block = 'T';
    return true;
}

/* One command: answered here (true) or sent away (false: the phase is PHASE_AWAY). */
static bool run(struct admin_pg *p, const struct admin_command *cmd, const char *text,
                struct buf *out)
{
    const char *tag;
    if (!track_block(p, cmd, &tag, out))
        return true;
    if (admin_verb_is_show(cmd->verb) || admin_verb_is_order(cmd->verb) ||
        cmd->verb == ADMIN_VALUE) {
        p->phase = PHASE_AWAY;
        p->execute(p->ctx, text);
        return false;
    }
    put_complete(p, out, tag);
    return true;
}

/* Rows from p->next_row on: true when all that are wanted are in the buffer. */
static bool put_rows(struct admin_pg *p, struct buf *out)
{
    static const struct admin_pg_formats text_format = {0};
    const struct admin_table *t = p->result->table;
    const struct admin_pg_formats *formats = p->portal == NULL ? &text_format : &p->portal->formats;
    size_t rows = admin_table_rows(t);
    while (p->next_row < rows && !p->broken) {
        if (p->row_limit != 0 && p->rows_sent == p->row_limit)
            return true;
        if (buf_len(out) >= PIECE_BYTES)
            return false;
        wrote(p, admin_pg_put_row(out, t, p->next_row, formats));
        p->next_row++;
        p->rows_sent++;
    }
    return true;
}

static void end_answer(struct admin_pg *p, struct buf *out)
{
    bool suspended = p->result->table != NULL && !p->result->failed &&
                     p->next_row < admin_table_rows(p->result->table);
    if (suspended && p->portal != NULL) {
        p->portal->result = p->result;
        p->portal->next_row = p->next_row;
        p->result = NULL;
        wrote(p, pg_msg_bare(out, 's'));
    } else {
        put_complete(p, out, p->result->tag);
        admin_result_destroy(&p->result);
    }
    p->portal = NULL;
    p->phase = PHASE_READING;
}

/* ---- simple -------------------------------------------------------------------------------------
 */

static char *copy_text(const char *text, size_t n)
{
    char *copy = malloc(n + 1);
    if (copy == NULL)
        return NULL;
    memcpy(copy, text, n);
    copy[n] = '\0';
    return copy;
}

static void run_statement(struct admin_pg *p, const char *text, size_t n, struct buf *out)
{
    struct admin_command cmd;
    const char *sqlstate = NULL;
    struct err e = {{0}};
    if (!admin_command_parse(text, n, &cmd, &sqlstate, &e)) {
        put_error(p, out, sqlstate, e.text);
        return;
    }
    if (cmd.verb == ADMIN_EMPTY)
        return;
    p->batch_empty = false;
    char *copy = copy_text(text, n);
    if (copy == NULL)
        p->broken = true;
    else
        (void)run(p, &cmd, copy, out);
    free(copy);
}

/* Go on with the Query under way until it is done or a command is away. */
static void run_batch(struct admin_pg *p, struct buf *out)
{
    while (p->phase == PHASE_READING && p->batch_at < p->batch_len && !p->broken) {
        const char *text = p->batch + p->batch_at;
        size_t n = admin_command_split(text, p->batch_len - p->batch_at);
        p->batch_at += n;
        run_statement(p, text, n, out);
    }
    if (p->phase != PHASE_READING || p->broken)
        return;
    if (p->batch_empty)
        wrote(p, pg_msg_bare(out, 'I'));
    free(p->batch);
    p->batch = NULL;
    p->simple = false;
    if (p->block == 'I')
        portals_free_all(p);
    put_ready(p, out);
}

/* ---- reading messages ---------------------------------------------------------------------------
 */

struct reader {
    const uint8_t *p, *end;
    bool bad;
};

static const char *read_string(struct reader *r)
{
    const uint8_t *nul = r->bad ? NULL : memchr(r->p, 0, (size_t)(r->end - r->p));
    if (nul == NULL) {
        r->bad = true;
        return "";
    }
    const char *s = (const char *)r->p;
    r->p = nul + 1;
    return s;
}

static uint32_t read_uint(struct reader *r, size_t bytes)
{
    if (r->bad || (size_t)(r->end - r->p) < bytes) {
        r->bad = true;
        return 0;
    }
    uint32_t v = 0;
    for (size_t i = 0; i < bytes; i++)
        v = v << 8 | *r->p++;
    return v;
}

/* The message ends here and was well-formed. */
static bool read_end(const struct reader *r)
{
    return !r->bad && r->p == r->end;
}

static void put_malformed(struct admin_pg *p, struct buf *out)
{
    put_error(p, out, "08P01", "malformed message");
}

static void on_query(struct admin_pg *p, struct reader *r, struct buf *out)
{
    const char *text = read_string(r);
    p->simple = true;
    p->batch_at = p->batch_len = 0;
    p->batch_empty = true;
    if (!read_end(r)) {
        put_malformed(p, out);
    } else {
        p->batch_len = strlen(text);
        p->batch = copy_text(text, p->batch_len);
        if (p->batch == NULL)
            p->broken = true;
    }
    run_batch(p, out);
}

static void on_parse(struct admin_pg *p, struct reader *r, struct buf *out)
{
    const char *name = read_string(r), *text = read_string(r);
    uint32_t n_types = read_uint(r, 2);
    for (uint32_t i = 0; i < n_types && !r->bad; i++)
        (void)read_uint(r, 4);
    struct admin_command cmd;
    const char *sqlstate = NULL;
    struct err e = {{0}};
    struct admin_pg_item *old = admin_pg_item_find(&p->statements, name);
    if (!read_end(r)) {
        put_malformed(p, out);
    } else if (n_types != 0) {
        put_error(p, out, "0A000", "console commands take no parameters");
    } else if (old != NULL && name[0] != '\0') {
        put_error(p, out, "42P05", "prepared statement already exists");
    } else if (!admin_command_parse(text, strlen(text), &cmd, &sqlstate, &e)) {
        put_error(p, out, sqlstate, e.text);
    } else if (old == NULL && p->n_statements == STATEMENTS_MAX) {
        put_error(p, out, "53400", "too many prepared statements");
    } else {
        statement_free(p, old);
        if (admin_pg_item_add(&p->statements, &p->n_statements, name, text, &cmd) == NULL)
            p->broken = true;
        wrote(p, pg_msg_bare(out, '1'));
    }
}

/* The formats of a Bind's result columns. false: an error has been put. */
static bool read_formats(struct admin_pg *p, struct reader *r, const struct admin_command *cmd,
                         struct admin_pg_formats *formats, struct buf *out)
{
    struct admin_column one;
    size_t n_columns;
    (void)admin_columns(cmd, &one, &n_columns);
    uint32_t n = read_uint(r, 2);
    bool known = true;
    for (uint32_t i = 0; i < n && !r->bad; i++) {
        uint32_t f = read_uint(r, 2);
        known = known && f <= 1;
        if (i < ADMIN_COLUMNS_MAX)
            formats->binary[i] = f == 1;
    }
    formats->n = n < ADMIN_COLUMNS_MAX ? n : ADMIN_COLUMNS_MAX;
    if (!read_end(r))
        put_malformed(p, out);
    else if (!known)
        put_error(p, out, "22023", "unknown format code");
    else if (n > 1 && n != n_columns)
        put_error(p, out, "08P01", "format codes don't match the columns");
    else
        return true;
    return false;
}

static void on_bind(struct admin_pg *p, struct reader *r, struct buf *out)
{
    const char *portal = read_string(r), *name = read_string(r);
    uint32_t n_formats = read_uint(r, 2);
    for (uint32_t i = 0; i < n_formats && !r->bad; i++)
        (void)read_uint(r, 2);
    uint32_t n_values = read_uint(r, 2);
    struct admin_pg_item *st = admin_pg_item_find(&p->statements, name);
    struct admin_pg_item *old = admin_pg_item_find(&p->portals, portal);
    struct admin_pg_formats formats = {0};
    if (r->bad) {
        put_malformed(p, out);
    } else if (st == NULL) {
        put_error(p, out, "26000", "prepared statement does not exist");
    } else if (n_values != 0) {
        put_error(p, out, "08P01", "console commands take no parameters");
    } else if (!read_formats(p, r, &st->cmd, &formats, out)) {
        return;
    } else if (old != NULL && portal[0] != '\0') {
        put_error(p, out, "42P03", "portal already exists");
    } else if (old == NULL && p->n_portals == STATEMENTS_MAX) {
        put_error(p, out, "53400", "too many portals");
    } else {
        portal_free(p, old);
        struct admin_pg_item *it =
            admin_pg_item_add(&p->portals, &p->n_portals, portal, st->text, &st->cmd);
        if (it == NULL)
            p->broken = true;
        else
            it->formats = formats;
        wrote(p, pg_msg_bare(out, '2'));
    }
}

static void on_describe(struct admin_pg *p, struct reader *r, struct buf *out)
{
    uint32_t what = read_uint(r, 1);
    const char *name = read_string(r);
    if (!read_end(r) || (what != 'S' && what != 'P')) {
        put_malformed(p, out);
        return;
    }
    struct admin_pg_item *it = admin_pg_item_find(what == 'S' ? &p->statements : &p->portals, name);
    if (it == NULL) {
        put_error(p, out, what == 'S' ? "26000" : "34000",
                  what == 'S' ? "prepared statement does not exist" : "portal does not exist");
        return;
    }
    static const uint8_t no_parameters[] = {'t', 0, 0, 0, 6, 0, 0};
    if (what == 'S')
        wrote(p, buf_append(out, no_parameters, sizeof no_parameters));
    put_row_description(p, out, &it->cmd, &it->formats);
}

static void on_close(struct admin_pg *p, struct reader *r, struct buf *out)
{
    uint32_t what = read_uint(r, 1);
    const char *name = read_string(r);
    if (!read_end(r) || (what != 'S' && what != 'P')) {
        put_malformed(p, out);
        return;
    }
    if (what == 'S')
        statement_free(p, admin_pg_item_find(&p->statements, name));
    else
        portal_free(p, admin_pg_item_find(&p->portals, name));
    wrote(p, pg_msg_bare(out, '3'));
}

static void on_execute(struct admin_pg *p, struct reader *r, struct buf *out)
{
    const char *name = read_string(r);
    uint32_t limit = read_uint(r, 4);
    if (!read_end(r)) {
        put_malformed(p, out);
        return;
    }
    struct admin_pg_item *it = admin_pg_item_find(&p->portals, name);
    if (it == NULL) {
        put_error(p, out, "34000", "portal does not exist");
        return;
    }
    p->portal = it;
    p->row_limit = limit > INT32_MAX ? 0 : limit; /* negative: none */
    p->rows_sent = 0;
    if (it->result != NULL) { /* suspended: go on */
        p->result = it->result;
        p->next_row = it->next_row;
        it->result = NULL;
        p->phase = PHASE_ANSWERING;
        return;
    }
    if (run(p, &it->cmd, it->text, out))
        p->portal = NULL;
}

static void on_sync(struct admin_pg *p, struct buf *out)
{
    p->skipping = false;
    if (p->block == 'I')
        portals_free_all(p);
    put_ready(p, out);
}

/* One whole message. false: the session ends. */
static enum admin_pg_state on_message(struct admin_pg *p, uint8_t type, struct reader *r,
                                      struct buf *out)
{
    if (type == 'X')
        return ADMIN_PG_CLOSE;
    if (type == 'S') {
        on_sync(p, out);
        return ADMIN_PG_READY;
    }
    if (strchr("QPBDECHFdcf", type) == NULL || type == '\0')
        return put_fatal(p, out, "invalid frontend message type");
    if (p->skipping)
        return ADMIN_PG_READY;
    switch (type) {
    case 'Q':
        on_query(p, r, out);
        break;
    case 'P':
        on_parse(p, r, out);
        break;
    case 'B':
        on_bind(p, r, out);
        break;
    case 'D':
        on_describe(p, r, out);
        break;
    case 'E':
        on_execute(p, r, out);
        break;
    case 'C':
        on_close(p, r, out);
        break;
    case 'F':
        put_error(p, out, "0A000", "the console has no functions to call");
        put_ready(p, out);
        p->skipping = false;
        break;
    default: /* Flush: nothing is ever held back; stray COPY messages: as PostgreSQL, ignored */
        break;
    }
    return ADMIN_PG_READY;
}

/* ---- entry
 * --------------------------------------------------------------------------------------- */

/* Send what can be sent and go on with the Query under way. */
static enum admin_pg_state go_on(struct admin_pg *p, struct buf *out)
{
    for (;;) {
        if (p->broken)
            return ADMIN_PG_CLOSE;
        if (p->phase == PHASE_AWAY)
            return ADMIN_PG_WAIT;
        if (p->phase == PHASE_ANSWERING) {
            if (p->result->table != NULL && !put_rows(p, out))
                return ADMIN_PG_MORE;
            if (!p->broken)
                end_answer(p, out);
            continue;
        }
        if (!p->simple)
            return ADMIN_PG_READY;
        run_batch(p, out);
    }
}

enum admin_pg_state admin_pg_feed(struct admin_pg *p, const uint8_t *in, size_t n, size_t *used,
                                  struct buf *out)
{
    *used = 0;
    if (p->phase != PHASE_READING)
        return p->phase == PHASE_AWAY ? ADMIN_PG_WAIT : ADMIN_PG_MORE;
    while (n - *used >= 5) {
        const uint8_t *m = in + *used;
        uint32_t len = (uint32_t)m[1] << 24 | (uint32_t)m[2] << 16 | (uint32_t)m[3] << 8 | m[4];
        if (len < 4 || len > MESSAGE_MAX)
            return put_fatal(p, out, "invalid message length");
        if (n - *used < (size_t)len + 1)
            break;
        if (buf_len(out) >= PIECE_BYTES)
            return ADMIN_PG_MORE; /* a flood of small messages: send first */
        struct reader r = {m + 5, m + 1 + len, false};
        *used += (size_t)len + 1;
        enum admin_pg_state s = on_message(p, m[0], &r, out);
        if (s == ADMIN_PG_READY)
            s = go_on(p, out);
        if (s != ADMIN_PG_READY)
            return s;
    }
    return ADMIN_PG_READY;
}

enum admin_pg_state admin_pg_more(struct admin_pg *p, struct buf *out)
{
    return go_on(p, out);
}

enum admin_pg_state admin_pg_result(struct admin_pg *p, struct admin_result *r, struct buf *out)
{
    assert(p->phase == PHASE_AWAY);
    p->phase = PHASE_READING;
    if (r == NULL) {
        p->portal = NULL;
        put_error(p, out, "53200", "out of memory");
        return go_on(p, out);
    }
    for (size_t i = 0; i < r->n_notices; i++)
        put_notice(p, out, r->notices[i]);
    if (r->failed) {
        p->portal = NULL;
        put_error(p, out, r->sqlstate, r->text);
        admin_result_destroy(&r);
        return go_on(p, out);
    }
    if (r->table != NULL && p->portal == NULL) {
        size_t n;
        const struct admin_column *columns = admin_table_columns(r->table, &n);
        static const struct admin_pg_formats text_format = {0};
        wrote(p, admin_pg_put_columns(out, columns, n, &text_format));
    }
    p->result = r;
    p->next_row = 0;
    if (p->portal == NULL)
        p->row_limit = 0;
    p->rows_sent = 0;
    p->phase = PHASE_ANSWERING;
    return go_on(p, out);
}
