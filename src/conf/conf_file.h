/* SPDX-License-Identifier: ISC
 * Small files read whole, and relative names. Private to conf/; blocks, so never on an event loop.
 */
#ifndef WEIR_CONF_CONF_FILE_H
#define WEIR_CONF_CONF_FILE_H

#include "conf/conf_arena.h"

#include "base/err.h"

#include <stddef.h>

#define CONF_FILE_MAX_BYTES (16u << 20)

/* The whole content with a NUL behind it, given back with conf_file_free(); NULL with the reason.
 */
char *conf_file_read(const char *path, size_t *len, struct err *err)
    __attribute__((warn_unused_result));
/* Wiped first: there may be secrets in it. */
void conf_file_free(char **text, size_t len);
/* A relative name that exists beside `base` (a file, or NULL) becomes that; any other is as it was.
 */
const char *conf_file_resolve(struct conf_arena *arena, const char *base, const char *path);

#endif
