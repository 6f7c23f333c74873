/* SPDX-License-Identifier: ISC
 * See admin_mysql_row.h.
 */
#include "config.h"

#include "admin/admin_mysql_row.h"

#include "proto/mysql/my_packet.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CHARSET_UTF8MB4 45u
#define CHARSET_BINARY  63u
#define FLAG_BINARY     0x80u
#define FLAG_NUM        0x8000u

/* Protocol::ColumnType */
#define TYPE_LONG       0x03u
#define TYPE_LONGLONG   0x08u
#define TYPE_NEWDECIMAL 0xf6u
#define TYPE_VAR_STRING 0xfdu

static uint8_t type_of(enum admin_type type)
{
    switch (type) {
    case ADMIN_INT4:
        return TYPE_LONG;
    case ADMIN_INT8:
        return TYPE_LONGLONG;
    case ADMIN_NUMERIC:
        return TYPE_NEWDECIMAL;
    case ADMIN_TEXT:
        break;
    }
    return TYPE_VAR_STRING;
}

static bool put_bytes(struct buf *b, const char *p, size_t n)
{
    uint8_t head[9];
    return buf_append(b, head, my_write_lenenc(head, n)) && buf_append(b, p, n);
}

static bool put_packet(struct buf *out, uint8_t *seq, struct buf *payload, bool ok)
{
    ok = ok && my_put_packet(out, *seq, buf_head(payload), buf_len(payload));
    *seq = (uint8_t)(*seq + 1);
    buf_release(payload);
    return ok;
}

/* Protocol::ColumnDefinition41: catalog, schema, table twice, name twice, then the fixed part. */
static bool put_column(struct buf *out, uint8_t *seq, const struct admin_column *c, bool extended)
{
    bool text = c->type == ADMIN_TEXT;
    unsigned charset = text ? CHARSET_UTF8MB4 : CHARSET_BINARY;
    unsigned flags = text ? 0 : FLAG_BINARY | FLAG_NUM;
    uint8_t fixed[13] = {0x0c, (uint8_t)charset, 0};
    size_t n = strlen(c->name);
    struct buf b = {0};
    my_put32(fixed + 3, text ? 4096 : 20);
    fixed[7] = type_of(c->type);
    fixed[8] = (uint8_t)flags;
    fixed[9] = (uint8_t)(flags >> 8);
    fixed[10] = text ? 0x1f : 0;
    bool ok = put_bytes(&b, "def", 3) && put_bytes(&b, "weir", 4) && put_bytes(&b, "", 0) &&
              put_bytes(&b, "", 0) && put_bytes(&b, c->name, n) && put_bytes(&b, c->name, n) &&
              (!extended || put_bytes(&b, "", 0)) && buf_append(&b, fixed, sizeof fixed);
    return put_packet(out, seq, &b, ok);
}

bool admin_mysql_put_columns(struct buf *out, uint8_t *seq, const struct admin_column *columns,
                             size_t n, bool extended)
{
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++)
        ok = put_column(out, seq, &columns[i], extended);
    return ok;
}

static bool put_text_row(struct buf *b, const struct admin_table *t, size_t row, size_t n)
{
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++) {
        size_t len;
        const char *p = admin_table_cell(t, row, i, &len);
        ok = p != NULL ? put_bytes(b, p, len) : buf_append(b, "\xfb", 1);
    }
    return ok;
}

static bool put_number(struct buf *b, const char *text, size_t len, unsigned bytes)
{
    char number[24];
    uint8_t le[8];
    if (len >= sizeof number)
        len = sizeof number - 1;
    memcpy(number, text, len);
    number[len] = '\0';
    uint64_t v = (uint64_t)strtoll(number, NULL, 10);
    for (unsigned i = 0; i < bytes; i++)
        le[i] = (uint8_t)(v >> (8 * i));
    return buf_append(b, le, bytes);
}

/* 0, a bit for each NULL from the third on, the values in their types' form. */
static bool put_binary_row(struct buf *b, const struct admin_table *t, size_t row,
                           const struct admin_column *columns, size_t n)
{
    uint8_t nulls[1 + (ADMIN_COLUMNS_MAX + 9) / 8] = {0};
    for (size_t i = 0; i < n; i++) {
        size_t len;
        if (admin_table_cell(t, row, i, &len) == NULL)
            nulls[1 + (i + 2) / 8] |= (uint8_t)(1u << ((i + 2) % 8));
    }
    bool ok = buf_append(b, nulls, 1 + (n + 9) / 8);
    for (size_t i = 0; ok && i < n; i++) {
        size_t len;
        const char *p = admin_table_cell(t, row, i, &len);
        if (p == NULL)
            continue;
        ok = columns[i].type == ADMIN_INT4   ? put_number(b, p, len, 4)
             : columns[i].type == ADMIN_INT8 ? put_number(b, p, len, 8)
                                             : put_bytes(b, p, len);
    }
    return ok;
}

bool admin_mysql_put_row(struct buf *out, uint8_t *seq, const struct admin_table *t, size_t row,
                         bool binary)
{
    struct buf b = {0};
    size_t n;
    const struct admin_column *columns = admin_table_columns(t, &n);
    assert(n <= ADMIN_COLUMNS_MAX);
    bool ok = binary ? put_binary_row(&b, t, row, columns, n) : put_text_row(&b, t, row, n);
    return put_packet(out, seq, &b, ok);
}
