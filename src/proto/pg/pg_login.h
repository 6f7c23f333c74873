/* SPDX-License-Identifier: ISC
 * PostgreSQL's side of the seam (proto.h, proto_login.h): the three tables and their set-up.
 */
#ifndef WEIR_PROTO_PG_LOGIN_H
#define WEIR_PROTO_PG_LOGIN_H

#include "proto/proto.h"
#include "proto/proto_login.h"

extern const struct proto_ops pg_proto_ops;
extern const struct login_ops pg_login_ops;
extern const struct server_ops pg_server_ops;

struct var_set;
struct var_set *pg_login_default_report(const char *user);

#endif
