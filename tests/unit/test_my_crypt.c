/* SPDX-License-Identifier: ISC
 * Password arithmetic against values that MariaDB and MySQL made, and what a stored secret gives.
 */
#include "config.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#include "proto/mysql/my_secret.h"

/* SELECT PASSWORD('password') */
#define NATIVE "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19"
/* MySQL 9.7: CREATE USER ... IDENTIFIED WITH caching_sha2_password BY 'secret' */
#define CRYPT                                                                                      \
    "$A$00A$"                                                                                      \
    "\x37\x7b\x2a\x5b\x30\x5f\x7a\x21\x55\x49\x0c\x4e\x05\x61\x41\x6a\x71\x3c\x02\x27"             \
    "Ib80x0yELAbIxkFyiVzjHJsdVPNme2PGT6dQx5Anp/C"

static const uint8_t salt[20] = "0123456789abcdefghij";

static void to_hex(const uint8_t *p, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", p[i]);
}

static void test_kinds(void **state)
{
    (void)state;
    assert_int_equal(my_secret_kind_of(NATIVE), MY_SECRET_NATIVE);
    assert_int_equal(my_secret_kind_of(CRYPT), MY_SECRET_CRYPT);
    assert_int_equal(my_secret_kind_of("*2470C0C06DEE42FD"), MY_SECRET_PLAIN);
    assert_int_equal(my_secret_kind_of("*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E1x"),
                     MY_SECRET_PLAIN);
    assert_int_equal(my_secret_kind_of("$A$005$short"), MY_SECRET_PLAIN);
    assert_int_equal(my_secret_kind_of(""), MY_SECRET_PLAIN);
}

static void test_native(void **state)
{
    (void)state;
    uint8_t once[MY_SHA1_BYTES], stored[MY_SHA1_BYTES], plain[MY_SHA1_BYTES];
    uint8_t answer[MY_SHA1_BYTES], proof[MY_SHA1_BYTES];
    assert_true(my_secret_native(NATIVE, stored));
    assert_true(my_secret_native("password", plain));
    assert_memory_equal(stored, plain, sizeof stored);
    my_sha1("password", 8, once);
    my_native_answer(once, salt, answer);
    assert_true(my_native_verify(stored, salt, answer, proof));
    assert_memory_equal(proof, once, sizeof once);
    for (size_t i = 0; i < sizeof answer; i++) {
        answer[i] ^= 1;
        assert_false(my_native_verify(stored, salt, answer, proof));
        answer[i] ^= 1;
    }
    assert_false(my_secret_native(CRYPT, stored));
}

/* XOR(SHA256(pw), SHA256(SHA256(SHA256(pw)), salt)), computed apart from weir. */
static void test_sha2(void **state)
{
    (void)state;
    uint8_t once[MY_SHA256_BYTES], stored[MY_SHA256_BYTES], answer[MY_SHA256_BYTES];
    uint8_t proof[MY_SHA256_BYTES];
    char text[65];
    my_sha256("secret", 6, once);
    my_sha2_answer(once, salt, answer);
    to_hex(answer, sizeof answer, text);
    assert_string_equal(text, "7e4adda2f2d5ef09b4147518becb0cee2939376203650a8c2bb2815959364bd0");
    assert_true(my_secret_sha2("secret", stored));
    assert_true(my_sha2_verify(stored, salt, answer, proof));
    assert_memory_equal(proof, once, sizeof once);
    answer[31] ^= 1;
    assert_false(my_sha2_verify(stored, salt, answer, proof));
    assert_false(my_secret_sha2(NATIVE, stored));
}

static void test_crypt(void **state)
{
    (void)state;
    char other[sizeof CRYPT];
    assert_true(my_sha_crypt_verify(CRYPT, "secret", 6));
    assert_false(my_sha_crypt_verify(CRYPT, "secreT", 6));
    assert_false(my_sha_crypt_verify(CRYPT, "secret", 5));
    assert_false(my_sha_crypt_verify(CRYPT, "", 0));
    for (size_t i = 0; i < sizeof other - 1; i += 9) {
        memcpy(other, CRYPT, sizeof other);
        other[i] = other[i] == 'x' ? 'y' : 'x';
        assert_false(my_sha_crypt_verify(other, "secret", 6));
    }
    memcpy(other, CRYPT, sizeof other);
    memcpy(other + 3, "000", 3);
    assert_false(my_sha_crypt_verify(other, "secret", 6));
    /* 257,000 rounds, computed apart from weir: caching_sha2_password_digest_rounds goes to FFF */
    const char *many = "$A$101$abcdefghijklmnopqrstKwZ2O9f5c6yIz8fxYgI.r0ATRfUeKvkFDB7qIOdHBB3";
    assert_true(my_sha_crypt_verify(many, "secret", 6));
    assert_false(my_sha_crypt_verify(many, "secreT", 6));
}

