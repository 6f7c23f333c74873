/* SPDX-License-Identifier: ISC
 * What a client is answered without a server: messages that need none, errors of weir's own, and
 * the remains of a transaction that weir took back. See pg_session.h.
 */
#include "config.h"

#include "proto/pg/pg_scan.h"
#include "proto/pg/pg_session.h"

#include <stdlib.h>
#include <string.h>

void pg_drop(struct pg_client *c, size_t have, size_t total)
{
    c->skip = total - have;
    c->drop = true;
}

static void put_tag(struct proto_out *out, const char *tag)
{
    pg_put_msg(out, &out->client, 'C', tag, strlen(tag) + 1);
}

static void put_ready(struct proto_out *out, char status)
{
    pg_put_msg(out, &out->client, 'Z', &status, 1);
}

static bool close_statement(struct pg_client *c, const struct pg_in *m, struct proto_out *out)
{
    const uint8_t *body = m->p + PG_HEAD_BYTES;
    size_t n = m->have - PG_HEAD_BYTES;
    if (m->have != m->total || n < 2 || body[0] != 'S' || pg_strlen(body + 1, n - 1) != n - 2)
        return false;
    if (n == 2) {
        if (c->unnamed != NULL)
            pg_stmt_put(&c->unnamed);
    } else {
        struct pg_stmt *gone = pg_names_remove(&c->names, (const char *)body + 1, n - 2);
        pg_stmt_put(&gone);
    }
    pg_put_msg(out, &out->client, '3', NULL, 0);
    return true;
}

/* ---- a transaction that was taken back --------------------------------------------------------
 */

static void lost_over(struct pg_client *c)
{
    c->lost = PG_LOST_NO;
    c->lost_ending = c->lost_open = c->lost_implicit = false;
    free(c->lost_text);
    c->lost_text = NULL;
}

enum lost_end { LOST_GOES_ON, LOST_ENDS, LOST_CHAINS };

static enum lost_end end_of(const struct pg_client *c, const char *sql, size_t n)
{
    struct pg_scan scan;
    pg_text_scan(sql, n, c->how, 0, &scan);
    if ((scan.kind != PG_KIND_ROLLBACK && scan.kind != PG_KIND_COMMIT) || scan.statements != 1)
        return LOST_GOES_ON;
    return (scan.flags & PG_SCAN_TX_BEGIN) != 0 ? LOST_CHAINS : LOST_ENDS;
}

static bool ends_transaction(const struct pg_client *c, const char *sql, size_t n)
{
    return end_of(c, sql, n) == LOST_ENDS;
}

/* The answer to one statement: the first gets 40001, COMMIT included; later ones 25P02 until the
 * client ends the transaction. There is no server on which another could be chained to it (AND
 * CHAIN): who wants that is told again. true: it has ended. */
static bool lost_statement(struct pg_client *c, const char *sql, size_t n, struct proto_out *out)
{
    enum lost_end end = end_of(c, sql, n);
    if (c->lost == PG_LOST_TELL || end == LOST_CHAINS) {
        c->lost = PG_LOST_TOLD;
        pg_put_error(out, "ERROR", "40001", "%s", c->lost_text != NULL ? c->lost_text : "");
        return false;
    }
    if (end == LOST_ENDS) {
        lost_over(c);
        put_tag(out, "ROLLBACK");
        return true;
    }
    pg_put_error(out, "ERROR", "25P02", PG_TEXT_25P02);
    return false;
}

/* Prepare what ends the transaction; false: it is something else. */
static bool lost_parse(struct pg_client *c, const uint8_t *body, size_t n, struct proto_out *out)
{
    size_t name = pg_strlen(body, n);
    size_t query = name == (size_t)-1 ? name : pg_strlen(body + name + 1, n - name - 1);
    if (query == (size_t)-1 || n - name - query < 4 ||
        !ends_transaction(c, (const char *)body + name + 1, query) ||
        pg_names_find(c->names, (const char *)body, name) != NULL)
        return false;
    struct pg_stmt *stmt = pg_stmt_intern(body + name + 1, n - name - 1, c->how, pg_scan_flags);
    if (stmt == NULL)
        return false;
    if (name != 0) {
        bool ok = pg_names_add(&c->names, (const char *)body, name, stmt);
        pg_stmt_put(&stmt);
        if (!ok)
            return false;
    } else {
        pg_stmt_put(&c->unnamed);
        c->unnamed = stmt;
    }
    pg_put_msg(out, &out->client, '1', NULL, 0);
    return true;
}

