/* SPDX-License-Identifier: ISC
 * SQL's own PREPARE, EXECUTE and DEALLOCATE. They share their names with the statements of the
 * protocol, so those names are the client's on one side and weir's on the other, too: the tokens
 * are replaced in the text, and nothing else is.
 *
 *   EXECUTE     of a statement that is known: its server name; the statement is prepared ahead of
 *               the text where the connection lacks it
 *   PREPARE     runs for real under a stand-in's name. What it was given is then known like a
 * Parse, with the types that the server says (Describe), and the stand-in is closed DEALLOCATE  of
 * a statement that is known drops a stand-in, an empty one prepared ahead
 *
 * Names that are not known stay as they are: the server's error is then the client's own. What
 * can't be followed (U&"..", too many names, PREPARE beside COPY or of types in a text that may
 * leave a failed transaction) stays, too: such a PREPARE is the server's under the client's name,
 * and pins.
 *
 * Part of a session; its worker's thread.
 */
#ifndef WEIR_PROTO_PG_SQL_H
#define WEIR_PROTO_PG_SQL_H

#include "proto/pg/pg_scan.h"
#include "proto/proto.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PG_SQL_NAMES                                                                               \
    (PG_SCAN_PREPARE | PG_SCAN_EXECUTE | PG_SCAN_DEALLOCATE | PG_SCAN_DEALLOCATE_ALL)

struct pg_client;
struct pg_server;
struct pg_in;
struct pg_expect;
struct pg_stmt;
struct pg_sql; /* the names of one text that was sent; owned by the entry of its answer */

/* A simple query with such statements. PROTO_LOAN: nothing in it is to be replaced, pass it on. */
enum proto_verdict pg_sql_query(struct pg_client *c, struct pg_server *s, const struct pg_in *m,
                                const struct pg_scan *scan, struct proto_out *out);
/* A prepared statement of such a text is bound (to a named `portal`, or the unnamed one) or
 * described. PROTO_MORE: *use is what the server is to be told in its place, it is there then and
 * the reference is the caller's; NULL: itself. */
enum proto_verdict pg_sql_bind(struct pg_client *c, struct pg_server *s, const struct pg_stmt *stmt,
                               bool bind, bool portal, struct pg_stmt **use, struct proto_out *out);
/* Execute of the unnamed portal when s->sql_bound is not NULL; the message is whole. */
enum proto_verdict pg_sql_execute(struct pg_server *s, const struct pg_in *m,
                                  struct proto_out *out);
/* CommandComplete of a statement of that text. */
void pg_sql_tag(struct pg_client *c, struct pg_sql *q, const char *tag, size_t n);
/* ParameterDescription of a stand-in (the entry at the head). */
void pg_sql_described(struct pg_client *c, struct pg_server *s, const uint8_t *body, size_t n);
/* An error of what was sent ahead of a text: it is shown in place of the text's. */
void pg_sql_keep_error(struct pg_server *s, const uint8_t *body, size_t n);
/* Its answer has begun: it can't be run again. */
void pg_sql_shown(struct pg_sql *q);
/* An EXECUTE alone, outside a transaction, failed because its plan is stale: the error is hidden,
 * the client held, and when ReadyForQuery has come (true: hidden, too) the text is due again. */
bool pg_sql_hides(struct pg_server *s, struct pg_sql *q, const uint8_t *body, size_t n);
bool pg_sql_on_ready(struct pg_server *s, struct pg_expect *x);
bool pg_sql_again(struct pg_client *c, struct pg_server *s, struct proto_out *out);
/* An error of that text: under the client's names, at its place in the client's text. true: sent.
 */
bool pg_sql_error(struct pg_sql *q, const uint8_t *body, size_t n, struct proto_out *out);
void pg_sql_drop(struct pg_sql **q);
/* NULL is fine */
static inline void pg_sql_free(struct pg_sql **q)
{
    if (*q != NULL)
        pg_sql_drop(q);
}

#endif
