/* SPDX-License-Identifier: ISC
 * Random steps against the core, and beside it a slow model that is obviously right: what each
 * client and each connection is doing, in plain arrays. After each step every count, every state
 * and the bound are compared, and the order of lending is recomputed by looking at everybody.
 */
#include "config.h"

#include "core/core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CLIENTS = 40, CONNS = 64, POOLS = 4, WORKERS = 3, STEPS = 100000 };

#define FUNCTIONS 5

/* Two groups; one pool is in both. */
enum { GROUPS = 2 };
static const bool member[GROUPS][POOLS] = {{true, true, true, false}, {false, false, true, true}};

enum doing { NOTHING, WAITS, COMING, HOLDS };

struct client {
    struct core_waiter w; /* first */
    enum doing doing;
    bool left; /* while COMING */
    uint64_t order;
    uint32_t function; /* whose it is this time */
    struct conn *conn;
};

struct conn {
    struct core_conn core; /* first */
    enum conn_state state;
    uint32_t function; /* LENT: whose loan; FUNCTIONS: nobody's */
    uint64_t returned; /* order of going idle */
    bool ordered;      /* the order to close has come */
};

static struct {
    struct core_server *server;
    struct core_server_limits lim;
    struct core_function *function[FUNCTIONS];
    struct core_function_limits flim[FUNCTIONS];
    struct core_pool *pool[POOLS];
    struct core_group *group[GROUPS];
    uint32_t group_limit[GROUPS], group_allowed[GROUPS];
    bool paused[POOLS], disabled[POOLS];
    struct client client[CLIENTS];
    struct conn conn[CONNS];
    uint32_t opening[POOLS];
    uint32_t cancelling, control, allowed;
    uint64_t now_us, ticks;
    uint32_t random;
    uint32_t active; /* clients that ask: from a few to far more than the bound */
} m;

static uint32_t roll(uint32_t below)
{
    m.random = m.random * 1664525u + 1013904223u;
    return (m.random >> 8) % below;
}

static uint32_t pool_of(const struct core_pool *p)
{
    for (uint32_t i = 0; i < POOLS; i++)
        if (m.pool[i] == p)
            return i;
    fail_msg("a pool that is not ours");
    return 0;
}

static uint32_t count_conns(const struct core_pool *p, enum conn_state state)
{
    uint32_t n = 0;
    for (int i = 0; i < CONNS; i++)
        n += m.conn[i].state == state && (p == NULL || m.conn[i].core.pool == p);
    return n;
}

static uint32_t count_waiting(const struct core_pool *p)
{
    uint32_t n = 0;
    for (int i = 0; i < CLIENTS; i++)
        n += m.client[i].doing == WAITS && m.client[i].w.state != WAITER_LATE &&
             (p == NULL || m.client[i].w.pool == p);
    return n;
}

static uint32_t count_opening(void)
{
    uint32_t n = 0;
    for (int i = 0; i < POOLS; i++)
        n += m.opening[i];
    return n;
}

static uint32_t count_used(void)
{
    return count_opening() + count_conns(NULL, CONN_IDLE) + count_conns(NULL, CONN_LENT) +
           count_conns(NULL, CONN_CLOSING) + m.cancelling + m.control;
}

static uint32_t lent_to(uint32_t function)
{
    uint32_t n = 0;
    for (int i = 0; i < CONNS; i++)
        n += m.conn[i].state == CONN_LENT && m.conn[i].function == function;
    return n;
}

/* Does function a come before b: a guarantee that isn't filled, then the smaller share; 0: alike.
 */
static int compare_functions(uint32_t a, uint32_t b)
{
    uint32_t an = lent_to(a), bn = lent_to(b);
    bool ag = an < m.flim[a].guarantee, bg = bn < m.flim[b].guarantee;
    if (ag != bg)
        return ag ? -1 : 1;
    uint64_t left = (uint64_t)an * 1024 / (ag ? m.flim[a].guarantee : m.flim[a].weight);
    uint64_t right = (uint64_t)bn * 1024 / (bg ? m.flim[b].guarantee : m.flim[b].weight);
    return left < right ? -1 : left > right;
}

static bool may_borrow(uint32_t function)
{
    return m.flim[function].limit == 0 || lent_to(function) < m.flim[function].limit;
}

/* Who is next in a pool, looked for among all of them: the rule as product.md has it. Ties go to
 * the function whose oldest waits longest, and inside of a function to the oldest. */
