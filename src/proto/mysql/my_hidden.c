/* SPDX-License-Identifier: ISC
 * What a function or procedure of somebody's own did to the session and nothing has told of:
 * GET_LOCK in it, and on MySQL, behind rows, anything else (MariaDB's last EOF tells of that).
 * Called by the functions of my_state.c and my_settle.c. See my_session.h.
 *
 *   a statement that calls such names is over ──▶ noted, unless each left all as it was lately
 *   the connection would be given back ─────────▶ locks are let go, and MySQL's next OK, a PING's,
 *                                                 tells what has changed
 *        a change ──▶ the connection stays with its client: a pin
 *        none ──────▶ given back, and for a minute these names are not asked about here
 *
 * A name is as its schema is, said or at hand, and as routines are: once one is made anew all names
 * are others.
 *
 * A lock can't be asked for without its name: it lasts as long as the loan, and whoever has the
 * connection next doesn't keep it from everybody else.
 */
#include "config.h"

#include "base/clock.h"
#include "base/fnv.h"
#include "proto/mysql/my_session.h"

#include <stdatomic.h>
#include <string.h>

#define HARMLESS_US   UINT64_C(60000000)
#define MARIADB_LOCKS 100502u /* the first that has RELEASE_ALL_LOCKS() */
#define MYSQL_LOCKS   50705u

static _Atomic uint32_t made; /* routines, by whatever client: a part of each name */

static bool is_mariadb(const struct my_server *s)
{
    return s->report == NULL || s->report->mariadb;
}

static bool can_release(const struct my_server *s)
{
    unsigned version = s->report != NULL ? s->report->scan_opts >> MY_SCAN_VERSION_SHIFT : 0;
    return version >= (is_mariadb(s) ? MARIADB_LOCKS : MYSQL_LOCKS);
}

void my_hidden_note(const struct my_client *c, struct my_server *s, const struct my_scan *scan)
{
    const char *schema = c->schema != NULL ? c->schema : s->home;
    uint32_t now = atomic_load(&made);
    s->calls = 0;
    /* behind these, in the same text, a name means something else */
    if (scan->calls != 0 && (scan->flags & (MY_DO_ROUTINE | MY_DO_USE)) == 0)
        s->calls = fnv_add(fnv_add(scan->calls, schema, strlen(schema)), &now, sizeof now);
}

static bool is_harmless(const struct my_server *s, uint32_t calls)
{
    for (size_t i = 0; i < MY_HARMLESS_MAX && calls != 0; i++)
        if (s->hidden.harmless[i].calls == calls)
            return clock_now_us() < s->hidden.harmless[i].until_us;
    return false;
}

void my_hidden_end(struct my_server *s)
{
    struct my_hidden *h = &s->hidden;
    if ((s->flags & MY_DO_ROUTINE) != 0)
        atomic_fetch_add(&made, 1);
    if ((s->flags & (MY_DO_FUNCTION | MY_DO_CALL)) == 0 || is_harmless(s, s->calls) ||
        !can_release(s))
        return;
    if (h->n == 0)
        memcpy(s->hidden_statement, s->statement, sizeof s->hidden_statement);
    if (h->n < MY_HIDDEN_MAX)
        h->calls[h->n] = s->calls;
    h->n++;
}

bool my_hidden_ask(struct my_server *s, struct proto_out *out)
{
    static const char sql[] = "SELECT RELEASE_ALL_LOCKS()";
    s->state_changed = s->reported = false;
    my_put_command(out, MY_COM_QUERY, sql, sizeof sql - 1);
    s->settle_left++;
    if (!my_expect_push(s, MY_R_RESULT, MY_A_SETTLE, MY_COM_QUERY))
        return false;
    if (is_mariadb(s))
        return true;
    my_put_command(out, MY_COM_PING, NULL, 0);
    s->settle_left++;
    return my_expect_push(s, MY_R_OK, MY_A_SETTLE, MY_COM_PING);
}

static void add_harmless(struct my_hidden *h, uint32_t calls)
{
    size_t at = 0;
    while (at < MY_HARMLESS_MAX && h->harmless[at].calls != calls)
        at++;
    if (at == MY_HARMLESS_MAX)
        at = h->next++ % MY_HARMLESS_MAX;
    h->harmless[at].calls = calls;
    h->harmless[at].until_us = clock_now_us() + HARMLESS_US;
}

void my_hidden_take(struct my_server *s, uint64_t locks)
{
    struct my_hidden *h = &s->hidden;
    uint32_t known = h->n < MY_HIDDEN_MAX ? h->n : MY_HIDDEN_MAX;
    s->diagnosed = 0;
    if (s->state_changed) {
        s->pins |= MY_PIN_STATE;
        s->pin_since_us = 0;
        memcpy(s->pin_statement, s->hidden_statement, sizeof s->pin_statement);
    }
    for (uint32_t i = 0; i < known && locks == 0 && !s->state_changed && !s->reported; i++)
        if (h->calls[i] != 0)
            add_harmless(h, h->calls[i]);
    h->n = 0;
    s->state_changed = s->reported = false;
}
