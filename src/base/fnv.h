/* SPDX-License-Identifier: ISC
 * FNV-1a, 32 bits: a mark of some bytes, to tell them from others. Who can choose the bytes can
 * choose two of one mark, so it is for what would harm nobody but them.
 */
#ifndef WEIR_BASE_FNV_H
#define WEIR_BASE_FNV_H

#include <stddef.h>
#include <stdint.h>

#define FNV_START 2166136261u

/* The mark `h` of what came before, with n bytes more. Pure; any thread. */
static inline uint32_t fnv_add(uint32_t h, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 16777619u;
    return h;
}

#endif