static struct client *next_in(const struct core_pool *p)
{
    struct client *first = NULL;
    for (int i = 0; i < CLIENTS; i++) {
        struct client *c = &m.client[i];
        if (c->doing != WAITS || c->w.pool != p || c->w.deadline_us <= m.now_us ||
            c->w.state == WAITER_LATE || !may_borrow(c->function))
            continue;
        int order = first == NULL ? -1 : compare_functions(c->function, first->function);
        if (order < 0 || (order == 0 && c->order < first->order))
            first = c;
    }
    return first;
}

/* Whom an idle connection must come from: the worker's own, last returned; else the last. */
static struct conn *expected_idle(const struct core_pool *p, uint16_t worker)
{
    struct conn *best = NULL;
    for (int i = 0; i < CONNS; i++) {
        struct conn *c = &m.conn[i];
        if (c->state != CONN_IDLE || c->core.pool != p)
            continue;
        bool own = c->core.worker == worker;
        bool best_own = best != NULL && best->core.worker == worker;
        if (best == NULL || (own && !best_own) || (own == best_own && c->returned > best->returned))
            best = c;
    }
    return best;
}

static void granted(struct conn *c, struct core_waiter *w)
{
    struct client *to = (struct client *)w;
    c->function = FUNCTIONS;                     /* what it was lent for is over */
    assert_ptr_equal(to, next_in(c->core.pool)); /* locality is off: strictly in order */
    assert_false(m.paused[pool_of(c->core.pool)]);
    to->doing = COMING;
    to->left = false;
    to->conn = c;
    c->state = CONN_LENT;
    c->function = to->function;
}

static void settled(enum core_next next, struct conn *c, struct core_waiter *w)
{
    switch (next) {
    case CORE_NEXT_IDLE:
        c->state = CONN_IDLE;
        assert_true(!m.paused[pool_of(c->core.pool)] && next_in(c->core.pool) == NULL);
        c->returned = ++m.ticks;
        break;
    case CORE_NEXT_LEND:
        granted(c, w);
        break;
    case CORE_NEXT_CLOSE:
        c->state = CONN_CLOSING;
        c->ordered = true;
        break;
    }
}

/* Anybody at all whom no limit holds back, late ones included: these leave when they are met. */
static bool eligible_in(const struct core_pool *p)
{
    for (int i = 0; i < CLIENTS; i++)
        if (m.client[i].doing == WAITS && m.client[i].w.pool == p &&
            may_borrow(m.client[i].function))
            return true;
    return false;
}

static uint32_t waiting_of(uint32_t function)
{
    uint32_t n = 0;
    for (int i = 0; i < CLIENTS; i++)
        n += m.client[i].doing == WAITS && m.client[i].w.state != WAITER_LATE &&
             m.client[i].function == function;
    return n;
}

static void step_borrow(void)
{
    struct client *c = &m.client[roll(m.active)];
    struct core_conn *conn;
    bool nudge;

    if (c->doing != NOTHING)
        return;
    uint32_t p = roll(POOLS);
    c->w.pool = m.pool[p];
    c->w.worker = (uint16_t)roll(WORKERS);
    c->w.deadline_us = roll(3) == 0 ? UINT64_MAX : m.now_us + roll(50000);
    c->function = roll(FUNCTIONS);
    c->w.who.function = m.function[c->function];
    struct conn *want = expected_idle(c->w.pool, c->w.worker);
    bool may = may_borrow(c->function);
    switch (core_borrow(&c->w, m.now_us, &conn, &nudge)) {
    case CORE_LENT:
        assert_false(m.paused[p] || m.disabled[p] || next_in(c->w.pool) != NULL);
        assert_ptr_equal(conn, want);
        assert_true(may);
        want->function = c->function;
        c->conn = (struct conn *)conn;
        c->conn->state = CONN_LENT;
        c->doing = HOLDS;
        break;
    case CORE_QUEUED:
        assert_false(m.disabled[p]);
        assert_true(want == NULL || !may || eligible_in(c->w.pool));
        c->doing = WAITS;
        c->order = ++m.ticks;
        break;
    case CORE_FULL:
        assert_true(count_waiting(NULL) >= m.lim.max_waiting ||
                    (m.flim[c->function].max_waiting != 0 &&
                     waiting_of(c->function) >= m.flim[c->function].max_waiting));
        break;
    case CORE_DISABLED:
        assert_true(m.disabled[p]);
        break;
    case CORE_DOWN:
        break;
    }
}

