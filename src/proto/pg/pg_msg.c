/* SPDX-License-Identifier: ISC
 * See pg_msg.h.
 *
 * Every writer knows its length beforehand, reserves once and fills: so nothing half-written can
 * stay behind. `struct put` is the cursor; it can't run over because the length was summed from
 * the same parts, which finish() checks.
 */
#include "config.h"

#include "proto/pg/pg_msg.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define HEAD_BYTES   5u         /* type and length */
#define MESSAGE_MAX  (1u << 29) /* nothing that is built here comes near it */
#define COLUMNS_MAX  1600u      /* as PostgreSQL: MaxTupleAttributeNumber is 1664 */
#define COLUMN_FIXED 18u        /* a column of RowDescription, without its name */

struct put {
    uint8_t *at;
    uint8_t *end;
};

struct pg_view pg_view_of(const char *text)
{
    return (struct pg_view){text, text == NULL ? 0 : strlen(text)};
}

static void put_bytes(struct put *w, const void *p, size_t n)
{
    assert((size_t)(w->end - w->at) >= n);
    if (n != 0)
        memcpy(w->at, p, n);
    w->at += n;
}

static void put_u8(struct put *w, char value)
{
    put_bytes(w, &value, 1);
}

static void put_u16(struct put *w, uint32_t value)
{
    const uint8_t raw[2] = {(uint8_t)(value >> 8), (uint8_t)value};
    put_bytes(w, raw, sizeof(raw));
}

static void put_u32(struct put *w, uint32_t value)
{
    const uint8_t raw[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                            (uint8_t)value};
    put_bytes(w, raw, sizeof(raw));
}

static void put_text(struct put *w, const char *text)
{
    put_bytes(w, text, strlen(text) + 1);
}

/* Reserve a message with `body` bytes after the head and write the head. */
static bool begin(struct buf *b, struct put *w, char type, size_t body)
{
    if (body > MESSAGE_MAX)
        return false;
    w->at = buf_reserve(b, HEAD_BYTES + body);
    if (w->at == NULL)
        return false;
    w->end = w->at + HEAD_BYTES + body;
    put_u8(w, type);
    put_u32(w, (uint32_t)(body + 4));
    return true;
}

static bool finish(struct buf *b, const struct put *w, size_t body)
{
    assert(w->at == w->end);
    buf_commit(b, HEAD_BYTES + body);
    return true;
}

bool pg_msg_auth(struct buf *b, enum pg_auth_code code, const void *data, size_t n)
{
    struct put w;
    if (n > MESSAGE_MAX || !begin(b, &w, 'R', 4 + n))
        return false;
    put_u32(&w, (uint32_t)code);
    put_bytes(&w, data, n);
    return finish(b, &w, 4 + n);
}

bool pg_msg_parameter_status(struct buf *b, const char *name, const char *value)
{
    struct put w;
    size_t body = strlen(name) + 1 + strlen(value) + 1;
    if (!begin(b, &w, 'S', body))
        return false;
    put_text(&w, name);
    put_text(&w, value);
    return finish(b, &w, body);
}

bool pg_msg_backend_key(struct buf *b, uint32_t pid, const void *key, size_t n)
{
    struct put w;
    if (n > MESSAGE_MAX || !begin(b, &w, 'K', 4 + n))
        return false;
    put_u32(&w, pid);
    put_bytes(&w, key, n);
    return finish(b, &w, 4 + n);
}

bool pg_msg_ready(struct buf *b, char status)
{
    struct put w;
    if (!begin(b, &w, 'Z', 1))
        return false;
    put_u8(&w, status);
    return finish(b, &w, 1);
}

/* One field of an ErrorResponse; an unset text has none. */
struct field {
    char code;
    const char *text;
};

static bool put_report(struct buf *b, char type, const struct pg_report *r)
{
    const struct field fields[] = {{'S', r->severity}, {'V', r->severity}, {'C', r->sqlstate},
                                   {'M', r->message},  {'D', r->detail},   {'H', r->hint},
                                   {'R', r->routine}};
    const size_t count = sizeof(fields) / sizeof(fields[0]);
    size_t body = 1;
    for (size_t i = 0; i < count; i++)
        if (fields[i].text != NULL)
            body += 1 + strlen(fields[i].text) + 1;
    struct put w;
    if (!begin(b, &w, type, body))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (fields[i].text == NULL)
            continue;
        put_u8(&w, fields[i].code);
        put_text(&w, fields[i].text);
    }
    put_u8(&w, '\0');
    return finish(b, &w, body);
}

