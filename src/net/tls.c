/* SPDX-License-Identifier: ISC
 * TLS contexts for the client side, their ticket keys, and facts of established sessions.
 *
 * A context is made by the control plane (start, reload), immutable afterwards and shared by all
 * threads; the sessions made from it hold OpenSSL's own reference, so the last connection of an old
 * context frees it. Moving bytes is stream.c's.
 *
 * Tickets. The key that encrypts them is the process's, not the context's, so that containers come
 * back cheaply after a reload too. It is replaced every TICKET_ROTATE_US; the one before still
 * opens tickets. A ticket carries the verdict on the client's certificate, so the session id
 * context is a digest of what that verdict came from (the CA file and the two switches): a reload
 * that changes them makes every client go through the full handshake again.
 */
#include "config.h"

#include "net/tls.h"
#include "net/stream.h"
#include "net/tls_memory.h"
#include "net/tls_priv.h"
#include "base/clock.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509err.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RSA_QUICK        2048 /* bits: 0.3 ms for a signature; 3072 take 2, 4096 4.5 */
#define TICKET_LIFE_S    (12 * 3600)
#define TICKET_ROTATE_US ((uint64_t)TICKET_LIFE_S * US_PER_S)

struct tls_ctx {
    SSL_CTX *ssl;
    atomic_uint refs;
};

/* ---- ticket keys, one set for the process ---------------------------------------------------- */

struct ticket_key {
    uint8_t name[16];
    uint8_t aes[32];
    uint8_t mac[32];
    uint64_t born_us; /* 0: none */
};

static struct {
    pthread_mutex_t lock;
    struct ticket_key now, before; /* under the lock */
} tickets = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* The key to encrypt with; rotates. false: no randomness. */
static bool ticket_key_current(struct ticket_key *k)
{
    bool ok = true;
    uint64_t t = clock_now_us();
    pthread_mutex_lock(&tickets.lock);
    if (!tickets.now.born_us || t - tickets.now.born_us >= TICKET_ROTATE_US) {
        struct ticket_key fresh = {.born_us = t};
        ok = RAND_bytes(fresh.name, sizeof fresh.name) == 1 &&
             RAND_priv_bytes(fresh.aes, sizeof fresh.aes) == 1 &&
             RAND_priv_bytes(fresh.mac, sizeof fresh.mac) == 1;
        if (ok) {
            tickets.before = tickets.now;
            tickets.now = fresh;
        }
        OPENSSL_cleanse(&fresh, sizeof fresh);
    }
    *k = tickets.now;
    pthread_mutex_unlock(&tickets.lock);
    return ok;
}

/* The key of that name. *old: its tickets should be replaced. */
static bool ticket_key_find(const uint8_t name[16], struct ticket_key *k, bool *old)
{
    bool found = true;
    pthread_mutex_lock(&tickets.lock);
    if (tickets.now.born_us && memcmp(name, tickets.now.name, 16) == 0) {
        *k = tickets.now;
        *old = false;
    } else if (tickets.before.born_us && memcmp(name, tickets.before.name, 16) == 0) {
        *k = tickets.before;
        *old = true;
    } else {
        found = false;
    }
    pthread_mutex_unlock(&tickets.lock);
    return found;
}

static int ticket_init(const struct ticket_key *k, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                       EVP_MAC_CTX *mac, int enc)
{
    uint8_t key[sizeof k->mac];
    memcpy(key, k->mac, sizeof key);
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key, sizeof key),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    int ok = EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, k->aes, iv, enc) == 1 &&
             EVP_MAC_CTX_set_params(mac, params) == 1;
    OPENSSL_cleanse(key, sizeof key);
    return ok;
}