/* Does the statement that is named here end the transaction? */
static bool lost_names_end(struct pg_client *c, const uint8_t *name, size_t n)
{
    size_t len = pg_strlen(name, n);
    if (len == (size_t)-1)
        return false;
    const struct pg_stmt *stmt =
        len == 0 ? c->unnamed : pg_names_find(c->names, (const char *)name, len);
    return stmt != NULL &&
           ends_transaction(c, (const char *)stmt->body, strlen((const char *)stmt->body));
}

/* Describe of what ends the transaction: no parameters, no columns. */
static bool lost_describe(struct pg_client *c, const uint8_t *body, size_t n, struct proto_out *out)
{
    if (n > 1 && body[0] == 'S') {
        if (!lost_names_end(c, body + 1, n - 1))
            return false;
        pg_put_msg(out, &out->client, 't', "\0", 2);
    } else if (!c->lost_ending) {
        return false;
    }
    pg_put_msg(out, &out->client, 'n', NULL, 0);
    return true;
}

/* In the extended protocol only statements that end the transaction get as far as Execute. true:
 * answered. */
static bool lost_extended_end(struct pg_client *c, const struct pg_in *m, struct proto_out *out)
{
    const uint8_t *body = m->p + PG_HEAD_BYTES;
    size_t n = m->have - PG_HEAD_BYTES;
    size_t portal;
    switch (m->p[0]) {
    case 'P':
        return lost_parse(c, body, n, out);
    case 'B':
        portal = pg_strlen(body, n);
        if (portal == (size_t)-1 || !lost_names_end(c, body + portal + 1, n - portal - 1))
            return false;
        c->lost_ending = true;
        pg_put_msg(out, &out->client, '2', NULL, 0);
        return true;
    case 'D':
        return lost_describe(c, body, n, out);
    case 'C':
        if (!close_statement(c, m, out))
            pg_put_msg(out, &out->client, '3', NULL, 0);
        return true;
    case 'E':
        if (!c->lost_ending)
            return false;
        lost_over(c);
        put_tag(out, "ROLLBACK");
        return true;
    default:
        return false;
    }
}

static void lost_extended(struct pg_client *c, const struct pg_in *m, struct proto_out *out)
{
    if (c->lost == PG_LOST_TOLD && m->have == m->total && lost_extended_end(c, m, out))
        return;
    (void)lost_statement(c, "", 0, out);
    c->skip_to_sync = true;
}

static void put_lost_ready(struct pg_client *c, struct proto_out *out)
{
    c->lost_open = false;
    if (c->lost_implicit)
        lost_over(c);
    put_ready(out, c->lost != PG_LOST_NO ? 'E' : 'I');
}

/* PDO drops a statement that it no longer needs by SQL, and looks at no answer: told there, the
 * error would be nobody's. false: it is something else. */
static bool lost_deallocate(struct pg_client *c, const char *sql, size_t n)
{
    struct pg_scan scan;
    char name[64];
    if (c->lost != PG_LOST_TELL || c->lost_open || c->names == NULL)
        return false;
    pg_scan_text(sql, n, PG_SCAN_OPT_SCS, &scan);
    if ((scan.flags & PG_SCAN_DEALLOCATE) == 0 || scan.statements != 1 || scan.n_names != 1)
        return false;
    size_t len = pg_scan_identifier(sql, scan.names[0].at, name);
    struct pg_stmt *stmt = len != 0 ? pg_names_remove(&c->names, name, len) : NULL;
    bool known = stmt != NULL;
    pg_stmt_put(&stmt);
    return known;
}

static void lost_query(struct pg_client *c, const struct pg_in *m, struct proto_out *out)
{
    const char *sql = (const char *)m->p + PG_HEAD_BYTES;
    size_t n = m->have > PG_HEAD_BYTES ? m->have - PG_HEAD_BYTES - 1 : 0;
    if (m->have == m->total && lost_deallocate(c, sql, n)) {
        put_tag(out, "DEALLOCATE");
        put_ready(out, 'T'); /* as far as it knows */
        return;
    }
    (void)lost_statement(c, sql, n, out);
    put_lost_ready(c, out);
}

static enum proto_verdict lost_message(struct pg_client *c, const struct pg_in *m,
                                       struct proto_out *out)
{
    switch (m->p[0]) {
    case 'Q':
        lost_query(c, m, out);
        break;
    case 'F':
        (void)lost_statement(c, "", 0, out);
        put_lost_ready(c, out);
        break;
    case 'P':
    case 'B':
    case 'D':
    case 'E':
    case 'C':
        lost_extended(c, m, out);
        break;
    default:
        break;
    }
    c->drop = true;
    return PROTO_MORE;
}