bool pg_msg_error(struct buf *b, const struct pg_report *report)
{
    return put_report(b, 'E', report);
}

bool pg_msg_notice(struct buf *b, const struct pg_report *report)
{
    return put_report(b, 'N', report);
}

bool pg_msg_fault(struct buf *b, const char *severity, const struct pg_fault *fault)
{
    const struct pg_report report = {.severity = severity,
                                     .sqlstate = fault->sqlstate,
                                     .message = fault->message,
                                     .detail = fault->detail[0] == '\0' ? NULL : fault->detail,
                                     .hint = fault->hint[0] == '\0' ? NULL : fault->hint,
                                     .routine = fault->routine};
    return pg_msg_error(b, &report);
}

bool pg_msg_negotiate(struct buf *b, uint32_t version, const struct pg_view *options, size_t count)
{
    struct put w;
    size_t body = 4 + 4;
    for (size_t i = 0; i < count; i++)
        body += options[i].n + 1;
    if (!begin(b, &w, 'v', body))
        return false;
    put_u32(&w, version);
    put_u32(&w, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        put_bytes(&w, options[i].p, options[i].n);
        put_u8(&w, '\0');
    }
    return finish(b, &w, body);
}

bool pg_msg_command_complete(struct buf *b, const char *tag)
{
    struct put w;
    size_t body = strlen(tag) + 1;
    if (!begin(b, &w, 'C', body))
        return false;
    put_text(&w, tag);
    return finish(b, &w, body);
}

bool pg_msg_bare(struct buf *b, char type)
{
    struct put w;
    return begin(b, &w, type, 0) && finish(b, &w, 0);
}

/* pg_type.typlen of the few types that weir answers with. */
static uint32_t type_length(uint32_t oid)
{
    switch (oid) {
    case PG_OID_BOOL:
        return 1;
    case PG_OID_INT4:
        return 4;
    case PG_OID_INT8:
    case PG_OID_FLOAT8:
        return 8;
    default:
        return UINT16_MAX; /* -1: variable */
    }
}

bool pg_msg_row_description(struct buf *b, const struct pg_column *columns, size_t count)
{
    struct put w;
    size_t body = 2;
    if (count > COLUMNS_MAX)
        return false;
    for (size_t i = 0; i < count; i++)
        body += strlen(columns[i].name) + 1 + COLUMN_FIXED;
    if (!begin(b, &w, 'T', body))
        return false;
    put_u16(&w, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        put_text(&w, columns[i].name);
        put_u32(&w, 0); /* table */
        put_u16(&w, 0); /* its column */
        put_u32(&w, columns[i].type_oid);
        put_u16(&w, type_length(columns[i].type_oid));
        put_u32(&w, UINT32_MAX); /* typmod -1 */
        put_u16(&w, 0);          /* text format */
    }
    return finish(b, &w, body);
}

bool pg_msg_data_row(struct buf *b, const struct pg_view *values, size_t count)
{
    struct put w;
    size_t body = 2;
    if (count > COLUMNS_MAX)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (values[i].n > MESSAGE_MAX)
            return false;
        body += 4 + (values[i].p == NULL ? 0 : values[i].n);
    }
    if (!begin(b, &w, 'D', body))
        return false;
    put_u16(&w, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        if (values[i].p == NULL) {
            put_u32(&w, UINT32_MAX); /* -1: NULL */
            continue;
        }
        put_u32(&w, (uint32_t)values[i].n);
        put_bytes(&w, values[i].p, values[i].n);
    }
    return finish(b, &w, body);
}

bool pg_msg_error_field(const void *body, size_t n, char field, struct pg_view *out)
{
    const char *p = body;
    size_t at = 0;
    while (at < n && p[at] != '\0') {
        const char *text = p + at + 1;
        size_t left = n - at - 1;
        const char *end = left == 0 ? NULL : memchr(text, '\0', left);
        if (end == NULL)
            return false;
        if (p[at] == field) {
            *out = (struct pg_view){text, (size_t)(end - text)};
            return true;
        }
        at += 1 + (size_t)(end - text) + 1;
    }
    return false;
}

void pg_fault_set(struct pg_fault *f, const char *sqlstate, const char *fmt, ...)
{
    va_list args;
    snprintf(f->sqlstate, sizeof(f->sqlstate), "%s", sqlstate);
    f->detail[0] = f->hint[0] = '\0';
    f->routine = NULL;
    va_start(args, fmt);
    vsnprintf(f->message, sizeof(f->message), fmt, args);
    va_end(args);
}
