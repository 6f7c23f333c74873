/* SPDX-License-Identifier: ISC
 * The parameters of a login to a server, put together from the settings: for the dials, which have
 * their hosts resolved before, and for the job threads and --check, which may look names up.
 * The names are libpq's for every protocol, so that a setting means the same everywhere.
 * Knows nothing of routes or threads.
 */
#ifndef WEIR_WORKER_PARAMS_H
#define WEIR_WORKER_PARAMS_H

#include "conf/conf.h"
#include "proto/proto_login.h"

#include <stdbool.h>
#include <stddef.h>

#define PARAMS_MAX 96

/* Who logs in; strings are borrowed. */
struct dial_as {
    const char *user, *database;    /* database: as asked for, where the entry has no own */
    const char *password;           /* or NULL */
    const struct server_keys *keys; /* or NULL */
};

struct params {
    struct dsn_param p[PARAMS_MAX];
    size_t n;
    char options[2048];
    char tcp[4][16]; /* numbers of settings */
};

/* One more; an empty or missing value is none, and what is there already holds. */
void params_put(struct params *ps, const char *key, const char *value);
/* The database that an entry leads to when it was asked for as `asked`; NULL: the service names it.
 */
const char *params_dbname(const struct conf_database *db, const char *asked);
/* All but the hosts. The strings belong to the settings, to `as` and to `ps`. */
void params_collect(struct params *ps, const struct conf *conf, const struct conf_database *db,
                    const struct dial_as *as);

/* A copy of everything, hosts and a time limit included, that outlives the settings. */
struct params_kept {
    size_t n;
    struct dsn_param p[PARAMS_MAX];
};
/* NULL: out of memory. */
struct params_kept *params_keep(const struct conf *conf, const struct conf_database *db,
                                const struct dial_as *as);
/* Wipes it. */
void params_forget(struct params_kept **kept);

#endif
