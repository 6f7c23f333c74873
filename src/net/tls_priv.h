/* SPDX-License-Identifier: ISC
 * Between stream.c and tls.c only.
 */
#ifndef WEIR_NET_TLS_PRIV_H
#define WEIR_NET_TLS_PRIV_H

struct ssl_st;
struct tls_ctx;

/* A server-side session on a connected descriptor, or NULL when out of memory. */
struct ssl_st *tls_session_create(struct tls_ctx *ctx, int fd);

#endif
