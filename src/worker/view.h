/* SPDX-License-Identifier: ISC
 * What can be seen of the world: for the admin floor.
 *
 * Thread: the control plane's. Arrays are malloc'ed and the caller's. The rows of clients and
 * servers live on the workers and are collected by a message that goes round them, a few hundred
 * rows a turn, so that looking delays nobody.
 */
#ifndef WEIR_WORKER_VIEW_H
#define WEIR_WORKER_VIEW_H

#include "stat/histogram.h"
#include "stat/view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct world;

size_t world_pools(struct world *w, struct view_pool **rows);
size_t world_bounds(struct world *w, struct view_bound **rows);
size_t world_databases(struct world *w, struct view_database **rows);
size_t world_users(struct world *w, struct view_user **rows);
size_t world_stats(struct world *w, struct view_stats **rows);
size_t world_functions(struct world *w, struct view_function **rows);
size_t world_mem(struct world *w, struct view_mem **rows);
void world_overview(struct world *w, struct view_overview *out);
size_t world_reasons(struct world *w, struct view_reason **rows);
/* Waits (hold false) or holds of a function's loans; false: there is none of this name. */
bool world_times(struct world *w, const char *function, bool hold, struct histogram_view *out);

enum view_what { VIEW_CLIENTS, VIEW_SERVERS, VIEW_PINS, VIEW_STATEMENTS };
/* `done` gets the rows (view_client, view_server, view_pin or view_statement) on the control
 * plane's thread, once.
 */
typedef void view_done(void *rows, size_t n, void *arg);
bool world_collect(struct world *w, enum view_what what, view_done *done, void *arg);

#endif
