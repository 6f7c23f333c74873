/* SPDX-License-Identifier: ISC
 * The SQL that brings a server connection from one set of settings to another: see pg_guc.h.
 *
 * Order, and why:
 *   RESET SESSION AUTHORIZATION, RESET ROLE   settings may need the rights of the login role
 *   client_encoding                           in a message of its own if bytes follow that depend
 *                                             on it: the server converts a message as a whole
 *   RESET and SET of all the others, by name
 *   SET session_authorization, SET role       last, and in this order: the first resets the second
 * Either of the two is taken back and granted again when anything at all differs.
 */
#include "config.h"

#include "proto/pg/pg_guc.h"
#include "proto/vars/var_set_priv.h"

#include <string.h>

struct writer {
    struct buf *sql;
    const struct var_set *have, *want, *base;
    struct pg_guc_diff *out;
    size_t start; /* of what was written, in sql */
    bool failed;
};

static void put(struct writer *w, const char *text, size_t len)
{
    w->failed |= !buf_append(w->sql, text, len);
}

static void put_string(struct writer *w, const char *text)
{
    put(w, text, strlen(text));
}

static void next_statement(struct writer *w)
{
    if (buf_len(w->sql) != w->start)
        put_string(w, "; ");
    w->out->changes++;
}

/* A literal that means the same whatever standard_conforming_strings is. */
static void put_literal(struct writer *w, const char *value, size_t len)
{
    bool escape = memchr(value, '\\', len) != NULL;
    put_string(w, escape ? " E'" : "'");
    for (size_t from = 0, i = 0; i <= len; i++) {
        if (i < len && value[i] != '\'' && value[i] != '\\')
            continue;
        put(w, value + from, i - from);
        if (i < len)
            put(w, value[i] == '\'' ? "''" : "\\\\", 2);
        from = i + 1;
    }
    put_string(w, "'");
}

/* An expression of the same bytes in the database, which no client_encoding converts. */
static void put_bytes(struct writer *w, const char *value, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    put_string(w, "pg_catalog.convert_from(pg_catalog.decode('");
    for (size_t i = 0; i < len; i++) {
        uint8_t b = (uint8_t)value[i];
        put(w, (const char[]){hex[b >> 4], hex[b & 15]}, 2);
    }
    put_string(w, "','hex'),pg_catalog.getdatabaseencoding())");
}

static bool named(const struct var_value *v, const char *name)
{
    return var_name_compare(var_name(v), v->name_len, name, strlen(name)) == 0;
}

static bool is_rights(const struct var_value *v)
{
    return named(v, "role") || named(v, "session_authorization");
}

/* Lists of identifiers: SET takes a quoted string for one identifier, set_config() for the list. */
static bool is_identifier_list(const struct var_value *v)
{
    static const char *const lists[] = {
        "search_path",
        "temp_tablespaces",
        "local_preload_libraries",
        "session_preload_libraries",
        "shared_preload_libraries",
        "unix_socket_directories",
    };
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        if (named(v, lists[i]))
            return true;
    return false;
}

/* Never written: it ends with the transaction, or was never set by a client. */
static bool ignored(const struct var_value *v)
{
    return var_form(v) == VAR_REPORT || named(v, "transaction_isolation") ||
           named(v, "transaction_read_only") || named(v, "transaction_deferrable");
}

