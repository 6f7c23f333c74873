/* SPDX-License-Identifier: ISC
 * Loop, timers and mailbox; the mailbox with four threads posting at once (worth a run under
 * ThreadSanitizer).
 */
#include "config.h"

#include "net_help.h"

#include <pthread.h>

enum { POSTERS = 4, MAILS = 20000 };

struct letter {
    struct mail mail;
    unsigned number;
};

struct poster {
    struct loop *to;
    struct letter *letters;
    uint32_t id;
};

static void *poster_main(void *arg)
{
    struct poster *p = arg;
    for (unsigned i = 0; i < MAILS; i++) {
        p->letters[i].mail.kind = p->id;
        p->letters[i].number = i;
        loop_post(p->to, &p->letters[i].mail);
    }
    return NULL;
}

struct reader {
    struct loop *loop;
    unsigned next[POSTERS];
    unsigned total;
    bool stop_at_end;
    bool in_order;
};

static void on_letter(struct mail *m, void *arg)
{
    struct reader *r = arg;
    struct letter *l = (struct letter *)m;
    if (l->number != r->next[m->kind])
        r->in_order = false;
    r->next[m->kind]++;
    if (++r->total == POSTERS * MAILS && r->stop_at_end)
        loop_stop(r->loop);
}

static void all_mail_arrives_in_its_posters_order(void **state)
{
    (void)state;
    struct reader r = {.loop = loop_create(), .stop_at_end = true, .in_order = true};
    struct poster p[POSTERS];
    pthread_t thread[POSTERS];
    loop_on_mail(r.loop, on_letter, &r);
    for (uint32_t i = 0; i < POSTERS; i++) {
        p[i] = (struct poster){r.loop, calloc(MAILS, sizeof(struct letter)), i};
        assert_int_equal(pthread_create(&thread[i], NULL, poster_main, &p[i]), 0);
    }
    loop_run(r.loop);
    assert_int_equal(r.total, POSTERS * MAILS);
    assert_true(r.in_order);
    for (int i = 0; i < POSTERS; i++) {
        pthread_join(thread[i], NULL);
        free(p[i].letters);
    }
    loop_destroy(&r.loop);
}

static void what_was_posted_before_the_stop_is_delivered(void **state)
{
    (void)state;
    struct reader r = {.loop = loop_create(), .in_order = true};
    struct poster p = {r.loop, calloc(MAILS, sizeof(struct letter)), 0};
    loop_on_mail(r.loop, on_letter, &r);
    poster_main(&p);
    loop_stop(r.loop);
    loop_run(r.loop); /* more than one turn's portion, and returns */
    assert_int_equal(r.total, MAILS);
    assert_true(r.in_order);
    free(p.letters);
    loop_destroy(&r.loop);
    assert_null(r.loop);
    loop_destroy(&r.loop);
}

/* A receiver that posts to itself must not starve the rest of the loop. */
struct narcissus {
    struct loop *loop;
    struct mail mail;
    unsigned seen;
    bool timer;
};

static void on_own_mail(struct mail *m, void *arg)
{
    struct narcissus *n = arg;
    n->seen++;
    loop_post(n->loop, m);
}

static void on_stop_timer(void *arg)
{
    struct narcissus *n = arg;
    n->timer = true;
    loop_stop(n->loop);
}

static void posting_to_oneself_leaves_room_for_timers(void **state)
{
    (void)state;
    struct narcissus n = {.loop = loop_create()};
    struct timer t;
    loop_on_mail(n.loop, on_own_mail, &n);
    timer_init(&t, n.loop, on_stop_timer, &n);
    timer_set_us(&t, 20 * US_PER_MS);
    loop_post(n.loop, &n.mail);
    uint64_t from = clock_now_us();
    /* The stop delivers what is there, and the mail is always there again: one more each time. */
    alarm(20);
    TURN_UNTIL(n.loop, n.timer);
    alarm(0);
    assert_true(n.seen > 1);
    assert_true(clock_now_us() - from < 5 * US_PER_S);
    timer_clear(&t);
    loop_destroy(&n.loop);
}

struct clockwork {
    unsigned rang;
};

static void on_ring(void *arg)
{
    struct clockwork *c = arg;
    c->rang++;
}

static void timers_ring_once_and_can_be_moved(void **state)
{
    (void)state;
    struct loop *l = loop_create();
    struct clockwork c = {0};
    struct timer t, zero = {.cb = NULL};
    timer_clear(&zero);
    timer_init(&t, l, on_ring, &c);
    timer_clear(&t);
    timer_set_us(&t, 10 * US_PER_MS);
    TURN_UNTIL(l, c.rang == 1);
    turn_for_ms(l, 40);
    assert_int_equal(c.rang, 1);
    timer_set_us(&t, 5 * US_PER_MS);
    timer_set_us(&t, 200 * US_PER_MS); /* replaces */
    turn_for_ms(l, 50);
    assert_int_equal(c.rang, 1);
    TURN_UNTIL(l, c.rang == 2);
    timer_set_us(&t, 5 * US_PER_MS);
    timer_clear(&t);
    turn_for_ms(l, 40);
    assert_int_equal(c.rang, 2);
    loop_destroy(&l);
}

static void *stopper_main(void *arg)
{
    usleep(20000);
    loop_stop(arg);
    return NULL;
}

static void a_stop_from_another_thread_wakes(void **state)
{
    (void)state;
    struct loop *l = loop_create();
    for (int i = 0; i < 3; i++) { /* it can run again */
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, stopper_main, l), 0);
        uint64_t from = clock_now_us();
        loop_run(l);
        assert_true(clock_now_us() - from > 10 * US_PER_MS);
        pthread_join(thread, NULL);
    }
    loop_destroy(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_mail_arrives_in_its_posters_order),
        cmocka_unit_test(what_was_posted_before_the_stop_is_delivered),
        cmocka_unit_test(posting_to_oneself_leaves_room_for_timers),
        cmocka_unit_test(timers_ring_once_and_can_be_moved),
        cmocka_unit_test(a_stop_from_another_thread_wakes),
    };
    return cmocka_run_group_tests_name("net/loop", tests, NULL, NULL);
}
