/* SPDX-License-Identifier: ISC
 * What all threads share. Private to src/worker.
 *
 * Lock order: world.lock, then the route table's lock or that of the functions, then a core
 * server's mutex. A route's own lock comes after the table's, and of two routes' the one's before
 * that of its successor; under it and under greetings.lock nothing else is. None is held while a
 * message is posted or a protocol called, but to count a reference to a report and to read its
 * version.
 */
#ifndef WEIR_WORKER_WORLD_H
#define WEIR_WORKER_WORLD_H

#include "worker/worker_priv.h"

#include "net/listener.h"

struct control;
struct routes;
struct functions;
struct jobs;

/* What a client is greeted with that hasn't said yet where it wants to go: what the server said
 * that was the first of its protocol to be reached. See greet.c. */
struct greetings {
    pthread_mutex_t lock;
    struct {
        const struct bound_server *server;
        void *report; /* NULL: none was reached yet */
    } of[PROTOCOLS];
    /* Until then such clients wait for it (clock_now_us()); 0: not any more. */
    _Atomic uint64_t by_us;
};

struct world {
    pthread_mutex_t lock;      /* guards settings */
    struct settings *settings; /* the running ones */
    struct worker *workers[CORE_MAX_WORKERS];
    uint32_t n_workers;
    struct control *control;
    struct routes *routes;
    struct functions *functions;
    struct jobs *jobs;
    struct listen_set *listen;
    struct listen_claim admin_sockets;
    _Atomic uint32_t clients; /* sockets of clients, all workers */
    _Atomic uint64_t backend_ids;
    _Atomic uint32_t consoles; /* of these, the console's */
    _Atomic bool draining;
    _Atomic uint32_t doors; /* workers that still accept; the last one closes the sockets */
    _Atomic bool reachable; /* at least one database was */
    struct greetings greetings;
    uint64_t started_wall_us;
    const struct console_ops *_Atomic console[PROTOCOLS]; /* by door; set after the workers began */
    /* Mail to the control plane that is not its own (console, orders): main.c's. */
    void (*on_control_mail)(struct mail *m, void *arg);
    void *on_control_arg;
};

struct settings *world_settings(struct world *w); /* a reference */
/* Post each of them a mail that says no more than this. */
void world_tell_workers(struct world *w, enum mail_kind what);

/* ---- greet.c ---- */
/* Before the workers begin: whether a server is being tried that may teach what such clients are
 * greeted with. */
void greetings_init(struct greetings *g, bool coming);
/* The control plane's: what a login to a server of `r` taught; that it came to its end the one way
 * or the other, and route_learn() knows: nobody waits for it any more. */
void greetings_learn(struct world *w, const struct route *r, void *report);
void greetings_over(struct world *w, const struct route *r);

/* ---- control.c: messages to the control plane ---- */
void control_post(struct control *c, struct mail *m);
void control_nudge(struct control *c, struct core_server *s);
/* ---- view.c ---- */
void view_collected(struct mail *mail);
/* ---- order.c ---- */
void order_done(struct mail *mail);

#endif
