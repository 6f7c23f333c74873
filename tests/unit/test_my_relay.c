/* SPDX-License-Identifier: ISC
 * The relay's protocol objects and what a server answers weir's own questions: clients that leave
 * while one is on its way, and answers that don't end.
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "my_relay_help.h"

#define PACKET(r, seq, ...)                                                                        \
    do {                                                                                           \
        static const uint8_t bytes_[] = {__VA_ARGS__};                                             \
        answer(r, seq, bytes_, sizeof bytes_);                                                     \
    } while (0)

static struct relay relay;

static void answer(struct relay *r, uint8_t seq, const void *p, size_t n)
{
    assert_true(my_put_packet(&r->models[0].out, seq, p, n));
    (void)relay_feed_server(r, 0, 0);
}

static void answer_begin(struct relay *r)
{
    PACKET(r, 1, 1);
    PACKET(r, 2, 3, 'd', 'e', 'f', 0, 0, 0, 1, 'f', 0, 0x0c, 45, 0, 1, 0, 0, 0, 0xfd, 0, 0, 0, 0,
           0);
    PACKET(r, 3, 0xfe, 0, 0, 2, 0);
}

static void answer_row(struct relay *r, char cell)
{
    const uint8_t row[] = {1, (uint8_t)cell};
    answer_begin(r);
    answer(r, 4, row, sizeof row);
    PACKET(r, 5, 0xfe, 0, 0, 2, 0);
}

/* A statement with somebody's own function was answered, and the server is asked what it did. */
static void start_asking(struct relay *r)
{
    relay_init(r, 0);
    struct my_server *s = r->servers[0];
    my_report_put(&s->report);
    s->report = my_report_create("8.0.36", 45, false);
    assert_non_null(s->report);
    r->models[0].deaf = true;
    assert_true(my_put_packet(&r->cin, 0, "\x03select f()", 11));
    relay_feed_client(r);
    while (s->len > 1)
        PACKET(r, 1, 0, 0, 0, 2, 0, 0, 0); /* what is set before */
    answer_row(r, '1');
    assert_int_equal(my_proto_ops.state(s, r->c, true, 1, &r->out), LOAN_SETTLE);
    assert_int_equal(s->settle, MY_S_HIDDEN);
    relay_take(r, 0);
}

/* The client hangs up, and the rest is answered to nobody. */
static void leave(struct relay *r)
{
    (void)my_proto_ops.abandon(r->servers[0], r->c, &r->out);
    relay_take(r, 0);
    r->lent = -1;
}

static enum proto_loan state_of_left(struct relay *r)
{
    assert_false(r->broken);
    enum proto_loan loan = my_proto_ops.state(r->servers[0], NULL, true, 1, &r->out);
    relay_take(r, 0);
    return loan;
}

static void test_who_leaves_while_weir_asks_leaves_no_state(void **state)
{
    struct relay *r = &relay;
    (void)state;
    start_asking(r);
    leave(r);
    answer_row(r, '0');                                          /* no lock was held */
    PACKET(r, 1, 0, 0, 0, 0x02, 0x40, 0, 0, 0, 4, 2, 2, 1, '1'); /* of PING: a change of state */
    assert_int_equal(state_of_left(r), LOAN_SETTLE);
    assert_int_equal(r->servers[0]->settle, MY_S_RESET);
    relay_fini(r);
}

static void test_who_leaves_while_weir_asks_costs_no_reset_without_state(void **state)
{
    struct relay *r = &relay;
    (void)state;
    start_asking(r);
    leave(r);
    answer_row(r, '0');
    PACKET(r, 1, 0, 0, 0, 2, 0, 0, 0);
    assert_int_equal(state_of_left(r), LOAN_CLEAN);
    relay_fini(r);
}

/* A server that answers with rows and rows is not remembered at length, and not trusted. */
static void test_an_answer_without_an_end_breaks_the_connection(void **state)
{
    struct relay *r = &relay;
    static const uint8_t row[1 + 250] = {250};
    size_t most = 0;
    (void)state;
    start_asking(r);
    answer_begin(r);
    for (int i = 0; i < 2000 && !r->broken; i++) {
        answer(r, (uint8_t)(4 + i), row, sizeof row);
        most = buf_len(&r->servers[0]->notes) > most ? buf_len(&r->servers[0]->notes) : most;
    }
    assert_true(most <= 64u * 1024u);
    assert_int_equal(my_proto_ops.state(r->servers[0], r->c, true, 1, &r->out), LOAN_BROKEN);
    relay_take(r, 0);
    relay_fini(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_leaves_while_weir_asks_leaves_no_state),
        cmocka_unit_test(test_who_leaves_while_weir_asks_costs_no_reset_without_state),
        cmocka_unit_test(test_an_answer_without_an_end_breaks_the_connection),
    };
    if (!vars_init())
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
