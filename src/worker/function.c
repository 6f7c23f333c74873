/* SPDX-License-Identifier: ISC
 * See function.h.
 */
#include "config.h"

#include "worker/function.h"

#include "worker/route.h"

#include "base/utf8.h"
#include "base/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REASONS      24u /* kept apart for each function and worker; further ones are "other" */
#define REASON_BYTES 32

struct reason {
    char text[REASON_BYTES];
    uint8_t what; /* enum function_event */
    _Atomic uint64_t n;
};

struct function_figures {
    struct histogram wait, hold;
    struct reason reasons[REASONS];
    _Atomic uint32_t n_reasons; /* those before it are filled in */
};

/* A name, and what bears it on each of the servers. */
struct name {
    UT_hash_handle hh;
    char text[FUNCTION_NAME_BYTES];
    _Atomic(struct function *) first;
    struct name *next; /* made before it */
};

struct functions {
    pthread_mutex_t lock; /* guards by_name, n and additions to the lists */
    struct name *by_name;
    _Atomic(struct name *) last;
    uint32_t n, workers;
};

struct functions *functions_create(uint32_t workers)
{
    struct functions *fs = calloc(1, sizeof *fs);
    if (fs != NULL) {
        pthread_mutex_init(&fs->lock, NULL);
        fs->workers = workers;
    }
    return fs;
}

void functions_destroy(struct functions **pfs)
{
    struct functions *fs = *pfs;
    if (fs == NULL)
        return;
    struct name *next;
    for (struct name *n = fs->last; n != NULL; n = next) {
        struct function *after;
        for (struct function *f = n->first; f != NULL; f = after) {
            after = f->next;
            for (uint32_t i = 0; i < fs->workers; i++)
                free(f->figures[i]);
            free(f); /* its core_function is its server's */
        }
        next = n->next;
        HASH_DEL(fs->by_name, n);
        free(n);
    }
    pthread_mutex_destroy(&fs->lock);
    free(fs);
    *pfs = NULL;
}

/* ---- names
 * ------------------------------------------------------------------------------------------- */

void function_clean(const char *name, char to[FUNCTION_NAME_BYTES])
{
    const unsigned char *p = (const unsigned char *)name;
    const unsigned char *end = p + strlen(name);
    size_t n = 0;
    while (*p == ' ')
        p++;
    while (p < end) {
        uint32_t c;
        size_t len = utf8_next(p, (size_t)(end - p), &c);
        bool bad = c == UTF8_BAD || utf8_is_control(c);
        size_t put = bad ? 1 : len;
        if (n + put >= FUNCTION_NAME_BYTES)
            break;
        if (bad)
            to[n] = '?';
        else
            memcpy(to + n, p, len);
        n += put;
        p += len;
    }
    while (n != 0 && to[n - 1] == ' ')
        n--;
    to[n] = '\0';
}

bool function_is_name(const char *name)
{
    return name != NULL && name[strspn(name, " ")] != '\0';
}

const char *function_choose(const struct settings *set, const struct function_names *names,
                            bool *follows)
{
    *follows = false;
    for (unsigned i = 0; i < set->n_sources; i++) {
        unsigned source = set->function_from[i];
        const char *name = names->by[source];
        *follows = *follows || source == CONF_FUNCTION_APPLICATION_NAME;
        if (function_is_name(name))
            return name;
    }
    return NULL;
}

/* ---- the table
 * --------------------------------------------------------------------------------------- */

static uint32_t number(int configured, uint32_t otherwise)
{
    return configured >= 0 ? (uint32_t)configured : otherwise;
}

static struct core_function_limits limits(const struct settings *set, const char *name)
{
    const struct conf_function *cf = conf_function_find(set->conf, name);
    if (cf == NULL)
        return (struct core_function_limits){.weight = 1};
    return (struct core_function_limits){
        .guarantee = number(cf->guarantee, 0),
        .limit = number(cf->limit, 0),
        .weight = number(cf->weight, 1),
        .max_waiting = number(cf->max_waiting, 0),
    };
}

static void configure(struct function *f, const struct settings *set)
{
    const struct conf_function *cf = conf_function_find(set->conf, f->name);
    f->query_wait_us = cf != NULL ? cf->query_wait_timeout_us : CONF_UNSET_US;
    f->query_timeout_us = cf != NULL ? cf->query_timeout_us : CONF_UNSET_US;
    f->tx_timeout_us = cf != NULL ? cf->transaction_timeout_us : CONF_UNSET_US;
    f->idle_tx_timeout_us = cf != NULL ? cf->idle_transaction_timeout_us : CONF_UNSET_US;
}

static struct name *name_find(const struct functions *fs, const char *text)
{
    struct name *n = NULL;
    HASH_FIND_STR(fs->by_name, text, n);
    return n;
}

/* Under the lock: lines of [functions] whose functions have not come yet. Their places are not for
 * names that clients make up. */
static uint32_t reserved(const struct functions *fs, const struct settings *set)
{
    const struct conf_function *cf;
    uint32_t n = 0;
    for (size_t i = 0; (cf = conf_function_at(set->conf, i)) != NULL; i++)
        n += strcmp(cf->pattern, "*") != 0 && name_find(fs, cf->pattern) == NULL;
    return n;
}

