/* SPDX-License-Identifier: ISC
 * The orders that the world takes from the admin floor. Thread: the control plane's.
 */
#ifndef WEIR_WORKER_ORDER_H
#define WEIR_WORKER_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct world;

enum world_verb {
    WORLD_PAUSE,
    WORLD_RESUME,
    WORLD_DISABLE,
    WORLD_ENABLE,
    WORLD_KILL,
    WORLD_RECONNECT,
    WORLD_WAIT_CLOSE /* only looks whether there is such a database */
};
enum world_answer {
    WORLD_DONE,
    WORLD_NO_DATABASE, /* there is none of this name */
    WORLD_NOT_PAUSED   /* RESUME: nothing to be done */
};
/* For one database, or (NULL) all. */
enum world_answer world_order(struct world *w, enum world_verb verb, const char *database);
/* Is PAUSE in force: for this database, or (NULL) for all of them? */
bool world_is_paused(struct world *w, const char *database);
/* Server connections that a database has, or is about to have. */
uint32_t world_connections(struct world *w, const char *database);
/* Log in until this database has so many connections, for the user (NULL: its own, or the only one
 * that it has had), as far as the bound allows. false: why not. */
bool world_warm(struct world *w, const char *database, const char *user, uint32_t n, char *why,
                size_t room);
/* Order a client to be closed; `done` is told, once and later, whether there was one. false: no
 * client can have this id, `done` isn't called. */
bool world_kill_client(struct world *w, uint64_t id, void (*done)(bool found, void *arg),
                       void *arg);

#endif
