/* SPDX-License-Identifier: ISC
 * Names: a cache before evdns. One question per host at a time, however many wait for it.
 *
 *     unknown --lookup--> asking --answer--> fresh --time--> stale --lookup--> asking
 *
 * evdns can't forget what it read from /etc/hosts, so a changed file means a new evdns base; that
 * is put off while questions are under way. It also hands out some answers (hosts file, numbers)
 * before its own call returns, others from the loop; both come in through on_answer().
 */
#include "config.h"

#include "net/names.h"
#include "net/loop.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/hash.h"

#include <event2/dns.h>
#include <event2/util.h>

#include <arpa/inet.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>

enum { ADDRS_MAX = 16, HOSTS_MAX = 1024, HOST_BYTES_MAX = 255 };

static const char hosts_file[] = "/etc/hosts";

struct names_query {
    LIST_ENTRY(names_query) link;
    names_cb *cb;
    void *arg;
    bool *told; /* set when the callback has run; only within names_lookup() */
};
LIST_HEAD(names_queries, names_query);

struct host {
    UT_hash_handle hh; /* in names.hosts, by name */
    struct names *names;
    struct names_queries waiting; /* empty unless asking */
    bool asking;                  /* evdns owes an answer */
    unsigned telling;             /* callbacks that read addrs are running */
    uint64_t until_us;            /* the answer is good until then */
    int count;
    char addrs[ADDRS_MAX][INET6_ADDRSTRLEN];
    const char *error; /* when count is 0 */
    char name[];
};

/* What a file looked like when it was read. */
struct file_mark {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec mtime;
};

struct names {
    struct loop *loop;
    struct evdns_base *dns;
    struct host *hosts;
    unsigned asking; /* hosts of which evdns owes an answer */
    bool gone;       /* destroyed; freed after the last answer */
    bool reload;     /* read the files again at the next chance */
    struct timer bury;
    uint64_t max_ttl_us, nxdomain_ttl_us;
    char *resolv_conf;
    struct file_mark marks[2];
};

/* ---- the resolver's files -------------------------------------------------------------------- */

static struct file_mark mark_of(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return (struct file_mark){0};
    return (struct file_mark){st.st_dev, st.st_ino, st.st_size, st.st_mtim};
}

static bool mark_same(const struct file_mark *a, const struct file_mark *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           a->mtime.tv_sec == b->mtime.tv_sec && a->mtime.tv_nsec == b->mtime.tv_nsec;
}

/* Start evdns, or start it anew when its files have changed and nobody waits. */
static bool names_refresh(struct names *n)
{
    struct file_mark now[2] = {mark_of(n->resolv_conf), mark_of(hosts_file)};
    bool same = !n->reload && mark_same(&now[0], &n->marks[0]) && mark_same(&now[1], &n->marks[1]);
    if (n->dns && (same || n->asking))
        return true;
    struct evdns_base *fresh = evdns_base_new(loop_base(n->loop), 0);
    if (!fresh)
        return n->dns != NULL;
    /* Without a file there is still the name server on this machine: evdns puts it in. */
    if (evdns_base_resolv_conf_parse(fresh, DNS_OPTIONS_ALL, n->resolv_conf) != 0)
        log_warn("names", "cannot use all of %s", n->resolv_conf);
    if (n->dns)
        evdns_base_free(n->dns, 0);
    n->dns = fresh;
    n->reload = false;
    memcpy(n->marks, now, sizeof now);
    return true;
}

/* ---- hosts ----------------------------------------------------------------------------------- */

static bool host_idle(const struct host *h)
{
    return !h->asking && !h->telling;
}

static void host_free(struct names *n, struct host *h)
{
    struct names_query *q;
    while ((q = LIST_FIRST(&h->waiting))) {
        LIST_REMOVE(q, link);
        free(q);
    }
    HASH_DEL(n->hosts, h);
    free(h);
}

/* Drop what nobody uses: all of it, or only enough to stay below the bound. */
static void hosts_trim(struct names *n, bool all)
{
    struct host *h, *next;
    HASH_ITER(hh, n->hosts, h, next)
    {
        if (!all && HASH_COUNT(n->hosts) < HOSTS_MAX)
            return;
        if (host_idle(h))
            host_free(n, h);
    }
}

static struct host *host_get(struct names *n, const char *name)
{
    struct host *h = NULL;
    HASH_FIND_STR(n->hosts, name, h);
    if (h)
        return h;
    hosts_trim(n, false);
    size_t len = strlen(name);
    h = calloc(1, sizeof *h + len + 1);
    if (!h)
        return NULL;
    memcpy(h->name, name, len);
    h->names = n;
    LIST_INIT(&h->waiting);
    HASH_ADD_STR(n->hosts, name, h);
    return h;
}

static void host_tell(struct host *h, names_cb *cb, void *arg)
{
    const char *list[ADDRS_MAX];
    for (int i = 0; i < h->count; i++)
        list[i] = h->addrs[i];
    h->telling++;
    cb(list, h->count, h->count ? NULL : h->error, arg);
    h->telling--;
}

static void host_store(struct host *h, const struct evutil_addrinfo *list)
{
    h->count = 0;
    for (const struct evutil_addrinfo *a = list; a && h->count < ADDRS_MAX; a = a->ai_next)
        if (getnameinfo(a->ai_addr, (socklen_t)a->ai_addrlen, h->addrs[h->count],
                        sizeof h->addrs[0], NULL, 0, NI_NUMERICHOST) == 0)
            h->count++;
}

