/* SPDX-License-Identifier: ISC
 * The auth_file: every kind of secret, quoting, limits, and a place for every fault.
 */
#include "config.h"

#include "conf/userlist.h"
#include "conf_help.h"

#include <unistd.h>

#define SCRAM                                                                                      \
    "SCRAM-SHA-256$4096:c2FsdHNhbHQ=$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"                \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

static struct userlist *parse(const char *text, struct conf_report *r)
{
    conf_report_init(r);
    return userlist_parse(text, strlen(text), "u.txt", r);
}

static struct userlist *parse_good(const char *text)
{
    struct conf_report r;
    struct userlist *list = parse(text, &r);
    if (list == NULL)
        conf_report_print(&r, stderr);
    assert_non_null(list);
    conf_report_fini(&r);
    return list;
}

static void parse_bad(const char *text, int line, const char *part)
{
    struct conf_report r;
    assert_null(parse(text, &r));
    expect_problem(&r, CONF_ERROR, line, part);
    assert_int_equal(r.errors, 1);
    conf_report_fini(&r);
}

static void kinds(void **state)
{
    static const struct {
        const char *secret;
        enum userlist_kind kind;
    } cases[] = {
        {"secret", USERLIST_PLAIN},
        {"", USERLIST_PLAIN},
        {"md545f2603610af569b6155c45067268c6b", USERLIST_MD5},
        {"md545F2603610AF569B6155C45067268C6B", USERLIST_MD5},
        {"md545f2603610af569b6155c45067268c6", USERLIST_PLAIN},
        {"md545f2603610af569b6155c45067268c6g", USERLIST_PLAIN},
        {SCRAM, USERLIST_SCRAM},
        {"*94BDCEBE19083CE2A1F959FD02F964C7AF4CFC29", USERLIST_NATIVE},
        {"*94BDCEBE19083CE2A1F959FD02F964C7AF4CFC2", USERLIST_PLAIN},
        {"$A$005$abcdefghijklmnopqrstuvwxyz", USERLIST_CACHING_SHA2},
        {"$A$", USERLIST_PLAIN},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char line[512];
        snprintf(line, sizeof line, "\"u\" \"%s\"\n", cases[i].secret);
        struct userlist *list = parse_good(line);
        const struct userlist_user *u = userlist_find(list, "u");
        assert_non_null(u);
        assert_string_equal(u->secret, cases[i].secret);
        assert_string_equal(userlist_kind_name(u->kind), userlist_kind_name(cases[i].kind));
        userlist_free(&list);
        assert_null(list);
    }
}

static void form(void **state)
{
    struct userlist *list = parse_good("\xef\xbb\xbf; a comment\r\n"
                                       "# another\n"
                                       "\n"
                                       "  \"ann\"\t\"one\" \"two\" whatever follows\r\n"
                                       "\"b\"\"ob\" \"it\"\"s ; # 'x\\\"\n"
                                       "\"carl\"\"\" \"\"\"\"\n"
                                       "\"dora\" \"last line\"");
    (void)state;
    assert_int_equal(userlist_count(list), 4);
    assert_string_equal(userlist_find(list, "ann")->secret, "one");
    assert_string_equal(userlist_find(list, "b\"ob")->secret, "it\"s ; # 'x\\");
    assert_string_equal(userlist_find(list, "carl\"")->secret, "\"");
    assert_string_equal(userlist_find(list, "dora")->secret, "last line");
    assert_null(userlist_find(list, "Ann"));
    assert_null(userlist_find(list, ""));
    assert_string_equal(userlist_at(list, 0)->name, "ann");
    assert_null(userlist_at(list, 4));
    userlist_free(&list);
    list = parse_good("");
    assert_int_equal(userlist_count(list), 0);
    userlist_free(&list);
}

