/* SPDX-License-Identifier: ISC
 * The one table of setting sets (pg_guc.h) that all workers share, behind one lock: a server
 * connection may then move from worker to worker with its sets as they are. Sets are immutable, so
 * reading one (pg_guc_diff, pg_guc_at, ...) needs no lock while a reference is held.
 * The lock is a leaf: nothing is called under it.
 */
#ifndef WEIR_PROTO_PG_SET_H
#define WEIR_PROTO_PG_SET_H

#include "proto/pg/pg_guc.h"

/* Once, before any other call; false: out of memory. */
bool pg_set_init(void);
void pg_set_fini(void);

/* As their namesakes in pg_guc.h. pg_set_empty() returns a new reference. */
struct pg_guc_set *pg_set_empty(void);
struct pg_guc_set *pg_set_get(struct pg_guc_set *set);
void pg_set_put(struct pg_guc_set **set);
struct pg_guc_set *pg_set_with(struct pg_guc_set *set, const char *name, size_t name_len,
                               enum pg_guc_form form, const char *value, size_t value_len);
struct pg_guc_set *pg_set_without(struct pg_guc_set *set, const char *name, size_t name_len);
void pg_set_mark_proven(struct pg_guc_set *set);

/* *at becomes another reference of `to`; what it was is put back. */
void pg_set_assign(struct pg_guc_set **at, struct pg_guc_set *to);
/* *at becomes `fresh`, whose reference is taken over. NULL (out of bounds or memory): unchanged,
 * false. */
bool pg_set_take(struct pg_guc_set **at, struct pg_guc_set *fresh);

#endif
