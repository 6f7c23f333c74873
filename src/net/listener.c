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
 * per listener and way in, and handed on when a lower number is free.
 *
 * Unix sockets have a ceiling that is a little higher and are held by themselves: however many come
 * over the network, the operator gets in on the machine.
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
#include <sys/socket.h>
#include <unistd.h>

#define HOLD_US (100 * US_PER_MS)

enum way { WAY_NETWORK, WAY_LOCAL, WAYS };
static const int above_ceiling[WAYS] = {[WAY_LOCAL] = LISTEN_LOCAL_EXTRA};

struct acceptor {
    struct event ev;
    struct listener *owner;
    enum way way;
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
    bool paused;     /* by the owner */
    bool held[WAYS]; /* out of descriptors; the timer is set */
    struct timer hold;
    struct aside aside[WAYS];
    unsigned count;
    struct acceptor acceptors[];
};

static void listener_watch(struct listener *l)
{
    for (unsigned i = 0; i < l->count; i++)
        if (!l->paused && !l->held[l->acceptors[i].way])
            event_add(&l->acceptors[i].ev, NULL);
        else
            event_del(&l->acceptors[i].ev);
}

static void listener_hold(struct listener *l, enum way way, const char *why)
{
    static struct log_limit limit;
    uint32_t dropped = 0;
    if (log_limit_pass(&limit, &dropped))
        log_warn("listener", "cannot accept clients: %s; they wait in the queue, next try in %u ms",
                 why, (unsigned)(HOLD_US / US_PER_MS));
    l->held[way] = true;
    listener_watch(l);
    timer_set_us(&l->hold, HOLD_US);
}

/* false: there is no room for the one that was put aside. */
static bool hand_on(struct listener *l, enum way way)
{
    struct aside *a = &l->aside[way];
    if (a->fd < 0)
        return true;
    int fd = fcntl(a->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0 || listen_set_above(l->set, fd - above_ceiling[way])) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    close(a->fd);
    a->fd = -1;
    l->cb(fd, a->door, &a->peer, a->len, l->arg);
    return true;
}

static void on_hold_over(void *arg)
{
    struct listener *l = arg;
    for (enum way way = 0; way < WAYS; way++) {
        l->held[way] = l->held[way] && !hand_on(l, way);
        if (l->held[way])
            timer_set_us(&l->hold, HOLD_US);
    }
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
    while (n < a->expect && !l->paused && !l->held[a->way]) {
        struct sockaddr_storage peer;
        socklen_t len = sizeof peer;
        int fd = accept4(lfd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EAGAIN)
                break;
            if (!accept_error_is_peers(errno))
                listener_hold(l, a->way, strerrordesc_np(errno));
        } else if (listen_set_above(l->set, fd - above_ceiling[a->way])) {
            l->aside[a->way] = (struct aside){.fd = fd, .door = a->door, .peer = peer, .len = len};
            listener_hold(l, a->way, "the descriptors for clients are used up");
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

static enum way way_of(int fd)
{
    struct sockaddr_storage at = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof at;
    (void)getsockname(fd, (struct sockaddr *)&at, &len);
    return at.ss_family == AF_UNIX ? WAY_LOCAL : WAY_NETWORK;
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
    for (enum way way = 0; way < WAYS; way++)
        me->aside[way].fd = -1;
    timer_init(&me->hold, l, on_hold_over, me);
    for (unsigned i = 0; i < count; i++) {
        struct acceptor *a = &me->acceptors[i];
        a->expect = 1;
        a->owner = me;
        int fd = listen_set_at(s, i, &a->door);
        a->way = way_of(fd);
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
    for (enum way way = 0; way < WAYS; way++)
        if (l->aside[way].fd >= 0)
            close(l->aside[way].fd);
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
