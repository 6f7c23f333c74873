/* SPDX-License-Identifier: ISC
 * See admin_text.h.
 */
#include "config.h"

#include "admin/admin_text.h"

#include "admin/admin_table.h"

#include "base/buf.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <string.h>

static bool put(struct buf *out, const char *text)
{
    return buf_append(out, text, strlen(text));
}

/* One character of a JSON string, its escape where it needs one ('<' for those who put the text
 * into a page). */
static bool json_char(struct buf *out, const char *p, size_t len, uint32_t c)
{
    if (c == '"' || c == '\\')
        return buf_append(out, "\\", 1) && buf_append(out, p, 1);
    if (c == '\n')
        return put(out, "\\n");
    if (utf8_is_control(c) || c == '<')
        return buf_printf(out, "\\u%04x", c);
    return buf_append(out, p, len);
}

bool admin_json_string(struct buf *out, const char *text, size_t n)
{
    bool ok = put(out, "\"");
    for (size_t i = 0; ok && i < n;) {
        uint32_t c;
        size_t len = utf8_next((const unsigned char *)text + i, n - i, &c);
        ok = c == UTF8_BAD ? put(out, "\\ufffd") : json_char(out, text + i, len, c);
        i += len;
    }
    return ok && put(out, "\"");
}

static bool json_row(struct buf *out, const struct admin_table *t, size_t row)
{
    size_t n;
    const struct admin_column *columns = admin_table_columns(t, &n);
    bool ok = put(out, "{");
    for (size_t i = 0; ok && i < n; i++) {
        size_t len;
        const char *cell = admin_table_cell(t, row, i, &len);
        ok = buf_printf(out, "%s\"%s\":", i == 0 ? "" : ",", columns[i].name);
        if (!ok)
            break;
        if (cell == NULL)
            ok = put(out, "null");
        else if (columns[i].type == ADMIN_TEXT)
            ok = admin_json_string(out, cell, len);
        else
            ok = buf_append(out, cell, len);
    }
    return ok && put(out, "}");
}

bool admin_json_table(struct buf *out, const struct admin_table *t, uint64_t offset, uint64_t limit,
                      bool complete)
{
    size_t total = admin_table_rows(t);
    bool ok = buf_printf(out, "{\"total\":%zu,\"offset\":%" PRIu64 ",\"complete\":%s,\"rows\":[",
                         total, offset, complete ? "true" : "false");
    uint64_t end = offset >= total ? offset : total - offset < limit ? total : offset + limit;
    for (uint64_t row = offset; ok && row < end; row++)
        ok = put(out, row == offset ? "\n" : ",\n") && json_row(out, t, (size_t)row);
    return ok && put(out, "]}\n");
}

bool admin_label_text(struct buf *out, const char *text)
{
    size_t n = strlen(text);
    bool ok = true;
    for (size_t i = 0; ok && i < n;) {
        uint32_t c;
        size_t len = utf8_next((const unsigned char *)text + i, n - i, &c);
        if (c == UTF8_BAD || (utf8_is_control(c) && c != '\n'))
            ok = put(out, "\xef\xbf\xbd");
        else if (text[i] == '\\' || text[i] == '"')
            ok = buf_append(out, "\\", 1) && buf_append(out, text + i, 1);
        else if (text[i] == '\n')
            ok = put(out, "\\n");
        else
            ok = buf_append(out, text + i, len);
        i += len;
    }
    return ok;
}
