/* SPDX-License-Identifier: ISC
 * The objects of the worker floor. Private to src/worker.
 *
 *   world     what all threads share: configuration, secrets, routes, the workers themselves
 *   worker    one thread, one loop: clients for life, server connections while they are here
 *   client    one client socket: stream, protocol object, its place in a queue, its loan
 *   backend   one server connection; on one worker at a time, or in transit inside a message
 *   route     one (database, user): the pool, how to dial, what to greet with
 *   control   the control plane's loop: dialling, planning, cancelling, look-ups
 *
 * A client's states and what holds in each:
 *
 *   LOGIN ----> IDLE <----> WAITING          WAITING: waiter queued, or a connection is on its way
 *                 ^            |             ACTIVE: loan != NULL
 *                 |            v             CLOSING: only `out` is left to be sent
 *                 '-------- ACTIVE           GONE: socket closed; a message that names it is still
 *                                            on its way and frees it
 *
 * A backend's states: IDLE (in no client's hands), LENT (client set), CLEANING (its client is gone
 * or was taken away, the protocol is putting it right), CLOSING (it was told to end and its slot
 * stays taken until it has hung up, so that the database itself never sees one more than the
 * bound), TRANSIT (inside a message).
 */
#ifndef WEIR_WORKER_PRIV_H
#define WEIR_WORKER_PRIV_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/slab.h"
#include "conf/conf.h"
#include "conf/userlist.h"
#include "core/core.h"
#include "net/listener.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/tls.h"
#include "proto/proto.h"
#include "proto/proto_login.h"
#include "stat/counter.h"
#include "stat/histogram.h"
#include "stat/view.h"
#include "worker/protocols.h"
#include "worker/worker.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Not in every libc's sys/queue.h. The body may remove `var` from the list, not its successor. */
#ifndef TAILQ_FOREACH_SAFE
#define TAILQ_FOREACH_SAFE(var, head, field, tvar)                                                 \
    for ((var) = TAILQ_FIRST(head); (var) && ((tvar) = TAILQ_NEXT(var, field), 1); (var) = (tvar))
#endif
#ifndef STAILQ_FOREACH_SAFE
#define STAILQ_FOREACH_SAFE(var, head, field, tvar)                                                \
    for ((var) = STAILQ_FIRST(head); (var) && ((tvar) = STAILQ_NEXT(var, field), 1); (var) = (tvar))
#endif

#define SCRATCH_BYTES (256u * 1024u)
#define ARENA_BYTES   (64u * 1024u)
#define CLIENT_MAGIC  0x636c6931u
#define BACKEND_MAGIC 0x62656b31u

enum client_state {
    CLIENT_LOGIN,
    CLIENT_IDLE,
    CLIENT_WAITING,
    CLIENT_ACTIVE,
    CLIENT_CLOSING,
    CLIENT_GONE,
};
#define CLIENT_STATES 6
extern const char *const client_state_names[CLIENT_STATES];

enum backend_state {
    BACKEND_IDLE,
    BACKEND_LENT,
    BACKEND_CLEANING,
    BACKEND_CLOSING,
    BACKEND_TRANSIT, /* not in a list */
};
#define BACKEND_LISTS 4

struct route;
struct function;
struct worker;
struct backend;
struct control;
struct job;

/* What a client needs only until it is logged in. */
struct client_login {
    void *login; /* the protocol's */
    uint64_t deadline_us;
    uint64_t until_us; /* 0, or: is logged in, and waits for what it is to be told of its server */
    bool handshaking;
    bool heard;      /* its first byte was read: TLS without asking begins with it or never */
    bool start_tls;  /* when `out` has been sent */
    bool looking_up; /* or being judged aside: then `login` is NULL */
    bool ungreeted;  /* waits for what it is to be greeted with */
    bool by_query;   /* auth_query knew it, */
    bool remembered; /* some time ago, */
    bool doubted;    /* which was doubted for this login */
    struct job *job; /* by which its handshake is gone on with, or it is judged, aside; or NULL */
    struct job *lookup; /* that asks for it by auth_query, until MAIL_SECRET; or NULL */
    char *secret;       /* by which it logs in, where the server login will need it; wiped */
};

