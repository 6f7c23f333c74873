/* SPDX-License-Identifier: ISC
 * Wait until a descriptor that a library owns can be read or written: once, with a time limit.
 * For libraries that bring their own state machine (libpq's PQconnectPoll). One loop, its thread.
 */
#ifndef WEIR_NET_WATCH_H
#define WEIR_NET_WATCH_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>

struct loop;

/* ready: the descriptor is; false: the time is over. */
typedef void watch_cb(bool ready, void *arg);
struct watch {
    struct event ev;
    watch_cb *cb;
    void *arg;
    bool armed;
};

/* Arm it, replacing what was armed before; `write`: else read. false: the loop refused. */
bool watch_once(struct watch *w, struct loop *l, int fd, bool write, uint64_t within_us,
                watch_cb *cb, void *arg) __attribute__((warn_unused_result));
/* Disarm; safe when not armed or zeroed. Before the descriptor is closed. */
void watch_stop(struct watch *w);

#endif