static const struct var_value *find(const struct var_set *set, const struct var_value *name)
{
    uint32_t low = 0, high = set != NULL ? set->count : 0;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        const struct var_value *v = set->values[mid];
        int d = var_name_compare(var_name(v), v->name_len, var_name(name), name->name_len);
        if (d == 0)
            return v;
        if (d < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

/* "a"."b": as one identifier a long name would be cut. */
static void put_name(struct writer *w, const struct var_value *v)
{
    const char *name = var_name(v), *end = name + v->name_len, *dot;
    put_string(w, "\"");
    for (; (dot = memchr(name, '.', (size_t)(end - name))) != NULL; name = dot + 1) {
        put(w, name, (size_t)(dot - name));
        put_string(w, "\".\"");
    }
    put(w, name, (size_t)(end - name));
    put_string(w, "\"");
}

static void put_reset(struct writer *w, const struct var_value *v)
{
    next_statement(w);
    if (named(v, "session_authorization")) {
        put_string(w, "RESET SESSION AUTHORIZATION");
        return;
    }
    put_string(w, "RESET ");
    put_name(w, v);
}

static void put_set(struct writer *w, const struct var_value *v)
{
    next_statement(w);
    w->out->proven &= v->proven;
    bool temp_buffers = named(v, "temp_buffers");
    bool bytes = var_form(v) == VAR_BYTES;
    if (bytes || (var_form(v) == VAR_PLAIN && (is_identifier_list(v) || temp_buffers))) {
        put_string(w, "SELECT pg_catalog.set_config('");
        put(w, var_name(v), v->name_len);
        put_string(w, "',");
        (bytes ? put_bytes : put_literal)(w, var_string(v), v->value_len);
        put_string(w, ",false)");
        /* Refused once anybody has had a temporary table there, and that is not this client's. */
        if (temp_buffers)
            put_string(w, " WHERE pg_catalog.pg_my_temp_schema() OPERATOR(pg_catalog.=) 0");
        return;
    }
    put_string(w, "SET ");
    put_name(w, v);
    put_string(w, " TO ");
    if (var_form(v) == VAR_PLAIN)
        put_literal(w, var_string(v), v->value_len);
    else
        put(w, var_string(v), v->value_len);
}

/* Bring one setting, of which `want` or `have` may be NULL, where it shall be. */
static void put_change(struct writer *w, const struct var_value *have, const struct var_value *want)
{
    const struct var_value *base = find(w->base, want != NULL ? want : have);
    if (want == NULL || (want == base && have != NULL)) {
        put_reset(w, have);
        return;
    }
    /* "iso" leaves the order as it is, and "dmy" the style: that must not be what others had. */
    if (have != NULL && named(want, "datestyle"))
        put_reset(w, have);
    put_set(w, want);
}

static bool differs(const struct writer *w, const struct var_value *have,
                    const struct var_value *want)
{
    const struct var_value *any = want != NULL ? want : have;
    if (ignored(any))
        return false;
    if (have == NULL)
        have = find(w->base, any);
    return want != have;
}

/* Walk the two sets side by side; `visit` gets each name at which they differ. */
static void each_change(struct writer *w, void (*visit)(struct writer *, const struct var_value *,
                                                        const struct var_value *))
{
    uint32_t i = 0, j = 0;
    while (i < w->have->count || j < w->want->count) {
        const struct var_value *have = i < w->have->count ? w->have->values[i] : NULL;
        const struct var_value *want = j < w->want->count ? w->want->values[j] : NULL;
        int order = have == NULL   ? 1
                    : want == NULL ? -1
                                   : var_name_compare(var_name(have), have->name_len,
                                                      var_name(want), want->name_len);
        if (order > 0)
            have = NULL;
        if (order < 0)
            want = NULL;
        i += have != NULL;
        j += want != NULL;
        if (differs(w, have, want))
            visit(w, have, want);
    }
}

/* The text from `at` on becomes a message of its own if it depends on the encoding that the text
 * before sets. */
static void split_at(struct writer *w, size_t at)
{
    uint8_t *text = buf_head(w->sql) + w->start;
    size_t len = buf_len(w->sql) - w->start;
    bool ascii = true;
    for (size_t i = at; i < len; i++)
        ascii &= text[i] < 128;
    if (ascii || at == 0)
        return;
    memmove(text + at, text + at + 2, len - at - 2); /* the "; " between */
    buf_unput(w->sql, 2);
    w->out->split = (uint32_t)at;
}

/* ---- the passes -------------------------------------------------------------------------------
 */

static void visit_count(struct writer *w, const struct var_value *have,
                        const struct var_value *want)
{
    (void)have, (void)want;
    w->out->changes++;
}

static void visit_encoding(struct writer *w, const struct var_value *have,
                           const struct var_value *want)
{
    if (named(want != NULL ? want : have, "client_encoding"))
        put_change(w, have, want);
}

static void visit_others(struct writer *w, const struct var_value *have,
                         const struct var_value *want)
{
    const struct var_value *any = want != NULL ? want : have;
    if (!is_rights(any) && !named(any, "client_encoding"))
        put_change(w, have, want);
}

/* All rights of this set, taken back or granted. session_authorization first. */
static void put_rights(struct writer *w, const struct var_set *set,
                       void (*statement)(struct writer *, const struct var_value *))
{
    static const char *const order[] = {"session_authorization", "role"};
    for (size_t o = 0; o < 2; o++)
        for (uint32_t i = 0; set != NULL && i < set->count; i++)
            if (named(set->values[i], order[o]) && var_form(set->values[i]) != VAR_REPORT) {
                statement(w, set->values[i]);
                w->out->privileged = true;
            }
}

bool pg_guc_diff(const struct var_set *have, const struct var_set *want, const struct var_set *base,
                 struct buf *sql, struct pg_guc_diff *out)
{
    struct writer w = {.sql = sql, .have = have, .want = want, .base = base, .out = out};
    *out = (struct pg_guc_diff){.proven = true};
    if (have == want)
        return true;
    each_change(&w, visit_count);
    if (out->changes == 0)
        return true;
    out->changes = 0;
    w.start = buf_len(sql);
    put_rights(&w, have, put_reset);
    uint32_t rights = out->changes;
    each_change(&w, visit_encoding);
    size_t encoded = out->changes > rights ? buf_len(sql) - w.start : 0;
    each_change(&w, visit_others);
    put_rights(&w, want, put_set);
    if (w.failed) {
        buf_unput(sql, buf_len(sql) - w.start);
        return false;
    }
    split_at(&w, encoded);
    return true;
}
