/* SPDX-License-Identifier: ISC
 * HTTP: the parser at every byte, the routes over loopback, and that /metrics and the JSON are what
 * they claim to be.
 */
#include "config.h"

#include "fake_admin.h"

#include "admin/admin_http.h"
#include "admin/admin_metrics.h"
#include "admin/admin_text.h"
#include "base/buf.h"
#include "base/clock.h"
#include "net/http.h"
#include "net/loop.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the parser --------------------------------------------------------------------------------
 */

static int parse(const char *text, struct http_head *h)
{
    return http_head_parse(text, strlen(text), h);
}

static void is_refused(const char *text, int status)
{
    struct http_head h;
    assert_int_equal(parse(text, &h), -1);
    assert_int_equal(h.status, status);
}

static void test_head(void **state)
{
    (void)state;
    struct http_head h;
    static const char request[] =
        "GET /api/v1/clients?limit=5&offset=10 HTTP/1.1\r\nHost: a\r\n\r\n";
    for (size_t n = 0; n < sizeof request - 1; n++)
        assert_int_equal(http_head_parse(request, n, &h), 0);
    assert_int_equal(parse(request, &h), sizeof request - 1);
    assert_string_equal(h.path, "/api/v1/clients");
    assert_string_equal(h.query, "limit=5&offset=10");
    assert_false(h.head_only);
    assert_true(parse("\r\nHEAD / HTTP/1.0\n\n", &h) > 0);
    assert_true(h.head_only);
    assert_string_equal(h.path, "/");
    is_refused("POST / HTTP/1.1\r\n\r\n", 405);
    is_refused("DELETE /api/v1/pools HTTP/1.1\r\n\r\n", 405);
    is_refused("GET / HTTP/2.0\r\n\r\n", 505);
    is_refused("GET /\r\n\r\n", 400);
    is_refused("GET\r\n\r\n", 400);
    is_refused("GET http://a/ HTTP/1.1\r\n\r\n", 400);
    is_refused("GET /\x01 HTTP/1.1\r\n\r\n", 400);
    is_refused("GET / FTP/1.1\r\n\r\n", 400);
    is_refused("\x16\x03\x01 \n\n", 400);
    char large[HTTP_HEAD_MAX + 64];
    memset(large, 'a', sizeof large);
    memcpy(large, "GET /", 5);
    assert_int_equal(http_head_parse(large, HTTP_HEAD_MAX - 1, &h), 0);
    assert_int_equal(http_head_parse(large, HTTP_HEAD_MAX, &h), -1);
    assert_int_equal(h.status, 431);
    memcpy(large + 400, " HTTP/1.1\r\n\r\n", 13);
    assert_int_equal(http_head_parse(large, 413, &h), -1);
    assert_int_equal(h.status, 414);
}

static void test_query(void **state)
{
    (void)state;
    assert_int_equal(http_query_uint("limit=5&offset=10", "offset", 1), 10);
    assert_int_equal(http_query_uint("limit=5&offset=10", "limit", 1), 5);
    assert_int_equal(http_query_uint("xlimit=5", "limit", 1), 1);
    assert_int_equal(http_query_uint("limit=", "limit", 1), 1);
    assert_int_equal(http_query_uint("limit=-1", "limit", 1), 1);
    assert_int_equal(http_query_uint("limit=5x", "limit", 1), 1);
    assert_int_equal(http_query_uint("", "limit", 1), 1);
    assert_true(http_query_uint("limit=99999999999999999999999", "limit", 1) == UINT64_MAX);
}

/* ---- a client over loopback
 * ---------------------------------------------------------------------- */

static struct fake_admin *world;
static struct admin_http *http;

static int set_up(void **state)
{
    (void)state;
    struct err e = {{0}};
    world = fake_admin_create();
    http = admin_http_create(world->loop, world->admin, "127.0.0.1", 0, NULL, &e);
    return http == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    admin_http_destroy(&http);
    fake_admin_destroy(&world);
    return 0;
}

