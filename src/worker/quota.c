/* SPDX-License-Identifier: ISC
 * See quota.h.
 */
#include "config.h"

#include "worker/quota.h"

#include "conf/conf.h"
#include "proto/proto_login.h"
#include "worker/route.h"

#include <stdlib.h>
#include <string.h>

void quota_learn(struct bound_server *s, struct server_limits *limits)
{
    free(s->quotas);
    s->quotas = limits->quotas;
    s->n_quotas = limits->n_quotas;
    limits->quotas = NULL;
    limits->n_quotas = 0;
}

static uint32_t least(const struct bound_server *s, bool of_user, const char *name, uint32_t limit)
{
    if (s->bound.kind == CONF_BOUND_COUNT)
        return limit; /* a reload has named a number */
    for (size_t i = 0; i < s->n_quotas; i++) {
        const struct server_quota *q = &s->quotas[i];
        if (q->of_user != of_user || strcmp(q->name, name) != 0)
            continue;
        uint32_t n = conf_bound_of_quota(s->bound, q->n);
        if (limit == 0 || n < limit)
            limit = n;
    }
    return limit;
}

uint32_t quota_of_user(const struct route *r, uint32_t limit)
{
    return least(r->server, true, r->user, limit);
}

uint32_t quota_of_database(const struct route *r, const struct conf_database *db, uint32_t limit)
{
    return least(r->server, false, db->dbname != NULL ? db->dbname : r->database, limit);
}
