/* SPDX-License-Identifier: ISC
 * See admin_mysql.h.
 *
 *               feed                     execute                    result
 *   READING ----------> a command is due ---------> AWAY -----------------------> ANSWERING
 *      ^                    | (a driver's pleasantry                                  | rows, a
 * piece |                    |  is answered here)                                      | at a time
 *      +--------------------+---------------------------------------------------------+
 *
 * A query may hold several statements: they are taken one by one, each but the last announces that
 * more follow, and the first error drops the rest.
 */
#include "config.h"

#include "admin/admin_mysql.h"

#include "admin/admin_command.h"
#include "admin/admin_mysql_driver.h"
#include "admin/admin_mysql_row.h"
#include "admin/admin_result.h"
#include "admin/admin_table.h"

#include "proto/mysql/my_packet.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#define PACKET_MAX     (64u * 1024u)
#define STATEMENTS_MAX 256u
#define PIECE_BYTES    (64u * 1024u) /* of rows, then the caller sends */

enum phase { PHASE_READING, PHASE_AWAY, PHASE_ANSWERING };

struct statement {
    LIST_ENTRY(statement) link;
    uint32_t id;
    size_t len;
    char text[];
};

struct admin_mysql {
    const char *version;
    admin_mysql_execute_cb *execute;
    void *ctx;
    enum phase phase;
    uint32_t id;
    uint16_t status;
    uint8_t seq;   /* of the next packet */
    bool broken;   /* memory is out: nothing that is in the buffer can be trusted */
    bool binary;   /* rows of the command under way */
    bool extended; /* definitions of columns have MariaDB's block */
    char *batch;   /* the query under way */
    size_t batch_at, batch_len;
    struct admin_result *result; /* being sent */
    size_t next_row;
    struct admin_mysql_said said; /* the result's columns may be named in it */
    LIST_HEAD(, statement) statements;
    size_t n_statements;
    uint32_t last_statement;
};

/* ---- life -------------------------------------------------------------------------------------
 */

struct admin_mysql *admin_mysql_create(const char *version, uint32_t caps,
                                       admin_mysql_execute_cb *execute, void *ctx)
{
    struct admin_mysql *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->version = version;
    p->extended = (caps & MY_CAP_EXTENDED) != 0;
    p->execute = execute;
    p->ctx = ctx;
    p->status = MY_ST_AUTOCOMMIT;
    LIST_INIT(&p->statements);
    return p;
}

static void statement_free(struct admin_mysql *p, struct statement *st)
{
    LIST_REMOVE(st, link);
    p->n_statements--;
    free(st);
}

static void statements_free_all(struct admin_mysql *p)
{
    while (!LIST_EMPTY(&p->statements))
        statement_free(p, LIST_FIRST(&p->statements));
}

void admin_mysql_destroy(struct admin_mysql **pp)
{
    struct admin_mysql *p = *pp;
    if (p == NULL)
        return;
    *pp = NULL;
    statements_free_all(p);
    admin_result_destroy(&p->result);
    admin_result_destroy(&p->said.result);
    free(p->batch);
    free(p);
}

void admin_mysql_greet(struct admin_mysql *p, uint32_t id)
{
    p->id = id;
}

/* ---- answers ------------------------------------------------------------------------------------
 */

/* Every writer says whether there was memory; here it is noted once. */
static void wrote(struct admin_mysql *p, bool ok)
{
    if (!ok)
        p->broken = true;
}

/* Nothing but space, comments and semicolons. */
static bool is_blank(const char *text, size_t n)
{
    struct admin_command cmd;
    const char *sqlstate;
    struct err e;
    return admin_command_parse(text, n, &cmd, &sqlstate, &e) && cmd.verb == ADMIN_EMPTY;
}

static uint16_t status(const struct admin_mysql *p)
{
    bool more = p->batch != NULL && !is_blank(p->batch + p->batch_at, p->batch_len - p->batch_at);
    return more ? p->status | MY_ST_MORE_RESULTS : p->status;
}

