/* SPDX-License-Identifier: ISC
 * See heap.h. The array grows twofold and shrinks again when three quarters are empty, so that a
 * storm's memory is given back.
 */
#include "config.h"

#include "core/heap.h"

#include <assert.h>
#include <stdlib.h>

#define HEAP_ROOM_MIN 64u

static bool heap_resize(struct core_heap *h, uint32_t room)
{
    struct core_heap_slot *slot = realloc(h->slot, room * sizeof *slot);
    if (slot == NULL)
        return false;
    h->slot = slot;
    h->room = room;
    return true;
}

static bool heap_room(struct core_heap *h, uint32_t n)
{
    uint32_t room = h->room > 0 ? h->room : HEAP_ROOM_MIN;
    while (room < n)
        room *= 2;
    return room == h->room || heap_resize(h, room);
}

bool core_heap_reserve(struct core_heap *h, uint32_t n)
{
    if (!heap_room(h, n))
        return false;
    h->keep = n;
    return true;
}

static void heap_place(struct core_heap *h, uint32_t i, struct core_heap_slot e)
{
    h->slot[i] = e;
    *e.at = i + 1;
    h->moves++;
}

static void heap_up(struct core_heap *h, uint32_t i, struct core_heap_slot e)
{
    while (i > 0 && h->slot[(i - 1) / 2].key > e.key) {
        heap_place(h, i, h->slot[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    heap_place(h, i, e);
}

static void heap_down(struct core_heap *h, uint32_t i, struct core_heap_slot e)
{
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= h->n)
            break;
        if (child + 1 < h->n && h->slot[child + 1].key < h->slot[child].key)
            child++;
        if (h->slot[child].key >= e.key)
            break;
        heap_place(h, i, h->slot[child]);
        i = child;
    }
    heap_place(h, i, e);
}

static void heap_sift(struct core_heap *h, uint32_t i, struct core_heap_slot e)
{
    if (i > 0 && h->slot[(i - 1) / 2].key > e.key)
        heap_up(h, i, e);
    else
        heap_down(h, i, e);
}

bool core_heap_set(struct core_heap *h, uint64_t key, uint32_t *at)
{
    if (*at == 0) {
        if (!heap_room(h, h->n + 1))
            return false;
        heap_up(h, h->n++, (struct core_heap_slot){.key = key, .at = at});
    } else if (h->slot[*at - 1].key != key) {
        heap_sift(h, *at - 1, (struct core_heap_slot){.key = key, .at = at});
    }
    return true;
}

void core_heap_remove(struct core_heap *h, uint32_t *at)
{
    if (*at == 0)
        return;
    uint32_t i = *at - 1;
    assert(i < h->n && h->slot[i].at == at);
    *at = 0;
    struct core_heap_slot last = h->slot[--h->n];
    if (i < h->n)
        heap_sift(h, i, last);
    if (h->room > HEAP_ROOM_MIN && h->n < h->room / 4 && h->keep <= h->room / 2)
        (void)heap_resize(h, h->room / 2); /* failing to shrink loses nothing */
}

void core_heap_fini(struct core_heap *h)
{
    free(h->slot);
    *h = (struct core_heap){0};
}
