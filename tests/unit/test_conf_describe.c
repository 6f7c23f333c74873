/* SPDX-License-Identifier: ISC
 * What the table says about itself: SHOW CONFIG, a printed configuration that reads back as the
 * same, a manual in which every row stands.
 */
#include "config.h"

#include "conf/conf_describe.h"
#include "conf/conf_setting.h"
#include "conf_help.h"

/* What `print` writes, as a string to be freed. */
static char *capture(const struct conf *conf)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    assert_non_null(f);
    conf_print(conf, f);
    fclose(f);
    return text;
}

static const char full[] = "[weir]\n"
                           "listen_addr = *\n"
                           "admin_users = 'a\v;b'\n"
                           "query_wait_timeout = 1500ms\n"
                           "server_check_query = '  a ; ''b'' '\n"
                           "max_server_connections = 60%\n"
                           "auth_type = md5\n"
                           "unix_socket_mode = 01777\n"
                           "[databases]\n"
                           "a = postgres://u@h:1,i:2/x?options=-c%20geqo%3Doff pool_size=3\n"
                           "\"b = ;c\" = host=/run datestyle=ISO connect_query='it''s ; 1'\n"
                           "m = mysql://u@[::1]:3307,%2Frun%2Fmy/y\n"
                           "* = host=h options='\v\f'\n"
                           "[servers]\n"
                           "h = max_server_connections=5 role=replica\n"
                           "[users]\n"
                           "u = pool_mode=session query_timeout=9s\n"
                           "[functions]\n"
                           "f* = limit=3 weight=2\n";

static void round_trip(void **state)
{
    struct conf *first = load_good(full);
    char *printed = capture(first);
    (void)state;
    struct conf *second = load_good(printed);
    char *again = capture(second);
    assert_string_equal(printed, again);
    assert_string_equal(conf_settings(second)->admin_users, "a\v;b");
    assert_int_equal(conf_settings(second)->unix_socket_mode, 01777);
    assert_string_equal(conf_settings(second)->server_check_query, "  a ; 'b' ");
    assert_string_equal(conf_database_find(second, "b = ;c")->connect_query, "it's ; 1");
    assert_string_equal(conf_database_find(second, "a")->server, "h:1,i:2");
    assert_int_equal(conf_database_find(second, "m")->proto, CONF_PROTO_MYSQL);
    assert_string_equal(conf_database_find(second, "m")->server, "[::1]:3307,/run/my:3306");
    assert_int_equal(conf_server_find(second, "h:5432")->role, CONF_ROLE_REPLICA);
    free(printed);
    free(again);
    conf_free(&first);
    conf_free(&second);
}

static void secrets_are_masked(void **state)
{
    struct conf *conf = load_good("[databases]\n"
                                  "a = host=h password=sEcReT sslpassword=sEcReT\n"
                                  "b = postgres://u:sEcReT@h/x?scram_client_key=sEcReT\n"
                                  "c = host=h password_command='vault read' password_ttl=5min\n");
    char *printed = capture(conf);
    (void)state;
    assert_null(strstr(printed, "sEcReT"));
    assert_non_null(strstr(printed, "password=***"));
    assert_non_null(strstr(printed, "password_command='vault read'"));
    assert_non_null(strstr(printed, "password_ttl=5min"));
    free(printed);
    conf_free(&conf);
}

static void show_config(void **state)
{
    struct conf *conf = load_good("[weir]\nquery_timeout = 90\n[databases]\nd=host=h\n");
    struct conf_show row;
    char before[64] = "";
    size_t n = 0, seen = 0;
    (void)state;
    for (; conf_show_row(conf, n, &row); n++) {
        assert_true(strcmp(before, row.key) < 0);
        snprintf(before, sizeof before, "%s", row.key);
        if (strcmp(row.key, "query_timeout") == 0) {
            assert_string_equal(row.value, "90s");
            assert_string_equal(row.defval, "0");
            assert_true(row.changeable);
            seen++;
        } else if (strcmp(row.key, "listen_port") == 0) {
            assert_string_equal(row.value, "6432");
            assert_false(row.changeable);
            seen++;
        }
    }
    assert_int_equal(seen, 2);
    assert_non_null(conf_setting_at(n - 1));
    assert_null(conf_setting_at(n));
    conf_free(&conf);
}

/* Each default is a value the row itself allows, and prints as one that means the same. */
static void rows_are_sound(void **state)
{
    const struct conf_setting *row;
    struct conf_arena arena = {0};
    (void)state;
    for (size_t i = 0; (row = conf_setting_at(i)) != NULL; i++) {
        for (int pgb = 0; pgb < 2; pgb++) {
            struct conf_settings s = {0}, t = {0};
            struct err err;
            char text[48], again[48];
            if (!conf_setting_parse(row, conf_setting_default(row, pgb == 1), &s, &arena, &err))
                fail_msg("default of %s: %s", row->name, err.text);
            const char *printed = conf_setting_format(row, &s, text);
            if (!conf_setting_parse(row, printed, &t, &arena, &err))
                fail_msg("%s printed as %s: %s", row->name, printed, err.text);
            assert_string_equal(printed, conf_setting_format(row, &t, again));
        }
        assert_true(row->help[0] != '\0' && row->help[strlen(row->help) - 1] == '.');
        assert_ptr_equal(conf_setting_find(row->name), row);
        assert_null(conf_ignored_find(row->name));
    }
    conf_arena_fini(&arena);
}

static void manuals_are_complete(void **state)
{
    char *text[2] = {NULL, NULL};
    size_t len;
    (void)state;
    for (int i = 0; i < 2; i++) {
        FILE *f = open_memstream(&text[i], &len);
        assert_non_null(f);
        (i == 0 ? conf_describe_markdown : conf_describe_man)(f);
        fclose(f);
    }
    const struct conf_setting *row;
    for (size_t i = 0; (row = conf_setting_at(i)) != NULL; i++) {
        char term[128];
        snprintf(term, sizeof term, "- **`%s`**", row->name);
        if (strstr(text[0], term) == NULL)
            fail_msg("configuration.md lacks %s", row->name);
        snprintf(term, sizeof term, ".B %s\n", row->name);
        if (strstr(text[1], term) == NULL)
            fail_msg("weir.ini.5 lacks %s", row->name);
    }
    assert_non_null(strstr(text[0], "reserve_pool_size"));
    free(text[0]);
    free(text[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),           cmocka_unit_test(secrets_are_masked),
        cmocka_unit_test(show_config),          cmocka_unit_test(rows_are_sound),
        cmocka_unit_test(manuals_are_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
