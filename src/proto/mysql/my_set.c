/* SPDX-License-Identifier: ISC
 * Session variables: the SET that leads from one set of values to another, and whether a client's
 * SET changes anything.
 *
 * Values are what the server reported. A number is replayed bare, for a numeric variable takes no
 * string; everything else quoted by doubling, which every sql_mode reads alike.
 */
#include "config.h"

#include "proto/mysql/my_session.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

static bool is_number(const char *v)
{
    bool digit = false;
    if (*v == '-')
        v++;
    for (; *v != '\0'; v++) {
        if (*v != '.' && (*v < '0' || *v > '9'))
            return false;
        digit |= *v != '.';
    }
    return digit;
}

static bool is_one_of(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* The SET of anything may be warned of, as being deprecated, even where it changes nothing. Of
 * these it isn't, and they are what drivers begin with. */
static bool is_quiet_name(const char *name)
{
    static const char *const names[] = {"autocommit",
                                        "auto_increment_increment",
                                        "auto_increment_offset",
                                        "character_set_client",
                                        "character_set_connection",
                                        "character_set_results",
                                        "character_set_server",
                                        "collation_connection",
                                        "collation_server",
                                        "default_storage_engine",
                                        "div_precision_increment",
                                        "foreign_key_checks",
                                        "group_concat_max_len",
                                        "innodb_lock_wait_timeout",
                                        "lc_time_names",
                                        "lock_wait_timeout",
                                        "long_query_time",
                                        "max_execution_time",
                                        "max_heap_table_size",
                                        "max_statement_time",
                                        "optimizer_switch",
                                        "sort_buffer_size",
                                        "sql_auto_is_null",
                                        "sql_big_selects",
                                        "sql_mode",
                                        "sql_notes",
                                        "sql_quote_show_create",
                                        "sql_safe_updates",
                                        "sql_select_limit",
                                        "time_zone",
                                        "tmp_table_size",
                                        "transaction_isolation",
                                        "transaction_read_only",
                                        "unique_checks"};
    return is_one_of(name, names, sizeof names / sizeof names[0]);
}

/* NULL is reported as "". */
static bool is_null(const char *name, const char *value)
{
    static const char engine[] = "_engine";
    size_t n = strlen(name), tail = sizeof engine - 1;
    return value[0] == '\0' && (strcmp(name, "character_set_results") == 0 ||
                                (n > tail && strcmp(name + n - tail, engine) == 0));
}

/* MariaDB reports a word that it takes without quotes only. */
static bool is_default(const char *name, const char *value)
{
    return strcmp(name, "system_versioning_asof") == 0 && strcmp(value, "DEFAULT") == 0;
}

static bool put_value(struct buf *sql, const char *quote, const char *name, const char *value)
{
    if (is_null(name, value))
        return buf_printf(sql, "NULL");
    if (is_default(name, value))
        return buf_printf(sql, "DEFAULT");
    if (is_number(value) && strcmp(name, "time_zone") != 0)
        return buf_printf(sql, "%s", value);
    if (strchr(value, '\\') != NULL) { /* read differently by different modes */
        bool ok = buf_printf(sql, "CONVERT(0x");
        for (const char *p = value; ok && *p != '\0'; p++)
            ok = buf_printf(sql, "%02x", (unsigned)(uint8_t)*p);
        return ok && buf_printf(sql, " USING utf8mb4)");
    }
    bool ok = buf_printf(sql, "%s", quote);
    for (const char *p = value; ok && *p != '\0'; p++)
        ok = buf_append(sql, p, 1) && (*p != '\'' || buf_append(sql, p, 1));
    return ok && buf_append(sql, "'", 1);
}

static bool same_entry(const struct var_entry *a, const struct var_entry *b)
{
    return a->value_len == b->value_len && memcmp(a->value, b->value, a->value_len) == 0;
}

static bool find(const struct var_set *set, const struct var_set *base, const char *name,
                 struct var_entry *out)
{
    size_t n = strlen(name);
    return var_set_find(set, name, n, out) || (base != NULL && var_set_find(base, name, n, out));
}

struct diff {
    const struct var_set *have, *want, *base;
    struct buf *sql;
    const char *quote; /* begins a string */
    bool any, ok;
    bool loud;  /* there may be warnings */
    bool names; /* SET NAMES was all so far */
};

static void assign(struct diff *d, const char *name, const char *value)
{
    const char *before = d->names ? ", SESSION " : d->any ? ", " : "SET SESSION ";
    d->names = false;
    d->loud |= !is_quiet_name(name);
    d->ok =
        d->ok && buf_printf(d->sql, "%s%s=", before, name) &&
        (value == NULL ? buf_printf(d->sql, "DEFAULT") : put_value(d->sql, d->quote, name, value));
    d->any = true;
}

static bool is_charset(const char *name)
{
    static const char *const names[] = {"character_set_client",     "character_set_results",
                                        "character_set_connection", "collation_connection",
                                        "character_set_server",     "collation_server"};
    return is_one_of(name, names, sizeof names / sizeof names[0]);
}

static bool differs(const struct diff *d, const char *name, struct var_entry *want)
{
    struct var_entry have;
    return find(d->want, d->base, name, want) &&
           (!find(d->have, d->base, name, &have) || !same_entry(&have, want));
}

static bool is_equal(const struct var_entry *a, const char *set)
{
    return strcmp(a->value, set) == 0;
}

/* All of one character set: by SET NAMES, which alone gives results this collation, too (it is
 * named in the definitions of columns). */
static bool diff_names(struct diff *d)
{
    struct var_entry set, client, results, collation;
    bool all = find(d->want, d->base, "character_set_connection", &set) &&
               find(d->want, d->base, "character_set_client", &client) &&
               find(d->want, d->base, "character_set_results", &results) &&
               find(d->want, d->base, "collation_connection", &collation);
    if (!all || set.value_len == 0 || !is_equal(&client, set.value) ||
        !is_equal(&results, set.value))
        return false;
    if (differs(d, "character_set_client", &client) ||
        differs(d, "character_set_results", &results) ||
        differs(d, "character_set_connection", &set) ||
        differs(d, "collation_connection", &collation)) {
        d->ok = d->ok && buf_printf(d->sql, "SET NAMES '%s'", set.value) &&
                (collation.value_len == 0 || buf_printf(d->sql, " COLLATE '%s'", collation.value));
        d->any = d->names = true;
    }
    return true;
}

/* A collation and its character set are one thing: setting one sets the other, so both are set when
 * either differs, the collation last. "" is the set's default one. */
static void diff_pair(struct diff *d, const char *set, const char *collation)
{
    struct var_entry e;
    bool either = differs(d, set, &e);
    either |= differs(d, collation, &e);
    if (!either)
        return;
    if (find(d->want, d->base, set, &e))
        assign(d, set, e.value);
    if (find(d->want, d->base, collation, &e) && e.value_len != 0)
        assign(d, collation, e.value);
}

static void diff_charsets(struct diff *d)
{
    struct var_entry set;
    if (!diff_names(d)) {
        if (differs(d, "character_set_client", &set))
            assign(d, "character_set_client", set.value);
        if (differs(d, "character_set_results", &set))
            assign(d, "character_set_results", set.value);
        diff_pair(d, "character_set_connection", "collation_connection");
    }
    diff_pair(d, "character_set_server", "collation_server");
}

static void diff_others(struct diff *d)
{
    struct var_entry have;
    for (uint32_t i = 0; i < var_set_count(d->want); i++) {
        struct var_entry e = var_set_at(d->want, i);
        if (!is_charset(e.name) &&
            (!find(d->have, d->base, e.name, &have) || !same_entry(&have, &e)))
            assign(d, e.name, e.value);
    }
    for (uint32_t i = 0; i < var_set_count(d->have); i++) {
        struct var_entry e = var_set_at(d->have, i), other;
        if (is_charset(e.name) || var_set_find(d->want, e.name, e.name_len, &other))
            continue;
        bool known = d->base != NULL && var_set_find(d->base, e.name, e.name_len, &other);
        assign(d, e.name, known ? other.value : NULL);
    }
}

/* Many variables take no string of two or four bytes a character: then it is said which it is. */
static const char *quote_for(const struct diff *d)
{
    static const char *const wide[] = {"ucs2", "utf16", "utf16le", "utf32"};
    struct var_entry e;
    if (find(d->have, d->base, "character_set_connection", &e))
        for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++)
            if (is_equal(&e, wide[i]))
                return "_utf8mb4'";
    return "'";
}

