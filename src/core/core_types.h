/* SPDX-License-Identifier: ISC
 * What the core and its callers share: the two structs that callers embed, the settings, the
 * counts. core.h tells the story; include that.
 */
#ifndef WEIR_CORE_CORE_TYPES_H
#define WEIR_CORE_CORE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define CORE_MAX_WORKERS 64
#define CORE_ADDR_BYTES  16
#define CORE_GROUPS      2 /* of a pool at most */

struct core_server;
struct core_pool;
struct core_group;    /* pools with a limit in common (core_group.h) */
struct core_function; /* who borrows: one of a server's (core_function.h) */
struct core_peer;     /* the core's: one client address */
struct core_line;     /* the core's: waiters of one function in one pool */

/* The state of a server connection; each but NONE and OPENING is one list of its pool. */
enum conn_state {
    CONN_NONE,    /* not known to the core */
    CONN_OPENING, /* a slot is taken, the control plane is logging in: a count, no core_conn yet */
    CONN_IDLE,    /* clean, may be lent; lives on worker `worker` */
    CONN_LENT,    /* with a borrower, on its way to one, or being settled after one */
    CONN_CLOSING, /* told to close (or about to be, by core_plan), the socket is not closed yet */
};
#define CONN_STATES 5

enum waiter_state {
    WAITER_NONE,
    WAITER_QUEUED,
    WAITER_LATE,    /* its time is over; core_expire() will say so */
    WAITER_GRANTED, /* `conn` is on its way to its worker */
    WAITER_FAILED,  /* the news of a failure is on its way to its worker */
};

/* Embedded in the worker's backend. Zeroed before core_opened(). */
struct core_conn {
    struct core_pool *pool;
    TAILQ_ENTRY(core_conn) link; /* in the list of its state */
    TAILQ_ENTRY(core_conn) line; /* idle: the server's, by age; closing: those still to be told */
    uint64_t opened_us;          /* login finished */
    uint64_t since_us;           /* entered the present state */
    _Atomic uint64_t loans;      /* any thread may read it */
    struct core_function *function; /* whose loan it is, while it is lent */
    struct core_function *last;     /* whose loan was the last, NULL: it has not been lent yet */
    struct core_peer *peer;         /* likewise; NULL: of no address that is limited */
    struct core_waiter *borrower; /* whom the present loan was granted to while it waited, or NULL;
                                     never followed by the core: the waiter may be gone by now */
    uint32_t generation;          /* RECONNECT closes what is older than the pool's */
    uint16_t worker;              /* whose loop owns the socket now */
    uint8_t state;                /* enum conn_state */
    uint8_t spread;               /* how far its lifetime is shortened: 255 is a fifth */
    bool untold;                  /* closing, and nobody has been told yet */
};
TAILQ_HEAD(core_conn_list, core_conn);

/* Embedded in the worker's client: small, for an idle client pays for it. Zeroed before use. */
struct core_waiter {
    struct core_pool *pool;
    union {
        struct core_function *function; /* set by the caller before core_borrow() */
        struct core_line *line;         /* the core's, while it is queued */
    } who;
    TAILQ_ENTRY(core_waiter) link; /* in the pool's queue, by age */
    TAILQ_ENTRY(core_waiter) turn; /* in its function's */
    uint64_t since_us;             /* joined the queue */
    uint64_t deadline_us;          /* leaves it; UINT64_MAX for never. The core puts it off while
                                      the server is resuming */
    uint64_t own_us;               /* set by the caller before core_borrow(): it wants to wait no
                                      longer, whatever there is to wait for; 0: as it is */
    union {
        const uint8_t *addr;    /* set by the caller before core_borrow(): CORE_ADDR_BYTES whose
                                   loans are limited together; NULL: nobody's */
        struct core_peer *peer; /* the core's, while it is queued */
        struct core_conn *conn; /* granted */
    };
    uint32_t deadline_at; /* the core's: its place among the worker's deadlines */
    uint16_t worker;
    uint8_t state; /* enum waiter_state */
    bool held;     /* it waits, or waited, for its own address's loans */
    bool firm;     /* deadline_us is own_us */
};
TAILQ_HEAD(core_waiter_list, core_waiter);

struct core_server_limits {
    uint32_t bound; /* max_server_connections, already computed from 75% or auto; >= 1 */
    uint32_t login_concurrency; /* logins under way at once, at most; >= 1 */
    uint32_t max_waiting;       /* max_waiting_clients per server, 0: no limit */
    uint64_t login_retry_us;    /* server_login_retry: the longest pause after a failure; also how
                                   long a failing server is waited for before clients are told,
                                   but for at most CORE_GRACE_MAX_US */
    uint64_t locality_us;       /* a waiter of the returning worker may be served before an older
                                   one elsewhere that is ahead by no more than this */
    uint64_t overload_after_us; /* a function's queue that has not been empty for so long, and whose
                                   oldest has used up half of its time and won't be reached in the
                                   rest of it, is served newest first; 0: never */
    uint32_t max_per_addr;      /* loans to the clients of one address at once; 0: no limit */
    uint64_t idle_to_zero_us; /* without a loan for so long every connection is closed; 0: never */
    uint64_t resume_us;       /* how long the database may then take to wake up: logins fail and
                                 clients wait for so long before it counts as down */
    uint32_t workers;         /* number of workers, at most CORE_MAX_WORKERS; fixed by create */
};
#define CORE_WEIGHT_MAX 1000u

/* What one function may have of a server. */
struct core_function_limits {
    uint32_t guarantee;   /* connections it gets before anybody else; unused ones are lent */
    uint32_t limit;       /* connections at most; 0: no limit */
    uint32_t weight;      /* of its share; >= 1, at most CORE_WEIGHT_MAX */
    uint32_t max_waiting; /* 0: no limit */
};

struct core_function_counts {
    uint32_t lent, waiting;
    uint64_t oldest_wait_us;
    uint64_t loans_total, refused_total, expired_total;
};

#define CORE_GRACE_MAX_US (10u * 1000u * 1000u)

struct core_pool_limits {
    uint32_t max_conns;       /* pool_size: of this pair; 0: only the server's bound */
    uint32_t min_conns;       /* min_pool_size */
    uint64_t idle_timeout_us; /* server_idle_timeout; 0: never. Keeps min_conns */
    uint64_t lifetime_us;     /* server_lifetime; 0: never. Shortened by up to a fifth by the core,
                                 so that those opened together do not end together */
    bool once;                /* a connection ends with its first loan */
    struct core_group *group[CORE_GROUPS]; /* it is in these, NULL last; fixed by create */
};

/* Counts at one instant, all under one lock. For a pool `bound` is its max_conns. */
struct core_counts {
    uint32_t opening, idle, lent, closing, cancelling, control, waiting;
    uint32_t bound;
    uint64_t oldest_wait_us; /* age of the oldest waiter, 0 if none */
    uint64_t oldest_loan_us; /* age of the oldest loan */
    uint64_t loans_total, refused_total, expired_total;
};

#endif
