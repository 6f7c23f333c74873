/* SPDX-License-Identifier: ISC
 * PostgreSQL's side of the seam (proto.h, proto_login.h): the three tables and their set-up.
 */
#ifndef WEIR_PROTO_PG_LOGIN_H
#define WEIR_PROTO_PG_LOGIN_H

#include "base/err.h"
#include "proto/proto.h"
#include "proto/proto_login.h"

extern const struct proto_ops pg_proto_ops;
extern const struct login_ops pg_login_ops;
extern const struct server_ops pg_server_ops;

/* Once, before any thread. */
bool pg_login_init(struct err *e) __attribute__((warn_unused_result));
/* Derive the verifier of a plain password now, so that no login on a worker pays for PBKDF2. */
void pg_login_prepare_secret(const char *user, const char *secret, uint32_t iterations);

struct var_set;
struct var_set *pg_login_default_report(const char *user);

#endif
