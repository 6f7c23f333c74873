/* SPDX-License-Identifier: ISC
 * Failed logins. What happens to those who wait depends on what failed:
 *
 *   REACH    The server is not there, or still starting. Waiters wait on, each within its own
 *            deadline: a database that restarts is a delay and nothing more. Logins pause, 100 ms
 *            first and twice as long each time up to login_retry_us, jittered; from the second
 *            failure on one login at a time probes. After FAILS_DOWN failures and login_retry_us
 *            (at most CORE_GRACE_MAX_US) the server is *down*: waiters are told the server's own
 *            error, and newcomers at once. A server that is being woken after idle_to_zero has
 *            resume_us for that, from when the first client asked.
 *   REFUSED  A wrong password: waiting does not help. This pool's waiters are told at once, and
 *            newcomers, until login_retry_us is over or the pool has new settings; other pools
 *            notice nothing.
 *   MISSING  No such database, or not for this user: likewise, but it is some client's next step to
 *            create it. So newcomers are told for 1 ms only, twice as long with each failure up to
 *            MISSING_MAX_US; whoever comes afterwards waits for what the next login says.
 *   POOL     The server is there, but has nothing for this pool now: no host has the role that it
 *            asks for, its password can't be fetched. Pauses as with REACH, waiters wait as long as
 *            with that, and other pools notice nothing.
 *   FIRST    A limit that several pools have together, those of the first (SECOND: the second) of
 *            its groups, is lower at the server than here, or others use it up: as LIMIT, but of
 *            the group. When that holds no connection at all it is treated like POOL.
 *   LIMIT    The server is full before the bound is reached: others use it too. What is in use now
 *            is taken for the bound (soft_bound) during the pause, half as many logins at once.
 *            Only when we hold no connection at all is it treated like REACH.
 *
 * A pool with loans out is not told anything as long as connections come back: they serve it.
 *
 * How a server that is down is found to be up again: the first who asks after the pause is queued
 * and a login is made for it; whoever comes while that is under way is turned away. If somebody was
 * turned away during the pause, the login is made when the pause ends, without waiting for anyone.
 */
#include "config.h"

#include "core/failure.h"
#include "core/core_priv.h"
#include "core/group.h"

#include <stdio.h>
#include <string.h>

#define PAUSE_FIRST_US   100000u
#define MISSING_FIRST_US 1000u
#define MISSING_MAX_US   1000000u
#define FAILS_PROBE      2u /* so many failures in a row: one login at a time */
#define FAILS_DOWN       3u
#define WINDOW_START     2u

static uint64_t failure_grace_us(const struct core_server *s)
{
    return core_min(s->lim.login_retry_us, CORE_GRACE_MAX_US);
}

static uint64_t failure_grace_end_us(const struct core_server *s)
{
    if (s->resuming)
        return s->resume_since_us + s->lim.resume_us;
    return s->fail_since_us + failure_grace_us(s);
}

static bool failure_pool_down(const struct core_pool *p, uint64_t now_us)
{
    return !p->passing ||
           (p->refused >= FAILS_DOWN && now_us >= p->fail_since_us + failure_grace_us(p->server));
}

static bool failure_server_down(const struct core_server *s, uint64_t now_us)
{
    return s->fails >= FAILS_DOWN && now_us >= failure_grace_end_us(s);
}

/* Nothing can be expected for this pool but from a new login. */
static bool failure_concerns(const struct core_pool *p, uint64_t now_us)
{
    const struct core_server *s = p->server;

    if (p->refused > 0 && p->n[CONN_LENT] == 0 && failure_pool_down(p, now_us))
        return true;
    return failure_server_down(s, now_us) &&
           (p->n[CONN_LENT] == 0 || s->last_return_us < s->fail_since_us);
}

bool core_failure_tells(const struct core_pool *p, uint64_t now_us)
{
    if (p->retired)
        return true;
    uint64_t until = p->refused > 0 ? p->retry_us : p->server->next_open_us;
    return p->n[CONN_OPENING] == 0 && !p->paused && now_us < until && failure_concerns(p, now_us);
}

