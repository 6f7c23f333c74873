/* SPDX-License-Identifier: ISC
 * Heads of PostgreSQL's protocol 3 messages: a type byte and a length that counts itself.
 * https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
#ifndef WEIR_PROTO_PG_WIRE_H
#define WEIR_PROTO_PG_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PG_HEAD_BYTES 5u
/* As PostgreSQL's server: large messages to just below 1 GB, small ones to 10,000 bytes. */
#define PG_LARGE_MAX 0x3fffffffu
#define PG_SMALL_MAX 10000u

static inline uint32_t pg_get32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}

static inline void pg_put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void pg_put32(uint8_t *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, sizeof v);
}

static inline uint32_t pg_get16(const uint8_t *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}

/* Length of the C string at p within n bytes, without its NUL; (size_t)-1 when it doesn't end. */
static inline size_t pg_strlen(const uint8_t *p, size_t n)
{
    const uint8_t *end = n != 0 ? memchr(p, 0, n) : NULL;
    return end != NULL ? (size_t)(end - p) : (size_t)-1;
}

#endif
