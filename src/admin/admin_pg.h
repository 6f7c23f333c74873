/* SPDX-License-Identifier: ISC
 * The console as a PostgreSQL server sees it: the messages of one session after its login, simple
 * and extended protocol, text and binary results.
 *
 * What it is not: I/O or the commands. Bytes come in through admin_pg_feed(), bytes go out into a
 * buffer; a command leaves through a callback and its result comes back through
 * admin_pg_result(). Thread: the worker's that owns the client; nothing here is shared.
 */
#ifndef WEIR_ADMIN_ADMIN_PG_H
#define WEIR_ADMIN_ADMIN_PG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct admin_pg;
struct admin_result;
struct buf;

enum admin_pg_state {
    ADMIN_PG_READY, /* feed more */
    ADMIN_PG_WAIT,  /* a command is away: admin_pg_result() comes next; keep what is unread */
    ADMIN_PG_MORE,  /* rows are left: admin_pg_more() comes next, when the buffer has been sent */
    ADMIN_PG_CLOSE, /* send what is in the buffer, then close */
};

/* Have `text` executed (admin_execute on the control thread); the text is copied by the callee.
 * The result must not be given back from within this call. */
typedef void admin_pg_execute_cb(void *ctx, const char *text);

struct admin_pg *admin_pg_create(const char *version, admin_pg_execute_cb *execute, void *ctx);
void admin_pg_destroy(struct admin_pg **p);

/* What follows AuthenticationOk: ParameterStatus, BackendKeyData, ReadyForQuery. */
bool admin_pg_greet(struct admin_pg *p, uint32_t pid, uint32_t secret, struct buf *out)
    __attribute__((warn_unused_result));

/* Take whole messages from `in`; *used says how many bytes are done with. A message that is not
 * complete yet stays with the caller. A message longer than 64 KiB ends the session. */
enum admin_pg_state admin_pg_feed(struct admin_pg *p, const uint8_t *in, size_t n, size_t *used,
                                  struct buf *out) __attribute__((warn_unused_result));
/* After ADMIN_PG_MORE. A long table goes out in pieces, so that it neither delays the worker's
 * other clients nor fills its memory. */
enum admin_pg_state admin_pg_more(struct admin_pg *p, struct buf *out)
    __attribute__((warn_unused_result));
/* The result of the command that is away (NULL: out of memory); it is destroyed here. */
enum admin_pg_state admin_pg_result(struct admin_pg *p, struct admin_result *r, struct buf *out)
    __attribute__((warn_unused_result));

#endif
