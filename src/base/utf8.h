/* SPDX-License-Identifier: ISC
 * UTF-8 as RFC 3629, section 4, has it: no overlong form, no surrogate, nothing above U+10FFFF.
 * Pure.
 */
#ifndef WEIR_BASE_UTF8_H
#define WEIR_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the sequence at p, of which n are there; 0: it isn't one. */
size_t utf8_sequence(const unsigned char *p, size_t n);
/* The character at p, of which n > 0 bytes are there, or UTF8_BAD; returns the bytes to step over,
 * one for UTF8_BAD. */
#define UTF8_BAD UINT32_MAX
size_t utf8_next(const unsigned char *p, size_t n, uint32_t *character);
/* Does it act on the terminal or the text around it: a control character (C0, DEL, C1), or one that
 * turns the direction of writing? */
bool utf8_is_control(uint32_t character);

#endif
