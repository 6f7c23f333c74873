/* SPDX-License-Identifier: ISC
 * The first packet of a client: which kind it is, what a StartupMessage says, and PostgreSQL's
 * rules for the `options` in it.
 *
 * What it is not: it opens no TLS, looks nobody up and keeps nothing. Pure: bytes in, verdict and
 * views into those bytes out. Any thread. Runs before anyone is known, so it trusts nothing.
 * Always: a name or value given out as a view is followed by a NUL byte, so `.p` is a C string; but
 * not what is cut out of a user with a suffix: its role, and the database that defaults to it.
 */
#ifndef WEIR_PROTO_PG_STARTUP_H
#define WEIR_PROTO_PG_STARTUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/pg/pg_msg.h"

#define PG_STARTUP_MAX_BYTES 10000u /* as PostgreSQL: MAX_STARTUP_PACKET_LENGTH */
#define PG_PROTOCOL_3_0      0x00030000u

enum pg_first_kind {
    PG_FIRST_NEED_MORE,
    PG_FIRST_STARTUP,
    PG_FIRST_SSL_REQUEST,
    PG_FIRST_GSSENC_REQUEST,
    PG_FIRST_CANCEL,
    PG_FIRST_DIRECT_TLS, /* a TLS ClientHello: nothing was consumed */
    PG_FIRST_TERMINATE,  /* by who left before it had begun */
    PG_FIRST_BAD,
};

const char *pg_first_kind_name(enum pg_first_kind kind);

/* Classify what stands at the head of the stream. `*len` is the length of the whole packet: for
 * NEED_MORE how many bytes are wanted in all (at most PG_STARTUP_MAX_BYTES), for the others how
 * many to consume. BAD fills `fault`.
 * After SSL_REQUEST and GSSENC_REQUEST the caller refuses any byte beyond *len: a man in the middle
 * could have put it there (CVE-2021-23214). */
enum pg_first_kind pg_startup_peek(const void *p, size_t n, size_t *len, struct pg_fault *fault);

enum pg_replication { PG_REPLICATION_NONE, PG_REPLICATION_PHYSICAL, PG_REPLICATION_LOGICAL };

struct pg_startup {
    uint32_t version;        /* as the client asked: major << 16 | minor */
    bool negotiate;          /* answer with NegotiateProtocolVersion before the login */
    struct pg_view user;     /* never empty; with its function suffix, if any */
    struct pg_view database; /* the user's name (without suffix) when none was given */
    struct pg_view options;  /* absent when not given */
    enum pg_replication replication;
    struct pg_view params; /* all pairs, for pg_startup_next() */
};

struct pg_setting {
    struct pg_view name;
    struct pg_view value;
};

/* Read a StartupMessage, whole packet with its length word, as peeked. False: `fault` says why, in
 * PostgreSQL's words, to be sent with severity FATAL. */
PG_MUST bool pg_startup_parse(const void *p, size_t n, struct pg_startup *out,
                              struct pg_fault *fault);

/* The next pair that is a setting of the session, so neither user, database, options, replication
 * nor `_pq_.*`. Start with *at = 0; false at the end. A name may come twice: the last one holds. */
bool pg_startup_next(const struct pg_startup *s, size_t *at, struct pg_setting *out);

/* Append NegotiateProtocolVersion: 3.0 and the names of all `_pq_.*` options. */
PG_MUST bool pg_startup_negotiate(const struct pg_startup *s, struct buf *out);

/* Called for each setting that `options` carries, in order; the views live until it returns.
 * False stops the reading. */
typedef bool pg_setting_fn(void *arg, const struct pg_setting *setting);

/* Split `options` as PostgreSQL does (white space, backslash escapes, getopt) and turn its switches
 * into settings: -c a=b, --a=b, and the single letters (-e, -S 64, -f s, ...) into the settings
 * that they stand for. False: `fault` says why (FATAL), or `each` said false (then fault is ""). */
PG_MUST bool pg_startup_options(struct pg_view options, pg_setting_fn *each, void *arg,
                                struct pg_fault *fault);

/* "app+getUsers" -> "app" and "getUsers", split at the last '+'. Without a '+', or with nothing on
 * one side of it, the role is the whole and the function is absent. The role is then not followed
 * by a NUL. */
void pg_startup_split_user(struct pg_view user, struct pg_view *role, struct pg_view *function);

/* A setting of weir's own ("weir.function"): never sent to the database. */
bool pg_startup_is_weir_setting(struct pg_view name);

/* CancelRequest, whole packet as peeked. The key has 4 bytes, or up to 256 in protocol 3.2. */
PG_MUST bool pg_startup_parse_cancel(const void *p, size_t n, uint32_t *pid, struct pg_view *key);

#endif
