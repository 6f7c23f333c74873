/* SPDX-License-Identifier: ISC
 * See peer.h.
 */
#include "config.h"

#include "core/peer.h"
#include "core/core_priv.h"
#include "core/queue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include "base/hash.h"

struct core_peer {
    UT_hash_handle hh;
    uint8_t addr[CORE_ADDR_BYTES];
    uint32_t refs; /* its loans and waiters */
    uint32_t lent;
    struct core_waiter_list held; /* by `turn` */
};

struct core_peer *core_peer_get(struct core_server *s, const uint8_t *addr)
{
    struct core_peer *p = NULL;
    if (addr == NULL || s->lim.max_per_addr == 0)
        return NULL;
    HASH_FIND(hh, s->peers, addr, CORE_ADDR_BYTES, p);
    if (p == NULL && (p = calloc(1, sizeof *p)) != NULL) {
        memcpy(p->addr, addr, CORE_ADDR_BYTES);
        TAILQ_INIT(&p->held);
        HASH_ADD(hh, s->peers, addr, CORE_ADDR_BYTES, p);
        if (p->hh.tbl == NULL) {
            free(p);
            p = NULL;
        }
    }
    if (p != NULL)
        p->refs++;
    return p;
}

void core_peer_put(struct core_server *s, struct core_peer *p)
{
    if (p == NULL)
        return;
    assert(p->refs > 0);
    if (--p->refs > 0)
        return;
    assert(p->lent == 0 && TAILQ_EMPTY(&p->held));
    HASH_DEL(s->peers, p);
    free(p);
}

bool core_peer_is_full(const struct core_server *s, const struct core_peer *p)
{
    return p != NULL && s->lim.max_per_addr > 0 && p->lent >= s->lim.max_per_addr;
}

struct core_waiter_list *core_peer_held(struct core_peer *p)
{
    return &p->held;
}

static void release(struct core_server *s, struct core_peer *p, uint32_t room)
{
    struct core_waiter *w;
    while (room-- > 0 && !core_peer_is_full(s, p) && (w = TAILQ_FIRST(&p->held)) != NULL)
        core_queue_unhold(w);
}

void core_peer_lent(struct core_server *s, struct core_peer *p, bool more)
{
    if (p == NULL)
        return;
    p->lent += more ? 1u : UINT32_MAX;
    if (more)
        return;
    release(s, p, 1);
    core_peer_put(s, p);
}

void core_peers_release(struct core_server *s)
{
    struct core_peer *p, *next;
    HASH_ITER(hh, s->peers, p, next)
    {
        uint32_t limit = s->lim.max_per_addr;
        release(s, p, limit == 0 ? UINT32_MAX : limit > p->lent ? limit - p->lent : 0);
    }
}

uint32_t core_peers_lent(const struct core_server *s)
{
    uint32_t n = 0;
    const struct core_peer *p;
    for (p = s->peers; p != NULL; p = p->hh.next)
        n += p->lent;
    return n;
}
