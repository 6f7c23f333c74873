/* SPDX-License-Identifier: ISC
 * A client that lies to the login. The first byte chooses the method and whether the user exists.
 * The rest is a stream of messages for the login machine; and, split at newlines, what a client
 * says in SCRAM, against a fixed nonce so that a corpus can hold a whole good exchange.
 * A doomed login must never succeed, and a verdict is reached with exactly one ErrorResponse.
 */
#include "config.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/pg/pg_auth.h"
#include "proto/pg/pg_scram.h"

#define PENCIL                                                                                     \
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"    \
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

#define CHOICE_DOOMED 0x80
#define CHOICE_PLUS   0x40
#define CHOICE_TLS    0x20

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t hash[32] = "the hash of the certificate....";

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void fuzz_exchange(uint8_t choice, const char *p, size_t n)
{
    struct pg_scram_secret secret;
    struct pg_view out;
    struct pg_fault fault;
    bool plus = (choice & CHOICE_PLUS) != 0;
    bool tls = plus || (choice & CHOICE_TLS) != 0;
    check(pg_secret_parse_scram(PENCIL, &secret));
    const struct pg_scram_config config = {.secret = &secret,
                                           .doomed = (choice & CHOICE_DOOMED) != 0,
                                           .plus = plus,
                                           .binding = hash,
                                           .binding_n = tls ? sizeof(hash) : 0};
    struct pg_scram *s = pg_scram_create_with_nonce(&config, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
    check(s != NULL);
    enum pg_scram_result result = PG_SCRAM_CONTINUE;
    for (int round = 0; round < 4; round++) {
        const char *end = n == 0 ? NULL : memchr(p, '\n', n);
        size_t used = end == NULL ? n : (size_t)(end - p);
        result = pg_scram_step(s, p, used, &out, &fault);
        check(result != PG_SCRAM_DONE || !config.doomed);
        check((out.p != NULL) == (result == PG_SCRAM_CONTINUE || result == PG_SCRAM_DONE));
        check((fault.message[0] != '\0') == (result == PG_SCRAM_BAD));
        used = end == NULL ? n : used + 1;
        p += used;
        n -= used;
    }
    check(result == PG_SCRAM_BAD);
    pg_scram_destroy(&s);
}

static void fuzz_login(uint8_t choice, const uint8_t *p, size_t n)
{
    static const enum pg_auth_type types[] = {PG_AUTH_PLAIN, PG_AUTH_MD5, PG_AUTH_SCRAM,
                                              PG_AUTH_SCRAM};
    static const char *const secrets[] = {"pencil", "md5900150983cd24fb0d6963f7d28e17f72", PENCIL,
                                          "md5900150983cd24fb0d6963f7d28e17f72"};
    const struct pg_auth_facts facts = {.type = types[choice & 3],
                                        .login_user = "app",
                                        .role = "app",
                                        .binding = hash,
                                        .binding_n = choice & CHOICE_TLS ? sizeof(hash) : 0};
    bool doomed = (choice & CHOICE_DOOMED) != 0;
    struct buf out = {0};
    struct pg_auth *a = pg_auth_create(&facts);
    check(a != NULL);
    enum pg_auth_outcome outcome = pg_auth_start(a, doomed ? NULL : secrets[choice & 3], &out);
    size_t used = 1;
    while (outcome == PG_AUTH_OUT_MORE && used != 0) {
        outcome = pg_auth_feed(a, p, n, &used, &out);
        check(used <= n);
        p += used;
        n -= used;
    }
    check(outcome != PG_AUTH_OUT_OK || !doomed);
    check(outcome != PG_AUTH_OUT_MORE || n <= PG_AUTH_PASSWORD_MAX);
    check((pg_auth_reason(a)[0] != '\0') == (outcome == PG_AUTH_OUT_FAILED));
    pg_auth_destroy(&a);
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || !pg_crypto_init(NULL))
        return 0;
    fuzz_exchange(data[0], (const char *)data + 1, size - 1);
    fuzz_login(data[0], data + 1, size - 1);
    return 0;
}
