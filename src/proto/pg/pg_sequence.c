/* SPDX-License-Identifier: ISC
 * currval() and lastval() on shared connections. See pg_session.h.
 *
 * A server session remembers the numbers it drew, and PostgreSQL tells neither weir nor anybody
 * else whose they were. So a client owns what a connection remembers only from its own drawing on,
 * as long as nobody else may have drawn there; any other connection is strange to it, and forgets
 * (DISCARD SEQUENCES) before a question of this client reaches it. Who is seen to call nextval()
 * keeps the connection.
 */
#include "config.h"

#include "proto/pg/pg_scan.h"
#include "proto/pg/pg_session.h"

#include <string.h>

#define DRAWS (PG_SCAN_SEQUENCE | PG_SCAN_SEQ_IMPLICIT | PG_SCAN_MAY_ANY)

void pg_sequence_begin(struct pg_client *c, struct pg_server *s)
{
    s->strange = !s->in_session && (c->last_server != s || c->last_drawn != s->drawn);
    s->calls = false;
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

bool pg_sequence_forget(struct pg_client *c, struct pg_server *s, uint64_t flags,
                        struct proto_out *out)
{
    static const char sql[] = "DISCARD SEQUENCES";
    if (!s->strange || (flags & PG_SCAN_SEQ_READ) == 0 || s->len != 0 || s->open ||
        s->status == 'E')
        return true;
    if (pg_expect_push(s, PG_X_QUERY, PG_A_ASIDE) == NULL)
        return false;
    pg_put_query(out, sql, sizeof sql - 1);
    pg_stmt_put(&s->unnamed);
    own(c, s);
    return true;
}

/* An INSERT may call nextval() out of sight. Who has once asked for currval() or lastval() is
 * expected to ask again, so from then on its inserts keep the connection. The very first question
 * comes too late, unless it is asked in the transaction of its insert or on the same connection,
 * with nothing of others in between that may have drawn a number: to be right there every INSERT of
 * everybody would have to pin. */
uint64_t pg_sequence_note(struct pg_client *c, struct pg_server *s, uint64_t flags, const char *sql,
                          size_t n)
{
    if ((flags & DRAWS) != 0)
        drew(c, s); /* whatever becomes of it: a number is not given back */
    else if (!s->calls)
        s->calls = memchr(sql, '(', n) != NULL;
    if ((flags & PG_SCAN_SEQ_READ) != 0)
        c->sequence_reader = true;
    if (c->sequence_reader && (flags & PG_SCAN_SEQ_IMPLICIT) != 0)
        flags |= PG_SCAN_SEQUENCE;
    return flags;
}

/* A trigger or function may draw out of sight. */
void pg_sequence_on_tag(struct pg_client *c, struct pg_server *s, const char *tag)
{
    if (strncmp(tag, "DISCARD ", 8) == 0 &&
        (strcmp(tag + 8, "ALL") == 0 || strcmp(tag + 8, "SEQUENCES") == 0)) {
        s->pins &= ~(uint32_t)PG_PIN_SEQUENCE;
        if (c != NULL)
            own(c, s);
    } else if (strncmp(tag, "UPDATE", 6) == 0 || strncmp(tag, "DELETE", 6) == 0 ||
               (s->calls && strncmp(tag, "SELECT", 6) == 0)) {
        drew(c, s);
    }
}
