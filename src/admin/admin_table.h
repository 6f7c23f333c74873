/* SPDX-License-Identifier: ISC
 * A table that a console command shows: typed columns, cells as text. Whatever puts a table on a
 * wire (PostgreSQL's protocol, JSON) works from this and from nothing else.
 *
 * Always: cells are added row by row, column by column. Running out of memory is remembered and
 * told by admin_table_ok(). One owner; no lock.
 */
#ifndef WEIR_ADMIN_ADMIN_TABLE_H
#define WEIR_ADMIN_ADMIN_TABLE_H

#include "admin/admin_command.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum admin_type { ADMIN_TEXT, ADMIN_INT4, ADMIN_INT8, ADMIN_NUMERIC };

struct admin_column {
    const char *name; /* static */
    enum admin_type type;
};
#define ADMIN_COLUMNS_MAX 48

struct admin_table;

/* `columns` is copied, the names in it are not. NULL when out of memory. */
struct admin_table *admin_table_create(const struct admin_column *columns, size_t n);
void admin_table_destroy(struct admin_table **t);

/* The next cell; NULL is SQL's NULL. Numbers that don't fit the column's type become its largest
 * value. */
void admin_table_text(struct admin_table *t, const char *text);
void admin_table_put(struct admin_table *t, const char *literal); /* already in the type's form */
void admin_table_uint(struct admin_table *t, uint64_t value);
void admin_table_int(struct admin_table *t, int64_t value);

/* Nothing was lost for lack of memory and the last row is whole. */
bool admin_table_ok(const struct admin_table *t);
size_t admin_table_rows(const struct admin_table *t);
const struct admin_column *admin_table_columns(const struct admin_table *t, size_t *n);
/* Not NUL-terminated; NULL for SQL's NULL. Valid while no cell is added. */
const char *admin_table_cell(const struct admin_table *t, size_t row, size_t column, size_t *len);

/* The columns that a command will show: known before it runs. NULL and 0: it shows no rows. `one`
 * is where the only column of an ADMIN_VALUE is put. Any thread. */
const struct admin_column *admin_columns(const struct admin_command *cmd, struct admin_column *one,
                                         size_t *n);

#endif
