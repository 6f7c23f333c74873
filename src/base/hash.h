/* SPDX-License-Identifier: ISC
 * uthash for keys that somebody else chooses: names of statements, users, databases, functions.
 * uthash's own functions can be inverted, so that a client could choose many names that all fall
 * into one bucket, which everybody would search. Include this instead of <uthash.h>.
 *
 * SipHash-1-3 (Aumasson, Bernstein: SipHash, a fast short-input PRF; the rounds that Rust and
 * CPython hash their tables with), under a key that this process has drawn.
 */
#ifndef WEIR_BASE_HASH_H
#define WEIR_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#ifdef UTHASH_H
#error "uthash.h was included without its hash function"
#endif
#define HASH_FUNCTION(key, n, hash) ((hash) = hash_bytes((key), (n)))
#include <uthash.h>

struct hash_key {
    uint64_t k[2];
};

/* SipHash with c rounds for each word and d at the end. Pure; any thread. */
uint64_t hash_sip(const struct hash_key *key, const void *bytes, size_t n, unsigned c, unsigned d);
/* The one of this process's tables. Any thread. */
uint32_t hash_bytes(const void *bytes, size_t n);

#endif
