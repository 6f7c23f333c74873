/* SPDX-License-Identifier: ISC
 * See pg_report.h.
 */
#include "config.h"

#include "proto/pg/pg_report.h"

#include "proto/pg/pg_canon.h"

#include <string.h>
#include <strings.h>

bool pg_report_overlay(struct var_set **report, const struct var_set *defaults,
                       const struct var_set *settings)
{
    struct var_entry e, had;
    struct pg_canon_server server = {0};
    char out[512];
    if (var_set_find(defaults, "server_version", 14, &e))
        server.version_num = pg_canon_version(e.value);
    struct var_entry style, zone;
    if (var_set_find(defaults, "DateStyle", 9, &style))
        server.datestyle = style.value;
    if (var_set_find(defaults, "TimeZone", 8, &zone))
        server.timezone = zone.value;
    for (uint32_t i = 0; i < var_set_count(settings); i++) {
        e = var_set_at(settings, i);
        for (uint32_t j = 0; j < var_set_count(*report); j++) {
            had = var_set_at(*report, j);
            if (strcasecmp(had.name, e.name) != 0)
                continue;
            if (pg_canon_value(&server, had.name, e.value, e.value_len, out, sizeof out) !=
                    PG_CANON_BAD &&
                !vars_take(report, vars_with(*report, had.name, had.name_len, VAR_REPORT, out,
                                             strlen(out))))
                return false;
            break;
        }
    }
    return true;
}

static void emit(void *arg, const struct var_entry *e)
{
    struct proto_out *out = arg;
    uint8_t head[PG_HEAD_BYTES] = {'S'};
    out->renamed |= e->name_len == 16 && memcmp(e->name, "application_name", 16) == 0;
    if (e->name_len + e->value_len + 16u > out->arena_size - out->arena_used ||
        out->client.n >= PROTO_SPANS - 2)
        return;
    pg_put32(head + 1, 4 + e->name_len + e->value_len + 2);
    pg_put(out, &out->client, head, sizeof head);
    pg_put(out, &out->client, e->name, e->name_len + 1);
    pg_put(out, &out->client, e->value, e->value_len + 1);
}

void pg_report_sync(struct pg_client *c, struct pg_server *s, struct proto_out *out)
{
    if (c->report == s->report)
        return;
    var_set_each_difference(c->report, s->report, emit, out);
    vars_assign(&c->report, s->report);
    c->how = pg_text_how(c->report);
}
