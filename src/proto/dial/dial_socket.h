/* SPDX-License-Identifier: ISC
 * The socket of a login that weir makes itself: libpq's parameters keepalives, keepalives_idle,
 * keepalives_interval, keepalives_count and tcp_user_timeout, for every protocol.
 */
#ifndef WEIR_PROTO_DIAL_DIAL_SOCKET_H
#define WEIR_PROTO_DIAL_DIAL_SOCKET_H

#include "proto/proto_login.h"

#include <stddef.h>

/* For a TCP socket that is not connected yet. */
void dial_socket_options(int fd, const struct dsn_param *params, size_t n);

#endif
