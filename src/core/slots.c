/* SPDX-License-Identifier: ISC
 * The bound's arithmetic: what is free, what is kept for whom, and the slots of connections that
 * are not for lending (control connections, cancels).
 */
#include "config.h"

#include "core/core_priv.h"

#include <assert.h>

#define SLOT_KEPT_US (1000u * 1000u)

uint32_t core_slots_kept(const struct core_server *s)
{
    return (s->want_control_us > s->now_us) + (uint32_t)(s->want_cancel_us > s->now_us);
}

uint32_t core_slots_free(const struct core_server *s, uint64_t now_us)
{
    uint32_t bound = s->lim.bound;
    uint32_t taken = core_used(s) + core_slots_kept(s);

    if (now_us < s->soft_until_us && s->soft_bound < bound)
        bound = s->soft_bound;
    return taken < bound ? bound - taken : 0;
}

uint32_t core_slots_missing(const struct core_server *s)
{
    uint32_t taken = core_used(s) - s->excess + core_slots_kept(s) - s->n[CONN_CLOSING];
    return taken > s->lim.bound ? taken - s->lim.bound : 0;
}

void core_slots_settle(struct core_server *s)
{
    uint32_t used = core_used(s);

    if (used <= s->lim.bound)
        s->excess = false;
    used -= s->excess;
    if (used < s->allowed)
        s->allowed = used > s->lim.bound ? used : s->lim.bound;
}

/* A slot within the bound, or a claim on the next one. */
static bool slot_take(struct core_server *s, uint32_t *count, uint64_t *want_us)
{
    if (core_used(s) < s->lim.bound) {
        ++*count;
        *want_us = 0;
        return true;
    }
    *want_us = s->now_us + SLOT_KEPT_US;
    return false;
}

bool core_control_begin(struct core_server *s)
{
    core_enter(s, 0);
    bool ok = slot_take(s, &s->control, &s->want_control_us);
    core_exit(s);
    return ok;
}

void core_control_end(struct core_server *s)
{
    core_enter(s, 0);
    assert(s->control > 0);
    s->control--;
    core_slots_settle(s);
    core_exit(s);
}

/* Cancels come in crowds, when a fleet is scaled down. One slot serves them all, one after the
 * other: if each claimed its own, as many connections would be closed, to be opened anew. */
static bool cancel_take(struct core_server *s)
{
    if (core_used(s) < s->lim.bound || s->cancelling == 0) {
        s->cancel_next = false;
        return slot_take(s, &s->cancelling, &s->want_cancel_us);
    }
    s->cancel_next = true;
    return false;
}

bool core_cancel_begin(struct core_server *s, bool strict)
{
    core_enter(s, 0);
    bool ok = cancel_take(s);
    bool comes = s->n[CONN_IDLE] + s->n[CONN_CLOSING] > 0; /* a slot, and soon */
    if (!ok && !comes && !s->excess && (!strict || s->lim.bound == 1)) {
        s->excess = true;
        s->cancelling++;
        s->want_cancel_us = 0;
        ok = true;
    }
    core_exit(s);
    return ok;
}

void core_cancel_end(struct core_server *s)
{
    core_enter(s, 0);
    assert(s->cancelling > 0);
    s->cancelling--;
    if (s->cancel_next && core_used(s) <= s->lim.bound)
        s->want_cancel_us = s->now_us + SLOT_KEPT_US;
    s->cancel_next = false;
    core_slots_settle(s);
    core_exit(s);
}
