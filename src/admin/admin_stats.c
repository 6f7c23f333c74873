/* SPDX-License-Identifier: ISC
 * See admin_stats.h.
 */
#include "config.h"

#include "admin/admin_stats.h"

#include "base/clock.h"
#include "stat/counter.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- names ------------------------------------------------------------------------------------
 */

/* PgBouncer calls the same number by different names in different tables. Where nothing is said it
 * is the field's name in stat/counter.h. */
struct names {
    const char *stats, *stats_avg; /* SHOW STATS: total_x, avg_x */
    const char *totals;            /* SHOW STATS_TOTALS */
    const char *averages;          /* SHOW STATS_AVERAGES */
    const char *sums;              /* SHOW TOTALS: total_x, avg_x */
};
static const struct names names[STAT_COUNTER_COUNT] = {
    [STAT_RECEIVED] = {"received", "recv", NULL, NULL, "client_bytes"},
    [STAT_SENT] = {"sent", "sent", NULL, NULL, "server_bytes"},
    [STAT_XACT_US] = {"xact_time", "xact_time", "xact_time", "xact_time", "xact_time"},
    [STAT_QUERY_US] = {"query_time", "query_time", "query_time", "query_time", "query_time"},
    [STAT_WAIT_US] = {"wait_time", "wait_time", "wait_time", "wait_time", "wait_time"},
    [STAT_CLIENT_PARSES] = {NULL, NULL, NULL, "avg_client_parse_count", "ps_client_parse_count"},
    [STAT_SERVER_PARSES] = {NULL, NULL, NULL, "avg_server_parse_count", "ps_server_parse_count"},
    [STAT_BINDS] = {NULL, NULL, NULL, "avg_bind_count", "ps_bind_count"},
    [STAT_LOGINS] = {"client_login_count", "client_login_count", "client_login_count",
                     "avg_client_login_count", "client_login_count"},
};

static const char *name_or_field(const char *name, enum stat_counter c)
{
    return name != NULL ? name : stat_rows[c].field;
}

/* ---- columns ------------------------------------------------------------------------------------
 */

#define STATS_COLUMNS (1 + STAT_COUNTER_COUNT + STAT_PGBOUNCER_COUNT)
_Static_assert(STATS_COLUMNS <= ADMIN_COLUMNS_MAX, "SHOW STATS has too many columns");

static struct {
    pthread_once_t once;
    struct admin_column stats[STATS_COLUMNS];
    struct admin_column totals[1 + STAT_COUNTER_COUNT];
    struct admin_column averages[1 + STAT_PGBOUNCER_COUNT];
    char text[2 * STAT_COUNTER_COUNT][40]; /* total_x, avg_x */
} made = {.once = PTHREAD_ONCE_INIT};

static const char *prefixed(size_t slot, const char *prefix, const char *name)
{
    (void)snprintf(made.text[slot], sizeof made.text[slot], "%s%s", prefix, name);
    return made.text[slot];
}

/* PgBouncer's totals, PgBouncer's averages, then weir's own totals. */
static void make_columns(void)
{
    static const struct admin_column database = {"database", ADMIN_TEXT};
    made.stats[0] = made.totals[0] = made.averages[0] = database;
    for (unsigned i = 0; i < STAT_COUNTER_COUNT; i++) {
        const struct names *n = &names[i];
        enum stat_counter c = (enum stat_counter)i;
        bool own = i >= STAT_PGBOUNCER_COUNT;
        made.stats[1 + i + (own ? STAT_PGBOUNCER_COUNT : 0)] =
            (struct admin_column){prefixed(i, "total_", name_or_field(n->stats, c)), ADMIN_NUMERIC};
        made.totals[1 + i] = (struct admin_column){name_or_field(n->totals, c), ADMIN_NUMERIC};
        if (own)
            continue;
        made.stats[1 + STAT_PGBOUNCER_COUNT + i] = (struct admin_column){
            prefixed(STAT_COUNTER_COUNT + i, "avg_", name_or_field(n->stats_avg, c)),
            ADMIN_NUMERIC};
        made.averages[1 + i] = (struct admin_column){name_or_field(n->averages, c), ADMIN_NUMERIC};
    }
}

const struct admin_column *admin_stats_columns(enum admin_verb verb, size_t *n)
{
    (void)pthread_once(&made.once, make_columns);
    if (verb == ADMIN_SHOW_STATS) {
        *n = STATS_COLUMNS;
        return made.stats;
    }
    if (verb == ADMIN_SHOW_STATS_TOTALS) {
        *n = 1 + STAT_COUNTER_COUNT;
        return made.totals;
    }
    if (verb == ADMIN_SHOW_STATS_AVERAGES) {
        *n = 1 + STAT_PGBOUNCER_COUNT;
        return made.averages;
    }
    *n = 0;
    return NULL;
}

/* ---- snapshots
 * ------------------------------------------------------------------------------------ */

