/* SPDX-License-Identifier: ISC
 * Functions as the workers know them: a name, what it may have and do, and what it had. Which of
 * them borrows next is decided in core/. Private to src/worker.
 *
 * Threads: the table has a lock. A function, once made, lives as long as the process; there are at
 * most max_functions names, later ones are taken together as FUNCTION_OTHER. Limits are written on
 * reload and read by anyone as single words; figures are written by the worker they belong to.
 */
#ifndef WEIR_WORKER_FUNCTION_H
#define WEIR_WORKER_FUNCTION_H

#include "worker/worker_priv.h"

#include "stat/view.h"

#include <string.h>

#define FUNCTION_NAME_BYTES 64 /* with its NUL */
#define FUNCTION_OTHER      "other"

struct bound_server;
struct functions;
struct function_figures;

/* One function on one database server. */
struct function {
    struct core_function *core;
    const struct bound_server *server;
    const char *name; /* clean, see function_clean() */
    /* Its own; CONF_UNSET_US: what holds for the database and user. */
    _Atomic uint64_t query_wait_us, query_timeout_us, tx_timeout_us, idle_tx_timeout_us;
    _Atomic uint32_t clients;
    struct function *next;                        /* of the same name, on another server */
    _Atomic(struct function_figures *) figures[]; /* by worker; made when there is the first */
};

enum function_event { FUNCTION_REFUSAL, FUNCTION_PIN, FUNCTION_ROLLBACK };

struct functions *functions_create(uint32_t workers);
void functions_destroy(struct functions **fs);
/* The function of this name on this server, made when it is asked for first. NULL: out of memory.
 * Any thread. */
struct function *functions_get(struct functions *fs, const struct settings *set,
                               const struct bound_server *server, const char *name);
/* New limits; also while its clients wait. */
void functions_reload(struct functions *fs, const struct settings *set);

/* A name as a client gave it, made fit to be shown, logged and compared: valid UTF-8 without
 * control characters (a "?" instead), without blanks around it, cut to fit. */
void function_clean(const char *name, char to[FUNCTION_NAME_BYTES]);
/* Would anything be left of it? */
bool function_is_name(const char *name);
/* What a client can be named by, by source; NULL or "" where it has no such name. */
struct function_names {
    const char *by[CONF_FUNCTION_SOURCES];
};
static inline bool function_is_from(const struct settings *set, enum conf_function_source source)
{
    return memchr(set->function_from, (int)source, set->n_sources) != NULL;
}
/* Which of them counts, in the order of function_from; NULL: it has none. *follows: a later
 * application_name will count before it. */
const char *function_choose(const struct settings *set, const struct function_names *names,
                            bool *follows);

/* One loan has begun after this wait, or ended after this time; and what befell a client, with a
 * word for it that is one of few. */
void function_waited(struct function *f, const struct worker *w, uint64_t us);
void function_held(struct function *f, const struct worker *w, uint64_t us);
void function_count(struct function *f, const struct worker *w, enum function_event what,
                    const char *reason);

/* For the views: arrays are malloc'ed and the caller's; one row for each name. Any thread. */
size_t functions_view(struct functions *fs, const struct settings *set,
                      struct view_function **rows);
size_t functions_reasons(struct functions *fs, struct view_reason **rows);
/* Waits or holds of all loans of a name, added up; false: there is no such name. */
bool functions_times(struct functions *fs, const char *name, bool hold, struct histogram_view *out);

/* The one of two limits that holds. */
static inline uint64_t function_limit_us(const _Atomic uint64_t *own, uint64_t general)
{
    uint64_t us = atomic_load_explicit(own, memory_order_relaxed);
    return us != CONF_UNSET_US ? us : general;
}

#endif