/* What a client owns from its wish to borrow until it has its loan or its answer, and an idle one
 * need not pay for. While the core or a message names it, it stays. */
struct client_wait {
    struct core_waiter waiter;
    struct client *client;
    struct mail mail; /* a failure on its way, or the order to fetch `coming` */
};

struct client {
    struct stream stream;
    struct client_wait *wait; /* NULL: it wants nothing */
    TAILQ_ENTRY(client) link;
    STAILQ_ENTRY(client) ready_link; /* never taken out of the middle */
    TAILQ_ENTRY(client) watch_link;
    TAILQ_ENTRY(client) later_link;
    uint32_t magic;
    uint32_t slot; /* in worker->slots */
    struct worker *worker;
    struct route *route;
    struct function *function; /* who it is, set with its login; NULL for the console */
    struct backend *loan;
    struct backend *coming; /* lent at once, but on another worker or not arrived yet */
    union {
        struct client_login *login; /* LOGIN */
        struct console *console;    /* afterwards, for the console */
        struct function *unnamed;   /* afterwards: who it is without an application_name; or NULL */
    } u;
    struct buf in, out;
    uint64_t connected_us;
    uint64_t since_us; /* of the present state */
    uint32_t key;
    uint8_t addr[16];
    uint16_t port;
    uint8_t family;  /* 4, 6, 0 for a Unix socket */
    uint8_t state;   /* enum client_state */
    uint8_t refusal; /* enum core_answer: why it got no loan */
    uint8_t door;    /* by which it came in: its protocol, protocol_at() */
    uint8_t tls;     /* client_tls_text(); 0: plain */
    bool ready : 1;  /* in worker->ready */
    bool later : 1;  /* in worker->later */
    bool is_console : 1;
    bool stalled : 1;              /* its bytes wait for what its server has to say first */
    bool cancelled : 1;            /* asked for while its connection was already on its way */
    bool killing : 1;              /* it wants another client stopped and is owed the answer */
    bool is_admin : 1;             /* logged in as one of admin_users */
    bool watched : 1;              /* in worker->watched: its machine is asked for signs of life */
    bool full : 1;                 /* watched: it takes nothing, but is there */
    bool renamed : 1;              /* which has changed in this loan */
    bool named_by_application : 1; /* its function is its application_name, should it have one */
    _Alignas(8) uint8_t proto[];   /* the protocol's client object */
};
TAILQ_HEAD(client_list, client);
STAILQ_HEAD(client_queue, client);

struct backend {
    struct core_conn core;
    struct stream stream;
    struct mail mail;  /* it travels in this one */
    struct mail order; /* the control plane's CLOSE or BRING; may overtake nothing */
    TAILQ_ENTRY(backend) link;
    uint32_t magic;
    struct worker *worker; /* NULL in transit */
    struct route *route;
    struct client *client;
    struct function *function; /* whose loan it is or was last */
    struct core_waiter *to;    /* in transit: for whom; NULL: to be idle */
    struct core_waiter
        *bring; /* whom MAIL_BRING is about; not `to`: it may be on its way here yet */
    struct stream_export export;
    struct buf in, out;
    uint64_t id;
    uint64_t opened_wall_us;
    uint64_t lent_us;     /* the loan began */
    uint64_t active_us;   /* its client last sent or took a byte: think time counts from here;
                             while it is idle: since when */
    uint64_t query_us;    /* the statement under way began; 0: none */
    uint64_t tx_us;       /* the transaction, or a statement without one, began; 0: neither */
    uint64_t until_us;    /* its client wants no answer later than this; 0: at any time */
    uint64_t waited_us;   /* for the loan, until the first message was sent in it */
    uint64_t wait_us;     /* likewise, for as long as the loan lasts */
    uint64_t linger_us;   /* LENT and over, but kept with its client until then; or 0 */
    uint64_t deadline_us; /* CLEANING, CLOSING, or LENT and settling or late: close it then; or 0 */
    uint64_t cancel_us;   /* CLEANING, or for the outcome: its last cancel was asked for */
    int fd;
    const char *late_reason; /* goes with: */
    char *late;              /* to be taken back, for this reason, when it is known what ... */
    bool outcome;            /* ... came of the statement that was stopped: set together */
    struct job *cancel;      /* under way, NULL: none; it is not given back before that is done */
    int cancel_ack;          /* see job.h; goes with: */
    bool cancel_later;       /* when weir's own words in front of the statement are answered */
    bool checking;           /* CLEANING: lent to `to` if its server answers */
    uint8_t state;           /* enum backend_state */
    bool fetch;              /* in transit after MAIL_FETCH: the waiter was never queued */
    bool was_idle;           /* in transit to its borrower, from where it was idle */
    bool dead;               /* of no use any more */
    bool eof;                /* the server has hung up */
    bool pinned;             /* counted as a pin in this loan */
    const char *overdue; /* the limit at which a statement of this loan was cancelled, or NULL */
    uint32_t statements; /* answered in this loan */
    uint32_t owed;       /* peer_owed() of its client, when that was last looked at */
    char pin_reason[32]; /* of this loan; "" while there is none */
    char trace_id[33];   /* of its last statement that named one; "" for none */
    _Alignas(8) uint8_t proto[];
};
TAILQ_HEAD(backend_list, backend);

