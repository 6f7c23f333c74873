/* SPDX-License-Identifier: ISC
 * GET DIAGNOSTICS on a connection on which the statement that it asks about didn't run: a SET of
 * the same variables, to what is remembered of that statement. See my_session.h.
 */
#include "config.h"

#include "proto/mysql/my_lex.h"
#include "proto/mysql/my_session.h"

#include <inttypes.h>
#include <string.h>

/* SQLSTATEs of what is a warning or note more often than an error, which SHOW WARNINGS doesn't
 * tell; the rest has HY000. As in MySQL's messages_to_clients.txt and MariaDB's errmsg-utf8.txt. */
static const struct {
    uint16_t number;
    char state[6];
} states[] = {
    {1044, "42000"}, {1045, "28000"}, {1048, "23000"}, {1049, "42000"}, {1050, "42S01"},
    {1051, "42S02"}, {1054, "42S22"}, {1060, "42S21"}, {1061, "42000"}, {1062, "23000"},
    {1091, "42000"}, {1146, "42S02"}, {1169, "23000"}, {1227, "42000"}, {1249, "01000"},
    {1261, "01000"}, {1262, "01000"}, {1263, "22004"}, {1264, "22003"}, {1265, "01000"},
    {1286, "42000"}, {1292, "22007"}, {1305, "42000"}, {1310, "01000"}, {1311, "01000"},
    {1329, "02000"}, {1365, "22012"}, {1367, "22007"}, {1406, "22001"}, {1441, "22008"},
    {1451, "23000"}, {1452, "23000"}, {1642, "01000"}, {1643, "02000"}, {1690, "22003"},
};

#define ER_TRUNCATED_WRONG_VALUE_FOR_FIELD 1366u /* MariaDB alone gives it a state */

struct asker {
    const struct my_client *c;
    struct my_lexer lex;
    struct my_token t;
    struct my_warning cond;
    bool whole; /* of the statement, not of a condition */
};

/* Is it this word? Then pass it. */
static bool take(struct asker *a, const char *upper)
{
    if (a->t.kind != MY_T_WORD ||
        !my_word_is(a->lex.text + a->t.at, a->t.len, upper, (uint32_t)strlen(upper)))
        return false;
    my_lex_next(&a->lex, &a->t);
    return true;
}

static bool take_sign(struct asker *a, char sign)
{
    if (a->t.kind != MY_T_PUNCT || a->t.c != sign)
        return false;
    my_lex_next(&a->lex, &a->t);
    return true;
}

static bool take_number(struct asker *a, uint32_t *n)
{
    if (a->t.kind != MY_T_NUMBER || a->t.len > 5)
        return false;
    *n = 0;
    for (uint32_t i = 0; i < a->t.len; i++) {
        char digit = a->lex.text[a->t.at + i];
        if (digit < '0' || digit > '9')
            return false;
        *n = *n * 10 + (uint32_t)(digit - '0');
    }
    my_lex_next(&a->lex, &a->t);
    return true;
}

/* The wanted one of what is remembered, from 1 on; false: there are not so many. */
static bool find(const struct my_client *c, uint32_t wanted, struct my_warning *to)
{
    struct my_warnings_at w = {0};
    bool there = wanted != 0;
    for (; there && wanted != 0; wanted--)
        there = my_next_warning(c, &w);
    return there && my_read_warning(w.row, w.len, to);
}

static uint32_t count(const struct my_client *c)
{
    struct my_warnings_at w = {0};
    uint32_t n = 0;
    while (my_next_warning(c, &w))
        n++;
    return n;
}

static const char *state_of(const struct my_client *c, uint32_t number)
{
    if (number == c->error && c->error_state[0] != '\0')
        return c->error_state;
    if (number == ER_TRUNCATED_WRONG_VALUE_FOR_FIELD && !my_is_mysql(c))
        return "22007";
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        if (states[i].number == number)
            return states[i].state;
    return "HY000";
}

/* What the client reads messages in; utf8mb4 where nothing better is known. */
static const char *charset_of(const struct my_client *c, struct var_entry *e)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
    bool known = var_set_find(c->vars, "character_set_results", 21, e) && e->value_len != 0 &&
                 strspn(e->value, letters) == e->value_len && strncmp(e->value, "utf8", 4) != 0;
    return known ? e->value : "utf8mb4";
}

static bool is_plain(const struct my_view *text)
{
    for (size_t i = 0; i < text->n; i++)
        if (text->p[i] < ' ' || text->p[i] >= 0x7f || text->p[i] == '\\')
            return false;
    return true;
}

