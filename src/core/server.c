/* SPDX-License-Identifier: ISC
 * One database server: its creation, its limits, its counts, and the entry and exit that every
 * function of the core goes through.
 */
#include "config.h"

#include "core/core_priv.h"
#include "core/group.h"
#include "core/peer.h"
#include "core/queue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_START     2u
#define LOGIN_US_ASSUMED 5000u /* until the first login has been timed */

static void server_lists_init(struct core_server *s)
{
    TAILQ_INIT(&s->pools);
    TAILQ_INIT(&s->idle);
    TAILQ_INIT(&s->untold);
    TAILQ_INIT(&s->resumed);
    TAILQ_INIT(&s->refused);
    LIST_INIT(&s->functions);
    LIST_INIT(&s->groups);
    s->learned_us = CORE_NEVER;
}

struct core_server *core_server_create(const char *name, const struct core_server_limits *lim,
                                       uint32_t seed)
{
    assert(lim->bound > 0 && lim->login_concurrency > 0);
    assert(lim->workers > 0 && lim->workers <= CORE_MAX_WORKERS);
    struct core_server *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->name = strdup(name);
    s->deadline = calloc(lim->workers, sizeof *s->deadline);
    s->late = calloc(lim->workers, sizeof *s->late);
    if (s->name == NULL || s->deadline == NULL || s->late == NULL) {
        free(s->name);
        free(s->deadline);
        free(s->late);
        free(s);
        return NULL;
    }
    server_lists_init(s);
    s->magic = CORE_MAGIC_SERVER;
    s->workers = lim->workers;
    s->lim = *lim;
    s->allowed = lim->bound;
    s->random = seed != 0 ? seed : 1;
    s->window = (uint32_t)core_min(WINDOW_START, lim->login_concurrency);
    s->login_us = LOGIN_US_ASSUMED;
    s->maint_us = s->wake_us = s->probe_us = CORE_NEVER;

    /* Critical sections are shorter than a sleep and a wake-up. */
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(&s->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    for (uint32_t i = 0; i < lim->workers; i++)
        TAILQ_INIT(&s->late[i]);
    const struct core_function_limits any = {.weight = 1};
    s->nobody = core_function_create(s, "", &any);
    if (s->nobody == NULL)
        core_server_destroy(&s);
    return s;
}

void core_server_destroy(struct core_server **sp)
{
    struct core_server *s = *sp;

    assert(s->magic == CORE_MAGIC_SERVER);
    assert(s->pools_n == 0 && core_used(s) == 0 && s->waiting == 0);
    pthread_mutex_destroy(&s->lock);
    for (uint32_t i = 0; i < s->workers; i++)
        core_heap_fini(&s->deadline[i]);
    core_heap_fini(&s->hungry);
    s->magic = 0;
    core_functions_free(s);
    core_groups_free(s);
    free(s->late);
    free(s->deadline);
    free(s->name);
    free(s);
    *sp = NULL;
}

void core_server_limit(struct core_server *s, const struct core_server_limits *lim)
{
    assert(lim->bound > 0 && lim->login_concurrency > 0 && lim->workers == s->workers);
    core_enter(s, 0);
    s->lim = *lim;
    s->window = (uint32_t)core_clamp(s->window, 1, lim->login_concurrency);
    s->allowed = (uint32_t)core_clamp(core_used(s) - s->excess, lim->bound, UINT32_MAX);
    core_peers_release(s);
    core_exit(s);
}

const char *core_server_name(const struct core_server *s)
{
    return s->name;
}

uint32_t core_random(struct core_server *s)
{
    s->random ^= s->random << 13;
    s->random ^= s->random >> 17;
    s->random ^= s->random << 5;
    return s->random;
}

uint64_t core_jitter(struct core_server *s, uint64_t us)
{
    return us - us / 4 + us / 2 * (core_random(s) % 1024) / 1024;
}

void core_enter(struct core_server *s, uint64_t now_us)
{
    assert(s->magic == CORE_MAGIC_SERVER);
    pthread_mutex_lock(&s->lock);
    if (now_us > s->now_us)
        s->now_us = now_us;
}

#ifdef WEIR_DEBUG
/* A full walk costs as much as there is to see, so it waits until that many calls have been made:
 * the average call stays cheap enough for tests with ten thousand clients. */
static void check_sometimes(struct core_server *s)
{
    if (++s->check_debt < s->waiting + core_used(s) + s->pools_n)
        return;
    s->check_debt = 0;
    core_check_locked(s);
}
#endif

void core_exit(struct core_server *s)
{
#ifdef WEIR_DEBUG
    check_sometimes(s);
#endif
    pthread_mutex_unlock(&s->lock);
}

/* ---- counts ---- */

static void counts_add_ages(const struct core_pool *p, uint64_t now_us, struct core_counts *out)
{
    const struct core_waiter *w = core_queue_oldest(p);
    const struct core_conn *c = TAILQ_FIRST(&p->lent);

    if (w != NULL && core_age(now_us, w->since_us) > out->oldest_wait_us)
        out->oldest_wait_us = core_age(now_us, w->since_us);
    if (c != NULL && core_age(now_us, c->since_us) > out->oldest_loan_us)
        out->oldest_loan_us = core_age(now_us, c->since_us);
    out->loans_total += p->loans_total;
    out->refused_total += p->refused_total;
    out->expired_total += p->expired_total;
}

static void counts_states(const uint32_t n[CONN_STATES], struct core_counts *out)
{
    out->opening = n[CONN_OPENING];
    out->idle = n[CONN_IDLE];
    out->lent = n[CONN_LENT];
    out->closing = n[CONN_CLOSING];
}

void core_server_counts(struct core_server *s, uint64_t now_us, struct core_counts *out)
{
    *out = (struct core_counts){0};
    core_enter(s, 0);
    counts_states(s->n, out);
    out->cancelling = s->cancelling;
    out->control = s->control;
    out->waiting = s->waiting;
    out->bound = s->lim.bound;
    const struct core_pool *p;
    TAILQ_FOREACH(p, &s->pools, link)
    counts_add_ages(p, now_us, out);
    core_exit(s);
}

void core_pool_counts(struct core_pool *p, uint64_t now_us, struct core_counts *out)
{
    *out = (struct core_counts){0};
    core_enter(p->server, 0);
    counts_states(p->n, out);
    out->waiting = p->waiting;
    out->bound = p->lim.max_conns;
    counts_add_ages(p, now_us, out);
    core_exit(p->server);
}
