/* SPDX-License-Identifier: ISC
 * What the files of src/admin share. Thread: control.
 */
#ifndef WEIR_ADMIN_ADMIN_PRIV_H
#define WEIR_ADMIN_ADMIN_PRIV_H

#include "admin/admin.h"
#include "admin/admin_stats.h"
#include "admin/admin_table.h"

#include "net/loop.h"

struct admin {
    struct loop *loop;
    const struct admin_source *source;
    const struct admin_control *control;
    const char *version;
    uint64_t stats_period_us;
    struct admin_stats stats;
    struct timer stats_timer;
};

#define ADMIN_COLLECT_WAIT_US (2 * UINT64_C(1000000))

/* Get rows from the workers: `cb` is called exactly once, after ADMIN_COLLECT_WAIT_US at the
 * latest; it may look at `rows` only until it returns. */
typedef void admin_rows_cb(const void *rows, size_t n, bool complete, void *arg);
void admin_collect_rows(struct admin *a, enum admin_what what, admin_rows_cb *cb, void *arg);

/* Rows of one of the source's getters; free() them. 0 when the getter is not there. */
#define admin_get(a, getter, rows)                                                                 \
    ((a)->source->getter == NULL ? 0 : (a)->source->getter((a)->source->ctx, (rows)))

/* Fill `t` for a show that needs nothing from the workers. false: it needs rows of *what (both
 * clients and servers when *both), which admin_show_collected() adds. */
bool admin_show_at_once(struct admin *a, enum admin_verb verb, struct admin_table *t,
                        enum admin_what *what, bool *both);
void admin_show_collected(enum admin_verb verb, enum admin_what what, const void *rows, size_t n,
                          struct admin_table *t);
/* The text of SHOW HELP; free() it. */
char *admin_help_text(void);

#endif
