/* SPDX-License-Identifier: ISC
 * The protocols that weir speaks, in one table: what else in worker/ knows one from the other is
 * told by a row of it. Constant; any thread.
 *
 * A client's protocol is that of the door it came in by; a route's that of its database entry.
 */
#ifndef WEIR_WORKER_PROTOCOLS_H
#define WEIR_WORKER_PROTOCOLS_H

#include "conf/conf.h"
#include "conf/userlist.h"
#include "proto/proto.h"
#include "proto/proto_login.h"

#define PROTOCOLS 2 /* the doors of the listener, too */

struct protocol {
    const struct login_ops *login;
    const struct proto_ops *relay;
    const struct server_ops *server;
    enum conf_proto conf;  /* = its door */
    const char *unix_name; /* the socket's file: this and the port */
    const char *alpn;      /* TLS without asking first must name it; NULL: there is no such thing */
    const char *url_scheme; /* of a DSN */
    const char *auth_query; /* while the setting has its default, which is PostgreSQL's; or NULL */
    /* A request for TLS is exactly so long and what follows is TLS at once, unanswered: no byte of
     * it may be read in the clear. 0: the client waits for an answer. */
    size_t tls_request_bytes;
};

/* Once, before any thread. */
bool protocols_init(struct err *e) __attribute__((warn_unused_result));
/* NULL: no such door, or its protocol is not served. */
const struct protocol *protocol_at(unsigned door);
const struct protocol *protocol_of(enum conf_proto proto);
/* Its port in the settings; 0: the door stays shut. */
int protocol_port(const struct protocol *p, const struct conf_settings *cs);

/* Whether this user of the auth_file has a secret that the protocol can do something with: a hash
 * that is another protocol's must not be taken for a password. */
bool protocol_secret(const struct protocol *p, const struct userlist_user *u);

#endif
