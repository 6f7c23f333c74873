/* SPDX-License-Identifier: ISC
 * Memory of TLS sessions. OpenSSL 3.0 keeps about 14 kB for an established session, 11 kB of it in
 * five objects that are mostly zeroes (arrays for 32 pipelines of which one is used) or alike in
 * every session. Thousands of containers hold a session open and say nothing; this file makes that
 * cost a third. OpenSSL is not changed and not bypassed: only its allocator is ours.
 *
 * Arenas. The large objects of one session lie together in four pages of their own. A session that
 * nobody used for a second or two is put to sleep: what its pages hold is packed onto the heap (the
 * difference to what all sessions have alike, without its zeroes) and the pages go back to the
 * kernel, while the addresses stay. Before OpenSSL is called again for that session its pages are
 * filled again. It can tell nothing, because a session is touched by calls for that session only.
 *
 *     free --get--> awake --sweep--> asleep --tls_arena_of, free()--> awake --put--> free
 *
 * That holds for objects that belong to one session and to nothing else. They are known by the
 * source file OpenSSL names when it allocates, while stream.c has said which session it works for.
 * Whatever else comes up within a call (a thread's random generator, an error queue) goes to the
 * heap, and so does everything when a build of OpenSSL names no files.
 *
 * Buffers. Records and handshakes want 4 to 22 kB for a moment. On the heap a storm of handshakes
 * would leave as many holes between what lives on; so they have a region of their own, whose pages
 * go back to the kernel but for a few.
 *
 * Threads: an arena is its loop's thread's, as its session is. The regions' free lists are locked.
 * Key material leaves no trace: blocks are zeroed when freed, images cleansed, pages dropped.
 */
#include "config.h"

#include "net/tls_memory.h"

#include <openssl/crypto.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/queue.h>

#define ARENA_BYTES  16384u
#define BUFFER_BYTES 24576u
#define BUFFER_LEAST 4096u /* smaller ones live on the heap */
#define SLOTS        131072u

enum {
    WARM_SLOTS = 64,        /* free ones that keep their pages */
    SLEEPS_PER_SWEEP = 128, /* about half a millisecond */
    SWEEP_MS = 1000,
    SWEEP_AGAIN_MS = 20, /* when there was more to do */
};

/* ---- regions: equal slots of address space --------------------------------------------------- */

struct region {
    pthread_mutex_t lock;
    size_t slot_bytes;
    char *base;     /* constant once set; NULL: none */
    uint32_t *free; /* stack of slot numbers; under the lock, as all below */
    uint32_t frees; /* on the stack */
    uint32_t fresh; /* slots from here on were never used */
};

static struct region arenas = {.lock = PTHREAD_MUTEX_INITIALIZER, .slot_bytes = ARENA_BYTES};
static struct region buffers = {.lock = PTHREAD_MUTEX_INITIALIZER, .slot_bytes = BUFFER_BYTES};

/* Address space only: pages come when they are touched. */
static void *reserve(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    madvise(p, bytes, MADV_NOHUGEPAGE);
    return p;
}

static bool region_open(struct region *r)
{
    r->free = reserve(SLOTS * sizeof *r->free);
    r->base = r->free ? reserve(SLOTS * r->slot_bytes) : NULL;
    return r->base != NULL;
}

static bool region_has(const struct region *r, const void *p)
{
    return (uintptr_t)p - (uintptr_t)r->base < SLOTS * r->slot_bytes && r->base;
}

static uint32_t region_slot(const struct region *r, const void *p)
{
    return (uint32_t)(((uintptr_t)p - (uintptr_t)r->base) / r->slot_bytes);
}

/* NULL when all are in use. */
static void *region_get(struct region *r)
{
    uint32_t slot = SLOTS;
    pthread_mutex_lock(&r->lock);
    if (r->frees)
        slot = r->free[--r->frees];
    else if (r->fresh < SLOTS)
        slot = r->fresh++;
    pthread_mutex_unlock(&r->lock);
    return slot < SLOTS ? r->base + slot * r->slot_bytes : NULL;
}

