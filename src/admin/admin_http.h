/* SPDX-License-Identifier: ISC
 * HTTP on admin_port: the page, /metrics, /healthz, /readyz, /api/v1/... . It only shows: no
 * request changes anything, so a browser that is tricked into asking can do no harm.
 * Thread: control.
 */
#ifndef WEIR_ADMIN_ADMIN_HTTP_H
#define WEIR_ADMIN_ADMIN_HTTP_H

#include "base/err.h"

#include <stdint.h>

struct admin;
struct admin_http;
struct listen_claim;
struct loop;

/* `addr` as listen_addr: a list, `*` for every address. port 0 takes a free one (tests).
 * `claim`: sockets from systemd, in place of them; may be NULL. NULL: see e. Destroy it before the
 * admin. */
struct admin_http *admin_http_create(struct loop *loop, struct admin *a, const char *addr,
                                     uint16_t port, const struct listen_claim *claim,
                                     struct err *e);
void admin_http_destroy(struct admin_http **h);
uint16_t admin_http_port(const struct admin_http *h);

#endif
