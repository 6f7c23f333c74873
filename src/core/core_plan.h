/* SPDX-License-Identifier: ISC
 * The control plane's side: connections are opened, evicted and aged here, failures become
 * answers, and whoever needs a slot for something other than a loan asks here.
 *
 * The control plane runs core_plan() until it answers NONE: when nudged, at wake_us, and after
 * each core_opened(), core_open_failed() or change of core_setup.h. It first retries the control
 * connections and cancels that were refused a slot.
 */
#ifndef WEIR_CORE_CORE_PLAN_H
#define WEIR_CORE_CORE_PLAN_H

#include "core/core_types.h"
#include "core/core_lend.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum core_action { CORE_ACT_NONE, CORE_ACT_OPEN, CORE_ACT_CLOSE, CORE_ACT_LEND, CORE_ACT_FAIL };

struct core_plan {
    enum core_action action;
    struct core_pool *pool; /* OPEN: log in for this pair; its slot is taken (see core_opened).
                               FAIL: whose failure */
    struct core_conn *conn; /* CLOSE: was idle on `worker`, now CONN_CLOSING: have it closed. LEND:
                               was idle there, now lent to `waiter` (a pool was resumed) */
    uint16_t worker;        /* conn->worker, which others may write by now */
    struct core_waiter *waiter;     /* LEND: bring `conn` to this one's worker */
    struct core_waiter_list failed; /* FAIL: these (at most 256) have left the queue and are
                                       WAITER_FAILED: post to each one's worker */
    uint64_t wake_us; /* NONE: call again at this time at the latest (UINT64_MAX: never) */
};

/* The next thing to do for this server; call until CORE_ACT_NONE. */
void core_plan(struct core_server *s, uint64_t now_us, struct core_plan *plan);

/* The login planned for `pool` succeeded; `c` (zeroed) is the new connection. Like core_give_back;
 * for CORE_NEXT_IDLE c->worker says which worker is to have it; for CORE_NEXT_LEND too. */
enum core_next core_opened(struct core_pool *pool, struct core_conn *c, uint64_t now_us,
                           struct core_waiter **next) CORE_MUST_CHECK;

enum core_failure {
    CORE_FAIL_LIMIT,   /* the server says it is full (53300, 1040): log in less at once */
    CORE_FAIL_REFUSED, /* login refused for good until something changes: the password */
    CORE_FAIL_MISSING, /* so far: its database isn't there, or not for this user */
    CORE_FAIL_REACH,   /* no connection, timeout, still starting */
    CORE_FAIL_POOL,    /* not this pool and not now: a role that no host has */
    CORE_FAIL_FIRST,   /* the first, or */
    CORE_FAIL_SECOND,  /* the second of its groups has as many as the server lets it have */
};
/* The login failed (or was given up); its slot is free. The text and code (five characters that its
 * protocol knows) go to the waiters when CORE_ACT_FAIL or CORE_DOWN decides so. LIMIT and
 * REACH concern the whole server. */
void core_open_failed(struct core_pool *pool, enum core_failure why, const char *code,
                      const char *text, uint64_t now_us);
/* Copy of the last failure as seen by this pool; false if there is none in force. */
bool core_pool_failure(struct core_pool *p, char code[6], char *text, size_t room);

/* A cancel or the control plane's own connection takes a slot before connect() and gives it back
 * after close(). core_control_begin: false when the bound is full; the next connection that comes
 * free is then closed for it and its slot kept for a second: try again when nudged. At most one
 * such slot is kept for control connections and one for cancels, which hand it on.
 * core_cancel_begin: false when it must wait in the same way; when every slot is lent out (so that
 * waiting could be for ever) one cancel per server may go beyond the bound. `strict`, for as long
 * as waiting may help, forbids that; with a bound of one it can't: no other connection could come
 * back. */
bool core_control_begin(struct core_server *s);
void core_control_end(struct core_server *s);
bool core_cancel_begin(struct core_server *s, bool strict);
void core_cancel_end(struct core_server *s);
/* Idle connections that nobody has borrowed yet are closed. */
void core_pool_drop_unused(struct core_pool *p, uint64_t now_us);

#endif