bool core_failure_bars(const struct core_pool *p, uint64_t now_us)
{
    const struct core_server *s = p->server;

    if (p->retired)
        return true;
    if (!failure_concerns(p, now_us))
        return false;
    if (p->refused > 0)
        return now_us < p->retry_us || (!p->missing && p->n[CONN_OPENING] + p->waiting > 0);
    return now_us < s->next_open_us || s->n[CONN_OPENING] + s->waiting > 0;
}

void core_failure_note_demand(struct core_pool *p)
{
    struct core_server *s = p->server;

    if (p->retired || p->paused)
        return;
    if (p->refused > 0) {
        p->probe_wanted = true;
        s->probe_us = core_min(s->probe_us, p->retry_us);
    } else {
        s->probe_pool = p;
    }
}

uint64_t core_failure_due_us(const struct core_server *s, uint64_t now_us)
{
    if (s->fail_check)
        return 0;
    if (s->fails >= FAILS_DOWN && s->waiting > 0 && !failure_server_down(s, now_us))
        return failure_grace_end_us(s);
    return CORE_NEVER;
}

uint64_t core_failure_probe_us(const struct core_server *s)
{
    if (s->fails > 0 && s->probe_pool != NULL && s->n[CONN_OPENING] == 0)
        return core_min(s->probe_us, s->next_open_us);
    return s->probe_us;
}

struct core_pool *core_failure_probe(struct core_server *s, uint64_t now_us)
{
    struct core_pool *p = s->probe_pool;

    if (s->fails > 0 && p != NULL && now_us >= s->next_open_us && s->n[CONN_OPENING] == 0) {
        s->probe_pool = NULL;
        return p;
    }
    if (now_us < s->probe_us)
        return NULL;
    struct core_pool *found = NULL;
    s->probe_us = CORE_NEVER;
    TAILQ_FOREACH(p, &s->refused, refused_link)
    {
        if (!p->probe_wanted || p->n[CONN_OPENING] > 0)
            continue;
        if (p->missing && p->waiting == 0) /* whoever comes next asks for himself */
            continue;
        if (now_us >= p->retry_us && found == NULL)
            found = p;
        else
            s->probe_us = core_min(s->probe_us, p->retry_us);
    }
    if (found != NULL)
        found->probe_wanted = false;
    return found;
}

uint32_t core_failure_window(const struct core_server *s)
{
    return s->fails >= FAILS_PROBE || s->resuming ? 1 : s->window;
}

void core_failure_forgive(struct core_pool *p)
{
    if (p->refused > 0)
        TAILQ_REMOVE(&p->server->refused, p, refused_link);
    p->refused = 0;
    p->probe_wanted = false;
}

void core_failure_clear(struct core_pool *p)
{
    struct core_server *s = p->server;

    core_failure_forgive(p);
    for (int i = 0; i < CORE_GROUPS && p->group[i] != NULL; i++)
        if (p->group[i]->learned == 0)
            p->group[i]->limited = 0;
    s->probe_pool = NULL;
    s->fails = 0;
    s->next_open_us = 0;
    if (s->now_us >= s->soft_until_us)
        s->limited = 0;
    core_pool_rate(p);
}

void core_failure_note(struct core_fault *f, const char *code, const char *text)
{
    snprintf(f->code, sizeof f->code, "%s", code);
    snprintf(f->text, sizeof f->text, "%s", text);
}

static uint64_t failure_pause_us(struct core_server *s, uint32_t fails)
{
    uint64_t pause = (uint64_t)PAUSE_FIRST_US << core_min(fails - 1, 20);
    return core_jitter(s, core_min(pause, s->lim.login_retry_us));
}

