/* SPDX-License-Identifier: ISC
 * See cron.h.
 */
#include "config.h"

#include "conf/cron.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const month_names[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul",
                                          "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const weekday_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

static const struct field {
    const char *what;
    unsigned first, last;
    const char *const *names; /* of first, first + 1 .. */
} fields[] = {
    {"minute", 0, 59, NULL},
    {"hour", 0, 23, NULL},
    {"day of the month", 1, 31, NULL},
    {"month", 1, 12, month_names},
    {"day of the week", 0, 7, weekday_names},
};
#define FIELDS (sizeof fields / sizeof fields[0])

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A number, or a name of the field's. */
static bool read_value(const char **p, const char *end, const struct field *f, unsigned *v)
{
    const char *at = *p;
    for (unsigned i = 0; f->names != NULL && f->names[i] != NULL; i++)
        if (end - at >= 3 && strncasecmp(at, f->names[i], 3) == 0) {
            *v = f->first + i;
            *p = at + 3;
            return true;
        }
    for (*v = 0; at < end && is_digit(*at) && *v < 1000; at++)
        *v = *v * 10 + (unsigned)(*at - '0');
    if (at == *p)
        return false;
    *p = at;
    return true;
}

/* One element of a list: *, 5, 5-9, either with a step behind it. */
static bool read_element(const char **p, const char *end, const struct field *f, uint64_t *bits)
{
    unsigned first = f->first, last = f->last, step = 1;
    bool one = false;
    if (*p < end && **p == '*') {
        (*p)++;
    } else {
        if (!read_value(p, end, f, &first))
            return false;
        one = true;
        last = first;
        if (*p < end && **p == '-') {
            (*p)++;
            one = false;
            if (!read_value(p, end, f, &last))
                return false;
        }
    }
    if (*p < end && **p == '/') {
        static const struct field plain = {"step", 1, 59, NULL};
        (*p)++;
        if (one || !read_value(p, end, &plain, &step) || step == 0)
            return false;
    }
    if (first < f->first || last > f->last || first > last)
        return false;
    for (unsigned v = first; v <= last; v += step)
        *bits |= UINT64_C(1) << v;
    return true;
}

static bool read_field(const char *p, const char *end, const struct field *f, uint64_t *bits,
                       struct err *e)
{
    const char *begin = p;
    *bits = 0;
    for (;;) {
        if (!read_element(&p, end, f, bits) || (p < end && *p != ',')) {
            err_set(e, "\"%.*s\" is not a %s of a cron expression", (int)(end - begin), begin,
                    f->what);
            return false;
        }
        if (p++ == end)
            return true;
    }
}

bool cron_parse(const char *text, size_t n, struct cron *out, struct err *e)
{
    const char *p = text, *end = text + n;
    uint64_t bits[FIELDS];
    bool any[FIELDS];
    size_t i = 0;
    while (p < end) {
        if (is_space(*p)) {
            p++;
            continue;
        }
        const char *begin = p;
        while (p < end && !is_space(*p))
            p++;
        if (i < FIELDS && !read_field(begin, p, &fields[i], &bits[i], e))
            return false;
        if (i < FIELDS)
            any[i] = *begin == '*';
        i++;
    }
    if (i != FIELDS) {
        err_set(e, "\"%.*s\" is not a cron expression: five fields, as in \"0 8 * * 1-5\"", (int)n,
                text);
        return false;
    }
    *out = (struct cron){.minutes = bits[0],
                         .hours = (uint32_t)bits[1],
                         .days = (uint32_t)bits[2],
                         .months = (uint16_t)bits[3],
                         .weekdays = (uint8_t)((bits[4] & 0x7f) | bits[4] >> 7),
                         .any_day = any[2],
                         .any_weekday = any[4]};
    return true;
}

bool cron_matches(const struct cron *c, const struct tm *tm)
{
    bool day = (c->days >> tm->tm_mday & 1) != 0;
    bool weekday = (c->weekdays >> tm->tm_wday & 1) != 0;
    bool either = !c->any_day && !c->any_weekday;
    return (c->minutes >> tm->tm_min & 1) != 0 && (c->hours >> tm->tm_hour & 1) != 0 &&
           (c->months >> (tm->tm_mon + 1) & 1) != 0 && (either ? day || weekday : day && weekday);
}

static void skip_space(const char **p)
{
    while (is_space(**p))
        (*p)++;
}

bool warm_next(const char **text, struct warm *out, struct err *e)
{
    const char *p = *text;
    e->text[0] = '\0';
    skip_space(&p);
    if (*p == '\0')
        return false;
    const char *item = p;
    for (out->n = 0; is_digit(*p) && out->n <= WARM_MAX; p++)
        out->n = out->n * 10 + (unsigned)(*p - '0');
    bool ok = p != item && out->n > 0 && out->n <= WARM_MAX;
    skip_space(&p);
    ok = ok && strncasecmp(p, "at", 2) == 0;
    if (ok) {
        p += 2;
        skip_space(&p);
    }
    const char *close = ok && (*p == '"' || *p == '\'') ? strchr(p + 1, *p) : NULL;
    if (close == NULL) {
        err_set(e, "\"%s\" is not like 20 at \"0 8 * * 1-5\"", item);
        return false;
    }
    if (!cron_parse(p + 1, (size_t)(close - p - 1), &out->at, e))
        return false;
    p = close + 1;
    skip_space(&p);
    if (*p != ',' && *p != '\0') {
        err_set(e, "\"%s\": a comma is missing between two items", p);
        return false;
    }
    *text = p + (*p == ',');
    return true;
}
