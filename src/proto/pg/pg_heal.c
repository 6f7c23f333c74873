/* SPDX-License-Identifier: ISC
 * See pg_heal.h. The price while nothing fails: one copy of the batch's bytes.
 */
#include "config.h"

#include "proto/pg/pg_heal.h"

#include "proto/pg/pg_session.h"

#include <stdlib.h>
#include <string.h>

/* Before this message nothing of the batch but Parse and Close is outstanding. */
static bool nothing_bound(struct pg_server *s)
{
    for (uint32_t i = 0; i < s->len; i++) {
        const struct pg_expect *x = pg_expect_at(s, i);
        if (x->kind != PG_X_PARSE && x->kind != PG_X_CLOSE && x->act != PG_A_SET)
            return false;
    }
    return true;
}

bool pg_heal_can(struct pg_server *s)
{
    return s->status == 'I' && !s->bound && nothing_bound(s);
}

bool pg_heal_start(struct pg_server *s, const char *stmt, bool fresh)
{
    struct pg_heal *h = &s->heal;
    if (!pg_heal_can(s))
        return false;
    if (h->bytes == NULL && (h->bytes = malloc(PG_HEAL_BYTES)) == NULL)
        return false;
    h->len = 0;
    h->names = 0;
    h->partial = h->described = false;
    h->describes = fresh;
    memcpy(h->stmt, stmt, sizeof h->stmt);
    h->state = PG_HEAL_KEEP;
    return true;
}

bool pg_heal_is_first(struct pg_server *s)
{
    bool first = s->heal.state == PG_HEAL_SPENT && s->heal.rerun;
    s->heal.rerun = false;
    return first;
}

void pg_heal_keep(struct pg_server *s, const struct pg_in *m)
{
    struct pg_heal *h = &s->heal;
    switch (m->p[0]) {
    case 'D':
        h->describes = true;
        h->names++;
        break;
    case 'P':
    case 'B':
    case 'C':
        h->names++;
        break;
    case 'E':
    case 'H':
        break;
    case 'S':
        h->state = PG_HEAL_WATCH;
        break;
    default:
        h->state = PG_HEAL_OFF; /* not a batch of the extended protocol after all */
        return;
    }
    if (m->have < m->total || h->names > PG_HEAL_NAMES || m->have > PG_HEAL_BYTES - h->len) {
        h->state = PG_HEAL_OFF;
        return;
    }
    memcpy(h->bytes + h->len, m->p, m->have);
    h->len += (uint32_t)m->have;
}

/* The text is translated where lc_messages says so; the routine's name never is. */
bool pg_heal_is_stale(const uint8_t *body, size_t n)
{
    static const char routine[] = PG_CHANGED_ROUTINE;
    static const char text[] = PG_CHANGED_TEXT;
    struct pg_view v;
    if (!pg_msg_error_field(body, n, 'C', &v) || v.n != 5 || memcmp(v.p, PG_CHANGED_CODE, 5) != 0)
        return false;
    if (pg_msg_error_field(body, n, 'R', &v) && v.n == sizeof routine - 1 &&
        memcmp(v.p, routine, v.n) == 0)
        return true;
    return pg_msg_error_field(body, n, 'M', &v) && v.n == sizeof text - 1 &&
           memcmp(v.p, text, v.n) == 0;
}

bool pg_heal_takes(struct pg_server *s, struct pg_client *c, const uint8_t *body, size_t n)
{
    struct pg_heal *h = &s->heal;
    if (c == NULL || (h->state != PG_HEAL_KEEP && h->state != PG_HEAL_WATCH) || !h->describes ||
        !pg_heal_is_stale(body, n))
        return false;
    pg_stmt_changed(h->stmt);
    pg_change_free(&s->change);
    pg_expect_fail(s, c);
    h->partial = h->state == PG_HEAL_KEEP;
    h->state = h->partial ? PG_HEAL_CUT : PG_HEAL_WAIT;
    struct pg_expect *sync = pg_expect_head(s);
    if (!h->partial && sync != NULL) {
        sync->act = PG_A_SWALLOW;
        sync->again = true;
    }
    s->hold = true;
    return true;
}

bool pg_heal_hides(struct pg_server *s, const struct pg_expect *head)
{
    struct pg_heal *h = &s->heal;
    if (head == NULL || head->kind != PG_X_DESCRIBE || !head->first)
        return false;
    bool hide = h->state == PG_HEAL_SPENT && h->described;
    h->described = true;
    return hide;
}

bool pg_heal_on_ready(struct pg_server *s, const struct pg_expect *head)
{
    struct pg_heal *h = &s->heal;
    bool wait = h->state == PG_HEAL_WAIT && head->kind == PG_X_SYNC;
    if (wait)
        h->state = PG_HEAL_DUE;
    else if (head->act == PG_A_PASS)
        h->state = PG_HEAL_OFF;
    return wait;
}

bool pg_heal_is_due(const struct pg_server *s)
{
    return s->heal.state == PG_HEAL_CUT || s->heal.state == PG_HEAL_DUE;
}

bool pg_heal_is_cut(const struct pg_server *s)
{
    return s->heal.partial && (s->heal.state == PG_HEAL_CUT || s->heal.state == PG_HEAL_WAIT);
}

/* The client hasn't sent its Sync: weir ends the batch. */
static bool cut(struct pg_server *s, struct proto_out *out)
{
    if (pg_expect_push(s, PG_X_SYNC, PG_A_SWALLOW) == NULL)
        return false;
    s->open = s->skipping = s->bound = false;
    s->heal.state = PG_HEAL_WAIT;
    pg_put_msg(out, &out->server, 'S', NULL, 0);
    return true;
}

bool pg_heal_go_on(struct pg_client *c, struct pg_server *s, struct proto_out *out)
{
    struct pg_heal *h = &s->heal;
    if (h->state == PG_HEAL_CUT)
        return cut(s, out);
    if (s->status != 'I' || s->len != 0)
        return false;
    uint8_t body[1 + PG_STMT_NAME_BYTES] = {'S'};
    memcpy(body + 1, h->stmt, PG_STMT_NAME_BYTES);
    if (pg_expect_push(s, PG_X_CLOSE, PG_A_SWALLOW) == NULL)
        return false;
    pg_put_msg(out, &out->server, 'C', body, sizeof body);
    pg_cache_remove(&s->cache, h->stmt);
    s->open = true;
    s->hold = false;
    h->state = PG_HEAL_SPENT;
    h->rerun = true;
    if (!pg_client_again(c, s, h->bytes, h->len, out))
        return false;
    if (h->partial) /* the client may have said more, which waits for an answer to wake it */
        pg_put_msg(out, &out->server, 'H', NULL, 0);
    return true;
}

void pg_heal_fini(struct pg_heal *h)
{
    free(h->bytes);
    h->bytes = NULL;
}
