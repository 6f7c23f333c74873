/* SPDX-License-Identifier: ISC
 * See pg_scram_client.h.
 */
#include "config.h"

#include "proto/pg/pg_scram_client.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/pg/pg_scram.h"

#define CLIENT_MAGIC       0x53434c49u
#define NONCE_RAW_BYTES    18u
#define NONCE_MAX          64u /* ours */
#define SERVER_MESSAGE_MAX 2048u
#define GS2_MAX            (sizeof("p=" PG_SCRAM_BINDING_TYPE ",,"))

enum client_state { CLIENT_SENT_FIRST, CLIENT_SENT_FINAL, CLIENT_DONE, CLIENT_DEAD };

struct pg_scram_client {
    uint32_t magic;
    enum client_state state;
    struct pg_view password; /* absent: the keys below were given */
    uint8_t client_key[PG_SHA256_BYTES];
    uint8_t server_key[PG_SHA256_BYTES];
    uint8_t server_signature[PG_SHA256_BYTES]; /* what the right server will answer */
    char nonce[NONCE_MAX];
    char gs2[GS2_MAX];
    uint8_t binding[PG_SCRAM_BINDING_MAX];
    size_t binding_n;
    char *out; /* the message that was last given out; owned */
};

static bool set_header(struct pg_scram_client *c, const struct pg_scram_client_config *config)
{
    if (config->binding_flag == 'p') {
        if (config->binding_n == 0 || config->binding_n > PG_SCRAM_BINDING_MAX)
            return false;
        memcpy(c->binding, config->binding, config->binding_n);
        c->binding_n = config->binding_n;
        snprintf(c->gs2, sizeof(c->gs2), "p=" PG_SCRAM_BINDING_TYPE ",,");
        return true;
    }
    snprintf(c->gs2, sizeof(c->gs2), "%c,,", config->binding_flag == 'y' ? 'y' : 'n');
    return true;
}

static bool set_nonce(struct pg_scram_client *c, const char *given)
{
    uint8_t raw[NONCE_RAW_BYTES];
    if (given != NULL) {
        snprintf(c->nonce, sizeof(c->nonce), "%s", given);
        return strlen(given) < sizeof(c->nonce);
    }
    if (!pg_crypto_random(raw, sizeof(raw)))
        return false;
    pg_crypto_base64_encode(raw, sizeof(raw), c->nonce);
    return true;
}

struct pg_scram_client *pg_scram_client_create(const struct pg_scram_client_config *config,
                                               const char *nonce)
{
    struct pg_scram_client *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return NULL;
    c->magic = CLIENT_MAGIC;
    c->password = config->password;
    if (config->password.p == NULL) {
        memcpy(c->client_key, config->client_key, PG_SHA256_BYTES);
        memcpy(c->server_key, config->server_key, PG_SHA256_BYTES);
    }
    if (!set_header(c, config) || !set_nonce(c, nonce) ||
        asprintf(&c->out, "%sn=,r=%s", c->gs2, c->nonce) < 0) {
        c->out = NULL;
        pg_scram_client_destroy(&c);
    }
    return c;
}

void pg_scram_client_destroy(struct pg_scram_client **cp)
{
    struct pg_scram_client *c = *cp;
    *cp = NULL;
    if (c == NULL)
        return;
    assert(c->magic == CLIENT_MAGIC);
    free(c->out);
    pg_crypto_wipe(c, sizeof(*c));
    free(c);
}

struct pg_view pg_scram_client_first(struct pg_scram_client *c)
{
    assert(c->magic == CLIENT_MAGIC);
    return pg_view_of(c->out);
}

/* The value of "a=value", with its comma consumed. */
static bool take(struct pg_view *rest, char attribute, struct pg_view *value)
{
    if (rest->n < 2 || rest->p[0] != attribute || rest->p[1] != '=')
        return false;
    const char *comma = memchr(rest->p, ',', rest->n);
    size_t n = comma == NULL ? rest->n : (size_t)(comma - rest->p);
    *value = (struct pg_view){rest->p + 2, n - 2};
    size_t used = comma == NULL ? n : n + 1;
    *rest = (struct pg_view){rest->p + used, rest->n - used};
    return true;
}

struct server_first {
    struct pg_view nonce;
    uint32_t iterations;
    size_t salt_n;
    uint8_t salt[256];
};

static bool read_iterations(struct pg_view text, uint32_t *out)
{
    uint32_t value = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        value = value * 10 + (uint32_t)(text.p[i] - '0');
        if (value > PG_SCRAM_ITERATIONS_MAX)
            return false;
    }
    *out = value;
    return value != 0;
}

static bool read_server_first(const struct pg_scram_client *c, struct pg_view msg,
                              struct server_first *out, struct err *err)
{
    struct pg_view salt;
    struct pg_view iterations;
    size_t nonce_n = strlen(c->nonce);
    if (!take(&msg, 'r', &out->nonce)) {
        err_set(err, "malformed SCRAM message from the server (no nonce)");
        return false;
    }
    /* Ours, and more: a server that adds nothing replays. */
    if (out->nonce.n <= nonce_n || memcmp(out->nonce.p, c->nonce, nonce_n) != 0) {
        err_set(err, "the server's SCRAM nonce doesn't continue ours");
        return false;
    }
    if (!take(&msg, 's', &salt) || !take(&msg, 'i', &iterations)) {
        err_set(err, "malformed SCRAM message from the server (no salt or iterations)");
        return false;
    }
    if (!pg_crypto_base64_decode(salt.p, salt.n, out->salt, sizeof(out->salt), &out->salt_n) ||
        out->salt_n == 0) {
        err_set(err, "the server's SCRAM salt is malformed, empty or above %zu bytes",
                sizeof(out->salt));
        return false;
    }
    if (!read_iterations(iterations, &out->iterations)) {
        err_set(err, "the server's SCRAM iteration count isn't between 1 and %u",
                PG_SCRAM_ITERATIONS_MAX);
        return false;
    }
    return true;
}

