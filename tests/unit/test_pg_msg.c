/* SPDX-License-Identifier: ISC
 * Each message against its bytes; error fields against good and malformed bodies.
 */
#include "config.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#include "proto/pg/pg_msg.h"

/* The buffer holds exactly these bytes; it is emptied. */
static void expect_bytes(struct buf *b, const char *bytes, size_t n)
{
    assert_int_equal(buf_len(b), n);
    assert_memory_equal(buf_head(b), bytes, n);
    buf_release(b);
}
#define EXPECT(b, literal) expect_bytes((b), (literal), sizeof(literal) - 1)

static void test_small_messages(void **state)
{
    struct buf b = {0};
    (void)state;
    assert_true(pg_msg_auth(&b, PG_AUTH_CODE_OK, NULL, 0));
    EXPECT(&b, "R\0\0\0\x08\0\0\0\0");
    assert_true(pg_msg_auth(&b, PG_AUTH_CODE_MD5, "abcd", 4));
    EXPECT(&b, "R\0\0\0\x0c\0\0\0\x05"
               "abcd");
    assert_true(pg_msg_parameter_status(&b, "a", "bc"));
    EXPECT(&b, "S\0\0\0\x09"
               "a\0bc\0");
    assert_true(pg_msg_backend_key(&b, 0x01020304, "\xaa\xbb\xcc\xdd", 4));
    EXPECT(&b, "K\0\0\0\x0c\x01\x02\x03\x04\xaa\xbb\xcc\xdd");
    assert_true(pg_msg_ready(&b, 'T'));
    EXPECT(&b, "Z\0\0\0\x05T");
    assert_true(pg_msg_command_complete(&b, "SET"));
    EXPECT(&b, "C\0\0\0\x08SET\0");
    assert_true(pg_msg_bare(&b, '1'));
    assert_true(pg_msg_bare(&b, 'n'));
    EXPECT(&b, "1\0\0\0\x04n\0\0\0\x04");
}

static void test_negotiate(void **state)
{
    struct buf b = {0};
    const struct pg_view options[] = {{"_pq_.a", 6}, {"_pq_.bc", 7}};
    (void)state;
    assert_true(pg_msg_negotiate(&b, 196608, options, 2));
    EXPECT(&b, "v\0\0\0\x1b\0\x03\0\0\0\0\0\x02_pq_.a\0_pq_.bc\0");
}

static void test_rows(void **state)
{
    struct buf b = {0};
    const struct pg_column columns[] = {{"n", PG_OID_INT4}, {"t", PG_OID_TEXT}};
    const struct pg_view values[] = {{"7", 1}, {NULL, 0}, {"", 0}};
    (void)state;
    assert_true(pg_msg_row_description(&b, columns, 2));
    EXPECT(&b, "T\0\0\0\x2e\0\x02"
               "n\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0"
               "t\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0");
    assert_true(pg_msg_data_row(&b, values, 3));
    EXPECT(&b, "D\0\0\0\x13\0\x03\0\0\0\x01"
               "7\xff\xff\xff\xff\0\0\0\0");
    assert_false(pg_msg_data_row(&b, values, 100000));
    assert_int_equal(buf_len(&b), 0);
}

static void test_error_and_its_fields(void **state)
{
    struct buf b = {0};
    struct pg_view v;
    struct pg_fault fault;
    (void)state;
    assert_true(pg_msg_error(
        &b, &(struct pg_report){
                .severity = "FATAL", .sqlstate = "28P01", .message = "no", .hint = "try"}));
    EXPECT(&b, "E\0\0\0\x23SFATAL\0VFATAL\0C28P01\0Mno\0Htry\0\0");

    pg_fault_set(&fault, "08P01", "bad %d", 7);
    assert_true(pg_msg_fault(&b, "ERROR", &fault));
    const uint8_t *body = buf_head(&b) + 5;
    size_t n = buf_len(&b) - 5;
    assert_true(pg_msg_error_field(body, n, 'C', &v));
    assert_string_equal(v.p, "08P01");
    assert_true(pg_msg_error_field(body, n, 'M', &v));
    assert_string_equal(v.p, "bad 7");
    assert_int_equal(v.n, 5);
    assert_true(pg_msg_error_field(body, n, 'V', &v));
    assert_false(pg_msg_error_field(body, n, 'D', &v));
    assert_false(pg_msg_error_field(body, n, '\0', &v));
    buf_release(&b);

    /* Any cut of the body ends in "not there", never beyond it. */
    static const char whole[] = "SERROR\0C42601\0Mtext\0";
    for (size_t cut = 0; cut < sizeof(whole) - 1; cut++)
        assert_false(pg_msg_error_field(whole, cut, 'M', &v));
    assert_true(pg_msg_error_field(whole, sizeof(whole) - 1, 'M', &v));

    assert_true(pg_msg_notice(&b, &(struct pg_report){.severity = "NOTICE", .message = "m"}));
    assert_int_equal(buf_head(&b)[0], 'N');
    buf_release(&b);
}

static void test_long_fault_is_cut(void **state)
{
    struct pg_fault fault;
    char text[1000];
    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    pg_fault_set(&fault, "08P01", "%s", text);
    assert_int_equal(strlen(fault.message), sizeof(fault.message) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_messages),
        cmocka_unit_test(test_negotiate),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_error_and_its_fields),
        cmocka_unit_test(test_long_fault_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
