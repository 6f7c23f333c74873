/* SPDX-License-Identifier: ISC
 * Names against a name server on loopback that the test itself is.
 */
#include "config.h"

#include "net_help.h"

#include "net/names.h"

#include <event2/dns.h>
#include <event2/dns_struct.h>

static char resolv_conf[] = "/tmp/weir-net-resolv-XXXXXX";

struct rig {
    struct loop *loop;
    struct names *names;
    struct evdns_server_port *server;
    int server_fd;
    bool silent;        /* the name server gives no answer */
    uint8_t last_octet; /* of the address it gives */
    unsigned asked;     /* A questions that reached it */
    /* the answer */
    unsigned answers;
    int count;
    char first[64], error[128];
    struct names_query *query;
};

static void on_question(struct evdns_server_request *req, void *arg)
{
    struct rig *r = arg;
    bool known = true;
    for (int i = 0; i < req->nquestions; i++) {
        const struct evdns_server_question *q = req->questions[i];
        uint8_t addr[4] = {10, 0, 0, r->last_octet};
        known = strncasecmp(q->name, "nowhere", 7) != 0;
        r->asked += q->type == EVDNS_TYPE_A;
        if (known && q->type == EVDNS_TYPE_A)
            evdns_server_request_add_a_reply(req, q->name, 1, addr, 60);
    }
    if (r->silent)
        evdns_server_request_drop(req);
    else
        evdns_server_request_respond(req, known ? DNS_ERR_NONE : DNS_ERR_NOTEXIST);
}

static void on_name(const char *const *addrs, int count, const char *error, void *arg)
{
    struct rig *r = arg;
    r->answers++;
    r->count = count;
    snprintf(r->first, sizeof r->first, "%s", count ? addrs[0] : "");
    snprintf(r->error, sizeof r->error, "%s", error ? error : "");
}

static void write_resolv_conf(uint16_t port)
{
    FILE *f = fopen(resolv_conf, "we");
    fprintf(f, "nameserver 127.0.0.1:%u\noptions timeout:1 attempts:1\n", port);
    fclose(f);
}

static struct names_settings settings(uint64_t ttl_us, uint64_t nx_ttl_us)
{
    return (struct names_settings){ttl_us, nx_ttl_us, resolv_conf};
}

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    r->loop = loop_create();
    r->last_octet = 1;
    r->server_fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(r->server_fd, (struct sockaddr *)&a, len), 0);
    assert_int_equal(getsockname(r->server_fd, (struct sockaddr *)&a, &len), 0);
    r->server =
        evdns_add_server_port_with_base(loop_base(r->loop), r->server_fd, 0, on_question, r);
    write_resolv_conf(ntohs(a.sin_port));
    struct names_settings set = settings(200 * US_PER_MS, 200 * US_PER_MS);
    r->names = names_create(r->loop, &set);
    assert_non_null(r->names);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;
    names_destroy(&r->names);
    evdns_close_server_port(r->server);
    turn_for_ms(r->loop, 5);
    close(r->server_fd);
    loop_destroy(&r->loop);
    free(r);
    return 0;
}

static void look_up(struct rig *r, const char *host)
{
    unsigned before = r->answers;
    r->query = names_lookup(r->names, host, on_name, r);
    TURN_UNTIL(r->loop, r->answers > before);
    assert_int_equal(r->answers, before + 1);
    r->query = NULL;
}

static void numbers_answer_at_once(void **state)
{
    struct rig *r = *state;
    static const char *const hosts[] = {"10.1.2.3", "::1", "fe80::1"};
    for (unsigned i = 0; i < 3; i++) {
        assert_null(names_lookup(r->names, hosts[i], on_name, r));
        assert_int_equal(r->answers, i + 1);
        assert_string_equal(r->first, hosts[i]);
    }
    assert_int_equal(r->asked, 0);
}

static void the_hosts_file_is_honoured(void **state)
{
    struct rig *r = *state;
    assert_null(names_lookup(r->names, "localhost", on_name, r));
    assert_int_equal(r->answers, 1);
    assert_true(strcmp(r->first, "127.0.0.1") == 0 || strcmp(r->first, "::1") == 0);
    assert_int_equal(r->asked, 0);
}

