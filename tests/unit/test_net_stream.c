/* SPDX-License-Identifier: ISC
 * Plain streams over loopback TCP: bytes, pauses, hang-ups, back-pressure, and the move of a stream
 * from one thread's loop to another's.
 */
#include "config.h"

#include "net_help.h"

#include "net/stream.h"

#include <pthread.h>
#include <time.h>

/* One stream under test, its peer's raw descriptor, and what the callback was told. */
struct rig {
    struct loop *loop;
    struct stream s;
    int peer;
    unsigned calls, reads, writes, hups;
    char in[1 << 16];
    size_t in_len;
    enum io_result last;
    bool consume;     /* read what is there in the callback */
    bool end_in_call; /* stream_fini() in the callback, then the struct is scribbled over */
};

static void on_stream(struct stream *s, unsigned what, void *arg)
{
    struct rig *r = arg;
    r->calls++;
    r->reads += what & NET_READ ? 1 : 0;
    r->writes += what & NET_WRITE ? 1 : 0;
    r->hups += what & NET_HUP ? 1 : 0;
    if (r->end_in_call) {
        stream_fini(s, false);
        memset(s, 0xa5, sizeof *s);
        s->fd = -1;
        return;
    }
    if ((what & NET_READ) && r->consume) {
        size_t got = 0;
        r->last = stream_read(s, r->in + r->in_len, sizeof r->in - r->in_len, &got);
        if (r->last == IO_OK)
            r->in_len += got;
        else if (r->last != IO_AGAIN)
            stream_pause(s, PAUSE_SHUTDOWN);
    }
}

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    int fds[2];
    tcp_pair(fds);
    r->loop = loop_create();
    assert_non_null(r->loop);
    r->peer = fds[1];
    r->consume = true;
    r->last = IO_AGAIN;
    assert_true(stream_init(&r->s, r->loop, fds[0], on_stream, r));
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;
    stream_fini(&r->s, false);
    if (r->peer >= 0)
        close(r->peer);
    loop_destroy(&r->loop);
    free(r);
    return 0;
}

static void peer_send(struct rig *r, const char *text)
{
    assert_int_equal(send(r->peer, text, strlen(text), 0), strlen(text));
}

static struct iovec piece(const char *text)
{
    return (struct iovec){(void *)(uintptr_t)text, strlen(text)};
}

static void bytes_arrive_in_one_call(void **state)
{
    struct rig *r = *state;
    peer_send(r, "select 1");
    TURN_UNTIL(r->loop, r->in_len == 8);
    assert_memory_equal(r->in, "select 1", 8);
    assert_int_equal(r->calls, 1);
    turn_for_ms(r->loop, 20);
    assert_int_equal(r->calls, 1);
}

static void unread_bytes_call_again(void **state)
{
    struct rig *r = *state;
    r->consume = false;
    peer_send(r, "x");
    TURN_UNTIL(r->loop, r->reads >= 3);
    r->consume = true;
    TURN_UNTIL(r->loop, r->in_len == 1);
}

static void several_pieces_are_written_in_order(void **state)
{
    struct rig *r = *state;
    struct iovec iov[3] = {piece("one "), piece(""), piece("two")};
    size_t put = 0;
    assert_int_equal(stream_writev(&r->s, iov, 3, &put), IO_OK);
    assert_int_equal(put, 7);
    char got[16];
    assert_int_equal(recv(r->peer, got, sizeof got, 0), 7);
    assert_memory_equal(got, "one two", 7);
}

/* More pieces than sendmsg() takes at once. */
static void thousands_of_pieces(void **state)
{
    struct rig *r = *state;
    struct iovec iov[3000];
    for (size_t i = 0; i < 3000; i++)
        iov[i] = piece("abc");
    size_t put = 0;
    assert_int_equal(stream_writev(&r->s, iov, 3000, &put), IO_OK);
    assert_int_equal(put, 9000);
    char got[9001];
    assert_int_equal(recv(r->peer, got, sizeof got, MSG_WAITALL), 9000);
    for (size_t i = 0; i < 9000; i++)
        assert_int_equal(got[i], "abc"[i % 3]);
}

