/* SPDX-License-Identifier: ISC
 * See admin_table.h.
 */
#include "config.h"

#include "admin/admin_table.h"

#include "base/buf.h"
#include "base/utf8.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CELL_NULL UINT32_MAX

struct cell {
    uint32_t offset; /* in text */
    uint32_t len;    /* CELL_NULL: no value */
};

struct admin_table {
    struct buf text;
    struct cell *cells;
    size_t n_cells, room;
    size_t n_columns;
    bool broken; /* out of memory */
    struct admin_column columns[];
};

struct admin_table *admin_table_create(const struct admin_column *columns, size_t n)
{
    assert(n > 0 && n <= ADMIN_COLUMNS_MAX);
    struct admin_table *t = calloc(1, sizeof *t + n * sizeof columns[0]);
    if (t == NULL)
        return NULL;
    t->n_columns = n;
    memcpy(t->columns, columns, n * sizeof columns[0]);
    return t;
}

void admin_table_destroy(struct admin_table **t)
{
    if (*t == NULL)
        return;
    buf_release(&(*t)->text);
    free((*t)->cells);
    free(*t);
    *t = NULL;
}

static void add_cell(struct admin_table *t, const char *text, size_t len)
{
    if (t->broken)
        return;
    if (t->n_cells == t->room) {
        size_t room = t->room == 0 ? 64 : t->room * 2;
        struct cell *cells = realloc(t->cells, room * sizeof *cells);
        if (cells == NULL) {
            t->broken = true;
            return;
        }
        t->cells = cells;
        t->room = room;
    }
    struct cell *c = &t->cells[t->n_cells];
    *c = (struct cell){.offset = (uint32_t)buf_len(&t->text), .len = CELL_NULL};
    if (text != NULL) {
        if (len >= CELL_NULL || !buf_append(&t->text, text, len)) {
            t->broken = true;
            return;
        }
        c->len = (uint32_t)len;
    }
    t->n_cells++;
}

/* Names are clients' to choose, and a driver refuses a whole answer with one byte that isn't UTF-8.
 */
#define UNSHOWN "\xef\xbf\xbd" /* U+FFFD */

static bool is_shown(uint32_t c)
{
    return c != UTF8_BAD && (!utf8_is_control(c) || c == '\n' || c == '\t');
}

/* Can it be shown as it is? */
static bool is_clean(const unsigned char *p, size_t n)
{
    uint32_t c;
    for (size_t at = 0; at < n;) {
        at += utf8_next(p + at, n - at, &c);
        if (!is_shown(c))
            return false;
    }
    return true;
}

void admin_table_text(struct admin_table *t, const char *text)
{
    assert(t->columns[t->n_cells % t->n_columns].type == ADMIN_TEXT);
    const unsigned char *p = (const unsigned char *)text;
    size_t n = text == NULL ? 0 : strlen(text);
    if (is_clean(p, n)) {
        add_cell(t, text, n);
        return;
    }
    struct buf b = {0};
    bool ok = true;
    uint32_t c;
    for (size_t at = 0, len; ok && at < n; at += len) {
        len = utf8_next(p + at, n - at, &c);
        ok =
            is_shown(c) ? buf_append(&b, p + at, len) : buf_append(&b, UNSHOWN, sizeof UNSHOWN - 1);
    }
    add_cell(t, ok ? (const char *)buf_head(&b) : UNSHOWN, ok ? buf_len(&b) : sizeof UNSHOWN - 1);
    buf_release(&b);
}

void admin_table_put(struct admin_table *t, const char *literal)
{
    add_cell(t, literal, strlen(literal));
}

static uint64_t type_max(enum admin_type type)
{
    switch (type) {
    case ADMIN_INT4:
        return INT32_MAX;
    case ADMIN_INT8:
        return INT64_MAX;
    case ADMIN_TEXT:
    case ADMIN_NUMERIC:
        break;
    }
    return UINT64_MAX;
}

void admin_table_uint(struct admin_table *t, uint64_t value)
{
    uint64_t max = type_max(t->columns[t->n_cells % t->n_columns].type);
    char text[24];
    int n = snprintf(text, sizeof text, "%" PRIu64, value < max ? value : max);
    add_cell(t, text, (size_t)n);
}

void admin_table_int(struct admin_table *t, int64_t value)
{
    if (value >= 0) {
        admin_table_uint(t, (uint64_t)value);
        return;
    }
    if (t->columns[t->n_cells % t->n_columns].type == ADMIN_INT4 && value < INT32_MIN)
        value = INT32_MIN;
    char text[24];
    int n = snprintf(text, sizeof text, "%" PRId64, value);
    add_cell(t, text, (size_t)n);
}

bool admin_table_ok(const struct admin_table *t)
{
    return !t->broken && t->n_cells % t->n_columns == 0;
}

size_t admin_table_rows(const struct admin_table *t)
{
    return t->n_cells / t->n_columns;
}

const struct admin_column *admin_table_columns(const struct admin_table *t, size_t *n)
{
    *n = t->n_columns;
    return t->columns;
}

const char *admin_table_cell(const struct admin_table *t, size_t row, size_t column, size_t *len)
{
    assert(column < t->n_columns && row < admin_table_rows(t));
    const struct cell *c = &t->cells[row * t->n_columns + column];
    *len = 0;
    if (c->len == CELL_NULL)
        return NULL;
    *len = c->len;
    return c->len == 0 ? "" : (const char *)buf_head(&t->text) + c->offset;
}
