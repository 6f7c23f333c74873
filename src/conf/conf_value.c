/* SPDX-License-Identifier: ISC
 * See conf_value.h.
 */
#include "config.h"

#include "conf/conf_value.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* Largest first, for formatting. */
static const struct unit time_units[] = {{"d", CONF_D(1)}, {"h", CONF_S(3600)}, {"min", CONF_S(60)},
                                         {"s", CONF_S(1)}, {"ms", CONF_MS(1)},  {NULL, 0}};
static const struct unit size_units[] = {
    {"GB", CONF_GB(1)}, {"MB", CONF_MB(1)}, {"kB", 1024}, {"B", 1}, {NULL, 0}};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* What a text looks like in a message: cut, so that one bad line can't fill the report. */
static int shown(const char *text)
{
    size_t len = strlen(text);
    return len > 40 ? 40 : (int)len;
}

/* A run of digits; false when it doesn't fit. At least one digit must be there. */
static bool scan_digits(const char **at, uint64_t *n)
{
    const char *p = *at;
    uint64_t v = 0;
    for (; is_digit(*p); p++)
        if (__builtin_mul_overflow(v, 10u, &v) ||
            __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
            return false;
    *at = p;
    *n = v;
    return true;
}

/* The digits after the point, as a part of `factor`. More than nine of them say nothing new. */
static uint64_t scan_fraction(const char **at, uint64_t factor)
{
    const char *p = *at;
    uint64_t num = 0, den = 1;
    for (; is_digit(*p); p++)
        if (den < 1000000000u) {
            num = num * 10 + (uint64_t)(*p - '0');
            den *= 10;
        }
    *at = p;
    return (uint64_t)((long double)num * (long double)factor / (long double)den + 0.5L);
}

static const struct unit *find_unit(const struct unit *units, const char *name, bool any_case)
{
    for (; units->name != NULL; units++)
        if ((any_case ? strcasecmp(units->name, name) : strcmp(units->name, name)) == 0)
            return units;
    return NULL;
}

enum scan { SCAN_OK, SCAN_BAD, SCAN_TOO_LARGE };

/* number [.fraction] [blanks] [unit] */
static enum scan scan_amount(const char *text, const struct unit *units, bool any_case,
                             uint64_t bare, uint64_t *out)
{
    const char *p = text;
    uint64_t whole;
    if (!is_digit(*p) && !(*p == '.' && is_digit(p[1])))
        return SCAN_BAD;
    if (!scan_digits(&p, &whole))
        return SCAN_TOO_LARGE;
    const char *fraction = NULL;
    if (*p == '.') {
        fraction = ++p;
        while (is_digit(*p))
            p++;
    }
    while (isblank((unsigned char)*p))
        p++;
    uint64_t factor = bare;
    if (*p != '\0') {
        const struct unit *u = find_unit(units, p, any_case);
        if (u == NULL)
            return SCAN_BAD;
        factor = u->factor;
    }
    uint64_t part = fraction == NULL ? 0 : scan_fraction(&fraction, factor);
    if (__builtin_mul_overflow(whole, factor, out) || __builtin_add_overflow(*out, part, out))
        return SCAN_TOO_LARGE;
    return SCAN_OK;
}

bool conf_parse_time(const char *text, uint64_t bare_us, uint64_t *us, struct err *err)
{
    uint64_t v = 0;
    switch (scan_amount(text, time_units, false, bare_us, &v)) {
    case SCAN_OK:
        /* The largest value stands for "not given". */
        if (v < CONF_UNSET_US) {
            *us = v;
            return true;
        }
        break;
    case SCAN_BAD:
        err_set(err, "\"%.*s\" is not a time; a number with ms, s, min, h or d is (bare: %s)",
                shown(text), text, bare_us == US_PER_S ? "seconds" : "milliseconds");
        return false;
    case SCAN_TOO_LARGE:
        break;
    }
    err_set(err, "\"%.*s\" is too long a time", shown(text), text);
    return false;
}

bool conf_parse_size(const char *text, uint64_t *bytes, struct err *err)
{
    switch (scan_amount(text, size_units, true, 1, bytes)) {
    case SCAN_OK:
        return true;
    case SCAN_BAD:
        err_set(err, "\"%.*s\" is not a size; a number with kB, MB or GB is (bare: bytes)",
                shown(text), text);
        return false;
    case SCAN_TOO_LARGE:
        break;
    }
    err_set(err, "\"%.*s\" is too large a size", shown(text), text);
    return false;
}

bool conf_parse_int(const char *text, bool octal, int64_t *n, struct err *err)
{
    const char *p = text;
    bool minus = *p == '-';
    if (minus || *p == '+')
        p++;
    unsigned base = octal && *p == '0' ? 8 : 10;
    int64_t v = 0;
    bool any = false;
    for (; is_digit(*p) && (unsigned)(*p - '0') < base; p++, any = true) {
        int64_t digit = minus ? -(int64_t)(*p - '0') : *p - '0';
        if (__builtin_mul_overflow(v, (int64_t)base, &v) || __builtin_add_overflow(v, digit, &v)) {
            err_set(err, "\"%.*s\" is too large a number", shown(text), text);
            return false;
        }
    }
    if (!any || *p != '\0') {
        err_set(err, "\"%.*s\" is not %s number", shown(text), text,
                octal ? "an octal (0770) or decimal" : "a whole");
        return false;
    }
    *n = v;
    return true;
}

bool conf_parse_bool(const char *text, bool *on, struct err *err)
{
    static const char *const names[] = {"0", "1", "no", "yes", "off", "on", "false", "true", NULL};
    for (int i = 0; names[i] != NULL; i++)
        if (strcasecmp(text, names[i]) == 0) {
            *on = i % 2 == 1;
            return true;
        }
    err_set(err, "\"%.*s\" is neither 0 (no, off, false) nor 1 (yes, on, true)", shown(text), text);
    return false;
}

bool conf_parse_bound(const char *text, struct conf_bound *bound, struct err *err)
{
    if (strcasecmp(text, "auto") == 0) {
        *bound = (struct conf_bound){CONF_BOUND_AUTO, 0};
        return true;
    }
    const char *p = text;
    uint64_t n;
    if (!is_digit(*p) || !scan_digits(&p, &n) || (*p != '\0' && strcmp(p, "%") != 0)) {
        err_set(err, "\"%.*s\" is neither auto nor a number (80) nor a share (75%%)", shown(text),
                text);
        return false;
    }
    bool percent = *p == '%';
    if (n == 0 || n > (percent ? 100u : 100000u)) {
        err_set(err, "\"%.*s\" is out of range; %s", shown(text), text,
                percent ? "1% to 100% is allowed" : "1 to 100000 is allowed");
        return false;
    }
    *bound = (struct conf_bound){percent ? CONF_BOUND_PERCENT : CONF_BOUND_COUNT, (uint32_t)n};
    return true;
}

bool conf_parse_name(const char *text, const char *const *names, int *index, struct err *err)
{
    for (int i = 0; names[i] != NULL; i++)
        if (strcasecmp(text, names[i]) == 0) {
            *index = i;
            return true;
        }
    char all[160];
    size_t n = 0;
    for (size_t i = 0; names[i] != NULL && n < sizeof all; i++)
        n += (size_t)snprintf(all + n, sizeof all - n, "%s%s", i == 0 ? "" : ", ", names[i]);
    err_set(err, "\"%.*s\" is none of %s", shown(text), text, all);
    return false;
}

bool conf_parse_tls_protocols(const char *text, unsigned *mask, struct err *err)
{
    static const struct {
        const char *name;
        unsigned bits;
    } words[] = {{"all", 0xf},     {"legacy", 0xf},  {"secure", 0xc},  {"default", 0xc},
                 {"tlsv1.0", 0x1}, {"tlsv1.1", 0x2}, {"tlsv1.2", 0x4}, {"tlsv1.3", 0x8}};
    unsigned found = 0;
    for (const char *p = text; *p != '\0';) {
        p += strspn(p, ", \t:");
        size_t len = strcspn(p, ", \t:");
        if (len == 0)
            break;
        size_t i = 0;
        while (i < sizeof words / sizeof words[0] &&
               !(strlen(words[i].name) == len && strncasecmp(p, words[i].name, len) == 0))
            i++;
        if (i == sizeof words / sizeof words[0]) {
            err_set(err, "\"%.*s\" is no TLS version; tlsv1.0 to tlsv1.3, secure and all are",
                    len > 40 ? 40 : (int)len, p);
            return false;
        }
        found |= words[i].bits;
        p += len;
    }
    if (found == 0) {
        err_set(err, "no TLS version named; tlsv1.0 to tlsv1.3, secure and all are some");
        return false;
    }
    *mask = found;
    return true;
}

static const char *format_amount(uint64_t v, const struct unit *units, char *to)
{
    for (; v != 0 && units->name != NULL; units++)
        if (v % units->factor == 0) {
            (void)snprintf(to, CONF_VALUE_TEXT, "%" PRIu64 "%s", v / units->factor, units->name);
            return to;
        }
    (void)snprintf(to, CONF_VALUE_TEXT, "%" PRIu64, v);
    return to;
}

const char *conf_format_time(uint64_t us, char to[CONF_VALUE_TEXT])
{
    /* Parts of a millisecond can only be written as a fraction. */
    if (us % US_PER_MS != 0) {
        (void)snprintf(to, CONF_VALUE_TEXT, "%" PRIu64 ".%03" PRIu64 "ms", us / US_PER_MS,
                       us % US_PER_MS);
        return to;
    }
    return format_amount(us, time_units, to);
}

const char *conf_format_size(uint64_t bytes, char to[CONF_VALUE_TEXT])
{
    return format_amount(bytes, size_units, to);
}

const char *conf_format_bound(struct conf_bound bound, char to[CONF_VALUE_TEXT])
{
    switch (bound.kind) {
    case CONF_BOUND_COUNT:
    case CONF_BOUND_PERCENT:
        (void)snprintf(to, CONF_VALUE_TEXT, "%u%s", bound.n,
                       bound.kind == CONF_BOUND_PERCENT ? "%" : "");
        return to;
    case CONF_BOUND_UNSET:
    case CONF_BOUND_AUTO:
        break;
    }
    (void)snprintf(to, CONF_VALUE_TEXT, "auto");
    return to;
}

/* Optimal string alignment; names longer than 63 bytes are as far away as can be. */
size_t conf_distance(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b);
    unsigned char d[64][64];
    if (la >= 64 || lb >= 64)
        return SIZE_MAX;
    for (size_t i = 0; i <= la; i++)
        d[i][0] = (unsigned char)i;
    for (size_t j = 0; j <= lb; j++)
        d[0][j] = (unsigned char)j;
    for (size_t i = 1; i <= la; i++)
        for (size_t j = 1; j <= lb; j++) {
            int ca = tolower((unsigned char)a[i - 1]), cb = tolower((unsigned char)b[j - 1]);
            unsigned best = d[i - 1][j - 1] + (ca == cb ? 0u : 1u);
            if (d[i - 1][j] + 1u < best)
                best = d[i - 1][j] + 1u;
            if (d[i][j - 1] + 1u < best)
                best = d[i][j - 1] + 1u;
            if (i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) &&
                cb == tolower((unsigned char)a[i - 2]) && d[i - 2][j - 2] + 1u < best)
                best = d[i - 2][j - 2] + 1u;
            d[i][j] = (unsigned char)best;
        }
    return d[la][lb];
}
