/* SPDX-License-Identifier: ISC
 * Tables of names: found in O(1), and walked in the order in which they were added. The memory is
 * an arena's, but for what uthash keeps for itself. Private to conf/.
 */
#ifndef WEIR_CONF_CONF_TABLE_H
#define WEIR_CONF_CONF_TABLE_H

#include "conf/conf_arena.h"

#include <stdbool.h>
#include <stddef.h>

struct conf_node;

struct conf_table {
    struct conf_node *by_name;
    const void **items;
    size_t n;
};

/* False when memory is out (then the arena's `failed` says so too). The name must be new. */
bool conf_table_add(struct conf_table *t, struct conf_arena *arena, const char *name,
                    const void *item) __attribute__((warn_unused_result));
/* Not const: the loader changes what it finds. NULL when there is none. */
void *conf_table_find(const struct conf_table *t, const char *name);
void conf_table_fini(struct conf_table *t);

#endif
