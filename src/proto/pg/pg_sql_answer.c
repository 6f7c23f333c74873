/* SPDX-License-Identifier: ISC
 * What became of a text with names in it: which of them are the client's from now on, and its
 * errors as the client would have had them. See pg_sql.h.
 */
#include "config.h"

#include "proto/pg/pg_sql.h"

#include "proto/pg/pg_session.h"
#include "proto/pg/pg_sql_priv.h"

#include <stdlib.h>
#include <string.h>

#define ERROR_MAX (PROTO_ARENA_SLACK / 2)

/* The first statement of this kind that has not been answered. */
static struct pg_sql_item *next_of(struct pg_sql *q, uint64_t flag)
{
    for (uint32_t i = 0; i < q->n; i++)
        if (q->items[i].flag == flag && !q->items[i].done)
            return &q->items[i];
    return NULL;
}

static bool tag_is(const char *tag, size_t n, const char *what)
{
    return n == strlen(what) && memcmp(tag, what, n) == 0;
}

void pg_sql_tag(struct pg_client *c, struct pg_sql *q, const char *tag, size_t n)
{
    uint64_t flag = tag_is(tag, n, "PREPARE")      ? PG_SCAN_PREPARE
                    : tag_is(tag, n, "DEALLOCATE") ? PG_SCAN_DEALLOCATE
                                                   : 0;
    struct pg_sql_item *it = flag != 0 ? next_of(q, flag) : NULL;
    if (it == NULL)
        return;
    it->done = true;
    if (c == NULL || !it->renamed)
        return;
    struct pg_stmt *gone = pg_names_remove(&c->names, it->name, strlen(it->name));
    pg_stmt_put(&gone);
    if (flag == PG_SCAN_PREPARE)
        (void)!pg_names_add(&c->names, it->name, strlen(it->name), it->stmt);
}

void pg_sql_described(struct pg_client *c, struct pg_server *s, const uint8_t *body, size_t n)
{
    const struct pg_expect *x = pg_expect_head(s);
    size_t len = strlen(x->name);
    if (c == NULL || n < 2 || n != 2 + 4 * (size_t)pg_get16(body) ||
        pg_names_find(c->names, x->name, len) != x->stmt)
        return;
    struct pg_stmt *typed = pg_stmt_declare(x->stmt, body, n);
    if (typed == NULL)
        return;
    struct pg_stmt *gone = pg_names_remove(&c->names, x->name, len);
    pg_stmt_put(&gone);
    (void)!pg_names_add(&c->names, x->name, len, typed);
    pg_cache_grow_old(s->cache, typed); /* another's; this one was prepared just now */
    pg_stmt_put(&typed);
}

void pg_sql_keep_error(struct pg_server *s, const uint8_t *body, size_t n)
{
    for (uint32_t i = 0; i < s->len; i++) {
        struct pg_sql *q = pg_expect_at(s, i)->sql;
        if (q == NULL)
            continue;
        if (buf_len(&q->error) == 0 && n <= ERROR_MAX)
            (void)!buf_append(&q->error, body, n);
        return;
    }
}

void pg_sql_shown(struct pg_sql *q)
{
    q->once = false;
}

bool pg_sql_hides(struct pg_server *s, struct pg_sql *q, const uint8_t *body, size_t n)
{
    bool stale = pg_heal_is_stale(body, n);
    for (uint32_t i = 0; stale && i < q->n; i++)
        if (q->items[i].flag == PG_SCAN_EXECUTE && q->items[i].stmt != NULL)
            pg_stmt_changed(q->items[i].stmt->name);
    q->stale = q->once && s->len == 1 && buf_len(&q->error) == 0 && stale;
    q->once = false;
    s->hold |= q->stale;
    return q->stale;
}

bool pg_sql_on_ready(struct pg_server *s, struct pg_expect *x)
{
    if (!x->sql->stale || s->sql_again != NULL)
        return false;
    s->sql_again = x->sql;
    x->sql = NULL;
    return true;
}

/* Where in the client's text the character is that has this place (from 1) in what was sent. */
static size_t place(const struct pg_sql *q, size_t at)
{
    const char *text = (const char *)buf_head(&q->sent) + PG_HEAD_BYTES;
    size_t more = 0; /* characters that the names sent have beyond the client's */
    if (at == 0 || at > pg_text_chars(text, q->sent_len, q->how))
        return at;
    for (uint32_t i = 0; i < q->n; i++) {
        const struct pg_sql_item *it = &q->items[i];
        size_t start = pg_text_chars(text, it->sent_at, q->how), len = strlen(it->sent);
        if (!it->renamed || at <= start + 1)
            continue;
        if (at <=
            start + len) /* no error is about EXECUTE's name: it is the statement's own text */
            return it->flag == PG_SCAN_EXECUTE ? at : start + 1 - more;
        more += len - it->chars;
    }
    return at - more;
}

/* The text of an error's field, with the client's names. */
static bool put_field(struct buf *b, const struct pg_sql *q, const char *text, size_t n)
{
    const char *end = text + n;
    for (const char *at; (at = memmem(text, (size_t)(end - text), "\"" PG_STMT_PREFIX,
                                      PG_STMT_PREFIX_LEN + 1)) != NULL;) {
        const struct pg_sql_item *found = NULL;
        size_t len = 0;
        for (uint32_t i = 0; i < q->n && found == NULL; i++) {
            len = strlen(q->items[i].sent);
            if (q->items[i].renamed && (size_t)(end - at) > len + 1 && at[len + 1] == '"' &&
                memcmp(at + 1, q->items[i].sent, len) == 0)
                found = &q->items[i];
        }
        if (!buf_append(b, text, (size_t)(at + 1 - text)))
            return false;
        text = at + 1;
        if (found != NULL) {
            if (!buf_append(b, found->name, strlen(found->name)))
                return false;
            text += len;
        }
    }
    return buf_append(b, text, (size_t)(end - text) + 1);
}

static bool put_fields(struct buf *b, const struct pg_sql *q, const uint8_t *body, size_t n)
{
    while (n > 1 && body[0] != 0) {
        size_t len = pg_strlen(body + 1, n - 1);
        const char *text = (const char *)body + 1;
        if (len == (size_t)-1 || !buf_append(b, body, 1))
            return false;
        bool ok;
        if (body[0] == 'P')
            ok = buf_printf(b, "%zu", place(q, (size_t)strtoul(text, NULL, 10))) &&
                 buf_append(b, "", 1);
        else
            ok = put_field(b, q, text, len);
        if (!ok)
            return false;
        body += 1 + len + 1;
        n -= 1 + len + 1;
    }
    return buf_append(b, "", 1);
}

bool pg_sql_error(struct pg_sql *q, const uint8_t *body, size_t n, struct proto_out *out)
{
    struct pg_view code;
    struct buf b = {0};
    bool sent = false;
    bool follows = pg_msg_error_field(body, n, 'C', &code) &&
                   (memcmp(code.p, "26000", 6) == 0 || memcmp(code.p, "25P02", 6) == 0);
    if (follows && buf_len(&q->error) != 0)
        sent = buf_append(&b, buf_head(&q->error), buf_len(&q->error));
    else
        sent = n <= ERROR_MAX && put_fields(&b, q, body, n);
    sent = sent && buf_len(&b) <= ERROR_MAX;
    if (sent)
        pg_put_msg(out, &out->client, 'E', buf_head(&b), buf_len(&b));
    buf_release(&b);
    return sent;
}
