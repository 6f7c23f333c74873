/* SPDX-License-Identifier: ISC
 * See admin_page.h.
 */
#include "config.h"

#include "admin/admin_page.h"

#include "base/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* Made from page.html by make: a string literal for each line. */
static const char page[] =
#include "admin/page.inc"
    ;

static const char mark[] = "@NONCE@";

bool admin_page_write(struct buf *out, char csp[ADMIN_PAGE_CSP_MAX])
{
    uint8_t bytes[16];
    char nonce[2 * sizeof bytes + 1];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return false;
    for (size_t i = 0; i < sizeof bytes; i++)
        (void)snprintf(nonce + 2 * i, 3, "%02x", bytes[i]);
    const char *p = page, *at;
    while ((at = strstr(p, mark)) != NULL) {
        if (!buf_append(out, p, (size_t)(at - p)) || !buf_append(out, nonce, strlen(nonce)))
            return false;
        p = at + strlen(mark);
    }
    (void)snprintf(csp, ADMIN_PAGE_CSP_MAX,
                   "default-src 'none'; script-src 'nonce-%s'; style-src 'nonce-%s'; "
                   "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
                   "frame-ancestors 'none'",
                   nonce, nonce);
    return buf_append(out, p, strlen(p));
}
