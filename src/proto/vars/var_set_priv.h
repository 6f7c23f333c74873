/* SPDX-License-Identifier: ISC
 * The inside of a set of settings, for var_set.c and for those who write the SQL between two sets.
 */
#ifndef WEIR_PROTO_VARS_VAR_SET_PRIV_H
#define WEIR_PROTO_VARS_VAR_SET_PRIV_H

#include "proto/vars/var_set.h"

#define HASH_NONFATAL_OOM 1
#include "base/hash.h"

/* One interned entry. */
struct var_value {
    UT_hash_handle hh; /* in the table, by key */
    uint32_t refs;     /* sets that have it */
    uint32_t name_len;
    uint32_t value_len;
    _Atomic bool proven; /* any worker may find it out */
    char key[];          /* form, name, NUL, value, NUL */
};

struct var_set {
    uint32_t magic;
#define VAR_SET_MAGIC 0x70675365u
    uint32_t refs;
    struct var_table *table;
    uint32_t count;
    uint32_t lengths;           /* bit n % 32: a name of n bytes is there */
    struct var_value *values[]; /* by name; no name twice */
};

static inline const char *var_name(const struct var_value *v)
{
    return v->key + 1;
}

static inline const char *var_string(const struct var_value *v)
{
    return v->key + 1 + v->name_len + 1;
}

static inline enum var_form var_form(const struct var_value *v)
{
    return (enum var_form)v->key[0];
}

/* Order of names, without regard to ASCII case. */
int var_name_compare(const char *a, size_t a_len, const char *b, size_t b_len);

#endif
