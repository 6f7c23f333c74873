/* SPDX-License-Identifier: ISC
 * See pg_canon.h. One row for each reported setting in rules[]; the functions say after which of
 * the server's own (guc.c, variable.c, datetime.c) they go.
 */
#include "config.h"

#include "proto/pg/pg_canon.h"

#include "proto/pg/pg_scan.h"

#include <libpq-fe.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NAME_MAX_BYTES 63   /* NAMEDATALEN - 1 */
#define VALUE_MAX      1024 /* of the settings that are looked into */

/* A value on its way: `text` is NUL-terminated, shorter than VALUE_MAX. */
struct canon {
    const struct pg_canon_server *server;
    const char *text;
    char *out;
    size_t cap;
};

static enum pg_canon_result answer(struct canon *c, const char *value, size_t len)
{
    if (len >= c->cap)
        return PG_CANON_BAD;
    memmove(c->out, value, len);
    c->out[len] = '\0';
    return PG_CANON_OK;
}

static enum pg_canon_result answer_string(struct canon *c, const char *value)
{
    return answer(c, value, strlen(value));
}

static enum pg_canon_result canon_as_given(struct canon *c)
{
    return answer_string(c, c->text);
}

/* The server refuses whoever tries to set it. */
static enum pg_canon_result canon_fixed(struct canon *c)
{
    (void)c;
    return PG_CANON_BAD;
}

/* parse_bool(): every prefix that says only one thing. */
static enum pg_canon_result canon_bool(struct canon *c)
{
    static const struct {
        const char *word;
        size_t least; /* letters that are needed */
        bool on;
    } words[] = {
        {"true", 1, true}, {"false", 1, false}, {"yes", 1, true}, {"no", 1, false},
        {"on", 2, true},   {"off", 2, false},   {"1", 1, true},   {"0", 1, false},
    };
    size_t len = strlen(c->text);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (len >= words[i].least && len <= strlen(words[i].word) &&
            strncasecmp(c->text, words[i].word, len) == 0)
            return answer_string(c, words[i].on ? "on" : "off");
    return PG_CANON_BAD;
}

static enum pg_canon_result canon_interval_style(struct canon *c)
{
    static const char *const styles[] = {"postgres", "postgres_verbose", "sql_standard",
                                         "iso_8601"};
    for (size_t i = 0; i < sizeof(styles) / sizeof(styles[0]); i++)
        if (strcasecmp(c->text, styles[i]) == 0)
            return answer_string(c, styles[i]);
    return PG_CANON_BAD;
}

static enum pg_canon_result canon_encoding(struct canon *c)
{
    int encoding = c->text[0] != '\0' ? pg_char_to_encoding(c->text) : -1;
    const char *name = encoding >= 0 ? pg_encoding_to_char(encoding) : "";
    return name[0] != '\0' ? answer_string(c, name) : PG_CANON_BAD;
}

/* check_application_name(); GUC_IS_NAME cuts the value before. */
static enum pg_canon_result canon_application_name(struct canon *c)
{
    static const char hex[] = "0123456789abcdef";
    char clean[NAME_MAX_BYTES * 4];
    size_t len = strlen(c->text), n = 0;
    if (len > NAME_MAX_BYTES)
        for (len = NAME_MAX_BYTES; len > 0 && ((unsigned char)c->text[len] & 0xc0) == 0x80;)
            len--; /* no half character */
    for (size_t i = 0; i < len; i++) {
        unsigned char b = (unsigned char)c->text[i];
        if (b >= 32 && b <= 126) {
            clean[n++] = (char)b;
        } else if (c->server->version_num < 160000) {
            clean[n++] = '?';
        } else {
            clean[n++] = '\\';
            clean[n++] = 'x';
            clean[n++] = hex[b >> 4];
            clean[n++] = hex[b & 15];
        }
    }
    return answer(c, clean, n);
}

/* ---- DateStyle: check_datestyle() -------------------------------------------------------------
 */

enum date_style { STYLE_NONE, STYLE_ISO, STYLE_SQL, STYLE_POSTGRES, STYLE_GERMAN };
enum date_order { ORDER_NONE, ORDER_MDY, ORDER_DMY, ORDER_YMD };

static const char *const style_names[] = {"", "ISO", "SQL", "Postgres", "German"};
static const char *const order_names[] = {"", "MDY", "DMY", "YMD"};

struct datestyle {
    enum date_style style, default_style;
    enum date_order order, default_order;
    bool german_order; /* GERMAN says DMY where nobody says otherwise */
    bool conflict;
};

static bool word_is(const char *word, size_t len, const char *name)
{
    return strlen(name) == len && strncasecmp(word, name, len) == 0;
}

