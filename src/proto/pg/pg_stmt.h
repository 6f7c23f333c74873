/* SPDX-License-Identifier: ISC
 * Prepared statements, apart from any one connection.
 *
 * A pg_stmt is a text with its parameter types, known once to the whole process and identified by
 * a digest; immutable, reference-counted. What a client calls it: pg_names.h.
 *
 * A text whose bytes mean something else under another client_encoding, or another reading of
 * backslashes, is another statement there.
 * A server knows a statement as "weir_" and its digest, whoever asked first, so equal statements of
 * different clients are prepared once per connection (pg_stmt_cache.h).
 * Threads: the table of texts has a lock.
 */
#ifndef WEIR_PROTO_PG_STMT_H
#define WEIR_PROTO_PG_STMT_H

#include "base/fnv.h"
#include "proto/pg/pg_scan.h"
#include "proto/pg/pg_text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PG_STMT_PREFIX     "weir_"
#define PG_STMT_PREFIX_LEN 5u
#define PG_STMT_NAME_BYTES (PG_STMT_PREFIX_LEN + 32u + 1u) /* with its NUL */

struct pg_stmt {
    const uint8_t *body; /* Parse without the name: query, NUL, count of types, types */
    uint32_t body_len;
    uint32_t text_len; /* of the query */
    pg_text_how_t how; /* what its bytes depend on */
    /* What scanning the text found, as in struct pg_scan. A text may be long: it is done once. */
    uint64_t flags;
    uint32_t n_used;
    const uint32_t *used;
    uint8_t digest[16];
    char name[PG_STMT_NAME_BYTES]; /* on every server connection */
    _Atomic uint32_t heard;        /* pg_hidden.c: all that it calls was harmless then; 0: never */
    _Atomic uint32_t changed;      /* when its columns did, by the clock of such events */
};

/* Scan the text into `found`, of which the names are kept. Returns the flags to keep. */
typedef uint64_t pg_stmt_scan_fn(const char *sql, size_t n, pg_text_how_t how,
                                 struct pg_scan *found);

/* The statement with this body (a query, a NUL, and the types) of a client whose texts are read
 * like that; a new one is scanned. NULL when out of memory. The result holds a
 * reference. */
struct pg_stmt *pg_stmt_intern(const uint8_t *body, size_t n, pg_text_how_t how,
                               pg_stmt_scan_fn *scan);
/* The statement of the same text that declares these types: how many, and each. */
struct pg_stmt *pg_stmt_declare(const struct pg_stmt *s, const uint8_t *types, size_t n);
struct pg_stmt *pg_stmt_get(struct pg_stmt *s);
void pg_stmt_drop(struct pg_stmt **s);
/* NULL is fine */
static inline void pg_stmt_put(struct pg_stmt **s)
{
    if (*s != NULL)
        pg_stmt_drop(s);
}

/* The columns of the statement that servers know by this name were found to have changed. */
void pg_stmt_changed(const char *server_name);
/* Those of any statement may have. */
void pg_stmt_all_changed(void);
/* A statement with this tag was executed, on any connection: can what was prepared before have
 * other columns after it, mean another function, or would it have other parameters? */
void pg_stmt_on_tag(const char *tag);

/* PostgreSQL tells names by so many of their bytes, here as in SQL. */
#define PG_NAME_BYTES 63u
static inline size_t pg_name_len(size_t n)
{
    return n < PG_NAME_BYTES ? n : PG_NAME_BYTES;
}

/* Of the columns that a statement was described with: how many, in the upper half, and their names
 * and types, as far as PostgreSQL's "cached plan must not change result type" goes by them. 0: not
 * described. */
typedef uint64_t pg_columns_t;
#define PG_COLUMNS_COUNT_SHIFT 32

/* Likewise of the types of its parameters, by ParameterDescription's body. */
typedef uint32_t pg_types_t;
static inline pg_types_t pg_types_mark(const uint8_t *body, size_t n)
{
    return fnv_add(FNV_START, body, n) | 1;
}

#endif
