/* SPDX-License-Identifier: ISC
 * What one client calls its prepared statements: name -> pg_stmt, and what it was told of each.
 *
 * Names belong to the client's worker; NULL is the empty set of them.
 */
#ifndef WEIR_PROTO_PG_NAMES_H
#define WEIR_PROTO_PG_NAMES_H

#include "proto/pg/pg_stmt.h"

struct pg_names;
struct pg_cache;
/* The statement of this name, borrowed; NULL: none. `n` without the NUL. */
struct pg_stmt *pg_names_find(const struct pg_names *names, const char *name, size_t n);
/* It is told now, of `s` by this name, if that is still its name. */
void pg_names_tell(struct pg_names *names, const char *name, size_t n, const struct pg_stmt *s,
                   pg_columns_t columns);
/* It is told of the parameters, with this ParameterDescription's body. */
void pg_names_tell_types(struct pg_names *names, const char *name, size_t n,
                         const struct pg_stmt *s, const uint8_t *body, size_t body_len);
/* The statement to be bound by this name on a connection that has these. Where what is there may
 * have other parameters than the client was told of, its name stands from now on for a statement
 * that declares them. *told: of which columns. Borrowed; NULL: none. */
struct pg_stmt *pg_names_to_bind(struct pg_names *names, const char *name, size_t n,
                                 struct pg_cache *cache, pg_columns_t *told);
/* Add; the name must be free. Takes its own reference. false: out of memory. */
bool pg_names_add(struct pg_names **names, const char *name, size_t n, struct pg_stmt *s)
    __attribute__((warn_unused_result));
/* Remove; the reference passes to the caller. NULL: there was none. */
struct pg_stmt *pg_names_remove(struct pg_names **names, const char *name, size_t n);
void pg_names_clear(struct pg_names **names);
/* A mark of a name, to be told from others of the same statement; never 0. */
static inline uint32_t pg_names_mark(const char *name, size_t n)
{
    return fnv_add(FNV_START, name, pg_name_len(n)) | 1;
}
/* The columns of what the client calls by a name with this mark were found to have changed. */
void pg_names_changed(const struct pg_names *names, uint32_t mark);
/* What it was told of these columns. */
pg_columns_t pg_names_told_by_mark(const struct pg_names *names, uint32_t mark);
/* What the client calls the statement that servers know as `server_name`, by a name with this mark
 * (0: any), or what it calls the one that this stands for; NULL: nothing. */
const char *pg_names_of(const struct pg_names *names, const char *server_name, uint32_t mark);
uint32_t pg_names_count(const struct pg_names *names);
/* What they take of memory, about; texts that other clients have as well are counted, too. */
size_t pg_names_bytes(const struct pg_names *names);
/* The most, as MySQL's clients may have. */
#define PG_NAMES_BYTES_MAX (64u << 20)

#endif