/* Under the lock: where a name goes for which there may be no place. */
static const char *fold(const struct functions *fs, const struct settings *set, const char *text,
                        char room[FUNCTION_NAME_BYTES])
{
    const struct conf_function *cf = conf_function_find(set->conf, text);
    if (cf != NULL && strcmp(cf->pattern, text) == 0)
        return text;
    if (fs->n + reserved(fs, set) < (uint32_t)conf_settings(set->conf)->max_functions)
        return text;
    if (cf == NULL || strcmp(cf->pattern, "*") == 0)
        return FUNCTION_OTHER;
    function_clean(cf->pattern, room); /* all of this pattern have together what it gives */
    return room;
}

/* Under the lock. */
static struct name *name_get(struct functions *fs, const struct settings *set, const char *text)
{
    char room[FUNCTION_NAME_BYTES];
    struct name *n = name_find(fs, text);
    if (n == NULL) {
        text = fold(fs, set, text, room);
        n = name_find(fs, text);
    }
    if (n != NULL || (n = calloc(1, sizeof *n)) == NULL)
        return n;
    (void)snprintf(n->text, sizeof n->text, "%s", text);
    n->next = fs->last;
    HASH_ADD_STR(fs->by_name, text, n);
    fs->n++;
    atomic_store_explicit(&fs->last, n, memory_order_release);
    return n;
}

struct function *functions_get(struct functions *fs, const struct settings *set,
                               const struct bound_server *server, const char *name)
{
    char clean[FUNCTION_NAME_BYTES];
    struct function *f = NULL;
    function_clean(name, clean);
    pthread_mutex_lock(&fs->lock);
    struct name *n = name_get(fs, set, clean);
    if (n != NULL)
        for (f = n->first; f != NULL && f->server != server;)
            f = f->next;
    if (n != NULL && f == NULL &&
        (f = calloc(1, sizeof *f + fs->workers * sizeof f->figures[0])) != NULL) {
        struct core_function_limits lim = limits(set, n->text);
        f->name = n->text;
        f->server = server;
        configure(f, set);
        f->core = core_function_create(server->core, n->text, &lim);
        f->next = n->first;
        if (f->core != NULL)
            atomic_store_explicit(&n->first, f, memory_order_release);
        else
            free(f);
        f = f->core != NULL ? f : NULL;
    }
    pthread_mutex_unlock(&fs->lock);
    return f;
}

void functions_reload(struct functions *fs, const struct settings *set)
{
    for (struct name *n = fs->last; n != NULL; n = n->next) {
        struct core_function_limits lim = limits(set, n->text);
        for (struct function *f = n->first; f != NULL; f = f->next) {
            configure(f, set);
            core_function_limit(f->core, &lim);
        }
    }
}

/* ---- figures
 * ----------------------------------------------------------------------------------------- */

static struct function_figures *figures(struct function *f, const struct worker *w)
{
    struct function_figures *g = atomic_load_explicit(&f->figures[w->index], memory_order_relaxed);
    if (g == NULL && (g = calloc(1, sizeof *g)) != NULL)
        atomic_store_explicit(&f->figures[w->index], g, memory_order_release);
    return g;
}

void function_waited(struct function *f, const struct worker *w, uint64_t us)
{
    struct function_figures *g = figures(f, w);
    if (g != NULL)
        histogram_add(&g->wait, us);
}

void function_held(struct function *f, const struct worker *w, uint64_t us)
{
    struct function_figures *g = figures(f, w);
    if (g != NULL)
        histogram_add(&g->hold, us);
}

static struct reason *reason_find(struct function_figures *g, enum function_event what,
                                  const char *text)
{
    uint32_t n = g->n_reasons;
    for (uint32_t i = 0; i < n; i++)
        if (g->reasons[i].what == what && strncmp(g->reasons[i].text, text, REASON_BYTES - 1) == 0)
            return &g->reasons[i];
    return NULL;
}

void function_count(struct function *f, const struct worker *w, enum function_event what,
                    const char *text)
{
    struct function_figures *g = figures(f, w);
    if (g == NULL)
        return;
    struct reason *r = reason_find(g, what, text);
    uint32_t n = g->n_reasons;
    if (r == NULL && n + FUNCTION_ROLLBACK + 1 >= REASONS) /* room is left for each "other" */
        r = reason_find(g, what, text = "other");
    if (r == NULL && n < REASONS) {
        r = &g->reasons[n];
        (void)snprintf(r->text, sizeof r->text, "%s", text);
        r->what = (uint8_t)what;
        atomic_store_explicit(&g->n_reasons, n + 1, memory_order_release);
    }
    if (r != NULL)
        atomic_fetch_add_explicit(&r->n, 1, memory_order_relaxed);
}

/* ---- views
 * ------------------------------------------------------------------------------------------- */