void admin_stats_init(struct admin_stats *s, uint64_t now_us)
{
    *s = (struct admin_stats){.older.taken_us = now_us, .newer.taken_us = now_us};
}

void admin_stats_fini(struct admin_stats *s)
{
    free(s->older.rows);
    free(s->newer.rows);
    *s = (struct admin_stats){0};
}

void admin_stats_tick(struct admin_stats *s, struct view_stats *rows, size_t n, uint64_t now_us)
{
    free(s->older.rows);
    s->older = s->newer;
    s->newer = (struct stats_snapshot){rows, n, now_us};
}

/* What a counter has grown by since the older snapshot; a database that is new (or was forgotten
 * and came back) started from nothing. */
static uint64_t grown(const struct admin_stats *s, const struct view_stats *row,
                      enum stat_counter c)
{
    uint64_t now = stat_value(row, c);
    for (size_t i = 0; i < s->older.n; i++) {
        if (strcmp(s->older.rows[i].database, row->database) != 0)
            continue;
        uint64_t then = stat_value(&s->older.rows[i], c);
        return now >= then ? now - then : now;
    }
    return now;
}

/* Times are per transaction, query and loan; everything else per second. */
static uint64_t average(const uint64_t *growth, enum stat_counter c, uint64_t period_us)
{
    uint64_t by = 0;
    if (c == STAT_XACT_US)
        by = growth[STAT_XACTS];
    else if (c == STAT_QUERY_US)
        by = growth[STAT_QUERIES];
    else if (c == STAT_WAIT_US)
        by = growth[STAT_SERVER_ASSIGNMENTS];
    else
        return period_us == 0 ? 0 : (uint64_t)((double)growth[c] * US_PER_S / (double)period_us);
    return by == 0 ? 0 : growth[c] / by;
}

/* ---- tables ------------------------------------------------------------------------------------
 */

static void growth_of(const struct admin_stats *s, const struct view_stats *row, uint64_t *growth)
{
    for (unsigned i = 0; i < STAT_COUNTER_COUNT; i++)
        growth[i] += grown(s, row, (enum stat_counter)i);
}

static void show_row(const struct admin_stats *s, enum admin_verb verb,
                     const struct view_stats *row, uint64_t period_us, struct admin_table *t)
{
    uint64_t growth[STAT_COUNTER_COUNT] = {0};
    growth_of(s, row, growth);
    admin_table_text(t, row->database);
    unsigned i;
    if (verb != ADMIN_SHOW_STATS_AVERAGES)
        for (i = 0; i < STAT_PGBOUNCER_COUNT; i++)
            admin_table_uint(t, stat_value(row, (enum stat_counter)i));
    if (verb != ADMIN_SHOW_STATS_TOTALS)
        for (i = 0; i < STAT_PGBOUNCER_COUNT; i++)
            admin_table_uint(t, average(growth, (enum stat_counter)i, period_us));
    if (verb != ADMIN_SHOW_STATS_AVERAGES)
        for (i = STAT_PGBOUNCER_COUNT; i < STAT_COUNTER_COUNT; i++)
            admin_table_uint(t, stat_value(row, (enum stat_counter)i));
}

static void show_sum(const char *prefix, enum stat_counter c, uint64_t value, struct admin_table *t)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%s%s", prefix, name_or_field(names[c].sums, c));
    admin_table_text(t, name);
    admin_table_uint(t, value);
}

static void show_totals(const struct admin_stats *s, const struct view_stats *rows, size_t n,
                        uint64_t period_us, struct admin_table *t)
{
    uint64_t total[STAT_COUNTER_COUNT] = {0}, growth[STAT_COUNTER_COUNT] = {0};
    unsigned i;
    for (size_t r = 0; r < n; r++) {
        growth_of(s, &rows[r], growth);
        for (i = 0; i < STAT_COUNTER_COUNT; i++)
            total[i] += stat_value(&rows[r], (enum stat_counter)i);
    }
    for (i = 0; i < STAT_PGBOUNCER_COUNT; i++)
        show_sum("total_", (enum stat_counter)i, total[i], t);
    for (i = 0; i < STAT_PGBOUNCER_COUNT; i++)
        show_sum("avg_", (enum stat_counter)i, average(growth, (enum stat_counter)i, period_us), t);
    for (i = STAT_PGBOUNCER_COUNT; i < STAT_COUNTER_COUNT; i++)
        show_sum("total_", (enum stat_counter)i, total[i], t);
}

void admin_stats_show(const struct admin_stats *s, enum admin_verb verb,
                      const struct view_stats *rows, size_t n, uint64_t now_us,
                      struct admin_table *t)
{
    uint64_t period_us = now_us > s->older.taken_us ? now_us - s->older.taken_us : 0;
    if (verb == ADMIN_SHOW_TOTALS) {
        show_totals(s, rows, n, period_us, t);
        return;
    }
    for (size_t i = 0; i < n; i++)
        show_row(s, verb, &rows[i], period_us, t);
}
