/* SPDX-License-Identifier: ISC
 * See histogram.h.
 */
#include "config.h"

#include "stat/histogram.h"

#include <assert.h>

#define FIRST_OCTAVE HISTOGRAM_SUB_BITS /* [8,16) is the first with eight buckets of its own */

unsigned histogram_bucket(uint64_t us)
{
    if (us < HISTOGRAM_SUB)
        return (unsigned)us;
    unsigned octave = 63u - (unsigned)__builtin_clzll(us);
    if (octave >= FIRST_OCTAVE + HISTOGRAM_OCTAVES)
        return HISTOGRAM_BUCKETS - 1;
    unsigned sub = (unsigned)(us >> (octave - HISTOGRAM_SUB_BITS)) & (HISTOGRAM_SUB - 1);
    return HISTOGRAM_SUB + (octave - FIRST_OCTAVE) * HISTOGRAM_SUB + sub;
}

uint64_t histogram_bucket_end_us(unsigned bucket)
{
    assert(bucket < HISTOGRAM_BUCKETS);
    if (bucket < HISTOGRAM_SUB)
        return bucket + 1;
    if (bucket == HISTOGRAM_BUCKETS - 1)
        return UINT64_MAX;
    unsigned octave = (bucket - HISTOGRAM_SUB) / HISTOGRAM_SUB; /* counted from FIRST_OCTAVE */
    unsigned sub = (bucket - HISTOGRAM_SUB) % HISTOGRAM_SUB;
    return (uint64_t)(HISTOGRAM_SUB + sub + 1) << octave;
}

void histogram_merge(struct histogram_view *v, const struct histogram *h)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        v->bucket[i] += atomic_load_explicit(&h->bucket[i], memory_order_relaxed);
    v->sum_us += atomic_load_explicit(&h->sum_us, memory_order_relaxed);
}

uint64_t histogram_count(const struct histogram_view *v)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        n += v->bucket[i];
    return n;
}

/* Where the last bucket has no end its beginning stands for it. */
static uint64_t bucket_middle_us(unsigned bucket)
{
    uint64_t begin = bucket == 0 ? 0 : histogram_bucket_end_us(bucket - 1);
    uint64_t end = histogram_bucket_end_us(bucket);
    return end == UINT64_MAX ? begin : begin + (end - begin) / 2;
}

uint64_t histogram_quantile_us(const struct histogram_view *v, double q)
{
    uint64_t count = histogram_count(v);
    if (count == 0)
        return 0;
    double want = q * (double)count;
    uint64_t seen = 0;
    unsigned last = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (v->bucket[i] == 0)
            continue;
        seen += v->bucket[i];
        last = i;
        if ((double)seen >= want)
            break;
    }
    return bucket_middle_us(last);
}

uint64_t histogram_below(const struct histogram_view *v, uint64_t limit_us)
{
    assert(limit_us >= HISTOGRAM_SUB && (limit_us & (limit_us - 1)) == 0);
    unsigned end = histogram_bucket(limit_us); /* a power of two begins a bucket */
    uint64_t n = 0;
    for (unsigned i = 0; i < end; i++)
        n += v->bucket[i];
    return n;
}