static void a_pause_has_several_reasons(void **state)
{
    struct rig *r = *state;
    stream_pause(&r->s, PAUSE_LEASE);
    stream_pause(&r->s, PAUSE_BACKPRESSURE);
    peer_send(r, "x");
    turn_for_ms(r->loop, 20);
    assert_int_equal(r->calls, 0);
    stream_resume(&r->s, PAUSE_LEASE);
    turn_for_ms(r->loop, 20);
    assert_int_equal(r->calls, 0);
    stream_resume(&r->s, PAUSE_BACKPRESSURE);
    TURN_UNTIL(r->loop, r->in_len == 1);
}

/* Bytes that came during the pause were noticed and put off; afterwards all is as before. */
static void after_a_pause_unread_bytes_call_again(void **state)
{
    struct rig *r = *state;
    stream_pause(&r->s, PAUSE_LEASE);
    peer_send(r, "x");
    turn_for_ms(r->loop, 20);
    r->consume = false;
    stream_resume(&r->s, PAUSE_LEASE);
    TURN_UNTIL(r->loop, r->reads >= 3);
    r->consume = true;
    TURN_UNTIL(r->loop, r->in_len == 1);
}

/* CPU time of the loop in a while without work: an event that nobody consumes makes it spin. */
static uint64_t cpu_used_us(struct rig *r, unsigned ms)
{
    clock_t from = clock();
    turn_for_ms(r->loop, ms);
    return (uint64_t)(clock() - from) * US_PER_S / CLOCKS_PER_SEC;
}

static void paused_hears_an_orderly_end_once(void **state)
{
    struct rig *r = *state;
    stream_pause(&r->s, PAUSE_LEASE);
    turn_for_ms(r->loop, 10);
    peer_send(r, "last words");
    shutdown(r->peer, SHUT_WR);
    TURN_UNTIL(r->loop, r->hups);
    assert_true(cpu_used_us(r, 100) < 50 * US_PER_MS);
    assert_int_equal(r->hups, 1);
    assert_int_equal(r->reads, 0);
    /* What was sent before is still there. */
    stream_resume(&r->s, PAUSE_LEASE);
    TURN_UNTIL(r->loop, r->last == IO_CLOSED);
    assert_int_equal(r->in_len, 10);
    /* And it is not told again. */
    turn_for_ms(r->loop, 20);
    assert_int_equal(r->hups, 1);
}

static void paused_with_bytes_unread_hears_a_reset_once(void **state)
{
    struct rig *r = *state;
    stream_pause(&r->s, PAUSE_LEASE);
    peer_send(r, "x");
    turn_for_ms(r->loop, 20);
    close_reset(r->peer);
    r->peer = -1;
    TURN_UNTIL(r->loop, r->hups);
    assert_true(cpu_used_us(r, 100) < 50 * US_PER_MS);
    assert_int_equal(r->calls, 1);
}

static void paused_hears_a_reset_once(void **state)
{
    struct rig *r = *state;
    stream_pause(&r->s, PAUSE_LEASE);
    turn_for_ms(r->loop, 10);
    assert_int_equal(r->calls, 0);
    close_reset(r->peer);
    r->peer = -1;
    TURN_UNTIL(r->loop, r->hups);
    assert_true(cpu_used_us(r, 100) < 50 * US_PER_MS);
    assert_int_equal(r->calls, 1);
    stream_resume(&r->s, PAUSE_LEASE);
    TURN_UNTIL(r->loop, r->last == IO_ERROR);
    assert_string_equal(stream_error(&r->s), "Connection reset by peer");
}

static void an_end_before_the_pause_is_heard(void **state)
{
    struct rig *r = *state;
    shutdown(r->peer, SHUT_WR);
    stream_pause(&r->s, PAUSE_LEASE);
    TURN_UNTIL(r->loop, r->hups == 1);
}

static void reading_hears_a_reset_as_an_error(void **state)
{
    struct rig *r = *state;
    close_reset(r->peer);
    r->peer = -1;
    TURN_UNTIL(r->loop, r->last == IO_ERROR);
}

static void writing_to_the_dead_is_an_error_not_a_signal(void **state)
{
    struct rig *r = *state;
    stream_pause(&r->s, PAUSE_SHUTDOWN);
    close_reset(r->peer);
    r->peer = -1;
    TURN_UNTIL(r->loop, r->hups);
    struct iovec iov = piece("x");
    size_t put;
    enum io_result w = IO_OK;
    for (int i = 0; i < 3 && w == IO_OK; i++)
        w = stream_writev(&r->s, &iov, 1, &put);
    assert_int_equal(w, IO_ERROR);
}

