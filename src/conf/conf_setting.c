/* SPDX-License-Identifier: ISC
 * See conf_setting.h. The table itself is conf_settings.def; here it becomes an array.
 */
#include "config.h"

#include "conf/conf_setting.h"

#include "conf/conf_value.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define ITEMS(a) (sizeof(a) / sizeof(a)[0])

static const char *const names_pool_mode[] = {"transaction", "session", "statement", NULL};
static const char *const names_auth_type[] = {"scram-sha-256", "md5", "plain", "cert",
                                              "trust",         "any", NULL};
static const char *const names_sslmode[] = {"disable",   "allow",       "prefer", "require",
                                            "verify-ca", "verify-full", NULL};
static const char *const names_dheparams[] = {"auto", "none", "legacy", NULL};
static const char *const names_log_level[] = {"error", "warning", "info", "debug", NULL};
static const char *const names_log_format[] = {"text", "json", "ecs", "gcp", NULL};
static const char *const names_log_destination[] = {"stderr", "stdout", NULL};

/* Enums are written through an unsigned of the same size. */
_Static_assert(sizeof(enum conf_auth_type) == sizeof(unsigned), "an enum is an unsigned");
_Static_assert((int)CONF_LOG_LEVEL_DEBUG == (int)LOG_LEVEL_DEBUG &&
                   (int)CONF_LOG_FORMAT_GCP == (int)LOG_FORMAT_GCP,
               "the logger's own values");
_Static_assert(sizeof(enum conf_pool_mode) == sizeof(unsigned), "an enum is an unsigned");

#define RELOAD    true
#define RESTART   false
#define AT(field) offsetof(struct conf_settings, field)
#define ROW(n, t, field, words, d, p, lo, hi, r, g, h, w)                                          \
    {.name = #n,                                                                                   \
     .type = CONF_TYPE_##t,                                                                        \
     .reload = r,                                                                                  \
     .group = CONF_GROUP_##g,                                                                      \
     .offset = AT(field),                                                                          \
     .min = lo,                                                                                    \
     .max = hi,                                                                                    \
     .names = words,                                                                               \
     .defval = d,                                                                                  \
     .pgb_defval = p,                                                                              \
     .help = h,                                                                                    \
     .note = w},
