/* SPDX-License-Identifier: ISC
 * What auth_query has answered, and who waits for an answer: however many logins of a user come at
 * once, one of them asks. Private to src/worker. Any thread; one lock, a leaf.
 *
 *   ASK: the first becomes the asker and must end it with auth_cache_end(), whatever happens
 *   WAIT: it was put in line behind the asker
 *   KNOWN: the answer is at hand
 *   FAILED: it couldn't be asked, a moment ago
 */
#ifndef WEIR_WORKER_AUTH_CACHE_H
#define WEIR_WORKER_AUTH_CACHE_H

#include "worker/job.h"

struct auth_cache;

enum auth_found { AUTH_FOUND_KNOWN, AUTH_FOUND_FAILED, AUTH_FOUND_WAIT, AUTH_FOUND_ASK };

enum auth_outcome {
    AUTH_OUTCOME_ANSWER,
    AUTH_OUTCOME_FAILED,
    AUTH_OUTCOME_UNASKED, /* there was no connection for it: the next one asks again */
};

struct auth_cache *auth_cache_create(void);
void auth_cache_destroy(struct auth_cache **c); /* frees the jobs in line */

/* `key` names user and database. KNOWN: *secret is a copy (NULL: no such user), to be wiped. `j` is
 * put in line for WAIT; NULL: only look, the answer isn't WAIT and nothing changes. */
enum auth_found auth_cache_get(struct auth_cache *c, const char *key, struct job *j, char **secret);
/* The asker's outcome, with the secret of an answer (NULL: no such user): kept for ttl_us, or
 * shortly, and those in line, each with a copy, are moved to `out`. */
void auth_cache_end(struct auth_cache *c, const char *key, enum auth_outcome outcome,
                    const char *secret, uint64_t ttl_us, struct job_list *out);
/* Is anybody in line behind the asker? */
bool auth_cache_is_awaited(struct auth_cache *c, const char *key);
/* A login with this answer failed: unless it was doubted a moment ago, the next one asks again. */
void auth_cache_doubt(struct auth_cache *c, const char *key);

#endif