static void faults(void **state)
{
    (void)state;
    parse_bad("user secret\n", 1, "the user is missing; \"user\" \"secret\" is a line");
    parse_bad("\n\"user\n", 2, "the user has no closing quote");
    parse_bad("\"user\"\n", 1, "the secret is missing");
    parse_bad("\"user\" secret\n", 1, "the secret is missing");
    parse_bad("\"user\" \"secret", 1, "the secret has no closing quote");
    parse_bad("\"user\" \"secret\"\"", 1, "the secret has no closing quote");
    parse_bad("\"\" \"secret\"\n", 1, "the user has no name");
    parse_bad("\"", 1, "the user has no closing quote");
    struct conf_report r;
    assert_null(parse("a\n\"b\" \"c\"\n\"d\n\"e\"\n", &r));
    assert_int_equal(r.errors, 3);
    expect_problem(&r, CONF_ERROR, 1, "the user");
    expect_problem(&r, CONF_ERROR, 3, "the user");
    expect_problem(&r, CONF_ERROR, 4, "the secret");
    conf_report_fini(&r);
    conf_report_init(&r);
    static const char nul[] = "\"a\0b\" \"c\"\n";
    assert_null(userlist_parse(nul, sizeof nul - 1, "u.txt", &r));
    conf_report_fini(&r);
}

static void limits(void **state)
{
    char text[4096];
    char name[USERLIST_NAME_MAX + 2], secret[USERLIST_SECRET_MAX + 2];
    (void)state;
    memset(name, 'n', sizeof name - 1);
    memset(secret, 's', sizeof secret - 1);
    name[sizeof name - 1] = secret[sizeof secret - 1] = '\0';
    snprintf(text, sizeof text, "\"%s\" \"x\"\n", name);
    parse_bad(text, 1, "the user is too long");
    snprintf(text, sizeof text, "\"x\" \"%s\"\n", secret);
    parse_bad(text, 1, "the secret is too long");
    snprintf(text, sizeof text, "\"%s\" \"%s\"\n", name + 1, secret + 1);
    struct userlist *list = parse_good(text);
    assert_int_equal(strlen(userlist_find(list, name + 1)->secret), USERLIST_SECRET_MAX);
    userlist_free(&list);
}

static void warnings(void **state)
{
    struct conf_report r;
    struct userlist *list = parse("\"a\" \"one\"\n\"a\" \"two\"\n\"b\" \"SCRAM-SHA-256$x\"\n", &r);
    (void)state;
    assert_non_null(list);
    expect_problem(&r, CONF_WARNING, 2, "user \"a\" is there twice, first in line 1");
    expect_problem(&r, CONF_WARNING, 3, "looks like SCRAM but isn't");
    assert_int_equal(r.warnings, 2);
    assert_int_equal(userlist_count(list), 2);
    assert_string_equal(userlist_find(list, "a")->secret, "two");
    userlist_free(&list);
    conf_report_fini(&r);
}

/* No message shows a secret, even of a line that is broken behind it. */
static void no_secret_in_messages(void **state)
{
    struct conf_report r;
    const struct conf_problem *p;
    (void)state;
    assert_null(
        parse("\"a\" \"sEcReT\n\"b\" sEcReT\nsEcReT\n\"c\" \"SCRAM-SHA-256$sEcReT\"\n", &r));
    STAILQ_FOREACH(p, &r.problems, link)
    assert_null(strstr(p->text, "sEcReT"));
    conf_report_fini(&r);
}

static void files(void **state)
{
    struct conf_report r;
    char path[] = "/tmp/weir-users-XXXXXX";
    (void)state;
    conf_report_init(&r);
    assert_null(userlist_load("/nowhere/at/all", &r));
    expect_problem(&r, CONF_ERROR, 0, "auth_file: No such file");
    conf_report_fini(&r);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "\"a\" \"b\"\n", 8), 8);
    close(fd);
    struct userlist *list = userlist_load(path, &r);
    assert_non_null(list);
    assert_string_equal(userlist_find(list, "a")->secret, "b");
    userlist_free(&list);
    unlink(path);
    conf_report_fini(&r);
}

static void fifty_thousand_users(void **state)
{
    enum { N = 50000 };
    char *text = malloc(N * 32);
    size_t n = 0;
    (void)state;
    assert_non_null(text);
    for (int i = 0; i < N; i++)
        n += (size_t)sprintf(text + n, "\"user%d\" \"secret%d\"\n", i, i);
    struct userlist *list = parse_good(text);
    assert_int_equal(userlist_count(list), N);
    assert_string_equal(userlist_find(list, "user49999")->secret, "secret49999");
    userlist_free(&list);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds),    cmocka_unit_test(form),
        cmocka_unit_test(faults),   cmocka_unit_test(limits),
        cmocka_unit_test(warnings), cmocka_unit_test(no_secret_in_messages),
        cmocka_unit_test(files),    cmocka_unit_test(fifty_thousand_users),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
