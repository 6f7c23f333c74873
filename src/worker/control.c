/* SPDX-License-Identifier: ISC
 * See control.h. Thread: the main one, but for control_post() and control_nudge().
 */
#include "config.h"

#include "worker/control.h"

#include "worker/console.h"
#include "worker/world.h"

#include "base/log.h"
#include "net/names.h"

#include <stdlib.h>
#include <string.h>

#define JOB_THREADS 4
#define RETRY_US    10000u /* a job that found no slot asks again */

enum { CONTROL_NUDGE = 1000 };

struct loop *control_loop(struct control *c)
{
    return c->loop;
}

struct names *control_names(struct control *c)
{
    return c->names;
}

void control_post(struct control *c, struct mail *m)
{
    loop_post(c->loop, m);
}

void control_nudge(struct control *c, struct core_server *core)
{
    if (c == NULL)
        return;
    for (struct bound_server *s = routes_first_server(c->world->routes); s != NULL; s = s->next) {
        if (s->core != core || atomic_exchange(&s->nudged, true))
            continue;
        s->nudge.kind = CONTROL_NUDGE;
        loop_post(c->loop, &s->nudge);
    }
}

/* ---- planning
 * -------------------------------------------------------------------------------------- */

static void carry_out(struct control *c, struct core_plan *plan)
{
    struct core_waiter *w;
    switch (plan->action) {
    case CORE_ACT_OPEN:
        dial_open(c, core_pool_owner(plan->pool));
        break;
    case CORE_ACT_CLOSE: {
        struct backend *b = container_of(plan->conn, struct backend, core);
        b->order.kind = MAIL_CLOSE;
        worker_post(c->world, plan->worker, &b->order);
        break;
    }
    case CORE_ACT_LEND: {
        struct backend *b = container_of(plan->conn, struct backend, core);
        b->bring = plan->waiter;
        b->order.kind = MAIL_BRING;
        worker_post(c->world, plan->worker, &b->order);
        break;
    }
    case CORE_ACT_FAIL:
        while ((w = TAILQ_FIRST(&plan->failed)) != NULL) {
            TAILQ_REMOVE(&plan->failed, w, link);
            struct client_wait *wait = container_of(w, struct client_wait, waiter);
            wait->mail.kind = MAIL_FAILED;
            worker_post(c->world, w->worker, &wait->mail);
        }
        break;
    case CORE_ACT_NONE:
        break;
    }
}

static void set_timer(struct control *c, uint64_t at_us)
{
    if (at_us >= c->wake_us)
        return;
    uint64_t now = clock_now_us();
    c->wake_us = at_us;
    timer_set_us(&c->timer, at_us > now ? at_us - now : 0);
}

void control_look_at_warm(struct control *c)
{
    c->warm_at_us = 0;
    set_timer(c, clock_now_us());
}

void control_plan(struct control *c, struct bound_server *s)
{
    struct core_plan plan;
    if (s->planning || c->stopping)
        return;
    s->planning = true; /* what is carried out may fail at once and ask for a plan again */
    for (;;) {
        core_plan(s->core, clock_now_us(), &plan);
        if (plan.action == CORE_ACT_NONE)
            break;
        carry_out(c, &plan);
    }
    s->planning = false;
    s->plan_at_us = plan.wake_us;
    set_timer(c, plan.wake_us);
}

static struct bound_server *server_of(struct control *c, const struct core_server *core)
{
    for (struct bound_server *s = routes_first_server(c->world->routes); s != NULL; s = s->next)
        if (s->core == core)
            return s;
    return NULL;
}

/* ---- jobs
 * ------------------------------------------------------------------------------------------------
 */

/* auth_query is asked for people whom nobody knows yet. At most so large a part of the bound at
 * once, and only so often while clients wait for a connection: who makes up names must not take
 * the connections of those who are logged in. */
#define LOOKUPS_PART  4u
#define LOOKUP_GAP_US (10 * US_PER_MS)