static bool word_begins(const char *word, size_t len, const char *name)
{
    return len >= strlen(name) && strncasecmp(word, name, strlen(name)) == 0;
}

static bool datestyle_word(struct datestyle *d, const char *word, size_t len)
{
    enum date_style style = STYLE_NONE;
    enum date_order order = ORDER_NONE;
    if (word_is(word, len, "iso"))
        style = STYLE_ISO;
    else if (word_is(word, len, "sql"))
        style = STYLE_SQL;
    else if (word_begins(word, len, "postgres"))
        style = STYLE_POSTGRES;
    else if (word_is(word, len, "german"))
        style = STYLE_GERMAN;
    else if (word_is(word, len, "ymd"))
        order = ORDER_YMD;
    else if (word_is(word, len, "dmy") || word_begins(word, len, "euro"))
        order = ORDER_DMY;
    else if (word_is(word, len, "mdy") || word_is(word, len, "us") ||
             word_begins(word, len, "noneuro"))
        order = ORDER_MDY;
    else
        return word_is(word, len, "default");
    d->german_order |= style == STYLE_GERMAN;
    if (style != STYLE_NONE) {
        d->conflict |= d->style != STYLE_NONE && d->style != style;
        d->style = style;
    } else {
        d->conflict |= d->order != ORDER_NONE && d->order != order;
        d->order = order;
    }
    return true;
}

static const char *spaces(const char *p)
{
    return p + strspn(p, " \t\n\r\f\v");
}

/* A list of words or "quoted words" as SplitIdentifierString() takes it. */
static bool datestyle_list(struct datestyle *d, const char *p)
{
    p = spaces(p);
    if (*p == '\0')
        return true;
    for (;;) {
        bool quoted = *p == '"';
        p += quoted;
        size_t len = strcspn(p, quoted ? "\"" : ", \t\n\r\f\v");
        if (len == 0 || !datestyle_word(d, p, len))
            return false;
        p += len;
        if (quoted && *p++ != '"')
            return false;
        p = spaces(p);
        if (*p == '\0')
            return true;
        if (*p++ != ',')
            return false;
        p = spaces(p);
    }
}

static enum pg_canon_result canon_datestyle(struct canon *c)
{
    struct datestyle def = {0}, d = {0};
    if (c->server->datestyle == NULL || !datestyle_list(&def, c->server->datestyle))
        def = (struct datestyle){0};
    if (!datestyle_list(&d, c->text) || d.conflict)
        return PG_CANON_BAD;
    if (d.order == ORDER_NONE && d.german_order)
        d.order = ORDER_DMY;
    if (d.order == ORDER_NONE)
        d.order = def.order != ORDER_NONE ? def.order : ORDER_MDY;
    if (d.style == STYLE_NONE)
        d.style = def.style != STYLE_NONE ? def.style : STYLE_ISO;
    char text[32];
    (void)snprintf(text, sizeof(text), "%s, %s", style_names[d.style], order_names[d.order]);
    return answer_string(c, text);
}

bool pg_canon_join_datestyle(const char *before, const char *value, size_t len, char *out,
                             size_t cap)
{
    struct datestyle had = {0}, d = {0};
    char text[VALUE_MAX];
    if (len >= sizeof(text))
        return false;
    memcpy(text, value, len);
    text[len] = '\0';
    if (!datestyle_list(&had, before) || had.conflict || !datestyle_list(&d, text) || d.conflict)
        return false;
    if (d.style == STYLE_NONE)
        d.style = had.style;
    if (d.order == ORDER_NONE && d.german_order)
        d.order = ORDER_DMY;
    if (d.order == ORDER_NONE)
        d.order = had.order == ORDER_NONE && had.german_order ? ORDER_DMY : had.order;
    const char *comma = d.style != STYLE_NONE && d.order != ORDER_NONE ? ", " : "";
    int n = snprintf(out, cap, "%s%s%s", style_names[d.style], comma, order_names[d.order]);
    return n > 0 && (size_t)n < cap;
}

/* ---- TimeZone: check_timezone() ---------------------------------------------------------------
 */

static char *two_digits(char *p, unsigned n)
{
    if (n >= 100)
        *p++ = (char)('0' + n / 100);
    *p++ = (char)('0' + n / 10 % 10);
    *p++ = (char)('0' + n % 10);
    return p;
}

