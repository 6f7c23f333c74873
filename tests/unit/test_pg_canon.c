/* SPDX-License-Identifier: ISC
 * What a startup value is reported as. Each row is what PostgreSQL 15 answered, with "ISO, MDY" as
 * its default, unless the row names another version.
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/pg/pg_canon.h"
#include "proto/pg/pg_scan.h"

#define BAD NULL

struct row {
    const char *value, *want; /* BAD: the server refuses it */
};

static void check_value(const struct pg_canon_server *server, const char *name, const char *value,
                        const char *want)
{
    char out[256];
    enum pg_canon_result got = pg_canon_value(server, name, value, strlen(value), out, sizeof(out));
    if (got != (want == BAD ? PG_CANON_BAD : PG_CANON_OK))
        fail_msg("%s = {%s}: result %d", name, value, (int)got);
    if (want != BAD && strcmp(out, want) != 0)
        fail_msg("%s = {%s} gives {%s}, not {%s}", name, value, out, want);
}

static void check_rows(const char *name, const struct row *rows, size_t n)
{
    static const struct pg_canon_server pg15 = {150004, "ISO, MDY", "Europe/Berlin"};
    for (size_t i = 0; i < n; i++)
        check_value(&pg15, name, rows[i].value, rows[i].want);
}

#define ROWS(name, rows) check_rows(name, rows, sizeof(rows) / sizeof((rows)[0]))

static void date_style(void **state)
{
    static const struct row rows[] = {
        {"iso", "ISO, MDY"},
        {"ISO, MDY", "ISO, MDY"},
        {"european", "ISO, DMY"},
        {"us", "ISO, MDY"},
        {"noneuropean", "ISO, MDY"},
        {"NonEuropean", "ISO, MDY"},
        {"sql", "SQL, MDY"},
        {"german", "German, DMY"},
        {"GERMAN", "German, DMY"},
        {"postgres", "Postgres, MDY"},
        {"Postgresql", "Postgres, MDY"},
        {"postgres, dmy", "Postgres, DMY"},
        {"iso,ymd", "ISO, YMD"},
        {"ymd", "ISO, YMD"},
        {"MDY", "ISO, MDY"},
        {"euro", "ISO, DMY"},
        {"euroXX", "ISO, DMY"},
        {"noneuro", "ISO, MDY"},
        {"german, mdy", "German, MDY"},
        {"mdy, german", "German, MDY"},
        {"german, european", "German, DMY"},
        {"dmy, german", "German, DMY"},
        {"european, iso", "ISO, DMY"},
        {"iso,iso", "ISO, MDY"},
        {"default", "ISO, MDY"},
        {"iso, default", "ISO, MDY"},
        {"default,ymd", "ISO, YMD"},
        {" iso ,  mdy ", "ISO, MDY"},
        {"\"ISO\", mdy", "ISO, MDY"},
        {"\"Iso\"", "ISO, MDY"},
        {"", "ISO, MDY"},
        {"iso, sql", BAD},
        {"german,iso", BAD},
        {"mdy,dmy", BAD},
        {"US,european", BAD},
        {"sqlfoo", BAD},
        {"isoo", BAD},
        {"ISO8601", BAD},
        {"d", BAD},
        {"non", BAD},
        {"iso,", BAD},
        {",iso", BAD},
        {"postgres sql", BAD},
        {"\"iso", BAD},
    };
    (void)state;
    ROWS("DateStyle", rows);
    const struct pg_canon_server german = {150004, "German, DMY", NULL}, unknown = {0, NULL, NULL};
    check_value(&german, "datestyle", "ymd", "German, YMD");
    check_value(&german, "datestyle", "iso", "ISO, DMY");
    check_value(&german, "datestyle", "", "German, DMY");
    check_value(&unknown, "DATESTYLE", "sql", "SQL, MDY");
}