/* The stack's lowest slots are the ones used least: those beyond WARM_SLOTS come without pages. */
static void region_put(struct region *r, void *p)
{
    pthread_mutex_lock(&r->lock);
    bool cold = r->frees >= WARM_SLOTS;
    if (!cold)
        r->free[r->frees++] = region_slot(r, p);
    pthread_mutex_unlock(&r->lock);
    if (!cold)
        return;
    /* Still ours: nobody can get it before it is on the stack. */
    madvise(p, r->slot_bytes, MADV_DONTNEED);
    pthread_mutex_lock(&r->lock);
    r->free[r->frees++] = region_slot(r, p);
    pthread_mutex_unlock(&r->lock);
}

/* ---- packing --------------------------------------------------------------------------------- */

enum { WORDS = ARENA_BYTES / 8, MAP_BYTES = WORDS / 8, PACKED_MAX = MAP_BYTES + WORDS * 9 };

static uint64_t word_at(const uint8_t *p, size_t i)
{
    uint64_t w;
    memcpy(&w, p + i * 8, sizeof w);
    return w;
}

/* One bit for each word that differs from the sample's; then, for each of these, one bit for each
 * byte that differs, and those bytes. */
static size_t pack(uint8_t *to, const uint8_t *from, const uint8_t *sample, size_t words)
{
    uint8_t *out = to + (words + 7) / 8;
    memset(to, 0, (words + 7) / 8);
    for (size_t i = 0; i < words; i++) {
        uint64_t diff = word_at(from, i) ^ word_at(sample, i);
        if (!diff)
            continue;
        to[i / 8] = (uint8_t)(to[i / 8] | 1u << (i % 8));
        uint8_t *mask = out++;
        *mask = 0;
        for (unsigned b = 0; b < 8; b++, diff >>= 8)
            if (diff & 0xff) {
                *mask = (uint8_t)(*mask | 1u << b);
                *out++ = (uint8_t)(diff & 0xff);
            }
    }
    return (size_t)(out - to);
}

static void unpack(uint8_t *to, const uint8_t *packed, const uint8_t *sample, size_t words)
{
    const uint8_t *in = packed + (words + 7) / 8;
    for (size_t i = 0; i < words; i++) {
        uint64_t diff = 0;
        if (packed[i / 8] >> (i % 8) & 1) {
            uint8_t mask = *in++;
            for (unsigned b = 0; b < 8; b++)
                if (mask >> b & 1)
                    diff |= (uint64_t)*in++ << (b * 8);
        }
        diff ^= word_at(sample, i);
        memcpy(to + i * 8, &diff, sizeof diff);
    }
}

/* ---- arenas ---------------------------------------------------------------------------------- */

/* Before each block within an arena; blocks are never split or merged: sessions are alike. */
struct block {
    uint32_t size; /* of what follows, a multiple of 16 */
    uint32_t used;
    uint64_t pad; /* what follows is aligned to 16 */
};

/* One for each slot of the region `arenas`, outside its pages. */
struct arena {
    TAILQ_ENTRY(arena) link; /* on its thread's list, when listed */
    uint8_t *image;          /* asleep: the packed contents */
    uint32_t image_bytes;
    uint16_t top;     /* blocks lie below */
    uint8_t live;     /* blocks in use */
    bool owned;       /* between get and put */
    bool listed;      /* awake, and swept by its thread */
    uint32_t used_at; /* the thread's sweep number */
};
TAILQ_HEAD(arena_list, arena);

static struct arena *metas;                   /* by slot */
static _Atomic(const uint8_t *) sample_arena; /* what images are the difference to; set once */
static _Thread_local struct arena *current;   /* the session that OpenSSL works for */
static _Thread_local struct arena_list awake; /* of this thread */
static _Thread_local uint32_t sweep_number;

static uint8_t *arena_bytes(const struct arena *a)
{
    return (uint8_t *)arenas.base + (size_t)(a - metas) * ARENA_BYTES;
}