static void put_ok(struct admin_mysql *p, struct buf *out, const char *info, unsigned warnings)
{
    uint8_t packet[MY_OK_MAX + 256];
    size_t n = strlen(info);
    struct my_ok ok = {.status = status(p),
                       .warnings = (uint16_t)warnings,
                       .info = {(const uint8_t *)info, n < 250 ? n : 250}};
    wrote(p, buf_append(out, packet, my_write_ok(packet, p->seq++, &ok)));
}

static void put_eof(struct admin_mysql *p, struct buf *out)
{
    uint8_t packet[MY_OK_MAX];
    wrote(p, buf_append(out, packet, my_write_eof(packet, p->seq++, status(p), 0)));
}

static void put_error(struct admin_mysql *p, struct buf *out, unsigned code, const char *state,
                      const char *text)
{
    p->batch_at = p->batch_len;
    wrote(p, my_put_err(out, p->seq++, code, state, text));
}

/* The console's codes are PostgreSQL's. */
static void put_failure(struct admin_mysql *p, struct buf *out, const char *sqlstate,
                        const char *text)
{
    static const struct {
        const char *from;
        unsigned code;
        const char *state;
    } map[] = {
        {"42601", 1064, "42000"}, /* ER_PARSE_ERROR */
        {"0A000", 1235, "42000"}, /* ER_NOT_SUPPORTED_YET */
        {"22023", 1231, "42000"}, /* ER_WRONG_VALUE_FOR_VAR */
        {"3D000", MY_ER_BAD_DB, "42000"},
        {"42501", 1227, "42000"}, /* ER_SPECIFIC_ACCESS_DENIED_ERROR */
        {"42704", 1193, "HY000"}, /* ER_UNKNOWN_SYSTEM_VARIABLE */
        {"55P02", 1238, "HY000"}, /* ER_INCORRECT_GLOBAL_LOCAL_VAR */
        {"53200", MY_ER_OUT_OF_RESOURCES, "HY000"},
    };
    size_t i = 0, n = sizeof map / sizeof map[0];
    while (i < n && strcmp(map[i].from, sqlstate) != 0)
        i++;
    put_error(p, out, i < n ? map[i].code : MY_ER_UNKNOWN, i < n ? map[i].state : "HY000", text);
}

/* SHOW HELP's text comes as notices, of which MySQL has none: a row for each line of them. */
static const struct admin_column help_column = {"help", ADMIN_TEXT};

static void notices_to_table(struct admin_result *r)
{
    r->table = admin_table_create(&help_column, 1);
    for (size_t i = 0; r->table != NULL && i < r->n_notices; i++)
        for (char *line = r->notices[i], *end; line != NULL; line = end) {
            end = strchr(line, '\n');
            if (end != NULL)
                *end++ = '\0';
            admin_table_text(r->table, line);
        }
}

static void put_columns(struct admin_mysql *p, struct buf *out, const struct admin_column *columns,
                        size_t n)
{
    wrote(p, admin_mysql_put_columns(out, &p->seq, columns, n, p->extended));
    put_eof(p, out);
}

/* The head of an answer; rows follow in ANSWERING. Takes the result over. */
static void answer(struct admin_mysql *p, struct admin_result *r, struct buf *out)
{
    p->phase = PHASE_READING;
    p->result = r;
    if (!r->failed && r->table == NULL && strcmp(r->tag, "SHOW") == 0)
        notices_to_table(r);
    if (r->failed) {
        put_failure(p, out, r->sqlstate, r->text);
    } else if (r->table != NULL) {
        size_t n;
        const struct admin_column *columns = admin_table_columns(r->table, &n);
        uint8_t count = (uint8_t)n;
        wrote(p, admin_table_ok(r->table) && my_put_packet(out, p->seq++, &count, 1));
        put_columns(p, out, columns, n);
        p->next_row = 0;
        p->phase = PHASE_ANSWERING;
        return;
    } else {
        put_ok(p, out, r->n_notices != 0 ? r->notices[0] : "", (unsigned)r->n_notices);
    }
    admin_result_destroy(&p->result);
}

