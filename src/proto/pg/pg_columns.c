/* SPDX-License-Identifier: ISC
 * See pg_columns.h.
 */
#include "config.h"

#include "proto/pg/pg_columns.h"

#include "base/fnv.h"
#include "proto/pg/pg_session.h"

#include <stdlib.h>
#include <string.h>

#define NO_DATA      1u
#define COLUMN_BYTES 18u /* of one, behind its name */

/* A name looks different to clients of another encoding, if only where it isn't ASCII. */
static uint32_t add_name(uint32_t h, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] < 0x80)
            h = fnv_add(h, p + i, 1);
    return fnv_add(h, "", 1);
}

pg_columns_t pg_columns_of(char type, const uint8_t *body, size_t n)
{
    if (type != 'T')
        return NO_DATA;
    uint32_t h = fnv_add(FNV_START, body, n < 2 ? n : 2);
    for (size_t at = 2; at < n; at += COLUMN_BYTES) {
        size_t len = pg_strlen(body + at, n - at);
        if (len == (size_t)-1 || n - at - len - 1 < COLUMN_BYTES) {
            h = fnv_add(h, body + at, n - at);
            break;
        }
        h = add_name(h, body + at, len);
        at += len + 1;
        /* Not its table (4 bytes) and number there (2): another table of the same make is as good.
         * Nor its format (the last 2): it isn't decided yet. */
        h = fnv_add(h, body + at + 6, COLUMN_BYTES - 8);
    }
    h = h > NO_DATA ? h : h + 2;
    return n < 2 ? h : (pg_columns_t)pg_get16(body) << PG_COLUMNS_COUNT_SHIFT | h;
}

static bool is_worth_noting(const struct pg_expect *x)
{
    return x != NULL && x->kind == PG_X_DESCRIBE && x->stmt != NULL &&
           (x->act == PG_A_PASS || x->act == PG_A_SWALLOW);
}

void pg_columns_parameters(struct pg_client *c, struct pg_server *s, const uint8_t *body, size_t n)
{
    const struct pg_expect *x = pg_expect_head(s);
    if (!is_worth_noting(x) || n < 2 || n != 2 + 4 * (size_t)pg_get16(body))
        return;
    if (!x->judged)
        pg_cache_described_types(s->cache, x->stmt, body, n);
    if (c != NULL && x->name != NULL)
        pg_names_tell_types(c->names, x->name, strlen(x->name), x->stmt, body, n);
}

void pg_columns_described(struct pg_client *c, struct pg_server *s, char type, const uint8_t *body,
                          size_t n)
{
    const struct pg_expect *x = pg_expect_head(s);
    if (!is_worth_noting(x))
        return;
    pg_columns_t columns = pg_columns_of(type, body, n);
    if (!x->judged)
        pg_cache_described(s->cache, x->stmt, columns);
    if (c != NULL && x->name != NULL)
        pg_names_tell(c->names, x->name, strlen(x->name), x->stmt, columns);
}

/* A Describe among what came behind it, in its batch. It mostly comes in one piece; whose doesn't
 * gets an error where it might have had rows. */
static bool asks_behind(const struct pg_in *m)
{
    const uint8_t *p = m->p + m->have;
    for (size_t left = m->have == m->total ? m->behind : 0; left > PG_HEAD_BYTES;) {
        size_t total = 1 + (size_t)pg_get32(p + 1);
        if (p[0] == 'D')
            return true;
        if (p[0] == 'S' || p[0] == 'H' || total < PG_HEAD_BYTES || total > left)
            return false;
        p += total;
        left -= total;
    }
    return false;
}

pg_columns_t pg_columns_expected(pg_columns_t told, const struct pg_in *bind)
{
    return told != 0 && asks_behind(bind) ? 0 : told;
}

