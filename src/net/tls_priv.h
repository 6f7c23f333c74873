/* SPDX-License-Identifier: ISC
 * Between stream.c and tls.c only.
 */
#ifndef WEIR_NET_TLS_PRIV_H
#define WEIR_NET_TLS_PRIV_H

#include <stdbool.h>

struct ssl_st;
struct stream;
struct tls_ctx;

/* A server-side session on a connected descriptor, or NULL when out of memory. */
struct ssl_st *tls_session_create(struct tls_ctx *ctx, int fd);
void tls_session_destroy(struct ssl_st *ssl, bool notify);
/* The stream's session, or NULL; to be called before anything is asked of OpenSSL about it (see
 * tls_memory.c: it may be asleep). */
struct ssl_st *stream_tls(const struct stream *s);

#endif
