/* SPDX-License-Identifier: ISC
 * Four workers and a control plane hammer one server, each a thread with a mailbox, as in the
 * program: grants and failures travel as messages, clients leave while a grant is on its way. Run
 * under ThreadSanitizer (--enable-tsan) this is the test of the hand-over. At the end it prints
 * what an uncontended loan costs.
 */
#include "config.h"

#include "base/clock.h"
#include "core/core.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { WORKERS = 4, CLIENTS = 64, POOLS = 3, BOUND = 6 };
#define RUN_US 1500000u

struct client {
    struct core_waiter w; /* first */
    struct core_conn *lent;
    bool waits, gone; /* gone: it left, and a message is still on its way */
};

struct message {
    enum { MSG_GRANT, MSG_FAILED, MSG_CLOSE } kind;
    struct core_conn *conn;
    struct client *client;
    struct message *next;
};

struct mailbox {
    pthread_mutex_t lock;
    struct message *first, **last;
};

struct worker {
    pthread_t thread;
    struct mailbox box;
    struct client client[CLIENTS];
    uint32_t random;
    uint64_t loans;
};

static struct core_server *server;
static struct core_pool *pool[POOLS];
static struct worker worker[WORKERS];
static atomic_bool nudged, ending;
static atomic_int on_loan, conns, ended;

static uint32_t roll(uint32_t *random)
{
    *random = *random * 1664525u + 1013904223u;
    return *random >> 8;
}

static void post(uint16_t to, struct message m)
{
    struct mailbox *box = &worker[to].box;
    struct message *copy = malloc(sizeof *copy);
    *copy = m;
    copy->next = NULL;
    pthread_mutex_lock(&box->lock);
    *box->last = copy;
    box->last = &copy->next;
    pthread_mutex_unlock(&box->lock);
}

static void nudge_control(bool nudge)
{
    if (nudge)
        atomic_store(&nudged, true);
}

static void conn_close(struct core_conn *c)
{
    bool nudge;
    atomic_fetch_sub(&conns, 1); /* the socket is closed first, then its slot is free */
    core_conn_closed(c, clock_now_us(), &nudge);
    free(c);
    nudge_control(nudge);
}

static void conn_next(enum core_next next, struct core_conn *c, struct core_waiter *w)
{
    if (next == CORE_NEXT_CLOSE)
        conn_close(c);
    else if (next == CORE_NEXT_LEND)
        post(w->worker,
             (struct message){.kind = MSG_GRANT, .conn = c, .client = (struct client *)w});
}

static void loan_begin(struct worker *me, struct client *c, struct core_conn *conn)
{
    c->lent = conn;
    me->loans++;
    assert_true(atomic_fetch_add(&on_loan, 1) < BOUND);
}

static void loan_end(struct worker *me, struct core_conn *conn)
{
    struct core_waiter *next;
    bool nudge;

    atomic_fetch_sub(&on_loan, 1);
    if (roll(&me->random) % 50 == 0) {
        assert_true(core_conn_break(conn, clock_now_us()));
        conn_close(conn);
        return;
    }
    enum core_next answer = core_give_back(conn, clock_now_us(), &next, &nudge);
    nudge_control(nudge);
    conn_next(answer, conn, next);
}

static void handle(struct worker *me, struct message *m)
{
    struct client *c = m->client;

    if (m->kind == MSG_CLOSE) {
        conn_close(m->conn);
        return;
    }
    struct core_conn *conn = core_waiter_take(&c->w);
    assert_ptr_equal(conn, m->conn);
    if (conn != NULL) {
        core_conn_moved(conn, c->w.worker);
        loan_begin(me, c, conn);
        if (c->gone) {
            c->lent = NULL;
            loan_end(me, conn);
        }
    }
    c->waits = c->gone = false;
}

