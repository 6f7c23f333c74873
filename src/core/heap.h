/* SPDX-License-Identifier: ISC
 * A binary heap of 64-bit keys, least first. Its members are other objects' fields: each object
 * keeps its place in a uint32_t (0: not in the heap), so it can be removed or changed in O(log n).
 * The keys lie in the array, so nothing outside is read while sifting. No lock of its own.
 */
#ifndef WEIR_CORE_HEAP_H
#define WEIR_CORE_HEAP_H

#include <stdbool.h>
#include <stdint.h>

struct core_heap_slot {
    uint64_t key;
    uint32_t *at;
};

struct core_heap {
    struct core_heap_slot *slot; /* slot[0] is the least */
    uint32_t n, room, keep;      /* members, slots, slots never given back */
    uint64_t moves;              /* of members, ever: what its use has cost */
};

/* Keep room for `n` members in all; false when out of memory. */
bool core_heap_reserve(struct core_heap *h, uint32_t n);
/* Add a member or change its key. false when out of memory; never so within the reserved room. */
bool core_heap_set(struct core_heap *h, uint64_t key, uint32_t *at);
/* Take it out, if it is in. */
void core_heap_remove(struct core_heap *h, uint32_t *at);
void core_heap_fini(struct core_heap *h);

/* The member with the least key as a pointer to its place, NULL when empty. */
static inline uint32_t *core_heap_least(const struct core_heap *h)
{
    return h->n > 0 ? h->slot[0].at : (uint32_t *)0;
}

#endif
