/* SPDX-License-Identifier: ISC
 * See conf_arena.h.
 */
#include "config.h"

#include "conf/conf_arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 4096u

struct conf_arena_block {
    struct conf_arena_block *next;
    size_t used;
    size_t room;
    alignas(max_align_t) unsigned char bytes[];
};

static struct conf_arena_block *block_add(struct conf_arena *a, size_t size)
{
    size_t room = size > BLOCK_BYTES ? size : BLOCK_BYTES;
    struct conf_arena_block *b = calloc(1, sizeof *b + room);
    if (b == NULL)
        return NULL;
    b->room = room;
    b->next = a->blocks;
    a->blocks = b;
    return b;
}

void *conf_arena_alloc(struct conf_arena *a, size_t size)
{
    const size_t align = alignof(max_align_t);
    struct conf_arena_block *b = a->blocks;
    if (size <= SIZE_MAX / 4) {
        size = (size + align - 1) / align * align;
        if (b == NULL || b->room - b->used < size)
            b = block_add(a, size);
        if (b != NULL) {
            void *p = b->bytes + b->used;
            b->used += size;
            return p;
        }
    }
    a->failed = true;
    return NULL;
}

const char *conf_arena_textn(struct conf_arena *a, const char *text, size_t len)
{
    char *p = len < SIZE_MAX / 4 ? conf_arena_alloc(a, len + 1) : NULL;
    if (p == NULL) {
        a->failed = true;
        return "";
    }
    memcpy(p, text, len);
    return p;
}

const char *conf_arena_text(struct conf_arena *a, const char *text)
{
    return conf_arena_textn(a, text, strlen(text));
}

char *conf_arena_scratch(struct conf_arena *a, const char *text)
{
    size_t len = strlen(text);
    char *p = conf_arena_alloc(a, len + 1);
    if (p != NULL)
        memcpy(p, text, len);
    return p;
}

/* The capacity is not stored: an array grows when its count reaches a power of two. */
void *conf_arena_push(struct conf_arena *a, void *array, size_t *n, size_t size)
{
    void *old;
    memcpy(&old, array, sizeof old);
    if ((*n & (*n - 1)) == 0) {
        void *grown = conf_arena_alloc(a, (*n == 0 ? 1 : *n * 2) * size);
        if (grown == NULL)
            return NULL;
        if (*n > 0)
            memcpy(grown, old, *n * size);
        memcpy(array, &grown, sizeof grown);
        old = grown;
    }
    return (unsigned char *)old + (*n)++ * size;
}

void conf_arena_fini(struct conf_arena *a)
{
    while (a->blocks != NULL) {
        struct conf_arena_block *b = a->blocks;
        a->blocks = b->next;
        explicit_bzero(b, sizeof *b + b->room);
        free(b);
    }
    a->failed = false;
}
