/* SPDX-License-Identifier: ISC
 * What one server connection has prepared, by digest, least recently used last. See pg_stmt.h.
 *
 * A statement grows old on a connection when its columns may have changed since it was prepared
 * there: when the server said so of that statement, on whatever connection, and when a table was
 * altered by anybody. One clock counts such events; who prepares it notes the time.
 *
 * Who has been told what columns a statement has goes by that. So when it is described the answer
 * is kept, of the connection's statement and of the client's name for it, and they are compared
 * before it runs (pg_extended.c).
 *
 * A cache belongs to the worker that holds the server connection; the clock is everybody's.
 */
#ifndef WEIR_PROTO_PG_STMT_CACHE_H
#define WEIR_PROTO_PG_STMT_CACHE_H

#include "proto/pg/pg_stmt.h"

struct pg_cache;
/* Is it prepared there? Marks it as used just now. */
bool pg_cache_touch(struct pg_cache **c, const struct pg_stmt *s);
/* What is there may have other columns than it would have now. */
bool pg_cache_is_old(struct pg_cache *c, const struct pg_stmt *s);
/* Whoever prepares it now may have other parameters: something was dropped since. */
bool pg_cache_is_outlived(struct pg_cache *c, const struct pg_stmt *s);
void pg_cache_grow_old(struct pg_cache *c, const struct pg_stmt *s);
/* The columns that it was described with since it was prepared there. */
pg_columns_t pg_cache_columns(struct pg_cache *c, const struct pg_stmt *s);
void pg_cache_described(struct pg_cache *c, const struct pg_stmt *s, pg_columns_t columns);
/* The types of its parameters, likewise; 0: not described since. */
pg_types_t pg_cache_types(struct pg_cache *c, const struct pg_stmt *s);
void pg_cache_described_types(struct pg_cache *c, const struct pg_stmt *s, const uint8_t *body,
                              size_t n);
/* It is being prepared. false: out of memory. */
bool pg_cache_add(struct pg_cache **c, const struct pg_stmt *s);
/* With more than `limit` there, takes the least recently used one out: true, and its server name.
 */
bool pg_cache_evict(struct pg_cache **c, uint32_t limit, char evicted[PG_STMT_NAME_BYTES]);
void pg_cache_remove(struct pg_cache **c, const char *server_name);
/* It was to be closed but wasn't: it is there again, as the newest. */
void pg_cache_put_back(struct pg_cache **c, const char *server_name);
void pg_cache_clear(struct pg_cache **c);
uint32_t pg_cache_count(const struct pg_cache *c);

#endif
