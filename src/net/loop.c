/* SPDX-License-Identifier: ISC
 * The event loop of one thread: libevent's base without locks, timers, and the mailbox.
 *
 * The base is touched by its own thread only, so it is built without locks; what other threads may
 * do is loop_post() and loop_stop(), and both touch nothing but the atomics and the eventfd below.
 *
 * The mailbox is a stack that posters push onto with one compare-and-swap and that the loop takes
 * whole with one exchange, then turns round into a queue of its own:
 *
 *     poster  --push-->  box (newest first)  --exchange, reverse-->  todo (oldest first)  --> cb
 *
 * Mails of one poster arrive in the order they were posted. A poster that found the box empty
 * writes the eventfd; the others know that somebody did. The eventfd is watched edge-triggered, so
 * that it is never read: a wake-up is one write() and its share of an epoll_wait().
 */
#include "config.h"

#include "net/loop.h"

#include "net/event_memory.h"
#include "net/loop_priv.h"
#include "net/tls_memory.h"
#include "base/clock.h"
#include "base/log.h"

#include <event2/event.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    MAIL_PER_TURN = 256,     /* then the sockets have their turn */
    CALLBACKS_PER_WAIT = 512 /* look for fresh events at least this often, even when streams re-arm
                                themselves (TLS) */
};

STAILQ_HEAD(mail_queue, mail);

struct loop {
    struct event_base *base;
    struct event wake; /* the eventfd; also the loop's way to call itself again */
    int wake_fd;
    mail_cb *on_mail;
    void *on_mail_arg;
    struct timer sweep;     /* of idle TLS sessions */
    bool sweeping;          /* it is set */
    struct mail_queue todo; /* taken out of the box, not delivered yet */
    /* shared with posters */
    _Atomic(struct mail *) box;
    atomic_bool stop;
};

static void on_libevent_log(int severity, const char *msg)
{
    if (severity >= EVENT_LOG_WARN)
        log_warn("libevent", "%s", msg);
    else
        log_debug("libevent", "%s", msg);
}

/* Once per process: OpenSSL's and libpq's socket writes can't be told MSG_NOSIGNAL. */
static void process_prepare(void)
{
    event_memory_install();
    signal(SIGPIPE, SIG_IGN);
    event_set_log_callback(on_libevent_log);
}

static struct event_base *base_create(void)
{
    struct event_config *cfg = event_config_new();
    if (!cfg)
        return NULL;
    /* No changelist: in libevent 2.1 it lets the edge trigger of a removed event stick to the one
     * that is added in its place. */
    int flags = EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV;
    struct event_base *base = NULL;
    if (event_config_require_features(cfg, EV_FEATURE_ET | EV_FEATURE_O1 |
                                               EV_FEATURE_EARLY_CLOSE) == 0 &&
        event_config_set_flag(cfg, flags) == 0 &&
        event_config_set_max_dispatch_interval(cfg, NULL, CALLBACKS_PER_WAIT, 0) == 0)
        base = event_base_new_with_config(cfg);
    event_config_free(cfg);
    return base;
}

static void wake(struct loop *l)
{
    uint64_t one = 1;
    ssize_t n = write(l->wake_fd, &one, sizeof one);
    (void)n; /* fails only when the counter is at 2^64 - 2: then the loop is awake */
}