static int connect_to(void)
{
    struct sockaddr_in sin = {.sin_family = AF_INET,
                              .sin_port = htons(admin_http_port(http)),
                              .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof sin), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void stop(void *arg)
{
    loop_stop(arg);
}

static void turn(uint64_t us)
{
    struct timer t;
    timer_init(&t, world->loop, stop, world->loop);
    timer_set_us(&t, us);
    loop_run(world->loop);
}

/* Read until the end; NULL when it doesn't come in time. The text is the caller's. */
static char *read_all(int fd, unsigned turns)
{
    struct buf b = {0};
    for (unsigned i = 0; i < turns; i++) {
        turn(5000);
        for (;;) {
            uint8_t *to = buf_reserve(&b, 65536);
            assert_non_null(to);
            ssize_t n = read(fd, to, 65535);
            if (n < 0)
                break;
            if (n == 0) {
                char *text = strndup(buf_len(&b) == 0 ? "" : (char *)buf_head(&b), buf_len(&b));
                buf_release(&b);
                close(fd);
                return text;
            }
            buf_commit(&b, (size_t)n);
        }
    }
    buf_release(&b);
    close(fd);
    return NULL;
}

static char *ask(const char *request)
{
    int fd = connect_to();
    assert_int_equal(write(fd, request, strlen(request)), strlen(request));
    char *text = read_all(fd, 200);
    assert_non_null(text);
    return text;
}

/* GET path -> the body; the status is checked. */
static char *get(const char *path, int status, const char *type)
{
    char request[256], expected[64];
    (void)snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    char *text = ask(request);
    (void)snprintf(expected, sizeof expected, "HTTP/1.1 %d ", status);
    if (strncmp(text, expected, strlen(expected)) != 0)
        fail_msg("%s: %.60s", path, text);
    (void)snprintf(expected, sizeof expected, "Content-Type: %s", type);
    assert_non_null(strstr(text, expected));
    char *body = strstr(text, "\r\n\r\n");
    assert_non_null(body);
    const char *length = strstr(text, "Content-Length: ");
    assert_non_null(length);
    assert_int_equal(atoi(length + 16), strlen(body + 4));
    memmove(text, body + 4, strlen(body + 4) + 1);
    return text;
}

static void body_has(const char *path, int status, const char *type, const char *part)
{
    char *body = get(path, status, type);
    if (strstr(body, part) == NULL)
        fail_msg("%s: %.200s", path, body);
    free(body);
}

/* ---- JSON and Prometheus: small validators
 * ------------------------------------------------------- */

static const char *json_value(const char *p);

static const char *json_space(const char *p)
{
    while (*p == ' ' || *p == '\n')
        p++;
    return p;
}

static const char *json_text(const char *p)
{
    assert_int_equal(*p, '"');
    for (p++; *p != '"'; p++) {
        assert_true((unsigned char)*p >= 0x20);
        if (*p == '\\') {
            p++;
            assert_non_null(strchr("\"\\nu", *p));
            if (*p == 'u')
                for (unsigned i = 0; i < 4; i++)
                    assert_true(isxdigit((unsigned char)*++p));
        }
    }
    return p + 1;
}

static const char *json_list(const char *p, char end, bool keys)
{
    p = json_space(p + 1);
    if (*p == end)
        return p + 1;
    for (;;) {
        if (keys) {
            p = json_space(json_text(p));
            assert_int_equal(*p, ':');
            p++;
        }
        p = json_space(json_value(json_space(p)));
        if (*p == end)
            return p + 1;
        assert_int_equal(*p, ',');
        p = json_space(p + 1);
    }
}

static const char *json_value(const char *p)
{
    static const char *const words[] = {"true", "false", "null"};
    if (*p == '{')
        return json_list(p, '}', true);
    if (*p == '[')
        return json_list(p, ']', false);
    if (*p == '"')
        return json_text(p);
    for (size_t i = 0; i < 3; i++)
        if (strncmp(p, words[i], strlen(words[i])) == 0)
            return p + strlen(words[i]);
    size_t n = strspn(p, "-0123456789.");
    assert_true(n > 0);
    return p + n;
}

static void json_is_valid(const char *text)
{
    assert_string_equal(json_space(json_value(text)), "");
}

static const char *metric_name(const char *p)
{
    assert_true(isalpha((unsigned char)*p) || *p == '_');
    while (isalnum((unsigned char)*p) || *p == '_' || *p == ':')
        p++;
    return p;
}

/* name{label="value",...} number; the name begins with the family's. */
static void sample_is_valid(const char *line, const char *family)
{
    assert_memory_equal(line, family, strlen(family));
    const char *p = metric_name(line);
    if (*p == '{') {
        do {
            p = metric_name(p + 1);
            assert_memory_equal(p, "=\"", 2);
            for (p += 2; *p != '"'; p++) {
                assert_int_not_equal(*p, '\0');
                if (*p == '\\') {
                    p++;
                    assert_non_null(strchr("\\\"n", *p));
                }
            }
            p++;
        } while (*p == ',');
        assert_int_equal(*p, '}');
        p++;
    }
    assert_int_equal(*p, ' ');
    char *end;
    (void)strtod(p + 1, &end);
    assert_true(end != p + 1);
    assert_int_equal(*end, '\0');
}

/* Each family once, HELP and TYPE first, its samples together, no sample twice. */
static void metrics_are_valid(const char *text)
{
    char *copy = strdup(text), *rest = copy, *line, family[128] = "", seen[65536] = "";
    char *samples[4096];
    size_t n = 0;
    assert_int_equal(text[strlen(text) - 1], '\n');
    while ((line = strsep(&rest, "\n")) != NULL && *line != '\0') {
        if (strncmp(line, "# HELP ", 7) == 0) {
            char with_bars[140];
            size_t len = (size_t)(metric_name(line + 7) - (line + 7));
            (void)snprintf(family, sizeof family, "%.*s", (int)len, line + 7);
            (void)snprintf(with_bars, sizeof with_bars, "|%s|", family);
            if (strstr(seen, with_bars) != NULL)
                fail_msg("family %s twice", family);
            strcat(seen, with_bars);
            line = strsep(&rest, "\n");
            char type[160];
            (void)snprintf(type, sizeof type, "# TYPE %s ", family);
            assert_memory_equal(line, type, strlen(type));
            continue;
        }
        sample_is_valid(line, family);
        size_t len = (size_t)(strrchr(line, ' ') - line);
        for (size_t i = 0; i < n; i++)
            if (strncmp(samples[i], line, len + 1) == 0)
                fail_msg("twice: %s", line);
        assert_true(n < 4096);
        samples[n++] = line;
    }
    free(copy);
}

/* ---- tests
 * ----------------------------------------------------------------------------------------- */

static void test_routes(void **state)
{
    (void)state;
    static const char *const api[] = {"bounds", "clients", "databases", "functions",
                                      "lists",  "pins",    "pools",     "servers",
                                      "state",  "stats",   "version"};
    for (size_t i = 0; i < sizeof api / sizeof api[0]; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "/api/v1/%s", api[i]);
        char *body = get(path, 200, "application/json");
        json_is_valid(body);
        free(body);
    }
    body_has("/", 200, "text/html", "<title>weir</title>");
    body_has("/healthz", 200, "text/plain", "ok");
    body_has("/readyz", 200, "text/plain", "ok");
    body_has("/metrics", 200, "text/plain; version=0.0.4", "weir_build_info{version=");
    body_has("/nothing", 404, "text/plain", "not found");
    body_has("/api/v1/", 404, "text/plain", "not found");
    body_has("/api/v1/config", 404, "text/plain", "not found");
}

