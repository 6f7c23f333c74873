/* SPDX-License-Identifier: ISC
 * The console as a MySQL server sees it: the commands of one session after its login, text and
 * binary results, statements prepared by the protocol.
 *
 * What it is not: I/O or the commands. Bytes come in through admin_mysql_feed(), bytes go out into
 * a buffer; a command leaves through a callback and its result comes back through
 * admin_mysql_result(). Thread: the worker's that owns the client; nothing here is shared.
 * Follows "Command Phase" of MySQL's source documentation, without DEPRECATE_EOF.
 */
#ifndef WEIR_ADMIN_ADMIN_MYSQL_H
#define WEIR_ADMIN_ADMIN_MYSQL_H

#include "worker/console.h"

struct admin_mysql;
struct admin_result;

/* Have `text` executed (admin_execute on the control thread); the text is copied by the callee.
 * The result must not be given back from within this call. */
typedef void admin_mysql_execute_cb(void *ctx, const char *text);

/* `version`: what @@version says; `caps`: the client's. NULL: out of memory. */
struct admin_mysql *admin_mysql_create(const char *version, uint32_t caps,
                                       admin_mysql_execute_cb *execute, void *ctx);
void admin_mysql_destroy(struct admin_mysql **p);
/* The connection's id; nothing is sent: the login has said OK. */
void admin_mysql_greet(struct admin_mysql *p, uint32_t id);

/* Take whole packets from `in`; *used says how many bytes are done with. A packet that is not
 * complete yet stays with the caller. A packet longer than 64 KiB ends the session. */
enum console_state admin_mysql_feed(struct admin_mysql *p, const uint8_t *in, size_t n,
                                    size_t *used, struct buf *out)
    __attribute__((warn_unused_result));
/* After CONSOLE_MORE. A long table goes out in pieces, so that it neither delays the worker's other
 * clients nor fills its memory. */
enum console_state admin_mysql_more(struct admin_mysql *p, struct buf *out)
    __attribute__((warn_unused_result));
/* The result of the command that is away (NULL: out of memory); it is destroyed here. */
enum console_state admin_mysql_result(struct admin_mysql *p, struct admin_result *r,
                                      struct buf *out) __attribute__((warn_unused_result));

#endif