/* OpenSSL's contract: -1 failure, 0 no such key, 1 fine, 2 fine but renew the ticket. */
static int on_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                         EVP_MAC_CTX *mac, int enc)
{
    (void)ssl;
    struct ticket_key k;
    bool old = false;
    int rc;
    if (enc) {
        if (!ticket_key_current(&k) || RAND_bytes(iv, EVP_MAX_IV_LENGTH) != 1)
            return -1;
        memcpy(name, k.name, sizeof k.name);
    } else if (!ticket_key_find(name, &k, &old)) {
        return 0;
    }
    rc = ticket_init(&k, iv, cipher, mac, enc) ? (old ? 2 : 1) : -1;
    OPENSSL_cleanse(&k, sizeof k);
    return rc;
}

/* ---- making a context ------------------------------------------------------------------------ */

static bool is_set(const char *s)
{
    return s && *s;
}

/* OpenSSL's newest word on what went wrong. */
static const char *tls_reason(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *text = code ? ERR_reason_error_string(code) : NULL;
    return text ? text : "no reason given";
}

static bool word_is(const char *p, size_t n, const char *word)
{
    return strlen(word) == n && strncasecmp(p, word, n) == 0;
}

/* The versions that a settings list allows, as bits 0 (TLS 1.0) to 3 (1.3); 0: not understood. */
static unsigned protocols_parse(const char *list)
{
    static const struct {
        const char *word;
        unsigned bits;
    } rows[] = {
        {"tlsv1.0", 1}, {"tlsv1.1", 2}, {"tlsv1.2", 4},    {"tlsv1.3", 8},
        {"all", 15},    {"legacy", 15}, {"secure", 4 | 8}, {"default", 4 | 8},
    };
    unsigned bits = 0;
    for (const char *p = list; *p;) {
        p += strspn(p, ", :");
        size_t n = strcspn(p, ", :");
        if (n == 0)
            break;
        size_t i = 0;
        while (i < sizeof rows / sizeof *rows && !word_is(p, n, rows[i].word))
            i++;
        if (i == sizeof rows / sizeof *rows)
            return 0;
        bits |= rows[i].bits;
        p += n;
    }
    return bits;
}

bool tls_version_range(const char *list, const char **min, const char **max)
{
    static const char *const names[] = {"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"};
    unsigned bits = protocols_parse(is_set(list) ? list : "secure");
    if (bits == 0)
        return false;
    *min = names[__builtin_ctz(bits)];
    unsigned last = 31u - (unsigned)__builtin_clz(bits);
    *max = last == 3 ? "" : names[last];
    return true;
}

static bool set_protocols(SSL_CTX *c, const char *list, struct err *e)
{
    static const struct {
        unsigned bit;
        uint64_t off;
    } rows[] = {{1, SSL_OP_NO_TLSv1},
                {2, SSL_OP_NO_TLSv1_1},
                {4, SSL_OP_NO_TLSv1_2},
                {8, SSL_OP_NO_TLSv1_3}};
    unsigned bits = protocols_parse(is_set(list) ? list : "secure");
    if (!bits) {
        err_set(e, "client_tls_protocols: \"%s\": expected tlsv1.2, tlsv1.3, secure or all", list);
        return false;
    }
    SSL_CTX_set_min_proto_version(c, bits & 3 ? TLS1_VERSION : TLS1_2_VERSION);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!(bits & rows[i].bit))
            SSL_CTX_set_options(c, rows[i].off);
    return true;
}

static bool set_ciphers(SSL_CTX *c, const struct tls_settings *set, struct err *e)
{
    static const char *const as_built[] = {"default", "secure", "fast", "normal", "compat"};
    const char *list = set->ciphers;
    for (size_t i = 0; is_set(list) && i < sizeof as_built / sizeof *as_built; i++)
        if (strcasecmp(list, as_built[i]) == 0)
            list = NULL;
    if (is_set(list) && strcasecmp(list, "all") == 0)
        list = "ALL:!aNULL:!eNULL";
    if (is_set(list) && SSL_CTX_set_cipher_list(c, list) != 1) {
        err_set(e, "client_tls_ciphers: \"%s\": %s", list, tls_reason());
        return false;
    }
    if (is_set(set->tls13_ciphers) && SSL_CTX_set_ciphersuites(c, set->tls13_ciphers) != 1) {
        err_set(e, "client_tls13_ciphers: \"%s\": %s", set->tls13_ciphers, tls_reason());
        return false;
    }
    return true;
}

