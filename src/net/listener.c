/* SPDX-License-Identifier: ISC
 * Accepting: one worker's registration of the shared listening sockets. Opening them is
 * listen_set.c's.
 *
 * All workers watch the same descriptors and whoever comes first accepts. That wakes a worker or
 * two for nothing now and then, a failed accept4() each; the alternative, a SO_REUSEPORT socket for
 * each worker, would strand the queue of a worker that is busy or paused, would not do for Unix
 * sockets and systemd's, and would let a second weir share the port unnoticed.
 *
 *     OPEN  --EMFILE and its like, or a descriptor above the ceiling-->  HELD
 *     HELD  --timer-->  OPEN
 *     either, paused or stopped by the owner: not watching
 *
 * A descriptor above the ceiling can't be put back into the kernel's queue. It is kept aside, one
 * per listener, and handed on when a lower number is free.
 */
#include "config.h"

#include "net/listener.h"
#include "net/listen_set.h"
#include "net/loop.h"
#include "base/clock.h"
#include "base/log.h"

#include <event2/event.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOLD_US (100 * US_PER_MS)

struct acceptor {
    struct event ev;
    struct listener *owner;
    unsigned door;
    unsigned expect; /* to accept in a turn: twice as many as the last one had, so that a single
                        client costs no call that finds nobody */
};

struct aside {
    int fd; /* -1: none */
    unsigned door;
    struct sockaddr_storage peer;
    socklen_t len;
};

struct listener {
    struct listen_set *set;
    struct loop *loop;
    accept_cb *cb;
    void *arg;
    unsigned batch;
    bool paused; /* by the owner */
    bool held;   /* out of descriptors; the timer is set */
    struct timer hold;
    struct aside aside;
    unsigned count;
    struct acceptor acceptors[];
};

static void listener_watch(struct listener *l)
{
    bool watch = !l->paused && !l->held;
    for (unsigned i = 0; i < l->count; i++)
        if (watch)
            event_add(&l->acceptors[i].ev, NULL);
        else
            event_del(&l->acceptors[i].ev);
}

static void listener_hold(struct listener *l, const char *why)
{
    static struct log_limit limit;
    uint32_t dropped = 0;
    if (log_limit_pass(&limit, &dropped))
        log_warn("listener", "cannot accept clients: %s; they wait in the queue, next try in %u ms",
                 why, (unsigned)(HOLD_US / US_PER_MS));
    l->held = true;
    listener_watch(l);
    timer_set_us(&l->hold, HOLD_US);
}

static void on_hold_over(void *arg)
{
    struct listener *l = arg;
    if (l->aside.fd >= 0) {
        int fd = fcntl(l->aside.fd, F_DUPFD_CLOEXEC, 0);
        if (fd < 0 || listen_set_above(l->set, fd)) {
            if (fd >= 0)
                close(fd);
            timer_set_us(&l->hold, HOLD_US);
            return;
        }
        close(l->aside.fd);
        l->aside.fd = -1;
        l->cb(fd, l->aside.door, &l->aside.peer, l->aside.len, l->arg);
    }
    l->held = false;
    listener_watch(l);
}

/* The connection is gone before it was accepted, or the network said so: not our affair. */
static bool accept_error_is_peers(int err)
{
    switch (err) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case EPERM: /* a firewall rule */
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case ETIMEDOUT:
        return true;
    default:
        return false;
    }
}

static void on_acceptable(evutil_socket_t lfd, short what, void *arg)
{
    (void)what;
    struct acceptor *a = arg;
    struct listener *l = a->owner;
    unsigned n = 0;
    while (n < a->expect && !l->paused && !l->held) {
        struct sockaddr_storage peer;
        socklen_t len = sizeof peer;
        int fd = accept4(lfd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EAGAIN)
                break;
            if (!accept_error_is_peers(errno))
                listener_hold(l, strerrordesc_np(errno));
        } else if (listen_set_above(l->set, fd)) {
            l->aside = (struct aside){.fd = fd, .door = a->door, .peer = peer, .len = len};
            listener_hold(l, "the descriptors for clients are used up");
        } else {
            l->cb(fd, a->door, &peer, len, l->arg);
        }
        n++;
    }
    /* All there were or more are there: more of them next time, up to the batch. */
    a->expect = n < a->expect ? (n > 1 ? n : 1) : a->expect * 2;
    if (a->expect > l->batch)
        a->expect = l->batch;
}

struct listener *listener_create(struct listen_set *s, struct loop *l, unsigned batch,
                                 accept_cb *cb, void *arg)
{
    unsigned count = listen_set_count(s);
    struct listener *me = calloc(1, sizeof *me + count * sizeof me->acceptors[0]);
    if (!me)
        return NULL;
    me->set = s;
    me->loop = l;
    me->cb = cb;
    me->arg = arg;
    me->batch = batch ? batch : 1;
    me->count = count;
    me->aside.fd = -1;
    timer_init(&me->hold, l, on_hold_over, me);
    for (unsigned i = 0; i < count; i++) {
        struct acceptor *a = &me->acceptors[i];
        a->expect = 1;
        a->owner = me;
        int fd = listen_set_at(s, i, &a->door);
        event_assign(&a->ev, loop_base(l), fd, EV_READ | EV_PERSIST, on_acceptable, a);
    }
    listener_watch(me);
    return me;
}

void listener_destroy(struct listener **lp)
{
    struct listener *l = *lp;
    *lp = NULL;
    if (!l)
        return;
    l->paused = true;
    listener_watch(l);
    timer_clear(&l->hold);
    if (l->aside.fd >= 0)
        close(l->aside.fd);
    free(l);
}

void listener_pause(struct listener *l, bool paused)
{
    if (l->paused == paused)
        return;
    l->paused = paused;
    listener_watch(l);
}

void listener_stop(struct listener *l)
{
    for (unsigned i = 0; i < l->count; i++) {
        l->acceptors[i].expect = UINT_MAX;
        on_acceptable(event_get_fd(&l->acceptors[i].ev), EV_READ, &l->acceptors[i]);
    }
    listener_pause(l, true);
}
