/* SPDX-License-Identifier: ISC
 * What stands in front of a parenthesis so often that nobody need ask what it does: words of the
 * language, and PostgreSQL's own functions. Pure; any thread.
 */
#ifndef WEIR_PROTO_PG_BUILTIN_H
#define WEIR_PROTO_PG_BUILTIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A mark of a name, however it is written. */
uint32_t pg_builtin_mark(const char *name, size_t n);
/* Is it such a name's? For one of some ten thousand others true as well. */
bool pg_builtin_is(uint32_t mark);

#endif
