/* SPDX-License-Identifier: ISC
 * What one server connection has prepared: a text -> the server's number, least recently used first
 * to go.
 *
 * Thread: the worker's that holds the server connection.
 */
#ifndef WEIR_PROTO_MYSQL_MY_CACHE_H
#define WEIR_PROTO_MYSQL_MY_CACHE_H

#include "proto/mysql/my_text.h"

struct my_cached {
    uint32_t server_id;
    uint32_t types_id; /* bound there last; 0: none */
    bool cursor;       /* one is open: closing it, or preparing it again, would lose that */
    bool had_cursor;   /* one has been asked for */
    uint8_t *shape;    /* like my_stmt_shape(): of all its executions; NULL: there was none */
};

struct my_cache;
/* NULL: not there. Valid until the next call; counts as used just now. */
struct my_cached *my_cache_find(struct my_cache **c, const struct my_text *text);
/* It is prepared there under this number. If there are two numbers for it now, the one to be closed
 * is put into *close, else 0. false: out of memory. */
bool my_cache_add(struct my_cache **c, struct my_text *text, uint32_t server_id, uint32_t *close);
/* An execution under this number failed: which types the server took is not known. `forget`: nor
 * what else it remembers, so that it has to be closed. */
void my_cache_spoil(struct my_cache *c, uint32_t server_id, bool forget);
/* Forget the least recently used one without a cursor; its number is to be closed. false: none. */
bool my_cache_evict(struct my_cache **c, uint32_t *close);
/* MySQL (since 8.0.22) settles a parameter's type with an execution and converts later values to
 * it, a text to the number 0: an execution with other types than those before needs a statement of
 * its own. */
bool my_cached_fits(const struct my_cached *c, const struct my_stmt *s);
/* It is executed there with these types. false: out of memory. */
bool my_cached_settle(struct my_cached *c, const struct my_stmt *s);
/* A cursor is open there, whichever statement's. */
bool my_cache_has_cursor(const struct my_cache *c);
void my_cache_clear(struct my_cache **c);
uint32_t my_cache_count(const struct my_cache *c);
/* A row of SHOW STATEMENTS for each; NULL: none. */
void my_cache_each(const struct my_cache *c, proto_statement_row *row, void *arg);

#endif
