/* SPDX-License-Identifier: ISC
 * Borrowing and giving back: what the workers call for each transaction. Constant time but for the
 * deadline of a waiter and the order of the pools that want a connection (both logarithmic).
 *
 * `*nudge` is set when the control plane should run core_plan() now: whoever gets it posts it a
 * message. It is set once; until core_plan() has run nobody else is asked.
 */
#ifndef WEIR_CORE_CORE_LEND_H
#define WEIR_CORE_CORE_LEND_H

#include "core/core_types.h"

#include <stdbool.h>
#include <stdint.h>

#define CORE_MUST_CHECK __attribute__((warn_unused_result))

enum core_answer {
    CORE_LENT,     /* *conn is yours; fetch it from (*conn)->worker if that is not you */
    CORE_QUEUED,   /* a grant, an expiry or a failure will reach you through a message */
    CORE_FULL,     /* max_waiting reached (or no memory to wait in): refuse */
    CORE_DISABLED, /* DISABLE is in force: refuse */
    CORE_DOWN,     /* logins have repeatedly failed: refuse with core_pool_failure() */
};

/* Borrow for `w` (pool, worker and deadline_us set by the caller, state NONE). */
enum core_answer core_borrow(struct core_waiter *w, uint64_t now_us, struct core_conn **conn,
                             bool *nudge) CORE_MUST_CHECK;

/* Its deadline_us as the caller would set it now; nothing if it does not wait any more. */
void core_waiter_limit(struct core_waiter *w, uint64_t deadline_us);

/* The waiter gives up (client gone, cancelled). true: it was in the queue and is out. false: a
 * message is on its way to it and it must stay until then: a connection, which must be given
 * back, or a failure. */
bool core_leave(struct core_waiter *w) CORE_MUST_CHECK;

/* The message has arrived at the waiter's worker: its connection, or NULL when it was a failure
 * (the text is core_pool_failure()'s). The waiter is then NONE and may be used again or freed. */
struct core_conn *core_waiter_take(struct core_waiter *w) CORE_MUST_CHECK;

enum core_next {
    CORE_NEXT_IDLE,  /* keep it, watch its socket */
    CORE_NEXT_LEND,  /* *next is its borrower; bring it to (*next)->worker */
    CORE_NEXT_CLOSE, /* state is CONN_CLOSING: close it, then core_conn_closed() */
};

/* A loan is over and the connection is clean. After CORE_NEXT_LEND `*next` belongs to its own
 * worker: read (*next)->worker (which never changes) and post it, nothing else. A connection that
 * was broken meanwhile (KILL from elsewhere) answers CLOSE. */
enum core_next core_give_back(struct core_conn *c, uint64_t now_us, struct core_waiter **next,
                              bool *nudge) CORE_MUST_CHECK;

/* The connection is broken or unwanted, whatever its state was: it enters CONN_CLOSING and keeps
 * its slot until core_conn_closed(). false if it was closing already: the order to close it, from
 * core_plan() or core_give_back(), is on its way and must be waited for. */
bool core_conn_break(struct core_conn *c, uint64_t now_us);
/* The same for a connection found broken while it was idle: false also when it was lent meanwhile,
 * for then the borrower's order to fetch it is on its way. */
bool core_conn_break_idle(struct core_conn *c, uint64_t now_us);
/* After close(): the slot is free, the core forgets `c`. */
void core_conn_closed(struct core_conn *c, uint64_t now_us, bool *nudge);

/* A connection that had been idle since then got no answer from its server: those of this server
 * that have been idle for as long are closed. true: nudge the control plane. */
bool core_server_doubt(struct core_server *s, uint64_t since_us, uint64_t now_us);

/* A connection changed its home worker (the socket has arrived there). */
void core_conn_moved(struct core_conn *c, uint16_t worker);

/* Waiters of this worker whose deadline has passed leave the queue (state NONE) and are appended
 * to `out`. Returns the next deadline, UINT64_MAX if nobody of this worker waits with one. Cheap
 * when nothing is due. */
uint64_t core_expire(struct core_server *s, uint16_t worker, uint64_t now_us,
                     struct core_waiter_list *out);

#endif
