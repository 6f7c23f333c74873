/* SPDX-License-Identifier: ISC
 * What a client believes its session's reported settings to be (ParameterStatus), which is what its
 * own server would have told it: its startup values are its session's defaults, though they are
 * nothing of the kind to the connection that it borrows.
 *
 * Called by the worker's protocol functions, on the client's thread.
 */
#ifndef WEIR_PROTO_PG_REPORT_H
#define WEIR_PROTO_PG_REPORT_H

#include "proto/pg/pg_session.h"

/* Write the startup values among `settings` over what is reported, in the form in which PostgreSQL
 * would report them on a connection that reports `defaults`; what has no rule (search_path, of
 * PostgreSQL 18) as given. False when out of memory. */
bool pg_report_overlay(struct var_set **report, const struct var_set *defaults,
                       const struct var_set *settings) __attribute__((warn_unused_result));

/* Tell the client what its server reports differently. */
void pg_report_sync(struct pg_client *c, struct pg_server *s, struct proto_out *out);

#endif
