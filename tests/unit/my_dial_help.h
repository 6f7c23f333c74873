/* SPDX-License-Identifier: ISC
 * A MySQL server of a few scripted packets, for the tests of logging in to one: scripts are built
 * packet by packet, with whatever lie the test wants in them.
 */
#ifndef WEIR_TESTS_UNIT_MY_DIAL_HELP_H
#define WEIR_TESTS_UNIT_MY_DIAL_HELP_H

#include "base/buf.h"
#include "proto/mysql/my_packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#define SALT      "abcdefghijklmnopqrst"
#define ALL_CAPS  ((MY_CAPS_WANTED & ~MY_CAPS_LATE) | MY_CAP_FOUND_ROWS | MY_CAP_CONNECT_WITH_DB)
#define THREAD_ID 7u
#define B(text)   text, sizeof text - 1

static inline void put(struct buf *b, const void *p, size_t n)
{
    assert_true(buf_append(b, p, n));
}

static inline void packet(struct buf *b, unsigned seq, const void *p, size_t n)
{
    assert_true(my_put_packet(b, (uint8_t)seq, p, n));
}

/* A greeting's payload; the plugin's name may be NULL. */
static inline void greeting_of(struct buf *b, const char *version, uint32_t caps,
                               const char *plugin)
{
    const uint8_t flags[] = {(uint8_t)caps,         (uint8_t)(caps >> 8),  45, 2, 0,
                             (uint8_t)(caps >> 16), (uint8_t)(caps >> 24), 21};
    put(b, "\12", 1);
    put(b, version, strlen(version) + 1);
    put(b, "\7\0\0\0", 4);
    put(b, SALT, 8);
    put(b, "", 1);
    put(b, flags, sizeof flags);
    put(b, "\0\0\0\0\0\0\0\0\0\0", 10);
    put(b, SALT + 8, sizeof SALT - 8);
    if (plugin != NULL)
        put(b, plugin, strlen(plugin) + 1);
}

static inline void greeting(struct buf *b, uint32_t caps, const char *plugin)
{
    struct buf payload = {0};
    greeting_of(&payload, "9.7.4", caps, plugin);
    packet(b, 0, buf_head(&payload), buf_len(&payload));
    buf_release(&payload);
}

static inline void auth_switch(struct buf *b, unsigned seq, const char *plugin)
{
    struct buf payload = {0};
    put(&payload, "\xfe", 1);
    put(&payload, plugin, strlen(plugin) + 1);
    put(&payload, SALT, sizeof SALT);
    packet(b, seq, buf_head(&payload), buf_len(&payload));
    buf_release(&payload);
}

static inline void ok_with(struct buf *b, unsigned seq, unsigned status)
{
    const uint8_t p[] = {0, 0, 0, (uint8_t)status, (uint8_t)(status >> 8), 0, 0};
    packet(b, seq, p, sizeof p);
}

static inline void ok(struct buf *b, unsigned seq)
{
    ok_with(b, seq, MY_ST_AUTOCOMMIT);
}

static inline void error(struct buf *b, unsigned seq, unsigned code, const char *state)
{
    assert_true(my_put_err(b, (uint8_t)seq, code, state, "said the server"));
}

/* A result of two columns; what stands between its EOFs is `rows`. */
static inline void result(struct buf *b, const void *rows, size_t n)
{
    packet(b, 1, B("\2"));
    packet(b, 2, B("\3def"));
    packet(b, 3, B("\3def"));
    packet(b, 4, B("\xfe\0\0\2\0"));
    put(b, rows, n);
    packet(b, 99, B("\xfe\0\0\2\0"));
}

/* What follows a good login: the answers to the SET and to SHOW VARIABLES. */
static inline void baseline(struct buf *b)
{
    ok(b, 1);
    result(b, B("\16\0\0\5\12autocommit\2ON"));
}

#endif
