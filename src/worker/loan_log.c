/* SPDX-License-Identifier: ISC
 * One line for a loan that is over: the slow, those that pinned, those that ended other than in
 * order, and of the others one in log_loan_sample. A bad day makes all of them slow, so there is a
 * number a second beyond which they are only counted.
 * Thread: the worker's.
 */
#include "config.h"

#include "worker/function.h"
#include "worker/route.h"
#include "worker/worker_priv.h"

#include "base/log.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINES_A_SECOND 100u

static bool may_speak(struct worker *w, uint32_t *dropped)
{
    struct loan_log *l = &w->loan_log;
    uint64_t second = w->now_us / US_PER_S;
    if (second != l->second) {
        l->second = second;
        l->said = 0;
    }
    if (l->said == LINES_A_SECOND) {
        l->dropped++;
        return false;
    }
    l->said++;
    *dropped = l->dropped;
    l->dropped = 0;
    return true;
}

/* Is it one of those that get a line? */
static bool is_chosen(struct worker *w, const struct backend *b, uint64_t held)
{
    const struct settings *set = w->settings;
    if (set->slow_loan_us == 0 && set->loan_sample == 0)
        return false;
    bool slow = set->slow_loan_us != 0 &&
                (b->pinned || b->wait_us >= set->slow_loan_us || held >= set->slow_loan_us);
    if (slow || set->loan_sample == 0)
        return slow;
    if (++w->loan_log.unsampled < set->loan_sample)
        return false;
    w->loan_log.unsampled = 0;
    return true;
}

/* A server's name is host:port, or several of them. */
static void describe_server(const char *name, struct log_fields *f)
{
    char host[256];
    const char *colon = strrchr(name, ':');
    size_t n = colon != NULL ? (size_t)(colon - name) : 0;
    if (n == 0 || n >= sizeof host || strchr(name, ',') != NULL) {
        log_field(f, "server.address", name);
        return;
    }
    memcpy(host, name, n);
    host[n] = '\0';
    log_field(f, "server.address", host);
    log_field_int(f, "server.port", strtoul(colon + 1, NULL, 10));
}

static void describe(const struct backend *b, const struct client *c, uint64_t held,
                     const char *reason, struct log_fields *f)
{
    char ip[INET6_ADDRSTRLEN] = "";
    log_field(f, "event.dataset", "weir.loan");
    log_field(f, "event.action", "loan");
    log_field(f, "event.outcome", reason == NULL ? "success" : "failure");
    log_field(f, "event.reason", reason);
    log_field_int(f, "event.duration", held * 1000); /* ECS: nanoseconds */
    log_field(f, "faas.name", b->function != NULL ? b->function->name : NULL);
    if (c != NULL && c->family != 0) {
        log_field(f, "client.address",
                  inet_ntop(c->family == 4 ? AF_INET : AF_INET6, c->addr, ip, sizeof ip));
        log_field_int(f, "client.port", c->port);
    }
    describe_server(b->route->server->name, f);
    log_field(f, "user.name", b->route->user);
    log_field(f, "weir.database", b->route->database);
    log_field_ms(f, "weir.wait_ms", b->wait_us);
    log_field_ms(f, "weir.hold_ms", held);
    log_field_int(f, "weir.statements", b->statements);
    log_field(f, "weir.pin_reason", b->pin_reason);
    log_field(f, "trace.id", b->trace_id);
}

void loan_log(struct backend *b, struct client *c, const char *reason, const char *text)
{
    struct worker *w = b->worker;
    uint64_t held = w->now_us - b->lent_us;
    uint32_t dropped;
    if ((reason == NULL && !is_chosen(w, b, held)) || !log_enabled(LOG_LEVEL_INFO) ||
        !may_speak(w, &dropped))
        return;
    struct log_fields f;
    char who[200] = "";
    if (c != NULL)
        client_name(c, who, sizeof who);
    log_fields_begin(&f);
    describe(b, c, held, reason, &f);
    if (dropped != 0)
        log_field_int(&f, "weir.dropped", dropped);
    log_write_with(LOG_LEVEL_INFO, who, &f, "%s", text);
}
