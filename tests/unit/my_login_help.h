/* SPDX-License-Identifier: ISC
 * A little MySQL client for tests of the login: it answers what it is asked, as libmysqlclient
 * does, and notes what it was asked.
 */
#ifndef WEIR_TESTS_UNIT_MY_LOGIN_HELP_H
#define WEIR_TESTS_UNIT_MY_LOGIN_HELP_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/mysql/my_crypt.h"
#include "proto/mysql/my_handshake.h"
#include "proto/mysql/my_login.h"

struct peer {
    const char *user, *password, *database;
    const char *plugin;     /* its own; NULL: the one that the greeting names */
    const char *attributes; /* name, NUL, value, NUL, ..., NUL; NULL: none */
    uint32_t caps;
    bool safe;       /* sends passwords as they are */
    bool keeps_back; /* answers a greeting of another plugin with nothing */
    /* what came */
    uint8_t salt[MY_SALT_BYTES];
    char current[64]; /* plugin of the exchange */
    char story[200];  /* "greeting sha2 switch native ok" */
    char version[64];
    uint32_t offered;
    unsigned code; /* of an ERR */
    char state[6];
    char text[256];
    uint8_t seq; /* of the next packet */
    bool greeted, over;
};

#define PEER_CAPS                                                                                  \
    (MY_CAP_PROTOCOL_41 | MY_CAP_SECURE_CONNECTION | MY_CAP_PLUGIN_AUTH | MY_CAP_PLUGIN_LENENC |   \
     MY_CAP_CONNECT_WITH_DB | MY_CAP_MULTI_RESULTS)

static inline void peer_note(struct peer *p, const char *what)
{
    size_t n = strlen(p->story);
    (void)snprintf(p->story + n, sizeof p->story - n, "%s%s", n != 0 ? " " : "", what);
}

static inline size_t peer_scramble(const struct peer *p, uint8_t out[256])
{
    uint8_t once[MY_SHA256_BYTES];
    size_t n = strlen(p->password);
    if (n == 0)
        return 0;
    if (strcmp(p->current, MY_PLUGIN_NATIVE) == 0) {
        my_sha1(p->password, n, once);
        my_native_answer(once, p->salt, out);
        return MY_SHA1_BYTES;
    }
    if (strcmp(p->current, MY_PLUGIN_SHA2) == 0) {
        my_sha256(p->password, n, once);
        my_sha2_answer(once, p->salt, out);
        return MY_SHA256_BYTES;
    }
    memcpy(out, p->password, n + 1);
    return n + 1;
}

static inline void peer_send(struct peer *p, struct buf *to, const void *payload, size_t n)
{
    if (!my_put_packet(to, p->seq++, payload, n))
        abort();
}

static inline void peer_put_attributes(struct buf *b, const char *text)
{
    struct buf all = {0};
    uint8_t head[9];
    for (const char *at = text; *at != '\0'; at += strlen(at) + 1) {
        if (!buf_append(&all, head, my_write_lenenc(head, strlen(at))) ||
            !buf_append(&all, at, strlen(at)))
            abort();
    }
    if (!buf_append(b, head, my_write_lenenc(head, buf_len(&all))) ||
        !buf_append(b, buf_head(&all), buf_len(&all)))
        abort();
    buf_release(&all);
}

/* The answer to the greeting. */
static inline void peer_hello(struct peer *p, struct buf *to)
{
    static const uint8_t filler[23];
    struct buf b = {0};
    uint8_t word[4], auth[256], head[9];
    uint32_t caps = p->caps | (p->attributes != NULL ? MY_CAP_CONNECT_ATTRS : 0);
    if (p->plugin != NULL) {
        if (strcmp(p->plugin, p->current) != 0)
            p->keeps_back = p->keeps_back && true;
        else
            p->keeps_back = false;
        (void)snprintf(p->current, sizeof p->current, "%s", p->plugin);
    }
    size_t n = p->keeps_back ? 0 : peer_scramble(p, auth);
    bool ok = true;
    my_put32(word, caps);
    ok = ok && buf_append(&b, word, 4);
    my_put32(word, 1u << 24);
    ok = ok && buf_append(&b, word, 4) && buf_append(&b, "\x2d", 1) &&
         buf_append(&b, filler, sizeof filler) && buf_append(&b, p->user, strlen(p->user) + 1);
    if ((caps & (MY_CAP_PLUGIN_LENENC | MY_CAP_SECURE_CONNECTION)) != 0) {
        ok = ok && buf_append(&b, head, my_write_lenenc(head, n)) && buf_append(&b, auth, n);
    } else {
        ok = ok && buf_append(&b, auth, n) && buf_append(&b, "", 1);
    }
    if ((caps & MY_CAP_CONNECT_WITH_DB) != 0)
        ok = ok && buf_append(&b, p->database, strlen(p->database) + 1);
    if ((caps & MY_CAP_PLUGIN_AUTH) != 0)
        ok = ok && buf_append(&b, p->current, strlen(p->current) + 1);
    if (!ok)
        abort();
    if (p->attributes != NULL)
        peer_put_attributes(&b, p->attributes);
    peer_send(p, to, buf_head(&b), buf_len(&b));
    buf_release(&b);
}