/* Rows from p->next_row on; false: they go on when the buffer is sent. */
static bool put_rows(struct admin_mysql *p, struct buf *out)
{
    const struct admin_table *t = p->result->table;
    while (p->next_row < admin_table_rows(t) && !p->broken) {
        if (buf_len(out) >= PIECE_BYTES)
            return false;
        wrote(p, admin_mysql_put_row(out, &p->seq, t, p->next_row++, p->binary));
    }
    put_eof(p, out);
    admin_result_destroy(&p->result);
    p->phase = PHASE_READING;
    return true;
}

/* ---- statements ---------------------------------------------------------------------------------
 */

/* One statement: answered here, or away. */
static void run_statement(struct admin_mysql *p, const char *text, size_t n, struct buf *out)
{
    struct admin_command cmd;
    const char *sqlstate = NULL;
    struct err e = {""};
    char *copy = NULL;
    if (!admin_mysql_driver(text, n, p->id, p->version, &p->said)) {
        p->broken = true;
        return;
    }
    p->status = (uint16_t)((p->status | p->said.set) & ~p->said.clear);
    if (p->said.result != NULL) {
        struct admin_result *r = p->said.result;
        p->said.result = NULL;
        answer(p, r, out);
        return;
    }
    if (p->said.command[0] != '\0') {
        text = p->said.command;
        n = strlen(text);
    }
    if (!admin_command_parse(text, n, &cmd, &sqlstate, &e))
        put_failure(p, out, sqlstate, e.text);
    else if (cmd.verb == ADMIN_EMPTY)
        put_error(p, out, 1065, "42000", "Query was empty");
    else if (!admin_verb_is_show(cmd.verb) && !admin_verb_is_order(cmd.verb) &&
             cmd.verb != ADMIN_VALUE)
        put_ok(p, out, "", 0);
    else if ((copy = strndup(text, n)) == NULL)
        p->broken = true;
    else {
        p->phase = PHASE_AWAY;
        p->execute(p->ctx, copy);
    }
    free(copy);
}

/* Go on with the query under way until it is done or a command is away. */
static void run_batch(struct admin_mysql *p, struct buf *out)
{
    while (p->phase == PHASE_READING && p->batch_at < p->batch_len && !p->broken) {
        const char *text = p->batch + p->batch_at;
        size_t left = p->batch_len - p->batch_at, n = admin_command_split(text, left);
        if (p->batch_at != 0 && is_blank(text, left))
            break;
        p->batch_at += n;
        run_statement(p, text, n, out);
    }
    if (p->phase != PHASE_READING || p->broken)
        return;
    free(p->batch);
    p->batch = NULL;
}

static void start_batch(struct admin_mysql *p, const char *text, size_t n, bool binary,
                        struct buf *out)
{
    if (n == 0) { /* still a statement, an empty one */
        text = " ";
        n = 1;
    }
    p->binary = binary;
    p->batch = malloc(n + 1);
    if (p->batch == NULL) {
        p->broken = true;
        return;
    }
    memcpy(p->batch, text, n);
    p->batch[n] = '\0';
    p->batch_at = 0;
    p->batch_len = n;
    run_batch(p, out);
}

/* ---- prepared -----------------------------------------------------------------------------------
 */

static struct statement *find_statement(struct admin_mysql *p, struct my_reader *r)
{
    struct statement *st;
    uint32_t id = (uint32_t)my_read_int(r, 4);
    LIST_FOREACH(st, &p->statements, link)
    if (st->id == id && !r->bad)
        return st;
    return NULL;
}