static struct arena *arena_at(const void *p)
{
    return region_has(&arenas, p) ? &metas[region_slot(&arenas, p)] : NULL;
}

static void arena_list(struct arena *a)
{
    if (!awake.tqh_last)
        TAILQ_INIT(&awake);
    TAILQ_INSERT_TAIL(&awake, a, link);
    a->listed = true;
}

void tls_arena_unlist(struct arena *a)
{
    if (!a || !a->listed)
        return;
    TAILQ_REMOVE(&awake, a, link);
    a->listed = false;
}

void tls_arena_relist(struct arena *a)
{
    if (!a || a->listed)
        return;
    a->used_at = sweep_number;
    arena_list(a);
}

void tls_arena_unlist_all(void)
{
    struct arena *a;
    while (awake.tqh_last && (a = TAILQ_FIRST(&awake)) != NULL)
        tls_arena_unlist(a);
}

/* What two sessions have in common, made when the first one wants to sleep and kept for good: so it
 * holds nobody's keys. NULL while there is no second session. */
static const uint8_t *sample_get(const struct arena *a)
{
    const uint8_t *sample = atomic_load_explicit(&sample_arena, memory_order_acquire);
    if (sample)
        return sample;
    const struct arena *other;
    TAILQ_FOREACH(other, &awake, link)
    {
        if (other != a && other->top == a->top)
            break;
    }
    uint8_t *common = other ? calloc(1, ARENA_BYTES) : NULL;
    if (!common)
        return NULL;
    const uint8_t *x = arena_bytes(a), *y = arena_bytes(other);
    for (size_t i = 0; i < a->top; i++)
        common[i] = x[i] == y[i] ? x[i] : 0;
    if (atomic_compare_exchange_strong(&sample_arena, &sample, common))
        return common;
    free(common); /* another thread was quicker */
    return sample;
}

static void arena_sleep(struct arena *a)
{
    static _Thread_local uint8_t packed[PACKED_MAX];
    const uint8_t *sample = sample_get(a);
    size_t n = sample ? pack(packed, arena_bytes(a), sample, a->top / 8u) : 0;
    a->image = n ? malloc(n) : NULL;
    if (!a->image)
        return;
    memcpy(a->image, packed, n);
    a->image_bytes = (uint32_t)n;
    OPENSSL_cleanse(packed, n);
    madvise(arena_bytes(a), ARENA_BYTES, MADV_DONTNEED);
    tls_arena_unlist(a);
}

static void arena_wake(struct arena *a)
{
    if (!a->image)
        return;
    unpack(arena_bytes(a), a->image, atomic_load_explicit(&sample_arena, memory_order_acquire),
           a->top / 8u);
    OPENSSL_cleanse(a->image, a->image_bytes);
    free(a->image);
    a->image = NULL;
    arena_list(a);
}

static void arena_release_if_empty(struct arena *a)
{
    if (a->owned || a->live)
        return;
    tls_arena_unlist(a);
    region_put(&arenas, arena_bytes(a));
}

struct arena *tls_arena_get(void)
{
    void *p = arenas.base ? region_get(&arenas) : NULL;
    if (!p)
        return NULL;
    struct arena *a = arena_at(p);
    *a = (struct arena){.owned = true, .used_at = sweep_number};
    arena_list(a);
    return a;
}

void tls_arena_put(struct arena **ap)
{
    struct arena *a = *ap;
    *ap = NULL;
    if (!a)
        return;
    a->owned = false;
    arena_release_if_empty(a);
}

struct arena *tls_arena_of(struct ssl_st *ssl)
{
    struct arena *a = arena_at(ssl);
    if (a) {
        arena_wake(a);
        a->used_at = sweep_number;
    }
    return a;
}

void tls_arena_enter(struct arena *a)
{
    current = a;
}

void tls_arena_leave(void)
{
    current = NULL;
}

