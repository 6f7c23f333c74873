/* SPDX-License-Identifier: ISC
 * See pg_dial_cancel.h.
 */
#include "config.h"

#include "proto/pg/pg_dial_cancel.h"

#include "proto/pg/pg_wire.h"

#include <errno.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define CANCEL_CODE  80877102u
#define CANCEL_BYTES 16u
#define TIMEOUT_S    5

bool pg_cancel_run(const struct pg_cancel_target *t, struct err *e)
{
    const struct timeval limit = {.tv_sec = TIMEOUT_S};
    uint8_t request[CANCEL_BYTES], sink[64];
    pg_put32(request, CANCEL_BYTES);
    pg_put32(request + 4, CANCEL_CODE);
    pg_put32(request + 8, t->pid);
    pg_put32(request + 12, t->key);
    int fd = socket(t->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* The send timeout bounds connect(), too. */
    bool ok = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0 &&
              setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0 &&
              connect(fd, (const struct sockaddr *)&t->addr, t->addr_n) == 0 &&
              send(fd, request, sizeof request, MSG_NOSIGNAL) == (ssize_t)sizeof request;
    if (!ok)
        err_set(e, "could not send the cancel request: %s", strerror(errno));
    /* A server that answers is none; whatever it says, once. */
    if (ok)
        (void)!recv(fd, sink, sizeof sink, 0);
    if (fd >= 0)
        close(fd);
    return ok;
}
