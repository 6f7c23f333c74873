/* SPDX-License-Identifier: ISC
 * A flat byte buffer: a window [off, len) into one heap block.
 *
 * What it is not: a chain or a ring. What must be looked at as a whole (a message head, a text to
 * be rewritten) wants to be contiguous, and what need not be is never buffered at all.
 * An empty buffer owns no memory after buf_release() and is one pointer then: an idle client has
 * two of them. Not locked: one owner.
 */
#ifndef WEIR_BASE_BUF_H
#define WEIR_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf_block {
    uint32_t off; /* first unread byte */
    uint32_t len; /* end of the valid bytes; off <= len <= cap */
    uint32_t cap;
    _Alignas(16) uint8_t data[];
};

struct buf {
    struct buf_block *block; /* NULL when nothing is owned */
};

/* Bytes waiting to be read. */
static inline size_t buf_len(const struct buf *b)
{
    return b->block != NULL ? (size_t)(b->block->len - b->block->off) : 0;
}

/* First unread byte, NULL when nothing is owned; valid until the next call that may grow the
 * buffer. */
static inline uint8_t *buf_head(const struct buf *b)
{
    return b->block != NULL ? b->block->data + b->block->off : NULL;
}

/* Make room for `want` more bytes; returns where to write them, or NULL when memory is out or the
 * buffer would exceed 1 GiB. The bytes count only after buf_commit(). */
uint8_t *buf_reserve(struct buf *b, size_t want);
void buf_commit(struct buf *b, size_t n);

/* Append; false when out of memory, then nothing was added. */
bool buf_append(struct buf *b, const void *p, size_t n) __attribute__((warn_unused_result));
/* Append printf-formatted text without its NUL. */
bool buf_printf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3), warn_unused_result));

/* Drop n bytes from the front (n <= buf_len). */
void buf_consume(struct buf *b, size_t n);

/* Drop n bytes from the end (n <= buf_len). */
void buf_unput(struct buf *b, size_t n);

/* The bytes as a block of their own, the caller's to free(); NULL when nothing is owned. The buffer
 * is empty afterwards. */
void *buf_steal(struct buf *b) __attribute__((warn_unused_result));

/* As buf_append() and buf_consume(), and of what may be a secret no copy is left: not in a block
 * that became too small, not in front of what is still there. */
bool buf_append_secret(struct buf *b, const void *p, size_t n) __attribute__((warn_unused_result));
void buf_consume_secret(struct buf *b, size_t n);

/* Zero the whole block, what was read of it included: a secret went this way. */
void buf_wipe(struct buf *b);

/* Free the block; the buffer is empty and usable afterwards. */
void buf_release(struct buf *b);

#endif