static void drain(struct worker *me)
{
    pthread_mutex_lock(&me->box.lock);
    struct message *m = me->box.first, *next;
    me->box.first = NULL;
    me->box.last = &me->box.first;
    pthread_mutex_unlock(&me->box.lock);
    for (; m != NULL; m = next) {
        next = m->next;
        handle(me, m);
        free(m);
    }
}

static void ask(struct worker *me, struct client *c)
{
    struct core_conn *conn;
    bool nudge;

    c->w.pool = pool[roll(&me->random) % POOLS];
    c->w.worker = (uint16_t)(me - worker);
    c->w.deadline_us = clock_now_us() + 2000 + roll(&me->random) % 20000;
    enum core_answer answer = core_borrow(&c->w, clock_now_us(), &conn, &nudge);
    nudge_control(nudge);
    if (answer == CORE_LENT) {
        core_conn_moved(conn, c->w.worker);
        loan_begin(me, c, conn);
    }
    c->waits = answer == CORE_QUEUED;
}

static void step(struct worker *me)
{
    struct client *c = &me->client[roll(&me->random) % CLIENTS];

    if (c->lent != NULL) {
        struct core_conn *conn = c->lent;
        c->lent = NULL;
        loan_end(me, conn);
    } else if (c->waits && !c->gone && roll(&me->random) % 4 == 0) {
        c->gone = !core_leave(&c->w);
        c->waits = c->gone;
    } else if (!c->waits && !atomic_load(&ending)) {
        ask(me, c);
    }
}

static void expire(struct worker *me)
{
    struct core_waiter_list out = TAILQ_HEAD_INITIALIZER(out);
    struct core_waiter *w;

    core_expire(server, (uint16_t)(me - worker), clock_now_us(), &out);
    TAILQ_FOREACH(w, &out, link)
    ((struct client *)w)->waits = false;
}

static bool busy(const struct worker *me)
{
    for (int i = 0; i < CLIENTS; i++)
        if (me->client[i].waits || me->client[i].lent != NULL)
            return true;
    return false;
}

static void *worker_main(void *arg)
{
    struct worker *me = arg;

    for (int i = 0; !atomic_load(&ending) || busy(me); i++) {
        drain(me);
        step(me);
        if (i % 16 == 0) {
            expire(me);
            sched_yield();
        }
    }
    atomic_fetch_add(&ended, 1);
    return NULL;
}

static void login(struct core_pool *p, uint32_t *random)
{
    struct core_waiter *next;

    if (roll(random) % 20 == 0) {
        core_open_failed(p, CORE_FAIL_REFUSED, "28P01", "no", clock_now_us());
        return;
    }
    struct core_conn *c = calloc(1, sizeof *c);
    assert_true(atomic_fetch_add(&conns, 1) < BOUND);
    enum core_next answer = core_opened(p, c, clock_now_us(), &next);
    conn_next(answer, c, next);
}

static uint64_t plan_all(uint32_t *random)
{
    struct core_plan plan;
    struct core_waiter *w, *after;

    for (;;) {
        core_plan(server, clock_now_us(), &plan);
        if (plan.action == CORE_ACT_NONE)
            return plan.wake_us;
        if (plan.action == CORE_ACT_OPEN)
            login(plan.pool, random);
        else if (plan.action == CORE_ACT_CLOSE)
            post(plan.conn->worker, (struct message){.kind = MSG_CLOSE, .conn = plan.conn});
        else if (plan.action == CORE_ACT_LEND)
            conn_next(CORE_NEXT_LEND, plan.conn, plan.waiter);
        for (w = TAILQ_FIRST(&plan.failed); w != NULL; w = after) {
            after = TAILQ_NEXT(w, link); /* once posted it is its worker's */
            post(w->worker, (struct message){.kind = MSG_FAILED, .client = (struct client *)w});
        }
    }
}