static bool set_groups(SSL_CTX *c, const struct tls_settings *set, struct err *e)
{
    const char *curve = set->ecdhcurve;
    /* X25519 first: the cheapest for both sides, and every current client offers it. */
    if (!is_set(curve) || strcasecmp(curve, "auto") == 0 || strcasecmp(curve, "none") == 0)
        curve = "X25519:P-256:P-384:P-521:X448";
    if (SSL_CTX_set1_groups_list(c, curve) != 1) {
        err_set(e, "client_tls_ecdhcurve: \"%s\": %s", curve, tls_reason());
        return false;
    }
    const char *dhe = set->dheparams;
    if (is_set(dhe) && strcasecmp(dhe, "none") == 0)
        return true;
    if (is_set(dhe) && strcasecmp(dhe, "auto") != 0 && strcasecmp(dhe, "legacy") != 0) {
        err_set(e, "client_tls_dheparams: \"%s\": expected auto, legacy or none", dhe);
        return false;
    }
    SSL_CTX_set_dh_auto(c, 1);
    return true;
}

/* Never ask for a passphrase on the terminal. */
static int on_key_password(char *buf, int size, int rw, void *arg)
{
    (void)buf;
    (void)size;
    (void)rw;
    (void)arg;
    return 0;
}

static bool is_strange_key(unsigned long code)
{
    int reason = ERR_GET_REASON(code);
    return ERR_GET_LIB(code) == ERR_LIB_X509 &&
           (reason == X509_R_KEY_VALUES_MISMATCH || reason == X509_R_KEY_TYPE_MISMATCH);
}

static bool set_certificate(SSL_CTX *c, const struct tls_settings *set, struct err *e)
{
    if (!is_set(set->cert_file) || !is_set(set->key_file)) {
        err_set(e, "client_tls_sslmode: it needs both a certificate and a key file");
        return false;
    }
    SSL_CTX_set_default_passwd_cb(c, on_key_password);
    if (SSL_CTX_use_certificate_chain_file(c, set->cert_file) != 1) {
        err_set(e, "client_tls_cert_file: %s: %s", set->cert_file, tls_reason());
        return false;
    }
    if (SSL_CTX_use_PrivateKey_file(c, set->key_file, SSL_FILETYPE_PEM) == 1 &&
        SSL_CTX_check_private_key(c) == 1)
        return true;
    if (is_strange_key(ERR_peek_last_error()))
        err_set(e, "client_tls_key_file: %s is not the key of the certificate in %s", set->key_file,
                set->cert_file);
    else
        err_set(e, "client_tls_key_file: %s: %s", set->key_file, tls_reason());
    return false;
}

static void put_date(const ASN1_TIME *at, char to[32])
{
    struct tm tm;
    to[0] = '\0';
    if (ASN1_TIME_to_tm(at, &tm) == 1)
        (void)strftime(to, 32, "%Y-%m-%d %H:%M UTC", &tm);
}

bool tls_ctx_is_current(const struct tls_ctx *c, struct err *e)
{
    char when[32];
    const X509 *cert = SSL_CTX_get0_certificate(c->ssl);
    if (cert == NULL)
        return true;
    if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0) {
        put_date(X509_get0_notAfter(cert), when);
        err_set(e, "client_tls_cert_file: the certificate expired on %s", when);
        return false;
    }
    if (X509_cmp_current_time(X509_get0_notBefore(cert)) > 0) {
        put_date(X509_get0_notBefore(cert), when);
        err_set(e, "client_tls_cert_file: the certificate is not valid before %s", when);
        return false;
    }
    return true;
}

