/* SPDX-License-Identifier: ISC
 * A text that asks of the session's own past, on a connection that doesn't know it: with the values
 * put in. Also SETs of what servers never hear.
 */
#include "config.h"

#include "proto/mysql/my_session.h"

#include <inttypes.h>
#include <string.h>

#define NAME_MAX_BYTES 255u /* of a column; longer ones get no name of ours */

/* Bit operations are BIGINT UNSIGNED in both products, as the originals are; a bare number or a
 * cast of one would be as small as its value. A variable's type says that it may be NULL. */
static bool put_value(struct buf *b, const struct my_client *c, const char *text,
                      const struct my_scan_volatile *v)
{
    switch ((enum my_volatile)v->kind) {
    case MY_V_LAST_INSERT_ID:
        return buf_printf(b,
                          text[v->text.at] == '@' ? "IF(1,%" PRIu64 "|0,NULL)" : "(%" PRIu64 "|0)",
                          c->insert_id);
    case MY_V_ROW_COUNT:
        return buf_printf(b, "CAST((%" PRIu64 "|0) AS SIGNED)", (uint64_t)c->row_count);
    case MY_V_FOUND_ROWS: /* still called: MySQL warns that it is deprecated */
        return buf_printf(b, "CAST((%" PRIu64 "|FOUND_ROWS()&0) AS SIGNED)", c->found_rows);
    case MY_V_WARNING_COUNT:
        return buf_printf(b, "IF(1,%u|0,NULL)", c->warning_count);
    case MY_V_ERROR_COUNT:
        return buf_printf(b, "IF(1,%u|0,NULL)", c->error_count);
    case MY_V_CONNECTION_ID:
        return buf_printf(b, "(%" PRIu32 "|0)", c->id);
    }
    return false;
}

static bool put_name(struct buf *b, const char *name, uint32_t n)
{
    bool ok = n <= NAME_MAX_BYTES;
    if (!ok)
        return true;
    ok = buf_printf(b, " AS `");
    for (uint32_t i = 0; ok && i < n; i++)
        ok = buf_append(b, name + i, 1) && (name[i] != '`' || buf_append(b, name + i, 1));
    return ok && buf_printf(b, "`");
}

static bool put_volatile(struct buf *b, const struct my_client *c, const char *text,
                         const struct my_scan_volatile *v)
{
    if (!v->whole)
        return put_value(b, c, text, v) &&
               (!v->item || put_name(b, text + v->text.at, v->text.len));
    return buf_printf(b, "SELECT ") && put_value(b, c, text, v) &&
           buf_printf(b, " AS `@@session.%s_count`",
                      v->kind == MY_V_ERROR_COUNT ? "error" : "warning");
}

/* Does this place need another text on this connection? LAST_INSERT_ID() always: whose it is there
 * can't be told, as an insert with a number of its own leaves it alone. */
static bool is_replaced(const struct my_client *c, const struct my_server *s,
                        const struct my_scan *scan, const struct my_scan_volatile *v)
{
    if (v->text.at >= scan->second) /* the statement before it in the text is what it tells of */
        return false;
    /* As a column of its own the client's number; inside of an expression (IS_USED_LOCK(..) =
     * CONNECTION_ID()) the one by which the server knows the connection. */
    if (v->kind == MY_V_CONNECTION_ID)
        return v->item || v->aliased;
    if (v->kind == MY_V_WARNING_COUNT || v->kind == MY_V_ERROR_COUNT)
        return s->diagnosed != c->diagnosis;
    return v->kind == MY_V_LAST_INSERT_ID || s->owner != c->turn;
}

/* Where the name of a column belongs of which a part was replaced. */
struct naming {
    const char *text;
    size_t n;
    unsigned opts;
    struct my_span column; /* len 0: none waits for its name */
};

/* The columns that end before `at` get their names; *done is how far the text has been written. */
static bool put_names(struct naming *na, uint32_t at, uint32_t *done, struct buf *to)
{
    uint32_t end = na->column.at + na->column.len;
    if (na->column.len == 0 || end > at || end < *done)
        return true;
    bool ok = buf_append(to, na->text + *done, end - *done) &&
              put_name(to, na->text + na->column.at, na->column.len);
    na->column.len = 0;
    *done = end;
    return ok;
}

/* @@name is @@session.name, which MariaDB reports. */
static bool is_completed(const struct my_client *c, const struct my_scan_assign *a)
{
    return a->bare && !a->is_virtual && c->report != NULL && c->report->mariadb;
}

/* Where the a-th assignment is changed: its value, or a place before its name. */
static struct my_span place_of(const struct my_client *c, const struct my_scan_assign *a)
{
    return is_completed(c, a) ? (struct my_span){a->name.at, 0} : a->value;
}

/* What a variable that is kept from the connection is set to there: what others find anyway. Of
 * what the server tells weir of the session, nothing may change. */
static bool put_kept(struct buf *to, const char *text, const struct my_scan_assign *a)
{
    char name[64];
    size_t n = my_scan_name(text, a->name, name, sizeof name);
    if (my_scan_is_tracking(name, n))
        return buf_printf(to, "@@session.%s", name);
    return buf_printf(to, "DEFAULT");
}

/* The text with values put in: spans are in the order of the text. */
bool my_rewrite(const struct my_client *c, const struct my_server *s, const struct my_scan *scan,
                const char *text, size_t n, struct buf *to)
{
    struct naming na = {.text = text, .n = n, .opts = my_scan_opts(c)};
    uint32_t at = 0, v = 0, a = 0;
    bool ok = true;
    while (ok && (v < scan->n_volatiles || a < scan->n_assigns)) {
        const struct my_scan_volatile *vol = &scan->volatiles[v];
        const struct my_scan_assign *as = &scan->assigns[a];
        bool set =
            v == scan->n_volatiles || (a < scan->n_assigns && place_of(c, as).at <= vol->text.at);
        bool whole = set && is_completed(c, as);
        struct my_span there = set ? place_of(c, as) : vol->text;
        bool wanted = set ? as->is_virtual || whole : is_replaced(c, s, scan, vol);
        if (wanted && there.at >= at) {
            ok = put_names(&na, there.at, &at, to) && buf_append(to, text + at, there.at - at) &&
                 (!set    ? put_volatile(to, c, text, vol)
                  : whole ? buf_printf(to, "session.")
                          : put_kept(to, text, as));
            at = there.at + there.len;
            if (!set && !vol->item && !vol->whole &&
                !my_scan_column(text, n, na.opts, there.at, &na.column))
                na.column.len = 0;
        }
        a += set;
        v += !set;
    }
    return ok && put_names(&na, (uint32_t)n, &at, to) && buf_append(to, text + at, n - at);
}

bool my_needs_rewrite(const struct my_client *c, const struct my_server *s,
                      const struct my_scan *scan)
{
    bool mariadb = c->report != NULL && c->report->mariadb;
    if ((scan->flags & (mariadb ? MY_DO_VIRTUAL | MY_DO_BARE_SET : MY_DO_VIRTUAL)) != 0)
        return true;
    for (uint32_t i = 0; i < scan->n_volatiles; i++)
        if (is_replaced(c, s, scan, &scan->volatiles[i]))
            return true;
    return false;
}
