/* SPDX-License-Identifier: ISC
 * The control plane: the main thread's loop. Plans for each database server, dials, runs what
 * blocks on job threads, and holds the process's timers. Private to src/worker.
 */
#ifndef WEIR_WORKER_CONTROL_H
#define WEIR_WORKER_CONTROL_H

#include "worker/job.h"
#include "worker/route.h"
#include "worker/worker_priv.h"

struct dial;
struct names;

struct control {
    struct world *world;
    struct loop *loop;
    struct names *names;
    struct timer timer;
    LIST_HEAD(, dial) dials;
    STAILQ_HEAD(, job) waiting; /* jobs that wait for a slot of the bound */
    uint64_t wake_us;
    uint64_t warm_at_us;  /* `warm` is looked at next; 0: never yet */
    uint64_t warm_minute; /* of the wall clock, when it was looked at last */
    bool stopping;
};

struct control *control_create(struct world *world);
void control_destroy(struct control **c);
struct loop *control_loop(struct control *c);
struct names *control_names(struct control *c);
/* Run core_plan() for this server until nothing is left to do. */
void control_plan(struct control *c, struct bound_server *s);
/* A login of this route succeeded: ask for the server's limits if they matter and are unknown. */
void control_learn(struct control *c, struct route *r);

/* ---- warm.c ---- */
/* What the settings say is to be warmed in this minute; returns when to come back. */
uint64_t control_warm(struct control *c, uint64_t now_us);
/* The settings were read (again). */
void control_look_at_warm(struct control *c);

/* ---- dial.c ---- */
void dial_open(struct control *c, struct route *r);
/* password_command is done; takes the job over. */
void dial_password(struct control *c, struct job *j);
void dial_stop_all(struct control *c);

#endif
