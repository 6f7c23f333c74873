/* SPDX-License-Identifier: ISC
 * Values as people write them: every type, its limits, its way back to text.
 */
#include "config.h"

#include "conf/conf_value.h"
#include "conf_help.h"

static void expect_time(const char *text, uint64_t want)
{
    uint64_t us = 1;
    struct err err = {""};
    if (!conf_parse_time(text, US_PER_S, &us, &err))
        fail_msg("%s: %s", text, err.text);
    assert_int_equal(us, want);
}

static void times(void **state)
{
    (void)state;
    expect_time("0", 0);
    expect_time("5", CONF_S(5));
    expect_time("5s", CONF_S(5));
    expect_time("5 s", CONF_S(5));
    expect_time("1.5", CONF_MS(1500));
    expect_time(".5", CONF_MS(500));
    expect_time("15.0", CONF_S(15));
    expect_time("0.000001", 1);
    expect_time("250ms", CONF_MS(250));
    expect_time("0.5ms", 500);
    expect_time("2min", CONF_S(120));
    expect_time("1.5h", CONF_S(5400));
    expect_time("1d", CONF_D(1));
    expect_time("0.1234567890123456789", 123457);
}

static void times_refused(void **state)
{
    static const char *const bad[] = {"",    " ", "s",    "-1", "+1",   "1m",  "1us", "1 0", "1s2",
                                      "1,5", ".", "1..2", "1S", "0x10", "inf", "1e3", "five"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t us = 77;
        struct err err = {""};
        if (conf_parse_time(bad[i], US_PER_S, &us, &err))
            fail_msg("accepted \"%s\" as %llu", bad[i], (unsigned long long)us);
        assert_int_equal(us, 77);
        assert_non_null(strstr(err.text, "is not a time"));
    }
    uint64_t us;
    struct err err;
    /* 2^64 microseconds, by digits and by unit. */
    assert_false(conf_parse_time("18446744073709551616", US_PER_S, &us, &err));
    assert_non_null(strstr(err.text, "too long"));
    assert_false(conf_parse_time("213503983d", US_PER_S, &us, &err));
    assert_false(conf_parse_time("18446744073709.551615", US_PER_S, &us, &err));
    assert_true(conf_parse_time("18446744073709.551614", US_PER_S, &us, &err));
    assert_int_equal(us, UINT64_MAX - 1);
}

static void bare_milliseconds(void **state)
{
    uint64_t us;
    (void)state;
    assert_true(conf_parse_time("30000", US_PER_MS, &us, NULL));
    assert_int_equal(us, CONF_S(30));
    assert_true(conf_parse_time("30s", US_PER_MS, &us, NULL));
    assert_int_equal(us, CONF_S(30));
}

static void sizes(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"0", 0},        {"100", 100},      {"64kB", 65536},     {"64KB", 65536},
                {"64kb", 65536}, {"1MB", 1u << 20}, {"1.5 MB", 1572864}, {"2GB", 2ull << 30},
                {"10B", 10}};
    static const char *const bad[] = {"", "k", "64k", "64 k B", "-1", "1TB", "1 0"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        uint64_t n = 0;
        struct err err;
        if (!conf_parse_size(good[i].text, &n, &err))
            fail_msg("%s", err.text);
        assert_int_equal(n, good[i].bytes);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t n;
        assert_false(conf_parse_size(bad[i], &n, NULL));
    }
    uint64_t n;
    struct err err;
    assert_false(conf_parse_size("17179869184GB", &n, &err));
    assert_non_null(strstr(err.text, "too large"));
}

