/* SPDX-License-Identifier: ISC
 * Connection strings: PgBouncer's `key=value ...` and URLs. Pure: the text is cut up and decoded in
 * place, since nothing gets longer by decoding. Private to conf/.
 *
 * Errors never quote the text, because there may be a password in it.
 */
#ifndef WEIR_CONF_CONF_DSN_H
#define WEIR_CONF_CONF_DSN_H

#include "base/err.h"

#include <stdbool.h>

enum conf_next { CONF_NEXT_ITEM, CONF_NEXT_END, CONF_NEXT_BAD };

/* One `key = value` of a list separated by blanks. A value in single quotes may hold blanks, and a
 * quote when it is doubled; a backslash is nothing special. */
enum conf_next conf_dsn_next_pair(char **at, char **key, char **value, struct err *err);

struct conf_url {
    bool mysql;
    char *user; /* decoded; NULL when not there, as the next two */
    char *password;
    char *dbname;
    char *hosts; /* still encoded: for conf_url_next_host(); "" when there are none */
    char *query; /* still encoded: for conf_url_next_option(); "" when there is none */
};

/* Whether this is a URL at all, of any scheme. */
bool conf_url_is(const char *text);
/* scheme://user:password@host:port,host:port/dbname?key=value&key=value */
bool conf_url_split(char *text, struct conf_url *url, struct err *err);
/* `*port` is NULL when there is none; brackets of an IPv6 address are taken off. */
enum conf_next conf_url_next_host(char **at, char **host, char **port, struct err *err);
enum conf_next conf_url_next_option(char **at, char **key, char **value, struct err *err);

#endif
