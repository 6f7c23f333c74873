/* SPDX-License-Identifier: ISC
 * What became of a console command: a table, a command tag, or an error; with notices.
 * Plain data with one owner; may be handed from thread to thread.
 */
#ifndef WEIR_ADMIN_ADMIN_RESULT_H
#define WEIR_ADMIN_ADMIN_RESULT_H

#include <stdbool.h>
#include <stddef.h>

struct admin_table;

#define ADMIN_NOTICES_MAX 64 /* further ones are dropped */

struct admin_result {
    struct admin_table *table; /* NULL: no rows, only the tag */
    const char *tag;           /* "SHOW", "PAUSE", ...; static; "" for an empty command */
    bool failed;
    bool incomplete;  /* not every worker answered in time */
    char sqlstate[6]; /* when failed */
    char *text;       /* when failed; never NULL then */
    char *notices[ADMIN_NOTICES_MAX];
    size_t n_notices;
};

struct admin_result *admin_result_create(const char *tag); /* NULL when out of memory */
void admin_result_destroy(struct admin_result **r);
/* Turn it into an error; a table in it is dropped. */
void admin_result_fail(struct admin_result *r, const char *sqlstate, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void admin_result_notice(struct admin_result *r, const char *text);

#endif
