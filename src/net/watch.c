/* SPDX-License-Identifier: ISC
 * See watch.h.
 */
#include "config.h"

#include "net/watch.h"

#include "net/loop.h"

#include <event2/event.h>
#include <sys/time.h>

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct watch *w = arg;
    (void)fd;
    w->armed = false;
    w->cb((what & EV_TIMEOUT) == 0, w->arg);
}

bool watch_once(struct watch *w, struct loop *l, int fd, bool write, uint64_t within_us,
                watch_cb *cb, void *arg)
{
    watch_stop(w);
    w->cb = cb;
    w->arg = arg;
    struct timeval tv = {.tv_sec = (time_t)(within_us / 1000000u),
                         .tv_usec = (suseconds_t)(within_us % 1000000u)};
    if (event_assign(&w->ev, loop_base(l), fd, write ? EV_WRITE : EV_READ, on_event, w) != 0 ||
        event_add(&w->ev, &tv) != 0)
        return false;
    w->armed = true;
    return true;
}

void watch_stop(struct watch *w)
{
    if (w->armed)
        event_del(&w->ev);
    w->armed = false;
}
