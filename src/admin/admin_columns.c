/* SPDX-License-Identifier: ISC
 * The columns of every command that shows rows.
 *
 * PgBouncer's come first, with its names, its types and its order (1.25), so that what reads them
 * by name or by position works; weir's own follow.
 */
#include "config.h"

#include "admin/admin_stats.h"
#include "admin/admin_table.h"

#define T(name)                                                                                    \
    {                                                                                              \
        name, ADMIN_TEXT                                                                           \
    }
#define I(name)                                                                                    \
    {                                                                                              \
        name, ADMIN_INT4                                                                           \
    }
#define Q(name)                                                                                    \
    {                                                                                              \
        name, ADMIN_INT8                                                                           \
    }
#define N(name)                                                                                    \
    {                                                                                              \
        name, ADMIN_NUMERIC                                                                        \
    }

/* id is int8, not int4: KILL_CLIENT needs all of it. */
#define SOCKET_COLUMNS                                                                             \
    T("type"), T("user"), T("database"), T("replication"), T("state"), T("addr"), I("port"),       \
        T("local_addr"), I("local_port"), T("connect_time"), T("request_time"), I("wait"),         \
        I("wait_us"), I("close_needed"), T("ptr"), T("link"), I("remote_pid"), T("tls"),           \
        T("application_name"), I("prepared_statements"), Q("id")
#define SOCKET_OWN T("function"), T("activity"), I("worker")

static const struct admin_column clients[] = {SOCKET_COLUMNS, SOCKET_OWN, T("protocol"),
                                              Q("server_id")};
static const struct admin_column servers[] = {SOCKET_COLUMNS, SOCKET_OWN, T("server"), N("loans"),
                                              Q("client_id")};
static const struct admin_column sockets[] = {
    SOCKET_COLUMNS, I("recv_pos"),    I("pkt_pos"),   I("pkt_remain"),
    I("send_pos"),  I("send_remain"), I("pkt_avail"), I("send_avail"),
    T("function"),  T("activity"),    I("worker"),
};
static const struct admin_column bounds[] = {
    T("server"),    I("limit"),   I("used"),           I("opening"),
    I("idle"),      I("lent"),    I("closing"),        I("cancelling"),
    I("control"),   I("waiting"), Q("oldest_wait_us"), Q("oldest_loan_us"),
    I("reachable"), T("version"), T("role"),           I("server_max_connections"),
};
static const struct admin_column config[] = {T("key"), T("value"), T("default"), T("changeable")};
static const struct admin_column databases[] = {
    T("name"),
    T("host"),
    I("port"),
    T("database"),
    T("force_user"),
    I("pool_size"),
    I("min_pool_size"),
    I("reserve_pool_size"),
    I("server_lifetime"),
    T("pool_mode"),
    T("load_balance_hosts"),
    I("max_connections"),
    I("current_connections"),
    I("max_client_connections"),
    I("current_client_connections"),
    I("paused"),
    I("disabled"),
};
static const struct admin_column dns_hosts[] = {T("hostname"), Q("ttl"), T("addrs")};
static const struct admin_column dns_zones[] = {T("zonename"), Q("serial"), I("count")};
static const struct admin_column fds[] = {
    I("fd"),        T("task"),     T("user"),     T("database"),         T("addr"),
    I("port"),      Q("cancel"),   I("link"),     T("client_encoding"),  T("std_strings"),
    T("datestyle"), T("timezone"), T("password"), T("scram_client_key"), T("scram_server_key"),
};
static const struct admin_column functions[] = {
    T("name"),        T("lent_of_limit"), I("lent"),        I("limit"),          I("guarantee"),
    I("weight"),      I("clients"),       I("waiting"),     Q("oldest_wait_us"), Q("wait_p50_us"),
    Q("wait_p95_us"), Q("wait_p99_us"),   Q("hold_p50_us"), Q("hold_p95_us"),    Q("hold_p99_us"),
    N("loans"),       N("refusals"),      N("pins"),        N("rollbacks"),
};
static const struct admin_column lists[] = {T("list"), I("items")};
static const struct admin_column mem[] = {T("name"), I("size"), I("used"), I("free"),
                                          I("memtotal")};
