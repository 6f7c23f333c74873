/* SPDX-License-Identifier: ISC
 * How the bytes of a client's text are to be read: its client_encoding and whether a backslash in
 * '..' is one (standard_conforming_strings). The server's lexer runs on the converted text, so a
 * byte of a character of SJIS or BIG5 that looks like a backslash is none there, nor here.
 *
 * Most texts mean the same however they are read; pg_text_how_of() says so, and texts that don't
 * are other statements under another encoding.
 *
 * Pure but for libpq's encoding tables and one allocation where a text needs it; any thread.
 */
#ifndef WEIR_PROTO_PG_TEXT_H
#define WEIR_PROTO_PG_TEXT_H

#include "proto/pg/pg_scan.h"

#include <stddef.h>
#include <stdint.h>

struct var_set;

/* PG_SCAN_OPT_* below, the encoding's number plus one above; 0 there: no matter, or unknown. Above
 * that a hash of DateStyle, IntervalStyle and TimeZone: the server reads the literals of a prepared
 * text when it is prepared, and what they say is another thing under other settings. */
typedef uint32_t pg_text_how_t;

#define PG_TEXT_PLAIN ((pg_text_how_t)PG_SCAN_OPT_SCS)

/* What a client that was reported these parameters sends. */
pg_text_how_t pg_text_how(const struct var_set *report);
/* The part of it that this text depends on. */
pg_text_how_t pg_text_how_of(const char *sql, size_t n, pg_text_how_t how);
/* pg_scan_text() for such a text; `opts`: PG_SCAN_OPT_CUT or 0. */
void pg_text_scan(const char *sql, size_t n, pg_text_how_t how, unsigned opts, struct pg_scan *out);
/* How many characters these bytes are, as positions in errors count them. */
size_t pg_text_chars(const char *p, size_t n, pg_text_how_t how);
/* The text as it may be shown: literals replaced, white space folded, cut to `room`. */
void pg_text_digest(char *to, size_t room, const char *sql, size_t n, pg_text_how_t how);

#endif
