/* SPDX-License-Identifier: ISC
 * Questions of the control plane to a PostgreSQL server, on a connection of their own. They block
 * (with the connection string's connect_timeout) and belong on a thread that may.
 */
#ifndef WEIR_PROTO_PG_ASK_H
#define WEIR_PROTO_PG_ASK_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct pg_keys;

/* `keys` (NULL: none) stand for the password that the connection string doesn't have; see
 * pg_dial_keys.h. */

/* max_connections as it holds for this role and database, and how many of them are reserved. */
bool pg_ask_limits(const char *conninfo, const struct pg_keys *keys, uint32_t *max_connections,
                   uint32_t *reserved, struct err *e) __attribute__((warn_unused_result));
/* auth_query with the user as $1: the secret, malloc'ed; NULL with true: there is no such user. */
bool pg_ask_secret(const char *conninfo, const struct pg_keys *keys, const char *query,
                   const char *user, char **secret, struct err *e)
    __attribute__((warn_unused_result));

/* For --check: version and role ("primary", "replica"), and how many connections are in use. */
struct pg_facts {
    char version[64];
    bool replica;
    uint32_t max_connections, reserved, used;
};
bool pg_ask_facts(const char *conninfo, struct pg_facts *out, struct err *e)
    __attribute__((warn_unused_result));

#endif
