/* SPDX-License-Identifier: ISC
 * See turns.h. An address is known here only while something of it stands in the queue.
 */
#include "config.h"

#include "base/hash.h"
#include "worker/turns.h"

#include <stdlib.h>
#include <string.h>

#define KEY_BYTES 9 /* family, and 4 or 8 bytes of the address */

struct turn {
    UT_hash_handle hh;
    uint8_t key[KEY_BYTES];
    struct turn_items items;
    TAILQ_ENTRY(turn) link;
};

bool turns_init(struct turns *t)
{
    *t = (struct turns){.rest = calloc(1, sizeof *t->rest)};
    TAILQ_INIT(&t->order);
    if (t->rest != NULL)
        TAILQ_INIT(&t->rest->items);
    return t->rest != NULL;
}

static void turn_end(struct turns *t, struct turn *turn)
{
    TAILQ_REMOVE(&t->order, turn, link);
    if (turn == t->rest)
        return;
    HASH_DEL(t->by_addr, turn);
    free(turn);
}

void turns_fini(struct turns *t)
{
    struct turn *turn;
    while ((turn = TAILQ_FIRST(&t->order)) != NULL)
        turn_end(t, turn);
    free(t->rest);
    t->rest = NULL;
}

static struct turn *turn_get(struct turns *t, uint8_t family, const uint8_t addr[16])
{
    uint8_t key[KEY_BYTES] = {family};
    struct turn *turn = NULL;
    if (family != 0)
        memcpy(key + 1, addr, family == 4 ? 4 : 8);
    HASH_FIND(hh, t->by_addr, key, KEY_BYTES, turn);
    if (turn != NULL)
        return turn;
    if ((turn = calloc(1, sizeof *turn)) == NULL)
        return t->rest;
    memcpy(turn->key, key, KEY_BYTES);
    TAILQ_INIT(&turn->items);
    HASH_ADD(hh, t->by_addr, key, KEY_BYTES, turn);
    return turn;
}

void turns_push(struct turns *t, uint8_t family, const uint8_t addr[16], struct turn_item *i)
{
    struct turn *turn = turn_get(t, family, addr);
    if (TAILQ_EMPTY(&turn->items))
        TAILQ_INSERT_TAIL(&t->order, turn, link);
    TAILQ_INSERT_TAIL(&turn->items, i, link);
    i->turn = turn;
}

void turns_remove(struct turns *t, struct turn_item *i)
{
    struct turn *turn = i->turn;
    TAILQ_REMOVE(&turn->items, i, link);
    i->turn = NULL;
    if (TAILQ_EMPTY(&turn->items))
        turn_end(t, turn);
}

struct turn_item *turns_pop(struct turns *t)
{
    struct turn *turn = TAILQ_FIRST(&t->order);
    if (turn == NULL)
        return NULL;
    struct turn_item *i = TAILQ_FIRST(&turn->items);
    TAILQ_REMOVE(&t->order, turn, link);
    TAILQ_INSERT_TAIL(&t->order, turn, link);
    turns_remove(t, i);
    return i;
}
