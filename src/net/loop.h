/* SPDX-License-Identifier: ISC
 * One event loop per thread, its timers and its mailbox: the only home of libevent beside streams,
 * listeners and names.
 *
 * A mailbox is how anything crosses threads: messages are intrusive, posting never blocks and never
 * fails, and the eventfd is written only when the box goes from empty to non-empty. The mails of
 * one poster arrive in the order they were posted.
 *
 * The first loop_create() of the process makes SIGPIPE ignored and sends libevent's own warnings to
 * the log.
 */
#ifndef WEIR_NET_LOOP_H
#define WEIR_NET_LOOP_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct loop;
struct event_base;

struct loop *loop_create(void); /* NULL when out of memory or descriptors */
void loop_destroy(struct loop **l);
void loop_run(struct loop *l); /* until loop_stop */
/* Any thread; also before loop_run, which then returns at once. What the same thread posted before
 * is delivered first. */
void loop_stop(struct loop *l);
/* Without locks: for this loop's thread only. */
struct event_base *loop_base(struct loop *l);

/* A one-shot timer of this loop's thread; embedded by its owner. */
typedef void timer_cb(void *arg);
struct timer {
    struct event ev;
    timer_cb *cb;
    void *arg;
};
void timer_init(struct timer *t, struct loop *l, timer_cb *cb, void *arg);
void timer_set_us(struct timer *t, uint64_t after_us); /* from now; replaces an earlier setting */
void timer_clear(struct timer *t);                     /* also safe when not set or zeroed */

/* Message: first member of whatever is sent; owned by the receiver once posted. */
struct mail {
    STAILQ_ENTRY(mail) link;
    uint32_t kind; /* the receiver's own enum */
};
typedef void mail_cb(struct mail *m, void *arg);
/* Register the loop's receiver before loop_run. */
void loop_on_mail(struct loop *l, mail_cb *cb, void *arg);
void loop_post(struct loop *l, struct mail *m); /* any thread */

#endif
