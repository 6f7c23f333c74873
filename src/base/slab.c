/* SPDX-License-Identifier: ISC
 * See slab.h. A block is aligned to its own size, so an object finds its block by masking.
 */
#include "config.h"

#include "base/slab.h"

#include "base/own_count.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

#define BLOCK_BYTES (64u * 1024u)
#define SLAB_MAGIC  0x51ab51abu

struct slab_block {
    uint32_t magic;
    uint32_t used;
    uint32_t fresh; /* objects never handed out start here: untouched pages stay unmapped */
    void *free;     /* list through the first word of each freed object */
    LIST_ENTRY(slab_block) link;
};

#define HEAD_BYTES ((sizeof(struct slab_block) + 15u) & ~(size_t)15u)

void slab_init(struct slab *s, size_t size)
{
    memset(s, 0, sizeof *s);
    s->size = (size + 15u) & ~(size_t)15u;
    s->per_block = (uint32_t)((BLOCK_BYTES - HEAD_BYTES) / s->size);
    assert(s->per_block > 0);
    LIST_INIT(&s->partial);
}

static struct slab_block *block_map(void)
{
    /* Map twice the size and give back what is not aligned. */
    uint8_t *raw =
        mmap(NULL, 2 * BLOCK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (raw == MAP_FAILED)
        return NULL;
    size_t head = (BLOCK_BYTES - ((uintptr_t)raw & (BLOCK_BYTES - 1))) & (BLOCK_BYTES - 1);
    if (head != 0)
        munmap(raw, head);
    munmap(raw + head + BLOCK_BYTES, BLOCK_BYTES - head);
    struct slab_block *b = (struct slab_block *)(void *)(raw + head);
    b->magic = SLAB_MAGIC;
    return b;
}

void *slab_get(struct slab *s)
{
    struct slab_block *b = LIST_FIRST(&s->partial);
    if (b == NULL) {
        b = s->spare;
        s->spare = NULL;
        if (b == NULL) {
            b = block_map();
            if (b == NULL)
                return NULL;
            own_count_add(&s->blocks, 1);
        }
        LIST_INSERT_HEAD(&s->partial, b, link);
    }
    void *object = b->free;
    if (object != NULL) {
        memcpy(&b->free, object, sizeof b->free);
        memset(object, 0, s->size);
    } else {
        object = (uint8_t *)b + HEAD_BYTES + (size_t)b->fresh++ * s->size;
    }
    if (++b->used == s->per_block)
        LIST_REMOVE(b, link);
    own_count_add(&s->used, 1);
    return object;
}

void slab_put(struct slab *s, void *object)
{
    struct slab_block *b = (struct slab_block *)((uintptr_t)object & ~(uintptr_t)(BLOCK_BYTES - 1));
    assert(b->magic == SLAB_MAGIC && b->used > 0);
    memcpy(object, &b->free, sizeof b->free);
    b->free = object;
    own_count_add(&s->used, -1);
    if (b->used-- == s->per_block)
        LIST_INSERT_HEAD(&s->partial, b, link);
    if (b->used != 0)
        return;
    LIST_REMOVE(b, link);
    if (s->spare == NULL) {
        s->spare = b;
        return;
    }
    munmap(b, BLOCK_BYTES);
    own_count_add(&s->blocks, -1);
}
