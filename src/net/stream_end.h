/* SPDX-License-Identifier: ISC
 * The end of a connection that can't be parted from in order: cut off, and waited for. The thread
 * of its loop.
 */
#ifndef WEIR_NET_STREAM_END_H
#define WEIR_NET_STREAM_END_H

#include "net/stream.h"

/* Nothing more is sent, in the middle of whatever it is; reading goes on. TLS: without
 * close_notify, so that the peer takes it for the cut that it is. false: the peer is gone. */
bool stream_cut(struct stream *s) __attribute__((warn_unused_result));
/* Read up to `room` bytes that nobody wants. IO_CLOSED: the peer has closed the connection, not
 * just its TLS session. Of TLS nothing else can be read afterwards. */
enum io_result stream_discard(struct stream *s, void *scratch, size_t room)
    __attribute__((warn_unused_result));

#endif
