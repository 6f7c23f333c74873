/* SPDX-License-Identifier: ISC
 * The inside of a login to a server. my_dial.c has hosts, sockets and TLS; my_dial_talk.c, which is
 * pure, what is said.
 */
#ifndef WEIR_PROTO_MYSQL_MY_DIAL_PRIV_H
#define WEIR_PROTO_MYSQL_MY_DIAL_PRIV_H

#include "proto/dial/dial_tls.h"
#include "proto/mysql/my_crypt.h"
#include "proto/mysql/my_dial.h"
#include "proto/mysql/my_report.h"

#include <stdatomic.h>
#include <sys/socket.h>

enum my_dial_state {
    MY_D_CONNECT,
    MY_D_GREETING,
    MY_D_TLS, /* SSLRequest is on its way; TLS follows */
    MY_D_HANDSHAKE,
    MY_D_AUTH,
    MY_D_SETUP, /* the SET was sent */
    MY_D_BASE,  /* and SHOW VARIABLES behind it */
    MY_D_QUERY, /* connect_query, or a question */
    MY_D_DONE,
    MY_D_FAILED,
};

enum my_plugin { MY_P_NATIVE, MY_P_SHA2, MY_P_CLEAR, MY_P_OTHER };

/* Parameters, counted: the login and each KILL QUERY of its connection use them. Wiped at the end.
 */
struct my_origin {
    _Atomic uint32_t refs;
    struct dsn_param *params;
    size_t n_params;
    uint32_t thread_id;
    char host[256], address[64], port[8]; /* the one that answered */
};

struct my_dial {
    enum my_dial_state state;
    int fd;
    struct ssl_st *ssl;
    struct buf in, out;
    struct my_origin *origin;
    /* the host at hand */
    unsigned at, port;
    char host[256], address[64];
    enum dial_sslmode mode;
    bool local; /* a Unix socket */
    /* the login */
    uint8_t salt[MY_SALT_BYTES];
    uint8_t seq; /* of the next packet to be sent */
    enum my_plugin plugin;
    uint32_t server_caps, caps;
    char version[64];
    uint8_t charset;
    bool mariadb, switched, wants_key;
    bool gave_all; /* the password itself: once is enough */
    unsigned packets;
    struct var_set *base;
    uint32_t max_prepared; /* @@max_prepared_stmt_count; 0: not known */
    bool init_connect;     /* there is one */
    /* an answer: whole rows as packets */
    struct buf rows;
    unsigned ends; /* EOFs of it so far */
    unsigned columns;
    bool running_connect_query;
    char refused[256]; /* a question's error */
    /* after FAILED */
    enum dial_failure why;
    bool next_host;
    char code[6];
    char text[256];
};

const char *my_dial_param(const struct my_origin *o, const char *key);
enum dial_step my_dial_fail(struct my_dial *d, enum dial_failure why, const char *code,
                            const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* What is told to a connection after its login, and after each reset. */
const char *my_dial_tracking(const struct my_dial *d);

/* Eat what has come. READ: more is needed; WRITE: there is something to be sent; DONE, FAILED.
 * State TLS: TLS is to be started when all is sent. */
enum dial_step my_dial_talk(struct my_dial *d);
/* TLS stands (or isn't wanted): answer the greeting. */
enum dial_step my_dial_answer(struct my_dial *d);

#endif