static void hmac_text(const uint8_t key[PG_SHA256_BYTES], const char *text, size_t n,
                      uint8_t out[PG_SHA256_BYTES])
{
    const struct pg_piece piece = {text, n};
    pg_crypto_hmac(key, PG_SHA256_BYTES, &piece, 1, out);
}

static bool derive_keys(struct pg_scram_client *c, const struct server_first *f)
{
    uint8_t salted[PG_SHA256_BYTES];
    if (c->password.p == NULL)
        return true;
    if (!pg_secret_salt_password(c->password, f->salt, f->salt_n, f->iterations, salted))
        return false;
    hmac_text(salted, "Client Key", strlen("Client Key"), c->client_key);
    hmac_text(salted, "Server Key", strlen("Server Key"), c->server_key);
    pg_crypto_wipe(salted, sizeof(salted));
    return true;
}

/* "c=...,r=..." into a fresh string. */
static char *without_proof(const struct pg_scram_client *c, struct pg_view nonce)
{
    uint8_t input[GS2_MAX + PG_SCRAM_BINDING_MAX];
    char text[PG_BASE64_BYTES(sizeof(input)) + 1];
    char *made = NULL;
    size_t gs2_n = strlen(c->gs2);
    memcpy(input, c->gs2, gs2_n);
    memcpy(input + gs2_n, c->binding, c->binding_n);
    pg_crypto_base64_encode(input, gs2_n + c->binding_n, text);
    return asprintf(&made, "c=%s,r=%.*s", text, (int)nonce.n, nonce.p) < 0 ? NULL : made;
}

/* The proof in base64, and what the server will have to answer. */
static void prove(struct pg_scram_client *c, struct pg_view server_first, const char *final,
                  char proof_text[PG_BASE64_BYTES(PG_SHA256_BYTES) + 1])
{
    uint8_t stored[PG_SHA256_BYTES];
    uint8_t proof[PG_SHA256_BYTES];
    const struct pg_piece pieces[] = {{"n=,r=", strlen("n=,r=")},
                                      {c->nonce, strlen(c->nonce)},
                                      {",", 1},
                                      {server_first.p, server_first.n},
                                      {",", 1},
                                      {final, strlen(final)}};
    const size_t count = sizeof(pieces) / sizeof(pieces[0]);
    pg_crypto_sha256(c->client_key, PG_SHA256_BYTES, stored);
    pg_crypto_hmac(stored, sizeof(stored), pieces, count, proof);
    for (size_t i = 0; i < PG_SHA256_BYTES; i++)
        proof[i] ^= c->client_key[i];
    pg_crypto_hmac(c->server_key, PG_SHA256_BYTES, pieces, count, c->server_signature);
    pg_crypto_base64_encode(proof, sizeof(proof), proof_text);
}

bool pg_scram_client_on_first(struct pg_scram_client *c, const void *msg, size_t n,
                              struct pg_view *out, struct err *err)
{
    struct server_first first;
    char proof[PG_BASE64_BYTES(PG_SHA256_BYTES) + 1];
    struct pg_view text = {msg, n};
    assert(c->magic == CLIENT_MAGIC);
    bool expected = c->state == CLIENT_SENT_FIRST;
    c->state = CLIENT_DEAD;
    if (!expected || n > SERVER_MESSAGE_MAX || memchr(msg, '\0', n) != NULL) {
        err_set(err, "unexpected or malformed SCRAM message from the server");
        return false;
    }
    if (!read_server_first(c, text, &first, err))
        return false;
    char *final = without_proof(c, first.nonce);
    char *whole = NULL;
    if (final == NULL || !derive_keys(c, &first)) {
        err_set(err, "out of memory");
        free(final);
        return false;
    }
    prove(c, text, final, proof);
    int made = asprintf(&whole, "%s,p=%s", final, proof);
    free(final);
    if (made < 0) {
        err_set(err, "out of memory");
        return false;
    }
    free(c->out);
    c->out = whole;
    *out = (struct pg_view){whole, (size_t)made};
    c->state = CLIENT_SENT_FINAL;
    return true;
}

bool pg_scram_client_on_final(struct pg_scram_client *c, const void *msg, size_t n, struct err *err)
{
    uint8_t signature[PG_SHA256_BYTES];
    struct pg_view rest = {msg, n};
    struct pg_view value;
    size_t got = 0;
    assert(c->magic == CLIENT_MAGIC);
    bool expected = c->state == CLIENT_SENT_FINAL;
    c->state = CLIENT_DEAD;
    if (!expected || n > SERVER_MESSAGE_MAX) {
        err_set(err, "unexpected SCRAM message from the server");
        return false;
    }
    if (take(&rest, 'e', &value)) {
        err_set(err, "the server refused the SCRAM exchange");
        return false;
    }
    if (!take(&rest, 'v', &value) || rest.n != 0 ||
        !pg_crypto_base64_decode(value.p, value.n, signature, sizeof(signature), &got) ||
        got != sizeof(signature)) {
        err_set(err, "malformed SCRAM message from the server (no signature)");
        return false;
    }
    if (!pg_crypto_equal(signature, c->server_signature, sizeof(signature))) {
        err_set(err, "the server's SCRAM signature is wrong: it doesn't know the password");
        return false;
    }
    c->state = CLIENT_DONE;
    return true;
}
