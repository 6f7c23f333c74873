/* SPDX-License-Identifier: ISC
 * See pg_names.h.
 */
#include "config.h"

#include "base/hash.h"
#include "proto/pg/pg_names.h"

#include "proto/pg/pg_stmt_cache.h"
#include "proto/pg/pg_stmt_each.h"

#include <stdlib.h>
#include <string.h>

/* Parameters that the client was told of and did not declare. */
struct types {
    pg_types_t mark;
    uint32_t n;
    uint8_t body[]; /* as Parse would declare them */
};

struct pg_names {
    struct pg_stmt *s;
    struct types *types; /* owned, or NULL */
    UT_hash_handle hh;
    size_t total; /* the first one's: pg_names_bytes() */
    uint32_t len;
    pg_columns_t told;
    char name[];
};

static size_t item_bytes(const struct pg_names *item)
{
    return sizeof *item + item->len + sizeof *item->s + item->s->body_len;
}

static struct pg_names *names_item(const struct pg_names *names, const char *name, size_t n)
{
    struct pg_names *item = NULL;
    if (names != NULL)
        HASH_FIND(hh, names, name, pg_name_len(n), item);
    return item;
}

struct pg_stmt *pg_names_find(const struct pg_names *names, const char *name, size_t n)
{
    const struct pg_names *item = names_item(names, name, n);
    return item != NULL ? item->s : NULL;
}

void pg_names_tell(struct pg_names *names, const char *name, size_t n, const struct pg_stmt *s,
                   pg_columns_t columns)
{
    struct pg_names *item = names_item(names, name, n);
    if (item != NULL && item->s == s)
        item->told = columns;
}

void pg_names_tell_types(struct pg_names *names, const char *name, size_t n,
                         const struct pg_stmt *s, const uint8_t *body, size_t body_len)
{
    struct pg_names *item = names_item(names, name, n);
    if (item == NULL || item->s != s)
        return;
    free(item->types);
    item->types = NULL;
    size_t text = s->text_len + 1;
    if (s->body_len - text == body_len && memcmp(s->body + text, body, body_len) == 0)
        return;
    item->types = malloc(sizeof *item->types + body_len);
    if (item->types == NULL)
        return;
    item->types->mark = pg_types_mark(body, body_len);
    item->types->n = (uint32_t)body_len;
    memcpy(item->types->body, body, body_len);
}

struct pg_stmt *pg_names_to_bind(struct pg_names *names, const char *name, size_t n,
                                 struct pg_cache *cache, pg_columns_t *told)
{
    struct pg_names *item = names_item(names, name, n);
    *told = item != NULL ? item->told : 0;
    if (item == NULL)
        return NULL;
    if (item->types == NULL || item->types->mark == pg_cache_types(cache, item->s))
        return item->s;
    struct pg_stmt *declared = pg_stmt_declare(item->s, item->types->body, item->types->n);
    if (declared == NULL)
        return item->s;
    names->total -= item_bytes(item);
    pg_stmt_put(&item->s);
    item->s = declared;
    names->total += item_bytes(item);
    free(item->types);
    item->types = NULL;
    return declared;
}

bool pg_names_add(struct pg_names **names, const char *name, size_t n, struct pg_stmt *s)
{
    struct pg_names *item = calloc(1, sizeof *item + n + 1);
    if (item == NULL)
        return false;
    item->s = pg_stmt_get(s);
    item->len = (uint32_t)n;
    memcpy(item->name, name, n);
    HASH_ADD_KEYPTR(hh, *names, item->name, pg_name_len(n), item);
    (*names)->total += item_bytes(item);
    return true;
}

struct pg_stmt *pg_names_remove(struct pg_names **names, const char *name, size_t n)
{
    struct pg_names *item = names_item(*names, name, n);
    if (item == NULL)
        return NULL;
    struct pg_stmt *s = item->s;
    size_t total = (*names)->total - item_bytes(item);
    HASH_DEL(*names, item);
    if (*names != NULL)
        (*names)->total = total;
    free(item->types);
    free(item);
    return s;
}

void pg_names_clear(struct pg_names **names)
{
    struct pg_names *item, *tmp;
    HASH_ITER(hh, *names, item, tmp)
    {
        HASH_DEL(*names, item);
        pg_stmt_put(&item->s);
        free(item->types);
        free(item);
    }
    *names = NULL;
}

void pg_names_changed(const struct pg_names *names, uint32_t mark)
{
    for (const struct pg_names *item = names; item != NULL; item = item->hh.next)
        if (mark == pg_names_mark(item->name, item->len))
            pg_stmt_changed(item->s->name);
}

pg_columns_t pg_names_told_by_mark(const struct pg_names *names, uint32_t mark)
{
    for (const struct pg_names *item = names; item != NULL; item = item->hh.next)
        if (mark == pg_names_mark(item->name, item->len))
            return item->told;
    return 0;
}

const char *pg_names_of(const struct pg_names *names, const char *server_name, uint32_t mark)
{
    for (const struct pg_names *item = names; item != NULL; item = item->hh.next)
        if (memcmp(item->s->name, server_name, PG_STMT_NAME_BYTES - 1) == 0 &&
            (mark == 0 || mark == pg_names_mark(item->name, item->len)))
            return item->name;
    for (const struct pg_names *item = names; mark != 0 && item != NULL; item = item->hh.next)
        if (mark == pg_names_mark(item->name, item->len))
            return item->name;
    return mark == pg_names_mark("", 0) ? "" : NULL;
}

size_t pg_names_bytes(const struct pg_names *names)
{
    return names != NULL ? names->total : 0;
}

uint32_t pg_names_count(const struct pg_names *names)
{
    return HASH_COUNT(names);
}

void pg_names_each(const struct pg_names *names, proto_statement_row *row, void *arg)
{
    for (const struct pg_names *item = names; item != NULL; item = item->hh.next)
        pg_stmt_row(item->s, item->s->name, row, arg);
}
