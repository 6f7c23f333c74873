/* SPDX-License-Identifier: ISC
 * See admin_metrics.h. A family's samples must stand together, so that each family walks the rows
 * again; rows are few.
 */
#include "config.h"

#include "admin/admin_metrics.h"

#include "admin/admin_priv.h"
#include "admin/admin_text.h"

#include "base/buf.h"
#include "base/clock.h"
#include "stat/counter.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* The text so far; once memory is out nothing more is written. */
struct writer {
    struct buf *out;
    bool ok;
};

struct label {
    const char *name, *value;
};

static void family(struct writer *w, const char *name, const char *type, const char *help)
{
    w->ok = w->ok && buf_printf(w->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* name{a="x",b="y"}; labels end at the first without a name. */
static void name_and_labels(struct writer *w, const char *name, const struct label *labels,
                            size_t n)
{
    w->ok = w->ok && buf_append(w->out, name, strlen(name));
    for (size_t i = 0; i < n && w->ok; i++)
        w->ok = buf_printf(w->out, "%s%s=\"", i == 0 ? "{" : ",", labels[i].name) &&
                admin_label_text(w->out, labels[i].value) && buf_append(w->out, "\"", 1);
    if (n != 0)
        w->ok = w->ok && buf_append(w->out, "}", 1);
}

static void sample(struct writer *w, const char *name, const struct label *labels, size_t n,
                   uint64_t value)
{
    name_and_labels(w, name, labels, n);
    w->ok = w->ok && buf_printf(w->out, " %" PRIu64 "\n", value);
}

/* Microseconds as seconds, to the digit. */
static void sample_us(struct writer *w, const char *name, const struct label *labels, size_t n,
                      uint64_t us)
{
    name_and_labels(w, name, labels, n);
    w->ok =
        w->ok && buf_printf(w->out, " %" PRIu64 ".%06" PRIu64 "\n", us / US_PER_S, us % US_PER_S);
}

#define LABELS(...)                                                                                \
    (const struct label[]){__VA_ARGS__},                                                           \
        sizeof((const struct label[]){__VA_ARGS__}) / sizeof(struct label)

/* ---- functions
 * ------------------------------------------------------------------------------------ */

/* Buckets of /metrics: every power of two from 128 us to 67 s. They are bounds of the histogram's
 * own buckets, so that nothing is guessed. A value is a whole number of microseconds, cut: "less
 * than the bound" and Prometheus' "not more than the bound" are the same. */
#define LE_FIRST 7u
#define LE_LAST  26u

static void function_histogram(struct writer *w, const char *name, const char *function,
                               const struct histogram_view *v)
{
    char full[64], le[24];
    struct label labels[] = {{"function", function}, {"le", le}};
    (void)snprintf(full, sizeof full, "%s_bucket", name);
    for (unsigned i = LE_FIRST; i <= LE_LAST; i++) {
        uint64_t us = UINT64_C(1) << i;
        (void)snprintf(le, sizeof le, "%.10g", (double)us / US_PER_S);
        sample(w, full, labels, 2, histogram_below(v, us));
    }
    (void)snprintf(le, sizeof le, "+Inf");
    uint64_t count = histogram_count(v);
    sample(w, full, labels, 2, count);
    (void)snprintf(full, sizeof full, "%s_sum", name);
    sample_us(w, full, labels, 1, v->sum_us);
    (void)snprintf(full, sizeof full, "%s_count", name);
    sample(w, full, labels, 1, count);
}

static void function_times(struct writer *w, struct admin *a, const struct view_function *rows,
                           size_t n, enum admin_time which)
{
    static const struct {
        const char *name, *help;
    } text[] = {
        [ADMIN_TIME_WAIT] = {"weir_function_wait_seconds",
                             "How long clients of a function waited for a server connection."},
        [ADMIN_TIME_HOLD] = {"weir_function_hold_seconds",
                             "How long clients of a function held a server connection."},
    };
    if (a->source->times == NULL)
        return;
    family(w, text[which].name, "histogram", text[which].help);
    for (size_t i = 0; i < n; i++) {
        struct histogram_view v = {0};
        if (a->source->times(a->source->ctx, rows[i].name, which, &v))
            function_histogram(w, text[which].name, rows[i].name, &v);
    }
}

enum function_gauge { GAUGE_LENT, GAUGE_WAITING, GAUGE_CLIENTS, GAUGE_LIMIT, GAUGE_GUARANTEE };

static uint64_t function_gauge(const struct view_function *f, enum function_gauge g)
{
    switch (g) {
    case GAUGE_LENT:
        return f->lent;
    case GAUGE_WAITING:
        return f->waiting;
    case GAUGE_CLIENTS:
        return f->clients;
    case GAUGE_LIMIT:
        return f->limit;
    case GAUGE_GUARANTEE:
        return f->guarantee;
    }
    return 0;
}

static void function_gauges(struct writer *w, const struct view_function *rows, size_t n)
{
    static const struct {
        const char *name, *help;
    } text[] = {
        [GAUGE_LENT] = {"weir_function_loans", "Server connections lent to a function now."},
        [GAUGE_WAITING] = {"weir_function_waiting", "Clients of a function in the queue."},
        [GAUGE_CLIENTS] = {"weir_function_clients", "Clients of a function."},
        [GAUGE_LIMIT] = {"weir_function_limit", "Loans a function may have; 0: no limit."},
        [GAUGE_GUARANTEE] = {"weir_function_guarantee", "Loans a function is sure of."},
    };
    for (unsigned g = 0; g < sizeof text / sizeof text[0]; g++) {
        family(w, text[g].name, "gauge", text[g].help);
        for (size_t i = 0; i < n; i++)
            sample(w, text[g].name, LABELS({"function", rows[i].name}),
                   function_gauge(&rows[i], (enum function_gauge)g));
    }
    family(w, "weir_function_loans_total", "counter", "Server connections lent to a function.");
    for (size_t i = 0; i < n; i++)
        sample(w, "weir_function_loans_total", LABELS({"function", rows[i].name}), rows[i].loans);
}

static void reasons(struct writer *w, struct admin *a)
{
    static const struct {
        const char *kind, *name, *help;
    } text[] = {
        {"refusal", "weir_function_refusals_total", "Requests of a function that were refused."},
        {"pin", "weir_function_pins_total", "Clients of a function that kept their connection."},
        {"rollback", "weir_function_rollbacks_total",
         "Transactions of a function that weir rolled back."},
    };
    struct view_reason *rows = NULL;
    size_t n = admin_get(a, reasons, &rows);
    for (size_t k = 0; k < sizeof text / sizeof text[0]; k++) {
        family(w, text[k].name, "counter", text[k].help);
        for (size_t i = 0; i < n; i++)
            if (strcmp(rows[i].kind, text[k].kind) == 0)
                sample(w, text[k].name,
                       LABELS({"function", rows[i].function}, {"reason", rows[i].reason}),
                       rows[i].count);
    }
    free(rows);
}

static void functions(struct writer *w, struct admin *a)
{
    struct view_function *rows = NULL;
    size_t n = admin_get(a, functions, &rows);
    function_gauges(w, rows, n);
    function_times(w, a, rows, n, ADMIN_TIME_WAIT);
    function_times(w, a, rows, n, ADMIN_TIME_HOLD);
    free(rows);
    reasons(w, a);
}

/* ---- servers and pools --------------------------------------------------------------------------
 */

static void bounds(struct writer *w, struct admin *a)
{
    struct view_bound *rows = NULL;
    size_t n = admin_get(a, bounds, &rows), i;
    family(w, "weir_server_connections", "gauge",
           "Connections to a database server by state; their sum never exceeds the limit.");
    for (i = 0; i < n; i++) {
        const struct view_bound *b = &rows[i];
        const struct {
            const char *state;
            uint32_t count;
        } by_state[] = {{"opening", b->opening}, {"idle", b->idle},
                        {"lent", b->lent},       {"closing", b->closing},
                        {"control", b->control}, {"cancelling", b->cancelling}};
        for (size_t s = 0; s < sizeof by_state / sizeof by_state[0]; s++)
            sample(w, "weir_server_connections",
                   LABELS({"server", b->server}, {"state", by_state[s].state}), by_state[s].count);
    }
    family(w, "weir_server_connections_limit", "gauge", "The bound that is kept.");
    for (i = 0; i < n; i++)
        sample(w, "weir_server_connections_limit", LABELS({"server", rows[i].server}),
               rows[i].limit);
    family(w, "weir_server_waiting", "gauge", "Clients in the queue of a database server.");
    for (i = 0; i < n; i++)
        sample(w, "weir_server_waiting", LABELS({"server", rows[i].server}), rows[i].waiting);
    family(w, "weir_server_oldest_wait_seconds", "gauge", "How long the first in line waits.");
    for (i = 0; i < n; i++)
        sample_us(w, "weir_server_oldest_wait_seconds", LABELS({"server", rows[i].server}),
                  rows[i].oldest_wait_us);
    family(w, "weir_server_oldest_loan_seconds", "gauge", "How long the oldest loan lasts.");
    for (i = 0; i < n; i++)
        sample_us(w, "weir_server_oldest_loan_seconds", LABELS({"server", rows[i].server}),
                  rows[i].oldest_loan_us);
    family(w, "weir_server_up", "gauge", "Whether the database server can be reached.");
    for (i = 0; i < n; i++)
        sample(w, "weir_server_up", LABELS({"server", rows[i].server}), rows[i].reachable);
    free(rows);
}

static void pool_states(struct writer *w, const char *name, const struct view_pool *p,
                        const char *const *states, const uint32_t *counts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sample(w, name,
               LABELS({"database", p->database}, {"user", p->user}, {"server", p->server},
                      {"state", states[i]}),
               counts[i]);
}

static void pools(struct writer *w, struct admin *a)
{
    static const char *const server_states[] = {"active", "idle", "login", "closing", "cancelling"};
    static const char *const client_states[] = {"active", "waiting", "idle"};
    struct view_pool *rows = NULL;
    size_t n = admin_get(a, pools, &rows), i;
    family(w, "weir_pool_connections", "gauge", "Server connections of a database and user.");
    for (i = 0; i < n; i++) {
        const struct view_pool *p = &rows[i];
        uint32_t counts[] = {p->sv_active, p->sv_idle + p->sv_used, p->sv_login, p->sv_closing,
                             p->sv_cancel};
        pool_states(w, "weir_pool_connections", p, server_states, counts, 5);
    }
    family(w, "weir_pool_clients", "gauge", "Clients of a database and user.");
    for (i = 0; i < n; i++) {
        uint32_t counts[] = {rows[i].cl_active, rows[i].cl_waiting, rows[i].cl_idle};
        pool_states(w, "weir_pool_clients", &rows[i], client_states, counts, 3);
    }
    family(w, "weir_pool_max_wait_seconds", "gauge", "How long the pool's first in line waits.");
    for (i = 0; i < n; i++)
        sample_us(w, "weir_pool_max_wait_seconds",
                  LABELS({"database", rows[i].database}, {"user", rows[i].user},
                         {"server", rows[i].server}),
                  rows[i].maxwait_us);
    free(rows);
}

static void databases(struct writer *w, struct admin *a)
{
    struct view_stats *rows = NULL;
    size_t n = admin_get(a, stats, &rows);
    for (unsigned c = 0; c < STAT_COUNTER_COUNT; c++) {
        const struct stat_row *row = &stat_rows[c];
        family(w, row->metric, "counter", row->help);
        for (size_t i = 0; i < n; i++) {
            uint64_t v = stat_value(&rows[i], (enum stat_counter)c);
            if (row->unit == STAT_UNIT_US)
                sample_us(w, row->metric, LABELS({"database", rows[i].database}), v);
            else
                sample(w, row->metric, LABELS({"database", rows[i].database}), v);
        }
    }
    free(rows);
}

/* ---- the process
 * ----------------------------------------------------------------------------------- */

static void overview(struct writer *w, struct admin *a)
{
    struct view_overview o = {0};
    if (a->source->overview != NULL)
        a->source->overview(a->source->ctx, &o);
    const struct {
        const char *state;
        uint32_t count;
    } clients[] = {{"login", o.clients_login},
                   {"idle", o.clients_idle},
                   {"waiting", o.clients_waiting},
                   {"active", o.clients_active}};
    family(w, "weir_clients", "gauge", "Clients by state.");
    for (size_t i = 0; i < sizeof clients / sizeof clients[0]; i++)
        sample(w, "weir_clients", LABELS({"state", clients[i].state}), clients[i].count);
    static const char *const refused[] = {[VIEW_REFUSED_LIMIT] = "limit",
                                          [VIEW_REFUSED_LOGIN] = "login",
                                          [VIEW_REFUSED_TIMEOUT] = "timeout",
                                          [VIEW_REFUSED_DRAINING] = "draining"};
    family(w, "weir_logins_refused_total", "counter", "Clients that were not let in.");
    for (size_t i = 0; i < VIEW_REFUSED_COUNT; i++)
        sample(w, "weir_logins_refused_total", LABELS({"reason", refused[i]}), o.refused[i]);
    family(w, "weir_workers", "gauge", "Event loops.");
    sample(w, "weir_workers", NULL, 0, o.workers);
    family(w, "weir_paused", "gauge", "Whether PAUSE is in force.");
    sample(w, "weir_paused", NULL, 0, o.paused);
    family(w, "weir_draining", "gauge", "Whether weir is about to end.");
    sample(w, "weir_draining", NULL, 0, o.draining);
    family(w, "weir_build_info", "gauge", "Always 1; what is running is in the labels.");
    sample(w, "weir_build_info", LABELS({"version", PACKAGE_VERSION}, {"compiler", __VERSION__}),
           1);
    if (o.started_wall_us != 0) {
        family(w, "process_start_time_seconds", "gauge", "When the process started (Unix time).");
        sample_us(w, "process_start_time_seconds", NULL, 0, o.started_wall_us);
    }
}

static uint64_t timeval_us(const struct timeval *tv)
{
    return (uint64_t)tv->tv_sec * US_PER_S + (uint64_t)tv->tv_usec;
}

static uint64_t open_descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    uint64_t n = 0;
    const struct dirent *entry;
    if (d == NULL)
        return 0;
    while ((entry = readdir(d)) != NULL)
        n += entry->d_name[0] != '.';
    (void)closedir(d);
    return n == 0 ? 0 : n - 1; /* without the directory's own */
}

static void process(struct writer *w)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        family(w, "process_cpu_seconds_total", "counter", "User and system time used.");
        sample_us(w, "process_cpu_seconds_total", NULL, 0,
                  timeval_us(&usage.ru_utime) + timeval_us(&usage.ru_stime));
    }
    FILE *f = fopen("/proc/self/statm", "re");
    uint64_t size = 0, resident = 0;
    int got = f == NULL ? 0 : fscanf(f, "%" SCNu64 " %" SCNu64, &size, &resident);
    if (f != NULL)
        (void)fclose(f);
    if (got == 2) {
        uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
        family(w, "process_virtual_memory_bytes", "gauge", "Virtual memory.");
        sample(w, "process_virtual_memory_bytes", NULL, 0, size * page);
        family(w, "process_resident_memory_bytes", "gauge", "Resident memory.");
        sample(w, "process_resident_memory_bytes", NULL, 0, resident * page);
    }
    family(w, "process_open_fds", "gauge", "Open file descriptors.");
    sample(w, "process_open_fds", NULL, 0, open_descriptors());
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        family(w, "process_max_fds", "gauge", "File descriptors that may be open.");
        sample(w, "process_max_fds", NULL, 0, limit.rlim_cur);
    }
}

bool admin_metrics_write(struct admin *a, struct buf *out)
{
    struct writer w = {out, true};
    overview(&w, a);
    functions(&w, a);
    bounds(&w, a);
    pools(&w, a);
    databases(&w, a);
    process(&w);
    return w.ok;
}
