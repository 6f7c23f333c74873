/* SPDX-License-Identifier: ISC
 * See my_report.h.
 */
#include "config.h"

#include "proto/mysql/my_report.h"
#include "proto/mysql/my_scan.h"

#include <stdlib.h>
#include <string.h>

struct my_report *my_report_create(const char *version, uint8_t charset, bool mariadb)
{
    struct my_report *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    atomic_init(&r->refs, 1);
    strncat(r->version, version, sizeof r->version - 1);
    r->charset = charset;
    r->mariadb = mariadb;
    r->scan_opts = my_scan_server(version, mariadb);
    return r;
}

struct my_report *my_report_get(struct my_report *r)
{
    atomic_fetch_add(&r->refs, 1);
    return r;
}

void my_report_put(struct my_report **rp)
{
    struct my_report *r = *rp;
    *rp = NULL;
    if (r == NULL || atomic_fetch_sub(&r->refs, 1) != 1)
        return;
    vars_put(&r->base);
    free(r);
}

static const struct my_collation collations[] = {
#define MY_COLLATION(id, charset, collation) {id, charset, collation},
#include "proto/mysql/my_collation.def"
#undef MY_COLLATION
};

static int by_id(const void *key, const void *entry)
{
    unsigned id = *(const unsigned *)key, other = ((const struct my_collation *)entry)->id;
    return (id > other) - (id < other);
}

const struct my_collation *my_collation_find(unsigned id)
{
    return bsearch(&id, collations, sizeof collations / sizeof collations[0], sizeof collations[0],
                   by_id);
}

const struct my_collation *my_collation_named(const char *collation)
{
    for (size_t i = 0; i < sizeof collations / sizeof collations[0]; i++)
        if (strcmp(collations[i].collation, collation) == 0)
            return &collations[i];
    return NULL;
}
