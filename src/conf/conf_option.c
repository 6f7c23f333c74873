/* SPDX-License-Identifier: ISC
 * The options of entries: which there are in a line of [databases], [servers], [users] and
 * [functions], as rows of the same kind as the settings. What a [databases] line may say beyond
 * these is the database library's and stands in conf_database.c.
 */
#include "config.h"

#include "conf/conf_priv.h"
#include "conf/conf_value.h"

#include <string.h>

#define INT_MAX_CONNECTIONS 100000

static const char *const names_pool_mode[] = {"transaction", "session", "statement", NULL};
static const char *const names_role[] = {"auto", "primary", "replica", NULL};
static const char *const names_balance[] = {"disable", "round-robin", "random", NULL};

#define OPTION(s, n, t, field, words, lo, hi, h)                                                   \
    {                                                                                              \
        .name = n, .type = CONF_TYPE_##t, .reload = true, .offset = offsetof(struct s, field),     \
        .min = lo, .max = hi, .names = words, .defval = "", .help = h, .note = ""                  \
    }
#define COUNT(s, field, h) OPTION(s, #field, INT, field, NULL, 0, INT_MAX_CONNECTIONS, h)
#define TIME(s, name, h)   OPTION(s, #name, TIME, name##_us, NULL, 0, CONF_D(366), h)
#define STR(s, field, h)   OPTION(s, #field, STR, field, NULL, 0, 0, h)

static const struct conf_setting database_options[] = {
    STR(conf_database, dbname, "The server's name for the database; default: the entry's name."),
    STR(conf_database, user, "Every client uses this user on the server; default: the client's."),
    STR(conf_database, password, "The user's password."),
    STR(conf_database, password_command,
        "A program that prints the password: run aside, its answer kept for password_ttl."),
    TIME(conf_database, password_ttl, "How long what password_command printed is used."),
    COUNT(conf_database, pool_size, "Server connections for each user of this database."),
    COUNT(conf_database, min_pool_size, "Server connections kept open for each user."),
    COUNT(conf_database, max_db_connections, "Server connections for this database."),
    OPTION(conf_database, "max_db_client_connections", INT, max_db_client_connections, NULL, 0,
           1000000, "Clients of this database."),
    OPTION(conf_database, "max_server_connections", BOUND, max_server_connections, NULL, 1,
           INT_MAX_CONNECTIONS, "The bound of this database's server; as in [servers]."),
    OPTION(conf_database, "pool_mode", ENUM, pool_mode, names_pool_mode, 0, 0,
           "When a connection goes back."),
    STR(conf_database, auth_user, "Who runs auth_query for this database."),
    STR(conf_database, auth_query, "The query for a user's secret."),
    STR(conf_database, auth_dbname, "The database entry in which auth_query runs."),
    STR(conf_database, warm, "As the setting, for this database."),
    STR(conf_database, connect_query, "Run on each new server connection; its faults are logged."),
    TIME(conf_database, server_lifetime, "As the setting, for this database."),
    TIME(conf_database, query_wait_timeout, "As the setting, for this database."),
    OPTION(conf_database, "load_balance_hosts", ENUM, load_balance_hosts, names_balance, 0, 0,
           "round-robin (or random): a list of hosts is used in turn; disable: in its order."),
    {.name = NULL}};

static const struct conf_setting server_options[] = {
    OPTION(conf_server, "max_server_connections", BOUND, max_server_connections, NULL, 1,
           INT_MAX_CONNECTIONS, "Connections to this server, all users and databases together."),
    TIME(conf_server, idle_to_zero, "As the setting, for this server."),
    OPTION(conf_server, "login_concurrency", INT, login_concurrency, NULL, 1, 1000,
           "Logins at the same time."),
    OPTION(conf_server, "role", ENUM, role, names_role, 0, 0,
           "primary, replica, or auto: weir asks the server."),
    {.name = NULL}};

