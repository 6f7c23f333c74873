/* SPDX-License-Identifier: ISC
 * Logging in to a PostgreSQL server without its password: with SCRAM keys (a client's ClientKey and
 * the ServerKey of its stored secret) or with the md5 hash, which libpq can't do.
 *
 *   CONNECT -> ASK_TLS -> HANDSHAKE -> AUTH -> SETTLE -> [QUERY] -> DONE
 *      ^                                |
 *      '-- next host, or with/without TLS as sslmode says        any -> FAILED
 *
 * What it is not: libpq. No service files, no GSSAPI, no names to be resolved: hosts come as
 * addresses or socket directories. The parameters are libpq's, beside
 *   scram_client_key, scram_server_key   base64 (libpq 18's names)
 *   md5_secret                           "md5" and 32 hexadecimal digits
 *   connect_query                        run before DONE; its faults are logged
 * Never blocks. One login, one thread. Trusts nothing that the server says: messages, their number
 * and their bytes are bounded.
 */
#ifndef WEIR_PROTO_PG_DIAL_RAW_H
#define WEIR_PROTO_PG_DIAL_RAW_H

#include "proto/pg/pg_guc.h"
#include "proto/proto_login.h"

struct pg_raw;
struct pg_raw_link; /* what is left of it when the relay has the connection */

#define PG_RAW_COLUMNS 8u

/* Whether these parameters are for this login: keys, and no password. */
bool pg_raw_wanted(const struct dsn_param *params, size_t n);
/* As struct server_ops' dial, socket, poll, failure and hang_up. */
struct pg_raw *pg_raw_start(const struct dsn_param *params, size_t n);
int pg_raw_socket(const struct pg_raw *r);
enum dial_step pg_raw_poll(struct pg_raw *r);
/* What the server's SQLSTATE says about trying again, and the place in its source: the field R of
 * an error, "" if it is not known. */
enum dial_failure pg_dial_class(const char *code, const char *routine);
enum dial_failure pg_raw_failure(const struct pg_raw *r, char code[6], char *text, size_t room);
void pg_raw_hang_up(struct pg_raw **r);

/* After DONE: ask one thing, with `param` as $1 unless it is NULL; then poll() again until DONE. */
bool pg_raw_ask(struct pg_raw *r, const char *sql, const char *param);
/* Its answer: rows there were, how many columns the first has, and these (NULL: SQL NULL or none).
 * false: the server refused it, with this error. */
bool pg_raw_answer(const struct pg_raw *r, unsigned *rows, unsigned *fields, const char **columns,
                   struct err *e);

/* After DONE: the connection changes hands. NULL: out of memory, nothing changed. */
struct pg_raw_link *pg_raw_adopt(struct pg_raw **r, struct var_set **report);
int pg_raw_link_fd(const struct pg_raw_link *l);
struct ssl_st *pg_raw_link_ssl(const struct pg_raw_link *l);
int64_t pg_raw_link_pid(const struct pg_raw_link *l);
/* Say good-bye if that doesn't block, free the TLS session, close the descriptor. */
void pg_raw_link_close(struct pg_raw_link **l);

#endif