/* The columns that the statement will show; false: its error is said. */
static bool columns_of(struct admin_mysql *p, const char *text, size_t len,
                       const struct admin_column **columns, struct admin_column *one, size_t *n,
                       struct buf *out)
{
    struct admin_command cmd;
    const char *sqlstate = NULL;
    struct err e = {""};
    struct admin_result *r = p->said.result;
    *n = 0;
    *columns = NULL;
    if (r != NULL && r->failed) {
        put_failure(p, out, r->sqlstate, r->text);
        return false;
    }
    if (r != NULL) {
        *columns = r->table != NULL ? admin_table_columns(r->table, n) : NULL;
        return true;
    }
    if (p->said.command[0] != '\0') {
        text = p->said.command;
        len = strlen(text);
    }
    if (!admin_command_parse(text, len, &cmd, &sqlstate, &e)) {
        put_failure(p, out, sqlstate, e.text);
        return false;
    }
    *columns = admin_columns(&cmd, one, n);
    if (*columns == NULL && admin_verb_is_show(cmd.verb)) {
        *columns = &help_column;
        *n = 1;
    }
    return true;
}

static struct statement *add_statement(struct admin_mysql *p, const char *text, size_t n)
{
    struct statement *st = malloc(sizeof *st + n + 1);
    if (st == NULL)
        return NULL;
    st->id = ++p->last_statement;
    st->len = n;
    memcpy(st->text, text, n);
    st->text[n] = '\0';
    LIST_INSERT_HEAD(&p->statements, st, link);
    p->n_statements++;
    return st;
}

static void prepare(struct admin_mysql *p, const char *text, size_t len, struct buf *out)
{
    const struct admin_column *columns;
    struct admin_column one;
    size_t n;
    if (p->n_statements == STATEMENTS_MAX) {
        put_error(p, out, MY_ER_MAX_PREPARED, "42000", "too many prepared statements");
        return;
    }
    if (!admin_mysql_driver(text, len, p->id, p->version, &p->said)) {
        p->broken = true;
        return;
    }
    if (columns_of(p, text, len, &columns, &one, &n, out)) {
        struct statement *st = add_statement(p, text, len);
        uint8_t head[12] = {0};
        my_put32(head + 1, st != NULL ? st->id : 0);
        head[5] = (uint8_t)n;
        wrote(p, st != NULL && my_put_packet(out, p->seq++, head, sizeof head));
        if (n != 0)
            put_columns(p, out, columns, n);
    }
    admin_result_destroy(&p->said.result);
}

static void execute_prepared(struct admin_mysql *p, struct my_reader *r, struct buf *out)
{
    const struct statement *st = find_statement(p, r);
    if (st == NULL)
        put_error(p, out, MY_ER_UNKNOWN_STMT, "HY000", "Unknown prepared statement handler");
    else
        start_batch(p, st->text, st->len, true, out);
}

/* ---- commands -----------------------------------------------------------------------------------
 */

static void init_db(struct admin_mysql *p, struct my_view name, struct buf *out)
{
    char text[96];
    bool ours = (name.n == 4 && strncasecmp((const char *)name.p, "weir", 4) == 0) ||
                (name.n == 9 && strncasecmp((const char *)name.p, "pgbouncer", 9) == 0);
    (void)snprintf(text, sizeof text, "Unknown database '%.*s'", (int)(name.n < 60 ? name.n : 60),
                   (const char *)name.p);
    if (ours)
        put_ok(p, out, "", 0);
    else
        put_error(p, out, MY_ER_BAD_DB, "42000", text);
}

static void kill_client(struct admin_mysql *p, struct my_reader *r, struct buf *out)
{
    char text[32];
    int n = snprintf(text, sizeof text, "KILL_CLIENT %u", (unsigned)my_read_int(r, 4));
    start_batch(p, text, (size_t)n, false, out);
}

