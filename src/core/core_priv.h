/* SPDX-License-Identifier: ISC
 * The core's insides, shared by the files of this folder and nobody else. Whatever is declared
 * here is called with the server's mutex held, unless it says otherwise.
 *
 *   pool.c     states: the one function that moves a connection between lists; which pools want
 *   queue.c    who is next among the waiters: the policy
 *   function.c who borrows, and what each may have
 *   peer.c     what one address may have
 *   lend.c     borrowing and giving back
 *   share.c    when a connection of one pool is closed in favour of another
 *   group.c    what several pools may have together
 *   plan.c     what the control plane has to do next
 *   failure.c  what failed logins mean for those who wait
 *   slots.c    control connections and cancels
 *   check.c    what always holds
 */
#ifndef WEIR_CORE_CORE_PRIV_H
#define WEIR_CORE_CORE_PRIV_H

#include "core/core.h"
#include "core/heap.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CORE_MAGIC_SERVER 0x5e12e125u
#define CORE_MAGIC_POOL   0x9001c02eu
#define CORE_NEVER        UINT64_MAX

/* A failure in force: what the server said. */
struct core_fault {
    char code[6];
    char text[256];
};

/* What is kept per worker in each pool. */
struct core_desk {
    struct core_conn_list idle; /* last returned first */
};

/* The waiters of one function in one pool; there is none where nobody waits. */
struct core_line {
    LIST_ENTRY(core_line) link; /* in its function */
    struct core_pool *pool;
    struct core_function *function;
    struct core_waiter_list waiters; /* oldest first, by `turn` */
    uint32_t n;
    uint32_t held;     /* wait as well, aside (peer.h) */
    uint32_t eligible; /* of `waiters`, as many as its limit lets borrow now */
    uint32_t at;       /* in the pool's heap of lines; not there when nobody may borrow */
};

#define CORE_PACE 16u

struct core_function {
    LIST_ENTRY(core_function) link; /* in the server */
    struct core_server *server;
    char *name;
    struct core_function_limits lim;
    LIST_HEAD(, core_line) lines;
    uint32_t lent, waiting;
    uint64_t busy_since_us; /* its queue was empty last */
    uint32_t paced; /* of its waiters were served, and when the last ones were: see queue.c */
    uint64_t paced_us[CORE_PACE];
    uint64_t loans_total, refused_total, expired_total;
};

struct core_group {
    LIST_ENTRY(core_group) link; /* in the server */
    struct core_server *server;
    uint32_t max_conns;        /* 0: no limit */
    uint32_t learned;          /* the server's own limit, as it seems; 0: nothing is known ... */
    uint64_t learned_until_us; /* ... any more, from then on */
    uint32_t limited;          /* how often it was learned in a row */
    uint32_t pools;            /* how many are in it */
    uint32_t n, closing;       /* connections of its pools in any state; of these, closing */
    struct core_heap blocked;  /* pools that want one more and would have it but for this group */
};

struct core_pool {
    uint32_t magic;
    /* constant */
    struct core_server *server;
    char *name;
    void *owner;

