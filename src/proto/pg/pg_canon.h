/* SPDX-License-Identifier: ISC
 * How PostgreSQL would report a setting that a client gave in its startup message.
 *
 * A client is told its parameters when its login ends, and often long before weir has borrowed a
 * server connection for it. PostgreSQL reports "ISO, DMY" to whoever asked for `european` and
 * "UTF8" to whoever asked for `utf-8`; these are the rules it does that by. Not here: whether the
 * client may have the setting, and settings that are not reported (they need no canonical form).
 *
 * Pure but for libpq's encoding tables; any thread.
 */
#ifndef WEIR_PROTO_PG_CANON_H
#define WEIR_PROTO_PG_CANON_H

#include <stdbool.h>
#include <stddef.h>

/* What the answer depends on: what a server connection of that database reports by default.
 * Members may be NULL or 0 when not known yet. */
struct pg_canon_server {
    int version_num;       /* 150004 */
    const char *datestyle; /* e.g. "ISO, MDY" */
    const char *timezone;  /* e.g. "Europe/Berlin": known to be spelled right */
};

enum pg_canon_result {
    PG_CANON_OK,      /* `out` holds what will be reported */
    PG_CANON_UNKNOWN, /* not one of the settings with a rule: `out` holds the value as given */
    PG_CANON_BAD,     /* the server would refuse this value */
};

/* Write the reported form of `value` to `out`, NUL-terminated. PG_CANON_BAD also when it doesn't
 * fit: 256 bytes suffice for whatever has a rule. Of a time zone that the server doesn't use itself
 * nothing here knows the right spelling; it is taken as given. */
enum pg_canon_result pg_canon_value(const struct pg_canon_server *server, const char *name,
                                    const char *value, size_t len, char *out, size_t cap);

/* A DateStyle may say one half of it only, and leaves the other as it was. Write what follows from
 * `value` after `before`. false: one of them is wrong, or nothing follows from either. */
bool pg_canon_join_datestyle(const char *before, const char *value, size_t len, char *out,
                             size_t cap);

/* The version_num of a server_version report ("15.6 (Debian 15.6-0+deb12u1)", "17beta1"); 0 when it
 * can't be read. */
int pg_canon_version(const char *server_version);

/* Is this a client_encoding in which an ASCII byte may be the second half of a character (SJIS,
 * BIG5, GBK, UHC, GB18030, JOHAB, SHIFT_JIS_2004)? See PG_SCAN_OPT_UNSAFE_ENC. */
bool pg_canon_encoding_unsafe(const char *client_encoding);

/* How texts have to be scanned (enum pg_scan_opt) on a connection that reports these two; NULL
 * where not known. Worth keeping until a ParameterStatus changes one of them. */
unsigned pg_canon_scan_opts(const char *standard_conforming_strings, const char *client_encoding);

#endif
