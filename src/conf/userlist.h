/* SPDX-License-Identifier: ISC
 * The auth_file: users and their secrets, in PgBouncer's format.
 *
 *   "user" "secret"      ; comments start with ; or #, a quote inside is doubled
 *
 * The list is immutable after loading and may be read by any thread; secrets are wiped when it is
 * freed. The parser is pure (userlist_parse), it reports every line that is wrong.
 */
#ifndef WEIR_CONF_USERLIST_H
#define WEIR_CONF_USERLIST_H

#include "conf/conf_report.h"

#include <stddef.h>
#include <stdint.h>

#define USERLIST_NAME_MAX   127  /* bytes, as PgBouncer */
#define USERLIST_SECRET_MAX 2047 /* bytes; a cloud token is longer than a password */

enum userlist_kind {
    USERLIST_PLAIN,
    USERLIST_MD5,         /* md5 + 32 hex: md5(password + user) */
    USERLIST_SCRAM,       /* SCRAM-SHA-256$iterations:salt$stored:server */
    USERLIST_NATIVE,      /* *HEX40: MySQL's double SHA-1 */
    USERLIST_CACHING_SHA2 /* $A$005$...: MySQL's caching_sha2_password */
};

struct userlist_user {
    const char *name;
    const char *secret; /* as written; "" is a user without a password, who can't log in with one */
    enum userlist_kind kind;
};

struct userlist;

/* Read a file. NULL when the report holds an error. */
struct userlist *userlist_load(const char *path, struct conf_report *report)
    __attribute__((warn_unused_result));
/* The same from memory; `label` names it in the report. */
struct userlist *userlist_parse(const char *text, size_t len, const char *label,
                                struct conf_report *report) __attribute__((warn_unused_result));
void userlist_free(struct userlist **list);

/* O(1); NULL when there is no such user. */
const struct userlist_user *userlist_find(const struct userlist *list, const char *name);
size_t userlist_count(const struct userlist *list);
const struct userlist_user *userlist_at(const struct userlist *list, size_t i);
const char *userlist_kind_name(enum userlist_kind kind);

#endif
