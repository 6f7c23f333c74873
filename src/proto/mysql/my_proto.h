/* SPDX-License-Identifier: ISC
 * MySQL at the seam (proto/proto.h).
 */
#ifndef WEIR_PROTO_MYSQL_MY_PROTO_H
#define WEIR_PROTO_MYSQL_MY_PROTO_H

#include "proto/proto.h"

extern const struct proto_ops my_proto_ops;

#endif
