/* SPDX-License-Identifier: ISC
 * See my_packet.h.
 */
#include "config.h"

#include "proto/mysql/my_packet.h"

#include <stdio.h>

/* ---- reading ---- */

uint64_t my_read_int(struct my_reader *r, unsigned bytes)
{
    uint64_t v = 0;
    if (my_left(r) < bytes) {
        r->bad = true;
        return 0;
    }
    for (unsigned i = 0; i < bytes; i++)
        v |= (uint64_t)r->p[i] << (8 * i);
    r->p += bytes;
    return v;
}

uint64_t my_read_lenenc(struct my_reader *r)
{
    uint64_t first = my_read_int(r, 1);
    switch (first) {
    case 0xfb:
    case 0xff:
        r->bad = true;
        return 0;
    case 0xfc:
        return my_read_int(r, 2);
    case 0xfd:
        return my_read_int(r, 3);
    case 0xfe:
        return my_read_int(r, 8);
    default:
        return first;
    }
}

struct my_view my_read_bytes(struct my_reader *r, size_t n)
{
    struct my_view v = {r->p, n};
    if (my_left(r) < n) {
        r->bad = true;
        return (struct my_view){NULL, 0};
    }
    r->p += n;
    return v;
}

struct my_view my_read_lenenc_bytes(struct my_reader *r)
{
    if (my_left(r) != 0 && *r->p == 0xfb) {
        r->p++;
        return (struct my_view){NULL, 0};
    }
    uint64_t n = my_read_lenenc(r);
    if (r->bad || n > my_left(r)) {
        r->bad = true;
        return (struct my_view){NULL, 0};
    }
    return my_read_bytes(r, (size_t)n);
}

struct my_view my_read_nul(struct my_reader *r)
{
    const uint8_t *nul = my_left(r) != 0 ? memchr(r->p, 0, my_left(r)) : NULL;
    if (nul == NULL) {
        r->bad = true;
        return (struct my_view){NULL, 0};
    }
    struct my_view v = {r->p, (size_t)(nul - r->p)};
    r->p = nul + 1;
    return v;
}

struct my_view my_read_rest(struct my_reader *r)
{
    return my_read_bytes(r, my_left(r));
}

bool my_read_ok(const uint8_t *payload, size_t n, bool session_track, struct my_ok *ok)
{
    struct my_reader r = my_reader_of(payload, n);
    memset(ok, 0, sizeof *ok);
    if (my_read_int(&r, 1) != 0)
        return false;
    ok->affected = my_read_lenenc(&r);
    ok->insert_id = my_read_lenenc(&r);
    ok->status = (uint16_t)my_read_int(&r, 2);
    ok->warnings = (uint16_t)my_read_int(&r, 2);
    if (r.bad)
        return false;
    if (my_left(&r) == 0) /* left out altogether when there is neither text nor change */
        return true;
    ok->info = my_read_lenenc_bytes(&r);
    if (session_track && (ok->status & MY_ST_STATE_CHANGED) != 0 && my_left(&r) != 0)
        ok->state = my_read_lenenc_bytes(&r);
    return !r.bad;
}

/* ---- writing ---- */

size_t my_write_lenenc(uint8_t *to, uint64_t v)
{
    unsigned bytes = v < 0xfb ? 0 : v <= 0xffff ? 2 : v <= 0xffffff ? 3 : 8;
    if (bytes == 0) {
        to[0] = (uint8_t)v;
        return 1;
    }
    to[0] = bytes == 2 ? 0xfc : bytes == 3 ? 0xfd : 0xfe;
    for (unsigned i = 0; i < bytes; i++)
        to[1 + i] = (uint8_t)(v >> (8 * i));
    return 1 + bytes;
}

/* With its length, whatever the manual says of clients without tracking: servers write it so. */
static size_t write_text(uint8_t *to, struct my_view text)
{
    size_t n = my_write_lenenc(to, text.n);
    if (text.n != 0)
        memcpy(to + n, text.p, text.n);
    return n + text.n;
}

size_t my_write_ok(uint8_t *to, uint8_t seq, const struct my_ok *ok)
{
    size_t n = MY_HEAD_BYTES;
    to[n++] = 0;
    n += my_write_lenenc(to + n, ok->affected);
    n += my_write_lenenc(to + n, ok->insert_id);
    uint16_t status = (uint16_t)(ok->status & ~MY_ST_STATE_CHANGED);
    if (ok->state.n != 0)
        status |= MY_ST_STATE_CHANGED;
    to[n++] = (uint8_t)status;
    to[n++] = (uint8_t)(status >> 8);
    to[n++] = (uint8_t)ok->warnings;
    to[n++] = (uint8_t)(ok->warnings >> 8);
    if (ok->info.n != 0 || ok->state.n != 0)
        n += write_text(to + n, ok->info);
    if (ok->state.n != 0)
        n += write_text(to + n, ok->state);
    my_put_head(to, (uint32_t)(n - MY_HEAD_BYTES), seq);
    return n;
}

size_t my_write_eof(uint8_t *to, uint8_t seq, uint16_t status, uint16_t warnings)
{
    my_put_head(to, 5, seq);
    to[4] = 0xfe;
    to[5] = (uint8_t)warnings;
    to[6] = (uint8_t)(warnings >> 8);
    to[7] = (uint8_t)status;
    to[8] = (uint8_t)(status >> 8);
    return 9;
}

size_t my_write_err(uint8_t *to, uint8_t seq, unsigned code, const char *state, const char *text)
{
    size_t n = MY_HEAD_BYTES;
    to[n++] = 0xff;
    to[n++] = (uint8_t)code;
    to[n++] = (uint8_t)(code >> 8);
    if (state != NULL) {
        to[n++] = '#';
        memcpy(to + n, state, 5);
        n += 5;
    }
    size_t len = strlen(text);
    if (len > MY_ERR_MAX - n)
        len = MY_ERR_MAX - n;
    memcpy(to + n, text, len);
    n += len;
    my_put_head(to, (uint32_t)(n - MY_HEAD_BYTES), seq);
    return n;
}

bool my_put_packet(struct buf *out, uint8_t seq, const void *payload, size_t n)
{
    uint8_t *to = n < MY_PACKET_FULL ? buf_reserve(out, MY_HEAD_BYTES + n) : NULL;
    if (to == NULL)
        return false;
    my_put_head(to, (uint32_t)n, seq);
    if (n != 0)
        memcpy(to + MY_HEAD_BYTES, payload, n);
    buf_commit(out, MY_HEAD_BYTES + n);
    return true;
}

bool my_put_err(struct buf *out, uint8_t seq, unsigned code, const char *state, const char *text)
{
    uint8_t packet[MY_ERR_MAX];
    return buf_append(out, packet, my_write_err(packet, seq, code, state, text));
}
