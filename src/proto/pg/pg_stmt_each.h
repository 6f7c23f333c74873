/* SPDX-License-Identifier: ISC
 * Prepared statements looked at one after another, for SHOW STATEMENTS. See pg_stmt.h, whose
 * threads and owners are these.
 */
#ifndef WEIR_PROTO_PG_STMT_EACH_H
#define WEIR_PROTO_PG_STMT_EACH_H

#include "proto/pg/pg_names.h"
#include "proto/pg/pg_stmt_cache.h"
#include "proto/proto.h"

/* One row; `st` NULL: a text that no client has any more, known by its server name only. */
void pg_stmt_row(const struct pg_stmt *st, const char *name, proto_statement_row *row, void *arg);
void pg_names_each(const struct pg_names *names, proto_statement_row *row, void *arg);
void pg_cache_each(const struct pg_cache *cache, proto_statement_row *row, void *arg);

#endif
