/* SPDX-License-Identifier: ISC
 * The seam between the worker, which moves bytes and holds loans, and a protocol, which knows what
 * the bytes mean. proto/pg and proto/mysql fill it in; the worker never learns which of them
 * it serves.
 *
 * A protocol keeps one object for each client and one for each server connection, embedded behind
 * the worker's own. Functions take bytes and return what is to be sent: spans that point into those
 * bytes, so that what passes through is never copied, or into the arena, for what was composed.
 * They do no I/O and take no lock of the worker's. All on the worker's thread.
 *
 * Nothing is held back by a protocol: bytes that were not used are given again with more behind.
 */
#ifndef WEIR_PROTO_PROTO_H
#define WEIR_PROTO_PROTO_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define PROTO_SPANS 64

/* Bytes for one socket, in order. */
struct proto_lane {
    struct iovec v[PROTO_SPANS];
    int n;
    size_t bytes;
};

/* What a call wants sent. The arena is scratch of fixed size that the caller resets when both lanes
 * have been written or copied. */
struct proto_out {
    struct proto_lane client, server;
    uint8_t *arena;
    size_t arena_used, arena_size;
    unsigned queries; /* of the client's that were answered */
    /* Statements with a name: prepared by the client, prepared on the server, and executed. */
    unsigned client_parses, server_parses, binds;
    bool close_client; /* what the client was sent can't be ended in order: close it */
    bool renamed; /* from_server: the client's application_name (proto_facts) may have changed */
    /* from_client: the client, to whom nothing is owed, wants another of weir's clients (its id as
     * in login_welcome) stopped; the verdict is PROTO_WAIT. say() with PROTO_EV_KILL_DONE or
     * PROTO_EV_KILL_UNKNOWN follows, with no bytes at `in`, and is to answer it (false: the session
     * was its own, and ends), or the message was not used and comes again; until then from_client
     * isn't called. An id
     * that no client can have is the server's own number of a connection, and means the client that
     * has borrowed it without a break since before kill_seen_us, when the number was seen. */
    uint32_t kill_id;
    uint64_t kill_seen_us; /* 0: never */
    /* from_client: the message that was used, or for which a loan is asked, may take so long from
     * now, waiting included (0: as long as it takes), and belongs to this trace (32 hex digits in
     * `in`, or NULL). */
    uint32_t deadline_ms;
    const char *trace_id;
    uint8_t kill; /* enum proto_kill */
};

/* Ids of clients are not below, and below twice this. Servers count their sessions from 1: a number
 * of theirs is never so high, and can't be taken for a client's. */
#define PROTO_CLIENT_ID_MIN UINT32_C(0x40000000)
static inline bool proto_is_client_id(uint64_t id)
{
    return id >= PROTO_CLIENT_ID_MIN && id < UINT64_C(2) * PROTO_CLIENT_ID_MIN;
}

enum proto_kill {
    PROTO_KILL_NONE,
    PROTO_KILL_QUERY,   /* its statement */
    PROTO_KILL_SESSION, /* its session, too */
};

/* Room that must be left for a call to go on: one step writes at most this much. */
#define PROTO_SPAN_SLACK  8
#define PROTO_ARENA_SLACK 8192u

static inline bool proto_out_full(const struct proto_out *o)
{
    return o->client.n > PROTO_SPANS - PROTO_SPAN_SLACK ||
           o->server.n > PROTO_SPANS - PROTO_SPAN_SLACK ||
           o->arena_size - o->arena_used < PROTO_ARENA_SLACK;
}

/* Both lanes have been written or copied. What was said beside them stays: how long the message may
 * take is looked at when a loan is sought. */
static inline void proto_out_sent(struct proto_out *o)
{
    o->client.n = o->server.n = 0;
    o->client.bytes = o->server.bytes = 0;
    o->arena_used = 0;
}

/* Append bytes that stay valid until the lane is sent; adjacent ones become one span. */
static inline void proto_lane_add(struct proto_lane *l, const void *p, size_t n)
{
    if (n == 0)
        return;
    l->bytes += n;
    if (l->n > 0) {
        struct iovec *last = &l->v[l->n - 1];
        if ((const uint8_t *)last->iov_base + last->iov_len == (const uint8_t *)p) {
            last->iov_len += n;
            return;
        }
    }
    l->v[l->n].iov_base = (void *)(uintptr_t)p;
    l->v[l->n].iov_len = n;
    l->n++;
}

enum proto_verdict {
    PROTO_MORE,  /* all used that can be; the rest of a message is missing, or nothing is left */
    PROTO_LOAN,  /* the message at *used needs a server connection and there is none */
    PROTO_FULL,  /* send what is in `out`, then call again */
    PROTO_WAIT,  /* give no more of this client's bytes until its server has said more */
    PROTO_LOGIN, /* the message at *used begins the login anew (login_ops.again) */
    PROTO_BYE,   /* the client ended the session in order */
    PROTO_BAD,   /* protocol broken; for a client an error is in out->client: send it and close */
};

enum proto_loan {
    LOAN_BUSY,   /* something is outstanding */
    LOAN_QUIET,  /* nothing is, but a transaction is open: the client thinks */
    LOAN_SETTLE, /* the client's part is over; out->server asks or cleans something first: feed the
                    answer to from_server, give the client no turn, ask again */
    LOAN_CLEAN,  /* may be lent to anybody */
    LOAN_LINGER, /* likewise, but its client may be about to ask what only this connection knows:
                    kept for a moment */
    LOAN_KEEP,   /* quiet, but state that can't be moved keeps it with this client (a pin) */
    LOAN_BROKEN, /* to be closed */
};

