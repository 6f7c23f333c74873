/* SPDX-License-Identifier: ISC
 * SHOW STATS and its kin, from the table of counters; and the averages, which are taken between
 * now and the snapshot before the last one, so over one to two periods, as PgBouncer does.
 * Thread: control (the columns: any).
 */
#ifndef WEIR_ADMIN_ADMIN_STATS_H
#define WEIR_ADMIN_ADMIN_STATS_H

#include "admin/admin_table.h"

#include "stat/view.h"

#include <stddef.h>
#include <stdint.h>

struct stats_snapshot {
    struct view_stats *rows; /* owned */
    size_t n;
    uint64_t taken_us; /* monotonic */
};
struct admin_stats {
    struct stats_snapshot older, newer;
};

void admin_stats_init(struct admin_stats *s, uint64_t now_us);
void admin_stats_fini(struct admin_stats *s);
/* A period is over: `rows` (malloc()ed, now owned here) are the present totals. */
void admin_stats_tick(struct admin_stats *s, struct view_stats *rows, size_t n, uint64_t now_us);

/* NULL when the verb is not one of STATS, STATS_TOTALS, STATS_AVERAGES. */
const struct admin_column *admin_stats_columns(enum admin_verb verb, size_t *n);
/* Fill the table of one of these verbs or of TOTALS. */
void admin_stats_show(const struct admin_stats *s, enum admin_verb verb,
                      const struct view_stats *rows, size_t n, uint64_t now_us,
                      struct admin_table *t);

#endif
