/* SPDX-License-Identifier: ISC
 * What a client says in a comment around its statement: how much time it has left
 * (deadline_ms=2500), and which trace the statement belongs to (sqlcommenter's
 * traceparent='00-..', W3C Trace Context). A comment that begins the text or ends it is read, no
 * other: a text without one costs a look at its first and last bytes.
 *
 * Pure; any thread.
 */
#ifndef WEIR_PROTO_COMMENT_COMMENT_H
#define WEIR_PROTO_COMMENT_COMMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRACE_ID_BYTES 32 /* hex digits */

struct comment {
    const char *trace_id; /* TRACE_ID_BYTES in the text, or NULL */
    uint32_t deadline_ms; /* 0: none; at least 1 */
};

void comment_read(const char *text, size_t n, struct comment *out);

/* A time as weir.deadline takes it: milliseconds, or with ms, s or min behind it. false: it is
 * none. 0 is a time. */
bool comment_read_ms(const char *text, size_t n, uint32_t *ms);

#endif