static void times(const struct functions *fs, const struct name *n, bool hold,
                  struct histogram_view *out)
{
    memset(out, 0, sizeof *out);
    for (struct function *f = n->first; f != NULL; f = f->next)
        for (uint32_t i = 0; i < fs->workers; i++) {
            struct function_figures *g = f->figures[i];
            if (g != NULL)
                histogram_merge(out, hold ? &g->hold : &g->wait);
        }
}

static uint64_t events(const struct functions *fs, const struct function *f,
                       enum function_event what)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < fs->workers; i++) {
        struct function_figures *g = f->figures[i];
        uint32_t n = g != NULL ? g->n_reasons : 0;
        for (uint32_t k = 0; k < n; k++)
            sum += g->reasons[k].what == what ? g->reasons[k].n : 0;
    }
    return sum;
}

static void fill(const struct functions *fs, const struct settings *set, const struct name *n,
                 struct view_function *v)
{
    struct core_function_limits lim = limits(set, n->text);
    struct histogram_view h;
    (void)snprintf(v->name, sizeof v->name, "%s", n->text);
    v->limit = lim.limit;
    v->guarantee = lim.guarantee;
    v->weight = lim.weight;
    for (struct function *f = n->first; f != NULL; f = f->next) {
        struct core_function_counts c;
        core_function_counts(f->core, clock_now_us(), &c);
        v->lent += c.lent;
        v->waiting += c.waiting;
        v->loans += c.loans_total;
        v->clients += f->clients;
        v->refusals += events(fs, f, FUNCTION_REFUSAL);
        v->pins += events(fs, f, FUNCTION_PIN);
        v->rollbacks += events(fs, f, FUNCTION_ROLLBACK);
        if (c.oldest_wait_us > v->oldest_wait_us)
            v->oldest_wait_us = c.oldest_wait_us;
    }
    times(fs, n, false, &h);
    v->wait_p50_us = histogram_quantile_us(&h, 0.5);
    v->wait_p95_us = histogram_quantile_us(&h, 0.95);
    v->wait_p99_us = histogram_quantile_us(&h, 0.99);
    times(fs, n, true, &h);
    v->hold_p50_us = histogram_quantile_us(&h, 0.5);
    v->hold_p95_us = histogram_quantile_us(&h, 0.95);
    v->hold_p99_us = histogram_quantile_us(&h, 0.99);
}

static size_t count_names(const struct functions *fs)
{
    size_t n = 0;
    for (struct name *at = fs->last; at != NULL; at = at->next)
        n++;
    return n;
}

size_t functions_view(struct functions *fs, const struct settings *set, struct view_function **rows)
{
    size_t n = 0, room = count_names(fs);
    *rows = calloc(room + 1, sizeof **rows);
    for (struct name *at = fs->last; *rows != NULL && at != NULL && n < room; at = at->next)
        fill(fs, set, at, &(*rows)[n++]);
    return n;
}

static size_t add_reason(struct view_reason *rows, size_t n, const char *name,
                         const struct reason *r)
{
    static const char *const kinds[] = {
        [FUNCTION_REFUSAL] = "refusal", [FUNCTION_PIN] = "pin", [FUNCTION_ROLLBACK] = "rollback"};
    size_t i = n;
    while (i > 0 && strcmp(rows[i - 1].function, name) == 0) { /* the same of another worker */
        i--;
        if (rows[i].kind == kinds[r->what] && strcmp(rows[i].reason, r->text) == 0) {
            rows[i].count += r->n;
            return n;
        }
    }
    (void)snprintf(rows[n].function, sizeof rows[n].function, "%s", name);
    rows[n].kind = kinds[r->what];
    rows[n].reason = r->text;
    rows[n].count = r->n;
    return n + 1;
}

/* Rows of one name; `rows` NULL: how many there can be. */
static size_t reasons_of(const struct functions *fs, const struct name *at,
                         struct view_reason *rows, size_t n, size_t room)
{
    for (struct function *f = at->first; f != NULL; f = f->next)
        for (uint32_t i = 0; i < fs->workers; i++) {
            struct function_figures *g = f->figures[i];
            uint32_t have = g != NULL ? g->n_reasons : 0;
            for (uint32_t k = 0; k < have; k++) {
                if (rows == NULL)
                    n++;
                else if (n < room)
                    n = add_reason(rows, n, at->text, &g->reasons[k]);
            }
        }
    return n;
}

size_t functions_reasons(struct functions *fs, struct view_reason **rows)
{
    size_t n = 0, room = 0;
    for (struct name *at = fs->last; at != NULL; at = at->next)
        room = reasons_of(fs, at, NULL, room, 0);
    *rows = calloc(room + 1, sizeof **rows);
    for (struct name *at = fs->last; *rows != NULL && at != NULL; at = at->next)
        n = reasons_of(fs, at, *rows, n, room);
    return n;
}

bool functions_times(struct functions *fs, const char *name, bool hold, struct histogram_view *out)
{
    struct name *n = NULL;
    pthread_mutex_lock(&fs->lock);
    HASH_FIND_STR(fs->by_name, name, n);
    pthread_mutex_unlock(&fs->lock);
    if (n != NULL)
        times(fs, n, hold, out);
    return n != NULL;
}