static bool put_describe(struct pg_server *s, struct pg_stmt *stmt, struct proto_out *out)
{
    struct pg_expect *x = pg_expect_push(s, PG_X_DESCRIBE, PG_A_SWALLOW);
    if (x == NULL)
        return false;
    x->stmt = pg_stmt_get(stmt);
    uint8_t body[1 + PG_STMT_NAME_BYTES] = {'S'};
    memcpy(body + 1, stmt->name, PG_STMT_NAME_BYTES);
    pg_put_msg(out, &out->server, 'D', body, sizeof body);
    pg_put_msg(out, &out->server, 'H', NULL, 0);
    s->open = true;
    return true;
}

enum pg_columns_fit pg_columns_check(struct pg_client *c, struct pg_server *s, struct pg_stmt *stmt,
                                     pg_columns_t expected, struct proto_out *out)
{
    bool asked = s->asked == stmt;
    s->asked = NULL;
    /* Without rows there is nothing to be misread; a failed transaction refuses by itself; what is
     * healed is described again. */
    if (expected <= NO_DATA || s->status == 'E' || s->heal.state == PG_HEAL_SPENT)
        return PG_COLUMNS_SAME;
    pg_columns_t columns = pg_cache_columns(s->cache, stmt);
    if (columns == expected)
        return PG_COLUMNS_SAME;
    if (asked)
        return PG_COLUMNS_OTHER;
    if (!pg_put_needed(s, stmt, c->prepared_limit, PG_A_SWALLOW, out) ||
        !put_describe(s, stmt, out))
        return PG_COLUMNS_NO_MEMORY;
    s->asked = stmt;
    s->alone = true;
    return PG_COLUMNS_ASKED;
}

bool pg_columns_send_changed(const struct pg_client *c, const struct pg_expect *head,
                             const uint8_t *body, size_t n, struct proto_out *out)
{
    static const char routine[] = "PortalSetResultFormat";
    struct pg_view v;
    if (head->kind != PG_X_BIND || head->mark == 0 || !pg_msg_error_field(body, n, 'R', &v) ||
        v.n != sizeof routine - 1 || memcmp(v.p, routine, v.n) != 0 ||
        !pg_msg_error_field(body, n, 'M', &v))
        return false;
    /* The text is translated; the formats are its first number in any language. */
    pg_columns_t told = pg_names_told_by_mark(c->names, head->mark);
    size_t at = strcspn(v.p, "0123456789");
    if (strtoull(v.p + at, NULL, 10) != told >> PG_COLUMNS_COUNT_SHIFT)
        return false;
    struct buf b = {0};
    struct pg_report r = {.severity = "ERROR",
                          .sqlstate = PG_CHANGED_CODE,
                          .message = PG_CHANGED_TEXT,
                          .routine = PG_CHANGED_ROUTINE};
    if (pg_msg_error(&b, &r))
        pg_put(out, &out->client, buf_head(&b), buf_len(&b));
    buf_release(&b);
    return true;
}

void pg_columns_forget(struct pg_server *s)
{
    if (s->described.stmt == NULL)
        return;
    pg_stmt_put(&s->described.stmt);
    free(s->described.name);
    s->described.name = NULL;
}

void pg_columns_bound(struct pg_server *s, struct pg_stmt *stmt, pg_columns_t told,
                      const char *name, size_t n, const char *portal)
{
    if (told != 0 && told == pg_cache_columns(s->cache, stmt))
        return;
    s->described.name = strndup(name, pg_name_len(n));
    if (s->described.name == NULL)
        return;
    s->described.stmt = pg_stmt_get(stmt);
    s->described.portal = pg_names_mark(portal, strlen(portal));
}

void pg_columns_ask(struct pg_server *s, struct pg_expect *x, const char *portal, size_t n)
{
    if (s->described.stmt == NULL || s->described.portal != pg_names_mark(portal, n))
        return;
    x->stmt = s->described.stmt;
    x->name = s->described.name;
    s->described.stmt = NULL;
    s->described.name = NULL;
}
