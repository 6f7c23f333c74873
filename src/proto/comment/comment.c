/* SPDX-License-Identifier: ISC
 * See comment.h.
 */
#include "config.h"

#include "proto/comment/comment.h"

#include <string.h>

#define COMMENT_MAX   4096u /* bytes of a comment that are read */
#define DEADLINE_MAX  UINT32_C(86400000)
#define VERSION_BYTES 3 /* "00-" of a traceparent */

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* What stands behind `key` (with its =) and a quote, if there is one; NULL: nothing. */
static const char *value_of(const char *p, const char *end, const char *key)
{
    size_t len = strlen(key);
    const char *from = p;
    const char *at;
    while ((at = memmem(from, (size_t)(end - from), key, len)) != NULL) {
        const char *value = at + len;
        if (at == p || !is_word(at[-1]))
            return value < end && *value == '\'' ? value + 1 : value;
        from = value;
    }
    return NULL;
}

static uint32_t read_deadline(const char *v, const char *end)
{
    uint64_t ms = 0;
    const char *p = v;
    for (; p < end && *p >= '0' && *p <= '9' && ms < DEADLINE_MAX; p++)
        ms = ms * 10 + (uint64_t)(*p - '0');
    if (p == v)
        return 0;
    return ms == 0 ? 1 : ms < DEADLINE_MAX ? (uint32_t)ms : DEADLINE_MAX;
}

static const char *read_trace(const char *v, const char *end)
{
    bool any = false;
    if (end - v < VERSION_BYTES + TRACE_ID_BYTES + 1 || !is_hex(v[0]) || !is_hex(v[1]) ||
        v[2] != '-' || v[VERSION_BYTES + TRACE_ID_BYTES] != '-')
        return NULL;
    v += VERSION_BYTES;
    for (int i = 0; i < TRACE_ID_BYTES; i++) {
        if (!is_hex(v[i]))
            return NULL;
        any |= v[i] != '0';
    }
    return any ? v : NULL;
}

static void read_inside(const char *p, const char *end, struct comment *out)
{
    const char *v = value_of(p, end, "deadline_ms=");
    if (v != NULL && out->deadline_ms == 0)
        out->deadline_ms = read_deadline(v, end);
    v = value_of(p, end, "traceparent=");
    if (v != NULL && out->trace_id == NULL)
        out->trace_id = read_trace(v, end);
}

void comment_read(const char *text, size_t n, struct comment *out)
{
    *out = (struct comment){.trace_id = NULL};
    size_t from = 0;
    while (from < n && is_space(text[from]))
        from++;
    while (n > from && (is_space(text[n - 1]) || text[n - 1] == ';' || text[n - 1] == '\0'))
        n--;
    if (n - from < 4)
        return;
    if (text[n - 1] == '/' && text[n - 2] == '*') {
        size_t least = n - from > COMMENT_MAX ? n - COMMENT_MAX : from;
        for (size_t at = n - 3; at-- > least;)
            if (text[at] == '/' && text[at + 1] == '*') {
                read_inside(text + at + 2, text + n - 2, out);
                break;
            }
    }
    if (text[from] == '/' && text[from + 1] == '*') {
        const char *p = text + from + 2;
        size_t room = n - from - 2 < COMMENT_MAX ? n - from - 2 : COMMENT_MAX;
        const char *end = memmem(p, room, "*/", 2);
        if (end != NULL)
            read_inside(p, end, out);
    }
}

bool comment_read_ms(const char *text, size_t n, uint32_t *ms)
{
    static const struct {
        const char *unit;
        uint32_t times;
    } units[] = {{"", 1}, {"ms", 1}, {"s", 1000}, {"min", 60000}};
    uint64_t v = 0;
    size_t i = 0;
    while (i < n && is_space(text[i]))
        i++;
    size_t digits = i;
    for (; i < n && text[i] >= '0' && text[i] <= '9'; i++)
        v = v <= DEADLINE_MAX ? v * 10 + (uint64_t)(text[i] - '0') : v;
    if (i == digits)
        return false;
    while (i < n && is_space(text[i]))
        i++;
    while (n > i && is_space(text[n - 1]))
        n--;
    for (size_t u = 0; u < sizeof units / sizeof units[0]; u++) {
        if (n - i != strlen(units[u].unit) || memcmp(text + i, units[u].unit, n - i) != 0)
            continue;
        v *= units[u].times;
        *ms = v < DEADLINE_MAX ? (uint32_t)v : DEADLINE_MAX;
        return true;
    }
    return false;
}