/* Move what is in the box behind what is still to be delivered. */
static void box_empty(struct loop *l)
{
    struct mail *m = atomic_exchange_explicit(&l->box, NULL, memory_order_acquire);
    struct mail_queue fresh = STAILQ_HEAD_INITIALIZER(fresh);
    while (m) {
        struct mail *older = STAILQ_NEXT(m, link);
        STAILQ_INSERT_HEAD(&fresh, m, link);
        m = older;
    }
    STAILQ_CONCAT(&l->todo, &fresh);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct loop *l = arg;
    /* Read before the box is: whatever was posted before the stop is then delivered before it. */
    bool stop = atomic_load_explicit(&l->stop, memory_order_acquire);
    box_empty(l);
    struct mail *m;
    for (unsigned n = 0; (stop || n < MAIL_PER_TURN) && (m = STAILQ_FIRST(&l->todo)); n++) {
        STAILQ_REMOVE_HEAD(&l->todo, link);
        if (l->on_mail)
            l->on_mail(m, l->on_mail_arg);
    }
    if (stop)
        event_base_loopbreak(l->base);
    else if (!STAILQ_EMPTY(&l->todo))
        event_active(&l->wake, EV_READ, 0);
}

static void on_sweep(void *arg)
{
    struct loop *l = arg;
    unsigned again_ms = tls_arena_sweep();
    l->sweeping = again_ms > 0;
    if (l->sweeping)
        timer_set_us(&l->sweep, again_ms * (uint64_t)US_PER_MS);
}

void loop_sweep_soon(struct loop *l)
{
    if (l->sweeping)
        return;
    l->sweeping = true;
    timer_set_us(&l->sweep, US_PER_S);
}

struct loop *loop_create(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, process_prepare);

    struct loop *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    STAILQ_INIT(&l->todo);
    l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (l->wake_fd < 0)
        goto out;
    l->base = base_create();
    if (!l->base)
        goto out;
    timer_init(&l->sweep, l, on_sweep, l);
    if (event_assign(&l->wake, l->base, l->wake_fd, EV_READ | EV_ET | EV_PERSIST, on_wake, l) < 0 ||
        event_add(&l->wake, NULL) < 0)
        goto out;
    return l;
out:
    loop_destroy(&l);
    return NULL;
}

void loop_destroy(struct loop **lp)
{
    struct loop *l = *lp;
    *lp = NULL;
    if (!l)
        return;
    if (l->base) {
        timer_clear(&l->sweep);
        if (event_initialized(&l->wake))
            event_del(&l->wake);
        event_base_free(l->base);
    }
    if (l->wake_fd >= 0)
        close(l->wake_fd);
    free(l);
}

void loop_run(struct loop *l)
{
    event_base_loop(l->base, EVLOOP_NO_EXIT_ON_EMPTY);
    tls_arena_unlist_all();
    atomic_store_explicit(&l->stop, false, memory_order_relaxed);
}

void loop_stop(struct loop *l)
{
    atomic_store_explicit(&l->stop, true, memory_order_release);
    wake(l);
}

struct event_base *loop_base(struct loop *l)
{
    return l->base;
}

void loop_on_mail(struct loop *l, mail_cb *cb, void *arg)
{
    l->on_mail = cb;
    l->on_mail_arg = arg;
}

void loop_post(struct loop *l, struct mail *m)
{
    struct mail *head = atomic_load_explicit(&l->box, memory_order_relaxed);
    do {
        STAILQ_NEXT(m, link) = head;
    } while (!atomic_compare_exchange_weak_explicit(&l->box, &head, m, memory_order_release,
                                                    memory_order_relaxed));
    /* From here on m is the receiver's. */
    if (!head)
        wake(l);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct timer *t = arg;
    t->cb(t->arg);
}

void timer_init(struct timer *t, struct loop *l, timer_cb *cb, void *arg)
{
    t->cb = cb;
    t->arg = arg;
    event_assign(&t->ev, l->base, -1, 0, on_timer, t);
}

void timer_set_us(struct timer *t, uint64_t after_us)
{
    struct timeval tv = {.tv_sec = (time_t)(after_us / US_PER_S),
                         .tv_usec = (suseconds_t)(after_us % US_PER_S)};
    if (event_add(&t->ev, &tv) < 0) /* the timer heap could not grow: sooner is better than never */
        event_active(&t->ev, EV_TIMEOUT, 0);
}

void timer_clear(struct timer *t)
{
    if (t->cb)
        event_del(&t->ev);
}
