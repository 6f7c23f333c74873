/* SPDX-License-Identifier: ISC
 * See dial_tls.h.
 */
#include "config.h"

#include "proto/dial/dial_tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>

#define CONTEXTS_MAX 32u
#define KEY_BYTES    2048u

/* A context and what it was made of. */
struct context {
    STAILQ_ENTRY(context) link;
    SSL_CTX *ctx;
    char key[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static STAILQ_HEAD(, context) contexts = STAILQ_HEAD_INITIALIZER(contexts);
static unsigned n_contexts;

bool dial_sslmode_of(const char *name, enum dial_sslmode *out)
{
    static const char *const names[] = {"disable", "allow",     "prefer",
                                        "require", "verify-ca", "verify-full"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], name) != 0)
            continue;
        *out = (enum dial_sslmode)i;
        return true;
    }
    return false;
}

static bool given(const char *text)
{
    return text != NULL && text[0] != '\0';
}

static void openssl_error(struct err *e, const char *what)
{
    char text[160] = "no reason given";
    unsigned long code = ERR_get_error();
    if (code != 0)
        ERR_error_string_n(code, text, sizeof text);
    ERR_clear_error();
    err_set(e, "%s: %s", what, text);
}

/* ---- contexts -------------------------------------------------------------------------------- */

/* As libpq: a root certificate makes `require` check the chain. */
static bool verifies(const struct dial_tls *t)
{
    return t->mode >= DIAL_SSL_VERIFY_CA || (t->mode == DIAL_SSL_REQUIRE && given(t->sslrootcert));
}

/* What makes a context this one: the parameters, and when the files were last written. */
static bool context_key(const struct dial_tls *t, char key[KEY_BYTES])
{
    const char *const parts[] = {t->sslrootcert, t->sslcrl,      t->sslcrldir,  t->sslcert,
                                 t->sslkey,      t->min_version, t->max_version};
    size_t at = (size_t)snprintf(key, KEY_BYTES, "%d", verifies(t));
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        struct stat st = {.st_size = 0};
        const char *part = parts[i] != NULL ? parts[i] : "";
        if (i < 5 && part[0] != '\0')
            (void)stat(part, &st);
        int n = snprintf(key + at, KEY_BYTES - at, "\n%s\n%lld.%09ld", part,
                         (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
        if (n < 0 || (size_t)n >= KEY_BYTES - at)
            return false;
        at += (size_t)n;
    }
    return true;
}

static int version_of(const char *name, int otherwise)
{
    static const struct {
        const char *name;
        int version;
    } known[] = {{"TLSv1", TLS1_VERSION},
                 {"TLSv1.1", TLS1_1_VERSION},
                 {"TLSv1.2", TLS1_2_VERSION},
                 {"TLSv1.3", TLS1_3_VERSION}};
    for (size_t i = 0; given(name) && i < sizeof known / sizeof known[0]; i++)
        if (strcmp(known[i].name, name) == 0)
            return known[i].version;
    return otherwise;
}

static bool load_trust(SSL_CTX *ctx, const struct dial_tls *t, struct err *e)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    if (!verifies(t))
        return true;
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    if (!given(t->sslrootcert)) {
        err_set(e, "sslmode verify-ca and verify-full need a root certificate (sslrootcert)");
        return false;
    }
    bool ok = strcmp(t->sslrootcert, "system") == 0
                  ? SSL_CTX_set_default_verify_paths(ctx) == 1
                  : SSL_CTX_load_verify_file(ctx, t->sslrootcert) == 1;
    if (!ok) {
        openssl_error(e, "could not read the root certificate file");
        return false;
    }
    if (!given(t->sslcrl) && !given(t->sslcrldir))
        return true;
    if (X509_STORE_load_locations(store, given(t->sslcrl) ? t->sslcrl : NULL,
                                  given(t->sslcrldir) ? t->sslcrldir : NULL) != 1) {
        openssl_error(e, "could not read the certificate revocation list");
        return false;
    }
    return X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL) == 1;
}

static bool load_own(SSL_CTX *ctx, const struct dial_tls *t, struct err *e)
{
    if (!given(t->sslcert))
        return true;
    const char *key = given(t->sslkey) ? t->sslkey : t->sslcert;
    if (SSL_CTX_use_certificate_chain_file(ctx, t->sslcert) == 1 &&
        SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) == 1 &&
        SSL_CTX_check_private_key(ctx) == 1)
        return true;
    openssl_error(e, "could not load the client certificate and its key");
    return false;
}

static SSL_CTX *context_make(const struct dial_tls *t, struct err *e)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (ctx == NULL) {
        err_set(e, "out of memory");
        return NULL;
    }
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    bool ok = SSL_CTX_set_min_proto_version(ctx, version_of(t->min_version, TLS1_2_VERSION)) == 1 &&
              SSL_CTX_set_max_proto_version(ctx, version_of(t->max_version, 0)) == 1;
    if (!ok)
        openssl_error(e, "could not set the TLS versions");
    if (ok && load_trust(ctx, t, e) && load_own(ctx, t, e))
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

/* Takes over one reference of ctx. */
static void context_keep_locked(const char *key, SSL_CTX *ctx)
{
    struct context *c = malloc(sizeof *c + strlen(key) + 1);
    if (c == NULL) {
        SSL_CTX_free(ctx);
        return;
    }
    c->ctx = ctx;
    memcpy(c->key, key, strlen(key) + 1);
    STAILQ_INSERT_TAIL(&contexts, c, link);
    if (++n_contexts <= CONTEXTS_MAX)
        return;
    struct context *oldest = STAILQ_FIRST(&contexts);
    STAILQ_REMOVE_HEAD(&contexts, link);
    n_contexts--;
    SSL_CTX_free(oldest->ctx); /* sessions hold it on */
    free(oldest);
}

