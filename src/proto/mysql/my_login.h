/* SPDX-License-Identifier: ISC
 * A MySQL client's way in, at the seam (proto/proto_login.h).
 */
#ifndef WEIR_PROTO_MYSQL_MY_LOGIN_H
#define WEIR_PROTO_MYSQL_MY_LOGIN_H

#include "proto/proto_login.h"

extern const struct login_ops my_login_ops;

#endif
