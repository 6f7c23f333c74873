/* SPDX-License-Identifier: ISC
 * The worker floor as seen from above: the world of threads, its start and its end.
 *
 * Thread: the one that runs world_loop(), the control plane's.
 */
#ifndef WEIR_WORKER_WORKER_H
#define WEIR_WORKER_WORKER_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conf;
struct conf_report;
struct listen_claim;
struct loop;
struct mail;
struct world;

/* Start everything: listeners, workers, the first logins to the databases. Takes over the reference
 * of `conf`. NULL: `report` or `e` says why. */
struct world *world_create(struct conf *conf, struct conf_report *report, struct err *e)
    __attribute__((warn_unused_result));
/* Report what world_create() and the admin port would fail at, but for ports that are taken. */
void world_try(const struct conf *conf, struct conf_report *report);
/* Every thread ends, clients and server connections are closed. Before what consoles ask
 * (world_on_console) is gone: their sessions end here. */
void world_stop(struct world *w);
/* What is left, after world_stop(). */
void world_destroy(struct world **w);
/* The control plane's loop, to be run by the caller. */
struct loop *world_loop(struct world *w);
/* What systemd handed over for the admin port. */
const struct listen_claim *world_admin_sockets(const struct world *w);

/* Take another configuration; false: `report` says why and nothing has changed. Takes over the
 * reference of `conf` in any case. */
bool world_reload(struct world *w, struct conf *conf, struct conf_report *report);
struct conf *world_conf(struct world *w); /* a reference to the running one */

/* Accept nobody, end idle clients, and the others with their transaction. */
void world_drain(struct world *w, bool patient); /* patient: wait for them to leave by themselves */
uint32_t world_clients(struct world *w);         /* but for the console's */

#endif