static enum console_state on_packet(struct admin_mysql *p, struct my_reader *r, struct buf *out)
{
    static const char statistics[] = "weir console";
    unsigned command = (unsigned)my_read_int(r, 1);
    struct statement *st;
    struct my_view rest;
    switch ((enum my_command)command) {
    case MY_COM_QUIT:
        return CONSOLE_CLOSE;
    case MY_COM_INIT_DB:
        init_db(p, my_read_rest(r), out);
        break;
    case MY_COM_QUERY:
        rest = my_read_rest(r);
        start_batch(p, (const char *)rest.p, rest.n, false, out);
        break;
    case MY_COM_STMT_PREPARE:
        rest = my_read_rest(r);
        prepare(p, (const char *)rest.p, rest.n, out);
        break;
    case MY_COM_STMT_EXECUTE:
        execute_prepared(p, r, out);
        break;
    case MY_COM_STMT_CLOSE:
        st = find_statement(p, r);
        if (st != NULL)
            statement_free(p, st);
        break;
    case MY_COM_STMT_SEND_LONG_DATA:
        break; /* is not answered; there are no parameters */
    case MY_COM_RESET_CONNECTION:
        statements_free_all(p);
        p->status = MY_ST_AUTOCOMMIT;
        put_ok(p, out, "", 0);
        break;
    case MY_COM_STMT_RESET:
    case MY_COM_PING:
        put_ok(p, out, "", 0);
        break;
    case MY_COM_FIELD_LIST:
    case MY_COM_SET_OPTION:
    case MY_COM_DEBUG:
        put_eof(p, out);
        break;
    case MY_COM_STATISTICS:
        wrote(p, my_put_packet(out, p->seq++, statistics, sizeof statistics - 1));
        break;
    case MY_COM_PROCESS_INFO:
        start_batch(p, "SHOW CLIENTS", 12, false, out);
        break;
    case MY_COM_PROCESS_KILL:
        kill_client(p, r, out);
        break;
    case MY_COM_SLEEP:
    case MY_COM_REFRESH:
    case MY_COM_SHUTDOWN:
    case MY_COM_CHANGE_USER:
    case MY_COM_BINLOG_DUMP:
    case MY_COM_TABLE_DUMP:
    case MY_COM_REGISTER_SLAVE:
    case MY_COM_STMT_FETCH:
    case MY_COM_BINLOG_DUMP_GTID:
    case MY_COM_STMT_BULK_EXECUTE:
    default:
        put_error(p, out, MY_ER_UNKNOWN_COM, "08S01", "Unknown command");
        break;
    }
    return CONSOLE_READY;
}

/* After any step: rows that are due, the rest of the query, the state. */
static enum console_state go_on(struct admin_mysql *p, struct buf *out)
{
    while (!p->broken) {
        if (p->phase == PHASE_AWAY)
            return CONSOLE_WAIT;
        if (p->phase == PHASE_ANSWERING && !put_rows(p, out))
            return CONSOLE_MORE;
        if (p->phase == PHASE_READING && p->batch == NULL)
            return CONSOLE_READY;
        if (p->phase == PHASE_READING)
            run_batch(p, out);
    }
    return CONSOLE_CLOSE;
}

enum console_state admin_mysql_feed(struct admin_mysql *p, const uint8_t *in, size_t n,
                                    size_t *used, struct buf *out)
{
    *used = 0;
    assert(p->phase == PHASE_READING);
    while (n - *used >= MY_HEAD_BYTES) {
        const uint8_t *m = in + *used;
        size_t len = my_get24(m);
        p->seq = (uint8_t)(m[3] + 1);
        if (len == 0 || len > PACKET_MAX) {
            put_error(p, out, MY_ER_PACKET_TOO_LARGE, "08S01",
                      "Got a packet bigger than 'max_allowed_packet' bytes");
            return CONSOLE_CLOSE;
        }
        if (n - *used < MY_HEAD_BYTES + len)
            break;
        *used += MY_HEAD_BYTES + len;
        struct my_reader r = my_reader_of(m + MY_HEAD_BYTES, len);
        enum console_state s = on_packet(p, &r, out);
        if (s == CONSOLE_READY)
            s = go_on(p, out);
        if (s != CONSOLE_READY)
            return s;
    }
    return CONSOLE_READY;
}

enum console_state admin_mysql_more(struct admin_mysql *p, struct buf *out)
{
    return go_on(p, out);
}

enum console_state admin_mysql_result(struct admin_mysql *p, struct admin_result *r,
                                      struct buf *out)
{
    assert(p->phase == PHASE_AWAY);
    if (r == NULL)
        p->broken = true;
    else
        answer(p, r, out);
    return go_on(p, out);
}
