/* SPDX-License-Identifier: ISC
 * What pg_dial_raw.c (the connection) and pg_dial_talk.c (what is said on it) share.
 */
#ifndef WEIR_PROTO_PG_DIAL_PRIV_H
#define WEIR_PROTO_PG_DIAL_PRIV_H

#include "proto/pg/pg_crypto.h"
#include "proto/pg/pg_dial_cancel.h"
#include "proto/pg/pg_dial_raw.h"
#include "proto/dial/dial_tls.h"
#include "proto/pg/pg_scram_client.h"
#include "proto/vars/vars.h"
#include "proto/pg/pg_wire.h"

#include <stdarg.h>

enum raw_state {
    RAW_CONNECT,
    RAW_ASK_TLS,
    RAW_HANDSHAKE,
    RAW_AUTH,   /* the startup packet is sent; up to AuthenticationOk */
    RAW_SETTLE, /* parameters, key; up to ReadyForQuery */
    RAW_QUERY,  /* connect_query, or a question; up to ReadyForQuery */
    RAW_DONE,
    RAW_FAILED,
};

struct pg_raw {
    enum raw_state state;
    int fd;
    struct ssl_st *ssl;
    struct buf in, out;
    struct dsn_param *params; /* copies; wiped */
    size_t n_params;
    /* the host at hand */
    unsigned at;
    char host[256], address[64];
    unsigned port;
    struct sockaddr_storage addr;
    socklen_t addr_n;
    enum dial_sslmode mode;
    bool local;    /* a Unix socket */
    bool with_tls; /* what is being tried; sslmode may allow the other */
    bool other_tried;
    bool try_other; /* the failure is one that the other might not meet */
    bool next_host; /* the failure is this host's only */
    /* the login */
    struct pg_scram_client *scram;
    bool sasl_sent; /* SASL was chosen: nothing else ends well any more ... */
    bool proven;    /* ... until the server has proven itself */
    bool has_key;
    bool connect_query_sent;
    uint32_t pid, key;
    struct var_set *report;
    size_t bytes; /* of messages so far */
    unsigned messages;
    /* a question */
    unsigned rows, fields;
    char *columns[PG_RAW_COLUMNS]; /* of the first row; wiped */
    bool asked_failed;
    struct err asked_error;
    /* after FAILED */
    enum dial_failure why;
    char code[6];
    char text[256];
};

/* "" when it isn't given. */
const char *pg_raw_param(const struct pg_raw *r, const char *key);
enum dial_step pg_raw_fail(struct pg_raw *r, enum dial_failure why, const char *code,
                           const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void pg_raw_forget_answer(struct pg_raw *r);

/* ---- pg_dial_talk.c: pure but for the log ---- */
/* Append the startup packet. */
enum dial_step pg_raw_start_talk(struct pg_raw *r);
/* Eat what has come. READ: more is needed; WRITE: there is something to be sent; DONE, FAILED. */
enum dial_step pg_raw_talk(struct pg_raw *r);

#endif