static bool put_plain(struct buf *to, const struct my_view *text)
{
    bool ok = buf_printf(to, "CONCAT(LEFT(VERSION(),0),'");
    for (size_t i = 0; ok && i < text->n; i++)
        ok = buf_append(to, &text->p[i], 1) && (text->p[i] != '\'' || buf_append(to, "'", 1));
    return ok && buf_printf(to, "')");
}

/* A string of the server's own kind, utf8mb3. MySQL warns of that name, but not of what is made
 * with its own functions, which takes a plain literal. */
static bool put_text(struct buf *to, const struct my_client *c, const struct my_view *text)
{
    struct var_entry e;
    if (my_is_mysql(c) && is_plain(text))
        return put_plain(to, text);
    bool ok = buf_printf(to, "CONVERT(CONVERT(x'");
    for (size_t i = 0; ok && i < text->n; i++)
        ok = buf_printf(to, "%02x", (unsigned)text->p[i]);
    return ok && buf_printf(to, "' USING %s) USING %s)", charset_of(c, &e),
                            my_is_mysql(c) ? "utf8mb4" : "utf8mb3");
}

static bool put_word(struct buf *to, const struct my_client *c, const char *word)
{
    const struct my_view v = {.p = (const uint8_t *)word, .n = strlen(word)};
    return put_text(to, c, &v);
}

/* MySQL's own conditions have one; MariaDB's, and those of a SIGNAL, don't. */
static bool has_origin(const struct my_client *c, uint32_t number)
{
    return my_is_mysql(c) && strncmp(state_of(c, number), "45", 2) != 0;
}

/* What the servers of these products fill in only for a SIGNAL that says so. */
static bool is_empty(struct asker *a)
{
    return take(a, "CONSTRAINT_CATALOG") || take(a, "CONSTRAINT_SCHEMA") ||
           take(a, "CONSTRAINT_NAME") || take(a, "CATALOG_NAME") || take(a, "SCHEMA_NAME") ||
           take(a, "TABLE_NAME") || take(a, "COLUMN_NAME") || take(a, "CURSOR_NAME");
}

/* Numbers are BIGINT as the originals are. */
static bool put_item(struct asker *a, struct buf *to)
{
    const struct my_client *c = a->c;
    if (a->whole) {
        if (take(a, "NUMBER"))
            return buf_printf(to, "(%" PRIu32 "|0)", count(c));
        return take(a, "ROW_COUNT") &&
               buf_printf(to, "CAST((%" PRIu64 "|0) AS SIGNED)", (uint64_t)c->row_count);
    }
    if (take(a, "MYSQL_ERRNO"))
        return buf_printf(to, "(%" PRIu32 "|0)", a->cond.number);
    if (take(a, "MESSAGE_TEXT"))
        return put_text(to, c, &a->cond.message);
    if (take(a, "RETURNED_SQLSTATE"))
        return put_word(to, c, state_of(c, a->cond.number));
    if (take(a, "CLASS_ORIGIN") || take(a, "SUBCLASS_ORIGIN"))
        return put_word(to, c, has_origin(c, a->cond.number) ? "ISO 9075" : "");
    return is_empty(a) && put_word(to, c, "");
}

static bool put_assignment(struct asker *a, struct buf *to)
{
    const struct my_token var = a->t;
    if (var.kind != MY_T_USER)
        return false;
    my_lex_next(&a->lex, &a->t);
    return take_sign(a, '=') && buf_append(to, a->lex.text + var.at, var.len) &&
           buf_append(to, "=", 1) && put_item(a, to);
}

bool my_diagnostics_differ(const struct my_client *c, const struct my_server *s)
{
    return s->owner != c->turn || (c->warnings != NULL && s->diagnosed != c->diagnosis);
}

bool my_diagnostics_set(const struct my_client *c, const struct my_server *s, const char *text,
                        size_t n, struct buf *to)
{
    struct asker a = {
        .c = c, .lex = {.text = text, .n = (uint32_t)n, .opts = my_scan_opts(c)}, .whole = true};
    uint32_t wanted;
    my_lex_next(&a.lex, &a.t);
    if (!take(&a, "GET"))
        return false;
    (void)take(&a, "CURRENT");
    if (!take(&a, "DIAGNOSTICS") || (c->warnings == NULL && c->warning_count != 0))
        return false;
    if (take(&a, "CONDITION")) {
        a.whole = false;
        if (s->diagnosed == c->diagnosis || !take_number(&a, &wanted) || !find(c, wanted, &a.cond))
            return false;
    }
    bool ok = buf_printf(to, "SET ") && put_assignment(&a, to);
    while (ok && take_sign(&a, ','))
        ok = buf_append(to, ",", 1) && put_assignment(&a, to);
    (void)take_sign(&a, ';');
    return ok && a.t.kind == MY_T_END && !a.lex.doubtful && !a.lex.versioned;
}
