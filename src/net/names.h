/* SPDX-License-Identifier: ISC
 * Host names, resolved without blocking (libevent's evdns; /etc/hosts and resolv.conf as usual,
 * read again when they change), with a bounded cache. One thread: the control plane's.
 *
 * An answer is good for dns_max_ttl, whatever its own TTL says (as in PgBouncer), "no such host"
 * for dns_nxdomain_ttl. When the name servers don't answer at all, the last good answer goes on
 * serving.
 */
#ifndef WEIR_NET_NAMES_H
#define WEIR_NET_NAMES_H

#include <stdint.h>

struct loop;
struct names;

struct names_settings {
    uint64_t max_ttl_us, nxdomain_ttl_us;
    const char *resolv_conf; /* NULL or "": /etc/resolv.conf */
};
struct names *names_create(struct loop *l, const struct names_settings *set); /* NULL: no memory */
/* Outstanding lookups are forgotten, their callbacks not called. */
void names_destroy(struct names **n);
/* Other times from now on; the cache is dropped and the files are read again (reload, RECONNECT).
 */
void names_reload(struct names *n, const struct names_settings *set);

/* `count` numeric addresses ("10.0.0.5", "::1"), in the resolver's order; count 0: failed, and
 * `error` says why. The strings live only during the call. */
typedef void names_cb(const char *const *addrs, int count, const char *error, void *arg);
struct names_query;
/* Look up. What is numeric, cached or in /etc/hosts answers at once: through the callback, before
 * return. Returns a handle to cancel with, or NULL when the callback has already run. */
struct names_query *names_lookup(struct names *n, const char *host, names_cb *cb, void *arg);
void names_cancel(struct names_query **q); /* only before its callback has run */

#endif