static const struct conf_setting user_options[] = {
    COUNT(conf_user, pool_size, "Server connections of this user for each database."),
    COUNT(conf_user, max_user_connections,
          "Connections of this user to each database server, all databases."),
    OPTION(conf_user, "max_user_client_connections", INT, max_user_client_connections, NULL, 0,
           1000000, "Clients of this user."),
    OPTION(conf_user, "pool_mode", ENUM, pool_mode, names_pool_mode, 0, 0,
           "When a connection goes back; before the database's."),
    TIME(conf_user, query_wait_timeout, "As the setting, for this user; before the database's."),
    TIME(conf_user, query_timeout, "As the setting, for this user."),
    TIME(conf_user, idle_transaction_timeout, "As the setting, for this user."),
    TIME(conf_user, transaction_timeout, "As the setting, for this user."),
    TIME(conf_user, client_idle_timeout, "As the setting, for this user."),
    {.name = NULL}};

static const struct conf_setting function_options[] = {
    COUNT(conf_function, guarantee, "Server connections this function gets before any other."),
    COUNT(conf_function, limit, "Server connections it never exceeds; 0: no limit."),
    OPTION(conf_function, "weight", INT, weight, NULL, 1, 1000,
           "Its share of what is contended; 2 is twice that of 1."),
    OPTION(conf_function, "max_waiting", INT, max_waiting, NULL, 0, 1000000,
           "Clients of it that may wait; 0: no limit."),
    TIME(conf_function, query_wait_timeout, "As the setting, for this function."),
    TIME(conf_function, transaction_timeout, "As the setting, for this function."),
    TIME(conf_function, idle_transaction_timeout, "As the setting, for this function."),
    TIME(conf_function, query_timeout, "As the setting, for this function."),
    {.name = NULL}};

static const struct conf_setting *const tables[CONF_KIND_COUNT] = {
    [CONF_KIND_DATABASE] = database_options,
    [CONF_KIND_SERVER] = server_options,
    [CONF_KIND_USER] = user_options,
    [CONF_KIND_FUNCTION] = function_options};

const char *conf_kind_section(enum conf_kind kind)
{
    static const char *const names[CONF_KIND_COUNT] = {"databases", "servers", "users",
                                                       "functions"};
    return names[kind];
}

const struct conf_setting *conf_option_at(enum conf_kind kind, size_t i)
{
    const struct conf_setting *row = &tables[kind][i];
    return row->name == NULL ? NULL : row;
}

const struct conf_setting *conf_option_find(enum conf_kind kind, const char *name)
{
    for (const struct conf_setting *row = tables[kind]; row->name != NULL; row++)
        if (strcmp(row->name, name) == 0)
            return row;
    return NULL;
}

/* How an option that wasn't given looks, by the type of its field. */
union unset {
    uint64_t time;
    int number;
    const char *text;
    struct conf_bound bound;
};

static size_t unset_value(const struct conf_setting *row, union unset *v)
{
    switch (row->type) {
    case CONF_TYPE_TIME:
    case CONF_TYPE_TIMEMS:
    case CONF_TYPE_SIZE:
        v->time = CONF_UNSET_US;
        return sizeof v->time;
    case CONF_TYPE_ENUM:
        /* Only pool modes are inherited; the other words start at their first. */
        v->number = row->names == names_pool_mode ? CONF_POOL_UNSET : 0;
        return sizeof v->number;
    case CONF_TYPE_STR:
    case CONF_TYPE_FILE:
        v->text = NULL;
        return sizeof v->text;
    case CONF_TYPE_BOUND:
        v->bound = (struct conf_bound){CONF_BOUND_UNSET, 0};
        return sizeof v->bound;
    case CONF_TYPE_INT:
    case CONF_TYPE_AUTO:
    case CONF_TYPE_MODE:
    case CONF_TYPE_BOOL:
        break;
    }
    v->number = -1;
    return sizeof v->number;
}

void conf_option_clear(enum conf_kind kind, void *entry)
{
    for (const struct conf_setting *row = tables[kind]; row->name != NULL; row++) {
        union unset v;
        size_t size = unset_value(row, &v);
        memcpy((unsigned char *)entry + row->offset, &v, size);
    }
}

bool conf_option_is_set(const struct conf_setting *row, const void *entry)
{
    union unset v;
    size_t size = unset_value(row, &v);
    return memcmp((const unsigned char *)entry + row->offset, &v, size) != 0;
}
