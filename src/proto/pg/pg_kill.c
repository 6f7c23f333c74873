/* SPDX-License-Identifier: ISC
 * pg_cancel_backend() and pg_terminate_backend() of the process id that a client was given at its
 * login. See pg_session.h.
 *
 * That number is weir's, of a client, and no server knows it. Drivers and libraries that have no
 * other way to stop a statement (knex's timeouts) ask for it on another connection. So a statement
 * that is nothing but such a call is answered here, where its client holds no loan: as a text, or
 * as one batch from Parse, or from the Bind of what was prepared before, to Sync. Also when every
 * connection is lent: it may be to end that.
 *
 * The call is read twice: before the wish is passed on (proto_out.kill), and when its answer has
 * come. A number that is no client's, or not of one of this user's, is the server's to judge.
 */
#include "config.h"

#include "proto/pg/pg_session.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TEXT_MAX 128u /* bytes; longer ones are somebody else's */

struct call {
    const char *name; /* of the function, and so of the column */
    uint32_t id;
    size_t bytes; /* of the messages */
    bool terminate, batch, parsed, described, binary;
};

static const char *blanks(const char *p)
{
    while (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n')
        p++;
    return p;
}

/* Every statement of a client without a loan is asked: most differ in the first letter. */
static inline bool word(const char **p, const char *what)
{
    if ((**p | 0x20) != (what[0] | 0x20))
        return false;
    size_t n = strlen(what);
    if (strncasecmp(*p, what, n) != 0)
        return false;
    *p = blanks(*p + n);
    return true;
}

/* SELECT pg_cancel_backend(NUMBER or $1); false: something else. id 0: it is $1. */
static bool read_text(const char *sql, struct call *call)
{
    const char *p = blanks(sql);
    char *end;
    if (!word(&p, "select"))
        return false;
    if ((*p | 0x20) != 'p')
        return false;
    (void)word(&p, "pg_catalog.");
    call->terminate = strncasecmp(p, "pg_t", 4) == 0;
    call->name = call->terminate ? "pg_terminate_backend" : "pg_cancel_backend";
    if (!word(&p, call->name) || !word(&p, "("))
        return false;
    call->id = 0;
    if (word(&p, "$1")) {
        (void)(word(&p, "::int4") || word(&p, "::integer") || word(&p, "::int"));
    } else {
        uint64_t id = *p >= '0' && *p <= '9' ? strtoull(p, &end, 10) : 0;
        if (!proto_is_client_id(id))
            return false;
        call->id = (uint32_t)id;
        p = blanks(end);
    }
    if (!word(&p, ")"))
        return false;
    (void)word(&p, ";");
    return *p == '\0';
}

/* A message of this type, whole, with at least `least` bytes in it; p is moved behind it. */
static const uint8_t *take(const uint8_t **p, const uint8_t *end, char type, size_t least,
                           size_t *n)
{
    const uint8_t *head = *p;
    if ((size_t)(end - head) < PG_HEAD_BYTES || head[0] != (uint8_t)type)
        return NULL;
    uint32_t len = pg_get32(head + 1);
    if (len < 4 + least || len > (size_t)(end - head) - 1)
        return NULL;
    *n = len - 4;
    *p = head + 1 + len;
    return head + PG_HEAD_BYTES;
}

/* The value of $1, in what follows a Bind's two names, and in which format the row is wanted. */
static bool read_values(const uint8_t *b, size_t n, struct call *call)
{
    size_t formats = n >= 2 ? pg_get16(b) : 2;
    bool binary = formats == 1 && n >= 4 && pg_get16(b + 2) == 1;
    char digits[12] = "";
    if (formats > 1)
        return false;
    size_t at = 2 + 2 * formats;
    if (at + 2 > n || pg_get16(b + at) != (call->id == 0))
        return false;
    at += 2;
    if (call->id == 0) {
        uint32_t len = at + 4 <= n ? pg_get32(b + at) : 0;
        at += 4;
        if (len == 0 || len >= sizeof digits || len > n - at)
            return false;
        memcpy(digits, b + at, len);
        uint64_t id = 0;
        if (!binary && strspn(digits, "0123456789") == len)
            id = strtoull(digits, NULL, 10);
        else if (binary && (len == 4 || (len == 8 && pg_get32(b + at) == 0)))
            id = pg_get32(b + at + len - 4);
        if (!proto_is_client_id(id))
            return false;
        call->id = (uint32_t)id;
        at += len;
    }
    formats = at + 2 <= n ? pg_get16(b + at) : 2;
    call->binary = formats == 1 && at + 4 <= n && pg_get16(b + at + 2) == 1;
    return formats <= 1 && at + 2 + 2 * formats == n;
}

/* A Parse's text; NULL: too long to be a call's, or not all there. */
static const char *text_of(const uint8_t *parse, size_t n, size_t *name_bytes)
{
    *name_bytes = strnlen((const char *)parse, n);
    const char *text = (const char *)parse + *name_bytes + 1;
    size_t room = *name_bytes + 1 < n ? n - *name_bytes - 1 : 0;
    if (room > TEXT_MAX + 1)
        room = TEXT_MAX + 1;
    return strnlen(text, room) < room ? text : NULL;
}

bool pg_kill_is_parsed(const struct pg_in *m)
{
    size_t name, bytes;
    struct call call;
    const uint8_t *p = m->p, *parse = take(&p, m->p + m->have, 'P', 4, &bytes);
    const char *text = parse != NULL ? text_of(parse, bytes, &name) : NULL;
    return text != NULL && read_text(text, &call);
}

/* Of the unnamed portal, for the statement of this batch, or for one that was prepared before. */
static bool read_bind(const struct pg_client *c, const uint8_t *b, size_t n, struct call *call)
{
    const char *name = (const char *)b + 1;
    size_t bytes = strnlen(name, n - 1);
    if (b[0] != 0 || bytes == n - 1 || (call->parsed && bytes != 0))
        return false;
    if (!call->parsed) {
        const struct pg_stmt *stmt = bytes != 0 ? pg_names_find(c->names, name, bytes) : c->unnamed;
        if (stmt == NULL || stmt->body_len > TEXT_MAX || !read_text((const char *)stmt->body, call))
            return false;
    }
    return read_values(b + bytes + 2, n - bytes - 2, call);
}

/* Parse (unnamed), Bind, perhaps Describe of the portal, Execute, Sync; or without the Parse. */
static bool read_batch(const struct pg_client *c, const uint8_t *p, const uint8_t *end,
                       struct call *call)
{
    size_t n, name;
    const uint8_t *from = p, *parse = take(&p, end, 'P', 4, &n);
    call->parsed = parse != NULL;
    if (parse != NULL) {
        const char *text = text_of(parse, n, &name);
        if (text == NULL || name != 0 || !read_text(text, call))
            return false;
    }
    const uint8_t *bind = take(&p, end, 'B', 6, &n);
    if (bind == NULL || !read_bind(c, bind, n, call))
        return false;
    const uint8_t *describe = take(&p, end, 'D', 2, &n);
    call->described = describe != NULL;
    if (describe != NULL && (n != 2 || describe[0] != 'P' || describe[1] != 0))
        return false;
    const uint8_t *execute = take(&p, end, 'E', 5, &n);
    if (execute == NULL || n != 5 || execute[0] != 0 || take(&p, end, 'S', 0, &n) == NULL)
        return false;
    call->batch = true;
    call->bytes = (size_t)(p - from);
    return n == 0;
}

static enum proto_verdict answer(const struct pg_client *c, const struct call *call,
                                 struct proto_out *out)
{
    uint8_t row[] = {0, 1, 0, 0, 0, 1, call->binary ? 1 : 't'};
    bool own = call->id == c->id;
    if (call->parsed)
        pg_put_msg(out, &out->client, '1', "", 0);
    if (call->batch)
        pg_put_msg(out, &out->client, '2', "", 0);
    if (own && call->terminate) {
        pg_put_error(out, "FATAL", "57P01", "terminating connection due to administrator command");
        return PROTO_BAD;
    }
    if (!call->batch || call->described)
        pg_put_column(out, call->name, PG_OID_BOOL, 1, call->binary);
    pg_put_msg(out, &out->client, 'D', row, sizeof row);
    if (own)
        pg_put_error(out, "ERROR", "57014", "canceling statement due to user request");
    else
        pg_put_msg(out, &out->client, 'C', "SELECT 1", sizeof "SELECT 1");
    pg_put_msg(out, &out->client, 'Z', "I", 1);
    out->queries++;
    return PROTO_MORE;
}

enum proto_verdict pg_kill(struct pg_client *c, const uint8_t *in, size_t n, size_t *used,
                           struct proto_out *out)
{
    struct call call = {.batch = false};
    const uint8_t *p = in, *end = in + n;
    size_t len;
    const uint8_t *text = take(&p, end, 'Q', 1, &len);
    call.bytes = (size_t)(p - in);
    bool is_call = text != NULL ? len <= TEXT_MAX && text[len - 1] == 0 &&
                                      strlen((const char *)text) == len - 1 &&
                                      read_text((const char *)text, &call) && call.id != 0
                                : read_batch(c, in, end, &call);
    uint8_t kill = c->kill;
    c->kill = PG_KILL_NONE;
    if (!is_call || kill == PG_KILL_UNKNOWN)
        return PROTO_LOAN;
    if (kill == PG_KILL_DONE || call.id == c->id) {
        *used = call.bytes;
        return answer(c, &call, out);
    }
    out->kill_id = call.id;
    out->kill = call.terminate ? PROTO_KILL_SESSION : PROTO_KILL_QUERY;
    return PROTO_WAIT;
}
