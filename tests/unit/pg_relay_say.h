/* SPDX-License-Identifier: ISC
 * Conversations as text, for test_pg_relay*.c.
 *
 * A client's messages, "|" between them: Qtext, Pname:text, Bportal:name, Eportal, D:name (a
 * statement), DPportal, C:name, Cportal, S, H, dtext, c, ftext, X; rN lends server N next.
 */
#ifndef TESTS_UNIT_PG_RELAY_SAY_H
#define TESTS_UNIT_PG_RELAY_SAY_H

#include "pg_relay_help.h"

static inline void put_msg(struct buf *b, char type, const void *body, size_t n)
{
    model_msg(b, type, body, n);
}

static inline void send_msg(struct relay *r, char type, const void *body, size_t n)
{
    struct buf b = {0};
    put_msg(&b, type, body, n);
    relay_send(r, buf_head(&b), buf_len(&b));
    buf_release(&b);
}

static inline void put_one(struct buf *b, const char *one)
{
    char body[1024];
    const char *colon = strchr(one, ':');
    const char *second = colon != NULL ? colon + 1 : "";
    int first = colon != NULL ? (int)(colon - one - 1) : (int)strlen(one) - 1;
    int n = 0;
    switch (one[0]) {
    case 'Q':
        n = snprintf(body, sizeof body, "%s", one + 1) + 1;
        break;
    case 'P':
        n = snprintf(body, sizeof body, "%.*s%c%s%c%c%c", first, one + 1, 0, second, 0, 0, 0);
        break;
    case 'B':
        n = snprintf(body, sizeof body, "%.*s%c%s%c%c%c%c%c%c%c", first, one + 1, 0, second, 0, 0,
                     0, 0, 0, 0, 0);
        break;
    case 'E':
        n = snprintf(body, sizeof body, "%s%c%c%c%c%c", one + 1, 0, 0, 0, 0, 0);
        break;
    case 'D':
    case 'C':
        if (colon == NULL)
            n = snprintf(body, sizeof body, "P%s", one + (one[1] == 'P' ? 2 : 1)) + 1;
        else
            n = snprintf(body, sizeof body, "S%s", second) + 1;
        break;
    case 'd':
    case 'f':
        n = snprintf(body, sizeof body, "%s", one + 1) + (one[0] == 'f');
        break;
    default:
        break;
    }
    put_msg(b, one[0], body, (size_t)n);
}

static inline void say(struct relay *r, const char *text)
{
    char copy[1024];
    struct buf b = {0};
    snprintf(copy, sizeof copy, "%s|", text);
    for (char *at = copy, *end; (end = strchr(at, '|')) != NULL; at = end + 1) {
        *end = '\0';
        if (at[0] == 'r')
            r->next = at[1] - '0';
        else
            put_one(&b, at);
    }
    relay_send(r, buf_head(&b), buf_len(&b));
    buf_release(&b);
}

/* What the client was sent since it was last asked: types, and of some their text. */
static inline void seen_text(struct relay *r, char *to, size_t room)
{
    const uint8_t *p = buf_head(&r->seen);
    size_t left = buf_len(&r->seen), n = 0;
    to[0] = '\0';
    while (left >= 5) {
        size_t total = 1 + (size_t)pg_get32(p + 1);
        struct pg_view v = {0};
        RELAY_REQUIRE(total <= left);
        n += (size_t)snprintf(to + n, room - n, "%c", p[0]);
        if (p[0] == 'Z')
            n += (size_t)snprintf(to + n, room - n, ":%c", p[5]);
        else if (p[0] == 'C')
            n += (size_t)snprintf(to + n, room - n, ":%s", (const char *)p + 5);
        else if (p[0] == 'D')
            n += (size_t)snprintf(to + n, room - n, ":%.*s", (int)(total - 11),
                                  (const char *)p + 11);
        else if (p[0] == 'S')
            n += (size_t)snprintf(to + n, room - n, ":%s=%s", (const char *)p + 5,
                                  (const char *)p + 6 + strlen((const char *)p + 5));
        else if (p[0] == 'E' && pg_msg_error_field(p + 5, total - 5, 'C', &v))
            n += (size_t)snprintf(to + n, room - n, ":%s", v.p);
        n += (size_t)snprintf(to + n, room - n, " ");
        p += total;
        left -= total;
    }
    RELAY_REQUIRE(left == 0);
    buf_release(&r->seen);
}

static inline void sees(struct relay *r, const char *what)
{
    char text[2048];
    seen_text(r, text, sizeof text);
    assert_string_equal(text, what);
}

static inline void forget(struct relay *r)
{
    buf_release(&r->seen);
}

static inline void converse(void (*run)(struct relay *r))
{
    static const size_t pieces[] = {0, 7, 1};
    static struct relay r;
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        relay_init(&r, pieces[i]);
        run(&r);
        relay_fini(&r);
    }
}

#endif
