/* SPDX-License-Identifier: ISC
 * See conf_table.h. uthash for the look-up, an array for the order.
 */
#include "config.h"

/* Out of memory is a fault of this configuration, not the end of the process. */
#define HASH_NONFATAL_OOM        1
#define uthash_nonfatal_oom(elt) ((elt)->lost = true)

#include "base/hash.h"
#include "conf/conf_table.h"

#include <string.h>

struct conf_node {
    const char *name;
    const void *item;
    bool lost; /* uthash had no memory for it */
    UT_hash_handle hh;
};

bool conf_table_add(struct conf_table *t, struct conf_arena *arena, const char *name,
                    const void *item)
{
    const void **slot = conf_arena_push(arena, &t->items, &t->n, sizeof *slot);
    if (slot == NULL)
        return false;
    *slot = item;
    struct conf_node *node = conf_arena_alloc(arena, sizeof *node);
    if (node == NULL)
        return false;
    node->name = name;
    node->item = item;
    HASH_ADD_KEYPTR(hh, t->by_name, node->name, strlen(node->name), node);
    arena->failed |= node->lost;
    return !node->lost;
}

void *conf_table_find(const struct conf_table *t, const char *name)
{
    struct conf_node *node;
    HASH_FIND_STR(t->by_name, name, node);
    return node == NULL ? NULL : (void *)node->item;
}

void conf_table_fini(struct conf_table *t)
{
    HASH_CLEAR(hh, t->by_name);
    *t = (struct conf_table){0};
}
