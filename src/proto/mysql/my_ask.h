/* SPDX-License-Identifier: ISC
 * Questions to a MySQL or MariaDB server, each on a connection of its own. They block for at most
 * connect_timeout (default 10 s) a step and belong on a job thread. Parameters as in my_dial.h, but
 * hosts may be names, which are looked up here.
 */
#ifndef WEIR_PROTO_MYSQL_MY_ASK_H
#define WEIR_PROTO_MYSQL_MY_ASK_H

#include "proto/proto_login.h"

/* Of quotas only the asking user's own is to be had. */
bool my_ask_limits(const struct dsn_param *params, size_t n, struct server_limits *out,
                   struct err *e);
/* auth_query; in `query` a ? or $1 stands for the user. The secret is malloc'ed, to be wiped; NULL
 * with true: no such user. */
bool my_ask_secret(const struct dsn_param *params, size_t n, const char *query, const char *user,
                   char **secret, struct err *e);
bool my_ask_facts(const struct dsn_param *params, size_t n, struct server_facts *out,
                  struct err *e);
/* KILL QUERY of that thread, at the host that is named instead of those in the parameters. */
bool my_ask_kill(const struct dsn_param *params, size_t n, const char *host, const char *address,
                 const char *port, uint32_t thread_id, struct err *e);

#endif
