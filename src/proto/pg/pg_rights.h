/* SPDX-License-Identifier: ISC
 * role and session_authorization among the settings of a session. They differ from the others in
 * two ways: RESET ALL passes over them, and what they name can become another under the same name.
 * Any thread that holds references on the sets.
 */
#ifndef WEIR_PROTO_PG_RIGHTS_H
#define WEIR_PROTO_PG_RIGHTS_H

#include "proto/vars/var_set.h"

/* *set becomes what RESET ALL makes of it where it leads to `base`. false: out of memory. */
bool pg_rights_reset_all(struct var_set **set, struct var_set *base);
/* A statement with this tag was executed, on any connection. */
void pg_rights_on_tag(const char *tag, size_t n);
/* Call before it is compared what a connection has: where roles have changed since *seen, its
 * rights are made to differ from everybody's, so that they are taken from it and granted again. */
void pg_rights_doubt(struct var_set **applied, uint32_t *seen);

#endif
