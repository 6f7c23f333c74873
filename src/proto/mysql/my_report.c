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
#define MY_COLLATION(id, charset, collation)         {id, MY_OF_BOTH, charset, collation},
#define MY_COLLATION_MYSQL(id, charset, collation)   {id, MY_OF_MYSQL, charset, collation},
#define MY_COLLATION_MARIADB(id, charset, collation) {id, MY_OF_MARIADB, charset, collation},
#include "proto/mysql/my_collation.def"
#undef MY_COLLATION
#undef MY_COLLATION_MYSQL
#undef MY_COLLATION_MARIADB
};

/* Once for each login, and where two share a number they are beside each other: no search by
 * halves. */
const struct my_collation *my_collation_find(unsigned id, enum my_collation_of of)
{
    for (size_t i = 0; i < sizeof collations / sizeof collations[0]; i++)
        if (collations[i].id == id && (collations[i].of & of) != 0)
            return &collations[i];
    return NULL;
}

bool my_collation_is_wide(const struct my_collation *col)
{
    return strncmp(col->charset, "utf16", 5) == 0 || strcmp(col->charset, "utf32") == 0 ||
           strcmp(col->charset, "ucs2") == 0;
}
