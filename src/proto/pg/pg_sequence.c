/* SPDX-License-Identifier: ISC
 * currval() and lastval() on shared connections. See pg_session.h.
 *
 * A server session remembers the numbers it drew, and PostgreSQL tells neither weir nor anybody
 * else whose they were. So a client owns what a connection remembers only from its own drawing on,
 * as long as nobody else may have drawn there; any other connection is strange to it, and forgets
 * (DISCARD SEQUENCES) before a question of this client reaches it. Who is seen to call nextval()
 * keeps the connection.
 *
 * An INSERT may call nextval() out of sight, and to keep the connection after each of everybody's
 * would end the sharing. So that depends on what is known of the client:
 * - It has asked for currval() or lastval(): it will again, its inserts keep the connection.
 * - It is PHP's PDO, whose lastInsertId() is SELECT LASTVAL(), or one of its kind has asked, or too
 *   little has been seen of its kind to know that none asks: the connection stays with it for a
 *   moment (LOAN_LINGER), where the text has no RETURNING, which makes a question needless.
 * - Else the question comes too late when others had it since.
 */
#include "config.h"

#include "proto/pg/pg_scan.h"
#include "proto/pg/pg_session.h"

#include "base/fnv.h"

#include <stdatomic.h>
#include <string.h>

#define DRAWS (PG_SCAN_SEQUENCE | PG_SCAN_SEQ_IMPLICIT | PG_SCAN_MAY_ANY)

/* Kinds of clients of which one has asked: those that log in alike, as one user. Two kinds may
 * share a bit: a moment is lost then, nothing else. */
#define KINDS 4096u
static _Atomic uint64_t asked[KINDS / 64];
/* How often one of a kind of which none has asked was waited for in vain; up to PATIENCE. */
static _Atomic uint8_t vain[KINDS];
#define PATIENCE 32

static uint32_t kind_of(const struct pg_client *c, const struct pg_server *s)
{
    struct var_entry e;
    uint32_t mark = FNV_START;
    if (s->login != NULL && var_set_find(s->login, "session_authorization", 21, &e))
        mark = fnv_add(mark, e.value, e.value_len);
    for (uint32_t i = 0; i < var_set_count(c->startup); i++) {
        e = var_set_at(c->startup, i);
        mark = fnv_add(fnv_add(mark, e.name, e.name_len), e.value, e.value_len);
    }
    return mark % KINDS;
}

static void kind_asks(uint32_t kind)
{
    uint64_t bit = UINT64_C(1) << kind % 64;
    if ((atomic_load_explicit(&asked[kind / 64], memory_order_relaxed) & bit) == 0)
        atomic_fetch_or_explicit(&asked[kind / 64], bit, memory_order_relaxed);
}

/* It may ask what it drew: give it the moment for that. Of a kind that nobody knows it is counted.
 */
static bool give_moment(const struct pg_client *c, const struct pg_server *s)
{
    uint32_t kind = kind_of(c, s);
    uint64_t bits = atomic_load_explicit(&asked[kind / 64], memory_order_relaxed);
    if (c->pdo || (bits >> kind % 64 & 1) != 0)
        return true;
    if (atomic_load_explicit(&vain[kind], memory_order_relaxed) >= PATIENCE)
        return false;
    atomic_fetch_add_explicit(&vain[kind], 1, memory_order_relaxed);
    return true;
}

void pg_sequence_begin(struct pg_client *c, struct pg_server *s)
{
    s->strange = !s->in_session && (c->last_server != s || c->last_drawn != s->drawn);
    s->calls = s->lingers = false;
}

static void own(struct pg_client *c, struct pg_server *s)
{
    s->strange = false;
    c->last_server = s;
    c->last_drawn = s->drawn;
}

static void drew(struct pg_client *c, struct pg_server *s)
{
    s->drawn++;
    if (c != NULL)
        own(c, s);
}

enum proto_verdict pg_sequence_forget(struct pg_client *c, struct pg_server *s, uint64_t flags,
                                      struct proto_out *out)
{
    static const char sql[] = "DISCARD SEQUENCES";
    if (!s->strange || (flags & PG_SCAN_SEQ_READ) == 0 || s->open)
        return PROTO_MORE;
    if (s->len != 0) /* what is before it may fail the transaction */
        return PROTO_WAIT;
    if (s->status == 'E')
        return PROTO_MORE;
    if (pg_expect_push(s, PG_X_QUERY, PG_A_ASIDE) == NULL) {
        pg_put_error(out, "FATAL", "53200", "weir: out of memory");
        return PROTO_BAD;
    }
    pg_put_query(out, sql, sizeof sql - 1);
    pg_stmt_put(&s->unnamed);
    own(c, s);
    return PROTO_MORE;
}

uint64_t pg_sequence_note(struct pg_client *c, struct pg_server *s, uint64_t flags)
{
    if ((flags & DRAWS) != 0)
        drew(c, s); /* whatever becomes of it: a number is not given back */
    else if ((flags & PG_SCAN_CALLS) != 0)
        s->calls = true;
    if ((flags & PG_SCAN_SEQ_READ) != 0) {
        c->sequence_reader = true;
        s->lingers = false;
        if ((flags & PG_SCAN_SEQUENCE) == 0 && (s->pins & PG_PIN_SEQUENCE) == 0)
            kind_asks(kind_of(c, s));
    }
    if ((flags & PG_SCAN_SEQ_IMPLICIT) == 0)
        return flags;
    if (c->sequence_reader)
        return flags | PG_SCAN_SEQUENCE;
    if ((flags & PG_SCAN_RETURNING) == 0 && give_moment(c, s))
        s->lingers = true;
    return flags;
}

/* A trigger or function may draw out of sight. */
void pg_sequence_on_tag(struct pg_client *c, struct pg_server *s, const char *tag)
{
    if (tag[0] == 'S') {
        if (s->calls && strncmp(tag, "SELECT", 6) == 0)
            drew(c, s);
    } else if (strncmp(tag, "DISCARD ", 8) == 0 &&
               (strcmp(tag + 8, "ALL") == 0 || strcmp(tag + 8, "SEQUENCES") == 0)) {
        s->pins &= ~(uint32_t)PG_PIN_SEQUENCE;
        if (c != NULL)
            own(c, s);
    } else if (strncmp(tag, "UPDATE", 6) == 0 || strncmp(tag, "DELETE", 6) == 0) {
        drew(c, s);
    }
}