static void test_pages_of_rows(void **state)
{
    (void)state;
    body_has("/api/v1/clients?limit=1&offset=1", 200, "application/json",
             "{\"total\":3,\"offset\":1,\"complete\":true,\"rows\":[\n{\"type\":\"C\"");
    char *body = get("/api/v1/clients?limit=1&offset=1", 200, "application/json");
    assert_non_null(strstr(body, "\"id\":2,"));
    assert_null(strstr(body, "\"id\":3,"));
    free(body);
    body_has("/api/v1/clients?offset=18446744073709551615&limit=18446744073709551615", 200,
             "application/json", "\"rows\":[]}");
    body_has("/api/v1/pools", 200, "application/json",
             "\"last_error\":\"FATAL: \\\"no\\\"\\nentry\"");
}

static void test_ready(void **state)
{
    (void)state;
    world->down = true;
    body_has("/readyz", 503, "text/plain", "no database is reachable");
    world->down = false;
    world->draining = true;
    body_has("/readyz", 503, "text/plain", "draining");
    body_has("/healthz", 200, "text/plain", "ok");
    world->draining = false;
    world->source.bounds = NULL;
    body_has("/readyz", 503, "text/plain", "no database is configured");
}

static void test_methods(void **state)
{
    (void)state;
    char *text = ask("POST /api/v1/pools HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    assert_memory_equal(text, "HTTP/1.1 405 ", 13);
    assert_non_null(strstr(text, "Allow: GET, HEAD\r\n"));
    free(text);
    text = ask("HEAD /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_memory_equal(text, "HTTP/1.1 200 ", 13);
    assert_non_null(strstr(text, "Content-Length: 3\r\n"));
    assert_string_equal(strstr(text, "\r\n\r\n"), "\r\n\r\n");
    free(text);
    assert_string_equal(world->log, "");
}

/* The page may load nothing from elsewhere, and its nonce is new each time. */
static void test_page(void **state)
{
    (void)state;
    char *a = ask("GET / HTTP/1.1\r\n\r\n"), *b = ask("GET / HTTP/1.1\r\n\r\n");
    const char *nonce = strstr(a, "script-src 'nonce-");
    assert_non_null(nonce);
    assert_non_null(strstr(a, "default-src 'none'"));
    char script[80];
    (void)snprintf(script, sizeof script, "<script nonce=\"%.32s\">", nonce + 18);
    assert_non_null(strstr(a, script));
    assert_null(strstr(b, script));
    assert_null(strstr(a, "@NONCE@"));
    assert_null(strstr(a, "innerHTML"));
    free(a);
    free(b);
}

static void test_metrics(void **state)
{
    (void)state;
    static const char *const parts[] = {
        "\nweir_function_loans{function=\"getUsers\"} 25\n",
        "\nweir_function_refusals_total{function=\"getUsers\",reason=\"timeout\"} 7\n",
        "\nweir_function_pins_total{function=\"getUsers\",reason=\"temporary table\"} 2\n",
        "\n# TYPE weir_function_rollbacks_total counter\n",
        "\nweir_server_connections{server=\"db1:5432\",state=\"lent\"} 3\n",
        "\nweir_server_connections_limit{server=\"db1:5432\"} 20\n",
        "\nweir_server_oldest_wait_seconds{server=\"db1:5432\"} 1.500000\n",
        "weir_clients{state=\"waiting\"} 2\n",
        "weir_logins_refused_total{reason=\"limit\"} 9\n",
        "weir_logins_refused_total{reason=\"timeout\"} 0\n",
        "\nweir_database_transactions_total{database=\"shop\"} 100\n",
        "\nweir_database_transaction_seconds_total{database=\"shop\"} 5.000000\n",
        "\nprocess_start_time_seconds 1700000000.000000\n",
        "\nprocess_open_fds ",
        "\nweir_function_wait_seconds_bucket{function=\"getUsers\",le=\"0.000128\"} 5\n",
        "\nweir_function_wait_seconds_bucket{function=\"getUsers\",le=\"67.108864\"} 17\n",
        "\nweir_function_hold_seconds_bucket{function=\"getUsers\",le=\"+Inf\"} 17\n",
        "\nweir_function_hold_seconds_count{function=\"getUsers\"} 17\n",
        "\nweir_function_hold_seconds_sum{function=\"getUsers\"} 64.570081\n",
    };
    char *body = get("/metrics", 200, "text/plain; version=0.0.4");
    metrics_are_valid(body);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (strstr(body, parts[i]) == NULL)
            fail_msg("not in /metrics: %s", parts[i]);
    free(body);
}

/* Whatever a function calls itself, the answers stay well-formed. */
static void test_odd_names(void **state)
{
    (void)state;
    static const char *const odd[] = {"a\"b\\c\nd",   "\xff\xfe", "\xc0\x80",    "\xed\xa0\x80",
                                      "</script>",    "\x01\x7f", "caf\xc3\xa9", "\xf0\x9f\x8c\x8a",
                                      "\xf0\x9f\x8c", "{}=,#"};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        world->odd_name = odd[i];
        char *body = get("/metrics", 200, "text/plain; version=0.0.4");
        metrics_are_valid(body);
        free(body);
        body = get("/api/v1/functions", 200, "application/json");
        json_is_valid(body);
        assert_null(strstr(body, "</script"));
        free(body);
    }
    world->odd_name = odd[0];
    body_has("/metrics", 200, "text/plain",
             "weir_function_loans{function=\"a\\\"b\\\\c\\nd\"} 0\n");
    world->odd_name = odd[1];
    body_has("/api/v1/functions", 200, "application/json", "\"name\":\"\xef\xbf\xbd\xef\xbf\xbd\"");
}

/* Workers that don't answer: an error after two seconds; /metrics doesn't ask them. */
static void test_late(void **state)
{
    (void)state;
    world->silent = true;
    uint64_t began = clock_now_us();
    body_has("/metrics", 200, "text/plain", "weir_clients");
    assert_true(clock_now_us() - began < 1000000);
    int fd = connect_to();
    assert_int_equal(write(fd, "GET /api/v1/clients HTTP/1.1\r\n\r\n", 32), 32);
    char *text = read_all(fd, 500);
    assert_non_null(text);
    assert_memory_equal(text, "HTTP/1.1 503 ", 13);
    assert_non_null(strstr(text, "did not answer in time"));
    free(text);
}

/* A client that leaves while its answer is made, and one that leaves with the server. */
static void test_gone(void **state)
{
    (void)state;
    world->silent = true;
    int fd = connect_to();
    assert_int_equal(write(fd, "GET /api/v1/clients HTTP/1.1\r\n\r\n", 32), 32);
    turn(20000);
    assert_non_null(world->kept);
    struct linger reset = {.l_onoff = 1};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
    close(fd);
    turn(20000);
    admin_collect_done(world->kept, NULL, 0, true);
    world->kept = NULL;
    fd = connect_to();
    assert_int_equal(write(fd, "GET /api/v1/clients HTTP/1.1\r\n\r\n", 32), 32);
    turn(20000);
    assert_non_null(world->kept);
    admin_http_destroy(&http);
    admin_collect_done(world->kept, NULL, 0, true);
    world->kept = NULL;
    close(fd);
}

/* Connections that say nothing neither shut others out nor last. */
static void test_silent_peers(void **state)
{
    (void)state;
    int fds[150];
    for (size_t i = 0; i < 150; i++) {
        fds[i] = connect_to();
        assert_int_equal(write(fds[i], "GET /hea", 8), 8);
        if (i % 30 == 0)
            turn(5000);
    }
    turn(20000);
    body_has("/healthz", 200, "text/plain", "ok");
    turn(6500000);
    for (size_t i = 0; i < 150; i++) {
        char c;
        assert_int_equal(read(fds[i], &c, 1) < 0 ? 0 : 1, 1); /* closed by the server */
        close(fds[i]);
    }
}

static void test_split(void **state)
{
    (void)state;
    static const char request[] = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    int fd = connect_to();
    for (size_t i = 0; i < sizeof request - 1; i++) {
        assert_int_equal(write(fd, request + i, 1), 1);
        turn(1000);
    }
    char *text = read_all(fd, 100);
    assert_non_null(text);
    assert_non_null(strstr(text, "\r\n\r\nok\n"));
    free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_query),
        TEST(test_routes),
        TEST(test_pages_of_rows),
        TEST(test_ready),
        TEST(test_methods),
        TEST(test_page),
        TEST(test_metrics),
        TEST(test_odd_names),
        TEST(test_late),
        TEST(test_gone),
        TEST(test_silent_peers),
        TEST(test_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
