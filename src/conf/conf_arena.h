/* SPDX-License-Identifier: ISC
 * The memory of a configuration: pieces that live and die together, wiped when they die, because
 * passwords are among them and nobody should have to know which.
 * One thread while it grows; read-only afterwards.
 */
#ifndef WEIR_CONF_CONF_ARENA_H
#define WEIR_CONF_CONF_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct conf_arena_block;

struct conf_arena {
    struct conf_arena_block *blocks; /* newest first */
    bool failed;                     /* memory ran out once: what is in here isn't complete */
};

/* Zeroed memory for anything, or NULL (and `failed`). */
void *conf_arena_alloc(struct conf_arena *a, size_t size) __attribute__((warn_unused_result));
/* Copies of a text; never NULL: "" when memory is out, and `failed` says so. */
const char *conf_arena_text(struct conf_arena *a, const char *text);
const char *conf_arena_textn(struct conf_arena *a, const char *text, size_t len);
/* Like conf_arena_text(), but to be cut up in place; NULL when memory is out. */
char *conf_arena_scratch(struct conf_arena *a, const char *text)
    __attribute__((warn_unused_result));
/* One more element of `size` at the end of an array that this arena holds: returns the zeroed
 * element, or NULL. `*array` moves. */
void *conf_arena_push(struct conf_arena *a, void *array, size_t *n, size_t size)
    __attribute__((warn_unused_result));
/* Wipe and free everything. */
void conf_arena_fini(struct conf_arena *a);

#endif
