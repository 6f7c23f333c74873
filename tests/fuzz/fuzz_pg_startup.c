/* SPDX-License-Identifier: ISC
 * The first packet of anybody: peeked at, read, its options split. Each view must lie inside the
 * packet and end in NUL, and a packet that is whole must not be asked for again.
 */
#include "config.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/pg/pg_startup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static bool on_setting(void *arg, const struct pg_setting *s)
{
    size_t *sum = arg;
    check(strlen(s->name.p) == s->name.n && strlen(s->value.p) == s->value.n);
    check(memchr(s->name.p, '=', s->name.n) == NULL);
    *sum += s->name.n + s->value.n;
    return true;
}

static void read_options(struct pg_view options)
{
    struct pg_fault fault;
    size_t sum = 0;
    if (!pg_startup_options(options, on_setting, &sum, &fault))
        check(strcmp(fault.sqlstate, "42601") == 0 && fault.message[0] != '\0');
}

static void read_startup(const uint8_t *data, size_t len)
{
    struct pg_startup s;
    struct pg_fault fault;
    struct pg_setting pair;
    struct buf out = {0};
    size_t at = 0;
    if (!pg_startup_parse(data, len, &s, &fault)) {
        check(strlen(fault.sqlstate) == 5 && fault.message[0] != '\0');
        return;
    }
    check(s.user.n != 0 && s.database.n != 0);
    while (pg_startup_next(&s, &at, &pair)) {
        const char *end = (const char *)data + len;
        check(pair.name.p > (const char *)data && pair.value.p + pair.value.n < end);
        check(pair.name.p[pair.name.n] == '\0' && pair.value.p[pair.value.n] == '\0');
    }
    struct pg_view role;
    struct pg_view function;
    pg_startup_split_user(s.user, &role, &function);
    check(role.n != 0 && role.n + function.n + (function.p != NULL) == s.user.n);
    check(pg_startup_negotiate(&s, &out));
    buf_release(&out);
    if (s.options.p != NULL)
        read_options(s.options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pg_fault fault;
    struct pg_view key;
    uint32_t pid;
    size_t len = 0;
    enum pg_first_kind kind = pg_startup_peek(data, size, &len, &fault);
    check(kind != PG_FIRST_NEED_MORE || (len > size && len <= PG_STARTUP_MAX_BYTES));
    check(kind == PG_FIRST_NEED_MORE || kind == PG_FIRST_BAD || len <= size);
    if (kind == PG_FIRST_STARTUP)
        read_startup(data, len);
    if (kind == PG_FIRST_CANCEL)
        check(pg_startup_parse_cancel(data, len, &pid, &key) && key.n >= 4);
    if (memchr(data, '\0', size) == NULL && size <= PG_STARTUP_MAX_BYTES)
        read_options((struct pg_view){(const char *)data, size});
    return 0;
}
