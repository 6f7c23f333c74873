/* SPDX-License-Identifier: ISC
 * See console_admin.h.
 */
#include "config.h"

#include "admin/console_admin.h"

#include <stdlib.h>

struct admin_world {
    struct world *world;
};

struct admin_world *admin_world_create(struct world *w, const struct conf *conf,
                                       const struct admin_process *process, struct err *e)
{
    (void)conf;
    (void)process;
    (void)e;
    struct admin_world *a = calloc(1, sizeof *a);
    if (a != NULL)
        a->world = w;
    return a;
}

void admin_world_destroy(struct admin_world **a)
{
    free(*a);
    *a = NULL;
}
