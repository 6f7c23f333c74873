/* SPDX-License-Identifier: ISC
 * Session tracking: what the server reports of variables, schema and state, taken over for the
 * client and its connection; and as much of it as the client would have been told by itself.
 * Called for each OK of a server connection (my_server.c), on its worker's thread.
 */
#include "config.h"

#include "proto/mysql/my_session.h"

#include <stdlib.h>

/* Variables that are facts, or belong to a moment, not to a session. */
static bool is_no_setting(const char *name, size_t n)
{
    static const char *const names[] = {"statement_id",     "last_insert_id", "identity",
                                        "warning_count",    "error_count",    "last_gtid",
                                        "pseudo_thread_id", "external_user",  "proxy_user"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i]) == n && memcmp(names[i], name, n) == 0)
            return true;
    return my_scan_is_tracking(name, n);
}

/* A routine has changed what weir is told: nobody else gets the connection before it is reset. */
static bool is_deafened(const char *name, size_t n, struct my_view value)
{
    static const char variables[] = "session_track_system_variables";
    bool all = n == sizeof variables - 1 && memcmp(name, variables, n) == 0;
    if (!my_scan_is_tracking(name, n))
        return false;
    return all ? !my_view_is(value, "*") : my_view_is(value, "OFF") || my_view_is(value, "0");
}

/* Settings whose replay would do something else than they did: max_join_size sets sql_big_selects,
 * too, and those of the database are set by USE. */
static bool is_unmovable(const char *name, size_t n)
{
    static const char *const names[] = {"gtid_next",          "rand_seed1",
                                        "rand_seed2",         "insert_id",
                                        "sql_log_bin",        "timestamp",
                                        "gtid_seq_no",        "max_join_size",
                                        "collation_database", "character_set_database"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i]) == n && memcmp(names[i], name, n) == 0)
            return true;
    return false;
}

/* From here on the connection can be nobody else's: SHOW PROFILES or OPTIMIZER_TRACE has this
 * client's statements, IS NULL finds its last row once, its next COMMIT ends the connection, or
 * nothing but a reset switches it off. */
static bool is_owned_by(struct my_view name, struct my_view value)
{
    bool off = value.n == 0 || my_view_is(value, "OFF") || my_view_is(value, "0");
    bool release = my_view_is(value, "RELEASE") || my_view_is(value, "2");
    bool on = my_view_is(value, "ON") || my_view_is(value, "1");
    bool traces = value.n >= 10 && memcmp(value.p, "enabled=on", 10) == 0;
    return (my_view_is(name, "profiling") && !off) ||
           (my_view_is(name, "optimizer_trace") && traces) ||
           (my_view_is(name, "sql_auto_is_null") && on) ||
           (my_view_is(name, "require_row_format") && on) ||
           (my_view_is(name, "completion_type") && release);
}

static void take_vars(struct my_client *c, const struct my_server *s)
{
    vars_assign(&c->vars, s->vars);
    my_scan_opts_follow(c);
}

static void track_variable(struct my_client *c, struct my_server *s, struct my_view name,
                           struct my_view value)
{
    const char *key = (const char *)name.p, *text = value.p != NULL ? (const char *)value.p : "";
    struct var_entry e;
    if (is_no_setting(key, name.n)) {
        if (is_deafened(key, name.n, value)) {
            s->pins |= MY_PIN_VARIABLE;
            s->stuck = true;
        }
        return;
    }
    s->reported = true;
    if (is_unmovable(key, name.n) || is_owned_by(name, value)) {
        s->pins |= MY_PIN_VARIABLE;
        s->stuck |= !my_view_is(name, "timestamp");
        return;
    }
    bool at_base = s->base != NULL && var_set_find(s->base, key, name.n, &e) &&
                   e.value_len == value.n && memcmp(e.value, text, value.n) == 0;
    struct var_set *fresh = at_base ? vars_without(s->vars, key, name.n)
                                    : vars_with(s->vars, key, name.n, VAR_PLAIN, text, value.n);
    if (!vars_take(&s->vars, fresh)) { /* too long or too many: stays here */
        s->pins |= MY_PIN_VARIABLE;
        s->stuck = true;
        return;
    }
    if (c != NULL)
        take_vars(c, s);
}

static bool is(struct my_view v, const char *name)
{
    return strlen(name) == v.n && memcmp(v.p, name, v.n) == 0;
}

/* A character set and its collation: servers name the one that was set and not what comes with it.
 */
static const struct {
    const char *set, *collation;
} pairs[] = {
    {"character_set_connection", "collation_connection"},
    {"character_set_server", "collation_server"},
};
#define PAIRS (sizeof pairs / sizeof pairs[0])

