/* SPDX-License-Identifier: ISC
 * Failed logins: how long to pause, and who is told. With the server's mutex held. The rules are
 * in failure.c.
 */
#ifndef WEIR_CORE_FAILURE_H
#define WEIR_CORE_FAILURE_H

#include <stdbool.h>
#include <stdint.h>

struct core_fault;
struct core_pool;
struct core_server;

/* What the waiters will be told. */
void core_failure_note(struct core_fault *f, const char *code, const char *text);
/* A login worked: whatever stood against it is over. */
void core_failure_clear(struct core_pool *p);
/* What was refused may be granted now. */
void core_failure_forgive(struct core_pool *p);
/* The pool's waiters are to be told now. */
bool core_failure_tells(const struct core_pool *p, uint64_t now_us);
/* Nobody new may queue. */
bool core_failure_bars(const struct core_pool *p, uint64_t now_us);
/* Somebody was barred: remember that there is demand. */
void core_failure_note_demand(struct core_pool *p);
/* When waiters may have to be told. */
uint64_t core_failure_due_us(const struct core_server *s, uint64_t now_us);
/* When core_failure_probe() may have a pool to try. */
uint64_t core_failure_probe_us(const struct core_server *s);
/* The pool whose login is to be tried on behalf of those turned away, or NULL. */
struct core_pool *core_failure_probe(struct core_server *s, uint64_t now_us);
/* Logins allowed at once, the pause after a failure observed. */
uint32_t core_failure_window(const struct core_server *s);

#endif
