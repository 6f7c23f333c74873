/* SPDX-License-Identifier: ISC
 * Who may borrow a server connection, and when. The core takes facts and `now` and returns
 * decisions; it has no socket, no thread, no clock and no SQL of its own, so ten thousand clients
 * run in a test with a made-up clock.
 *
 *   core_server   one database server (host:port): the bound, one mutex, all queues below it
 *     core_pool   one (database, user) pair on it: its limits, its idle connections, its waiters
 *       core_conn    one server connection; embedded in the worker's backend object
 *       core_waiter  one client that wants or has a loan; embedded in the worker's client object
 *
 * The life of a connection (a slot of the bound is taken from OPENING to the end of CLOSING):
 *
 *     core_plan: OPEN          core_opened              core_borrow, or a grant by core_opened,
 *   NONE ----------> OPENING -------------> IDLE <---> LENT    core_give_back or core_plan: LEND
 *     ^                |  core_open_failed    |          |
 *     |<---------------'                      v          v     core_plan: CLOSE, CORE_NEXT_CLOSE,
 *     '----------------------------------- CLOSING <-----'     core_conn_break
 *                  core_conn_closed
 *
 * The life of a waiter:
 *
 *            core_borrow: QUEUED                  a grant: the worker is posted a message
 *   NONE -------------------------> QUEUED ---------------------> GRANTED --.
 *     ^   core_leave, core_expire     |   core_plan: FAIL: a message        | core_waiter_take
 *     |<------------------------------'-------------------------> FAILED ---|
 *     '---------------------------------------------------------------------'
 *
 * A waiter is taken off the queue by whatever thread had a connection for it (or a failure). That
 * thread posts a message to the waiter's worker, and nothing else may end the wait any more: a
 * client that goes away meanwhile hears so from core_leave() and stays in memory until the message
 * is there. The worker then calls core_waiter_take().
 *
 * Threads: any function may be called from any worker or from the control plane; each takes the
 * server's mutex itself and never calls back while holding it. A core_conn's fields are written
 * only under the mutex; a core_waiter's by its own worker before it is queued and after it has
 * been taken, expired or has left, and under the mutex in between.
 *
 * What always holds (core_check walks it in debug builds):
 *   opening + idle + lent + closing + cancelling + control <= bound      [two exceptions: a
 *   cancel that has waited while every connection stayed lent, one at a time per server, see
 *   core_cancel_begin; and after the bound was lowered the number only falls until it fits]
 *   and each count equals the length of its list; a waiter is in exactly one queue or none.
 */
#ifndef WEIR_CORE_CORE_H
#define WEIR_CORE_CORE_H

#include "core/core_types.h"
#include "core/core_function.h"
#include "core/core_group.h"
#include "core/core_setup.h"
#include "core/core_lend.h"
#include "core/core_plan.h"

#include <stdint.h>

struct core_server *core_pool_server(const struct core_pool *p);
void core_server_counts(struct core_server *s, uint64_t now_us, struct core_counts *out);
void core_pool_counts(struct core_pool *p, uint64_t now_us, struct core_counts *out);
/* Abort the process when an invariant does not hold (debug builds; also called by tests). */
void core_check(struct core_server *s);

#endif