static bool set_verification(SSL_CTX *c, const struct tls_settings *set, struct err *e)
{
    bool verify = set->verify_client || set->require_client;
    if (is_set(set->ca_file)) {
        STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(set->ca_file);
        if (!names || SSL_CTX_load_verify_file(c, set->ca_file) != 1) {
            sk_X509_NAME_pop_free(names, X509_NAME_free);
            err_set(e, "client_tls_ca_file: %s: %s", set->ca_file, tls_reason());
            return false;
        }
        SSL_CTX_set_client_CA_list(c, names);
    } else if (verify) {
        err_set(e, "client_tls_ca_file: none is given to verify clients' certificates with");
        return false;
    }
    if (verify)
        SSL_CTX_set_verify(
            c, SSL_VERIFY_PEER | (set->require_client ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
    return true;
}

/* See the head of the file: which clients may come back with a ticket. */
static bool set_session_scope(SSL_CTX *c, const struct tls_settings *set, struct err *e)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    char buf[4096];
    size_t n;
    bool ok = false;
    FILE *f = NULL;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    if (!md || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1)
        goto out;
    n = (size_t)snprintf(buf, sizeof buf, "weir %d %d ", set->verify_client, set->require_client);
    ok = EVP_DigestUpdate(md, buf, n) == 1;
    f = ok && is_set(set->ca_file) ? fopen(set->ca_file, "re") : NULL;
    while (f && ok && (n = fread(buf, 1, sizeof buf, f)) > 0)
        ok = EVP_DigestUpdate(md, buf, n) == 1;
    ok = ok && EVP_DigestFinal_ex(md, digest, &len) == 1 && len <= SSL_MAX_SID_CTX_LENGTH &&
         SSL_CTX_set_session_id_context(c, digest, len) == 1;
out:
    if (f)
        fclose(f);
    EVP_MD_CTX_free(md);
    if (!ok)
        err_set(e, "TLS: %s", tls_reason());
    return ok;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *outlen,
                   const unsigned char *in, unsigned inlen, void *arg)
{
    (void)ssl;
    (void)arg;
    static const unsigned char ours[] = "\x0apostgresql";
    unsigned char *chosen = NULL;
    if (SSL_select_next_proto(&chosen, outlen, ours, sizeof ours - 1, in, inlen) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* Accept any name: without an answer a resumed TLS 1.2 session would forget it. */
static int on_sni(SSL *ssl, int *alert, void *arg)
{
    (void)ssl;
    (void)alert;
    (void)arg;
    return SSL_TLSEXT_ERR_OK;
}

/* What does not depend on settings. */
static void set_fixed(SSL_CTX *c)
{
    SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                            SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                               SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_read_ahead(c, 1); /* one read() for a record's head and body */
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(c, 1);
    SSL_CTX_set_timeout(c, TICKET_LIFE_S);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(c, on_ticket_key);
    SSL_CTX_set_alpn_select_cb(c, on_alpn, NULL);
    SSL_CTX_set_tlsext_servername_callback(c, on_sni);
}

struct tls_ctx *tls_ctx_create(const struct tls_settings *set, struct err *e)
{
    ERR_clear_error();
    struct tls_ctx *t = calloc(1, sizeof *t);
    SSL_CTX *c = t ? SSL_CTX_new(TLS_server_method()) : NULL;
    if (!c) {
        free(t);
        err_set(e, "out of memory for a TLS context");
        return NULL;
    }
    atomic_init(&t->refs, 1);
    t->ssl = c;
    set_fixed(c);
    if (!set_protocols(c, set->protocols, e) || !set_ciphers(c, set, e) || !set_groups(c, set, e) ||
        !set_certificate(c, set, e) || !set_verification(c, set, e) ||
        !set_session_scope(c, set, e))
        tls_ctx_put(&t);
    ERR_clear_error();
    return t;
}

struct tls_ctx *tls_ctx_get(struct tls_ctx *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void tls_ctx_put(struct tls_ctx **cp)
{
    struct tls_ctx *c = *cp;
    *cp = NULL;
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    SSL_CTX_free(c->ssl);
    free(c);
}

struct ssl_st *tls_session_create(struct tls_ctx *ctx, int fd)
{
    struct arena *a = tls_arena_get();
    tls_arena_enter(a);
    SSL *ssl = SSL_new(ctx->ssl);
    bool ok = ssl && SSL_set_fd(ssl, fd) == 1;
    tls_arena_leave();
    if (!ssl || tls_arena_of(ssl) != a)
        tls_arena_put(&a); /* made on the heap, or not at all */
    if (ok) {
        SSL_set_accept_state(ssl);
        return ssl;
    }
    if (ssl)
        tls_session_destroy(ssl, false);
    ERR_clear_error();
    return NULL;
}

void tls_session_destroy(struct ssl_st *ssl, bool notify)
{
    struct arena *a = tls_arena_of(ssl);
    ERR_clear_error();
    tls_arena_enter(a);
    if (notify && SSL_is_init_finished(ssl))
        SSL_shutdown(ssl);
    SSL_free(ssl);
    tls_arena_leave();
    tls_arena_put(&a);
    ERR_clear_error();
}

/* ---- facts ----------------------------------------------------------------------------------- */

bool tls_peer_cn(const struct stream *s, char *cn, size_t room)
{
    SSL *ssl = stream_tls(s);
    X509 *cert = ssl ? SSL_get0_peer_certificate(ssl) : NULL;
    if (!cert || SSL_get_verify_result(ssl) != X509_V_OK)
        return false;
    X509_NAME *subject = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0)
        return false;
    unsigned char *text = NULL;
    int len =
        ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    /* A NUL inside would let "admin\0.example" pass for "admin". */
    bool ok = len > 0 && (size_t)len < room && memchr(text, 0, (size_t)len) == NULL;
    if (ok) {
        memcpy(cn, text, (size_t)len);
        cn[len] = '\0';
    }
    OPENSSL_free(text);
    ERR_clear_error();
    return ok;
}

size_t tls_server_end_point(const struct stream *s, uint8_t *out, size_t room)
{
    SSL *ssl = stream_tls(s);
    X509 *cert = ssl ? SSL_get_certificate(ssl) : NULL;
    int nid = NID_undef;
    if (!cert || OBJ_find_sigid_algs(X509_get_signature_nid(cert), &nid, NULL) != 1)
        return 0;
    /* RFC 5929: MD5 and SHA-1 are raised to SHA-256. */
    const EVP_MD *md = nid == NID_md5 || nid == NID_sha1 ? EVP_sha256() : EVP_get_digestbynid(nid);
    unsigned len = 0;
    if (!md || (size_t)EVP_MD_get_size(md) > room || X509_digest(cert, md, out, &len) != 1) {
        ERR_clear_error();
        return 0;
    }
    return len;
}

void tls_describe(const struct stream *s, char *text, size_t room)
{
    SSL *ssl = stream_tls(s);
    if (ssl && SSL_is_init_finished(ssl))
        snprintf(text, room, "%s/%s", SSL_get_version(ssl), SSL_get_cipher_name(ssl));
    else if (room)
        text[0] = '\0';
}

bool tls_key_is_slow(const struct stream *s)
{
    SSL *ssl = stream_tls(s);
    const EVP_PKEY *key = ssl ? SSL_get_privatekey(ssl) : NULL;
    return key && EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA && EVP_PKEY_get_bits(key) > RSA_QUICK;
}

bool tls_alpn_is(const struct stream *s, const char *name)
{
    const unsigned char *got = NULL;
    unsigned len = 0;
    SSL *ssl = stream_tls(s);
    if (ssl)
        SSL_get0_alpn_selected(ssl, &got, &len);
    return got && strlen(name) == len && memcmp(got, name, len) == 0;
}

const char *tls_sni(const struct stream *s)
{
    SSL *ssl = stream_tls(s);
    const char *name = ssl ? SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) : NULL;
    return name ? name : "";
}
