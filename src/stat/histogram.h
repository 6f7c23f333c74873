/* SPDX-License-Identifier: ISC
 * A histogram of durations in microseconds with fixed, log-linear buckets: eight to each power of
 * two, so that a quantile is off by a sixteenth at most, from 1 us to 2.4 hours; longer ones count
 * in the last bucket.
 *
 * Threads: one owner adds; anybody may read at any time. Adding is two relaxed loads and stores,
 * no lock and no locked instruction. A reader may see a bucket before the sum: the number of values
 * is therefore always taken from the buckets that were read.
 */
#ifndef WEIR_STAT_HISTOGRAM_H
#define WEIR_STAT_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

#define HISTOGRAM_SUB_BITS 3
#define HISTOGRAM_SUB      (1u << HISTOGRAM_SUB_BITS)
#define HISTOGRAM_OCTAVES  30u
/* 0..7 us one each, then the octaves [8,16) .. [2^32,2^33), then the rest. */
#define HISTOGRAM_BUCKETS (HISTOGRAM_SUB + HISTOGRAM_OCTAVES * HISTOGRAM_SUB + 1u)

struct histogram {
    _Atomic uint64_t bucket[HISTOGRAM_BUCKETS];
    _Atomic uint64_t sum_us;
};

/* A copy, or several added up; plain data. */
struct histogram_view {
    uint64_t bucket[HISTOGRAM_BUCKETS];
    uint64_t sum_us;
};

/* Which bucket a duration counts in, and the first duration that no longer does (UINT64_MAX for
 * the last bucket). */
unsigned histogram_bucket(uint64_t us);
uint64_t histogram_bucket_end_us(unsigned bucket);

/* Owner only. */
static inline void histogram_add(struct histogram *h, uint64_t us)
{
    _Atomic uint64_t *b = &h->bucket[histogram_bucket(us)];
    atomic_store_explicit(b, atomic_load_explicit(b, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    atomic_store_explicit(&h->sum_us, atomic_load_explicit(&h->sum_us, memory_order_relaxed) + us,
                          memory_order_relaxed);
}

/* Add h's present values to v (zeroed before the first). Any thread. */
void histogram_merge(struct histogram_view *v, const struct histogram *h);
uint64_t histogram_count(const struct histogram_view *v);
/* The duration below which a share q (0..1) of the values lie: the middle of its bucket; 0 when
 * there are none. */
uint64_t histogram_quantile_us(const struct histogram_view *v, double q);
/* How many values are shorter than limit_us, which must be 8 or a higher power of two. */
uint64_t histogram_below(const struct histogram_view *v, uint64_t limit_us);

#endif
