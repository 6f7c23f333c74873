/* SPDX-License-Identifier: ISC
 * Packets of the MySQL protocol: reading what is inside of one, and writing the few that weir makes
 * itself (OK, EOF, ERR, texts, columns and rows of small answers).
 *
 * What it is not: framing of the data path, which steps over packets by their length. Pure: no
 * socket, no clock. Any thread.
 * Follows "Client/Server Protocol, Basic types and Generic Response Packets" of MySQL's source
 * documentation.
 * Always: a reader that runs out of bytes is `bad` from then on and gives zeroes; nothing is read
 * beyond its end whatever a peer claims.
 */
#ifndef WEIR_PROTO_MYSQL_MY_PACKET_H
#define WEIR_PROTO_MYSQL_MY_PACKET_H

#include "base/buf.h"
#include "proto/mysql/my_caps.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t my_get24(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;
}

static inline uint32_t my_get16(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static inline uint32_t my_get32(const uint8_t *p)
{
    return my_get24(p) | (uint32_t)p[3] << 24;
}

static inline void my_put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static inline void my_put_head(uint8_t *p, uint32_t len, uint8_t seq)
{
    my_put32(p, len & MY_PACKET_FULL);
    p[3] = seq;
}

/* ---- reading ---- */

struct my_reader {
    const uint8_t *p, *end;
    bool bad;
};

struct my_view {
    const uint8_t *p; /* NULL: absent */
    size_t n;
};

static inline bool my_view_is(struct my_view v, const char *text)
{
    return v.p != NULL && v.n == strlen(text) && memcmp(v.p, text, v.n) == 0;
}

static inline struct my_reader my_reader_of(const void *p, size_t n)
{
    return (struct my_reader){.p = p, .end = n != 0 ? (const uint8_t *)p + n : p};
}

static inline size_t my_left(const struct my_reader *r)
{
    return r->bad ? 0 : (size_t)(r->end - r->p);
}

/* An integer of 1 to 8 bytes. */
uint64_t my_read_int(struct my_reader *r, unsigned bytes);
/* A length-encoded integer; 0xfb (NULL) and 0xff are bad here. */
uint64_t my_read_lenenc(struct my_reader *r);
struct my_view my_read_bytes(struct my_reader *r, size_t n);
/* Length-encoded bytes; 0xfb gives an absent view. */
struct my_view my_read_lenenc_bytes(struct my_reader *r);
/* Up to a NUL, which must be there, or (rest) the end. */
struct my_view my_read_nul(struct my_reader *r);
struct my_view my_read_rest(struct my_reader *r);

/* ---- an OK packet ---- */

struct my_ok {
    uint64_t affected, insert_id;
    uint16_t status, warnings;
    struct my_view info;  /* a text for people */
    struct my_view state; /* the block of session changes; absent when there is none */
};

/* Read the payload of an OK (first byte 0x00) of a connection with or without SESSION_TRACK. false:
 * it is not one. */
bool my_read_ok(const uint8_t *payload, size_t n, bool session_track, struct my_ok *ok);

/* What an entry of my_ok.state is about. */
enum my_track {
    MY_TRACK_VARIABLE,
    MY_TRACK_SCHEMA,
    MY_TRACK_STATE,
    MY_TRACK_GTID,
    MY_TRACK_CHARACTERISTICS,
    MY_TRACK_TRANSACTION, /* MySQL tells of it unasked */
};

/* ---- writing: into memory of the caller ---- */

#define MY_OK_MAX  64u  /* an OK without info, with its header */
#define MY_ERR_MAX 600u /* an ERR; longer texts are cut */

size_t my_write_lenenc(uint8_t *to, uint64_t v);
/* An OK; with `state`, which only a client with SESSION_TRACK reads, if that isn't empty. `to` has
 * room for MY_OK_MAX + info.n + state.n. */
size_t my_write_ok(uint8_t *to, uint8_t seq, const struct my_ok *ok);
size_t my_write_eof(uint8_t *to, uint8_t seq, uint16_t status, uint16_t warnings);
/* `state` five characters, or NULL before the handshake is over. `to` has room for MY_ERR_MAX. */
size_t my_write_err(uint8_t *to, uint8_t seq, unsigned code, const char *state, const char *text);

/* ---- writing: into a buffer. false: out of memory, nothing was added ---- */

bool my_put_packet(struct buf *out, uint8_t seq, const void *payload, size_t n);
bool my_put_err(struct buf *out, uint8_t seq, unsigned code, const char *state, const char *text);

#endif