static void host_judge(struct host *h, int result, const struct evutil_addrinfo *list)
{
    struct names *n = h->names;
    uint64_t now = clock_now_us();
    if (result == 0) {
        host_store(h, list);
        h->error = "the name has no address";
        h->until_us = now + (h->count ? n->max_ttl_us : n->nxdomain_ttl_us);
        return;
    }
    h->until_us = now + n->nxdomain_ttl_us;
    if (result == EVUTIL_EAI_NONAME || result == EVUTIL_EAI_NODATA) {
        h->count = 0;
        h->error = "no such host";
    } else {
        h->error = result == EVUTIL_EAI_MEMORY ? "out of memory" : "the name servers do not answer";
        if (h->count)
            log_warn("names", "%s: %s; using the last answer", h->name, h->error);
        n->reload = true; /* perhaps the list of them is what changed */
    }
}

static void queries_move(struct names_queries *to, struct names_queries *from)
{
    LIST_INIT(to);
    if (!LIST_EMPTY(from)) {
        to->lh_first = from->lh_first;
        to->lh_first->link.le_prev = &to->lh_first;
        LIST_INIT(from);
    }
}

static void on_answer(int result, struct evutil_addrinfo *list, void *arg)
{
    struct host *h = arg;
    struct names *n = h->names;
    h->asking = false;
    n->asking--;
    if (n->gone) {
        if (n->asking == 0)
            timer_set_us(&n->bury, 0); /* evdns is still on the stack */
    } else {
        host_judge(h, result, list);
        h->telling++;
        /* Taken off first: who asks again from his callback waits for the next answer. */
        struct names_queries due;
        struct names_query *q;
        queries_move(&due, &h->waiting);
        while ((q = LIST_FIRST(&due))) {
            LIST_REMOVE(q, link);
            if (q->told)
                *q->told = true;
            host_tell(h, q->cb, q->arg);
            free(q);
        }
        h->telling--;
    }
    if (list)
        evutil_freeaddrinfo(list);
}

static void host_ask(struct host *h)
{
    struct evutil_addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = EVUTIL_AI_ADDRCONFIG};
    bool ready = names_refresh(h->names);
    h->asking = true;
    h->names->asking++;
    if (ready)
        evdns_getaddrinfo(h->names->dns, h->name, NULL, &hints, on_answer, h);
    else
        on_answer(EVUTIL_EAI_MEMORY, NULL, h);
}

/* ---- the contract ---------------------------------------------------------------------------- */

static bool is_numeric(const char *host)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST}, *list = NULL;
    if (getaddrinfo(host, NULL, &hints, &list) != 0)
        return false;
    freeaddrinfo(list);
    return true;
}

struct names_query *names_lookup(struct names *n, const char *host, names_cb *cb, void *arg)
{
    if (*host == '\0' || strlen(host) > HOST_BYTES_MAX) {
        cb(NULL, 0, "not a host name", arg);
        return NULL;
    }
    if (is_numeric(host)) {
        cb(&host, 1, NULL, arg);
        return NULL;
    }
    struct host *h = host_get(n, host);
    struct names_query *q = h ? calloc(1, sizeof *q) : NULL;
    if (!q) {
        cb(NULL, 0, "out of memory", arg);
        return NULL;
    }
    if (!h->asking && clock_now_us() < h->until_us) {
        free(q);
        host_tell(h, cb, arg);
        return NULL;
    }
    bool told = false;
    q->cb = cb;
    q->arg = arg;
    q->told = &told;
    LIST_INSERT_HEAD(&h->waiting, q, link);
    if (!h->asking)
        host_ask(h);
    if (told)
        return NULL; /* and q is gone */
    q->told = NULL;
    return q;
}

void names_cancel(struct names_query **qp)
{
    struct names_query *q = *qp;
    *qp = NULL;
    if (!q)
        return;
    LIST_REMOVE(q, link);
    free(q);
}

static void names_free(void *arg)
{
    struct names *n = arg;
    struct host *h, *next;
    timer_clear(&n->bury);
    HASH_ITER(hh, n->hosts, h, next)
    {
        host_free(n, h);
    }
    if (n->dns)
        evdns_base_free(n->dns, 0);
    free(n->resolv_conf);
    free(n);
}

struct names *names_create(struct loop *l, const struct names_settings *set)
{
    struct names *n = calloc(1, sizeof *n);
    if (!n)
        return NULL;
    n->loop = l;
    timer_init(&n->bury, l, names_free, n);
    names_reload(n, set);
    if (!n->resolv_conf) {
        free(n);
        return NULL;
    }
    return n;
}

void names_destroy(struct names **np)
{
    struct names *n = *np;
    *np = NULL;
    if (!n)
        return;
    n->gone = true;
    if (n->asking == 0)
        names_free(n);
}

void names_reload(struct names *n, const struct names_settings *set)
{
    const char *path =
        set->resolv_conf && *set->resolv_conf ? set->resolv_conf : "/etc/resolv.conf";
    char *copy = strdup(path);
    if (copy) {
        free(n->resolv_conf);
        n->resolv_conf = copy;
    }
    n->max_ttl_us = set->max_ttl_us;
    n->nxdomain_ttl_us = set->nxdomain_ttl_us;
    n->reload = true;
    hosts_trim(n, true);
}
