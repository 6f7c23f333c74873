/* SPDX-License-Identifier: ISC
 * The console's commands, carried out. A text goes in, a result comes out: a table, a command tag
 * or an error. The rows that are shown and the orders that are given belong to others and are
 * reached through the two interfaces below, which main.c fills in.
 *
 * What it is not: a protocol. admin_pg.h and admin_http.h put results on a wire.
 *
 * Thread: everything here runs on the control thread, except that a result, once handed over, is
 * plain data and may travel to the worker that asked.
 */
#ifndef WEIR_ADMIN_ADMIN_H
#define WEIR_ADMIN_ADMIN_H

#include "admin/admin_command.h"
#include "admin/admin_result.h"

#include "stat/histogram.h"
#include "stat/view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct admin;
struct conf_show;
struct loop;

/* ---- rows: who fills them ----------------------------------------------------------------------
 */

enum admin_what { ADMIN_WHAT_CLIENTS, ADMIN_WHAT_SERVERS, ADMIN_WHAT_PINS, ADMIN_WHAT_STATEMENTS };
enum admin_time { ADMIN_TIME_WAIT, ADMIN_TIME_HOLD };

/* Ends one collect(): `rows` is malloc()ed and from here on admin's (an array of n view_client,
 * view_server, view_pin or view_statement; NULL with n 0 is fine). `complete` is false when not
 * every worker has answered. Call exactly once for each collect(), on the control thread, at once
 * or later; when it comes later than admin is willing to wait (2 s) it is freed and forgotten. */
struct admin_collect;
void admin_collect_done(struct admin_collect *c, void *rows, size_t n, bool complete);

/* Each getter returns the number of rows and puts a malloc()ed array, which admin frees, into *rows
 * (NULL when there are none). A getter that is NULL has no rows. None may block. */
struct admin_source {
    void *ctx;
    size_t (*pools)(void *ctx, struct view_pool **rows);
    size_t (*bounds)(void *ctx, struct view_bound **rows);
    size_t (*databases)(void *ctx, struct view_database **rows);
    size_t (*users)(void *ctx, struct view_user **rows);
    size_t (*stats)(void *ctx, struct view_stats **rows); /* one row for each database */
    size_t (*functions)(void *ctx, struct view_function **rows);
    size_t (*reasons)(void *ctx, struct view_reason **rows);
    size_t (*mem)(void *ctx, struct view_mem **rows);
    size_t (*dns)(void *ctx, struct view_dns **rows);
    /* Waits or holds of one function, merged over the workers; false: none. */
    bool (*times)(void *ctx, const char *function, enum admin_time which,
                  struct histogram_view *out);
    void (*overview)(void *ctx, struct view_overview *out); /* `out` comes zeroed */
    /* Row i of the settings (conf_show_row); false when there are no more. */
    bool (*config)(void *ctx, size_t i, struct conf_show *row);
    /* Rows that live on the workers: ask them, then admin_collect_done(c, ...). */
    void (*collect)(void *ctx, enum admin_what what, struct admin_collect *c);
};

/* ---- orders: who carries them out
 * ---------------------------------------------------------------- */

/* One order. Which fields are set depends on verb, one of ADMIN_PAUSE .. ADMIN_SET. The strings
 * live until admin_order_done(). */
struct admin_order {
    enum admin_verb verb;
    const char *database;              /* PAUSE RESUME DISABLE ENABLE KILL RECONNECT WAIT_CLOSE;
                                          NULL: all of them */
    uint64_t client_id;                /* KILL_CLIENT */
    enum admin_shutdown shutdown_mode; /* SHUTDOWN */
    const char *key, *value;           /* SET; value: WARM's user or NULL */
    uint32_t count;                    /* WARM */
};

/* The order is carried out (sqlstate NULL), or it failed with that code and text. Exactly once for
 * each order, on the control thread, at once or (PAUSE, WAIT_CLOSE) much later. */
void admin_order_done(struct admin_order *o, const char *sqlstate, const char *text);
/* A line for whoever gave the order, before admin_order_done(): RELOAD's warnings. */
void admin_order_notice(struct admin_order *o, const char *text);

struct admin_control {
    void *ctx;
    /* PAUSE is done when no server connection (of that database) is lent any more, WAIT_CLOSE when
     * all that a RECONNECT made old are closed; everything else may be done at once. An unknown
     * database is 3D000, an unknown client 22023, a setting that can't be changed 55P02, a bad
     * value 22023, a file that doesn't load F0000 with the report as text. */
    void (*order)(void *ctx, struct admin_order *o);
};

/* ---- carrying out
 * ---------------------------------------------------------------------------------- */

struct admin_setup {
    struct loop *loop; /* the control thread's */
    const struct admin_source *source;
    const struct admin_control *control;
    const char *version;      /* "weir 0.1.0" */
    uint64_t stats_period_us; /* averages are taken over it; 0: a minute */
};

struct admin *admin_create(const struct admin_setup *setup); /* NULL when out of memory */
/* Nothing may be pending in the source or in the control any more. */
void admin_destroy(struct admin **a);

/* Carry out one command. `done` gets the result and owns it (admin_result_destroy), at once or
 * later, on the control thread; NULL stands for out of memory. `read_only`: stats_users may only
 * look. */
typedef void admin_done_cb(struct admin_result *r, void *arg);
void admin_execute(struct admin *a, const char *text, bool read_only, admin_done_cb *done,
                   void *arg);

#endif
