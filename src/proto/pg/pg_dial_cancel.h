/* SPDX-License-Identifier: ISC
 * A CancelRequest of weir's own, for connections that libpq doesn't know. Any thread; run() blocks,
 * a few seconds at most.
 */
#ifndef WEIR_PROTO_PG_DIAL_CANCEL_H
#define WEIR_PROTO_PG_DIAL_CANCEL_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct pg_cancel_target {
    struct sockaddr_storage addr;
    socklen_t addr_n;
    uint32_t pid, key;
};

/* Connect, ask, wait until the server has closed: then the signal is on its way. */
bool pg_cancel_run(const struct pg_cancel_target *t, struct err *e)
    __attribute__((warn_unused_result));

struct pg_raw_link;
const struct pg_cancel_target *pg_raw_link_cancel(const struct pg_raw_link *l);

#endif
