/* SPDX-License-Identifier: ISC
 * What auth_query has answered, and who waits for an answer: however many logins of a user come at
 * once, one of them asks. Private to src/worker. Any thread; one lock, a leaf.
 *
 *   ASK: the first becomes the asker and must end it with auth_cache_end(), whatever happens
 *   WAIT: it was put in line behind the asker
 *   KNOWN: the answer is at hand
 */
#ifndef WEIR_WORKER_AUTH_CACHE_H
#define WEIR_WORKER_AUTH_CACHE_H

#include "worker/job.h"

struct auth_cache;

enum auth_found { AUTH_FOUND_KNOWN, AUTH_FOUND_WAIT, AUTH_FOUND_ASK };

struct auth_cache *auth_cache_create(void);
void auth_cache_destroy(struct auth_cache **c); /* frees the jobs in line */

/* `key` names user and database. KNOWN: *secret is a copy (NULL: no such user), to be wiped. `j` is
 * put in line for WAIT; NULL: only look, the answer is KNOWN or ASK and nothing changes. */
enum auth_found auth_cache_get(struct auth_cache *c, const char *key, struct job *j, char **secret);
/* The asker's outcome: kept for ttl_us (shortly when there is no such user or it failed), and those
 * in line, each with a copy, are moved to `out`. */
void auth_cache_end(struct auth_cache *c, const char *key, bool ok, const char *secret,
                    uint64_t ttl_us, struct job_list *out);
/* A login with this answer failed: unless it was doubted a moment ago, the next one asks again. */
void auth_cache_doubt(struct auth_cache *c, const char *key);

#endif