/* Why a client is told something by weir itself; the protocol has the code and form. */
enum proto_event {
    PROTO_EV_NO_LOAN,       /* wait ran out, queue full: kept */
    PROTO_EV_DOWN,          /* database can't be reached: kept */
    PROTO_EV_CANCELLED,     /* cancelled while waiting: kept */
    PROTO_EV_LOST_SERVER,   /* server connection lost in a transaction or statement */
    PROTO_EV_TAKEN_BACK,    /* nothing is sent yet: before abandon(), which tells who waits */
    PROTO_EV_OVERDUE,       /* nothing is sent: should the statement running on `ps` end with the
                               error of a cancelled one, it is to say this text. With 40001 as the
                               code it says that, and TAKEN_BACK has been told by it */
    PROTO_EV_TOO_MANY,      /* max_client_conn: refused */
    PROTO_EV_NO_LOOKUP,     /* the database that knows its password can't be reached: refused */
    PROTO_EV_SHUTDOWN,      /* draining: closed */
    PROTO_EV_IDLE_TIMEOUT,  /* client_idle_timeout: closed */
    PROTO_EV_LOGIN_TIMEOUT, /* closed */
    PROTO_EV_KILLED,        /* by the administrator: closed */
    PROTO_EV_ENDED,         /* by another client (proto_out.kill): closed */
    PROTO_EV_NO_MEMORY,     /* closed */
    PROTO_EV_BAD_SETTING,   /* the server refused the client's startup settings: closed */
    PROTO_EV_KILL_DONE,     /* answer to proto_out.kill: kept, unless it ended itself */
    PROTO_EV_KILL_UNKNOWN,  /* there is no such client, or none of this user's: kept */
};

/* For SHOW. */
struct proto_facts {
    const char *application_name; /* "" when none; valid until the next call for this object */
    const char *pin_reason;       /* "" when not pinned */
    const char *pin_statement;
    uint64_t pin_since_us;
    uint32_t prepared;
    bool busy;           /* the server owes an answer */
    bool own;            /* ... to something of weir's own: what it is told to stop now is that */
    bool open;           /* a message without its end (Sync, COPY data) was sent */
    uint64_t owed_bytes; /* of a message that the client was sent a part of */
    char tx;             /* 'I' idle, 'T' in a transaction, 'E' failed */
};

/* A text that was prepared, as one client or one server connection has it. */
struct proto_statement {
    uint64_t key;     /* among those of one pool equal texts have equal keys */
    const char *name; /* on the server; "" where that is a number of each connection */
    uint32_t bytes;   /* of its text */
    const void *of;
    /* The text as it may be shown: literals replaced, white space folded, cut. */
    void (*digest)(const void *of, char *to, size_t room);
};
typedef void proto_statement_row(void *arg, const struct proto_statement *st);

/* One protocol. At most ten functions. `pc` is its client object, `ps` its server object; either
 * may be NULL where the other end is gone or not there yet. */
struct proto_ops {
    const char *name; /* "postgresql" */
    size_t client_bytes, server_bytes;

    /* Bytes from the client. *used is what the caller may forget. With ps NULL only what needs no
     * server is answered; PROTO_LOAN asks for one. */
    enum proto_verdict (*from_client)(void *pc, void *ps, const uint8_t *in, size_t n, size_t *used,
                                      struct proto_out *out);
    /* Bytes from the server; pc NULL: nobody is to see the answers any more. What the protocol says
     * to the server by itself in the middle of an answer goes to out->server. */
    enum proto_verdict (*from_server)(void *ps, void *pc, const uint8_t *in, size_t n, size_t *used,
                                      struct proto_out *out);
    /* The loan begins: what has to be put right first goes to out->server, ahead of the client's
     * message. LOAN_SETTLE: wait for the answers before the client's bytes are fed; else BUSY. */
    enum proto_loan (*begin)(void *ps, void *pc, struct proto_out *out);
    /* How does the loan stand? Called after each feed. `may_end`: nothing of the client's is
     * waiting to be fed. pc may be NULL (abandoned). */
    enum proto_loan (*state)(void *ps, void *pc, bool may_end, uint64_t now_us,
                             struct proto_out *out);
    /* The connection is nobody's and clean: out->server gets the question whether its server is
     * there (`query`; "<empty>": the least that the protocol has). state() with pc NULL is SETTLE
     * until that is answered; then CLEAN, or BROKEN when it could not be. false: out of memory. */
    bool (*check)(void *ps, const char *query, struct proto_out *out);
    /* The client is gone, or late and its loan is taken back: out->server gets what ends its
     * statement and transaction. true: a statement runs, have it cancelled. With `pc` the session
     * stays and is told at its next message that its transaction is lost. */
    bool (*abandon)(void *ps, void *pc, struct proto_out *out);
    /* Tell the client; true if the session goes on. For sessions that go on this answers the
     * message that waits at `in` (n bytes, whole or in part): *used of it are consumed and what
     * follows may be skipped by from_client. `ps`: the server connection that was lost, for
     * PROTO_EV_LOST_SERVER; else NULL. `code` NULL: the event's usual one. */
    bool (*say)(void *pc, void *ps, enum proto_event ev, const char *text, const char *code,
                const uint8_t *in, size_t n, size_t *used, struct buf *out);
    void (*facts)(const void *pc, const void *ps, struct proto_facts *out);
    /* What the client (ps NULL) or the server connection (pc NULL) has prepared. */
    void (*statements)(const void *pc, const void *ps, proto_statement_row *row, void *arg);
    void (*client_fini)(void *pc);
    void (*server_fini)(void *ps);
};

#endif