static bool lookup_slot(struct control *c, struct job *j, uint64_t now)
{
    struct bound_server *s = server_of(c, j->core);
    struct core_counts counts;
    core_server_counts(j->core, now, &counts);
    if (s != NULL && ((s->lookups != 0 && s->lookups >= counts.bound / LOOKUPS_PART) ||
                      (counts.waiting != 0 && now - s->lookup_us < LOOKUP_GAP_US)))
        return false;
    if (!core_control_begin(j->core))
        return false;
    if (s != NULL) {
        s->lookups++;
        s->lookup_us = now;
    }
    return true;
}

static bool job_slot(struct control *c, struct job *j, uint64_t now)
{
    if (j->kind == JOB_AUTH_QUERY)
        return lookup_slot(c, j, now);
    if (j->kind != JOB_CANCEL)
        return core_control_begin(j->core);
    return core_cancel_begin(j->core, now - j->made_us < j->ops->cancel_patience_ms * US_PER_MS);
}

static void job_go_home(struct control *c, struct job *j)
{
    if (j->kind != JOB_PROBE)
        worker_post(c->world, j->worker, &j->mail);
}

static void on_job_done(struct job *j, void *arg)
{
    struct control *c = arg;
    if (j->kind == JOB_LOGIN || j->kind == JOB_HANDSHAKE)
        worker_post(j->world, j->worker, &j->mail);
    else
        loop_post(c->loop, &j->mail);
}

static void try_waiting(struct control *c)
{
    struct job *j, *tmp;
    const struct core_server *full = NULL; /* for a look-up: likewise for the next */
    uint64_t now = clock_now_us();
    struct settings *set = world_settings(c->world);
    uint64_t limit = conf_settings(set->conf)->cancel_wait_timeout_us;
    settings_put(&set);
    STAILQ_FOREACH_SAFE(j, &c->waiting, link, tmp)
    {
        bool lookup = j->kind == JOB_AUTH_QUERY, late = limit != 0 && now - j->made_us > limit;
        bool moot = lookup ? job_is_idle_lookup(j) : atomic_load(&j->moot);
        if (!late && !moot && ((lookup && j->core == full) || !job_slot(c, j, now))) {
            full = lookup ? j->core : full;
            continue;
        }
        STAILQ_REMOVE(&c->waiting, j, job, link);
        if (late || moot) {
            err_set(&j->err, "no connection was free for it");
            j->crowded = true;
            j->done = true;
            if (j->kind == JOB_PROBE) {
                atomic_store(&j->server->probing, false);
                job_free(&j);
            } else {
                job_go_home(c, j);
            }
            continue;
        }
        jobs_queue(c->world->jobs, j);
    }
    if (!STAILQ_EMPTY(&c->waiting))
        set_timer(c, now + RETRY_US);
}

static void probe_done(struct control *c, struct job *j)
{
    struct bound_server *s = j->server;
    atomic_store(&s->probing, false);
    if (!j->ok) {
        log_warn(s->name, "can't ask for its limits: %s", j->err.text);
        job_free(&j);
        return;
    }
    struct settings *set = world_settings(c->world);
    routes_learn_limits(c->world->routes, set, s, &j->limits);
    log_info(s->name, "the server gives %u connections, %u of them reserved: bound %u",
             s->max_connections, s->reserved, bound_server_limit(s));
    settings_put(&set);
    job_free(&j);
    control_plan(c, s);
}

static void on_job(struct control *c, struct job *j)
{
    if (!j->done) {
        struct bound_server *s = server_of(c, j->core);
        STAILQ_INSERT_TAIL(&c->waiting, j, link);
        try_waiting(c);
        if (s != NULL && !STAILQ_EMPTY(&c->waiting))
            control_plan(c, s); /* an idle connection has to make room for it */
        return;
    }
    struct core_server *core = j->core;
    if (j->kind == JOB_PASSWORD) {
        dial_password(c, j);
        return;
    }
    if (j->kind == JOB_CANCEL)
        core_cancel_end(core);
    else
        core_control_end(core);
    struct bound_server *s = j->kind == JOB_AUTH_QUERY ? server_of(c, core) : NULL;
    if (s != NULL && s->lookups != 0)
        s->lookups--;
    if (j->kind == JOB_CANCEL && !j->ok)
        log_warn(NULL, "cancel request failed: %s", j->err.text);
    if (j->kind == JOB_PROBE)
        probe_done(c, j);
    else
        job_go_home(c, j);
    control_nudge(c, core);
}

