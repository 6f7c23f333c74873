/* SPDX-License-Identifier: ISC
 * A table's columns and rows as PostgreSQL messages, in text or binary format. Pure.
 */
#ifndef WEIR_ADMIN_ADMIN_PG_ROW_H
#define WEIR_ADMIN_ADMIN_PG_ROW_H

#include "admin/admin_table.h"

#include <stdbool.h>
#include <stddef.h>

struct buf;

/* As in Bind: none: all text; one: for all columns; else one for each. */
struct admin_pg_formats {
    size_t n;
    bool binary[ADMIN_COLUMNS_MAX];
};

/* RowDescription and DataRow; false when out of memory, then nothing was added. */
bool admin_pg_put_columns(struct buf *out, const struct admin_column *columns, size_t n,
                          const struct admin_pg_formats *formats)
    __attribute__((warn_unused_result));
bool admin_pg_put_row(struct buf *out, const struct admin_table *t, size_t row,
                      const struct admin_pg_formats *formats) __attribute__((warn_unused_result));

#endif
