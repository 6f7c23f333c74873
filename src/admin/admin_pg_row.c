/* SPDX-License-Identifier: ISC
 * See admin_pg_row.h.
 */
#include "config.h"

#include "admin/admin_pg_row.h"

#include "base/buf.h"
#include "proto/pg/pg_msg.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static bool is_binary(const struct admin_pg_formats *f, size_t column)
{
    return f->n != 0 && f->binary[f->n == 1 ? 0 : column];
}

static uint8_t *put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
    return p + 2;
}

static uint8_t *put32(uint8_t *p, uint32_t v)
{
    return put16(put16(p, v >> 16), v & 0xffff);
}

static uint8_t *put64(uint8_t *p, uint64_t v)
{
    return put32(put32(p, (uint32_t)(v >> 32)), (uint32_t)v);
}

static uint32_t type_oid(enum admin_type type)
{
    switch (type) {
    case ADMIN_INT4:
        return PG_OID_INT4;
    case ADMIN_INT8:
        return PG_OID_INT8;
    case ADMIN_NUMERIC:
        return PG_OID_NUMERIC;
    case ADMIN_TEXT:
        break;
    }
    return PG_OID_TEXT;
}

static unsigned type_size(enum admin_type type)
{
    return type == ADMIN_INT4 ? 4 : type == ADMIN_INT8 ? 8 : 0xffff; /* -1: it varies */
}

bool admin_pg_put_columns(struct buf *out, const struct admin_column *columns, size_t n,
                          const struct admin_pg_formats *formats)
{
    size_t len = 4 + 2;
    for (size_t i = 0; i < n; i++)
        len += strlen(columns[i].name) + 1 + 18;
    uint8_t *p = buf_reserve(out, len + 1);
    if (p == NULL)
        return false;
    *p++ = 'T';
    p = put32(p, (uint32_t)len);
    p = put16(p, (unsigned)n);
    for (size_t i = 0; i < n; i++) {
        size_t name = strlen(columns[i].name) + 1;
        memcpy(p, columns[i].name, name);
        p = put32(p + name, 0); /* no table, no column of one */
        p = put16(p, 0);
        p = put32(p, type_oid(columns[i].type));
        p = put16(p, type_size(columns[i].type));
        p = put32(p, UINT32_MAX); /* no type modifier */
        p = put16(p, is_binary(formats, i));
    }
    buf_commit(out, len + 1);
    return true;
}

/* A whole number as PostgreSQL's binary numeric: digits to the base 10000, highest first. Returns
 * the bytes written, at most 8 + 2 * 5. */
static size_t binary_numeric(uint64_t v, uint8_t *to)
{
    unsigned digits[5], n = 0;
    for (uint64_t rest = v; rest != 0; rest /= 10000)
        digits[n++] = (unsigned)(rest % 10000);
    uint8_t *p = put16(to, n);
    p = put16(p, n == 0 ? 0 : n - 1); /* weight of the first */
    p = put16(p, 0);                  /* positive */
    p = put16(p, 0);                  /* no decimals */
    while (n > 0)
        p = put16(p, digits[--n]);
    return (size_t)(p - to);
}

/* The cell's text in the binary format of its type; a text stays as it is. */
static struct pg_view binary_value(enum admin_type type, struct pg_view text, uint8_t scratch[24])
{
    char number[24];
    if (type == ADMIN_TEXT || text.n >= sizeof number)
        return text;
    memcpy(number, text.p, text.n);
    number[text.n] = '\0';
    size_t n = 0;
    if (type == ADMIN_INT4)
        n = (size_t)(put32(scratch, (uint32_t)strtol(number, NULL, 10)) - scratch);
    else if (type == ADMIN_INT8)
        n = (size_t)(put64(scratch, (uint64_t)strtoll(number, NULL, 10)) - scratch);
    else
        n = binary_numeric(strtoull(number, NULL, 10), scratch);
    return (struct pg_view){(const char *)scratch, n};
}

bool admin_pg_put_row(struct buf *out, const struct admin_table *t, size_t row,
                      const struct admin_pg_formats *formats)
{
    struct pg_view values[ADMIN_COLUMNS_MAX];
    uint8_t scratch[ADMIN_COLUMNS_MAX][24];
    size_t n;
    const struct admin_column *columns = admin_table_columns(t, &n);
    assert(n <= ADMIN_COLUMNS_MAX);
    for (size_t i = 0; i < n; i++) {
        values[i].p = admin_table_cell(t, row, i, &values[i].n);
        if (values[i].p != NULL && is_binary(formats, i))
            values[i] = binary_value(columns[i].type, values[i], scratch[i]);
    }
    return pg_msg_data_row(out, values, n);
}
