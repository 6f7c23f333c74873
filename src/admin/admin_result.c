/* SPDX-License-Identifier: ISC
 * See admin_result.h.
 */
#include "config.h"

#include "admin/admin_result.h"

#include "admin/admin_table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char out_of_memory[] = "out of memory"; /* stands for a text that could not be had */

struct admin_result *admin_result_create(const char *tag)
{
    struct admin_result *r = calloc(1, sizeof *r);
    if (r != NULL)
        r->tag = tag;
    return r;
}

void admin_result_destroy(struct admin_result **rp)
{
    struct admin_result *r = *rp;
    if (r == NULL)
        return;
    *rp = NULL;
    admin_table_destroy(&r->table);
    if (r->text != out_of_memory)
        free(r->text);
    for (size_t i = 0; i < r->n_notices; i++)
        free(r->notices[i]);
    free(r);
}

void admin_result_fail(struct admin_result *r, const char *sqlstate, const char *fmt, ...)
{
    admin_table_destroy(&r->table);
    if (r->text != out_of_memory)
        free(r->text);
    r->failed = true;
    (void)snprintf(r->sqlstate, sizeof r->sqlstate, "%s", sqlstate);
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&r->text, fmt, ap) < 0)
        r->text = out_of_memory;
    va_end(ap);
}

void admin_result_notice(struct admin_result *r, const char *text)
{
    if (r->n_notices == ADMIN_NOTICES_MAX)
        return;
    char *copy = strdup(text);
    if (copy != NULL)
        r->notices[r->n_notices++] = copy;
}