static void step_give_back(void)
{
    struct client *c = &m.client[roll(CLIENTS)];
    struct core_waiter *next;
    struct conn *conn = c->conn;
    bool nudge;

    if (c->doing != HOLDS)
        return;
    c->doing = NOTHING;
    c->conn = NULL;
    enum core_next answer = core_give_back(&conn->core, m.now_us, &next, &nudge);
    if (conn->state == CONN_CLOSING)
        assert_int_equal(answer, CORE_NEXT_CLOSE);
    settled(answer, conn, next);
}

static void step_arrive(void)
{
    struct client *c = &m.client[roll(CLIENTS)];

    if (c->doing != COMING)
        return;
    struct core_conn *conn = core_waiter_take(&c->w);
    assert_ptr_equal(conn, c->conn);
    c->doing = NOTHING;
    if (conn == NULL)
        return;
    core_conn_moved(conn, c->w.worker);
    c->doing = HOLDS; /* one that has left gives it back like any other */
}

static void step_leave(void)
{
    struct client *c = &m.client[roll(CLIENTS)];

    if (c->doing == WAITS) {
        assert_true(core_leave(&c->w));
        c->doing = NOTHING;
    } else if (c->doing == COMING) {
        assert_false(core_leave(&c->w));
    }
}

/* The settings have changed: some may wait longer, some are late already. */
static void step_limit_wait(void)
{
    struct client *c = &m.client[roll(CLIENTS)];
    uint64_t until = roll(4) == 0 ? UINT64_MAX : m.now_us + roll(50000) - roll(2) * 1000;

    if (c->doing != WAITS || c->w.state == WAITER_LATE)
        return;
    core_waiter_limit(&c->w, until);
    assert_true(c->w.deadline_us == until);
}

static void step_expire(void)
{
    struct core_waiter_list out = TAILQ_HEAD_INITIALIZER(out);
    uint16_t worker = (uint16_t)roll(WORKERS);
    struct core_waiter *w;

    uint64_t next = core_expire(m.server, worker, m.now_us, &out);
    TAILQ_FOREACH(w, &out, link)
    {
        struct client *c = (struct client *)w;
        assert_true(c->doing == WAITS && w->deadline_us <= m.now_us && w->worker == worker);
        c->doing = NOTHING;
    }
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < CLIENTS; i++) {
        struct client *c = &m.client[i];
        if (c->doing == WAITS && c->w.worker == worker && c->w.deadline_us < least)
            least = c->w.deadline_us;
    }
    assert_true(next == least);
}

static void step_break(void)
{
    struct conn *c = &m.conn[roll(CONNS)];

    if (c->state != CONN_IDLE && c->state != CONN_LENT)
        return;
    if (core_conn_break(&c->core, m.now_us))
        c->ordered = true; /* ours to close; whoever holds it learns so on giving back */
    c->state = CONN_CLOSING;
}

static bool held_by_client(const struct conn *conn)
{
    for (int i = 0; i < CLIENTS; i++)
        if (m.client[i].conn == conn)
            return true;
    return false;
}

static void step_closed(void)
{
    struct conn *c = &m.conn[roll(CONNS)];
    bool nudge;

    if (c->state != CONN_CLOSING || !c->ordered || held_by_client(c))
        return;
    core_conn_closed(&c->core, m.now_us, &nudge);
    *c = (struct conn){0};
}

static void step_login(void)
{
    uint32_t p = roll(POOLS);
    struct core_waiter *next;
    struct conn *c = NULL;

    if (m.opening[p] == 0)
        return;
    m.opening[p]--;
    if (roll(6) == 0) {
        core_open_failed(m.pool[p], (enum core_failure)roll(6), "XX000", "no", m.now_us);
        return;
    }
    for (int i = 0; i < CONNS && c == NULL; i++)
        c = m.conn[i].state == CONN_NONE ? &m.conn[i] : NULL;
    assert_non_null(c);
    *c = (struct conn){0};
    enum core_next answer = core_opened(m.pool[p], &c->core, m.now_us, &next);
    settled(answer, c, next);
}

static void planned_failure(struct core_plan *plan)
{
    struct core_waiter *w;
    TAILQ_FOREACH(w, &plan->failed, link)
    {
        struct client *c = (struct client *)w;
        assert_true(c->doing == WAITS && w->pool == plan->pool && w->state == WAITER_FAILED);
        c->doing = COMING;
        c->conn = NULL;
    }
}