static inline void peer_on_greeting(struct peer *p, struct my_reader *r)
{
    struct my_view v;
    (void)my_read_int(r, 1);
    v = my_read_nul(r);
    (void)snprintf(p->version, sizeof p->version, "%s", (const char *)v.p);
    (void)my_read_int(r, 4);
    v = my_read_bytes(r, 8);
    memcpy(p->salt, v.p, 8);
    (void)my_read_int(r, 1);
    p->offered = (uint32_t)my_read_int(r, 2);
    (void)my_read_int(r, 3);
    p->offered |= (uint32_t)my_read_int(r, 2) << 16;
    (void)my_read_bytes(r, 11);
    v = my_read_nul(r);
    if (r->bad || v.n != 12)
        abort();
    memcpy(p->salt + 8, v.p, 12);
    v = my_read_nul(r);
    (void)snprintf(p->current, sizeof p->current, "%s", (const char *)v.p);
    p->greeted = true;
    peer_note(p, strcmp(p->current, MY_PLUGIN_SHA2) == 0 ? "sha2" : "native");
}

static inline void peer_on_switch(struct peer *p, struct my_reader *r, struct buf *to)
{
    uint8_t auth[256];
    (void)my_read_int(r, 1);
    struct my_view v = my_read_nul(r);
    (void)snprintf(p->current, sizeof p->current, "%s", (const char *)v.p);
    v = my_read_nul(r);
    if (r->bad || v.n != MY_SALT_BYTES)
        abort();
    memcpy(p->salt, v.p, MY_SALT_BYTES);
    peer_note(p, "switch");
    peer_note(p, strcmp(p->current, MY_PLUGIN_SHA2) == 0    ? "sha2"
                 : strcmp(p->current, MY_PLUGIN_CLEAR) == 0 ? "clear"
                                                            : "native");
    peer_send(p, to, auth, peer_scramble(p, auth));
}

static inline void peer_on_more(struct peer *p, struct my_reader *r, struct buf *to)
{
    (void)my_read_int(r, 1);
    struct my_view v = my_read_rest(r);
    if (v.n == 1 && v.p[0] == 3) {
        peer_note(p, "fast");
    } else if (v.n == 1 && v.p[0] == 4 && p->safe) {
        peer_note(p, "full");
        peer_send(p, to, p->password, strlen(p->password) + 1);
    } else if (v.n == 1 && v.p[0] == 4) {
        peer_note(p, "full key");
        peer_send(p, to, "\x02", 1);
    } else {
        struct buf sealed = {0};
        if (!my_rsa_encrypt((const char *)v.p, v.n, p->password, p->salt, &sealed))
            abort();
        peer_note(p, "sealed");
        peer_send(p, to, buf_head(&sealed), buf_len(&sealed));
        buf_release(&sealed);
    }
}

static inline void peer_on_error(struct peer *p, struct my_reader *r)
{
    (void)my_read_int(r, 1);
    p->code = (unsigned)my_read_int(r, 2);
    if (my_left(r) != 0 && r->p[0] == '#') {
        (void)my_read_int(r, 1);
        memcpy(p->state, my_read_bytes(r, 5).p, 5);
    }
    struct my_view v = my_read_rest(r);
    (void)snprintf(p->text, sizeof p->text, "%.*s", (int)v.n, (const char *)v.p);
    peer_note(p, "error");
    p->over = true;
}

/* Everything weir sent; what the client answers goes to `to`. */
static inline void peer_read(struct peer *p, struct buf *from, struct buf *to)
{
    while (buf_len(from) != 0) {
        const uint8_t *at = buf_head(from);
        if (buf_len(from) < MY_HEAD_BYTES || p->over)
            abort();
        size_t n = my_get24(at);
        if (buf_len(from) < MY_HEAD_BYTES + n || at[3] != p->seq)
            abort();
        p->seq = (uint8_t)(at[3] + 1);
        struct my_reader r = my_reader_of(at + MY_HEAD_BYTES, n);
        if (at[MY_HEAD_BYTES] == 0xff) {
            peer_on_error(p, &r);
        } else if (!p->greeted) {
            peer_on_greeting(p, &r);
            peer_hello(p, to);
        } else if (at[MY_HEAD_BYTES] == 0xfe) {
            peer_on_switch(p, &r, to);
        } else if (at[MY_HEAD_BYTES] == 0x01) {
            peer_on_more(p, &r, to);
        } else {
            peer_note(p, "ok");
            p->over = true;
        }
        buf_consume(from, MY_HEAD_BYTES + n);
    }
}

#endif