bool my_set_diff(const struct var_set *have, const struct var_set *want, const struct var_set *base,
                 struct buf *sql, bool *any, bool *loud)
{
    struct diff d = {.have = have, .want = want, .base = base, .sql = sql, .ok = true};
    d.quote = quote_for(&d);
    diff_charsets(&d);
    diff_others(&d);
    *any = d.any;
    *loud = d.loud;
    return d.ok;
}

bool my_set_value(const struct my_client *c, const char *name, struct var_entry *out)
{
    return find(c->vars, c->report != NULL ? c->report->base : NULL, name, out);
}

static unsigned scan_opts(const struct my_client *c)
{
    struct var_entry e;
    unsigned opts = 0;
    if (my_set_value(c, "sql_mode", &e)) {
        if (strstr(e.value, "ANSI_QUOTES") != NULL)
            opts |= MY_SCAN_ANSI_QUOTES;
        if (strstr(e.value, "NO_BACKSLASH_ESCAPES") != NULL)
            opts |= MY_SCAN_NO_BACKSLASH;
    }
    if (my_set_value(c, "character_set_client", &e))
        opts |= my_scan_charset(e.value);
    return opts | (c->report != NULL ? c->report->scan_opts : 0);
}

void my_scan_opts_follow(struct my_client *c)
{
    c->scan_opts = scan_opts(c);
}

