/* SPDX-License-Identifier: ISC
 * The console's MySQL session fed with anything, and its commands with it: every command that
 * leaves is answered with an error, so that the session goes on.
 */
#include "config.h"

#include "admin/admin_mysql.h"
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

static enum console_state answer(struct admin_mysql *my, struct buf *out)
{
    struct admin_result *r = admin_result_create("SHOW");
    if (r != NULL)
        admin_result_fail(r, "57014", "no");
    return admin_mysql_result(my, r, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct admin_mysql *my = admin_mysql_create("weir", 0, on_execute, NULL);
    struct buf out = {0};
    enum console_state s = CONSOLE_READY;
    size_t at = 0, used = 1;
    while (my != NULL && s == CONSOLE_READY && used != 0) {
        s = admin_mysql_feed(my, data + at, size - at, &used, &out);
        at += used;
        while (s == CONSOLE_WAIT || s == CONSOLE_MORE) {
            buf_release(&out);
            s = s == CONSOLE_WAIT ? answer(my, &out) : admin_mysql_more(my, &out);
            used = 1;
        }
    }
    buf_release(&out);
    admin_mysql_destroy(&my);
    return 0;
}
