/* SPDX-License-Identifier: ISC
 * Work that blocks: cancelling a statement, asking for a server's limits, auth_query,
 * password_command. Done by a few
 * threads of its own, so that neither a worker's loop nor the control plane's ever waits for it.
 *
 * A job is made by whoever needs it, posted to the control plane, which takes a slot of the bound
 * for its connection and queues it, done by a job thread, and comes back to the control plane,
 * which gives the slot back and posts the job to its maker. What a login costs (judging a password,
 * a TLS handshake with a large key) needs no connection: it goes to a thread at once, but behind
 * all others, and in turns by address (turns.h).
 */
#ifndef WEIR_WORKER_JOB_H
#define WEIR_WORKER_JOB_H

#include "worker/params.h"
#include "worker/turns.h"
#include "worker/worker_priv.h"

enum job_kind { JOB_CANCEL, JOB_PROBE, JOB_AUTH_QUERY, JOB_PASSWORD, JOB_LOGIN, JOB_HANDSHAKE };

struct route;

struct job {
    struct mail mail;
    STAILQ_ENTRY(job) link;
    enum job_kind kind;
    bool done;
    bool ok;
    uint64_t made_us;
    struct core_server *core; /* whose bound its connection counts in */
    const struct server_ops *ops;
    uint16_t worker; /* where it goes back to */
    /* CANCEL */
    struct backend *backend;
    void *cancel;
    _Atomic bool moot; /* the statement is over, or who looked up has gone; any thread */
    int ack_fd;        /* the requester's socket, closed with the job; -1 */
    /* PROBE */
    struct bound_server *server;
    struct server_limits limits;
    /* AUTH_QUERY */
    uint32_t slot, key; /* the client that waits */
    char *user, *query;
    struct world *world;
    char *flight; /* the key under which others wait for the same answer */
    uint64_t ttl_us;
    char *secret; /* the answer, of PASSWORD too; wiped */
    bool crowded; /* no connection came free for it in time */
    /* LOGIN: what the client said is judged; straight to a thread and back to its worker */
    void *login; /* the protocol's; the job's own while it runs */
    const struct login_ops *login_ops;
    struct buf in, out;
    size_t used;
    enum login_step step;
    /* HANDSHAKE: one step of it; likewise */
    struct stream_export stream;
    enum io_result shaken;
    bool wants_write;
    struct turn_item turn; /* of both */
    /* PASSWORD */
    struct route *route;
    char *command;
    /* PROBE, AUTH_QUERY: how to connect; wiped */
    struct params_kept *params;
    struct err err;
};

STAILQ_HEAD(job_list, job);

/* A CancelRequest that came in on another worker. */
struct cancel_mail {
    struct mail mail;
    uint32_t slot, key;
    int ack_fd;
};

struct job *job_cancel(struct backend *b, int ack_fd);
/* Judge what is in c->in aside. The login object and the bytes are the job's until MAIL_LOGIN.
 * false: out of memory, nothing was taken. */
bool job_login(struct client *c);
/* Go on with its TLS handshake aside: its stream is the job's until then. Likewise. */
bool job_handshake(struct client *c);
/* Its client is going: what has not been begun is not worth beginning. */
void job_recall(struct client *c);
/* A look-up that nobody waits for any more. */
bool job_is_idle_lookup(struct job *j);
struct job *job_password(struct route *r, const char *command);

enum auth_asked {
    AUTH_ASKED_KNOWN,  /* *secret, to be wiped; NULL: there is no such user */
    AUTH_ASKED_LATER,  /* MAIL_SECRET will come */
    AUTH_ASKED_FAILED, /* it couldn't be asked a moment ago */
    AUTH_ASKED_NO,     /* auth_query isn't for this user, or memory is out */
};
/* Look a user up by auth_query, for a client in its login, which waits for it. */
enum auth_asked job_auth_query(struct client *c, const char *user, const char *database,
                               char **secret);
/* A login by what auth_query had answered has failed. */
void job_auth_doubt(struct client *c, const char *user, const char *database);
struct job *job_probe(struct world *world, struct bound_server *s, struct route *r);
void job_free(struct job **j);

struct jobs;
/* `done` is called on a job thread; it posts the job. */
struct jobs *jobs_create(unsigned threads, void (*done)(struct job *j, void *arg), void *arg);
void jobs_queue(struct jobs *js, struct job *j);
void jobs_destroy(struct jobs **js); /* waits for those under way */

#endif
