/* SPDX-License-Identifier: ISC
 * A queue that is fair to addresses. What stands in it was caused by clients that are not logged
 * in: however much one address asks for, what another asks for next comes after one item of each
 * address, not after all of them. Within an address the oldest is first. Not a lock: job.c has one.
 */
#ifndef WEIR_WORKER_TURNS_H
#define WEIR_WORKER_TURNS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct turn;
/* Embedded in what is queued. */
struct turn_item {
    TAILQ_ENTRY(turn_item) link;
    struct turn *turn; /* NULL: not in the queue */
};
TAILQ_HEAD(turn_items, turn_item);
TAILQ_HEAD(turn_list, turn);

struct turns {
    struct turn *by_addr;
    struct turn_list order; /* those that have items; the first is next */
    struct turn *rest;      /* of whom nothing can be kept: memory was out */
};

/* false: out of memory. */
bool turns_init(struct turns *t);
/* Of what is left in it nothing is touched. */
void turns_fini(struct turns *t);
/* As in struct client: family 4, 6 or 0. An IPv6 host owns a /64, so that is what counts. */
void turns_push(struct turns *t, uint8_t family, const uint8_t addr[16], struct turn_item *i);
struct turn_item *turns_pop(struct turns *t); /* NULL: empty */
void turns_remove(struct turns *t, struct turn_item *i);

#endif