static void failure_of_pool(struct core_pool *p, enum core_failure why, uint64_t now_us)
{
    struct core_server *s = p->server;

    if (p->refused++ == 0) {
        TAILQ_INSERT_TAIL(&s->refused, p, refused_link);
        p->fail_since_us = now_us;
    }
    p->passing = why == CORE_FAIL_POOL;
    p->missing = why == CORE_FAIL_MISSING;
    if (p->passing) {
        p->retry_us = now_us + failure_pause_us(s, p->refused);
        return;
    }
    uint64_t retry_us = s->lim.login_retry_us;
    if (p->missing)
        retry_us =
            core_min(retry_us, core_min((uint64_t)MISSING_FIRST_US << core_min(p->refused - 1, 20),
                                        MISSING_MAX_US));
    /* Not sooner than the setting says: some servers lock an account after a few failures. */
    p->retry_us = now_us + retry_us + retry_us / 4 * (core_random(s) % 1024) / 1024;
    /* The server answered, so it is there: what stood against it is over. */
    s->fails = 0;
    s->next_open_us = 0;
    s->probe_pool = NULL;
}

/* Those that were under way together fail together: only the first counts. */
static void failure_of_server(struct core_server *s, uint64_t now_us)
{
    if (s->fails > 0 && now_us < s->next_open_us)
        return;
    if (s->fails++ == 0)
        s->fail_since_us = now_us;
    s->next_open_us = now_us + failure_pause_us(s, s->fails);
    s->window = (uint32_t)core_min(WINDOW_START, s->lim.login_concurrency);
}

static void failure_of_limit(struct core_server *s, uint64_t now_us)
{
    if (now_us >= s->soft_until_us) {
        s->limited++;
        s->soft_until_us = now_us + failure_pause_us(s, s->limited);
        s->window = s->window > 1 ? s->window / 2 : 1;
    }
    s->soft_bound = core_used(s) > 0 ? core_used(s) : 1;
    if (s->n[CONN_IDLE] + s->n[CONN_LENT] + s->n[CONN_CLOSING] == 0)
        failure_of_server(s, now_us);
}

/* false: none of its connections could come back, so that waiting would be for nothing. */
static bool failure_of_group(struct core_group *g, uint64_t now_us)
{
    if (g == NULL || g->n == 0)
        return false;
    g->limited++;
    core_group_learn(g, failure_pause_us(g->server, g->limited), now_us);
    return true;
}

void core_open_failed(struct core_pool *p, enum core_failure why, const char *code,
                      const char *text, uint64_t now_us)
{
    struct core_server *s = p->server;

    core_enter(s, now_us);
    core_pool_opening(p, false, now_us);
    if (p->opening_stale > 0)
        p->opening_stale--;
    core_slots_settle(s);
    bool whole = why == CORE_FAIL_REACH || why == CORE_FAIL_LIMIT;
    core_failure_note(whole ? &s->fault : &p->fault, code, text);
    switch (why) {
    case CORE_FAIL_FIRST:
    case CORE_FAIL_SECOND:
        if (!failure_of_group(p->group[why == CORE_FAIL_SECOND], now_us))
            failure_of_pool(p, CORE_FAIL_POOL, now_us);
        break;
    case CORE_FAIL_REFUSED:
    case CORE_FAIL_MISSING:
    case CORE_FAIL_POOL:
        failure_of_pool(p, why, now_us);
        break;
    case CORE_FAIL_REACH:
        failure_of_server(s, now_us);
        break;
    case CORE_FAIL_LIMIT:
        failure_of_limit(s, now_us);
        break;
    }
    s->fail_check = true;
    core_pool_rate(p);
    core_exit(s);
}

static bool failure_of_its_groups(const struct core_pool *p)
{
    for (int i = 0; i < CORE_GROUPS && p->group[i] != NULL; i++)
        if (p->group[i]->limited > 0)
            return p->fault.text[0] != '\0';
    return false;
}

bool core_pool_failure(struct core_pool *p, char code[6], char *text, size_t room)
{
    struct core_server *s = p->server;
    const struct core_fault *f = NULL;

    core_enter(s, 0);
    if (p->retired || p->refused > 0 || failure_of_its_groups(p))
        f = &p->fault;
    else if (s->fails > 0 || s->limited > 0)
        f = &s->fault;
    if (f != NULL) {
        snprintf(code, 6, "%s", f->code);
        snprintf(text, room, "%s", f->text);
    }
    core_exit(s);
    return f != NULL;
}
