/* SPDX-License-Identifier: ISC
 * See pg_builtin.h.
 */
#include "config.h"

#include "proto/pg/pg_builtin.h"
#include "proto/pg/pg_lex.h"

#include "base/fnv.h"

#include <pthread.h>
#include <string.h>

static const char *const names[] = {
#define W(name) #name,
#include "proto/pg/pg_builtin.def"
#undef W
};

#define BITS 65536u /* of which each name has two */
static uint64_t known[BITS / 64];
static pthread_once_t once = PTHREAD_ONCE_INIT;

uint32_t pg_builtin_mark(const char *name, size_t n)
{
    uint32_t mark = FNV_START;
    for (size_t i = 0; i < n; i++) {
        uint8_t c = pg_lex_lower((uint8_t)name[i]);
        mark = fnv_add(mark, &c, 1);
    }
    return mark;
}

static void learn(void)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        uint32_t mark = pg_builtin_mark(names[i], strlen(names[i]));
        known[mark % BITS / 64] |= UINT64_C(1) << mark % 64;
        known[mark / BITS / 64] |= UINT64_C(1) << mark / BITS % 64;
    }
}

bool pg_builtin_is(uint32_t mark)
{
    (void)pthread_once(&once, learn);
    return (known[mark % BITS / 64] >> mark % 64 & 1) != 0 &&
           (known[mark / BITS / 64] >> mark / BITS % 64 & 1) != 0;
}