static void answers_are_kept_for_their_time(void **state)
{
    struct rig *r = *state;
    look_up(r, "db.test");
    assert_string_equal(r->first, "10.0.0.1");
    assert_int_equal(r->asked, 1);
    r->last_octet = 2;
    assert_null(names_lookup(r->names, "db.test", on_name, r));
    assert_string_equal(r->first, "10.0.0.1");
    turn_for_ms(r->loop, 220);
    look_up(r, "db.test");
    assert_string_equal(r->first, "10.0.0.2");
    assert_int_equal(r->asked, 2);
}

static void one_question_for_many(void **state)
{
    struct rig *r = *state;
    struct names_query *q[5];
    for (int i = 0; i < 5; i++)
        assert_non_null(q[i] = names_lookup(r->names, "db.test", on_name, r));
    names_cancel(&q[2]);
    assert_null(q[2]);
    TURN_UNTIL(r->loop, r->answers == 4);
    turn_for_ms(r->loop, 20);
    assert_int_equal(r->answers, 4);
    assert_int_equal(r->asked, 1);
}

static void no_such_host_is_kept_too(void **state)
{
    struct rig *r = *state;
    look_up(r, "nowhere.test");
    assert_int_equal(r->count, 0);
    assert_string_equal(r->error, "no such host");
    unsigned asked = r->asked;
    assert_null(names_lookup(r->names, "nowhere.test", on_name, r));
    assert_string_equal(r->error, "no such host");
    assert_int_equal(r->asked, asked);
}

static void no_host_name_at_all(void **state)
{
    struct rig *r = *state;
    char longest[300];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_null(names_lookup(r->names, "", on_name, r));
    assert_int_equal(r->count, 0);
    assert_null(names_lookup(r->names, longest, on_name, r));
    assert_int_equal(r->count, 0);
    assert_string_equal(r->error, "not a host name");
}

static void an_outage_leaves_the_last_answer(void **state)
{
    struct rig *r = *state;
    look_up(r, "db.test");
    turn_for_ms(r->loop, 220);
    r->silent = true;
    look_up(r, "db.test");
    assert_string_equal(r->first, "10.0.0.1");
    look_up(r, "other.test");
    assert_int_equal(r->count, 0);
    assert_string_equal(r->error, "the name servers do not answer");
}

static void reload_forgets(void **state)
{
    struct rig *r = *state;
    struct names_settings set = settings(US_PER_S, US_PER_S);
    look_up(r, "db.test");
    r->last_octet = 9;
    names_reload(r->names, &set);
    look_up(r, "db.test");
    assert_string_equal(r->first, "10.0.0.9");
}

static void a_changed_resolv_conf_is_read_again(void **state)
{
    struct rig *r = *state;
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    write_resolv_conf(9); /* nobody there */
    look_up(r, "db.test");
    assert_int_equal(r->count, 0);
    assert_int_equal(getsockname(r->server_fd, (struct sockaddr *)&a, &len), 0);
    write_resolv_conf(ntohs(a.sin_port));
    look_up(r, "other.test");
    assert_string_equal(r->first, "10.0.0.1");
}

/* An owner that looks up again from its callback, with nothing cached. */
static void on_name_again(const char *const *addrs, int count, const char *error, void *arg)
{
    struct rig *r = arg;
    on_name(addrs, count, error, arg);
    if (r->answers < 3)
        r->query = names_lookup(r->names, "db.test", on_name_again, r);
}

static void asking_again_from_the_callback(void **state)
{
    struct rig *r = *state;
    struct names_settings set = settings(0, 0);
    names_reload(r->names, &set);
    r->query = names_lookup(r->names, "db.test", on_name_again, r);
    TURN_UNTIL(r->loop, r->answers == 3);
    assert_int_equal(r->asked, 3);
}

static void the_end_with_a_question_under_way(void **state)
{
    struct rig *r = *state;
    assert_non_null(names_lookup(r->names, "db.test", on_name, r));
    names_destroy(&r->names);
    turn_for_ms(r->loop, 50);
    assert_int_equal(r->answers, 0);
}

static int group_setup(void **state)
{
    (void)state;
    close(mkstemp(resolv_conf));
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    unlink(resolv_conf);
    return 0;
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(numbers_answer_at_once),
        T(the_hosts_file_is_honoured),
        T(answers_are_kept_for_their_time),
        T(one_question_for_many),
        T(no_such_host_is_kept_too),
        T(no_host_name_at_all),
        T(an_outage_leaves_the_last_answer),
        T(reload_forgets),
        T(a_changed_resolv_conf_is_read_again),
        T(asking_again_from_the_callback),
        T(the_end_with_a_question_under_way),
    };
    return cmocka_run_group_tests_name("net/names", tests, group_setup, group_teardown);
}
