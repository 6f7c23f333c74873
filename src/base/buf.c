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
    struct buf_block *k = b->block;
    size_t used = buf_len(b);
    if (want > BUF_MAX || used + want > BUF_MAX)
        return NULL;
    if (k != NULL && (size_t)(k->cap - k->len) >= want)
        return k->data + k->len;
    if (k != NULL && k->off != 0 && used + want <= k->cap) {
        memmove(k->data, k->data + k->off, used);
    } else {
        size_t size = k == NULL ? BUF_MIN : sizeof *k + k->cap;
        while (size < sizeof *k + used + want)
            size *= 2;
        k = malloc(size);
        if (k == NULL)
            return NULL;
        if (used != 0)
            memcpy(k->data, buf_head(b), used);
        free(b->block);
        b->block = k;
        k->cap = (uint32_t)(size - sizeof *k);
    }
    k->off = 0;
    k->len = (uint32_t)used;
    return k->data + k->len;
}

void buf_commit(struct buf *b, size_t n)
{
    if (b->block == NULL) {
        assert(n == 0);
        return;
    }
    assert(n <= (size_t)(b->block->cap - b->block->len));
    b->block->len += (uint32_t)n;
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
    struct buf_block *k = b->block;
    assert(n <= buf_len(b));
    if (k == NULL)
        return;
    k->off += (uint32_t)n;
    if (k->off == k->len)
        k->off = k->len = 0;
}

void buf_unput(struct buf *b, size_t n)
{
    assert(n <= buf_len(b));
    if (n != 0)
        b->block->len -= (uint32_t)n;
}

void *buf_steal(struct buf *b)
{
    void *bytes = b->block;
    if (bytes != NULL)
        memmove(bytes, buf_head(b), buf_len(b));
    b->block = NULL;
    return bytes;
}

bool buf_append_secret(struct buf *b, const void *p, size_t n)
{
    struct buf all = {0};
    if (b->block == NULL || buf_len(b) + n <= b->block->cap) /* it stays in its block */
        return buf_append(b, p, n);
    if (buf_reserve(&all, buf_len(b) + n) == NULL)
        return false;
    (void)!buf_append(&all, buf_head(b), buf_len(b)); /* both have their room */
    (void)!buf_append(&all, p, n);
    buf_wipe(b);
    buf_release(b);
    *b = all;
    return true;
}

void buf_consume_secret(struct buf *b, size_t n)
{
    if (n != 0)
        explicit_bzero(buf_head(b), n);
    buf_consume(b, n);
}

void buf_wipe(struct buf *b)
{
    if (b->block != NULL)
        explicit_bzero(b->block->data, b->block->cap);
}

void buf_release(struct buf *b)
{
    free(b->block);
    b->block = NULL;
}
