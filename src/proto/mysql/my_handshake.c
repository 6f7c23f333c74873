/* SPDX-License-Identifier: ISC
 * See my_handshake.h.
 */
#include "config.h"

#include "proto/mysql/my_handshake.h"

#define PROTOCOL_VERSION 10u
#define SALT_FIRST       8u /* of the salt stand ahead of the capabilities, the rest behind */
#define RESERVED_BYTES   6u /* of zeroes, ahead of the late capabilities: both ways */
#define FILLER_BYTES     19u
#define SSL_REQUEST_MAX  32u

static bool append_int(struct buf *b, uint64_t v, unsigned bytes)
{
    uint8_t raw[8];
    for (unsigned i = 0; i < bytes; i++)
        raw[i] = (uint8_t)(v >> (8 * i));
    return buf_append(b, raw, bytes);
}

struct my_wire_caps my_caps_to_wire(uint32_t caps)
{
    struct my_wire_caps wire = {.first = caps & ~MY_CAPS_LATE};
    if ((caps & MY_CAPS_LATE) != 0)
        wire.first &= ~MY_CAP_LONG_PASSWORD;
    wire.last = ((caps & MY_CAP_EXTENDED) != 0 ? MY_EXT_METADATA : 0) |
                ((caps & MY_CAP_BULK) != 0 ? MY_EXT_BULK : 0);
    return wire;
}

uint32_t my_caps_of_wire(struct my_wire_caps wire)
{
    uint32_t caps = wire.first & ~MY_CAPS_LATE;
    if ((caps & MY_CAP_LONG_PASSWORD) != 0)
        return caps;
    return caps | ((wire.last & MY_EXT_METADATA) != 0 ? MY_CAP_EXTENDED : 0) |
           ((wire.last & MY_EXT_BULK) != 0 ? MY_CAP_BULK : 0);
}

bool my_greeting_put(struct buf *out, const struct my_greeting *g)
{
    static const uint8_t zeroes[RESERVED_BYTES];
    struct my_wire_caps caps = my_caps_to_wire(g->caps);
    struct buf b = {0};
    bool ok = append_int(&b, PROTOCOL_VERSION, 1) &&
              buf_append(&b, g->version, strlen(g->version) + 1) && append_int(&b, g->id, 4) &&
              buf_append(&b, g->salt, SALT_FIRST) && append_int(&b, 0, 1) &&
              append_int(&b, caps.first & 0xffffu, 2) && append_int(&b, g->charset, 1) &&
              append_int(&b, g->status, 2) && append_int(&b, caps.first >> 16, 2) &&
              append_int(&b, MY_SALT_BYTES + 1, 1) && buf_append(&b, zeroes, RESERVED_BYTES) &&
              append_int(&b, caps.last, 4) &&
              buf_append(&b, g->salt + SALT_FIRST, MY_SALT_BYTES - SALT_FIRST) &&
              append_int(&b, 0, 1) && buf_append(&b, g->plugin, strlen(g->plugin) + 1) &&
              my_put_packet(out, 0, buf_head(&b), buf_len(&b));
    buf_release(&b);
    return ok;
}

bool my_switch_put(struct buf *out, uint8_t seq, const char *plugin, const uint8_t *salt)
{
    struct buf b = {0};
    bool ok = append_int(&b, 0xfe, 1) && buf_append(&b, plugin, strlen(plugin) + 1) &&
              buf_append(&b, salt, MY_SALT_BYTES) && append_int(&b, 0, 1) &&
              my_put_packet(out, seq, buf_head(&b), buf_len(&b));
    buf_release(&b);
    return ok;
}

/* A text that some clients leave without its NUL when it is the last. */
static struct my_view read_text(struct my_reader *r)
{
    if (my_left(r) != 0 && memchr(r->p, 0, my_left(r)) == NULL)
        return my_read_rest(r);
    if (my_left(r) == 0)
        return (struct my_view){NULL, 0};
    return my_read_nul(r);
}

