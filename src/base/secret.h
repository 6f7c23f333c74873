/* SPDX-License-Identifier: ISC
 * The end of a text that nobody should find in memory afterwards. Any thread.
 */
#ifndef WEIR_BASE_SECRET_H
#define WEIR_BASE_SECRET_H

#include <stdlib.h>
#include <string.h>

/* Zero and free it; it may be NULL, and is afterwards. */
static inline void secret_wipe(char **text)
{
    if (*text != NULL)
        explicit_bzero(*text, strlen(*text));
    free(*text);
    *text = NULL;
}

#endif