/* pg_tzset_offset(): hours east of Greenwich as the POSIX zone of that name. */
static enum pg_canon_result zone_offset(struct canon *c, double hours)
{
    if (!(fabs(hours) < 168.0))
        return PG_CANON_BAD;
    long west = (long)(-hours * 3600.0);
    unsigned seconds = (unsigned)labs(west);
    char digits[16], text[48], *p = two_digits(digits, seconds / 3600);
    if (seconds % 3600 != 0) {
        *p++ = ':';
        p = two_digits(p, seconds / 60 % 60);
        if (seconds % 60 != 0) {
            *p++ = ':';
            p = two_digits(p, seconds % 60);
        }
    }
    *p = '\0';
    (void)snprintf(text, sizeof(text), west > 0 ? "<-%s>+%s" : "<+%s>-%s", digits, digits);
    return answer_string(c, text);
}

static enum pg_canon_result canon_timezone(struct canon *c)
{
    static const char *const zones[] = {"UTC", "GMT"};
    char *end;
    if (c->text[0] == '\0')
        return PG_CANON_BAD;
    double hours = strtod(c->text, &end);
    if (end != c->text && *end == '\0')
        return zone_offset(c, hours);
    if (c->server->timezone != NULL && strcasecmp(c->text, c->server->timezone) == 0)
        return answer_string(c, c->server->timezone);
    for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++)
        if (strcasecmp(c->text, zones[i]) == 0)
            return answer_string(c, zones[i]);
    if (strncasecmp(c->text, "interval", 8) == 0)
        return answer_string(c, c->text) == PG_CANON_OK ? PG_CANON_UNKNOWN : PG_CANON_BAD;
    /* The server's own files decide how it is spelled; nearly everyone spells it right. */
    return canon_as_given(c);
}

/* ---- all of them ------------------------------------------------------------------------------
 */

static const struct rule {
    const char *name;
    enum pg_canon_result (*canon)(struct canon *c);
} rules[] = {
    {"application_name", canon_application_name},
    {"client_encoding", canon_encoding},
    {"DateStyle", canon_datestyle},
    {"default_transaction_read_only", canon_bool},
    {"in_hot_standby", canon_fixed},
    {"integer_datetimes", canon_fixed},
    {"IntervalStyle", canon_interval_style},
    {"is_superuser", canon_fixed},
    {"server_encoding", canon_fixed},
    {"server_version", canon_fixed},
    {"session_authorization", canon_as_given},
    {"standard_conforming_strings", canon_bool},
    {"TimeZone", canon_timezone},
};

enum pg_canon_result pg_canon_value(const struct pg_canon_server *server, const char *name,
                                    const char *value, size_t len, char *out, size_t cap)
{
    struct canon c = {.server = server, .out = out, .cap = cap};
    char text[VALUE_MAX];
    if (cap > 0)
        out[0] = '\0';
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (strcasecmp(rules[i].name, name) != 0)
            continue;
        if (len >= sizeof(text)) { /* far too long, but for a name, which is cut */
            if (rules[i].canon != canon_application_name)
                return PG_CANON_BAD;
            len = sizeof(text) - 1;
        }
        memcpy(text, value, len);
        text[len] = '\0';
        c.text = text;
        return rules[i].canon(&c);
    }
    return answer(&c, value, len) == PG_CANON_OK ? PG_CANON_UNKNOWN : PG_CANON_BAD;
}

int pg_canon_version(const char *server_version)
{
    char *end;
    long major = strtol(server_version, &end, 10);
    if (end == server_version || major < 7 || major > 999)
        return 0;
    long minor = *end == '.' ? strtol(end + 1, NULL, 10) : 0;
    return minor >= 0 && minor <= 9999 ? (int)(major * 10000 + minor) : 0;
}

bool pg_canon_encoding_unsafe(const char *client_encoding)
{
    static const char *const unsafe[] = {"SJIS",    "BIG5",  "GBK",           "UHC",
                                         "GB18030", "JOHAB", "SHIFT_JIS_2004"};
    int encoding = pg_char_to_encoding(client_encoding);
    const char *name = encoding >= 0 ? pg_encoding_to_char(encoding) : client_encoding;
    for (size_t i = 0; i < sizeof(unsafe) / sizeof(unsafe[0]); i++)
        if (strcasecmp(name, unsafe[i]) == 0)
            return true;
    return false;
}

unsigned pg_canon_scan_opts(const char *standard_conforming_strings, const char *client_encoding)
{
    unsigned opts = 0;
    if (standard_conforming_strings == NULL || strcmp(standard_conforming_strings, "off") != 0)
        opts |= PG_SCAN_OPT_SCS;
    if (client_encoding != NULL && pg_canon_encoding_unsafe(client_encoding))
        opts |= PG_SCAN_OPT_UNSAFE_ENC;
    return opts;
}
