/* SPDX-License-Identifier: ISC
 * A MySQL server that lies while weir logs in to it. The first byte says what weir knows and on
 * which way it is; the rest are the server's packets. What comes out may not depend on how they
 * were cut, nothing may be sent that gives a password away on an unsafe way, and nothing grows
 * without a bound.
 */
#include "config.h"

#include "proto/mysql/my_dial_priv.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PASSWORD "the.clear.password"
#define SAID_MAX (512u * 1024u)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { F_TLS = 1, F_LOCAL = 2, F_PASSWORD = 4, F_KEYS = 8, F_QUERY = 16, F_NAMES = 32 };
enum cut { CUT_PACKETS, CUT_BYTES, CUT_NOTHING };

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* What my_dial.c has beside sockets; the rest of it is not in here. */

const char *my_dial_param(const struct my_origin *o, const char *key)
{
    for (size_t i = 0; i < o->n_params; i++)
        if (strcmp(o->params[i].key, key) == 0)
            return o->params[i].value;
    return "";
}

enum dial_step my_dial_fail(struct my_dial *d, enum dial_failure why, const char *code,
                            const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(d->text, sizeof d->text, fmt, ap);
    va_end(ap);
    check(strlen(code) == 5);
    snprintf(d->code, sizeof d->code, "%s", code);
    d->why = why;
    d->state = MY_D_FAILED;
    return DIAL_FAILED;
}

static void start(struct my_dial *d, struct my_origin *o, uint8_t flags)
{
    static struct dsn_param all[8];
    size_t n = 0;
    all[n++] = (struct dsn_param){"user", "u"};
    if ((flags & F_PASSWORD) != 0)
        all[n++] = (struct dsn_param){"password", PASSWORD};
    if ((flags & F_KEYS) != 0) {
        all[n++] = (struct dsn_param){"native_sha1", "e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4"};
        all[n++] = (struct dsn_param){
            "sha2_sha256", "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"};
    }
    if ((flags & F_QUERY) != 0)
        all[n++] = (struct dsn_param){"connect_query", "SET @a := 1"};
    if ((flags & F_NAMES) != 0) {
        all[n++] = (struct dsn_param){"dbname", "shop"};
        all[n++] = (struct dsn_param){"pool_flags", "20002"};
    }
    *o = (struct my_origin){.params = all, .n_params = n};
    *d = (struct my_dial){.fd = -1,
                          .origin = o,
                          .state = MY_D_GREETING,
                          .local = (flags & F_LOCAL) != 0,
                          .mode = (flags & F_TLS) != 0 ? DIAL_SSL_REQUIRE : DIAL_SSL_DISABLE};
}

/* Sent: kept for the comparison, and looked at. */
static void sent(struct my_dial *d, struct buf *said)
{
    bool safe = d->ssl != NULL || d->local;
    check(buf_len(&d->out) != 0);
    check(safe ||
          memmem(buf_head(&d->out), buf_len(&d->out), PASSWORD, sizeof PASSWORD - 1) == NULL);
    check(buf_append(said, buf_head(&d->out), buf_len(&d->out)));
    check(buf_len(said) < SAID_MAX);
    buf_consume(&d->out, buf_len(&d->out));
}

/* Let it speak until it needs more, is done, or has failed. false: no more. */
static bool run(struct my_dial *d, struct buf *said)
{
    for (;;) {
        enum dial_step step = my_dial_talk(d);
        check((step == DIAL_FAILED) == (d->state == MY_D_FAILED));
        check((step == DIAL_DONE) == (d->state == MY_D_DONE));
        if (step == DIAL_READ || step == DIAL_DONE || step == DIAL_FAILED)
            return step == DIAL_READ;
        sent(d, said);
        if (d->state != MY_D_TLS)
            continue;
        if (buf_len(&d->in) != 0) {
            (void)my_dial_fail(d, DIAL_FAIL_REACH, "08S01", "early");
            return false;
        }
        d->ssl = (struct ssl_st *)d; /* nothing in here looks into it */
        d->state = MY_D_HANDSHAKE;
        if (my_dial_answer(d) == DIAL_FAILED)
            return false;
        sent(d, said);
    }
}

static size_t next_cut(const uint8_t *p, size_t n, enum cut how)
{
    if (how == CUT_NOTHING || (how == CUT_PACKETS && n < MY_HEAD_BYTES))
        return n;
    if (how == CUT_BYTES)
        return 1;
    size_t len = MY_HEAD_BYTES + (size_t)my_get24(p);
    return len < n ? len : n;
}

static void play(struct my_dial *d, struct buf *said, const uint8_t *p, size_t n, enum cut how)
{
    for (size_t at = 0, m = 0; at < n; at += m) {
        m = next_cut(p + at, n - at, how);
        check(buf_append(&d->in, p + at, m));
        if (!run(d, said))
            break;
        check(buf_len(&d->rows) < SAID_MAX);
    }
}

static void finish(struct my_dial *d, struct buf *said)
{
    struct my_reader row;
    for (size_t i = 0; my_dial_row(d, i, &row); i++)
        for (size_t left = my_left(&row); left != 0; left = my_left(&row))
            (void)my_read_lenenc_bytes(&row);
    vars_put(&d->base);
    buf_release(&d->in);
    buf_release(&d->out);
    buf_release(&d->rows);
    buf_release(said);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    struct my_dial d[3];
    struct my_origin o[3];
    struct buf said[3] = {{0}, {0}, {0}};
    if (!ready)
        ready = vars_init();
    if (size == 0 || size > 16384)
        return 0;
    for (unsigned i = 0; i < 3; i++) {
        start(&d[i], &o[i], data[0]);
        play(&d[i], &said[i], data + 1, size - 1, (enum cut)i);
    }
    check(d[CUT_PACKETS].state == d[CUT_BYTES].state);
    check(d[CUT_PACKETS].why == d[CUT_BYTES].why);
    check(strcmp(d[CUT_PACKETS].text, d[CUT_BYTES].text) == 0);
    check(strcmp(d[CUT_PACKETS].code, d[CUT_BYTES].code) == 0);
    check(strcmp(d[CUT_PACKETS].refused, d[CUT_BYTES].refused) == 0);
    check(buf_len(&said[CUT_PACKETS]) == buf_len(&said[CUT_BYTES]));
    check(buf_len(&d[CUT_PACKETS].rows) == buf_len(&d[CUT_BYTES].rows));
    for (unsigned i = 0; i < 3; i++)
        finish(&d[i], &said[i]);
    return 0;
}