struct told {
    bool set;
    struct my_view collation;
};

static void note_told(struct told *told, struct my_view name, struct my_view value)
{
    for (size_t i = 0; i < PAIRS; i++) {
        told[i].set |= is(name, pairs[i].set);
        if (is(name, pairs[i].collation))
            told[i].collation = value;
    }
}

/* The collation is that of a SET NAMES, or else the set's default one, which "" stands for; a
 * collation's name begins with that of its set. */
static void track_other(struct my_client *c, struct my_server *s, size_t pair, struct told *told)
{
    const char *name = pairs[pair].collation, *given = pair == 0 ? s->collation : "";
    struct my_view value = told->collation;
    if (told->set && value.n == 0) {
        if (vars_take(&s->vars,
                      vars_with(s->vars, name, strlen(name), VAR_PLAIN, given, strlen(given))) &&
            c != NULL)
            take_vars(c, s);
    } else if (!told->set && value.n != 0) {
        const uint8_t *end = memchr(value.p, '_', value.n);
        if (end != NULL)
            value.n = (size_t)(end - value.p);
        name = pairs[pair].set;
        track_variable(c, s, (struct my_view){(const uint8_t *)name, strlen(name)}, value);
    }
}

static void track_schema(struct my_client *c, struct my_server *s, struct my_view name)
{
    char *text = strndup((const char *)name.p, name.n);
    s->reported = true;
    if (text == NULL)
        return;
    bool home = strcmp(text, s->home) == 0;
    my_set_text(&s->schema, home ? NULL : text);
    if (name.n == 0) /* it was dropped */
        s->pins |= MY_PIN_SCHEMA;
    else
        s->pins &= ~(uint32_t)MY_PIN_SCHEMA;
    if (c != NULL)
        my_set_text(&c->schema, text);
    free(text);
}

void my_track(struct my_client *c, struct my_server *s, struct my_view block)
{
    if (my_expect_head(s)->act != MY_A_PASS && s->settle != MY_S_HIDDEN)
        return; /* weir's own doing */
    struct my_reader r = my_reader_of(block.p, block.n);
    struct told told[PAIRS] = {{.set = false}};
    while (my_left(&r) != 0) {
        uint64_t type = my_read_int(&r, 1);
        struct my_view data = my_read_lenenc_bytes(&r);
        if (r.bad)
            break;
        struct my_reader d = my_reader_of(data.p, data.n);
        if (type == MY_TRACK_VARIABLE) {
            while (my_left(&d) != 0) { /* one, or several */
                struct my_view name = my_read_lenenc_bytes(&d);
                struct my_view value = my_read_lenenc_bytes(&d);
                if (d.bad || name.n == 0)
                    break;
                track_variable(c, s, name, value);
                note_told(told, name, value);
            }
        } else if (type == MY_TRACK_SCHEMA) {
            struct my_view name = my_read_lenenc_bytes(&d);
            if (!d.bad && name.p != NULL)
                track_schema(c, s, name);
        } else if (type == MY_TRACK_STATE) {
            s->state_changed = true;
        }
    }
    for (size_t i = 0; i < PAIRS; i++)
        track_other(c, s, i, &told[i]);
}

/* session_track_system_variables and session_track_schema as servers come with them. */
static const char *const usual[] = {"autocommit", "character_set_client",
                                    "character_set_connection", "character_set_results",
                                    "time_zone"};

bool my_track_is_usual(const char *name)
{
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
        if (strcmp(name, usual[i]) == 0)
            return true;
    return false;
}

static bool is_told_by_default(uint64_t type, struct my_view data)
{
    struct my_reader r = my_reader_of(data.p, data.n);
    if (type == MY_TRACK_SCHEMA || type == MY_TRACK_TRANSACTION)
        return true;
    struct my_view name = my_read_lenenc_bytes(&r);
    for (size_t i = 0; type == MY_TRACK_VARIABLE && !r.bad && i < sizeof usual / sizeof usual[0];
         i++)
        if (is(name, usual[i]))
            return true;
    return false;
}

size_t my_track_filter(struct my_view block, uint8_t *to, size_t room)
{
    struct my_reader r = my_reader_of(block.p, block.n);
    size_t n = 0;
    while (my_left(&r) != 0) {
        const uint8_t *start = r.p;
        uint64_t type = my_read_int(&r, 1);
        struct my_view data = my_read_lenenc_bytes(&r);
        size_t len = (size_t)(r.p - start);
        if (r.bad)
            break;
        if (!is_told_by_default(type, data) || n + len > room)
            continue;
        memcpy(to + n, start, len);
        n += len;
    }
    return n;
}