enum mail_kind {
    MAIL_ARRIVE,    /* backend.mail: here it is */
    MAIL_FETCH,     /* client_wait.mail: send it the idle connection that was lent to it */
    MAIL_BRING,     /* backend.order: idle, granted to `to`: bring it there */
    MAIL_CLOSE,     /* backend.order: the core wants it closed */
    MAIL_FAILED,    /* client_wait.mail: the server can't be reached */
    MAIL_CANCEL,    /* struct cancel_mail: a CancelRequest for a client here */
    MAIL_KILL,      /* struct kill_mail: a client's wish to stop another one, or its answer */
    MAIL_CANCELLED, /* struct job: the cancel of a statement here is done */
    MAIL_SECRET,    /* struct job: auth_query has answered */
    MAIL_LOGIN,     /* struct job: what a client said to log in has been judged */
    MAIL_CONFIG,    /* struct config_mail */
    MAIL_DRAIN,
    MAIL_CLOSE_DOOR, /* accept nobody, send nobody away */
    MAIL_VIEW,       /* struct view_mail */
    MAIL_CONSOLE,    /* struct console_mail */
    MAIL_ORDER,      /* struct order_mail: KILL and its like */
    MAIL_GIVE_WAY,   /* the oldest unfinished login here makes room for a client elsewhere */
    MAIL_GREET,      /* what clients are to be greeted with is known, or won't be soon */
};

/* Configuration as one piece, shared and counted. */
struct settings {
    _Atomic int refs;
    struct conf *conf;
    struct userlist *users; /* may be NULL */
    struct tls_ctx *tls;    /* may be NULL */
    /* What the data path asks for, taken out of conf. */
    struct login_policy policy;
    uint64_t login_us, gone_us;
    uint64_t spool_bytes;
    uint64_t dead_us;       /* lease_dead_after */
    uint64_t check_us;      /* server_check_delay; UINT64_MAX: no check */
    struct tcp_options tcp; /* of clients */
    bool log_errors, log_connections, log_disconnections, any_idle_limit;
    uint64_t slow_loan_us;                        /* log_slow_loans; 0: no lines for loans */
    uint32_t loan_sample;                         /* log_loan_sample */
    uint8_t function_from[CONF_FUNCTION_SOURCES]; /* enum conf_function_source, in this order */
    uint8_t n_sources;                            /* so many of them */
};

struct config_mail {
    struct mail mail;
    struct settings *settings; /* a reference for the worker */
};
struct settings *settings_get(struct settings *s);
void settings_put(struct settings **s);

/* Lines for loans: what they may still say in this second. */
struct loan_log {
    uint64_t second;
    uint32_t said, dropped, unsampled;
};

