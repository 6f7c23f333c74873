/* SPDX-License-Identifier: ISC
 * A count that one thread writes and any thread may read.
 */
#ifndef WEIR_BASE_OWN_COUNT_H
#define WEIR_BASE_OWN_COUNT_H

#include <stdatomic.h>
#include <stdint.h>

/* Thread: the one that writes; so no read-modify-write is needed. */
static inline void own_count_add(_Atomic uint32_t *n, int by)
{
    uint32_t was = atomic_load_explicit(n, memory_order_relaxed);
    atomic_store_explicit(n, was + (uint32_t)by, memory_order_relaxed);
}

#endif