unsigned tls_arena_sweep(void)
{
    struct arena *a, *next;
    unsigned slept = 0;
    if (!awake.tqh_last)
        return 0;
    for (a = TAILQ_FIRST(&awake); a && slept < SLEEPS_PER_SWEEP; a = next) {
        next = TAILQ_NEXT(a, link);
        if (sweep_number - a->used_at >= 2) {
            arena_sleep(a);
            slept++;
        }
    }
    if (a)
        return SWEEP_AGAIN_MS;
    sweep_number++;
    return TAILQ_EMPTY(&awake) ? 0 : SWEEP_MS;
}

/* NULL: no room, the heap will do. */
static void *arena_alloc(struct arena *a, size_t size)
{
    uint8_t *base = arena_bytes(a);
    uint32_t want = ((uint32_t)size + 15u) & ~15u;
    for (uint32_t at = 0; at < a->top;) {
        struct block *b = (struct block *)(void *)(base + at);
        if (!b->used && b->size == want) {
            b->used = 1;
            a->live++;
            return b + 1;
        }
        at += (uint32_t)sizeof *b + b->size;
    }
    if (a->live == UINT8_MAX || want > ARENA_BYTES - sizeof(struct block) ||
        a->top > ARENA_BYTES - sizeof(struct block) - want)
        return NULL;
    struct block *b = (struct block *)(void *)(base + a->top);
    *b = (struct block){.size = want, .used = 1};
    a->top = (uint16_t)(a->top + sizeof *b + want);
    a->live++;
    return b + 1;
}

static void arena_free(struct arena *a, void *p)
{
    arena_wake(a);
    struct block *b = (struct block *)p - 1;
    OPENSSL_cleanse(p, b->size);
    b->used = 0;
    a->live--;
    arena_release_if_empty(a);
}

/* ---- OpenSSL's allocator --------------------------------------------------------------------- */

/* Objects of these files, made for a session, are that session's alone: SSL, SSL_SESSION, CERT and
 * the two ciphers' states. */
static bool is_sessions_own(const char *file)
{
    static const char *const names[] = {"ssl_lib.c", "ssl_sess.c", "ssl_cert.c",
                                        "cipher_aes_gcm.c"};
    const char *slash = file ? strrchr(file, '/') : NULL;
    for (size_t i = 0; slash && i < sizeof names / sizeof *names; i++)
        if (strcmp(slash + 1, names[i]) == 0)
            return true;
    return false;
}

static void *on_malloc(size_t size, const char *file, int line)
{
    (void)line;
    void *p = NULL;
    if (current && size >= 512 && size < ARENA_BYTES && is_sessions_own(file))
        p = arena_alloc(current, size);
    else if (size >= BUFFER_LEAST && size <= BUFFER_BYTES)
        p = region_get(&buffers);
    return p ? p : malloc(size);
}

static void on_free(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    struct arena *a = arena_at(p);
    if (a)
        arena_free(a, p);
    else if (region_has(&buffers, p))
        region_put(&buffers, p);
    else
        free(p);
}

static void *on_realloc(void *p, size_t size, const char *file, int line)
{
    struct arena *a = arena_at(p);
    if (!p)
        return on_malloc(size, file, line);
    if (!a && !region_has(&buffers, p))
        return realloc(p, size); /* growing into a buffer is rare enough to stay on the heap */
    if (!size) {
        on_free(p, file, line);
        return NULL;
    }
    size_t had = a ? ((struct block *)p - 1)->size : BUFFER_BYTES;
    void *fresh = on_malloc(size, file, line);
    if (!fresh)
        return NULL;
    memcpy(fresh, p, had < size ? had : size);
    on_free(p, file, line);
    return fresh;
}

/* OpenSSL takes another allocator only before its first allocation: hence before main(). Without
 * address space to spare, everything stays on the heap. */
__attribute__((constructor)) static void tls_memory_open(void)
{
    metas = reserve(SLOTS * sizeof *metas);
    if (metas && region_open(&arenas) && region_open(&buffers) &&
        CRYPTO_set_mem_functions(on_malloc, on_realloc, on_free) == 1)
        return;
    arenas.base = NULL;
    buffers.base = NULL;
}
