/* SPDX-License-Identifier: ISC
 * weir.deadline, the one setting of weir's own that a session can change: SET, RESET and SHOW of it
 * are answered here and never reach a server. So is SET of weir.function, which a session has from
 * its login: PostgreSQL's words for such a setting. A simple query needs no server at all; by the
 * extended protocol the statement has its turn among the others (pg_extended.c), and its answers
 * are made when that comes. It is no part of a transaction: ROLLBACK leaves it as it is.
 */
#include "config.h"

#include "proto/comment/comment.h"
#include "proto/pg/pg_session.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NAME      "weir.deadline"
#define FIXED     "weir.function"
#define OWN_MAX   256u /* bytes of such a text; longer ones are somebody else's */
#define BAD_VALUE "invalid value for parameter \"" NAME "\""

enum own { OWN_NOT, OWN_SET, OWN_RESET, OWN_SHOW, OWN_LOCAL, OWN_FIXED };

/* The next word, or a quoted text without its quotes, or one character. */
static bool next_word(const char **at, const char *end, const char **word, size_t *n)
{
    const char *p = *at;
    while (p < end && strchr(" \t\r\n\f", *p) != NULL)
        p++;
    if (p == end)
        return false;
    *word = p;
    if (*p == '\'' || *p == '"') {
        const char *close = memchr(p + 1, *p, (size_t)(end - p - 1));
        if (close == NULL)
            return false;
        *word = p + 1;
        *n = (size_t)(close - *word);
        *at = close + 1;
        return true;
    }
    while (p < end && strchr(" \t\r\n\f=;'\"", *p) == NULL)
        p++;
    p += p == *word;
    *n = (size_t)(p - *word);
    *at = p;
    return true;
}

static bool word_is(const char *word, size_t n, const char *what)
{
    return strlen(what) == n && strncasecmp(word, what, n) == 0;
}

/* SET, RESET and SHOW by their first letters; nearly every text is something else. */
static inline bool may_be_own(const char *sql, size_t n)
{
    while (n != 0 && (*sql == ' ' || (*sql >= '\t' && *sql <= '\r'))) {
        sql++;
        n--;
    }
    if (n < 3)
        return false;
    char a = sql[0] | 0x20, b = sql[1] | 0x20, c = sql[2] | 0x20;
    return a == 's' ? (b == 'e' && c == 't') || (b == 'h' && c == 'o')
                    : a == 'r' && b == 'e' && c == 's';
}

/* Which of them the text is; the value of a SET in *value, *value_n (n 0: DEFAULT). */
static enum own read_own(const char *sql, size_t n, const char **value, size_t *value_n)
{
    const char *at = sql, *end = sql + n, *word;
    size_t len;
    enum own own = OWN_SET;
    if (n > OWN_MAX || n < sizeof "SHOW " NAME - 1 || !next_word(&at, end, &word, &len))
        return OWN_NOT;
    if (word_is(word, len, "RESET"))
        own = OWN_RESET;
    else if (word_is(word, len, "SHOW"))
        own = OWN_SHOW;
    else if (!word_is(word, len, "SET"))
        return OWN_NOT;
    if (!next_word(&at, end, &word, &len))
        return OWN_NOT;
    if (own == OWN_SET && (word_is(word, len, "SESSION") || word_is(word, len, "LOCAL"))) {
        own = len == 5 ? OWN_LOCAL : OWN_SET;
        if (!next_word(&at, end, &word, &len))
            return OWN_NOT;
    }
    if (own != OWN_RESET && own != OWN_SHOW && word_is(word, len, FIXED))
        own = OWN_FIXED;
    else if (!word_is(word, len, NAME))
        return OWN_NOT;
    *value_n = 0;
    if (own != OWN_RESET && own != OWN_SHOW) {
        if (!next_word(&at, end, &word, &len) ||
            (!word_is(word, len, "=") && !word_is(word, len, "TO")) ||
            !next_word(&at, end, value, value_n))
            return OWN_NOT;
        if (word_is(*value, *value_n, "DEFAULT"))
            *value_n = 0;
    }
    while (next_word(&at, end, &word, &len))
        if (!word_is(word, len, ";"))
            return OWN_NOT;
    return own;
}