    /* under the server's mutex */
    TAILQ_ENTRY(core_pool) link; /* in the server */
    struct core_pool_limits lim;
    bool paused, disabled;
    bool retired; /* its database is elsewhere now: nobody borrows here any more */
    uint32_t generation;
    uint32_t warm; /* so many are to be there once, until: */
    uint64_t warm_until_us;
    uint32_t n[CONN_STATES]; /* connections by state */
    uint32_t waiting;
    uint32_t eligible;               /* of those waiting, whom no limit of a function holds back */
    uint64_t idle_mask;              /* workers whose list is not empty */
    struct core_waiter_list waiters; /* all of them, oldest first */
    struct core_heap lines;          /* functions that wait here, the next to be served first */
    uint32_t lines_n;
    struct core_conn_list lent, closing;
    uint32_t hungry_at; /* in the server's heap of pools that want another connection */
    struct core_group *group[CORE_GROUPS]; /* NULL last */
    struct core_group *blocked_in;         /* wants another connection, and its group is full */
    uint32_t blocked_at;                   /* in that one's heap */
    bool owed;      /* a slot is being freed for it: it comes before all others */
    bool below_min; /* counted in the server's below_min */
    bool resumed;   /* in the server's list of pools whose idle connections wait to be lent */
    TAILQ_ENTRY(core_pool) resumed_link;
    uint64_t served_us;      /* a connection came back or was opened */
    uint64_t opening_sum_us; /* sum of the starting times of the logins under way */
    uint32_t opening_stale;  /* of those, begun before the last RECONNECT */
    uint32_t refused;        /* failures of its own since the last login that succeeded */
    bool passing;            /* the last one was POOL, not REFUSED or MISSING */
    bool missing;            /* the last one was MISSING */
    uint64_t fail_since_us;  /* the first one */
    uint64_t retry_us;       /* no login before that */
    bool probe_wanted;       /* somebody was turned away since the last attempt */
    struct core_fault fault; /* while refused, or a group of its is limited */
    TAILQ_ENTRY(core_pool) refused_link;
    uint64_t loans_total, refused_total, expired_total;

    struct core_desk desk[]; /* one per worker */
};
TAILQ_HEAD(core_pool_list, core_pool);

struct core_server {
    uint32_t magic;
    /* constant */
    uint32_t workers;
    char *name;

    pthread_mutex_t lock; /* the only one in the core; nothing is called while it is held */
    /* under the mutex */
    struct core_server_limits lim;
    uint64_t now_us; /* the latest time anybody brought */
    uint32_t random;
    struct core_pool_list pools;
    uint32_t pools_n;
    uint32_t n[CONN_STATES]; /* sums over the pools */
    uint32_t waiting;
    uint32_t cancelling, control;
    bool excess;      /* one cancel is beyond the bound */
    bool cancel_next; /* another waits for the slot of the one under way */
    uint32_t allowed; /* the bound, or what was in use when it was lowered below that */
    uint64_t want_control_us, want_cancel_us; /* until then one slot is kept for each; 0: none */

    struct core_conn_list idle;    /* all pools', longest idle first */
    struct core_conn_list untold;  /* closing, for core_plan to hand out */
    struct core_heap hungry;       /* pools that want one more: fewest held, then oldest wait */
    struct core_heap *deadline;    /* per worker: waiters */
    struct core_waiter_list *late; /* per worker: out of the queue, still to be told */
    LIST_HEAD(, core_function) functions;
    LIST_HEAD(, core_group) groups;
    uint64_t learned_us;          /* the earliest end of what groups have learned, or CORE_NEVER */
    uint32_t blocked;             /* pools in the heaps of groups */
    struct core_peer *peers;      /* by address */
    struct core_function *nobody; /* of waiters that name none */
    struct core_pool_list resumed;
    uint32_t below_min;   /* pools with fewer than their min_conns */
    uint16_t next_worker; /* gets the next connection that nobody waits for */

    /* logins */
    uint32_t window;       /* how many at once for now */
    uint64_t login_us;     /* how long one takes, smoothed */
    uint64_t login_end_us; /* the last that worked */
    uint32_t soft_bound;   /* what the server itself turned out to allow, until soft_until_us */
    uint64_t soft_until_us;
    uint32_t limited;        /* LIMIT failures in a row */
    uint32_t fails;          /* failures in a row, bursts counted once */
    uint64_t fail_since_us;  /* the first of them */
    uint64_t next_open_us;   /* no login before that */
    uint64_t last_return_us; /* a connection came back clean */
    uint64_t last_use_us;    /* somebody borrowed or gave back */
    bool asleep;             /* closed down by idle_to_zero, until somebody asks */
    bool resuming;           /* somebody has; until a login works */
    uint64_t resume_since_us;
    uint64_t back_since_us; /* the first login that worked after it was asleep or out of reach */
    struct core_fault fault;
    struct core_pool *probe_pool; /* somebody of this pool was turned away while down */
    struct core_pool_list refused;
    uint64_t probe_us; /* the earliest retry_us of refused pools that somebody wants */
    bool fail_check;   /* some waiters may have to be told a failure */

