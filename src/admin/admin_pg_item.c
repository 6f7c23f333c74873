/* SPDX-License-Identifier: ISC
 * See admin_pg_item.h.
 */
#include "config.h"

#include "admin/admin_pg_item.h"

#include "admin/admin_result.h"

#include <stdlib.h>
#include <string.h>

void admin_pg_item_free(struct admin_pg_items *list, size_t *count, struct admin_pg_item *it)
{
    if (it == NULL)
        return;
    TAILQ_REMOVE(list, it, link);
    --*count;
    admin_result_destroy(&it->result);
    free(it->name);
    free(it->text);
    free(it);
}

struct admin_pg_item *admin_pg_item_find(struct admin_pg_items *list, const char *name)
{
    struct admin_pg_item *it;
    TAILQ_FOREACH(it, list, link)
    {
        if (strcmp(it->name, name) == 0)
            return it;
    }
    return NULL;
}

struct admin_pg_item *admin_pg_item_add(struct admin_pg_items *list, size_t *count,
                                        const char *name, const char *text,
                                        const struct admin_command *cmd)
{
    struct admin_pg_item *it = calloc(1, sizeof *it);
    if (it == NULL)
        return NULL;
    it->name = strdup(name);
    it->text = strdup(text);
    if (it->name == NULL || it->text == NULL) {
        free(it->name);
        free(it->text);
        free(it);
        return NULL;
    }
    it->cmd = *cmd;
    TAILQ_INSERT_HEAD(list, it, link);
    ++*count;
    return it;
}
