/* SPDX-License-Identifier: ISC
 * Where the memory of TLS sessions lies, and how idle ones give it back. Between stream.c, tls.c
 * and loop.c; see the .c file for why.
 */
#ifndef WEIR_NET_TLS_MEMORY_H
#define WEIR_NET_TLS_MEMORY_H

#include <stdbool.h>

struct arena;
struct ssl_st;

/* An arena for a session that is about to be made, or NULL: then it lives on the heap as usual. */
struct arena *tls_arena_get(void);
/* Its session has been freed, or could not be made. */
void tls_arena_put(struct arena **a);
/* The arena a session lives in, awake; NULL for those on the heap (libpq's). */
struct arena *tls_arena_of(struct ssl_st *ssl);

/* What OpenSSL allocates on this thread from here to tls_arena_leave() belongs to that session.
 * NULL is fine. */
void tls_arena_enter(struct arena *a);
void tls_arena_leave(void);

/* This thread's arenas that were not used since the last but one call: asleep. Call about once a
 * second while it returns more than 0: the milliseconds until the next call. */
unsigned tls_arena_sweep(void);

/* The session leaves this thread: its arena stays awake until it has come to another. NULL is fine.
 */
void tls_arena_unlist(struct arena *a);
/* The thread is about to end; its sessions are another's from now on. */
void tls_arena_unlist_all(void);
void tls_arena_relist(struct arena *a);

#endif