bool pg_own_is(const char *sql, size_t n)
{
    const char *value;
    size_t value_n;
    return may_be_own(sql, n) && read_own(sql, n, &value, &value_n) != OWN_NOT;
}

bool pg_own_has_rows(const char *sql)
{
    const char *value;
    size_t value_n;
    return read_own(sql, strlen(sql), &value, &value_n) == OWN_SHOW;
}

void pg_own_describe(struct proto_out *out)
{
    pg_put_column(out, NAME, PG_OID_TEXT, UINT16_MAX, false); /* as SHOW has it */
}

static void put_row(const struct pg_client *c, struct proto_out *out)
{
    uint8_t body[2 + 4 + 24] = {0, 1};
    int n = snprintf((char *)body + 6, sizeof body - 6, "%" PRIu32, c->deadline_ms);
    pg_put32(body + 2, (uint32_t)n);
    pg_put_msg(out, &out->client, 'D', body, 6 + (size_t)n);
}

bool pg_own_is_wrong(const char *sql, size_t n, struct pg_fault *fault)
{
    const char *value = NULL;
    size_t value_n = 0;
    uint32_t ms;
    enum own own = may_be_own(sql, n) ? read_own(sql, n, &value, &value_n) : OWN_NOT;
    if (own == OWN_LOCAL) {
        pg_fault_set(fault, "0A000",
                     "weir: SET LOCAL " NAME " is not possible; a comment in the statement, "
                     "/* deadline_ms=2500 */, is");
        return true;
    }
    if (own == OWN_FIXED) {
        pg_fault_set(fault, "55P02",
                     "parameter \"" FIXED "\" cannot be set after connection start");
        return true;
    }
    if (own != OWN_SET || value_n == 0 || comment_read_ms(value, value_n, &ms))
        return false;
    pg_fault_set(fault, "22023", BAD_VALUE ": \"%.*s\"", (int)value_n, value);
    return true;
}

void pg_own_run(struct pg_client *c, const char *sql, size_t n, struct proto_out *out)
{
    const char *value = NULL, *tag = "SET";
    size_t value_n = 0;
    switch (read_own(sql, n, &value, &value_n)) {
    case OWN_NOT:
    case OWN_LOCAL:
    case OWN_FIXED:
        return;
    case OWN_SHOW:
        put_row(c, out);
        tag = "SHOW";
        break;
    case OWN_RESET:
        c->deadline_ms = c->startup_deadline_ms;
        tag = "RESET";
        break;
    case OWN_SET:
        if (value_n == 0 || !comment_read_ms(value, value_n, &c->deadline_ms))
            c->deadline_ms = c->startup_deadline_ms;
        break;
    }
    pg_put_msg(out, &out->client, 'C', tag, strlen(tag) + 1);
}

enum proto_verdict pg_own(struct pg_client *c, struct pg_server *s, const struct pg_in *m,
                          struct proto_out *out)
{
    const char *sql = (const char *)m->p + PG_HEAD_BYTES;
    char status = s != NULL ? s->status : 'I';
    if (m->have < m->total || m->total < PG_HEAD_BYTES + 2 || m->total > PG_HEAD_BYTES + OWN_MAX)
        return PROTO_LOAN;
    size_t n = m->total - PG_HEAD_BYTES - 1;
    if (c->lost != PG_LOST_NO || c->skip_to_sync || sql[n] != '\0' || !pg_own_is(sql, n))
        return PROTO_LOAN;
    if (s != NULL && (s->len != 0 || s->hold))
        return PROTO_WAIT;
    if (s != NULL && (s->open || s->copy != 0 || s->skipping))
        return PROTO_LOAN;
    struct pg_fault fault;
    if (status == 'E') {
        pg_put_error(out, "ERROR", "25P02", PG_TEXT_25P02);
    } else if (pg_own_is_wrong(sql, n, &fault)) {
        pg_put_error(out, "ERROR", fault.sqlstate, "%s", fault.message);
    } else {
        if (pg_own_has_rows(sql))
            pg_own_describe(out);
        pg_own_run(c, sql, n, out);
    }
    pg_put_msg(out, &out->client, 'Z', &status, 1);
    return PROTO_MORE;
}
