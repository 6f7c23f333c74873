/* SPDX-License-Identifier: ISC
 * TLS contexts for the client side. A context is immutable once made; a reload makes a new one and
 * connections keep the old one alive (reference count), so nobody is dropped.
 *
 * Session tickets are on and their keys survive a reload, so that returning containers skip the
 * full handshake. Buffers are released at once, most of what OpenSSL keeps for a session after a
 * second or two without use (tls_memory.c); a fact asked of a sleeping session wakes it, so what is
 * shown again and again is better kept by the caller.
 */
#ifndef WEIR_NET_TLS_H
#define WEIR_NET_TLS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stream;
struct tls_ctx;

/* PgBouncer's client_tls_* settings. Strings may be NULL or "" for the default. */
struct tls_settings {
    const char *key_file, *cert_file, *ca_file;
    const char *protocols; /* "secure", "all", "tlsv1.2,tlsv1.3" */
    const char *ciphers;   /* OpenSSL list for TLS 1.2, or "default", "secure", "fast" ... */
    const char *tls13_ciphers;
    const char *ecdhcurve; /* "auto", "none" or names */
    const char *dheparams;
    bool verify_client;  /* a certificate, when given, is verified against ca_file */
    bool require_client; /* and must be given */
};

/* NULL: `e` says why, the setting's name and a colon first. */
struct tls_ctx *tls_ctx_create(const struct tls_settings *set, struct err *e);
/* false: its certificate is valid no more, or not yet; `e` says so in the same form. */
bool tls_ctx_is_current(const struct tls_ctx *c, struct err *e);
/* What such a list ("secure", "tlsv1.2,tlsv1.3") comes to for who takes a range, as libpq names
 * versions; "" for no upper end. false: it can't be understood. */
bool tls_version_range(const char *list, const char **min, const char **max);
struct tls_ctx *tls_ctx_get(struct tls_ctx *c); /* another reference; any thread */
void tls_ctx_put(struct tls_ctx **c);

/* Facts of an established session; on the stream's thread. */
bool tls_peer_cn(const struct stream *s, char *cn, size_t room); /* false: no certificate */
/* tls-server-end-point channel binding (RFC 5929): hash of our own certificate. 0: not available.
 */
size_t tls_server_end_point(const struct stream *s, uint8_t *out, size_t room);
/* "TLSv1.3/TLS_AES_256_GCM_SHA384" for SHOW CLIENTS; "" for plain. Also for server streams. */
void tls_describe(const struct stream *s, char *text, size_t room);
/* Does a full handshake with this key hold a thread for longer than a millisecond? */
bool tls_key_is_slow(const struct stream *s);
bool tls_alpn_is(const struct stream *s, const char *name);
/* SNI the client asked for, or "". Valid while the stream lives. */
const char *tls_sni(const struct stream *s);

#endif
