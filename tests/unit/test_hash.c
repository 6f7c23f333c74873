/* SPDX-License-Identifier: ISC
 * SipHash by the vectors of its authors (2-4, in the paper's appendix and vectors.h) and of Rust's
 * library (1-3).
 */
#include "config.h"

#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void vectors(void **state)
{
    static const struct {
        size_t n;
        unsigned c, d;
        uint64_t want;
    } rows[] = {
        {0, 2, 4, UINT64_C(0x726fdb47dd0e0e31)},
        {15, 2, 4, UINT64_C(0xa129ca6149be45e5)},
        {0, 1, 3, UINT64_C(0xabac0158050fc4dc)},
    };
    uint8_t bytes[16];
    struct hash_key key;
    (void)state;
    for (uint8_t i = 0; i < sizeof bytes; i++)
        bytes[i] = i;
    key.k[0] = UINT64_C(0x0706050403020100);
    key.k[1] = UINT64_C(0x0f0e0d0c0b0a0908);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_true(hash_sip(&key, bytes, rows[i].n, rows[i].c, rows[i].d) == rows[i].want);
}

/* Names that uthash's own function puts into one bucket: of a thousand few may be in this one's. */
static void names_that_collided(void **state)
{
    unsigned in_bucket[64] = {0}, most = 0;
    (void)state;
    for (unsigned i = 0, found = 0; found < 1000; i++) {
        char name[16];
        int n = snprintf(name, sizeof name, "s%u", i);
        unsigned jenkins;
        HASH_JEN(name, (unsigned)n, jenkins);
        if ((jenkins & 63) != 0)
            continue;
        found++;
        in_bucket[hash_bytes(name, (size_t)n) & 63]++;
    }
    for (size_t i = 0; i < 64; i++)
        most = in_bucket[i] > most ? in_bucket[i] : most;
    assert_true(most < 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),
        cmocka_unit_test(names_that_collided),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