/* ---- whole texts that only concern weir's own memory
 * --------------------------------------------- */

static void answer_asyncpg_reset(struct proto_out *out)
{
    static const uint8_t empty_row[] = {0, 1, 0, 0, 0, 0};
    pg_put_column(out, "pg_advisory_unlock_all", PG_OID_VOID, 4, false);
    pg_put_msg(out, &out->client, 'D', empty_row, sizeof empty_row);
    put_tag(out, "SELECT 1");
    put_tag(out, "CLOSE CURSOR ALL");
    put_tag(out, "UNLISTEN");
    put_tag(out, "RESET");
}

/* Without a server there is nothing but the session's memory to change. true: answered. */
static bool whole_text(struct pg_client *c, const struct pg_in *m, struct proto_out *out)
{
    const char *sql = (const char *)m->p + PG_HEAD_BYTES;
    if (m->have < m->total || m->total < PG_HEAD_BYTES + 2 || m->total > 256 ||
        m->p[m->total - 1] != 0 || memchr(sql, 0, m->total - PG_HEAD_BYTES) != m->p + m->total - 1)
        return false;
    /* Startup settings that no server has judged yet: the first statement must reach one. */
    if (!c->started && var_set_count(c->startup) != 0)
        return false;
    /* What it changes may be reported: only the server knows how. */
    if (c->current != c->startup)
        return false;
    char first = (char)(sql[0] | 0x20);
    if (first != 'd' && first != 'r' && first != 's')
        return false;
    struct pg_scan scan;
    pg_text_scan(sql, m->total - PG_HEAD_BYTES - 1, c->how, 0, &scan);
    switch (scan.whole) {
    case PG_WHOLE_NONE:
        return false;
    case PG_WHOLE_DISCARD_ALL:
        pg_names_clear(&c->names);
        vars_assign(&c->current, c->startup);
        put_tag(out, "DISCARD ALL");
        break;
    case PG_WHOLE_RESET_ALL:
        vars_assign(&c->current, c->startup);
        put_tag(out, "RESET");
        break;
    case PG_WHOLE_DEALLOCATE_ALL:
        pg_names_clear(&c->names);
        put_tag(out, "DEALLOCATE ALL");
        break;
    case PG_WHOLE_ASYNCPG_RESET:
        vars_assign(&c->current, c->startup);
        answer_asyncpg_reset(out);
        break;
    }
    if (scan.whole != PG_WHOLE_DEALLOCATE_ALL)
        c->deadline_ms = c->startup_deadline_ms;
    if (c->unnamed != NULL)
        pg_stmt_put(&c->unnamed);
    put_ready(out, 'I');
    return true;
}

enum proto_verdict pg_local(struct pg_client *c, const struct pg_in *m, struct proto_out *out)
{
    bool malformed = m->total != PG_HEAD_BYTES && !c->skip_to_sync && c->lost == PG_LOST_NO;
    switch (m->p[0]) {
    case 'X':
        return PROTO_BYE;
    case 'S':
        if (malformed)
            return PROTO_LOAN; /* for the server to refuse */
        c->skip_to_sync = false;
        if (c->lost_open && c->lost == PG_LOST_TELL)
            (void)lost_statement(c, "", 0, out);
        put_lost_ready(c, out);
        return PROTO_MORE;
    case 'H':
        return malformed ? PROTO_LOAN : PROTO_MORE;
    case 'd':
    case 'c':
    case 'f':
        c->drop = true; /* PostgreSQL ignores what comes late of a COPY that failed */
        return PROTO_MORE;
    default:
        break;
    }
    if (c->skip_to_sync) {
        c->drop = true;
        return PROTO_MORE;
    }
    if (c->lost != PG_LOST_NO)
        return lost_message(c, m, out);
    if (m->p[0] == 'C' && close_statement(c, m, out))
        return PROTO_MORE;
    if (m->p[0] == 'Q' && whole_text(c, m, out))
        return PROTO_MORE;
    return PROTO_LOAN;
}

/* ---- weir's own errors
 * -------------------------------------------------------------------------------- */

