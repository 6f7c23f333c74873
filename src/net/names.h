/* SPDX-License-Identifier: ISC
 * Host names, resolved without blocking (libevent's evdns; /etc/hosts and resolv.conf as usual),
 * with a bounded cache: dns_max_ttl, dns_nxdomain_ttl. One thread: the control plane's.
 */
#ifndef WEIR_NET_NAMES_H
#define WEIR_NET_NAMES_H

#include <stdint.h>

struct loop;
struct names;

struct names *names_create(struct loop *l, uint64_t max_ttl_us, uint64_t nxdomain_ttl_us);
void names_destroy(struct names **n);

/* `count` numeric addresses ("10.0.0.5", "::1"), in the resolver's order; count 0: failed, and
 * `error` says why. The strings live only during the call. */
typedef void names_cb(const char *const *addrs, int count, const char *error, void *arg);
struct names_query;
/* Look up; numeric hosts answer at once (still through the callback, before return). Returns a
 * handle to cancel with, or NULL when the callback has already run. */
struct names_query *names_lookup(struct names *n, const char *host, names_cb *cb, void *arg);
void names_cancel(struct names_query **q);

#endif