struct worker {
    struct world *world;
    struct loop *loop;
    struct listener *listener;
    pthread_t thread;
    uint16_t index;
    struct settings *settings;
    struct slab clients[PROTOCOLS]; /* by door: their objects differ in size */
    struct slab waits;
    struct client_list states[CLIENT_STATES];
    struct client_queue ready; /* have a loan, their bytes are still to be fed */
    struct client_list later;  /* likewise in the next turn: they had theirs */
    struct timer next_turn;
    struct client_list watched;             /* see frozen.c */
    uint64_t look_us;                       /* when they are looked at next */
    _Atomic uint32_t counts[CLIENT_STATES]; /* for others to read */
    _Atomic uint64_t refused[VIEW_REFUSED_COUNT];
    struct client **slots; /* by slot; NULL: free */
    uint32_t n_slots, used_slots;
    uint32_t next_slot;                          /* looked at next */
    struct backend_list backends[BACKEND_LISTS]; /* by state */
    struct timer tick;
    bool ticking, draining, stopping;
    bool ungreeted; /* some of its clients are */
    uint32_t churn; /* logins, waits and ends since memory was last given back */
    uint64_t churn_us;
    uint32_t keys[64]; /* random, each used once: clients' parts of the cancel keys */
    uint32_t n_keys;
    uint64_t now_us; /* of this turn */
    struct loan_log loan_log;
    uint8_t *scratch;
    struct proto_out out;
    struct client_list dead_clients; /* freed when the turn is over */
    struct backend_list dead_backends;
    _Atomic uint64_t
        oldest_login_us; /* for others to read, by the tick; UINT64_MAX: no login is under way */
};

/* ---- client.c ---- */
void client_on_accept(int fd, unsigned door, const struct sockaddr_storage *peer, socklen_t len,
                      void *arg);
void client_set_state(struct client *c, enum client_state state);
/* Close the socket and free, or wait for the message that is on its way. */
void client_destroy(struct client *c);
/* Send what is in c->out, then destroy. */
void client_finish(struct client *c);
#define CLIENT_ADDRESS_BYTES 56
void client_name(const struct client *c, char *to, size_t room);
/* What tls_describe() said of it at login; "" for plain. Static storage. */
const char *client_tls_text(const struct client *c);
/* Address and port; "unix" for a Unix socket. */
void client_address(const struct client *c, char to[CLIENT_ADDRESS_BYTES]);
bool client_flush(struct client *c); /* false: the client is gone */
void client_logged_in(struct client *c);
/* From now on it borrows as this function; NULL: as none. false: out of memory. It has no loan and
 * waits for none. */
bool client_set_function(struct client *c, const char *name);
/* Its database may be at another server since a reload: borrow there from now on. true: it is. It
 * has no loan and is in no queue. */
bool client_follow(struct client *c);
struct client *worker_client(struct worker *w, uint32_t slot);
/* Its bytes are fed before the turn is over. */
void client_make_ready(struct client *c);
/* Nothing names c->wait any more, if there is one. */
void client_wait_end(struct client *c);
static inline struct client *client_of_waiter(struct core_waiter *waiter)
{
    return container_of(waiter, struct client_wait, waiter)->client;
}
/* Whose words it speaks. */
static inline const struct protocol *client_protocol(const struct client *c)
{
    return protocol_at(c->door);
}
/* By this the others know it: for cancels and KILL. */
_Static_assert(CORE_MAX_WORKERS <= 64, "a worker's number has six bits of a client's id");
static inline uint32_t client_id(const struct client *c)
{
    return PROTO_CLIENT_ID_MIN | (uint32_t)c->worker->index << 24 | (c->slot + 1);
}
static inline uint16_t client_id_worker(uint32_t id)
{
    return (uint16_t)((id & ~PROTO_CLIENT_ID_MIN) >> 24);
}
static inline bool client_id_valid(uint64_t id, uint32_t n_workers)
{
    return proto_is_client_id(id) && client_id_worker((uint32_t)id) < n_workers;
}
static inline uint32_t client_id_slot(uint32_t id)
{
    return (id & 0xffffff) - 1;
}

/* ---- client_say.c ---- */
/* Tell it why and, unless the session goes on, finish. `text` for the client and the log. */
void client_say(struct client *c, enum proto_event ev, const char *code, const char *text);
/* For the end of the worker, when its loop runs no longer: told that weir is shutting down, where
 * it isn't in the middle of a message and as far as its socket takes that at once. */