/* The peer does not read: the socket fills, AGAIN; it reads: NET_WRITE comes; all bytes are there.
 */
static void partial_writes_resume(void **state, bool paused)
{
    struct rig *r = *state;
    enum { TOTAL = 8 << 20 };
    char *data = malloc(TOTAL), *got = malloc(TOTAL);
    for (size_t i = 0; i < TOTAL; i++)
        data[i] = (char)(i * 31 + i / 4099);
    if (paused)
        stream_pause(&r->s, PAUSE_BACKPRESSURE);
    size_t sent = 0, have = 0, put = 0;
    enum io_result w = IO_OK;
    bool told = false; /* that the socket takes bytes */
    while (have < TOTAL) {
        while (sent < TOTAL && w != IO_AGAIN) {
            struct iovec iov[2] = {{data + sent, (TOTAL - sent) / 2},
                                   {data + sent + (TOTAL - sent) / 2, (TOTAL - sent + 1) / 2}};
            w = stream_writev(&r->s, iov, 2, &put);
            assert_int_not_equal(w, IO_ERROR);
            assert_true(put > 0 || !told); /* full: not called */
            told = false;
            sent += put;
        }
        if (sent < TOTAL) {
            unsigned before = r->writes;
            stream_want_write(&r->s, true);
            turn_for_ms(r->loop, 5);
            if (r->writes != before) { /* the kernel has moved some on meanwhile */
                stream_want_write(&r->s, false);
                told = true;
                w = IO_OK;
                continue;
            }
            ssize_t n;
            for (size_t part = 0; part < (3 << 20); part += (size_t)n)
                if ((n = recv(r->peer, got + have, TOTAL - have, 0)) > 0)
                    have += (size_t)n;
                else
                    break;
            TURN_UNTIL(r->loop, r->writes > before);
            stream_want_write(&r->s, false);
            before = r->writes;
            turn_for_ms(r->loop, 5);
            assert_int_equal(r->writes, before); /* not wanted: not called */
            w = IO_OK;
        } else {
            ssize_t n = recv(r->peer, got + have, TOTAL - have, 0);
            have += n > 0 ? (size_t)n : 0;
        }
    }
    assert_memory_equal(data, got, TOTAL);
    free(data);
    free(got);
}

static void partial_writes_while_reading(void **state)
{
    partial_writes_resume(state, false);
}

static void partial_writes_while_paused(void **state)
{
    partial_writes_resume(state, true);
}

static void may_end_in_its_own_callback(void **state)
{
    struct rig *r = *state;
    r->end_in_call = true;
    peer_send(r, "x");
    TURN_UNTIL(r->loop, r->calls == 1);
    turn_for_ms(r->loop, 20);
    assert_int_equal(r->calls, 1);
}

/* Both streams are readable in the same turn; the first one's callback ends the other. */
struct couple {
    struct stream *other;
    unsigned calls;
};

static void on_couple(struct stream *s, unsigned what, void *arg)
{
    struct couple *c = arg;
    (void)what;
    c->calls++;
    stream_fini(c->other, false);
    stream_fini(s, false);
}

static void may_be_ended_by_a_neighbour_in_the_same_turn(void **state)
{
    struct rig *r = *state;
    int a[2], b[2];
    tcp_pair(a);
    tcp_pair(b);
    struct stream *sa = calloc(1, sizeof *sa), *sb = calloc(1, sizeof *sb);
    struct couple ca = {sb, 0}, cb = {sa, 0};
    assert_true(stream_init(sa, r->loop, a[0], on_couple, &ca));
    assert_true(stream_init(sb, r->loop, b[0], on_couple, &cb));
    assert_int_equal(send(a[1], "x", 1, 0), 1);
    assert_int_equal(send(b[1], "x", 1, 0), 1);
    turn_for_ms(r->loop, 20);
    assert_int_equal(ca.calls + cb.calls, 1);
    free(sa);
    free(sb);
    close(a[1]);
    close(b[1]);
}

