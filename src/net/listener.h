/* SPDX-License-Identifier: ISC
 * Listening sockets: TCP (host list, IPv4 and IPv6), Unix, or handed over by systemd; each worker
 * accepts from its own registration of the shared descriptors, a batch at a time.
 *
 * Out of descriptors: accepting pauses for a moment, says so once a second, and resumes. The number
 * of clients is bounded so that the descriptors set aside for server connections, console and
 * control plane are never used up (see listener_reserve).
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

/* Which front door a descriptor is; the receiver's own number (protocol). */
struct listen_spec {
    const char *addr;      /* "127.0.0.1", "*", a comma-separated list, or NULL for none */
    uint16_t port;         /* also names the Unix socket: <unix_dir>/.s.PGSQL.<port> */
    const char *unix_name; /* file name pattern's head, e.g. ".s.PGSQL." ; NULL: none */
    const char *unix_dir;  /* NULL or "": none */
    unsigned unix_mode;    /* permissions, e.g. 0777 */
    int backlog;
    unsigned door;
};

struct listen_set *listen_set_create(void);
void listen_set_destroy(struct listen_set **s); /* closes, removes the Unix socket files it made */
/* Open (or take from systemd's LISTEN_FDS a socket of the same family and port). A stale Unix
 * socket file is replaced only when nobody answers on it. */
bool listen_set_add(struct listen_set *s, const struct listen_spec *spec, struct err *e)
    __attribute__((warn_unused_result));

/* A new connection: non-blocking, close-on-exec, TCP_NODELAY set. The receiver owns fd. */
typedef void accept_cb(int fd, unsigned door, const struct sockaddr_storage *peer, socklen_t len,
                       void *arg);
/* `batch`: connections accepted in one turn at most. */
struct listener *listener_create(struct listen_set *s, struct loop *l, unsigned batch,
                                 accept_cb *cb, void *arg);
void listener_destroy(struct listener **l);
void listener_pause(struct listener *l, bool paused); /* draining, or too many clients */

/* Keepalive and user timeout of an accepted or server socket, seconds/milliseconds, 0: leave. */
struct tcp_options {
    bool keepalive;
    unsigned keepidle_s, keepintvl_s, keepcnt;
    unsigned user_timeout_ms;
};
void tcp_options_apply(int fd, const struct tcp_options *o);

#endif