static const struct admin_column peers[] = {I("peer_id"), T("host"), I("port"), I("pool_size")};
static const struct admin_column peer_pools[] = {I("peer_id"), I("cl_active_cancel_req"),
                                                 I("cl_waiting_cancel_req"), I("sv_active_cancel"),
                                                 I("sv_login")};
static const struct admin_column pins[] = {Q("client_id"), Q("server_id"), T("database"),
                                           T("user"),      T("function"),  T("reason"),
                                           T("statement"), Q("age_us")};
static const struct admin_column pools[] = {
    T("database"),
    T("user"),
    I("cl_active"),
    I("cl_waiting"),
    I("cl_active_cancel_req"),
    I("cl_waiting_cancel_req"),
    I("sv_active"),
    I("sv_active_cancel"),
    I("sv_being_canceled"),
    I("sv_idle"),
    I("sv_used"),
    I("sv_tested"),
    I("sv_login"),
    I("maxwait"),
    I("maxwait_us"),
    T("pool_mode"),
    T("load_balance_hosts"),
    I("cl_idle"),
    I("sv_closing"),
    I("pool_size"),
    I("paused"),
    I("disabled"),
    T("server"),
    T("last_error"),
};
static const struct admin_column state[] = {T("key"), T("value")};
static const struct admin_column statements[] = {
    T("name"), T("database"), T("user"), T("statement"), I("clients"), I("servers"), N("bytes")};
static const struct admin_column totals[] = {T("name"), N("value")};
static const struct admin_column users[] = {
    T("name"),
    T("pool_size"),
    T("reserve_pool_size"),
    T("pool_mode"),
    I("max_user_connections"),
    I("current_connections"),
    I("max_user_client_connections"),
    I("current_client_connections"),
};
static const struct admin_column version[] = {T("version")};

#define ROW(array)                                                                                 \
    {                                                                                              \
        array, sizeof array / sizeof array[0]                                                      \
    }

static const struct {
    const struct admin_column *columns;
    size_t n;
} by_verb[ADMIN_VERB_COUNT] = {
    [ADMIN_SHOW_ACTIVE_SOCKETS] = ROW(sockets),
    [ADMIN_SHOW_BOUNDS] = ROW(bounds),
    [ADMIN_SHOW_CLIENTS] = ROW(clients),
    [ADMIN_SHOW_CONFIG] = ROW(config),
    [ADMIN_SHOW_DATABASES] = ROW(databases),
    [ADMIN_SHOW_DNS_HOSTS] = ROW(dns_hosts),
    [ADMIN_SHOW_DNS_ZONES] = ROW(dns_zones),
    [ADMIN_SHOW_FDS] = ROW(fds),
    [ADMIN_SHOW_FUNCTIONS] = ROW(functions),
    [ADMIN_SHOW_LISTS] = ROW(lists),
    [ADMIN_SHOW_MEM] = ROW(mem),
    [ADMIN_SHOW_PEERS] = ROW(peers),
    [ADMIN_SHOW_PEER_POOLS] = ROW(peer_pools),
    [ADMIN_SHOW_PINS] = ROW(pins),
    [ADMIN_SHOW_POOLS] = ROW(pools),
    [ADMIN_SHOW_SERVERS] = ROW(servers),
    [ADMIN_SHOW_SOCKETS] = ROW(sockets),
    [ADMIN_SHOW_STATE] = ROW(state),
    [ADMIN_SHOW_STATEMENTS] = ROW(statements),
    [ADMIN_SHOW_TOTALS] = ROW(totals),
    [ADMIN_SHOW_USERS] = ROW(users),
    [ADMIN_SHOW_VERSION] = ROW(version),
};

const struct admin_column *admin_columns(const struct admin_command *cmd, struct admin_column *one,
                                         size_t *n)
{
    if (cmd->verb == ADMIN_VALUE) {
        *one = (struct admin_column){cmd->column, cmd->value_is_int4 ? ADMIN_INT4 : ADMIN_TEXT};
        *n = 1;
        return one;
    }
    const struct admin_column *stats = admin_stats_columns(cmd->verb, n);
    if (stats != NULL)
        return stats;
    *n = by_verb[cmd->verb].n;
    return by_verb[cmd->verb].columns;
}