/* What answer and COM_CHANGE_USER both end with. */
static void read_tail(struct my_reader *r, struct my_hello *h)
{
    if ((h->caps & MY_CAP_PLUGIN_AUTH) != 0)
        h->plugin = read_text(r);
    if ((h->caps & MY_CAP_CONNECT_ATTRS) != 0 && my_left(r) != 0)
        h->attributes = my_read_lenenc_bytes(r);
}

static enum my_hello_fault verdict(const struct my_reader *r, const struct my_hello *h)
{
    return r->bad || h->user.n > MY_NAME_MAX || h->database.n > MY_NAME_MAX ? MY_HELLO_BAD
                                                                            : MY_HELLO_OK;
}

enum my_hello_fault my_hello_parse(const uint8_t *payload, size_t n, uint32_t offered,
                                   struct my_hello *out)
{
    struct my_reader r = my_reader_of(payload, n);
    memset(out, 0, sizeof *out);
    /* The older protocol has two bytes of capabilities: look at those alone first. */
    if (n < 2)
        return MY_HELLO_BAD;
    if ((my_get16(payload) & MY_CAP_PROTOCOL_41) == 0)
        return MY_HELLO_OLD;
    struct my_wire_caps caps = {.first = (uint32_t)my_read_int(&r, 4)};
    (void)my_read_int(&r, 4); /* the largest packet it takes: nobody keeps to it */
    out->charset = (uint16_t)my_read_int(&r, 1);
    (void)my_read_bytes(&r, FILLER_BYTES);
    caps.last = (uint32_t)my_read_int(&r, 4);
    out->caps = my_caps_of_wire(caps) & offered;
    if (r.bad)
        return MY_HELLO_BAD;
    if (n == SSL_REQUEST_MAX) {
        out->tls = (out->caps & MY_CAP_SSL) != 0;
        return out->tls ? MY_HELLO_OK : MY_HELLO_BAD;
    }
    out->compress = (caps.first & MY_CAP_COMPRESS) != 0;
    out->user = my_read_nul(&r);
    if ((out->caps & MY_CAP_PLUGIN_LENENC) != 0)
        out->auth = my_read_lenenc_bytes(&r);
    else if ((out->caps & MY_CAP_SECURE_CONNECTION) != 0)
        out->auth = my_read_bytes(&r, (size_t)my_read_int(&r, 1));
    else
        out->auth = my_read_nul(&r);
    if ((out->caps & MY_CAP_CONNECT_WITH_DB) != 0)
        out->database = read_text(&r);
    read_tail(&r, out);
    return verdict(&r, out);
}

enum my_hello_fault my_change_user_parse(const uint8_t *payload, size_t n, uint32_t caps,
                                         struct my_hello *out)
{
    struct my_reader r = my_reader_of(payload, n);
    memset(out, 0, sizeof *out);
    out->caps = caps;
    if (my_read_int(&r, 1) != MY_COM_CHANGE_USER)
        return MY_HELLO_BAD;
    out->user = my_read_nul(&r);
    if ((caps & MY_CAP_SECURE_CONNECTION) != 0)
        out->auth = my_read_bytes(&r, (size_t)my_read_int(&r, 1));
    else
        out->auth = my_read_nul(&r);
    out->database = read_text(&r);
    if (my_left(&r) != 0)
        out->charset = (uint16_t)my_read_int(&r, 2);
    read_tail(&r, out);
    return verdict(&r, out);
}

bool my_attribute_next(struct my_view *rest, struct my_view *name, struct my_view *value)
{
    if (rest->p == NULL || rest->n == 0)
        return false;
    struct my_reader r = my_reader_of(rest->p, rest->n);
    *name = my_read_lenenc_bytes(&r);
    *value = my_read_lenenc_bytes(&r);
    if (r.bad)
        return false;
    rest->n = my_left(&r);
    rest->p = r.p;
    return true;
}
