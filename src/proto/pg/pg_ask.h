/* SPDX-License-Identifier: ISC
 * Questions of the control plane to a PostgreSQL server: struct server_ops' ask_limits, ask_secret
 * and ask_facts, which see. The parameters are those of pg_dial_raw.h; with keys and without a
 * password they go by it, else by libpq. Thread: one that may block.
 */
#ifndef WEIR_PROTO_PG_ASK_H
#define WEIR_PROTO_PG_ASK_H

#include "proto/proto_login.h"

bool pg_ask_limits(const struct dsn_param *params, size_t n, struct server_limits *out,
                   struct err *e) __attribute__((warn_unused_result));
/* auth_query with the user as $1. */
bool pg_ask_secret(const struct dsn_param *params, size_t n, const char *query, const char *user,
                   char **secret, struct err *e) __attribute__((warn_unused_result));
bool pg_ask_facts(const struct dsn_param *params, size_t n, struct server_facts *out, struct err *e)
    __attribute__((warn_unused_result));

#endif
