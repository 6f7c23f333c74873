/* SPDX-License-Identifier: ISC
 * The parser of http.h: the request line is looked at, header fields only have to be lines.
 */
#include "config.h"

#include "net/http.h"

#include <stdlib.h>
#include <string.h>

/* The end of the head (behind the empty line), or NULL. A bare LF ends a line too (RFC 9112, 2.2).
 */
static const char *head_end(const char *p, size_t n)
{
    const char *end = p + n, *nl;
    while ((nl = memchr(p, '\n', (size_t)(end - p))) != NULL) {
        p = nl + 1;
        if (p < end && *p == '\n')
            return p + 1;
        if (end - p >= 2 && p[0] == '\r' && p[1] == '\n')
            return p + 2;
    }
    return NULL;
}

static int refuse(struct http_head *h, int status)
{
    h->status = status;
    return -1;
}

static bool starts(const char *p, size_t n, const char *with)
{
    return n >= strlen(with) && memcmp(p, with, strlen(with)) == 0;
}

static bool copy(char *to, size_t room, const char *from, size_t n)
{
    if (n >= room)
        return false;
    memcpy(to, from, n);
    to[n] = '\0';
    return true;
}

/* Visible ASCII only: what a browser percent-encodes must come that way. */
static bool clean(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] <= ' ' || p[i] > '~')
            return false;
    return true;
}

static int parse_line(const char *p, size_t n, struct http_head *h)
{
    if (n > 0 && p[n - 1] == '\r')
        n--;
    const char *space = memchr(p, ' ', n);
    if (space == NULL)
        return refuse(h, 400);
    const char *target = space + 1;
    size_t rest = n - (size_t)(target - p);
    const char *version = memchr(target, ' ', rest);
    if (version == NULL)
        return refuse(h, 400);
    size_t len = (size_t)(version - target);
    size_t version_len = n - (size_t)(version + 1 - p);
    if (!starts(version + 1, version_len, "HTTP/"))
        return refuse(h, 400);
    if (version_len != 8 || !starts(version + 1, version_len, "HTTP/1."))
        return refuse(h, 505);
    h->head_only = starts(p, n, "HEAD ");
    if (!h->head_only && !starts(p, n, "GET "))
        return refuse(h, 405);
    if (len == 0 || target[0] != '/' || !clean(target, len))
        return refuse(h, 400);
    const char *mark = memchr(target, '?', len);
    size_t path_len = mark == NULL ? len : (size_t)(mark - target);
    if (!copy(h->path, sizeof h->path, target, path_len))
        return refuse(h, 414);
    if (mark != NULL && !copy(h->query, sizeof h->query, mark + 1, len - path_len - 1))
        return refuse(h, 414);
    return 0;
}

int http_head_parse(const char *p, size_t n, struct http_head *h)
{
    *h = (struct http_head){0};
    /* A stray line end in front of the request is skipped (RFC 9112, 2.2). */
    const char *begin = p;
    while (n > 0 && (*begin == '\r' || *begin == '\n')) {
        begin++;
        n--;
    }
    const char *end = n == 0 ? NULL : head_end(begin, n);
    if (end == NULL)
        return n + (size_t)(begin - p) >= HTTP_HEAD_MAX ? refuse(h, 431) : 0;
    if (end - p > HTTP_HEAD_MAX)
        return refuse(h, 431);
    const char *line_end = memchr(begin, '\n', n);
    if (parse_line(begin, (size_t)(line_end - begin), h) < 0)
        return -1;
    return (int)(end - p);
}

uint64_t http_query_uint(const char *query, const char *key, uint64_t otherwise)
{
    size_t n = strlen(key);
    for (const char *p = query; p != NULL && *p != '\0';) {
        if (strncmp(p, key, n) == 0 && p[n] == '=' && p[n + 1] >= '0' && p[n + 1] <= '9') {
            char *end;
            uint64_t v = strtoull(p + n + 1, &end, 10); /* too large: the largest */
            return *end == '\0' || *end == '&' ? v : otherwise;
        }
        p = strchr(p, '&');
        if (p != NULL)
            p++;
    }
    return otherwise;
}