void control_learn(struct control *c, struct route *r)
{
    struct bound_server *s = r->server;
    bool matters = s->bound.kind == CONF_BOUND_AUTO || s->bound.kind == CONF_BOUND_PERCENT;
    if (matters && !atomic_load(&s->probed) && !atomic_exchange(&s->probing, true)) {
        struct job *j = job_probe(c->world, s, r);
        if (j != NULL)
            on_job(c, j);
        else
            atomic_store(&s->probing, false);
    }
    /* The extra connection that was to teach the greeting need not be kept. */
    struct settings *set = world_settings(c->world);
    routes_relax(c->world->routes, set, r);
    settings_put(&set);
    if (r->guessed && atomic_load(&r->clients) == 0)
        core_pool_drop_unused(r->pool, clock_now_us());
    r->guessed = false;
}

/* ---- the loop
 * -----------------------------------------------------------------------------------------------
 */

static void on_mail(struct mail *m, void *arg)
{
    struct control *c = arg;
    if (m->kind == CONTROL_NUDGE) {
        struct bound_server *s = container_of(m, struct bound_server, nudge);
        atomic_store(&s->nudged, false);
        try_waiting(c);
        control_plan(c, s);
        return;
    }
    if (m->kind == MAIL_CANCELLED || m->kind == MAIL_SECRET) {
        on_job(c, container_of(m, struct job, mail));
        return;
    }
    if (m->kind == MAIL_ORDER) {
        order_done(m);
        return;
    }
    if (m->kind == MAIL_VIEW) {
        view_collected(m);
        return;
    }
    if (m->kind == MAIL_CONSOLE) {
        struct console_request *q = container_of(m, struct console_request, mail);
        c->world->console[q->door]->run(q, c->world->console[q->door]->arg);
        return;
    }
    if (c->world->on_control_mail != NULL)
        c->world->on_control_mail(m, c->world->on_control_arg);
}

static void on_timer(void *arg)
{
    struct control *c = arg;
    uint64_t now = clock_now_us();
    c->wake_us = UINT64_MAX;
    set_timer(c, control_warm(c, now));
    try_waiting(c);
    for (struct bound_server *s = routes_first_server(c->world->routes); s != NULL; s = s->next) {
        if (s->plan_at_us <= now)
            control_plan(c, s);
        else
            set_timer(c, s->plan_at_us);
    }
}

struct control *control_create(struct world *world)
{
    struct control *c = calloc(1, sizeof *c);
    struct settings *set = world_settings(world);
    const struct conf_settings *cs = conf_settings(set->conf);
    struct names_settings ns = {.max_ttl_us = cs->dns_max_ttl_us,
                                .nxdomain_ttl_us = cs->dns_nxdomain_ttl_us};
    settings_put(&set);
    if (c == NULL)
        return NULL;
    c->world = world;
    c->wake_us = UINT64_MAX;
    LIST_INIT(&c->dials);
    STAILQ_INIT(&c->waiting);
    c->loop = loop_create();
    c->names = c->loop != NULL ? names_create(c->loop, &ns) : NULL;
    world->jobs = jobs_create(JOB_THREADS, on_job_done, c);
    if (c->names == NULL || world->jobs == NULL)
        return NULL;
    timer_init(&c->timer, c->loop, on_timer, c);
    loop_on_mail(c->loop, on_mail, c);
    return c;
}

void control_destroy(struct control **cp)
{
    struct control *c = *cp;
    if (c == NULL)
        return;
    *cp = NULL;
    c->stopping = true;
    timer_clear(&c->timer);
    dial_stop_all(c);
    names_destroy(&c->names);
    loop_destroy(&c->loop);
    free(c);
}
