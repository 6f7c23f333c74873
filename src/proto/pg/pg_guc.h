/* SPDX-License-Identifier: ISC
 * The SQL between two sets of PostgreSQL settings (proto/vars/var_set.h). Pure; any thread that
 * holds references on the sets.
 */
#ifndef WEIR_PROTO_PG_GUC_H
#define WEIR_PROTO_PG_GUC_H

#include "proto/vars/var_set.h"

/* What pg_guc_diff() has to say about the SQL that it wrote. */
struct pg_guc_diff {
    uint32_t changes; /* 0: nothing to send */
    uint32_t split;   /* not 0: the text is two Query messages, the second begins here, because
                         client_encoding changes and what follows is not ASCII */
    bool proven;      /* every value was accepted by a server before */
    bool privileged;  /* role or session_authorization: don't send it in one write with a client's
                         message, which would run with the wrong rights if this SQL failed */
};

/* Append to `sql` the statements that bring a server connection from `have` to `want`, not
 * NUL-terminated, "; " between them. `base` (may be NULL) is what the connection got when it was
 * opened: RESET leads there, and it counts as what the server has where `have` is silent.
 * Order: rights are taken back first, granted last. False when out of memory; then `sql` is as it
 * was. What belongs to one transaction (transaction_isolation and its like) is never written. */
bool pg_guc_diff(const struct var_set *have, const struct var_set *want, const struct var_set *base,
                 struct buf *sql, struct pg_guc_diff *out) __attribute__((warn_unused_result));

#endif
