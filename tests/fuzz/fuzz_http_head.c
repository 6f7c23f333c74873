/* SPDX-License-Identifier: ISC
 * The head of an HTTP request.
 */
#include "config.h"

#include "net/http.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_head h;
    int used = http_head_parse((const char *)data, size, &h);
    if (used > 0) {
        if ((size_t)used > size || h.path[0] != '/')
            abort();
        (void)http_query_uint(h.query, "limit", 0);
        /* No prefix of a whole head may be taken for one. */
        struct http_head cut;
        if (http_head_parse((const char *)data, (size_t)used - 1, &cut) > 0)
            abort();
    }
    return 0;
}
