/* SPDX-License-Identifier: ISC
 * The page at /: page.html, compiled in. It loads nothing from anywhere but the JSON beside it, and
 * its policy says so: only the script and the style that carry this answer's nonce may run.
 */
#ifndef WEIR_ADMIN_ADMIN_PAGE_H
#define WEIR_ADMIN_ADMIN_PAGE_H

#include <stdbool.h>

struct buf;

#define ADMIN_PAGE_CSP_MAX 256

/* The page and the Content-Security-Policy that belongs to it; false when out of memory. */
bool admin_page_write(struct buf *out, char csp[ADMIN_PAGE_CSP_MAX])
    __attribute__((warn_unused_result));

#endif