static void time_zone(void **state)
{
    static const struct row rows[] = {
        {"utc", "UTC"},
        {"Utc", "UTC"},
        {"gmt", "GMT"},
        {"europe/berlin", "Europe/Berlin"}, /* the server's own */
        {"America/New_York", "America/New_York"},
        {"5", "<+05>-05"},
        {"-08", "<-08>+08"},
        {"+3", "<+03>-03"},
        {"5.5", "<+05:30>-05:30"},
        {"5.75", "<+05:45>-05:45"},
        {"0.25", "<+00:15>-00:15"},
        {".5", "<+00:30>-00:30"},
        {"0", "<+00>-00"},
        {"-0", "<+00>-00"},
        {"1e1", "<+10>-10"},
        {"0x10", "<+16>-16"},
        {" 5", "<+05>-05"},
        {"24", "<+24>-24"},
        {"1.999", "<+01:59:56>-01:59:56"},
        {"-5.5041666", "<-05:30:14>+05:30:14"},
        {"5.0001", "<+05>-05"},
        {"<+05>-05", "<+05>-05"},
        {"-3:30", "-3:30"},
        {"EST5EDT", "EST5EDT"},
        {"168", BAD},
        {"-168", BAD},
        {"nan", BAD},
        {"inf", BAD},
        {"", BAD},
    };
    (void)state;
    ROWS("TimeZone", rows);
    const struct pg_canon_server none = {0, NULL, NULL};
    char out[64];
    assert_int_equal(pg_canon_value(&none, "timezone", "interval '5 hours'", 18, out, sizeof(out)),
                     PG_CANON_UNKNOWN);
}

static void words(void **state)
{
    static const struct row styles[] = {
        {"iso_8601", "iso_8601"},
        {"ISO_8601", "iso_8601"},
        {"Postgres", "postgres"},
        {"POSTGRES_VERBOSE", "postgres_verbose"},
        {"sql_standard", "sql_standard"},
        {"iso", BAD},
        {"", BAD},
    };
    static const struct row bools[] = {
        {"on", "on"},   {"ON", "on"},    {"of", "off"}, {"off", "off"}, {"t", "on"},  {"tr", "on"},
        {"true", "on"}, {"y", "on"},     {"ye", "on"},  {"yes", "on"},  {"n", "off"}, {"no", "off"},
        {"f", "off"},   {"fals", "off"}, {"1", "on"},   {"0", "off"},   {"o", BAD},   {"2", BAD},
        {"", BAD},      {"truex", BAD},  {" on", BAD},  {"on ", BAD},   {"01", BAD},
    };
    static const struct row encodings[] = {
        {"utf8", "UTF8"},       {"UTF-8", "UTF8"},
        {"utf_8", "UTF8"},      {"unicode", "UTF8"},
        {" utf8", "UTF8"},      {"'utf8'", "UTF8"},
        {"latin1", "LATIN1"},   {"sql_ascii", "SQL_ASCII"},
        {"WIN1252", "WIN1252"}, {"windows-1252", "WIN1252"},
        {"sjis", "SJIS"},       {"mskanji", "SJIS"},
        {"GB18030", "GB18030"}, {"iso-8859-15", "LATIN9"},
        {"LATIN 9", "LATIN9"},  {"abc", "WIN1258"},
        {"foo", BAD},           {"", BAD},
        {"auto", BAD},
    };
    static const struct row fixed[] = {{"off", BAD}, {"on", BAD}};
    (void)state;
    ROWS("IntervalStyle", styles);
    ROWS("standard_conforming_strings", bools);
    ROWS("default_transaction_read_only", bools);
    ROWS("client_encoding", encodings);
    ROWS("is_superuser", fixed);
    ROWS("integer_datetimes", fixed);
}

#define X10 "xxxxxxxxxx"
#define X60 X10 X10 X10 X10 X10 X10

static void application_name(void **state)
{
    static const struct row rows[] = {
        {"psql", "psql"},
        {"", ""},
        {"a\x01"
         "b",
         "a?b"},
        {"\xc3\xbc", "??"},
        {"a\tb", "a?b"},
        {"a\\b", "a\\b"},
        {"a\x7f"
         "b",
         "a?b"},
        {X60 X10, X60 "xxx"},
        {X60 "xx\xc3\xbc", X60 "xx"},
        {X60 "x\xc3\xbc", X60 "x??"},
    };
    const struct pg_canon_server pg16 = {160000, NULL, NULL};
    (void)state;
    ROWS("application_name", rows);
    check_value(&pg16, "application_name", "a\tb\xc3\xbc", "a\\x09b\\xc3\\xbc");
    check_value(&pg16, "application_name", X60 "\x01\x01\x01\x01", X60 "\\x01\\x01\\x01");
    char *huge = calloc(1, 100001), out[256];
    memset(huge, 'y', 100000);
    assert_int_equal(pg_canon_value(&pg16, "application_name", huge, 100000, out, sizeof(out)),
                     PG_CANON_OK);
    assert_int_equal(strspn(out, "y"), 63);
    assert_int_equal(strlen(out), 63);
    assert_int_equal(pg_canon_value(&pg16, "DateStyle", huge, 100000, out, sizeof(out)),
                     PG_CANON_BAD);
    free(huge);
}