#define CONF_TIME(n, d, p, lo, hi, r, g, h, w) ROW(n, TIME, n##_us, NULL, d, p, lo, hi, r, g, h, w)
#define CONF_TIMEMS(n, d, p, lo, hi, r, g, h, w)                                                   \
    ROW(n, TIMEMS, n##_us, NULL, d, p, lo, hi, r, g, h, w)
#define CONF_SIZE(n, d, p, lo, hi, r, g, h, w)                                                     \
    ROW(n, SIZE, n##_bytes, NULL, d, p, lo, hi, r, g, h, w)
#define CONF_INT(n, d, p, lo, hi, r, g, h, w)   ROW(n, INT, n, NULL, d, p, lo, hi, r, g, h, w)
#define CONF_AUTO(n, d, p, lo, hi, r, g, h, w)  ROW(n, AUTO, n, NULL, d, p, lo, hi, r, g, h, w)
#define CONF_MODE(n, d, p, lo, hi, r, g, h, w)  ROW(n, MODE, n, NULL, d, p, lo, hi, r, g, h, w)
#define CONF_BOUND(n, d, p, lo, hi, r, g, h, w) ROW(n, BOUND, n, NULL, d, p, lo, hi, r, g, h, w)
#define CONF_BOOL(n, d, p, r, g, h, w)          ROW(n, BOOL, n, NULL, d, p, 0, 1, r, g, h, w)
#define CONF_ENUM(n, tag, d, p, r, g, h, w)     ROW(n, ENUM, n, names_##tag, d, p, 0, 0, r, g, h, w)
#define CONF_STR(n, d, p, r, g, h, w)           ROW(n, STR, n, NULL, d, p, 0, 0, r, g, h, w)
#define CONF_FILE(n, d, p, r, g, h, w)          ROW(n, FILE, n, NULL, d, p, 0, 0, r, g, h, w)
#define CONF_IGNORED(n, why)
static const struct conf_setting settings[] = {
#include "conf/conf_settings.def"
};
#undef CONF_TIME
#undef CONF_TIMEMS
#undef CONF_SIZE
#undef CONF_INT
#undef CONF_AUTO
#undef CONF_MODE
#undef CONF_BOUND
#undef CONF_BOOL
#undef CONF_ENUM
#undef CONF_STR
#undef CONF_FILE
#undef CONF_IGNORED

#define CONF_TIME(...)
#define CONF_TIMEMS(...)
#define CONF_SIZE(...)
#define CONF_INT(...)
#define CONF_AUTO(...)
#define CONF_MODE(...)
#define CONF_BOUND(...)
#define CONF_BOOL(...)
#define CONF_ENUM(...)
#define CONF_STR(...)
#define CONF_FILE(...)
#define CONF_IGNORED(n, w) {.name = #n, .why = w},
static const struct conf_ignored ignored[] = {
#include "conf/conf_settings.def"
};

_Static_assert(ITEMS(settings) <= CONF_SETTING_MAX, "raise CONF_SETTING_MAX");

const struct conf_setting *conf_setting_at(size_t i)
{
    return i < ITEMS(settings) ? &settings[i] : NULL;
}

const struct conf_ignored *conf_ignored_at(size_t i)
{
    return i < ITEMS(ignored) ? &ignored[i] : NULL;
}

const struct conf_setting *conf_setting_find(const char *name)
{
    for (size_t i = 0; i < ITEMS(settings); i++)
        if (strcasecmp(settings[i].name, name) == 0)
            return &settings[i];
    return NULL;
}

const struct conf_ignored *conf_ignored_find(const char *name)
{
    for (size_t i = 0; i < ITEMS(ignored); i++)
        if (strcasecmp(ignored[i].name, name) == 0)
            return &ignored[i];
    return NULL;
}

size_t conf_setting_index(const struct conf_setting *row)
{
    return (size_t)(row - settings);
}

const char *conf_setting_suggest(const char *name)
{
    const char *best = NULL;
    size_t least = strlen(name) / 3 + 1;
    for (size_t i = 0; i < ITEMS(settings); i++) {
        size_t d = conf_distance(name, settings[i].name);
        if (d <= least && (best == NULL || d < least)) {
            best = settings[i].name;
            least = d;
        }
    }
    return best;
}

const char *conf_group_title(enum conf_group group)
{
    static const char *const titles[CONF_GROUP_COUNT] = {
        [CONF_GROUP_LISTEN] = "Where clients connect",
        [CONF_GROUP_POOL] = "How much",
        [CONF_GROUP_QUEUE] = "The queue",
        [CONF_GROUP_CLIENT] = "Clients: how long",
        [CONF_GROUP_SERVER] = "Connections to the databases",
        [CONF_GROUP_AUTH] = "Who may log in",
        [CONF_GROUP_CLIENT_TLS] = "TLS towards clients",
        [CONF_GROUP_SERVER_TLS] = "TLS towards the databases",
        [CONF_GROUP_TCP] = "TCP",
        [CONF_GROUP_FUNCTION] = "Functions",
        [CONF_GROUP_ADMIN] = "Watching it",
        [CONF_GROUP_LOG] = "Logs",
        [CONF_GROUP_PROCESS] = "The process"};
    return titles[group];
}

const char *conf_setting_default(const struct conf_setting *row, bool pgbouncer)
{
    return pgbouncer && row->pgb_defval != NULL ? row->pgb_defval : row->defval;
}

static const char *format_number(const struct conf_setting *row, uint64_t v, char to[48])
{
    switch (row->type) {
    case CONF_TYPE_TIME:
    case CONF_TYPE_TIMEMS:
        return conf_format_time(v, to);
    case CONF_TYPE_SIZE:
        return conf_format_size(v, to);
    case CONF_TYPE_MODE:
        (void)snprintf(to, 48, "0%03" PRIo64, v);
        return to;
    case CONF_TYPE_AUTO:
        if (v == 0)
            return "auto";
        break;
    case CONF_TYPE_INT:
    case CONF_TYPE_BOOL:
    case CONF_TYPE_ENUM:
    case CONF_TYPE_STR:
    case CONF_TYPE_FILE:
    case CONF_TYPE_BOUND:
        break;
    }
    (void)snprintf(to, 48, "%" PRIu64, v);
    return to;
}

void conf_setting_range(const struct conf_setting *row, char *to, size_t room)
{
    char lo[48], hi[48];
    size_t n = 0;
    to[0] = '\0';
    switch (row->type) {
    case CONF_TYPE_BOUND:
        (void)snprintf(to, room, "auto, %" PRIu64 " to %" PRIu64 " or 1%% to 100%%", row->min,
                       row->max);
        return;
    case CONF_TYPE_BOOL:
        (void)snprintf(to, room, "0 or 1");
        return;
    case CONF_TYPE_ENUM:
        for (size_t i = 0; row->names[i] != NULL && n < room; i++)
            n += (size_t)snprintf(to + n, room - n, "%s%s", i == 0 ? "" : ", ", row->names[i]);
        return;
    case CONF_TYPE_STR:
    case CONF_TYPE_FILE:
        return;
    case CONF_TYPE_TIME:
    case CONF_TYPE_TIMEMS:
    case CONF_TYPE_SIZE:
    case CONF_TYPE_INT:
    case CONF_TYPE_AUTO:
    case CONF_TYPE_MODE:
        break;
    }
    (void)snprintf(to, room, "%s%s to %s", row->type == CONF_TYPE_AUTO ? "auto, " : "",
                   format_number(row, row->min, lo), format_number(row, row->max, hi));
}

static bool check_range(const struct conf_setting *row, uint64_t v, const char *text,
                        struct err *err)
{
    if (v >= row->min && v <= row->max)
        return true;
    char range[128];
    conf_setting_range(row, range, sizeof range);
    err_set(err, "%.40s is out of range; %s is allowed", text, range);
    return false;
}

/* TIME, TIMEMS and SIZE: a field of 64 bits. */
static bool parse_wide(const struct conf_setting *row, const char *text, void *field,
                       struct err *err)
{
    uint64_t v;
    bool ok =
        row->type == CONF_TYPE_SIZE
            ? conf_parse_size(text, &v, err)
            : conf_parse_time(text, row->type == CONF_TYPE_TIME ? US_PER_S : US_PER_MS, &v, err);
    if (!ok || !check_range(row, v, text, err))
        return false;
    memcpy(field, &v, sizeof v);
    return true;
}

/* INT, AUTO and MODE: an int. */
static bool parse_narrow(const struct conf_setting *row, const char *text, void *field,
                         struct err *err)
{
    int64_t v;
    if (row->type == CONF_TYPE_AUTO && strcasecmp(text, "auto") == 0) {
        v = 0;
    } else {
        if (!conf_parse_int(text, row->type == CONF_TYPE_MODE, &v, err))
            return false;
        if (!check_range(row, v < 0 ? UINT64_MAX : (uint64_t)v, text, err))
            return false;
    }
    int n = (int)v;
    memcpy(field, &n, sizeof n);
    return true;
}

static bool parse_text(const struct conf_setting *row, const char *text, void *field,
                       struct conf_arena *arena, struct err *err)
{
    unsigned mask;
    size_t len = strlen(row->name);
    if (len > 10 && strcmp(row->name + len - 10, "_protocols") == 0 &&
        !conf_parse_tls_protocols(text, &mask, err))
        return false;
    const char *copy = conf_arena_text(arena, text);
    memcpy(field, &copy, sizeof copy);
    return true;
}

bool conf_setting_parse(const struct conf_setting *row, const char *text, void *base,
                        struct conf_arena *arena, struct err *err)
{
    void *field = (unsigned char *)base + row->offset;
    int word;
    switch (row->type) {
    case CONF_TYPE_TIME:
    case CONF_TYPE_TIMEMS:
    case CONF_TYPE_SIZE:
        return parse_wide(row, text, field, err);
    case CONF_TYPE_INT:
    case CONF_TYPE_AUTO:
    case CONF_TYPE_MODE:
        return parse_narrow(row, text, field, err);
    case CONF_TYPE_BOOL:
        return conf_parse_bool(text, field, err);
    case CONF_TYPE_BOUND:
        return conf_parse_bound(text, field, err);
    case CONF_TYPE_ENUM:
        if (!conf_parse_name(text, row->names, &word, err))
            return false;
        memcpy(field, &word, sizeof word);
        return true;
    case CONF_TYPE_STR:
    case CONF_TYPE_FILE:
        break;
    }
    return parse_text(row, text, field, arena, err);
}

const char *conf_setting_format(const struct conf_setting *row, const void *base, char to[48])
{
    const void *field = (const unsigned char *)base + row->offset;
    uint64_t wide;
    int narrow;
    bool on;
    const char *text;
    struct conf_bound bound;
    switch (row->type) {
    case CONF_TYPE_TIME:
    case CONF_TYPE_TIMEMS:
    case CONF_TYPE_SIZE:
        memcpy(&wide, field, sizeof wide);
        return format_number(row, wide, to);
    case CONF_TYPE_INT:
    case CONF_TYPE_AUTO:
    case CONF_TYPE_MODE:
        memcpy(&narrow, field, sizeof narrow);
        return format_number(row, (uint64_t)narrow, to);
    case CONF_TYPE_ENUM:
        memcpy(&narrow, field, sizeof narrow);
        return row->names[narrow];
    case CONF_TYPE_BOOL:
        memcpy(&on, field, sizeof on);
        return on ? "1" : "0";
    case CONF_TYPE_BOUND:
        memcpy(&bound, field, sizeof bound);
        return conf_format_bound(bound, to);
    case CONF_TYPE_STR:
    case CONF_TYPE_FILE:
        break;
    }
    memcpy(&text, field, sizeof text);
    return text;
}
