/* SPDX-License-Identifier: ISC
 * A console table as MySQL's result sets: column definitions, text rows, binary rows; what ends
 * with an EOF packet each. Follows "Text Resultset" and "Binary Protocol Resultset" of MySQL's
 * source documentation. Pure. `seq` is the next packet's number and counted on. false: out of
 * memory.
 */
#ifndef WEIR_ADMIN_ADMIN_MYSQL_ROW_H
#define WEIR_ADMIN_ADMIN_MYSQL_ROW_H

#include "admin/admin_table.h"
#include "base/buf.h"

/* The definitions alone, without count and EOF. `extended`: with an empty block of MariaDB's. */
bool admin_mysql_put_columns(struct buf *out, uint8_t *seq, const struct admin_column *columns,
                             size_t n, bool extended) __attribute__((warn_unused_result));
bool admin_mysql_put_row(struct buf *out, uint8_t *seq, const struct admin_table *t, size_t row,
                         bool binary) __attribute__((warn_unused_result));

#endif