    /* planning */
    uint64_t maint_us; /* no idle connection comes of age before that */
    uint64_t wake_us;  /* what the control plane was told */
    bool nudged;       /* somebody is about to call core_plan() */
    uint32_t check_debt;
};

/* ---- time and arithmetic ---- */

/* Lock, check and keep the clock; every entry point begins and ends with these. */
void core_enter(struct core_server *s, uint64_t now_us);
void core_exit(struct core_server *s);
void core_check_locked(struct core_server *s);

static inline uint64_t core_age(uint64_t now_us, uint64_t since_us)
{
    return now_us > since_us ? now_us - since_us : 0;
}

static inline uint64_t core_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static inline uint64_t core_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t core_clamp(uint64_t v, uint64_t low, uint64_t high)
{
    return v < low ? low : v > high ? high : v;
}

/* Slots taken; connections a pool has or will have. */
static inline uint32_t core_used(const struct core_server *s)
{
    return s->n[CONN_OPENING] + s->n[CONN_IDLE] + s->n[CONN_LENT] + s->n[CONN_CLOSING] +
           s->cancelling + s->control;
}

static inline uint32_t core_held(const struct core_pool *p)
{
    return p->n[CONN_OPENING] + p->n[CONN_IDLE] + p->n[CONN_LENT];
}

/* By its own size; whether it may have one more its groups and the server decide. */
static inline bool core_pool_has_room(const struct core_pool *p)
{
    return p->lim.max_conns == 0 || core_held(p) + p->n[CONN_CLOSING] < p->lim.max_conns;
}

uint32_t core_random(struct core_server *s);
/* us, made longer or shorter by up to a quarter. */
uint64_t core_jitter(struct core_server *s, uint64_t us);

/* ---- pool.c ---- */

/* Move a connection to the list of its new state and keep every count. */
void core_conn_enter(struct core_conn *c, enum conn_state to, uint64_t now_us);
/* Its loan is over, or about to be given to another: the function that had it has one less. */
void core_conn_unborrow(struct core_conn *c);
/* Close an idle connection that its worker does not know of yet: core_plan will say so. */
void core_conn_retire(struct core_conn *c, uint64_t now_us);
/* When an idle connection comes of age (idle timeout, lifetime). */
uint64_t core_conn_due_us(const struct core_conn *c);
uint64_t core_conn_lifetime_end_us(const struct core_conn *c);
/* A login begins or has ended. */
void core_pool_opening(struct core_pool *p, bool begins, uint64_t now_us);
/* After anything about the pool changed: does it want one more, is it below its minimum. */
void core_pool_rate(struct core_pool *p);
/* The server is in use again: after idle_to_zero it may need its time, and one login at a time. */
void core_server_wake(struct core_server *s, uint64_t now_us);
/* Connections that it is to have though nobody asks: its minimum, or what it is being warmed to. */
uint32_t core_pool_minimum(const struct core_pool *p);
/* Its place among the hungry; for those that are. */
uint64_t core_pool_hunger(const struct core_pool *p);
struct core_pool *core_pool_hungriest(const struct core_server *s);

/* ---- function.c ---- */

/* With the server, when nobody waits. */
void core_functions_free(struct core_server *s);

/* ---- slots.c ---- */

/* Slots kept for control connections and cancels that were refused one. */
uint32_t core_slots_kept(const struct core_server *s);
/* Slots that may be taken for a login now. */
uint32_t core_slots_free(const struct core_server *s, uint64_t now_us);
/* Connections that have to be closed for the bound or a kept slot, beyond those closing. */
uint32_t core_slots_missing(const struct core_server *s);
/* Slots were freed: the exceptions to the bound end as soon as they can. */
void core_slots_settle(struct core_server *s);

#endif
