/* SPDX-License-Identifier: ISC
 * Who has been told what columns a statement has (Describe) reads its rows by that, unasked.
 *
 * PostgreSQL keeps the promise: a prepared statement whose columns have changed is refused,
 * "cached plan must not change result type". On shared connections the statement may have been
 * prepared after the change, by whoever came first, and would run. So what a client was told is
 * noted with its name for the statement, and what a connection's statement was described with, with
 * that; before a Bind whose batch asks for no description the two are compared. Where they differ,
 * or nothing is known, the statement is prepared anew and described, a round trip, once for each
 * connection: what differs then has changed.
 *
 * As long as the two agree a description is not read: PostgreSQL sees to it that it is the same.
 *
 * Who has been told what types the parameters have sends values of these. PostgreSQL fixes them
 * with the Parse, whatever becomes of the tables; so on a connection whose statement may have
 * others, or which has none, one that declares what the client was told takes its place
 * (pg_names_to_bind), for that client, from then on.
 *
 * A Describe right behind a Parse that is only judged (pg_extended.c) is of what was judged: what
 * the connection has of that text may be from before a change, or from another schema.
 * Thread: the worker's.
 */
#ifndef WEIR_PROTO_PG_COLUMNS_H
#define WEIR_PROTO_PG_COLUMNS_H

#include "proto/pg/pg_stmt.h"
#include "proto/proto.h"

#define PG_CHANGED_CODE    "0A000"
#define PG_CHANGED_ROUTINE "RevalidateCachedQuery"
#define PG_CHANGED_TEXT    "cached plan must not change result type"

struct pg_client;
struct pg_server;
struct pg_in;
struct pg_expect;

/* The last Bind was of this statement; what its portal is described with is worth noting. */
struct pg_described {
    struct pg_stmt *stmt; /* NULL: it isn't; holds a reference */
    char *name;           /* the client's (owned) */
    uint32_t portal;      /* pg_names_mark() */
};

/* Of RowDescription or NoData, its body: names and types. Never 0. Where a description can't be
 * read, whatever it says is taken for one of its own. */
pg_columns_t pg_columns_of(char type, const uint8_t *body, size_t n);
/* The answer to the Describe at the head of the queue. `c` may be NULL. */
void pg_columns_described(struct pg_client *c, struct pg_server *s, char type, const uint8_t *body,
                          size_t n);

/* Its ParameterDescription, which comes first. */
void pg_columns_parameters(struct pg_client *c, struct pg_server *s, const uint8_t *body, size_t n);

/* What the client will go by when it has run the statement that this Bind is for: what it was told
 * before, or 0 if that is nothing or the same batch asks. */
pg_columns_t pg_columns_expected(pg_columns_t told, const struct pg_in *bind);

enum pg_columns_fit {
    PG_COLUMNS_SAME,
    PG_COLUMNS_ASKED, /* the client's message is looked at again when that is answered */
    PG_COLUMNS_OTHER,
    PG_COLUMNS_NO_MEMORY,
};
/* The statement is about to run for who goes by `expected`. */
enum pg_columns_fit pg_columns_check(struct pg_client *c, struct pg_server *s, struct pg_stmt *stmt,
                                     pg_columns_t expected, struct proto_out *out);

/* The error at the head of the queue: a Bind gave a format to each column that the client was told
 * of, and the statement, prepared anew, has more or fewer. Where it was prepared before, PostgreSQL
 * would say that its columns have changed, and drivers know what to do. true: the client was told
 * that. */
bool pg_columns_send_changed(const struct pg_client *c, const struct pg_expect *head,
                             const uint8_t *body, size_t n, struct proto_out *out);

/* Bind, to this portal, of the client's statement of this name, of which it was told so. The
 * connection has it, and pg_columns_forget() came before. */
void pg_columns_bound(struct pg_server *s, struct pg_stmt *stmt, pg_columns_t told,
                      const char *name, size_t n, const char *portal);
/* Describe of a portal. */
void pg_columns_ask(struct pg_server *s, struct pg_expect *x, const char *portal, size_t n);
/* Another Bind comes, or none. */
void pg_columns_forget(struct pg_server *s);

#endif
