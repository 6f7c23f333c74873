/* SPDX-License-Identifier: ISC
 * The inside of a login, shared by my_login.c (packets, names, the seam) and my_login_auth.c (which
 * plugin, which question, is the answer right). Worker's thread.
 */
#ifndef WEIR_PROTO_MYSQL_MY_LOGIN_PRIV_H
#define WEIR_PROTO_MYSQL_MY_LOGIN_PRIV_H

#include "proto/mysql/my_handshake.h"
#include "proto/mysql/my_secret.h"
#include "proto/proto_login.h"

enum my_login_stage {
    MY_LOGIN_HELLO,  /* the answer to the greeting, or SSLRequest, is to come */
    MY_LOGIN_LOOKUP, /* the worker looks the user up */
    MY_LOGIN_SWITCH, /* the answer to an AuthSwitchRequest is to come */
    MY_LOGIN_FULL,   /* caching_sha2_password: the password itself, or a question for the key */
    MY_LOGIN_SEALED, /* the key was sent: the password, encrypted */
    MY_LOGIN_DONE,
};

#define MY_ANSWER_MAX 2049u /* tokens are longer than passwords; with their NUL */

enum my_auth { MY_AUTH_NATIVE, MY_AUTH_SHA2, MY_AUTH_CLEAR, MY_AUTH_OTHER };

struct my_login {
    struct login_policy policy;
    struct login_asked asked;
    char *names;        /* one block: what `asked` and `plugin` point to */
    const char *plugin; /* with which the client answered the greeting; "" when it didn't say */
    char *secret;       /* copy, wiped; NULL: unknown user, or one without a password */
    char *password;     /* as the client gave it away; wiped */
    char *refuse;       /* said when the proof was right */
    struct login_proof proof;
    uint64_t salt_number;
    uint32_t offered, caps;
    uint16_t charset;
    uint8_t stage;      /* enum my_login_stage */
    uint8_t announced;  /* enum my_auth; of the greeting */
    uint8_t asked_for;  /* enum my_auth; of the AuthSwitchRequest */
    bool switched;      /* and there was one */
    bool gave_password; /* `answer` is the password itself, with its NUL */
    bool may_be_old;    /* the secret: if it doesn't fit, it is looked up once more */
    uint8_t kind;       /* enum my_secret_kind; real or pretended */
    uint8_t seq;        /* of the next packet, whoever sends it */
    bool again;         /* COM_CHANGE_USER: what the client answered is to an old salt */
    bool greeted, local, tls, has_cn, bad_deadline, connector_c, compresses;
    uint32_t deadline_ms; /* weir.deadline */
    char refuse_code[6];
    uint8_t salt[MY_SALT_BYTES];
    uint8_t answer[MY_ANSWER_MAX];
    size_t answer_n;
    char cn[128];
    char reason[200];
};

static inline bool my_login_is_safe(const struct my_login *l)
{
    return l->tls || l->local;
}

const char *my_login_plugin(enum my_auth auth);

/* The secret is known (or known to be none), perhaps anew: judge what was answered already, or ask.
 */
enum login_step my_login_ask(struct my_login *l, bool trust, struct buf *out);
/* A packet of the exchange. */
enum login_step my_login_answer(struct my_login *l, const uint8_t *p, size_t n, struct buf *out);
/* The OK that ends the login; who tracks its session is told of the schema `home`, unless that is
 * NULL. false: out of memory. */
bool my_login_welcome(struct my_login *l, const char *home, struct buf *out);
/* Put the error; it is over. */
enum login_step my_login_refuse(struct my_login *l, unsigned code, const char *state,
                                const char *text, struct buf *out);

#endif
