/* SPDX-License-Identifier: ISC
 * "cached plan must not change result type", healed outside a transaction block.
 *
 * PostgreSQL refuses to run a prepared statement whose columns have changed since it was prepared.
 * On a shared connection the one who prepared it may be another client, long ago. So a batch of the
 * extended protocol that uses a statement out of the server's cache is kept, and when it fails with
 * that error before anything was shown, the statement is closed and the batch is run again:
 *
 *   OFF --Bind/Describe of a cached statement, nothing open--> KEEP --Sync--> WATCH --answered-->
 * OFF KEEP  --error--> CUT   --weir's Sync is sent--> WAIT --ReadyForQuery--> DUE --run again-->
 * SPENT WATCH --error--> WAIT SPENT --answered--> OFF
 *
 * Not where the client may go by a description of the statement that it was given before, and
 * doesn't ask in this batch. Rows of other columns would be worse to it than the error, which such
 * drivers know what to do with (pg_columns.h).
 *
 * Where nothing can be repeated (in a transaction block above all), nobody is to meet what others
 * have left there: a statement that is given a name is prepared anew then, and so is one that has
 * grown old (pg_stmt_cache.h), for who has no older description of it.
 *
 * What stands in front of that Bind in its batch (Parse, Close) was done and is not repeated. A
 * batch that is larger than PG_HEAL_BYTES, or followed by another before its end is known, gets the
 * error. Part of a server connection; its worker's thread. Who waits for WAIT has s->hold.
 */
#ifndef WEIR_PROTO_PG_HEAL_H
#define WEIR_PROTO_PG_HEAL_H

#include "proto/pg/pg_stmt_cache.h"
#include "proto/proto.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PG_HEAL_BYTES 16384u /* of one batch */
#define PG_HEAL_NAMES 6u     /* of its messages that name something: each may need rewriting */

enum pg_heal_state {
    PG_HEAL_OFF,
    PG_HEAL_KEEP,
    PG_HEAL_WATCH,
    PG_HEAL_CUT,
    PG_HEAL_WAIT,
    PG_HEAL_DUE,
    PG_HEAL_SPENT,
};

struct pg_heal {
    uint8_t
        *bytes; /* the batch, from the first use of a cached statement; PG_HEAL_BYTES, or NULL */
    uint32_t len;
    uint8_t state; /* enum pg_heal_state */
    uint8_t names;
    bool describes;                /* the client has no old description, or asks for a new one */
    bool partial;                  /* the client has not sent its Sync */
    bool rerun;                    /* SPENT: its first message comes next */
    bool described;                /* its first answer, ParameterDescription, was shown */
    char stmt[PG_STMT_NAME_BYTES]; /* the statement, as the server knows it */
};

struct pg_client;
struct pg_server;
struct pg_in;
struct pg_expect;

/* May a cached statement that is used now be run again, should it come to that? */
bool pg_heal_can(struct pg_server *s);
/* A cached statement is about to be used, by somebody who may go by an old description or, `fresh`,
 * has none. true: the message is the first that is kept. */
bool pg_heal_start(struct pg_server *s, const char *stmt, bool fresh);
/* The batch is run again: is this its first message? Says so once. */
bool pg_heal_is_first(struct pg_server *s);
/* A message of the batch went out. */
void pg_heal_keep(struct pg_server *s, const struct pg_in *m);
/* Is it this error? */
bool pg_heal_is_stale(const uint8_t *body, size_t n);
/* The first message kept failed with this error. true: swallow it, the batch is run again. */
bool pg_heal_takes(struct pg_server *s, struct pg_client *c, const uint8_t *body, size_t n);
/* ParameterDescription. true: it was shown before. */
bool pg_heal_hides(struct pg_server *s, const struct pg_expect *head);
/* ReadyForQuery for this entry. true: it is not the client's to see. */
bool pg_heal_on_ready(struct pg_server *s, const struct pg_expect *head);
/* Is there something to be sent by pg_heal_go_on()? */
bool pg_heal_is_due(const struct pg_server *s);
bool pg_heal_go_on(struct pg_client *c, struct pg_server *s, struct proto_out *out);
/* Is an error being hidden whose batch the client has not ended with Sync? */
bool pg_heal_is_cut(const struct pg_server *s);
void pg_heal_fini(struct pg_heal *h);

#endif
