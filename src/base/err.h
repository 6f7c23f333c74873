/* SPDX-License-Identifier: ISC
 * The reason that travels with a bad outcome. Filled where the fault is found, logged once, where
 * it is handled. Never holds a secret.
 */
#ifndef WEIR_BASE_ERR_H
#define WEIR_BASE_ERR_H

struct err {
    char text[256]; /* a sentence without a full stop, NUL-terminated; "" when there is none */
};

/* Write the reason; overlong text is cut. `e` may be NULL. */
void err_set(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
