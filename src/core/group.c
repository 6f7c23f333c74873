/* SPDX-License-Identifier: ISC
 * See core_group.h. A group counts what its pools have, logins under way and connections that are
 * being closed included. At its limit none of its pools opens another. One that wants to is kept in
 * the group's heap instead of the server's (core_pool_rate), and a connection of the group is
 * closed in its favour by the rules that hold between pools when the whole bound is used up
 * (share.c), one at a time.
 */
#include "config.h"

#include "core/group.h"
#include "core/core_priv.h"

#include <assert.h>
#include <stdlib.h>

static bool is_full(const struct core_group *g)
{
    return (g->max_conns > 0 && g->n >= g->max_conns) || (g->learned > 0 && g->n >= g->learned);
}

static bool has(const struct core_group *g, const struct core_pool *p)
{
    return p->group[0] == g || p->group[1] == g;
}

static void rate_all(struct core_group *g)
{
    struct core_pool *p;
    TAILQ_FOREACH(p, &g->server->pools, link)
    {
        if (has(g, p))
            core_pool_rate(p);
    }
}

void core_group_count(struct core_pool *p, bool more)
{
    for (int i = 0; i < CORE_GROUPS && p->group[i] != NULL; i++) {
        struct core_group *g = p->group[i];
        bool was = is_full(g);
        g->n += more ? 1u : UINT32_MAX;
        if (is_full(g) != was)
            rate_all(g);
    }
}

void core_group_closing(struct core_pool *p, bool more)
{
    for (int i = 0; i < CORE_GROUPS && p->group[i] != NULL; i++)
        p->group[i]->closing += more ? 1u : UINT32_MAX;
}

struct core_group *core_group_full(const struct core_pool *p)
{
    for (int i = 0; i < CORE_GROUPS && p->group[i] != NULL; i++)
        if (is_full(p->group[i]))
            return p->group[i];
    return NULL;
}

bool core_group_over(const struct core_pool *p)
{
    for (int i = 0; i < CORE_GROUPS && p->group[i] != NULL; i++) {
        const struct core_group *g = p->group[i];
        if (g->max_conns > 0 && g->n - g->closing > g->max_conns)
            return true;
    }
    return false;
}

void core_group_learn(struct core_group *g, uint64_t pause_us, uint64_t now_us)
{
    struct core_server *s = g->server;

    g->learned = g->n;
    g->learned_until_us = now_us + pause_us;
    s->learned_us = core_min(s->learned_us, g->learned_until_us);
    rate_all(g);
}

void core_group_forget(struct core_server *s, uint64_t now_us)
{
    struct core_group *g;

    if (now_us < s->learned_us)
        return;
    s->learned_us = CORE_NEVER;
    LIST_FOREACH(g, &s->groups, link)
    {
        if (g->learned > 0 && now_us >= g->learned_until_us) {
            g->learned = 0;
            rate_all(g);
        } else if (g->learned > 0) {
            s->learned_us = core_min(s->learned_us, g->learned_until_us);
        }
    }
}

void core_group_block(struct core_pool *p, struct core_group *g, uint64_t key)
{
    if (p->blocked_in != NULL && p->blocked_in != g)
        core_heap_remove(&p->blocked_in->blocked, &p->blocked_at);
    p->server->blocked += (uint32_t)(g != NULL) - (uint32_t)(p->blocked_in != NULL);
    p->blocked_in = g;
    if (g != NULL)
        (void)core_heap_set(&g->blocked, key, &p->blocked_at); /* has its room */
}

static struct core_pool *wanting(const struct core_group *g)
{
    uint32_t *at = core_heap_least(&g->blocked);
    if (at == NULL || g->closing > 0)
        return NULL;
    return (struct core_pool *)(void *)((char *)at - offsetof(struct core_pool, blocked_at));
}

struct core_pool *core_group_claimant(const struct core_pool *p)
{
    for (int i = 0; i < CORE_GROUPS && p->group[i] != NULL; i++) {
        struct core_pool *q = wanting(p->group[i]);
        if (q != NULL && q != p)
            return q;
    }
    return NULL;
}

struct core_group *core_group_next(const struct core_server *s, struct core_group *g,
                                   struct core_pool **wants, struct core_conn **idle)
{
    if (s->blocked == 0)
        return NULL;
    for (g = g == NULL ? LIST_FIRST(&s->groups) : LIST_NEXT(g, link); g != NULL;
         g = LIST_NEXT(g, link)) {
        struct core_conn *c = NULL;
        if ((*wants = wanting(g)) != NULL)
            TAILQ_FOREACH(c, &s->idle, line)
            {
                if (has(g, c->pool))
                    break;
            }
        if ((*idle = c) != NULL)
            return g;
    }
    return NULL;
}

/* ---- set-up ---- */

struct core_group *core_group_create(struct core_server *s)
{
    struct core_group *g = calloc(1, sizeof *g);
    if (g == NULL)
        return NULL;
    g->server = s;
    core_enter(s, 0);
    LIST_INSERT_HEAD(&s->groups, g, link);
    core_exit(s);
    return g;
}

void core_group_limit(struct core_group *g, uint32_t max_conns)
{
    core_enter(g->server, 0);
    if (g->max_conns != max_conns) {
        g->max_conns = max_conns;
        g->server->maint_us = 0; /* idle ones may be too many */
        rate_all(g);
    }
    core_exit(g->server);
}

bool core_group_join(struct core_pool *p, struct core_group *const *g)
{
    for (int i = 0; i < CORE_GROUPS && g[i] != NULL; i++) {
        assert(g[i]->server == p->server);
        if (!core_heap_reserve(&g[i]->blocked, g[i]->pools + 1))
            return false;
    }
    for (int i = 0; i < CORE_GROUPS && g[i] != NULL; i++) {
        p->group[i] = g[i];
        g[i]->pools++;
    }
    return true;
}

void core_group_leave(struct core_pool *p)
{
    core_group_block(p, NULL, 0);
    for (int i = 0; i < CORE_GROUPS && p->group[i] != NULL; i++)
        p->group[i]->pools--;
}

void core_groups_free(struct core_server *s)
{
    struct core_group *g;
    while ((g = LIST_FIRST(&s->groups)) != NULL) {
        LIST_REMOVE(g, link);
        core_heap_fini(&g->blocked);
        free(g);
    }
}
