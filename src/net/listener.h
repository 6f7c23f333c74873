/* SPDX-License-Identifier: ISC
 * Listening sockets: TCP (host list, IPv4 and IPv6), Unix, or handed over by systemd; each worker
 * accepts from its own registration of the shared descriptors, a batch at a time.
 *
 * Out of descriptors: accepting pauses for a moment, says so once a second, and resumes; whoever
 * connects meanwhile waits in the kernel's queue. Clients never get a descriptor above a ceiling,
 * so that those set aside for server connections, console and control plane are not used up by a
 * storm.
 */
#ifndef WEIR_NET_LISTENER_H
#define WEIR_NET_LISTENER_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct loop;
struct listen_set; /* descriptors, shared by all workers, created before them */
struct listener;   /* one worker's acceptor */

struct listen_spec {
    const char *addr;       /* "127.0.0.1", "*", a comma-separated list, or NULL for none */
    uint16_t port;          /* also names the Unix socket: <unix_dir>/.s.PGSQL.<port> */
    const char *unix_name;  /* head of the file's name, e.g. ".s.PGSQL."; NULL: none */
    const char *unix_dir;   /* NULL or "": none; "@name": Linux's abstract names */
    unsigned unix_mode;     /* permissions, e.g. 0777 */
    const char *unix_group; /* to whom it belongs; NULL or "": as the process has it */
    bool reuse_port;        /* other processes may listen on the port, too */
    int backlog;
    unsigned defer_accept_s; /* wait in the kernel for the client's first bytes; 0: don't (must be
                                0 where the server speaks first) */
    unsigned door;           /* which front door this is: the receiver's own number (protocol) */
};

struct listen_set *listen_set_create(void);
void listen_set_destroy(struct listen_set **s);
/* Close all, and remove the Unix socket files made here: who connects from now on is refused, or
 * served by another process that has the port. What systemd handed over stays open with systemd.
 * Every listener has been stopped. */
void listen_set_close(struct listen_set *s);
/* Open, or take what systemd handed over (LISTEN_FDS) with the same port, or Unix file name, in its
 * place. A stale Unix socket file is replaced only when nobody answers on it. May block on a name
 * in `addr`: at start only, before the first listener_create(). */
bool listen_set_add(struct listen_set *s, const struct listen_spec *spec, struct err *e)
    __attribute__((warn_unused_result));

/* Would these addresses (a list as in listen_spec) do? No port is taken, for another weir may have
 * it, and nothing stays open. May block on a name. */
bool listen_addr_try(const char *addr, struct err *e) __attribute__((warn_unused_result));

/* Sockets that systemd handed over for somebody who doesn't accept clients: the admin port. They
 * are the claimer's, who may close them. */
enum { LISTEN_CLAIM_MAX = 4 };
struct listen_claim {
    int fds[LISTEN_CLAIM_MAX];
    unsigned n;
};
void listen_set_claim(struct listen_set *s, uint16_t port, struct listen_claim *out);

/* Keepalive and user timeout of a TCP socket; 0: leave as it is. Nothing happens to a Unix one. */
struct tcp_options {
    bool keepalive;
    unsigned keepidle_s, keepintvl_s, keepcnt;
    unsigned user_timeout_ms;
};
void tcp_options_apply(int fd, const struct tcp_options *o);

/* The same for all client sockets: set on the listening ones, inherited at accept for free. */
void listen_set_tcp_options(struct listen_set *s, const struct tcp_options *o);
/* Clients' descriptors stay below this number (0: no ceiling), but for LISTEN_LOCAL_EXTRA more that
 * those of Unix sockets may have. Any thread. */
enum { LISTEN_LOCAL_EXTRA = 8 };
void listen_set_ceiling(struct listen_set *s, int below_fd);

/* A new connection: non-blocking, close-on-exec, TCP_NODELAY set. The receiver owns fd. It may
 * pause the listener, not destroy it. */
typedef void accept_cb(int fd, unsigned door, const struct sockaddr_storage *peer, socklen_t len,
                       void *arg);
/* `batch`: connections accepted in one turn at most. NULL: out of memory. */
struct listener *listener_create(struct listen_set *s, struct loop *l, unsigned batch,
                                 accept_cb *cb, void *arg);
void listener_destroy(struct listener **l);
void listener_pause(struct listener *l, bool paused); /* too many clients */
void listener_stop(struct listener *l); /* for good; who is in the kernel's queue is accepted yet */

#endif
