/* SPDX-License-Identifier: ISC
 * The inside of a set of settings, for pg_guc.c and pg_guc_sql.c.
 */
#ifndef WEIR_PROTO_PG_GUC_PRIV_H
#define WEIR_PROTO_PG_GUC_PRIV_H

#include "proto/pg/pg_guc.h"

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* One interned entry. */
struct guc_value {
    UT_hash_handle hh; /* in the table, by key */
    uint32_t refs;     /* sets that have it */
    uint32_t name_len;
    uint32_t value_len;
    bool proven;
    char key[]; /* form, name, NUL, value, NUL */
};

struct pg_guc_set {
    uint32_t magic;
#define PG_GUC_SET_MAGIC 0x70675365u
    uint32_t refs;
    struct pg_guc_table *table;
    uint32_t count;
    struct guc_value *values[]; /* by name; no name twice */
};

static inline const char *guc_name(const struct guc_value *v)
{
    return v->key + 1;
}

static inline const char *guc_string(const struct guc_value *v)
{
    return v->key + 1 + v->name_len + 1;
}

static inline enum pg_guc_form guc_form(const struct guc_value *v)
{
    return (enum pg_guc_form)v->key[0];
}

/* Order of names, without regard to ASCII case. */
int guc_name_compare(const char *a, size_t a_len, const char *b, size_t b_len);

#endif
