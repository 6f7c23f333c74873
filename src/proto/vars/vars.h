/* SPDX-License-Identifier: ISC
 * The one table of setting sets (var_set.h) that all workers share, behind one lock: a server
 * connection may then move from worker to worker with its sets as they are. Sets are immutable, so
 * reading one (var_set_at, ...) needs no lock while a reference is held.
 * The lock is a leaf: nothing is called under it.
 */
#ifndef WEIR_PROTO_VARS_VARS_H
#define WEIR_PROTO_VARS_VARS_H

#include "proto/vars/var_set.h"

/* Once, before any other call; false: out of memory. */
bool vars_init(void);
void vars_fini(void);

/* As their namesakes in var_set.h. vars_empty() returns a new reference. */
struct var_set *vars_empty(void);
struct var_set *vars_get(struct var_set *set);
void vars_put(struct var_set **set);
struct var_set *vars_with(struct var_set *set, const char *name, size_t name_len,
                          enum var_form form, const char *value, size_t value_len);
struct var_set *vars_without(struct var_set *set, const char *name, size_t name_len);
void vars_mark_proven(struct var_set *set);

/* *at becomes another reference of `to`; what it was is put back. */
void vars_assign(struct var_set **at, struct var_set *to);
/* *at becomes `fresh`, whose reference is taken over. NULL (out of bounds or memory): unchanged,
 * false. */
bool vars_take(struct var_set **at, struct var_set *fresh);

#endif
