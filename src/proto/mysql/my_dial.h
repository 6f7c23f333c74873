/* SPDX-License-Identifier: ISC
 * Logging in to a MySQL or MariaDB server, as struct server_ops wants it.
 *
 *   CONNECT -> GREETING -> [HANDSHAKE] -> AUTH -> SETUP -> [QUERY] -> DONE
 *      ^                                    any -> FAILED
 *      '-- next host, where this one can't be reached
 *
 * caching_sha2_password (fast; full by TLS, by Unix socket, or by RSA with the server's key),
 * mysql_native_password, mysql_clear_password by TLS only, and switching between them. SETUP makes
 * the server report what sessions change and learns what they begin with. Parameters:
 *   host, hostaddr, port    lists; a host that begins with "/" is a Unix socket
 *   user, password, dbname, sslmode, sslrootcert, sslcert, sslkey as libpq means them
 *   native_sha1, sha2_sha256  hexadecimal: SHA1(password), SHA256(password), where it isn't known
 *   pool_flags              hexadecimal: MY_CAPS_OF_POOL, as login_asked has them
 *   connect_query
 * Never blocks. One login, one thread. Follows MySQL's "Connection Phase". What the server says is
 * bounded in number and length, and believed only as far as its form goes.
 */
#ifndef WEIR_PROTO_MYSQL_MY_DIAL_H
#define WEIR_PROTO_MYSQL_MY_DIAL_H

#include "base/buf.h"
#include "proto/mysql/my_packet.h"
#include "proto/proto_login.h"

extern const struct server_ops my_server_ops;

/* The code of a failure that is the server's own error: this and its number, of four digits. */
#define MY_DIAL_NUMBER "#"

/* ---- a login that weir makes for a question of its own (my_ask.c) ---- */

struct my_dial;
struct my_dial *my_dial_start(const struct dsn_param *params, size_t n);
int my_dial_socket(const struct my_dial *d);
enum dial_step my_dial_poll(struct my_dial *d);
enum dial_failure my_dial_failure(const struct my_dial *d, char code[6], char *text, size_t room);
void my_dial_hang_up(struct my_dial **d);
/* After DONE: ask; then poll() again until DONE. false: out of memory. */
bool my_dial_query(struct my_dial *d, const char *sql);
/* The i-th row of the answer as a payload of length-encoded cells; false: there is none. */
bool my_dial_row(const struct my_dial *d, size_t i, struct my_reader *out);
/* The server refused it; "" when it didn't. */
const char *my_dial_error(const struct my_dial *d);
/* Wait for DONE with poll(2), at most `timeout_ms`. */
bool my_dial_wait(struct my_dial *d, int timeout_ms, struct err *e);

/* ---- what is left of it when the relay has the connection ---- */

struct my_origin;
struct ssl_st;
/* Say good-bye if that doesn't block, close the descriptor, forget the origin. */
void my_link_close(struct my_origin **origin, int fd, struct ssl_st *ssl);

#endif