/* A reference, or NULL. */
static SSL_CTX *context_get(const struct dial_tls *t, struct err *e)
{
    char key[KEY_BYTES];
    struct context *c;
    SSL_CTX *ctx = NULL;
    if (!context_key(t, key)) {
        err_set(e, "the TLS parameters are too long");
        return NULL;
    }
    pthread_mutex_lock(&lock);
    STAILQ_FOREACH(c, &contexts, link)
    if (strcmp(c->key, key) == 0)
        break;
    if (c != NULL) {
        ctx = c->ctx;
        SSL_CTX_up_ref(ctx);
    } else if ((ctx = context_make(t, e)) != NULL) {
        SSL_CTX_up_ref(ctx);
        context_keep_locked(key, ctx);
    }
    pthread_mutex_unlock(&lock);
    return ctx;
}

/* ---- sessions ----------------------------------------------------------------------------------
 */

static bool set_name(SSL *ssl, const struct dial_tls *t, struct err *e)
{
    struct in6_addr addr;
    bool named = given(t->host);
    bool numeric = named && (inet_pton(AF_INET, t->host, &addr) == 1 ||
                             inet_pton(AF_INET6, t->host, &addr) == 1);
    if (named && !numeric && !t->no_sni && SSL_set_tlsext_host_name(ssl, t->host) != 1) {
        openssl_error(e, "could not set the server name");
        return false;
    }
    if (t->mode != DIAL_SSL_VERIFY_FULL)
        return true;
    if (!named) {
        err_set(e, "host name must be specified for a verified SSL connection");
        return false;
    }
    X509_VERIFY_PARAM *p = SSL_get0_param(ssl);
    X509_VERIFY_PARAM_set_hostflags(p, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    bool ok = numeric ? X509_VERIFY_PARAM_set1_ip_asc(p, t->host) == 1
                      : X509_VERIFY_PARAM_set1_host(p, t->host, 0) == 1;
    if (!ok)
        openssl_error(e, "could not set the name to be verified");
    return ok;
}

struct ssl_st *dial_tls_create(const struct dial_tls *t, int fd, struct err *e)
{
    ERR_clear_error();
    SSL_CTX *ctx = context_get(t, e);
    if (ctx == NULL)
        return NULL;
    SSL *ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1)
        openssl_error(e, "could not make a TLS session");
    else if (set_name(ssl, t, e))
        return ssl;
    SSL_free(ssl);
    return NULL;
}

enum dial_tls_step dial_tls_handshake(struct ssl_st *ssl, struct err *e)
{
    ERR_clear_error();
    int rc = SSL_connect(ssl);
    if (rc == 1)
        return DIAL_TLS_DONE;
    int why = SSL_get_error(ssl, rc);
    if (why == SSL_ERROR_WANT_READ)
        return DIAL_TLS_READ;
    if (why == SSL_ERROR_WANT_WRITE)
        return DIAL_TLS_WRITE;
    long verdict = SSL_get_verify_result(ssl);
    if (verdict != X509_V_OK && SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE) {
        err_set(e, "SSL error: certificate verify failed: %s",
                X509_verify_cert_error_string(verdict));
        ERR_clear_error();
    } else if (ERR_peek_error() == 0) {
        err_set(e, "SSL SYSCALL error: the server closed the connection");
    } else {
        openssl_error(e, "SSL error");
    }
    return DIAL_TLS_FAILED;
}

size_t dial_tls_binding(struct ssl_st *ssl, uint8_t out[64])
{
    int digest = NID_undef;
    unsigned n = 0;
    X509 *cert = SSL_get0_peer_certificate(ssl);
    if (cert == NULL || OBJ_find_sigid_algs(X509_get_signature_nid(cert), &digest, NULL) != 1)
        return 0;
    /* RFC 5929: weak ones are replaced. */
    const EVP_MD *md =
        digest == NID_md5 || digest == NID_sha1 ? EVP_sha256() : EVP_get_digestbynid(digest);
    if (md == NULL || EVP_MD_get_size(md) > 64 || X509_digest(cert, md, out, &n) != 1) {
        ERR_clear_error();
        return 0;
    }
    return n;
}

static enum dial_tls_step outcome(SSL *ssl, size_t *done)
{
    *done = 0;
    switch (SSL_get_error(ssl, 0)) {
    case SSL_ERROR_WANT_READ:
        return DIAL_TLS_READ;
    case SSL_ERROR_WANT_WRITE:
        return DIAL_TLS_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return DIAL_TLS_DONE;
    default:
        ERR_clear_error();
        return DIAL_TLS_FAILED;
    }
}

enum dial_tls_step dial_tls_read(struct ssl_st *ssl, void *to, size_t room, size_t *done)
{
    ERR_clear_error();
    return SSL_read_ex(ssl, to, room, done) == 1 ? DIAL_TLS_DONE : outcome(ssl, done);
}

enum dial_tls_step dial_tls_write(struct ssl_st *ssl, const void *p, size_t n, size_t *done)
{
    ERR_clear_error();
    return SSL_write_ex(ssl, p, n, done) == 1 ? DIAL_TLS_DONE : outcome(ssl, done);
}

void dial_tls_destroy(struct ssl_st **ssl)
{
    SSL_free(*ssl);
    *ssl = NULL;
    ERR_clear_error();
}