static void step_plan(void)
{
    struct core_plan plan;

    for (int i = 0; i < 1000; i++) {
        core_plan(m.server, m.now_us, &plan);
        struct conn *c = (struct conn *)plan.conn;
        switch (plan.action) {
        case CORE_ACT_NONE:
            return;
        case CORE_ACT_OPEN:
            assert_true(count_used() < m.lim.bound);
            assert_true(count_opening() < m.lim.login_concurrency);
            m.opening[pool_of(plan.pool)]++;
            break;
        case CORE_ACT_CLOSE:
            assert_true(c->core.state == CONN_CLOSING && !c->ordered);
            c->state = CONN_CLOSING;
            c->ordered = true;
            break;
        case CORE_ACT_LEND:
            assert_int_equal(c->state, CONN_IDLE);
            granted(c, plan.waiter);
            break;
        case CORE_ACT_FAIL:
            planned_failure(&plan);
            break;
        }
    }
    fail_msg("the plan does not end");
}

static void step_slots(void)
{
    switch (roll(4)) {
    case 0:
        m.control += core_control_begin(m.server);
        break;
    case 1:
        m.cancelling += core_cancel_begin(m.server, roll(2) == 0);
        break;
    case 2:
        if (m.control > 0) {
            core_control_end(m.server);
            m.control--;
        }
        break;
    default:
        if (m.cancelling > 0) {
            core_cancel_end(m.server);
            m.cancelling--;
        }
    }
}

static uint32_t group_used(uint32_t g)
{
    uint32_t n = 0;
    for (int i = 0; i < CONNS; i++)
        for (int p = 0; p < POOLS; p++)
            n += m.conn[i].state != CONN_NONE && member[g][p] && m.conn[i].core.pool == m.pool[p];
    for (int p = 0; p < POOLS; p++)
        n += member[g][p] ? m.opening[p] : 0;
    return n;
}

static void step_limits(void)
{
    uint32_t p = roll(POOLS);
    const struct core_pool_limits lim = {.max_conns = roll(8),
                                         .min_conns = roll(2),
                                         .idle_timeout_us = roll(3) * 3000,
                                         .lifetime_us = roll(2) * 50000,
                                         .once = roll(8) == 0};
    uint32_t f = roll(FUNCTIONS), g = roll(GROUPS);
    switch (roll(8)) {
    case 7:
        m.group_limit[g] = roll(3) * roll(4);
        m.group_allowed[g] = group_used(g);
        core_group_limit(m.group[g], m.group_limit[g]);
        break;
    case 6:
        m.flim[f] = (struct core_function_limits){.guarantee = roll(3),
                                                  .limit = roll(2) * (1 + roll(4)),
                                                  .weight = 1u << roll(3),
                                                  .max_waiting = roll(4) == 0 ? 5 : 0};
        core_function_limit(m.function[f], &m.flim[f]);
        break;
    case 0:
        m.lim.bound = 1 + roll(12);
        core_server_limit(m.server, &m.lim);
        break;
    case 1:
        core_pool_limit(m.pool[p], &lim);
        break;
    case 2:
        core_pool_reconnect(m.pool[p], m.now_us);
        break;
    case 3:
        m.disabled[p] = roll(4) == 0;
        core_pool_disable(m.pool[p], m.disabled[p]);
        break;
    default:
        m.paused[p] = roll(4) == 0;
        core_pool_pause(m.pool[p], m.paused[p], m.now_us);
    }
    /* Idle ones may be closing now, which we are told when they are handed out. */
}

/* Connections that the core took out of use and has not told us about. */
static void follow_untold(void)
{
    for (int i = 0; i < CONNS; i++) {
        struct conn *c = &m.conn[i];
        if (c->state == CONN_IDLE && c->core.state == CONN_CLOSING) {
            assert_true(c->core.untold);
            c->state = CONN_CLOSING;
        }
    }
}