unsigned my_scan_opts(const struct my_client *c)
{
#ifdef WEIR_DEBUG
    assert(c->scan_opts == scan_opts(c));
#endif
    return c->scan_opts;
}

static bool same_value(const char *name, const char *now, const char *asked)
{
    static const char *const on[] = {"1", "ON", "TRUE"}, *const off[] = {"0", "OFF", "FALSE"};
    (void)name;
    if (strcmp(now, asked) == 0)
        return true;
    for (size_t i = 0; i < 3; i++) {
        if (strcasecmp(now, "ON") == 0 && strcasecmp(asked, on[i]) == 0)
            return true;
        if (strcasecmp(now, "OFF") == 0 && strcasecmp(asked, off[i]) == 0)
            return true;
    }
    return false;
}

static bool value_is(const struct my_client *c, const char *name, const char *asked)
{
    struct var_entry e;
    return my_set_value(c, name, &e) && same_value(name, e.value, asked);
}

/* SET NAMES without COLLATE means the character set's default collation, of which weir knows that
 * of the commonest two. */
static bool is_default_collation(const struct my_client *c, const char *charset, const char *now)
{
    struct var_entry e;
    if (now[0] == '\0') /* a SET NAMES without COLLATE is what set it */
        return true;
    if (strcasecmp(charset, "latin1") == 0)
        return strcmp(now, "latin1_swedish_ci") == 0;
    if (strcasecmp(charset, "utf8mb4") != 0)
        return false;
    if (my_set_value(c, "default_collation_for_utf8mb4", &e)) /* MySQL 8 and later */
        return strcmp(now, e.value) == 0;
    /* MariaDB; from 11 on it has a list of what was made another. */
    return c->report != NULL && c->report->mariadb &&
           (!my_set_value(c, "character_set_collations", &e) || e.value_len == 0) &&
           strcmp(now, "utf8mb4_general_ci") == 0;
}

static bool names_are(const struct my_client *c, const char *charset, const char *collation)
{
    struct var_entry e;
    if (!value_is(c, "character_set_client", charset) ||
        !value_is(c, "character_set_results", charset) ||
        !value_is(c, "character_set_connection", charset) ||
        !my_set_value(c, "collation_connection", &e))
        return false;
    return collation[0] != '\0' ? strcmp(e.value, collation) == 0
                                : is_default_collation(c, charset, e.value);
}

/* MySQL warns of modes that make no whole. */
static bool is_warned_of(const char *mode)
{
    static const char *const whole[] = {"STRICT_", "NO_ZERO_DATE", "NO_ZERO_IN_DATE",
                                        "ERROR_FOR_DIVISION_BY_ZERO"};
    size_t n = 0;
    for (size_t i = 0; i < 4; i++)
        n += strstr(mode, whole[i]) != NULL;
    return (n != 0 && n != 4) || strstr(mode, "PAD_CHAR_TO_FULL_LENGTH") != NULL;
}

static bool is_quiet(const struct my_client *c, const char *name, const char *value)
{
    bool mysql = my_is_mysql(c);
    if (mysql && (strcasecmp(value, "utf8mb3") == 0 || strncasecmp(value, "utf8mb3_", 8) == 0))
        return false;
    return is_quiet_name(name) && (!mysql || strcmp(name, "sql_mode") != 0 || !is_warned_of(value));
}

bool my_set_is_noop(const struct my_client *c, const char *text, const struct my_scan_assign *a,
                    unsigned opts)
{
    char name[128], value[1024];
    if (a->kind != MY_VALUE_LITERAL && a->kind != MY_VALUE_WORD)
        return false;
    if (a->scope == MY_SCOPE_NAMES)
        return my_scan_literal(text, a->name, opts, name, sizeof name) &&
               !(my_is_mysql(c) && strcasecmp(name, "utf8mb3") == 0) &&
               (a->value.len == 0 ? (value[0] = '\0', true)
                                  : my_scan_literal(text, a->value, opts, value, sizeof value)) &&
               names_are(c, name, value);
    return a->scope == MY_SCOPE_SESSION && my_scan_name(text, a->name, name, sizeof name) != 0 &&
           my_scan_literal(text, a->value, opts, value, sizeof value) && is_quiet(c, name, value) &&
           value_is(c, name, value);
}
