/* SPDX-License-Identifier: ISC
 * Functions: who borrows from a server, and what each may have of it. The order among them is
 * queue.c's.
 */
#include "config.h"

#include "core/core_priv.h"
#include "core/group.h"
#include "core/queue.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void limits_take(struct core_function *f, const struct core_function_limits *lim)
{
    f->lim = *lim;
    f->lim.weight = (uint32_t)core_clamp(lim->weight, 1, CORE_WEIGHT_MAX);
}

struct core_function *core_function_create(struct core_server *s, const char *name,
                                           const struct core_function_limits *lim)
{
    struct core_function *f = calloc(1, sizeof *f);
    if (f == NULL || (f->name = strdup(name)) == NULL) {
        free(f);
        return NULL;
    }
    f->server = s;
    limits_take(f, lim);
    core_enter(s, 0);
    LIST_INSERT_HEAD(&s->functions, f, link);
    core_exit(s);
    return f;
}

void core_functions_free(struct core_server *s)
{
    struct core_function *f;

    while ((f = LIST_FIRST(&s->functions)) != NULL) {
        assert(LIST_EMPTY(&f->lines));
        LIST_REMOVE(f, link);
        free(f->name);
        free(f);
    }
}

void core_function_limit(struct core_function *f, const struct core_function_limits *lim)
{
    core_enter(f->server, 0);
    limits_take(f, lim);
    core_queue_rate(f);
    core_exit(f->server);
}

void core_function_counts(struct core_function *f, uint64_t now_us,
                          struct core_function_counts *out)
{
    const struct core_line *l;

    *out = (struct core_function_counts){0};
    core_enter(f->server, 0);
    out->lent = f->lent;
    out->waiting = f->waiting;
    out->loans_total = f->loans_total;
    out->refused_total = f->refused_total;
    out->expired_total = f->expired_total;
    LIST_FOREACH(l, &f->lines, link)
    {
        const struct core_waiter *w = TAILQ_FIRST(&l->waiters);
        if (w != NULL && core_age(now_us, w->since_us) > out->oldest_wait_us)
            out->oldest_wait_us = core_age(now_us, w->since_us);
    }
    core_exit(f->server);
}

uint32_t core_server_busiest(struct core_server *s, char *name, size_t room)
{
    const struct core_function *f, *most = NULL;
    uint32_t n = 0;

    core_enter(s, 0);
    LIST_FOREACH(f, &s->functions, link)
    if (f->lent > n) {
        n = f->lent;
        most = f;
    }
    snprintf(name, room, "%s", most != NULL ? most->name : "");
    core_exit(s);
    return n;
}

enum core_obstacle core_pool_obstacle(struct core_pool *p, const struct core_function *f,
                                      uint32_t *group)
{
    enum core_obstacle what = CORE_OBSTACLE_NONE;
    core_enter(p->server, 0);
    const struct core_group *full = core_group_full(p);
    if (p->paused)
        what = CORE_OBSTACLE_PAUSE;
    else if (f->lim.limit != 0 && f->lent >= f->lim.limit)
        what = CORE_OBSTACLE_FUNCTION;
    else if (!core_pool_has_room(p))
        what = CORE_OBSTACLE_POOL;
    else if (full != NULL && full->max_conns != 0)
        what = CORE_OBSTACLE_GROUP;
    for (*group = 0; what == CORE_OBSTACLE_GROUP && p->group[*group] != full;)
        ++*group;
    core_exit(p->server);
    return what;
}

uint64_t core_server_moves(struct core_server *s)
{
    const struct core_pool *p;

    core_enter(s, 0);
    uint64_t n = s->hungry.moves;
    for (uint32_t i = 0; i < s->workers; i++)
        n += s->deadline[i].moves;
    TAILQ_FOREACH(p, &s->pools, link)
    n += p->lines.moves;
    core_exit(s);
    return n;
}

bool core_server_resuming(struct core_server *s)
{
    core_enter(s, 0);
    bool yes = s->resuming;
    core_exit(s);
    return yes;
}
