/* SPDX-License-Identifier: ISC
 * UTF-8 as RFC 3629, section 4, has it: no overlong form, no surrogate, nothing above U+10FFFF.
 * Pure.
 */
#ifndef WEIR_BASE_UTF8_H
#define WEIR_BASE_UTF8_H

#include <stddef.h>

/* Bytes of the sequence at p, of which n are there; 0: it isn't one. */
size_t utf8_sequence(const unsigned char *p, size_t n);

#endif
