/* SPDX-License-Identifier: ISC
 * Those who wait in vain: what they are told, and what is logged of it. See worker_priv.h.
 * Thread: the worker's.
 */
#include "config.h"

#include "worker/function.h"
#include "worker/route.h"
#include "worker/worker_priv.h"
#include "worker/world.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Where connections are free and it waits all the same, which setting has it wait. */
static const char *obstacle(const struct client *c)
{
    static const char *const by_group[] = {", max_db_connections of its database are in use",
                                           ", max_user_connections of its user are in use"};
    uint32_t group;
    switch (core_pool_obstacle(c->route->pool, c->function->core, &group)) {
    case CORE_OBSTACLE_NONE:
        break;
    case CORE_OBSTACLE_PAUSE:
        return ", its database is paused";
    case CORE_OBSTACLE_FUNCTION:
        return ", its function has as many as its limit lets it";
    case CORE_OBSTACLE_POOL:
        return ", its database and user have as many as pool_size lets them";
    case CORE_OBSTACLE_GROUP:
        return group < 2 ? by_group[group] : "";
    }
    return c->wait != NULL && c->wait->waiter.held ? ", to its address as many as it may have" : "";
}

/* Who waited for what: the sentence that the client and the log get. */
static void describe_wait(struct client *c, const char *what, char *to, size_t room)
{
    struct core_counts n;
    struct core_server *server = core_pool_server(c->route->pool);
    char busiest[FUNCTION_NAME_BYTES], most[FUNCTION_NAME_BYTES + 32] = "";
    uint32_t theirs = core_server_busiest(server, busiest, sizeof busiest);
    if (theirs != 0)
        snprintf(most, sizeof most, ", %" PRIu32 " of them to \"%s\"", theirs, busiest);
    core_server_counts(server, c->worker->now_us, &n);
    snprintf(to, room,
             "weir: no connection for function \"%s\" %s (%s%s %" PRIu32 "/%" PRIu32
             " lent%s%s, %" PRIu32 " waiting, oldest loan %.1f s)",
             c->function->name, what, core_server_name(server),
             core_server_resuming(server) ? " is resuming," : "", n.lent, n.bound, most,
             obstacle(c), n.waiting, (double)n.oldest_loan_us / 1e6);
    char code[6], why[200];
    size_t used = strlen(to);
    if (core_pool_failure(c->route->pool, code, why, sizeof why))
        snprintf(to + used, room - used, ", and the server gives no more: %.*s",
                 (int)strcspn(why, "\n"), why);
}

/* Answer the waiting message and go on behind it; `reason` is the word it is counted by. false: the
 * client is gone. */
static bool tell(struct client *c, enum proto_event ev, const char *reason, const char *code,
                 const char *text)
{
    struct worker *w = c->worker;
    size_t used = 0;
    route_count(c->route, w, STAT_REFUSALS, 1);
    function_count(c->function, w, FUNCTION_REFUSAL, reason);
    if (w->settings->log_errors) {
        static struct log_limit limit;
        uint32_t dropped;
        char who[200];
        client_name(c, who, sizeof who);
        if (log_limit_pass(&limit, &dropped)) {
            struct log_fields f;
            log_fields_begin(&f);
            log_field(&f, "event.action", "refusal");
            log_field(&f, "event.reason", reason);
            log_field(&f, "faas.name", c->function->name);
            log_write_with(LOG_LEVEL_WARNING, who, &f, "%s%s", text,
                           dropped != 0 ? " (and others)" : "");
        }
    }
    client_set_state(c, CLIENT_IDLE);
    c->cancelled = false;
    bool kept = c->route->proto->say(c->proto, NULL, ev, text, code, buf_head(&c->in),
                                     buf_len(&c->in), &used, &c->out);
    buf_consume(&c->in, used);
    if (!kept) {
        client_finish(c);
        return false;
    }
    stream_resume(&c->stream, PAUSE_LEASE);
    return client_flush(c);
}

bool loan_refused(struct client *c)
{
    char text[512], code[6] = "";
    switch ((enum core_answer)c->refusal) {
    case CORE_FULL:
        describe_wait(c, "because too many clients wait already", text, sizeof text);
        return tell(c, PROTO_EV_NO_LOAN, "queue_full", NULL, text);
    case CORE_DISABLED:
        snprintf(text, sizeof text, "weir: database \"%s\" is disabled", c->route->database);
        return tell(c, PROTO_EV_NO_LOAN, "disabled", NULL, text);
    case CORE_LENT:
    case CORE_QUEUED:
    case CORE_DOWN:
        break;
    }
    char why[300] = "the server can't be reached";
    struct core_server *server = core_pool_server(c->route->pool);
    (void)core_pool_failure(c->route->pool, code, why, sizeof why);
    if (core_server_resuming(server))
        snprintf(text, sizeof text,
                 "weir: no connection for function \"%s\" (%s is resuming and took longer than "
                 "resume_timeout): %s",
                 c->function->name, core_server_name(server), why);
    else
        snprintf(text, sizeof text, "%s", why);
    return tell(c, PROTO_EV_DOWN, "server_down", code, text);
}

void loan_tell_late(struct client *c, uint64_t deadline_us, bool own)
{
    char text[512], what[64];
    uint64_t now_us = c->worker->now_us, until = now_us < deadline_us ? now_us : deadline_us;
    snprintf(what, sizeof what, "within %" PRIu64 " ms", (until - c->since_us) / US_PER_MS);
    describe_wait(c, what, text, sizeof text);
    size_t n = strlen(text);
    if (own)
        snprintf(text + n, sizeof text - n, ", its deadline");
    if (tell(c, PROTO_EV_NO_LOAN, own ? "deadline" : "timeout", NULL, text))
        relay_resume(c);
}

void loan_expire(struct worker *w)
{
    struct core_waiter_list out;
    TAILQ_INIT(&out);
    routes_expire(w->world->routes, w->index, w->now_us, &out);
    struct core_waiter *wt;
    while ((wt = TAILQ_FIRST(&out)) != NULL) {
        TAILQ_REMOVE(&out, wt, link);
        loan_tell_late(client_of_waiter(wt), wt->deadline_us, wt->firm);
    }
}

void loan_give_up(struct client *c, const char *text)
{
    if (c->state != CLIENT_WAITING || c->coming != NULL || !core_leave(&c->wait->waiter))
        return;
    if (tell(c, PROTO_EV_NO_LOAN, "frozen", NULL, text))
        relay_resume(c);
}

void loan_tell_cancelled(struct client *c)
{
    if (tell(c, PROTO_EV_CANCELLED, "cancelled", NULL, "canceling statement due to user request"))
        relay_resume(c);
}