void client_farewell(struct client *c);
/* auth_query couldn't be asked; crowded: there was no connection for it. */
void client_no_lookup(struct client *c, bool crowded);
/* Count a login that is refused. */
static inline void client_refused(const struct client *c, enum view_refused why)
{
    atomic_fetch_add_explicit(&c->worker->refused[why], 1, memory_order_relaxed);
}
#define SHUTTING_DOWN "terminating connection: weir is shutting down" /* PROTO_EV_SHUTDOWN */

/* ---- client_login.c ---- */
/* Its session ends, and what is in c->in begins another. */
void client_login_again(struct client *c);
void client_login_io(struct client *c, unsigned what);
/* The last step of a login: it has its route. */
void client_login_welcome(struct client *c);
void client_login_secret(struct client *c, const char *secret);
void client_login_end(struct client *c);
/* The oldest unfinished login, if it has had its time, is refused. */
bool client_login_give_way(struct worker *w);
uint64_t client_login_oldest_us(struct worker *w);
void client_login_shaken(struct client *c, struct job *j);
void client_login_judged(struct client *c, struct job *j);

/* ---- relay.c ---- */
void relay_client_io(struct stream *s, unsigned what, void *arg);
void relay_backend_io(struct stream *s, unsigned what, void *arg);
/* Feed what is in c->in, with its loan if it has one. The client may be gone afterwards. */
void relay_resume(struct client *c);
/* timer_cb of worker->next_turn. */
void relay_next_turn(void *worker);
/* It is going: its turn is over. */
void relay_not_later(struct client *c);
bool relay_send_client(struct client *c, struct proto_lane *lane);
bool relay_send_backend(struct backend *b, struct proto_lane *lane);

/* ---- loan.c ---- */
enum loan_answer {
    LOAN_ANSWER_NOW,   /* c->loan is set */
    LOAN_ANSWER_LATER, /* the client waits; relay_resume() when it has its loan */
    LOAN_ANSWER_NO,    /* keep the client's bytes in c->in, then call loan_refused() */
};
/* Borrow for a client whose message needs a server. */
enum loan_answer loan_borrow(struct client *c);
void loan_attach(struct client *c, struct backend *b);
/* What is being sent may take `ms` from when the client began to wait. */
void loan_note_deadline(struct backend *b, uint32_t ms);
/* After bytes from the server, or when the client's part changed: end the loan if it is over. */
void loan_check(struct backend *b);
/* The client leaves its loan: gone, or late (the session stays, and is told `why`). `reason` is the
 * word it is counted by. */
void loan_abandon(struct client *c, bool keep_session, const char *reason, const char *why);
/* The server connection broke under whoever had it. */
void loan_lost(struct backend *b);
bool loan_leave_queue(struct client *c); /* true when c may be freed at once */
/* The settings are others: they hold for who waits already, too. */
void loan_limits_changed(struct worker *w);
/* A connection has come for a client that waits for it (WAITING, `coming`): lend it. `ok` false: it
 * was no good and is closed; the client asks for another. */
void loan_deliver(struct backend *b, struct client *c, bool ok);
/* What its session may, as it is configured now. */
struct login_limits loan_terms(const struct client *c);
void loan_on_mail(struct worker *w, struct mail *m);

/* ---- loan_wait.c ---- */
/* Answer the message in c->in with the reason; false: the client is gone. */
bool loan_refused(struct client *c);
/* The time of those who wait for too long is over. */
void loan_expire(struct worker *w);
/* A waiting client is not there any more: out of the queue, with an answer for when it is. */
void loan_give_up(struct client *c, const char *text);
/* The waiting message is answered: the client had it cancelled. */
void loan_tell_cancelled(struct client *c);
/* Its time is over: the settings', or its own. */
void loan_tell_late(struct client *c, uint64_t deadline_us, bool own);

/* ---- greet.c ---- */
/* Where the server speaks first: at once, or as soon as it is known with what. */
void client_greet(struct client *c);
void worker_greet_all(struct worker *w);
/* Logged in, but its server is about to be heard for the first time: client_login_welcome() follows
 * when that is over. */
bool client_awaits_server(struct client *c);

