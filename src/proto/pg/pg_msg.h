/* SPDX-License-Identifier: ISC
 * Server-to-client messages of PostgreSQL's protocol 3, written to a buffer; and a reader for the
 * fields of the one message that weir itself has to understand, the ErrorResponse.
 *
 * What it is not: framing of the data path (that peeks at heads and moves bytes) or a reader of
 * rows. Pure: no socket, no clock, no state. Any thread.
 * Always: each writer adds the whole message or, when memory is out, nothing and says false.
 */
#ifndef WEIR_PROTO_PG_MSG_H
#define WEIR_PROTO_PG_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Bytes that belong to someone else; p == NULL stands for "absent" (SQL NULL in a row). */
struct pg_view {
    const char *p;
    size_t n;
};

/* A view of a C string; NULL gives an absent one. */
struct pg_view pg_view_of(const char *text);

/* An error or a notice. Unset texts are NULL and are left out of the message. */
struct pg_report {
    const char *severity; /* "ERROR", "FATAL", "PANIC", "WARNING", "NOTICE", ... */
    const char *sqlstate; /* five characters */
    const char *message;
    const char *detail;
    const char *hint;
    const char *routine; /* PostgreSQL's, where drivers go by it */
};

/* A report that owns its texts: what parsers return beside "bad". Severity is the caller's. */
struct pg_fault {
    char sqlstate[6];
    char message[256];
    char detail[256];    /* "" when there is none */
    char hint[64];       /* "" when there is none */
    const char *routine; /* as above */
};

enum pg_auth_code {
    PG_AUTH_CODE_OK = 0,
    PG_AUTH_CODE_CLEARTEXT = 3,
    PG_AUTH_CODE_MD5 = 5, /* data: the 4 bytes of salt */
    PG_AUTH_CODE_SASL = 10,
    PG_AUTH_CODE_SASL_CONTINUE = 11,
    PG_AUTH_CODE_SASL_FINAL = 12,
};

/* A column of a RowDescription; sent in text format, without a table. */
struct pg_column {
    const char *name;
    uint32_t type_oid; /* PG_OID_* */
};

#define PG_OID_BOOL    16u
#define PG_OID_INT8    20u
#define PG_OID_INT4    23u
#define PG_OID_TEXT    25u
#define PG_OID_FLOAT8  701u
#define PG_OID_NUMERIC 1700u
#define PG_OID_VOID    2278u

#define PG_MUST __attribute__((warn_unused_result))

/* 'R'; `n` bytes of data follow the code (for SASL: the list of mechanisms with its end). */
PG_MUST bool pg_msg_auth(struct buf *b, enum pg_auth_code code, const void *data, size_t n);
/* 'S' */
PG_MUST bool pg_msg_parameter_status(struct buf *b, const char *name, const char *value);
/* 'K'; the key is 4 bytes in protocol 3.0 */
PG_MUST bool pg_msg_backend_key(struct buf *b, uint32_t pid, const void *key, size_t n);
/* 'Z'; status 'I', 'T' or 'E' */
PG_MUST bool pg_msg_ready(struct buf *b, char status);
/* 'E' and 'N' */
PG_MUST bool pg_msg_error(struct buf *b, const struct pg_report *report);
PG_MUST bool pg_msg_notice(struct buf *b, const struct pg_report *report);
/* 'E' from a parser's verdict. */
PG_MUST bool pg_msg_fault(struct buf *b, const char *severity, const struct pg_fault *fault);
/* 'v': the version that is spoken (196608 = 3.0) and the _pq_ options that are not understood */
PG_MUST bool pg_msg_negotiate(struct buf *b, uint32_t version, const struct pg_view *options,
                              size_t count);
/* 'C' */
PG_MUST bool pg_msg_command_complete(struct buf *b, const char *tag);
/* A message without a body: '1' ParseComplete, '2' BindComplete, '3' CloseComplete, 'n' NoData,
 * 'I' EmptyQueryResponse, 's' PortalSuspended. */
PG_MUST bool pg_msg_bare(struct buf *b, char type);
/* 'T' and 'D' */
PG_MUST bool pg_msg_row_description(struct buf *b, const struct pg_column *columns, size_t count);
PG_MUST bool pg_msg_data_row(struct buf *b, const struct pg_view *values, size_t count);

/* Find a field ('S' severity, 'V' the same untranslated, 'C' sqlstate, 'M' message, 'D', 'H', ...)
 * in the body (without type and length) of an ErrorResponse or NoticeResponse. False when it isn't
 * there or the body is malformed before it. The view is followed by a NUL. */
bool pg_msg_error_field(const void *body, size_t n, char field, struct pg_view *out);

/* Fill a fault; overlong text is cut. Detail and hint are cleared. */
void pg_fault_set(struct pg_fault *f, const char *sqlstate, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
