/* SPDX-License-Identifier: ISC
 * Work that blocks: cancelling a statement, asking for a server's limits, auth_query. Done by a few
 * threads of its own, so that neither a worker's loop nor the control plane's ever waits for it.
 *
 * A job is made by whoever needs it, posted to the control plane, which takes a slot of the bound
 * for its connection and queues it, done by a job thread, and comes back to the control plane,
 * which gives the slot back and posts the job to its maker.
 */
#ifndef WEIR_WORKER_JOB_H
#define WEIR_WORKER_JOB_H

#include "worker/worker_priv.h"

enum job_kind { JOB_CANCEL, JOB_PROBE, JOB_AUTH_QUERY };

struct job {
    struct mail mail;
    STAILQ_ENTRY(job) link;
    enum job_kind kind;
    bool done;
    bool ok;
    uint64_t made_us;
    struct core_server *core; /* whose bound its connection counts in */
    uint16_t worker;          /* where it goes back to */
    /* CANCEL */
    struct backend *backend;
    const struct server_ops *ops;
    void *cancel;
    int ack_fd; /* the requester's socket, closed with the job; -1 */
    /* PROBE */
    struct bound_server *server;
    uint32_t max_connections, reserved;
    /* AUTH_QUERY */
    uint32_t slot, key; /* the client that waits */
    char *user, *query;
    char *secret; /* the answer; wiped */
    /* PROBE, AUTH_QUERY: how to connect; wiped */
    char *conninfo;
    struct err err;
};

/* A CancelRequest that came in on another worker. */
struct cancel_mail {
    struct mail mail;
    uint32_t slot, key;
    int ack_fd;
};

struct job *job_cancel(struct backend *b, int ack_fd);
struct job *job_auth_query(struct client *c, const char *user, const char *database);
struct job *job_probe(struct world *world, struct bound_server *s, struct route *r);
void job_free(struct job **j);

struct jobs;
/* `done` is called on a job thread; it posts the job. */
struct jobs *jobs_create(unsigned threads, void (*done)(struct job *j, void *arg), void *arg);
void jobs_queue(struct jobs *js, struct job *j);
void jobs_destroy(struct jobs **js); /* waits for those under way */

#endif