/* Runs core_plan() only when told to: a nudge that is missing shows as a wait. */
static void control_main(uint32_t *random)
{
    uint64_t start_us = clock_now_us(), wake_us = 0, turn = 0;

    while (atomic_load(&ended) < WORKERS) {
        uint64_t now_us = clock_now_us();
        if (atomic_exchange(&nudged, false) || now_us >= wake_us)
            wake_us = plan_all(random);
        else
            sched_yield();
        if (now_us > start_us + RUN_US)
            atomic_store(&ending, true);
        if (now_us < start_us + turn * 2000)
            continue;
        turn++;
        for (uint64_t i = 0; i < POOLS; i++)
            core_pool_pause(pool[i], turn % 8 == i && !atomic_load(&ending), now_us);
        if (turn % 16 == 0)
            core_pool_reconnect(pool[turn / 16 % POOLS], now_us);
        wake_us = 0;
    }
}

static void test_hand_over(void **state)
{
    const struct core_server_limits lim = {.bound = BOUND,
                                           .login_concurrency = 4,
                                           .login_retry_us = 500,
                                           .locality_us = 100,
                                           .workers = WORKERS};
    const struct core_pool_limits plim = {.idle_timeout_us = 5000, .lifetime_us = 100000};
    uint32_t random = 7;
    uint64_t loans = 0;

    (void)state;
    server = core_server_create("db", &lim, 3);
    for (int i = 0; i < POOLS; i++)
        pool[i] = core_pool_create(server, "p", &plim, NULL);
    for (uint32_t i = 0; i < WORKERS; i++) {
        worker[i].random = i + 1;
        pthread_mutex_init(&worker[i].box.lock, NULL);
        worker[i].box.last = &worker[i].box.first;
    }
    for (int i = 0; i < WORKERS; i++)
        pthread_create(&worker[i].thread, NULL, worker_main, &worker[i]);
    control_main(&random);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(worker[i].thread, NULL);
    while (atomic_load(&conns) > 0) {
        plan_all(&random);
        for (int i = 0; i < WORKERS; i++)
            drain(&worker[i]);
    }
    core_check(server);
    for (int i = 0; i < WORKERS; i++)
        loans += worker[i].loans;
    print_message("  %llu loans\n", (unsigned long long)loans);
    assert_true(loans > POOLS); /* how many there are is the machine's matter */
    for (int i = 0; i < POOLS; i++)
        core_pool_destroy(&pool[i]);
    core_server_destroy(&server);
}

static void test_cost_of_a_loan(void **state)
{
    const struct core_server_limits lim = {.bound = 20, .login_concurrency = 4, .workers = 4};
    const struct core_pool_limits plim = {0};
    struct core_server *s = core_server_create("db", &lim, 3);
    struct core_pool *p = core_pool_create(s, "p", &plim, NULL);
    struct core_waiter w = {.pool = p, .deadline_us = UINT64_MAX}, *next;
    struct core_conn conn = {0}, *c;
    struct core_plan plan;
    bool nudge;
    enum { LOANS = 1000000 };

    (void)state;
    assert_int_equal(core_borrow(&w, 1, &c, &nudge), CORE_QUEUED);
    core_plan(s, 1, &plan);
    assert_int_equal(core_opened(p, &conn, 2, &next), CORE_NEXT_LEND);
    c = core_waiter_take(&w);
    assert_int_equal(core_give_back(c, 3, &next, &nudge), CORE_NEXT_IDLE);
    w.worker = c->worker;
    uint64_t from_us = clock_now_us();
    for (uint64_t i = 0; i < LOANS; i++) {
        if (core_borrow(&w, 4 + i, &c, &nudge) != CORE_LENT ||
            core_give_back(c, 4 + i, &next, &nudge) != CORE_NEXT_IDLE)
            fail();
    }
    print_message("  a loan: %.1f ns\n", (double)(clock_now_us() - from_us) * 1000 / LOANS);
    core_conn_break(&conn, UINT64_C(2000000));
    core_conn_closed(&conn, UINT64_C(2000000), &nudge);
    core_pool_destroy(&p);
    core_server_destroy(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hand_over),
        cmocka_unit_test(test_cost_of_a_loan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
