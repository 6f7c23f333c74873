/* SPDX-License-Identifier: ISC
 * See my_cache.h.
 */
#include "config.h"

#include "base/hash.h"
#include "proto/mysql/my_cache.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

struct cache_node {
    UT_hash_handle hh;
    TAILQ_ENTRY(cache_node) link; /* least recently used first */
    struct my_text *text;         /* the key */
    struct my_cached cached;
};

struct my_cache {
    struct cache_node *by_text;
    TAILQ_HEAD(cache_list, cache_node) used;
};

static struct cache_node *cache_node_of(struct my_cache *c, const struct my_text *text)
{
    struct cache_node *node = NULL;
    if (c != NULL)
        HASH_FIND_PTR(c->by_text, &text, node);
    return node;
}

static void cache_free(struct my_cache *c, struct cache_node *node)
{
    HASH_DEL(c->by_text, node);
    TAILQ_REMOVE(&c->used, node, link);
    my_text_put(&node->text);
    free(node->cached.shape);
    free(node);
}

struct my_cached *my_cache_find(struct my_cache **cp, const struct my_text *text)
{
    struct cache_node *node = cache_node_of(*cp, text);
    if (node == NULL)
        return NULL;
    TAILQ_REMOVE(&(*cp)->used, node, link);
    TAILQ_INSERT_TAIL(&(*cp)->used, node, link);
    return &node->cached;
}

bool my_cache_add(struct my_cache **cp, struct my_text *text, uint32_t server_id, uint32_t *close)
{
    struct my_cache *c = *cp;
    *close = 0;
    if (c == NULL) {
        if ((c = *cp = calloc(1, sizeof *c)) == NULL)
            return false;
        TAILQ_INIT(&c->used);
    }
    struct cache_node *node = cache_node_of(c, text);
    if (node != NULL) {
        *close = node->cached.cursor ? server_id : node->cached.server_id;
        if (!node->cached.cursor) {
            free(node->cached.shape);
            node->cached = (struct my_cached){.server_id = server_id};
        }
        (void)my_cache_find(cp, text);
        return true;
    }
    if ((node = calloc(1, sizeof *node)) == NULL)
        return false;
    node->text = text;
    node->cached.server_id = server_id;
    HASH_ADD_PTR(c->by_text, text, node);
    if (node->hh.tbl == NULL) {
        free(node);
        return false;
    }
    (void)my_text_get(text);
    TAILQ_INSERT_TAIL(&c->used, node, link);
    return true;
}

bool my_cache_evict(struct my_cache **cp, uint32_t *close)
{
    struct my_cache *c = *cp;
    struct cache_node *node = c != NULL ? TAILQ_FIRST(&c->used) : NULL;
    while (node != NULL && node->cached.cursor)
        node = TAILQ_NEXT(node, link);
    if (node == NULL)
        return false;
    *close = node->cached.server_id;
    cache_free(c, node);
    return true;
}

bool my_cached_fits(const struct my_cached *c, const struct my_stmt *s)
{
    const uint8_t *shape = my_stmt_shape(s);
    if (c->shape == NULL || shape == NULL)
        return true;
    for (size_t i = 0; i < 2u * s->params; i += 2)
        if (shape[i] != MY_TYPE_NULL && c->shape[i] != MY_TYPE_NULL &&
            memcmp(shape + i, c->shape + i, 2) != 0)
            return false;
    return true;
}

bool my_cached_settle(struct my_cached *c, const struct my_stmt *s)
{
    size_t n = 2u * s->params;
    const uint8_t *shape = my_stmt_shape(s);
    if (shape == NULL)
        return true;
    if (c->shape == NULL) {
        if ((c->shape = malloc(n)) == NULL)
            return false;
        memcpy(c->shape, shape, n);
        return true;
    }
    for (size_t i = 0; i < n; i += 2)
        if (shape[i] != MY_TYPE_NULL)
            memcpy(c->shape + i, shape + i, 2);
    return true;
}

void my_cache_spoil(struct my_cache *c, uint32_t server_id, bool forget)
{
    struct cache_node *node;
    if (c == NULL)
        return;
    TAILQ_FOREACH_REVERSE(node, &c->used, cache_list, link) /* it was used just now */
    if (node->cached.server_id == server_id) {
        node->cached.types_id = 0;
        if (forget)
            cache_free(c, node);
        return;
    }
}

bool my_cache_has_cursor(const struct my_cache *c)
{
    const struct cache_node *node = c != NULL ? TAILQ_FIRST(&c->used) : NULL;
    while (node != NULL && !node->cached.cursor)
        node = TAILQ_NEXT(node, link);
    return node != NULL;
}

void my_cache_clear(struct my_cache **cp)
{
    struct my_cache *c = *cp;
    struct cache_node *node, *next;
    if (c == NULL)
        return;
    HASH_ITER(hh, c->by_text, node, next)
    cache_free(c, node);
    free(c);
    *cp = NULL;
}

uint32_t my_cache_count(const struct my_cache *c)
{
    return c != NULL ? HASH_COUNT(c->by_text) : 0;
}

void my_cache_each(const struct my_cache *c, proto_statement_row *row, void *arg)
{
    for (const struct cache_node *node = c != NULL ? c->by_text : NULL; node != NULL;
         node = node->hh.next)
        my_text_row(node->text, row, arg);
}