static const struct {
    const char *code;
    bool kept;
} events[] = {
    [PROTO_EV_NO_LOAN] = {"53300", true},        [PROTO_EV_DOWN] = {"08006", true},
    [PROTO_EV_CANCELLED] = {"57014", true},      [PROTO_EV_LOST_SERVER] = {"08006", true},
    [PROTO_EV_TAKEN_BACK] = {"40001", true},     [PROTO_EV_OVERDUE] = {"57014", true},
    [PROTO_EV_NO_LOOKUP] = {"08006", false},     [PROTO_EV_TOO_MANY] = {"53300", false},
    [PROTO_EV_SHUTDOWN] = {"57P01", false},      [PROTO_EV_IDLE_TIMEOUT] = {"57P05", false},
    [PROTO_EV_LOGIN_TIMEOUT] = {"08P01", false}, [PROTO_EV_KILLED] = {"57P01", false},
    [PROTO_EV_NO_MEMORY] = {"53200", false},     [PROTO_EV_BAD_SETTING] = {"22023", false},
    [PROTO_EV_KILL_DONE] = {"", true},           [PROTO_EV_KILL_UNKNOWN] = {"", true},
    [PROTO_EV_ENDED] = {"57P01", false},
};

static bool append_error(struct buf *out, const char *severity, const char *code, const char *text)
{
    struct pg_report r = {.severity = severity, .sqlstate = code, .message = text};
    return pg_msg_error(out, &r);
}

/* The answer to the message that waits: as PostgreSQL would fail it. */
static bool fail_message(struct pg_client *c, const char *code, const char *text, const uint8_t *in,
                         size_t n, size_t *used, struct buf *out)
{
    if (!append_error(out, "ERROR", code, text))
        return false;
    if (n < PG_HEAD_BYTES || (in[0] != 'Q' && in[0] != 'F')) {
        c->skip_to_sync = true;
        return true;
    }
    size_t total = 1 + (size_t)pg_get32(in + 1);
    size_t have = n < total ? n : total;
    pg_drop(c, have, total);
    *used = have;
    return pg_msg_ready(out, 'I');
}

/* The server is gone with answers owed: each open request fails once, in its own form. Where it
 * took a transaction with it, something pinned, or something that it was not yet asked about, or
 * where a COPY was sent what it can't take, the session is not what its client believes any more,
 * and ends. */
static bool fail_owed(struct pg_client *c, struct pg_server *s, const char *code, const char *text,
                      struct buf *out)
{
    if (s->status != 'I' || s->pins != 0 || s->dirt != 0 || s->raw || s->out_of_step ||
        (s->skip != 0 && !s->skip_drop)) {
        if (s->skip == 0 || s->skip_drop)
            (void)append_error(out, "FATAL", code, text);
        return false;
    }
    if (c->skip != 0)
        c->drop = true;
    if (s->kept_ready && !pg_msg_ready(out, 'I'))
        return false;
    bool said = s->skipping; /* the error of the segment that is not ended yet */
    bool eaten = false;      /* its Sync may have been, by COPY */
    for (uint32_t i = 0; i < s->len; i++) {
        const struct pg_expect *x = pg_expect_at(s, i);
        if (pg_expect_is_own(x))
            continue;
        if (!said && !append_error(out, "ERROR", code, text))
            return false;
        said = !pg_expect_ends(x);
        eaten = x->maybe;
        if (!said && !pg_msg_ready(out, 'I'))
            return false;
    }
    if ((s->open || pg_heal_is_cut(s)) && !said && !append_error(out, "ERROR", code, text))
        return false;
    c->skip_to_sync = s->open || s->skipping || pg_heal_is_cut(s) || (said && eaten);
    return true;
}

bool pg_say(void *pc, void *ps, enum proto_event ev, const char *text, const char *code,
            const uint8_t *in, size_t n, size_t *used, struct buf *out)
{
    struct pg_client *c = pc;
    *used = 0;
    c->kill = PG_KILL_NONE;
    if (ev == PROTO_EV_KILL_DONE || ev == PROTO_EV_KILL_UNKNOWN) {
        c->kill = ev == PROTO_EV_KILL_DONE ? PG_KILL_DONE : PG_KILL_UNKNOWN;
        return true;
    }
    if (code == NULL || code[0] == '\0')
        code = events[ev].code;
    if (ev == PROTO_EV_TAKEN_BACK) {
        c->lost = PG_LOST_TELL;
        free(c->lost_text);
        c->lost_text = strdup(text);
        return true;
    }
    if (ev == PROTO_EV_OVERDUE) {
        struct pg_server *s = ps;
        free(s->overdue);
        s->overdue = strdup(text);
        s->overdue_tx = strcmp(code, "40001") == 0;
        return true;
    }
    if (ev == PROTO_EV_LOST_SERVER && ps != NULL)
        return fail_owed(c, ps, code, text, out);
    if (!events[ev].kept) {
        (void)append_error(out, "FATAL", code, text);
        return false;
    }
    return fail_message(c, code, text, in, n, used, out);
}
