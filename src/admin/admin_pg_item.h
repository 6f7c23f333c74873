/* SPDX-License-Identifier: ISC
 * The prepared statements and the portals of a console session: short lists, looked up by name.
 * Thread: the session's worker.
 */
#ifndef WEIR_ADMIN_ADMIN_PG_ITEM_H
#define WEIR_ADMIN_ADMIN_PG_ITEM_H

#include "admin/admin_command.h"
#include "admin/admin_pg_row.h"

#include <stddef.h>
#include <sys/queue.h>

struct admin_result;

/* A prepared statement or a portal. */
struct admin_pg_item {
    TAILQ_ENTRY(admin_pg_item) link;
    char *name, *text;
    struct admin_command cmd;
    /* portals */
    struct admin_pg_formats formats;
    struct admin_result *result; /* executed, rows are left */
    size_t next_row;
};
TAILQ_HEAD(admin_pg_items, admin_pg_item);

/* NULL when there is none of that name. */
struct admin_pg_item *admin_pg_item_find(struct admin_pg_items *list, const char *name);
/* Copies the texts; NULL when out of memory. */
struct admin_pg_item *admin_pg_item_add(struct admin_pg_items *list, size_t *count,
                                        const char *name, const char *text,
                                        const struct admin_command *cmd);
/* Take it off its list; NULL is nothing. */
void admin_pg_item_free(struct admin_pg_items *list, size_t *count, struct admin_pg_item *it);

#endif
