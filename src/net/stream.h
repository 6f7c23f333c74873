/* SPDX-License-Identifier: ISC
 * One connected socket, plain or TLS behind one interface, on one loop.
 *
 * Owner: embedded in a client or a backend, so the struct is visible; its fields belong to net/.
 * Thread: the loop's. What crosses threads is a struct stream_export: a detached descriptor.
 *
 * Reading is on while the set of reasons to pause is empty. The callback is level-triggered: it is
 * called again as long as something is there to be read. With TLS, what OpenSSL has already
 * decrypted or buffered counts as readable too (the stream re-arms itself). After IO_CLOSED or
 * IO_ERROR the owner ends the stream, or pauses it for as long as it still wants to write: the end
 * of the peer stays readable.
 *
 * After stream_fini() or stream_detach() no callback comes, even for an event that was already due
 * in this turn, so the struct may be freed at once, in its own callback and in any other.
 */
#ifndef WEIR_NET_STREAM_H
#define WEIR_NET_STREAM_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct loop;
struct tls_ctx;
struct ssl_st;

enum io_result {
    IO_OK,
    IO_AGAIN,  /* nothing now; the callback will come */
    IO_CLOSED, /* orderly end by the peer */
    IO_ERROR,  /* reset, timeout, TLS alert: stream_error() says what */
};

/* What the callback is told. NET_HUP: the peer is gone (reset) or half-closed, told while reading
 * is paused, once; what it sent before may still be read. While reading is on, stream_read() says
 * it. */
enum { NET_READ = 1, NET_WRITE = 2, NET_HUP = 4 };

/* Reasons to pause reading. */
enum {
    PAUSE_BACKPRESSURE = 1, /* the other side can't take more */
    PAUSE_LEASE = 2,        /* enough is buffered while waiting for a loan */
    PAUSE_SHUTDOWN = 4,
    PAUSE_LOGIN = 8,   /* an answer from elsewhere is awaited */
    PAUSE_UNREAD = 16, /* it doesn't take what it was told before */
};

struct stream;
/* `arg` as given to stream_init. The callback may close the stream (stream_fini). */
typedef void stream_cb(struct stream *s, unsigned what, void *arg);

struct stream {
    struct event ev;
    struct loop *loop;
    struct ssl_st *ssl; /* NULL: plain; ask net/tls.h about it, not OpenSSL: it may be asleep */
    stream_cb *cb;
    void *arg;
    int fd; /* -1: closed or detached */
    uint8_t pause;
    uint8_t flags; /* private */
};

struct stream_export {
    int fd;
    struct ssl_st *ssl;
};

/* Take a connected, non-blocking descriptor. Reading starts at once (unless paused before the loop
 * turns). false: the event could not be added; the descriptor is still the caller's. */
bool stream_init(struct stream *s, struct loop *loop, int fd, stream_cb *cb, void *arg)
    __attribute__((warn_unused_result));
/* Close the descriptor (TLS: one attempt at close_notify) and free what is owned. Safe on a closed
 * or zeroed stream. With `keep_fd` only forget it (libpq owns the socket and the SSL object): call
 * it before PQfinish(), which closes the descriptor. */
void stream_fini(struct stream *s, bool keep_fd);

/* Server side TLS: the next bytes are a ClientHello; the caller has made sure that nothing of it
 * was read as plain text. Drive with stream_handshake() on each callback until it is not IO_AGAIN
 * (it arms reading or writing itself). false: out of memory, the stream is still plain. */
bool stream_start_tls(struct stream *s, struct tls_ctx *ctx) __attribute__((warn_unused_result));
enum io_result stream_handshake(struct stream *s) __attribute__((warn_unused_result));
/* Use a TLS session that was established elsewhere on this descriptor: libpq's, or a detached
 * stream's. libpq's is never freed here: end that stream with keep_fd. */
void stream_adopt_tls(struct stream *s, struct ssl_st *ssl);

/* Read up to `room` bytes. *got is set for IO_OK only, then > 0. One read() for plain sockets: a
 * short read means drained, the level-triggered loop calls again otherwise. */
enum io_result stream_read(struct stream *s, void *to, size_t room, size_t *got)
    __attribute__((warn_unused_result));
/* The next byte of a plain socket, left where it is; -1: none. To tell a TLS ClientHello. */
int stream_peek(const struct stream *s);
/* Is there anything to be read, an end or an error included? */
bool stream_pending(const struct stream *s);
/* Write what the socket takes; *put is valid for IO_OK and IO_AGAIN (may be 0). IO_OK: all written.
 * The caller keeps the rest and calls stream_want_write(true). TLS: bytes that were offered once
 * are half under way already; the next call must begin with the same bytes and offer no fewer. */
enum io_result stream_writev(struct stream *s, const struct iovec *iov, int n, size_t *put)
    __attribute__((warn_unused_result));
/* NET_WRITE is called for as long as the socket takes bytes and `want` is on. */
void stream_want_write(struct stream *s, bool want);

/* Costs nothing unless something arrives meanwhile. */
void stream_pause(struct stream *s, unsigned reason);
void stream_resume(struct stream *s, unsigned reason);

/* Both ends' addresses, for showing; "unix" and port 0 for a Unix socket. */
void stream_peer(const struct stream *s, char *peer, size_t peer_room, uint16_t *peer_port,
                 char *local, size_t local_room, uint16_t *local_port);
/* Leave the loop without closing; the stream is as if closed afterwards. Take it up elsewhere with
 * stream_init() and, if there is an ssl, stream_adopt_tls(). */
struct stream_export stream_detach(struct stream *s);
/* Short text for this thread's last IO_ERROR (errno or TLS reason): ask before anything else is
 * read or written. Static storage. */
const char *stream_error(const struct stream *s);

#endif
