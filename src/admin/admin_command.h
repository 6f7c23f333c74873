/* SPDX-License-Identifier: ISC
 * The text of a console command -> verb and argument. A pure parser: no allocation, no state.
 *
 * Besides the console's own verbs it knows what drivers and connection pools send to any
 * PostgreSQL (SET, BEGIN, SELECT 1, DISCARD ALL ...), so that they can be pointed at the console.
 * Any thread.
 */
#ifndef WEIR_ADMIN_ADMIN_COMMAND_H
#define WEIR_ADMIN_ADMIN_COMMAND_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum admin_verb {
    ADMIN_EMPTY, /* nothing but white space, comments and semicolons */
    /* shows */
    ADMIN_SHOW_ACTIVE_SOCKETS,
    ADMIN_SHOW_BOUNDS,
    ADMIN_SHOW_CLIENTS,
    ADMIN_SHOW_CONFIG,
    ADMIN_SHOW_DATABASES,
    ADMIN_SHOW_DNS_HOSTS,
    ADMIN_SHOW_DNS_ZONES,
    ADMIN_SHOW_FDS,
    ADMIN_SHOW_FUNCTIONS,
    ADMIN_SHOW_HELP,
    ADMIN_SHOW_LISTS,
    ADMIN_SHOW_MEM,
    ADMIN_SHOW_PEERS,
    ADMIN_SHOW_PEER_POOLS,
    ADMIN_SHOW_PINS,
    ADMIN_SHOW_POOLS,
    ADMIN_SHOW_SERVERS,
    ADMIN_SHOW_SOCKETS,
    ADMIN_SHOW_STATE,
    ADMIN_SHOW_STATEMENTS,
    ADMIN_SHOW_STATS,
    ADMIN_SHOW_STATS_AVERAGES,
    ADMIN_SHOW_STATS_TOTALS,
    ADMIN_SHOW_TOTALS,
    ADMIN_SHOW_USERS,
    ADMIN_SHOW_VERSION,
    /* orders */
    ADMIN_PAUSE,
    ADMIN_RESUME,
    ADMIN_DISABLE,
    ADMIN_ENABLE,
    ADMIN_KILL,
    ADMIN_KILL_CLIENT,
    ADMIN_RECONNECT,
    ADMIN_RELOAD,
    ADMIN_WAIT_CLOSE,
    ADMIN_SUSPEND, /* refused */
    ADMIN_SHUTDOWN,
    ADMIN_WARM,
    ADMIN_SET,
    /* what drivers send */
    ADMIN_VALUE, /* one row with one column: SELECT 1, SHOW timezone */
    ADMIN_NOOP,  /* a command tag and nothing else: DISCARD ALL, SET client_encoding */
    ADMIN_BEGIN,
    ADMIN_COMMIT,
    ADMIN_ROLLBACK,
    ADMIN_VERB_COUNT
};

enum admin_shutdown { ADMIN_SHUTDOWN_NOW, ADMIN_SHUTDOWN_SERVERS, ADMIN_SHUTDOWN_CLIENTS };

#define ADMIN_ARG_MAX   64   /* database names and setting keys, with NUL */
#define ADMIN_VALUE_MAX 1024 /* setting values, with NUL */

struct admin_command {
    enum admin_verb verb;
    const char *tag;         /* of CommandComplete, "" for ADMIN_EMPTY; static */
    bool has_arg;            /* a database was named */
    char arg[ADMIN_ARG_MAX]; /* the database or the setting's key */
    char value[ADMIN_VALUE_MAX];
    uint64_t client_id;
    uint32_t count; /* WARM; its user, if any, is in `value` */
    enum admin_shutdown shutdown_mode;
    /* ADMIN_VALUE: the only column and what it holds; static. */
    const char *column, *column_value;
    bool value_is_int4;     /* else text */
    bool value_has_version; /* " (weir 0.1.0)" is to follow it */
};

/* Bytes of the first statement in `text`, its semicolon included; text[*] beyond belongs to the
 * next. Quotes, dollar quotes and comments are respected. 0 only for an empty text. */
size_t admin_command_split(const char *text, size_t len);

/* One statement, with or without its semicolon. false: `sqlstate` (42601, 0A000 or 22023) and `e`
 * say why; cmd is then undefined. */
bool admin_command_parse(const char *text, size_t len, struct admin_command *cmd,
                         const char **sqlstate, struct err *e) __attribute__((warn_unused_result));

/* "SHOW POOLS" and so on; for SHOW HELP and for error texts. */
const char *admin_verb_name(enum admin_verb v);
bool admin_verb_is_show(enum admin_verb v);
bool admin_verb_is_order(enum admin_verb v);
/* How it is written, with its argument, and a line of help; NULL for what drivers send. */
const char *admin_verb_usage(enum admin_verb v);
const char *admin_verb_help(enum admin_verb v);

#endif
