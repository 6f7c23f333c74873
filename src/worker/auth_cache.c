/* SPDX-License-Identifier: ISC
 * See auth_cache.h.
 */
#include "config.h"

#include "worker/auth_cache.h"

#include "base/secret.h"
#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

#define ENTRIES_MAX 16384u
#define NEGATIVE_US (2 * US_PER_S) /* an unknown user, a query that failed */
#define DOUBT_US    (2 * US_PER_S) /* doubted oftener, wrong passwords would make us ask each time */

struct entry {
    UT_hash_handle hh; /* in the order in which they were made */
    char *key;
    char *secret;
    bool asking, failed;
    uint64_t doubtable_us, until_us;
    struct job_list line;
};

struct auth_cache {
    pthread_mutex_t lock;
    struct entry *by_key;
};

struct auth_cache *auth_cache_create(void)
{
    struct auth_cache *c = calloc(1, sizeof *c);
    if (c != NULL)
        pthread_mutex_init(&c->lock, NULL);
    return c;
}

static void remove_entry(struct auth_cache *c, struct entry *e)
{
    struct job *j;
    HASH_DEL(c->by_key, e);
    while ((j = STAILQ_FIRST(&e->line)) != NULL) {
        STAILQ_REMOVE_HEAD(&e->line, link);
        job_free(&j);
    }
    secret_wipe(&e->secret);
    free(e->key);
    free(e);
}

void auth_cache_destroy(struct auth_cache **cp)
{
    struct auth_cache *c = *cp;
    struct entry *e, *tmp;
    if (c == NULL)
        return;
    *cp = NULL;
    HASH_ITER(hh, c->by_key, e, tmp)
    remove_entry(c, e);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static struct entry *add_entry(struct auth_cache *c, const char *key)
{
    struct entry *e, *tmp;
    if (HASH_COUNT(c->by_key) >= ENTRIES_MAX) {
        HASH_ITER(hh, c->by_key, e, tmp)
        {
            if (e->asking)
                continue;
            remove_entry(c, e);
            break;
        }
    }
    e = calloc(1, sizeof *e);
    if (e == NULL || (e->key = strdup(key)) == NULL) {
        free(e);
        return NULL;
    }
    STAILQ_INIT(&e->line);
    HASH_ADD_KEYPTR(hh, c->by_key, e->key, strlen(e->key), e);
    return e;
}

enum auth_found auth_cache_get(struct auth_cache *c, const char *key, struct job *j, char **secret)
{
    enum auth_found found = AUTH_FOUND_ASK;
    struct entry *e;
    *secret = NULL;
    pthread_mutex_lock(&c->lock);
    HASH_FIND_STR(c->by_key, key, e);
    if (e != NULL && !e->asking && clock_now_us() < e->until_us) {
        found = e->failed ? AUTH_FOUND_FAILED : AUTH_FOUND_KNOWN;
        *secret = e->secret != NULL ? strdup(e->secret) : NULL;
    } else if (j != NULL && e != NULL && e->asking) {
        STAILQ_INSERT_TAIL(&e->line, j, link);
        found = AUTH_FOUND_WAIT;
    } else if (j != NULL) {
        if (e == NULL)
            e = add_entry(c, key);
        if (e != NULL) /* without memory everybody asks */
            e->asking = true;
    }
    pthread_mutex_unlock(&c->lock);
    return found;
}

static uint64_t lifetime_us(enum auth_outcome outcome, const char *secret, uint64_t ttl_us)
{
    if (outcome == AUTH_OUTCOME_UNASKED)
        return 0;
    return secret != NULL || ttl_us < NEGATIVE_US ? ttl_us : NEGATIVE_US;
}

void auth_cache_end(struct auth_cache *c, const char *key, enum auth_outcome outcome,
                    const char *secret, uint64_t ttl_us, struct job_list *out)
{
    struct entry *e;
    struct job *j;
    bool ok = outcome == AUTH_OUTCOME_ANSWER;
    STAILQ_INIT(out);
    pthread_mutex_lock(&c->lock);
    HASH_FIND_STR(c->by_key, key, e);
    if (e != NULL) {
        STAILQ_CONCAT(out, &e->line);
        secret_wipe(&e->secret);
        e->asking = false;
        e->failed = !ok;
        e->secret = ok && secret != NULL ? strdup(secret) : NULL;
        e->until_us = clock_now_us() + lifetime_us(outcome, e->secret, ttl_us);
    }
    pthread_mutex_unlock(&c->lock);
    STAILQ_FOREACH(j, out, link)
    {
        j->done = true;
        j->ok = ok; /* why it failed, the asker says */
        j->crowded = outcome == AUTH_OUTCOME_UNASKED;
        j->secret = ok && secret != NULL ? strdup(secret) : NULL;
    }
}

bool auth_cache_is_awaited(struct auth_cache *c, const char *key)
{
    struct entry *e;
    pthread_mutex_lock(&c->lock);
    HASH_FIND_STR(c->by_key, key, e);
    bool yes = e != NULL && !STAILQ_EMPTY(&e->line);
    pthread_mutex_unlock(&c->lock);
    return yes;
}

void auth_cache_doubt(struct auth_cache *c, const char *key)
{
    struct entry *e;
    pthread_mutex_lock(&c->lock);
    HASH_FIND_STR(c->by_key, key, e);
    uint64_t now_us = clock_now_us();
    if (e != NULL && !e->asking && now_us >= e->doubtable_us) {
        e->until_us = 0;
        e->doubtable_us = now_us + DOUBT_US;
    }
    pthread_mutex_unlock(&c->lock);
}