/* One DateStyle after another, in one startup. */
static void joined(void **state)
{
    static const char *const rows[][3] = {
        {"ISO,DMY", "ISO", "ISO, DMY"},
        {"german", "iso", "ISO, DMY"},
        {"german, mdy", "iso", "ISO, MDY"},
        {"ymd", "sql", "SQL, YMD"},
        {"german", "ymd", "German, YMD"},
        {"ymd", "german", "German, DMY"},
        {"ymd", "default", "YMD"},
        {"SQL", "", "SQL"},
        {"sql", "postgres", "Postgres"},
        {"dmy", "us", "MDY"},
        {"", "", NULL},
        {"iso", "isoo", NULL},
        {"isoo", "iso", NULL},
        {"iso", "sql, german", NULL},
        {"mdy, dmy", "iso", NULL},
    };
    char out[64], huge[4096];
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bool ok =
            pg_canon_join_datestyle(rows[i][0], rows[i][1], strlen(rows[i][1]), out, sizeof(out));
        assert_int_equal(ok, rows[i][2] != NULL);
        if (ok)
            assert_string_equal(out, rows[i][2]);
    }
    memset(huge, ' ', sizeof(huge));
    assert_false(pg_canon_join_datestyle("iso", huge, sizeof(huge), out, sizeof(out)));
    assert_false(pg_canon_join_datestyle("iso, mdy", "sql", 3, out, 8));
}

static void no_rule(void **state)
{
    const struct pg_canon_server server = {0, NULL, NULL};
    char out[8];
    (void)state;
    assert_int_equal(pg_canon_value(&server, "search_path", "a, b", 4, out, sizeof(out)),
                     PG_CANON_UNKNOWN);
    assert_string_equal(out, "a, b");
    assert_int_equal(pg_canon_value(&server, "search_path", "12345678", 8, out, sizeof(out)),
                     PG_CANON_BAD);
    assert_int_equal(
        pg_canon_value(&server, "session_authorization", "12345678", 8, out, sizeof(out)),
        PG_CANON_BAD);
    assert_int_equal(
        pg_canon_value(&server, "session_authorization", "1234567", 7, out, sizeof(out)),
        PG_CANON_OK);
}

static void versions(void **state)
{
    (void)state;
    assert_int_equal(pg_canon_version("15.6 (Debian 15.6-0+deb12u1)"), 150006);
    assert_int_equal(pg_canon_version("17beta1"), 170000);
    assert_int_equal(pg_canon_version("18.0"), 180000);
    assert_int_equal(pg_canon_version(""), 0);
    assert_int_equal(pg_canon_version("x"), 0);
    assert_int_equal(pg_canon_version("99999999999999999999.1"), 0);
    assert_int_equal(pg_canon_version("-15"), 0);
}

static void encodings(void **state)
{
    (void)state;
    assert_true(pg_canon_encoding_unsafe("SJIS"));
    assert_true(pg_canon_encoding_unsafe("shift_jis_2004"));
    assert_true(pg_canon_encoding_unsafe("gbk"));
    assert_true(pg_canon_encoding_unsafe("GB18030"));
    assert_false(pg_canon_encoding_unsafe("UTF8"));
    assert_false(pg_canon_encoding_unsafe("LATIN1"));
    assert_false(pg_canon_encoding_unsafe("EUC_JP"));
    assert_false(pg_canon_encoding_unsafe(""));
    assert_int_equal(pg_canon_scan_opts("on", "UTF8"), PG_SCAN_OPT_SCS);
    assert_int_equal(pg_canon_scan_opts(NULL, NULL), PG_SCAN_OPT_SCS);
    assert_int_equal(pg_canon_scan_opts("off", "UTF8"), 0);
    assert_int_equal(pg_canon_scan_opts("off", "SJIS"), PG_SCAN_OPT_UNSAFE_ENC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(date_style),       cmocka_unit_test(time_zone), cmocka_unit_test(words),
        cmocka_unit_test(application_name), cmocka_unit_test(joined),    cmocka_unit_test(no_rule),
        cmocka_unit_test(versions),         cmocka_unit_test(encodings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
