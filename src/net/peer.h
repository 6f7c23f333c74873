/* SPDX-License-Identifier: ISC
 * Is the machine at the other end of a TCP connection still there? A peer that is slow, or whose
 * process is stopped, has a kernel that acknowledges; one that was paused or taken away with its
 * machine has not, and only questions show it.
 *
 * Any thread. Nothing happens, and nothing is known, where the socket is not TCP.
 */
#ifndef WEIR_NET_PEER_H
#define WEIR_NET_PEER_H

#include "net/listener.h"

#include <stdbool.h>
#include <stdint.h>

struct peer_look {
    uint32_t silent_ms; /* it was asked and has not acknowledged for so long; 0: it answers */
    bool full;          /* it answers, but takes no more bytes */
};

/* Ask each second from now on, so that peer_look() can tell. The kernel gives the connection up
 * after user_timeout_ms without an answer. */
void peer_watch(int fd, unsigned user_timeout_ms);
/* Only this part of it; 0: the kernel's own patience. A peer that is full is not to be given up. */
void peer_set_patience(int fd, unsigned user_timeout_ms);
/* Back to how it was accepted; numbers that are 0 become the system's. A connection that has lost
 * its peer for less than those stays. */
void peer_rest(int fd, const struct tcp_options *o);
/* Bytes that were sent and that the peer has not taken: of a socket that is full it falls as the
 * peer reads, long before there is room to send more. Unix sockets too. */
uint32_t peer_owed(int fd);
/* false: it can't be told. */
bool peer_look(int fd, struct peer_look *out) __attribute__((warn_unused_result));

#endif
