/* SPDX-License-Identifier: ISC
 * Prepared statements, apart from any one connection.
 *
 *   my_text    a statement's text with what it means (schema, SQL mode, character set), known once
 *              to the whole process; immutable, counted
 *   my_stmts   what one client has prepared: its own numbers -> my_text, and the parameter types
 *              it sent with its first execution, which the protocol sends only once
 *
 * What one server connection has prepared is in my_cache.h.
 * Threads: the table of texts has a lock; my_stmts belongs to the client's worker.
 */
#ifndef WEIR_PROTO_MYSQL_MY_TEXT_H
#define WEIR_PROTO_MYSQL_MY_TEXT_H

#include "base/buf.h"
#include "proto/proto.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct my_text {
    uint64_t flags; /* MY_DO_* of the text */
    uint32_t refs;
    uint32_t key_len; /* context, NUL, text */
    uint32_t text_at;
    uint32_t text_len;
    char key[];
};

static inline const char *my_text_sql(const struct my_text *t)
{
    return t->key + t->text_at;
}

/* The text in this context (a string that names schema, mode and character set); holds a
 * reference. NULL: out of memory. */
struct my_text *my_text_intern(const char *context, const char *sql, size_t n, uint64_t flags);
struct my_text *my_text_get(struct my_text *t);
void my_text_put(struct my_text **t); /* NULL is fine */

/* Tell it as a row of SHOW STATEMENTS. */
void my_text_row(const struct my_text *t, proto_statement_row *row, void *arg);

/* ---- a client's statements ---- */

#define MY_TYPE_NULL 6u /* of a parameter: says nothing of the type it has otherwise */

#define MY_LONG_DATA_MAX (64u * 1024u * 1024u) /* of one client, until it is executed */

struct my_stmt {
    uint32_t id;
    uint16_t params, columns;
    bool cursor;     /* open on the server connection that it holds */
    bool longs_lost; /* long data that there was no room for: it can't be executed */
    struct my_text *text;
    uint8_t *types; /* 2 * params bytes as the client sent them last, or NULL; as many behind them:
                       see my_stmt_shape() */
    uint32_t types_id; /* names these types: equal ones have equal numbers, never 0 */
    struct buf longs;  /* whole COM_STMT_SEND_LONG_DATA packets */
};

struct my_stmts {
    struct my_stmt_node *by_id;
    size_t bytes;      /* of the texts and types of all statements */
    size_t long_bytes; /* in all statements */
    uint32_t last;     /* the number that was given last */
    uint32_t latest; /* what MariaDB's 0xffffffff means; 0: nothing, for the last PREPARE failed */
};
/* Add with the next free number. Takes its own reference on `text`. NULL: out of memory. */
struct my_stmt *my_stmts_add(struct my_stmts **all, struct my_text *text, uint16_t params,
                             uint16_t columns);
/* From now on its text is its own: a server connection prepares it anew, for it alone. `token`
 * names the client. false: out of memory. */
bool my_stmts_part(struct my_stmts *all, struct my_stmt *s, uint64_t token);
struct my_stmt *my_stmts_find(const struct my_stmts *all, uint32_t id);
/* The number that was given last; 0: none. */
uint32_t my_stmts_last(const struct my_stmts *all);
void my_stmts_remove(struct my_stmts **all, uint32_t id);
void my_stmts_clear(struct my_stmts **all);
/* `bytes` (NULL is fine): what they take in memory, long data aside; texts that clients share count
 * for each. */
uint32_t my_stmts_count(const struct my_stmts *all, size_t *bytes);
/* A row for each; NULL: none. */
void my_stmts_each(const struct my_stmts *all, proto_statement_row *row, void *arg);
/* What MySQL takes its parameters' types to be after these executions: NULL says nothing, and once
 * a number it stays one. NULL before the first types. */
static inline const uint8_t *my_stmt_shape(const struct my_stmt *s)
{
    return s->types != NULL ? s->types + 2u * s->params : NULL;
}
/* Remember the types of an execution; false: out of memory. */
bool my_stmt_set_types(struct my_stmt *s, const uint8_t *types);

#endif
