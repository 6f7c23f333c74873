/* SPDX-License-Identifier: ISC
 * See buf.h.
 */
#include "config.h"

#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_MAX (1u << 30)
#define BUF_MIN 256u

uint8_t *buf_reserve(struct buf *b, size_t want)
{
    size_t used = buf_len(b);
    if (want > BUF_MAX || used + want > BUF_MAX)
        return NULL;
    if ((size_t)(b->cap - b->len) >= want)
        return b->data + b->len;
    if (b->off != 0 && used + want <= b->cap) {
        memmove(b->data, b->data + b->off, used);
    } else {
        size_t cap = b->cap < BUF_MIN ? BUF_MIN : b->cap;
        while (cap < used + want)
            cap *= 2;
        uint8_t *fresh = malloc(cap);
        if (fresh == NULL)
            return NULL;
        if (used != 0)
            memcpy(fresh, b->data + b->off, used);
        free(b->data);
        b->data = fresh;
        b->cap = (uint32_t)cap;
    }
    b->off = 0;
    b->len = (uint32_t)used;
    return b->data + b->len;
}

void buf_commit(struct buf *b, size_t n)
{
    assert(n <= (size_t)(b->cap - b->len));
    b->len += (uint32_t)n;
}

bool buf_append(struct buf *b, const void *p, size_t n)
{
    if (n == 0)
        return true;
    uint8_t *to = buf_reserve(b, n);
    if (to == NULL)
        return false;
    memcpy(to, p, n);
    buf_commit(b, n);
    return true;
}

bool buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        return false;
    uint8_t *to = buf_reserve(b, (size_t)n + 1);
    if (to == NULL)
        return false;
    va_start(ap, fmt);
    (void)vsnprintf((char *)to, (size_t)n + 1, fmt, ap);
    va_end(ap);
    buf_commit(b, (size_t)n);
    return true;
}

void buf_consume(struct buf *b, size_t n)
{
    assert(n <= buf_len(b));
    b->off += (uint32_t)n;
    if (b->off == b->len)
        b->off = b->len = 0;
}

void buf_release(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}
