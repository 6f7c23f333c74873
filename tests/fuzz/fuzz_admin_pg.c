/* SPDX-License-Identifier: ISC
 * The console's session fed with anything, and its commands with it: every command that leaves is
 * answered with an error, so that the session goes on.
 */
#include "config.h"

#include "admin/admin_pg.h"
#include "admin/admin_result.h"
#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_execute(void *ctx, const char *text)
{
    (void)ctx;
    (void)text;
}

static enum admin_pg_state answer(struct admin_pg *pg, struct buf *out)
{
    struct admin_result *r = admin_result_create("SHOW");
    if (r != NULL)
        admin_result_fail(r, "57014", "no");
    return admin_pg_result(pg, r, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct admin_pg *pg = admin_pg_create("weir", on_execute, NULL);
    struct buf out = {0};
    enum admin_pg_state s = ADMIN_PG_READY;
    size_t at = 0, used = 1;
    while (pg != NULL && s == ADMIN_PG_READY && used != 0) {
        s = admin_pg_feed(pg, data + at, size - at, &used, &out);
        at += used;
        while (s == ADMIN_PG_WAIT || s == ADMIN_PG_MORE) {
            buf_release(&out);
            s = s == ADMIN_PG_WAIT ? answer(pg, &out) : admin_pg_more(pg, &out);
            used = 1;
        }
    }
    buf_release(&out);
    admin_pg_destroy(&pg);
    return 0;
}
