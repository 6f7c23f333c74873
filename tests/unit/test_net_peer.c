/* SPDX-License-Identifier: ISC
 * What a socket is told while its peer is watched, and that it is told the opposite afterwards.
 * That a lost peer is found out takes a wire that can be cut: tests/system/test_frozen.py.
 */
#include "config.h"

#include "net_help.h"

#include "net/peer.h"

static int number(int fd, int level, int option)
{
    int v = -1;
    socklen_t n = sizeof v;
    assert_int_equal(getsockopt(fd, level, option, &v, &n), 0);
    return v;
}

static void test_watch_and_rest(void **state)
{
    (void)state;
    int ends[2];
    tcp_pair(ends);
    int idle = number(ends[0], IPPROTO_TCP, TCP_KEEPIDLE);
    int interval = number(ends[0], IPPROTO_TCP, TCP_KEEPINTVL);
    peer_watch(ends[0], 8000);
    assert_int_equal(number(ends[0], SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(number(ends[0], IPPROTO_TCP, TCP_KEEPIDLE), 1);
    assert_int_equal(number(ends[0], IPPROTO_TCP, TCP_KEEPINTVL), 1);
    assert_int_equal(number(ends[0], IPPROTO_TCP, TCP_USER_TIMEOUT), 8000);
    peer_set_patience(ends[0], 0);
    assert_int_equal(number(ends[0], IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
    struct tcp_options none = {.keepalive = false};
    peer_rest(ends[0], &none);
    assert_int_equal(number(ends[0], SOL_SOCKET, SO_KEEPALIVE), 0);
    assert_int_equal(number(ends[0], IPPROTO_TCP, TCP_KEEPIDLE), idle);
    assert_int_equal(number(ends[0], IPPROTO_TCP, TCP_KEEPINTVL), interval);
    struct tcp_options some = {
        .keepalive = true, .keepidle_s = 60, .keepintvl_s = 7, .user_timeout_ms = 90000};
    peer_rest(ends[0], &some);
    assert_int_equal(number(ends[0], SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(number(ends[0], IPPROTO_TCP, TCP_KEEPIDLE), 60);
    assert_int_equal(number(ends[0], IPPROTO_TCP, TCP_KEEPINTVL), 7);
    assert_int_equal(number(ends[0], IPPROTO_TCP, TCP_USER_TIMEOUT), 90000);
    close(ends[0]);
    close(ends[1]);
}

/* Its process does nothing at all: its kernel is there, and that is what is asked. */
static void test_idle_peer_is_not_silent(void **state)
{
    (void)state;
    int ends[2];
    struct peer_look at = {.silent_ms = 1, .full = true};
    tcp_pair(ends);
    peer_watch(ends[0], 8000);
    assert_true(peer_look(ends[0], &at));
    assert_int_equal(at.silent_ms, 0);
    assert_false(at.full);
    close(ends[0]);
    close(ends[1]);
}

static void test_peer_that_takes_nothing_is_full(void **state)
{
    (void)state;
    static char bytes[1 << 16];
    int ends[2];
    struct peer_look at;
    tcp_pair(ends);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    uint64_t end = clock_now_us() + 60 * US_PER_S;
    do { /* what was sent must have been acknowledged, which takes a moment */
        while (send(ends[0], bytes, sizeof bytes, MSG_NOSIGNAL) > 0)
            ;
        assert_true(peer_look(ends[0], &at));
        usleep(1000);
    } while (!at.full && clock_now_us() < end);
    assert_true(at.full);
    assert_int_equal(at.silent_ms, 0);
    close(ends[0]);
    close(ends[1]);
}

static void test_what_is_no_tcp_is_left_alone(void **state)
{
    (void)state;
    int ends[2];
    struct peer_look at;
    struct tcp_options none = {.keepalive = false};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    peer_watch(ends[0], 8000);
    assert_false(peer_look(ends[0], &at));
    peer_rest(ends[0], &none);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_watch_and_rest),
        cmocka_unit_test(test_idle_peer_is_not_silent),
        cmocka_unit_test(test_peer_that_takes_nothing_is_full),
        cmocka_unit_test(test_what_is_no_tcp_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
