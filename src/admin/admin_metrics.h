/* SPDX-License-Identifier: ISC
 * /metrics: everything seen, in Prometheus' text format 0.0.4. Only from what the control thread
 * has at hand: a scrape asks no worker and waits for nobody. Thread: control.
 */
#ifndef WEIR_ADMIN_ADMIN_METRICS_H
#define WEIR_ADMIN_ADMIN_METRICS_H

#include <stdbool.h>

struct admin;
struct buf;

/* false when out of memory. */
bool admin_metrics_write(struct admin *a, struct buf *out) __attribute__((warn_unused_result));

#endif
