/* SPDX-License-Identifier: ISC
 * Connections made ready before anybody asks: WARM of the console, and `warm` of the settings, each
 * minute that its cron expression names.
 * Thread: the control plane's.
 */
#include "config.h"

#include "worker/control.h"
#include "worker/order.h"
#include "worker/world.h"

#include "base/log.h"
#include "conf/cron.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define MINUTE_US (60 * US_PER_S)

/* Of this database and user; of any user, if only one has one. *several: more than one has. */
static struct route *route_of(struct world *w, const char *database, const char *user,
                              bool *several)
{
    struct route *found = NULL;
    *several = false;
    for (struct route *r = routes_first(w->routes); r != NULL; r = r->next) {
        if (strcmp(r->database, database) != 0 || r->replication || r->pool_flags != 0 ||
            r->successor != NULL || (user != NULL && strcmp(r->user, user) != 0))
            continue;
        *several |= found != NULL;
        found = r;
    }
    return found;
}

static struct route *route_to_warm(struct world *w, const char *database, const char *user,
                                   char *why, size_t room)
{
    struct settings *set = world_settings(w);
    const struct conf_database *db = conf_database_find(set->conf, database);
    struct route *r = NULL;
    bool several = false;
    if (db == NULL) {
        snprintf(why, room, "no such database: %s", database);
    } else {
        const char *own = db->user != NULL ? db->user : user;
        const struct route_ask ask = {.database = database, .user = own};
        r = own != NULL ? routes_get(w->routes, set, db, &ask)
                        : route_of(w, database, NULL, &several);
        if (several)
            snprintf(why, room, "database %s has several users: name one of them", database);
        else if (r == NULL)
            snprintf(why, room, "database %s has had no user yet: name one", database);
    }
    settings_put(&set);
    if (several)
        r = NULL;
    if (r != NULL && r->awaits_proof) {
        snprintf(why, room, "there is no password for %s before a client has shown it", r->user);
        r = NULL;
    }
    return r;
}

bool world_warm(struct world *w, const char *database, const char *user, uint32_t n, char *why,
                size_t room)
{
    why[0] = '\0';
    struct route *r = route_to_warm(w, database, user, why, room);
    if (r == NULL)
        return false;
    struct settings *set = world_settings(w);
    uint64_t for_us = conf_settings(set->conf)->resume_timeout_us + MINUTE_US;
    settings_put(&set);
    core_pool_warm(r->pool, n, clock_now_us(), for_us);
    control_plan(w->control, r->server);
    return true;
}

static void warm_database(struct control *c, const struct conf_database *db, const char *text,
                          const struct tm *now)
{
    struct warm item;
    struct err e;
    uint32_t n = 0;
    char why[160];
    while (warm_next(&text, &item, &e))
        if (cron_matches(&item.at, now) && item.n > n)
            n = item.n;
    if (n == 0)
        return;
    if (world_warm(c->world, db->name, NULL, n, why, sizeof why))
        log_info(db->name, "being warmed to %" PRIu32 " connections", n);
    else
        log_warn(db->name, "can't be warmed: %s", why);
}

uint64_t control_warm(struct control *c, uint64_t now_us)
{
    const struct conf_database *db;
    bool any = false;
    if (now_us < c->warm_at_us)
        return c->warm_at_us;
    uint64_t wall_us = clock_wall_us();
    bool due = c->warm_at_us != 0 && wall_us / MINUTE_US != c->warm_minute;
    time_t seconds = (time_t)(wall_us / US_PER_S);
    struct tm now;
    localtime_r(&seconds, &now);
    c->warm_minute = wall_us / MINUTE_US;
    struct settings *set = world_settings(c->world);
    for (size_t i = 0; (db = conf_database_at(set->conf, i)) != NULL; i++) {
        const char *text = db->warm != NULL ? db->warm : conf_settings(set->conf)->warm;
        if (text[0] == '\0' || strcmp(db->name, "*") == 0)
            continue;
        any = true;
        if (due)
            warm_database(c, db, text, &now);
    }
    settings_put(&set);
    c->warm_at_us = any ? now_us + MINUTE_US - wall_us % MINUTE_US : UINT64_MAX;
    return c->warm_at_us;
}