/* ---- cancel.c ---- */
/* CancelRequest or KILL for a client of this worker. */
void cancel_client(struct client *c, int ack_fd);
/* Stop the statement that runs for the client: at once, or as soon as what weir itself had to say
 * before it is answered. */
void cancel_statement(struct backend *b, int ack_fd);
/* What had to wait may go, or is not wanted any more. */
void cancel_go_on(struct backend *b);
void cancel_forget(struct backend *b);
/* Its statement is over: whatever has not been sent need not be. */
void cancel_moot(struct backend *b);
/* It is still under way, and would hit what is sent next. */
bool cancel_overtaken(const struct backend *b);
struct job;
void cancel_done(struct worker *w, struct job *j);

/* ---- server_check.c ---- */
enum server_fit {
    SERVER_FIT,  /* lend it */
    SERVER_GONE, /* closed: take another */
    SERVER_LATER /* its server is being asked; loan_deliver() follows */
};
/* `b` was idle and is to be lent to `c`. */
enum server_fit server_check(struct backend *b, struct client *c);
/* It is being asked: something came, or (`lost`) nothing that is an answer. */
void server_check_go_on(struct backend *b, bool lost);

/* ---- loan_log.c ---- */
/* The loan of this client is over: a line, if it is one of those that get one. `reason` NULL: in
 * order; else the word for what went wrong, and `text` says it to people. */
void loan_log(struct backend *b, struct client *c, const char *reason, const char *text);

/* ---- frozen.c ---- */
/* Part of the tick: who holds or awaits a loan and isn't there any more loses it. */
void frozen_check(struct worker *w);
void frozen_forget(struct client *c);
/* The client is late or frozen: what it borrowed is put right and lent on, its session stays and is
 * told, unless it has lost more than its transaction. `reason` (static) is the word it is counted
 * by. */
void frozen_take_back(struct backend *b, const char *reason, const char *text);
/* Of an answer whose end is awaited so much is kept beyond the spool, for a client that doesn't
 * read: what the server had sent before it was stopped. */
#define OUTCOME_BYTES (16u * 1024u * 1024u)
/* The statement that was stopped may be over. true: the loan was taken back. */
bool frozen_outcome(struct backend *b);

/* ---- kill.c ---- */
/* The client wants another one stopped; the answer comes by mail. false: out of memory. */
bool kill_ask(struct client *c, const struct proto_out *asked);
void kill_on_mail(struct worker *w, struct mail *m);

/* ---- backend.c ---- */
struct backend *backend_create(struct route *r);
void backend_set_state(struct backend *b, enum backend_state state);
bool backend_arrive(struct backend *b, struct worker *w);
void backend_send_to(struct backend *b, uint16_t worker, struct core_waiter *to);
/* CONN_CLOSING in the core: part in order, or at once when it has hung up already. */
void backend_close(struct backend *b);
void backend_bury(struct backend *b); /* close, give the slot back, free */
void backend_nudge(struct world *world, struct route *r);

/* ---- console.c ---- */
bool console_start(struct client *c, bool read_only, uint32_t flags);
void console_readable(struct client *c);
void console_end(struct client *c);
void console_writable(struct client *c);
void console_on_mail(struct worker *w, struct mail *m);

/* ---- worker.c ---- */
void worker_tick_need(struct worker *w);
void worker_drain(struct worker *w);
void worker_post(struct world *world, uint16_t worker, struct mail *m);
struct worker *worker_create(struct world *world, uint16_t index);
bool worker_start(struct worker *w);
void worker_stop(struct worker *w);
void worker_destroy(struct worker **w);

/* ---- view.c ---- */
void view_on_mail(struct worker *w, struct mail *m);

/* ---- order.c ---- */
void order_on_mail(struct worker *w, struct mail *m);

/* ---- view_statements.c ---- */
struct view_statements;
struct view_statement;
struct view_statements *view_statements_create(void);
/* What a client (ps NULL) or a server connection (pc NULL) has prepared. */
void view_statements_add(struct view_statements *all, const struct route *r, const void *pc,
                         const void *ps);
/* The rows, malloc'ed, and the end of it. */
struct view_statement *view_statements_end(struct view_statements **all, size_t *n);

#endif
