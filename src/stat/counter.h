/* SPDX-License-Identifier: ISC
 * The table of counters of a database: SHOW STATS, the JSON and /metrics all come from these rows;
 * adding a counter is adding a row (and its field in view.h).
 *
 * Threads: each worker has its own struct stat_counters for each database and is the only one to
 * write it; anybody reads. All values only grow.
 */
#ifndef WEIR_STAT_COUNTER_H
#define WEIR_STAT_COUNTER_H

#include "stat/view.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* X(ENUM, view_stats field, unit, metric, help)
 * The order is that of PgBouncer's SHOW STATS, then weir's own. Unit US: kept in microseconds and
 * shown in seconds by /metrics. */
#define STAT_COUNTERS(X)                                                                           \
    X(SERVER_ASSIGNMENTS, server_assignment_count, COUNT, "weir_database_loans_total",             \
      "Server connections lent to clients.")                                                       \
    X(XACTS, xact_count, COUNT, "weir_database_transactions_total", "Transactions.")               \
    X(QUERIES, query_count, COUNT, "weir_database_queries_total", "Queries.")                      \
    X(RECEIVED, bytes_received, BYTES, "weir_database_client_received_bytes_total",                \
      "Bytes received from clients.")                                                              \
    X(SENT, bytes_sent, BYTES, "weir_database_client_sent_bytes_total", "Bytes sent to clients.")  \
    X(XACT_US, xact_us, US, "weir_database_transaction_seconds_total",                             \
      "Time clients spent in transactions.")                                                       \
    X(QUERY_US, query_us, US, "weir_database_query_seconds_total",                                 \
      "Time clients spent in queries.")                                                            \
    X(WAIT_US, wait_us, US, "weir_database_wait_seconds_total",                                    \
      "Time clients waited for a server connection.")                                              \
    X(CLIENT_PARSES, client_parse_count, COUNT, "weir_database_client_parses_total",               \
      "Prepared statements that clients made.")                                                    \
    X(SERVER_PARSES, server_parse_count, COUNT, "weir_database_server_parses_total",               \
      "Prepared statements made on server connections.")                                           \
    X(BINDS, bind_count, COUNT, "weir_database_binds_total", "Prepared statements bound.")         \
    X(LOGINS, logins, COUNT, "weir_database_client_logins_total", "Clients that logged in.")       \
    X(REFUSALS, refusals, COUNT, "weir_database_refusals_total",                                   \
      "Requests for a server connection that were refused.")                                       \
    X(CANCELS, cancels, COUNT, "weir_database_cancels_total", "Cancel requests from clients.")     \
    X(ROLLBACKS, rollbacks, COUNT, "weir_database_rollbacks_total",                                \
      "Transactions that were rolled back for a client that was gone or late.")                    \
    X(PINS, pins, COUNT, "weir_database_pins_total", "Clients that had to keep their connection.")

enum stat_counter {
#define X(ENUM, field, unit, metric, help) STAT_##ENUM,
    STAT_COUNTERS(X)
#undef X
        STAT_COUNTER_COUNT
};
/* So many of them, from the first, are PgBouncer's. */
#define STAT_PGBOUNCER_COUNT (STAT_LOGINS + 1)

enum stat_unit { STAT_UNIT_COUNT, STAT_UNIT_BYTES, STAT_UNIT_US };

struct stat_row {
    const char *field; /* in view_stats, and in weir's own columns */
    const char *metric, *help;
    size_t offset; /* in view_stats */
    enum stat_unit unit;
};
extern const struct stat_row stat_rows[STAT_COUNTER_COUNT];

struct stat_counters {
    _Atomic uint64_t value[STAT_COUNTER_COUNT];
};

/* Owner only. */
static inline void stat_add(struct stat_counters *c, enum stat_counter which, uint64_t n)
{
    _Atomic uint64_t *v = &c->value[which];
    atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/* Add c's present values to the row. Any thread. */
void stat_merge(struct view_stats *row, const struct stat_counters *c);
/* One value of a row. */
uint64_t stat_value(const struct view_stats *row, enum stat_counter which);

#endif