static void compare(void)
{
    struct core_counts n;

    core_check(m.server);
    follow_untold();
    core_server_counts(m.server, m.now_us, &n);
    assert_int_equal(n.opening, count_opening());
    assert_int_equal(n.idle, count_conns(NULL, CONN_IDLE));
    assert_int_equal(n.lent, count_conns(NULL, CONN_LENT));
    assert_int_equal(n.closing, count_conns(NULL, CONN_CLOSING));
    assert_int_equal(n.cancelling, m.cancelling);
    assert_int_equal(n.control, m.control);
    assert_int_equal(n.waiting, count_waiting(NULL));
    for (int i = 0; i < POOLS; i++) {
        core_pool_counts(m.pool[i], m.now_us, &n);
        assert_int_equal(n.lent, count_conns(m.pool[i], CONN_LENT));
        assert_int_equal(n.idle, count_conns(m.pool[i], CONN_IDLE));
        assert_int_equal(n.waiting, count_waiting(m.pool[i]));
    }
    for (int i = 0; i < CONNS; i++)
        assert_int_equal(m.conn[i].core.state, m.conn[i].state);
    /* The bound; lowered, what is above it may only fall; one cancel may be beyond it. */
    uint32_t used = count_used();
    uint32_t ceiling = m.allowed > m.lim.bound ? m.allowed : m.lim.bound;
    assert_true(used <= ceiling + (m.cancelling > 0));
    m.allowed = used < ceiling ? used : ceiling;
    for (uint32_t g = 0; g < GROUPS; g++) {
        if (m.group_limit[g] == 0)
            continue;
        used = group_used(g);
        ceiling = m.group_allowed[g] > m.group_limit[g] ? m.group_allowed[g] : m.group_limit[g];
        assert_true(used <= ceiling);
        m.group_allowed[g] = used;
    }
}

static void wind_down(void)
{
    const struct core_pool_limits lim = {.idle_timeout_us = 1};

    for (int i = 0; i < CLIENTS; i++)
        (void)!(m.client[i].doing == WAITS && core_leave(&m.client[i].w) &&
                (m.client[i].doing = NOTHING));
    for (int i = 0; i < POOLS; i++) {
        core_pool_disable(m.pool[i], true);
        core_pool_limit(m.pool[i], &lim);
    }
    for (; m.control > 0; m.control--)
        core_control_end(m.server);
    for (; m.cancelling > 0; m.cancelling--)
        core_cancel_end(m.server);
    while (count_used() > 0) {
        m.now_us += 100;
        step_arrive();
        step_give_back();
        step_login();
        step_plan();
        step_closed();
        follow_untold();
    }
    compare();
    for (int i = 0; i < POOLS; i++)
        core_pool_destroy(&m.pool[i]);
    core_server_destroy(&m.server);
}

static void run(uint32_t seed)
{
    static void (*const steps[])(void) = {
        step_borrow,    step_borrow,    step_borrow, step_borrow, step_give_back, step_give_back,
        step_give_back, step_give_back, step_arrive, step_arrive, step_arrive,    step_arrive,
        step_leave,     step_expire,    step_closed, step_closed, step_closed,    step_login,
        step_login,     step_login,     step_plan,   step_plan};
    struct core_pool_limits lim = {.idle_timeout_us = 4000};

    memset(&m, 0, sizeof m);
    m.random = seed;
    m.now_us = 1000;
    m.lim = (struct core_server_limits){.bound = 8,
                                        .login_concurrency = 4,
                                        .max_waiting = 30,
                                        .login_retry_us = 3000,
                                        .workers = WORKERS};
    m.server = core_server_create("db", &m.lim, seed);
    for (int g = 0; g < GROUPS; g++)
        m.group[g] = core_group_create(m.server);
    for (int i = 0; i < POOLS; i++) {
        int n = 0;
        lim.group[0] = lim.group[1] = NULL;
        for (int g = 0; g < GROUPS; g++)
            if (member[g][i])
                lim.group[n++] = m.group[g];
        m.pool[i] = core_pool_create(m.server, "p", &lim, NULL);
    }
    for (int i = 0; i < FUNCTIONS; i++) {
        m.flim[i].weight = 1;
        m.function[i] = core_function_create(m.server, "f", &m.flim[i]);
    }
    for (int i = 0; i < STEPS; i++) {
        m.now_us += 1 + roll(100);
        if (i % 1000 == 0)
            m.active = roll(2) == 0 ? 1 + roll(8) : CLIENTS;
        uint32_t what = roll(1000);
        if (what < 5)
            step_limits();
        else if (what < 15)
            step_break();
        else if (what < 40)
            step_slots();
        else if (what < 50)
            step_limit_wait();
        else
            steps[what % (sizeof steps / sizeof steps[0])]();
        compare();
    }
    wind_down();
}

static void test_random_steps(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 5; seed++)
        run(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_steps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
