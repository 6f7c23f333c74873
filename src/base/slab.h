/* SPDX-License-Identifier: ISC
 * Equal-sized objects from pages of their own, so that the many small long-lived things (clients)
 * neither carry malloc headers nor pin the pages of what a storm allocated and freed.
 *
 * Blocks are 64 KiB, mapped when needed, unmapped when their last object is put back (one empty
 * block is kept). Objects come zeroed. One thread; no lock.
 */
#ifndef WEIR_BASE_SLAB_H
#define WEIR_BASE_SLAB_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct slab_block;
LIST_HEAD(slab_block_list, slab_block);

struct slab {
    size_t size;                    /* of one object, rounded up to 16 */
    uint32_t per_block;             /* objects in a block */
    _Atomic uint32_t used;          /* objects handed out; any thread may read these two */
    _Atomic uint32_t blocks;        /* mapped now */
    struct slab_block *spare;       /* one empty block kept against flapping */
    struct slab_block_list partial; /* blocks with both used and free objects */
};

void slab_init(struct slab *s, size_t size);
/* A zeroed object, or NULL when out of memory. */
void *slab_get(struct slab *s) __attribute__((warn_unused_result));
/* Give an object of this slab back. */
void slab_put(struct slab *s, void *object);

#endif
