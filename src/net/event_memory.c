/* SPDX-License-Identifier: ISC
 * See event_memory.h. Small objects come from chunks of their own and go back to a free list, never
 * to the kernel: there are as many as there were descriptors at once. What is larger is malloc's.
 * A header of one word says whose an object is. One lock: a descriptor is new only once.
 */
#include "config.h"

#include "net/event_memory.h"

#include <event2/event.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SMALL_BYTES 16u /* a descriptor's lists; with the header 32 */
#define CELL_BYTES  32u
#define CHUNK_BYTES (64u * 1024u)

/* 16 bytes, so that what follows is aligned as malloc's. */
struct head {
    size_t size;
    struct head *next; /* while free */
};
_Static_assert(sizeof(struct head) + SMALL_BYTES <= CELL_BYTES, "a small object fits its cell");

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct head *free_cells;
static uint8_t *chunk;
static size_t chunk_left;

static struct head *cell_get(void)
{
    struct head *h = NULL;
    pthread_mutex_lock(&lock);
    if (free_cells != NULL) {
        h = free_cells;
        free_cells = h->next;
    } else {
        if (chunk_left < CELL_BYTES) {
            void *p =
                mmap(NULL, CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            chunk = p != MAP_FAILED ? p : NULL;
            chunk_left = chunk != NULL ? CHUNK_BYTES : 0;
        }
        if (chunk_left >= CELL_BYTES) {
            h = (struct head *)(void *)chunk;
            chunk += CELL_BYTES;
            chunk_left -= CELL_BYTES;
        }
    }
    pthread_mutex_unlock(&lock);
    return h;
}

static void *on_malloc(size_t n)
{
    struct head *h = NULL;
    if (n <= SMALL_BYTES)
        h = cell_get();
    else if (n <= SIZE_MAX - sizeof *h)
        h = malloc(sizeof *h + n);
    if (h == NULL)
        return NULL;
    h->size = n;
    return h + 1;
}

static void on_free(void *p)
{
    if (p == NULL)
        return;
    struct head *h = (struct head *)p - 1;
    if (h->size > SMALL_BYTES) {
        free(h);
        return;
    }
    pthread_mutex_lock(&lock);
    h->next = free_cells;
    free_cells = h;
    pthread_mutex_unlock(&lock);
}

static void *on_realloc(void *p, size_t n)
{
    if (p == NULL)
        return on_malloc(n);
    struct head *h = (struct head *)p - 1;
    if (h->size > SMALL_BYTES && n > SMALL_BYTES && n <= SIZE_MAX - sizeof *h) {
        h = realloc(h, sizeof *h + n);
        if (h == NULL)
            return NULL;
        h->size = n;
        return h + 1;
    }
    void *fresh = on_malloc(n);
    if (fresh == NULL)
        return NULL;
    memcpy(fresh, p, h->size < n ? h->size : n);
    on_free(p);
    return fresh;
}

static void install(void)
{
    event_set_mem_functions(on_malloc, on_realloc, on_free);
}

void event_memory_install(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
}