static void keeps_the_descriptor_for_its_owner(void **state)
{
    struct rig *r = *state;
    int fd = r->s.fd;
    stream_fini(&r->s, true);
    assert_int_equal(send(fd, "mine", 4, 0), 4);
    close(fd);
    stream_fini(&r->s, false); /* again: nothing */
    struct stream zero = {0};
    stream_fini(&zero, false);
    stream_pause(&zero, PAUSE_LOGIN);
    stream_resume(&zero, PAUSE_LOGIN);
}

/* ---- across threads -------------------------------------------------------------------------- */

enum { HOPS = 200 };

struct parcel {
    struct mail mail;
    struct stream_export x;
};

/* A thread that echoes one byte on a stream it was given, then hands the stream back. */
struct echoer {
    struct loop *loop, *home;
    struct stream s;
    struct parcel back;
};

static void on_echo(struct stream *s, unsigned what, void *arg)
{
    struct echoer *e = arg;
    (void)what;
    char c;
    size_t got = 0, put = 0;
    if (stream_read(s, &c, 1, &got) != IO_OK)
        return;
    c++;
    if (stream_writev(s, &(struct iovec){&c, 1}, 1, &put) != IO_OK)
        return;
    e->back.x = stream_detach(s);
    loop_post(e->home, &e->back.mail);
}

static void on_echoer_mail(struct mail *m, void *arg)
{
    struct echoer *e = arg;
    struct parcel *p = (struct parcel *)m;
    if (!stream_init(&e->s, e->loop, p->x.fd, on_echo, e))
        abort();
}

static void *echoer_main(void *arg)
{
    struct echoer *e = arg;
    loop_run(e->loop);
    return NULL;
}

static void on_home_mail(struct mail *m, void *arg)
{
    struct rig *r = arg;
    struct parcel *p = (struct parcel *)m;
    if (!stream_init(&r->s, r->loop, p->x.fd, on_stream, r))
        abort();
}

static void a_stream_moves_between_threads(void **state)
{
    struct rig *r = *state;
    struct echoer e = {.loop = loop_create(), .home = r->loop};
    struct parcel there;
    pthread_t thread;
    loop_on_mail(e.loop, on_echoer_mail, &e);
    loop_on_mail(r->loop, on_home_mail, r);
    assert_int_equal(pthread_create(&thread, NULL, echoer_main, &e), 0);
    for (int i = 0; i < HOPS; i++) {
        char c = 'a', answer = 0;
        /* Away: the other thread answers. The byte may be there before the stream is. */
        if (i % 2)
            assert_int_equal(send(r->peer, &c, 1, 0), 1);
        there.x = stream_detach(&r->s);
        assert_int_equal(r->s.fd, -1);
        loop_post(e.loop, &there.mail);
        if (i % 2 == 0)
            assert_int_equal(send(r->peer, &c, 1, 0), 1);
        TURN_UNTIL(r->loop, r->s.fd >= 0);
        assert_int_equal(recv(r->peer, &answer, 1, 0), 1);
        assert_int_equal(answer, 'b');
        /* Home again: it works here. */
        r->in_len = 0;
        peer_send(r, "home");
        TURN_UNTIL(r->loop, r->in_len == 4);
    }
    loop_stop(e.loop);
    pthread_join(thread, NULL);
    loop_destroy(&e.loop);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(bytes_arrive_in_one_call),
        T(unread_bytes_call_again),
        T(several_pieces_are_written_in_order),
        T(thousands_of_pieces),
        T(a_pause_has_several_reasons),
        T(after_a_pause_unread_bytes_call_again),
        T(paused_with_bytes_unread_hears_a_reset_once),
        T(paused_hears_an_orderly_end_once),
        T(paused_hears_a_reset_once),
        T(an_end_before_the_pause_is_heard),
        T(reading_hears_a_reset_as_an_error),
        T(writing_to_the_dead_is_an_error_not_a_signal),
        T(partial_writes_while_reading),
        T(partial_writes_while_paused),
        T(may_end_in_its_own_callback),
        T(may_be_ended_by_a_neighbour_in_the_same_turn),
        T(keeps_the_descriptor_for_its_owner),
        T(a_stream_moves_between_threads),
    };
    return cmocka_run_group_tests_name("net/stream", tests, NULL, NULL);
}
