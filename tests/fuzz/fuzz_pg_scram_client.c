/* SPDX-License-Identifier: ISC
 * A server that lies: its SCRAM messages (split at newlines) and the fields of its errors. The keys
 * are given, so that nothing here waits for PBKDF2; the nonce is fixed, so that a corpus can hold a
 * whole good exchange.
 */
#include "config.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/pg/pg_scram_client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void fuzz_exchange(char flag, const char *p, size_t n)
{
    static const uint8_t client_key[PG_SHA256_BYTES] = "the client's key, thirty-two....";
    static const uint8_t server_key[PG_SHA256_BYTES] = "the server's key, thirty-two....";
    const struct pg_scram_client_config config = {.client_key = client_key,
                                                  .server_key = server_key,
                                                  .binding_flag = flag,
                                                  .binding = client_key,
                                                  .binding_n = sizeof(client_key)};
    struct err err = {""};
    struct pg_view out;
    struct pg_scram_client *c = pg_scram_client_create(&config, "rOprNGfwEbeRWgbNEkqO");
    check(c != NULL);
    const char *end = n == 0 ? NULL : memchr(p, '\n', n);
    size_t first_n = end == NULL ? n : (size_t)(end - p);
    bool fine = pg_scram_client_on_first(c, p, first_n, &out, &err);
    check(fine == (err.text[0] == '\0'));
    if (fine)
        check(out.n == strlen(out.p) && memcmp(out.p, "c=", 2) == 0);
    if (end != NULL) {
        bool proved = pg_scram_client_on_final(c, end + 1, n - first_n - 1, &err);
        check(fine || !proved);
    }
    pg_scram_client_destroy(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char fields[] = "SVCMDHx";
    struct pg_view v;
    if (size == 0 || !pg_crypto_init(NULL))
        return 0;
    for (const char *f = fields; *f != '\0'; f++)
        if (pg_msg_error_field(data, size, *f, &v))
            check(v.p > (const char *)data && v.p + v.n < (const char *)data + size &&
                  v.p[v.n] == '\0');
    fuzz_exchange("nyp"[data[0] % 3], (const char *)data + 1, size - 1);
    return 0;
}
