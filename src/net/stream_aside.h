/* SPDX-License-Identifier: ISC
 * A TLS handshake whose steps another thread makes, for keys with which they take long: the stream
 * is detached (stream.h), belongs to that thread for one step, and comes back.
 */
#ifndef WEIR_NET_STREAM_ASIDE_H
#define WEIR_NET_STREAM_ASIDE_H

#include "net/stream.h"

/* On any thread. *wants_write: to be handed to stream_attach(). */
enum io_result stream_handshake_detached(const struct stream_export *x, bool *wants_write)
    __attribute__((warn_unused_result));
/* Back in a loop, as after stream_handshake(). false: *x is still the caller's. */
bool stream_attach(struct stream *s, struct loop *loop, struct stream_export *x, bool wants_write,
                   stream_cb *cb, void *arg) __attribute__((warn_unused_result));
void stream_export_close(struct stream_export *x); /* -1: there is none */

#endif