static void numbers(void **state)
{
    int64_t n;
    (void)state;
    assert_true(conf_parse_int("0", false, &n, NULL) && n == 0);
    assert_true(conf_parse_int("-12", false, &n, NULL) && n == -12);
    assert_true(conf_parse_int("+12", false, &n, NULL) && n == 12);
    assert_true(conf_parse_int("010", false, &n, NULL) && n == 10);
    assert_true(conf_parse_int("010", true, &n, NULL) && n == 8);
    assert_true(conf_parse_int("0777", true, &n, NULL) && n == 0777);
    assert_true(conf_parse_int("511", true, &n, NULL) && n == 511);
    assert_true(conf_parse_int("9223372036854775807", false, &n, NULL) && n == INT64_MAX);
    assert_true(conf_parse_int("-9223372036854775808", false, &n, NULL) && n == INT64_MIN);
    static const char *const bad[] = {"",   "-",   "1.0", "1a",  " 1",
                                      "1 ", "0x1", "089", "--1", "9223372036854775808"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (conf_parse_int(bad[i], true, &n, NULL))
            fail_msg("accepted \"%s\"", bad[i]);
}

static void switches(void **state)
{
    bool on = false;
    (void)state;
    assert_true(conf_parse_bool("1", &on, NULL) && on);
    assert_true(conf_parse_bool("No", &on, NULL) && !on);
    assert_true(conf_parse_bool("yes", &on, NULL) && on);
    assert_true(conf_parse_bool("off", &on, NULL) && !on);
    assert_true(conf_parse_bool("TRUE", &on, NULL) && on);
    assert_false(conf_parse_bool("2", &on, NULL));
    assert_false(conf_parse_bool("", &on, NULL));
}

static void bounds(void **state)
{
    struct conf_bound b;
    struct err err;
    char text[CONF_VALUE_TEXT];
    (void)state;
    assert_true(conf_parse_bound("80", &b, NULL));
    assert_int_equal(b.kind, CONF_BOUND_COUNT);
    assert_int_equal(b.n, 80);
    assert_string_equal(conf_format_bound(b, text), "80");
    assert_true(conf_parse_bound("75%", &b, NULL));
    assert_int_equal(b.kind, CONF_BOUND_PERCENT);
    assert_string_equal(conf_format_bound(b, text), "75%");
    assert_true(conf_parse_bound("auto", &b, NULL));
    assert_string_equal(conf_format_bound(b, text), "auto");
    static const char *const bad[] = {"0", "0%", "101%", "100001", "-1",
                                      "",  "%",  "75 %", "7.5%",   "80x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (conf_parse_bound(bad[i], &b, &err))
            fail_msg("accepted \"%s\"", bad[i]);
}

static void words(void **state)
{
    static const char *const names[] = {"one", "two", NULL};
    int i = -1;
    struct err err;
    (void)state;
    assert_true(conf_parse_name("TWO", names, &i, NULL));
    assert_int_equal(i, 1);
    assert_false(conf_parse_name("three", names, &i, &err));
    assert_string_equal(err.text, "\"three\" is none of one, two");
}

static void tls_protocols(void **state)
{
    unsigned mask = 0;
    (void)state;
    assert_true(conf_parse_tls_protocols("secure", &mask, NULL) && mask == 0xc);
    assert_true(conf_parse_tls_protocols("all", &mask, NULL) && mask == 0xf);
    assert_true(conf_parse_tls_protocols("tlsv1.2, TLSv1.3", &mask, NULL) && mask == 0xc);
    assert_true(conf_parse_tls_protocols("tlsv1.0", &mask, NULL) && mask == 0x1);
    assert_false(conf_parse_tls_protocols("", &mask, NULL));
    assert_false(conf_parse_tls_protocols("sslv3", &mask, NULL));
}

static void back_to_text(void **state)
{
    static const uint64_t us[] = {0,         1,           999,           1000,
                                  1500,      CONF_S(1),   CONF_S(90),    CONF_S(120),
                                  CONF_D(1), CONF_D(366), CONF_S(86401), UINT64_MAX - 1};
    char text[CONF_VALUE_TEXT];
    (void)state;
    for (size_t i = 0; i < sizeof us / sizeof us[0]; i++) {
        uint64_t again = 0;
        assert_true(conf_parse_time(conf_format_time(us[i], text), US_PER_S, &again, NULL));
        assert_int_equal(again, us[i]);
    }
    assert_string_equal(conf_format_time(CONF_S(90), text), "90s");
    assert_string_equal(conf_format_time(CONF_S(120), text), "2min");
    assert_string_equal(conf_format_size(65536, text), "64kB");
    assert_string_equal(conf_format_size(1000, text), "1000B");
}

static void distances(void **state)
{
    (void)state;
    assert_int_equal(conf_distance("abc", "abc"), 0);
    assert_int_equal(conf_distance("abc", "ABC"), 0);
    assert_int_equal(conf_distance("abc", "acb"), 1);
    assert_int_equal(conf_distance("abc", "ab"), 1);
    assert_int_equal(conf_distance("", "abc"), 3);
    char longer[80];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_true(conf_distance(longer, "x") == SIZE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times),
        cmocka_unit_test(times_refused),
        cmocka_unit_test(bare_milliseconds),
        cmocka_unit_test(sizes),
        cmocka_unit_test(numbers),
        cmocka_unit_test(switches),
        cmocka_unit_test(bounds),
        cmocka_unit_test(words),
        cmocka_unit_test(tls_protocols),
        cmocka_unit_test(back_to_text),
        cmocka_unit_test(distances),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