static void test_fits(void **state)
{
    (void)state;
    uint8_t stored[MY_SHA256_BYTES], same[MY_SHA256_BYTES];
    my_secret_forget();
    assert_true(my_secret_fits("password", MY_SECRET_PLAIN, "password", 8));
    assert_false(my_secret_fits("password", MY_SECRET_PLAIN, "passwor", 7));
    assert_true(my_secret_fits(NATIVE, MY_SECRET_NATIVE, "password", 8));
    assert_false(my_secret_fits(NATIVE, MY_SECRET_NATIVE, "Password", 8));
    for (unsigned k = 0; k < MY_SECRET_KINDS; k++) {
        assert_false(my_secret_fits(NULL, (enum my_secret_kind)k, "", 0));
        assert_false(my_secret_fits(NULL, (enum my_secret_kind)k, "password", 8));
    }
    /* what fitted once is known, what didn't is not */
    assert_false(my_secret_sha2(CRYPT, stored));
    assert_false(my_secret_fits(CRYPT, MY_SECRET_CRYPT, "wrong", 5));
    assert_false(my_secret_sha2(CRYPT, stored));
    assert_true(my_secret_fits(CRYPT, MY_SECRET_CRYPT, "secret", 6));
    assert_true(my_secret_sha2(CRYPT, stored));
    assert_true(my_secret_sha2("secret", same));
    assert_memory_equal(stored, same, sizeof same);
    my_secret_forget();
    assert_false(my_secret_sha2(CRYPT, stored));
}

static void test_mock_kinds(void **state)
{
    (void)state;
    unsigned seen[MY_SECRET_KINDS] = {0};
    char name[16];
    my_secret_forget();
    assert_int_equal(my_secret_mock_kind("nobody"), MY_SECRET_PLAIN);
    my_secret_note(MY_SECRET_CRYPT);
    assert_int_equal(my_secret_mock_kind("nobody"), MY_SECRET_CRYPT);
    my_secret_note(MY_SECRET_NATIVE);
    for (int i = 0; i < 200; i++) {
        (void)snprintf(name, sizeof name, "u%d", i);
        enum my_secret_kind kind = my_secret_mock_kind(name);
        assert_int_equal(my_secret_mock_kind(name), kind);
        seen[kind]++;
    }
    assert_int_equal(seen[MY_SECRET_PLAIN], 0);
    assert_true(seen[MY_SECRET_NATIVE] > 50 && seen[MY_SECRET_CRYPT] > 50);
    my_secret_forget();
}

static void test_keys(void **state)
{
    (void)state;
    struct server_keys keys;
    struct login_proof proof = {.n = MY_SHA1_BYTES};
    char text[65];
    assert_int_equal(my_secret_keys("password", NULL, &keys), KEYS_PASSWORD);
    assert_int_equal(my_secret_keys(NATIVE, NULL, &keys), KEYS_NONE);
    assert_int_equal(my_secret_keys(NATIVE, &proof, &keys), KEYS_NONE);
    my_sha1("password", 8, proof.key);
    assert_int_equal(my_secret_keys(NATIVE, &proof, &keys), KEYS_FOUND);
    assert_string_equal(keys.k[0].name, "native_sha1");
    to_hex(proof.key, MY_SHA1_BYTES, text);
    assert_string_equal(keys.k[0].value, text);
    assert_string_equal(keys.k[1].name, "");
    assert_int_equal(my_secret_keys(CRYPT, &proof, &keys), KEYS_NONE);
    proof.n = MY_SHA256_BYTES;
    my_sha256("secret", 6, proof.key);
    assert_int_equal(my_secret_keys(CRYPT, &proof, &keys), KEYS_FOUND);
    assert_string_equal(keys.k[0].name, "sha2_sha256");
    to_hex(proof.key, MY_SHA256_BYTES, text);
    assert_string_equal(keys.k[0].value, text);
    assert_int_equal(my_secret_keys(NATIVE, &proof, &keys), KEYS_NONE);
}

static void test_salt(void **state)
{
    (void)state;
    uint8_t one[20], two[20];
    uint64_t number, other;
    assert_true(my_salt_number(&number) && my_salt_number(&other));
    my_salt(number, one);
    my_salt(other, two);
    assert_memory_not_equal(one, two, sizeof one);
    my_salt(number, two);
    assert_memory_equal(one, two, sizeof one);
    for (int round = 0; round < 100; round++) {
        assert_true(my_salt_number(&number));
        my_salt(number, one);
        for (size_t i = 0; i < sizeof one; i++)
            assert_true(one[i] > ' ' && one[i] < 0x7f);
    }
}

static void test_rsa(void **state)
{
    (void)state;
    struct buf sealed = {0};
    char clear[64], small[6];
    uint8_t wrong[20];
    const char *pem = my_rsa_pem();
    assert_non_null(pem);
    assert_true(my_rsa_encrypt(pem, strlen(pem), "secret", salt, &sealed));
    assert_int_equal(buf_len(&sealed), 256);
    assert_true(my_rsa_decrypt(buf_head(&sealed), 256, salt, clear, sizeof clear));
    assert_string_equal(clear, "secret");
    assert_false(my_rsa_decrypt(buf_head(&sealed), 256, salt, small, sizeof small));
    memset(wrong, 'x', sizeof wrong);
    if (my_rsa_decrypt(buf_head(&sealed), 256, wrong, clear, sizeof clear))
        assert_string_not_equal(clear, "secret");
    for (size_t n = 0; n < 256; n += 17)
        assert_false(my_rsa_decrypt(buf_head(&sealed), n, salt, clear, sizeof clear));
    buf_head(&sealed)[100] ^= 1;
    assert_false(my_rsa_decrypt(buf_head(&sealed), 256, salt, clear, sizeof clear));
    assert_false(my_rsa_encrypt("no key", 6, "secret", salt, &sealed));
    buf_release(&sealed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds), cmocka_unit_test(test_native),
        cmocka_unit_test(test_sha2),  cmocka_unit_test(test_crypt),
        cmocka_unit_test(test_fits),  cmocka_unit_test(test_mock_kinds),
        cmocka_unit_test(test_keys),  cmocka_unit_test(test_salt),
        cmocka_unit_test(test_rsa),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
