/* SPDX-License-Identifier: ISC
 * Where and as whom auth_query is asked for the users of a database entry: PgBouncer's auth_user,
 * auth_query and auth_dbname. Knows nothing of threads.
 */
#ifndef WEIR_WORKER_LOOK_UP_H
#define WEIR_WORKER_LOOK_UP_H

#include "conf/conf.h"
#include "conf/userlist.h"
#include "worker/params.h"
#include "worker/protocols.h"

#include <stdbool.h>

/* Everything is borrowed, of the settings and of who asked. */
struct look_up {
    const struct conf_database *db; /* that is asked */
    const struct protocol *protocol;
    const char *database; /* as which it is asked for */
    const char *as, *query;
};

/* For those of `database`, as a client names it. false: nobody is to be looked up there. */
bool look_up_find(const struct conf *conf, const char *database, struct look_up *out);

/* What `as` logs in with; it never comes as a client, so no proof of its secret is known. `users`
 * may be NULL. NULL: out of memory. */
struct params_kept *look_up_params(const struct look_up *l, const struct conf *conf,
                                   const struct userlist *users);

#endif
