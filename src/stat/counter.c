/* SPDX-License-Identifier: ISC
 * See counter.h.
 */
#include "config.h"

#include "stat/counter.h"

#include <string.h>

const struct stat_row stat_rows[STAT_COUNTER_COUNT] = {
#define X(ENUM, name, kind, metric_name, text)                                                     \
    [STAT_##ENUM] = {.field = #name,                                                               \
                     .metric = metric_name,                                                        \
                     .help = text,                                                                 \
                     .offset = offsetof(struct view_stats, name),                                  \
                     .unit = STAT_UNIT_##kind},
    STAT_COUNTERS(X)
#undef X
};

uint64_t stat_value(const struct view_stats *row, enum stat_counter which)
{
    uint64_t v;
    memcpy(&v, (const char *)row + stat_rows[which].offset, sizeof v);
    return v;
}

void stat_merge(struct view_stats *row, const struct stat_counters *c)
{
    for (unsigned i = 0; i < STAT_COUNTER_COUNT; i++) {
        uint64_t v = stat_value(row, (enum stat_counter)i) +
                     atomic_load_explicit(&c->value[i], memory_order_relaxed);
        memcpy((char *)row + stat_rows[i].offset, &v, sizeof v);
    }
}
