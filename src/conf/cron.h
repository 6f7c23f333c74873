/* SPDX-License-Identifier: ISC
 * When to have connections ready beforehand: `20 at "0 8 * * 1-5", 5 at "0 20 * * *"`. The quoted
 * part is a crontab(5) expression of five fields: minute, hour, day of month, month, day of week;
 * with *, lists, ranges, steps, three-letter names, and 7 for Sunday, too. Where both days are
 * restricted one of them is enough, as in cron.
 *
 * Pure; any thread.
 */
#ifndef WEIR_CONF_CRON_H
#define WEIR_CONF_CRON_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct cron {
    uint64_t minutes;
    uint32_t hours, days; /* bit n: n is one of them */
    uint16_t months;
    uint8_t weekdays;
    bool any_day, any_weekday; /* it said * */
};

struct warm {
    uint32_t n;
    struct cron at;
};

bool cron_parse(const char *text, size_t n, struct cron *out, struct err *e);
/* Is this minute one of them? Local time, or whichever `tm` is in. */
bool cron_matches(const struct cron *c, const struct tm *tm);

#define WARM_MAX 100000u
/* The next item at *text, which is moved behind it. false: there is none (e->text is empty), or it
 * can't be understood. */
bool warm_next(const char **text, struct warm *out, struct err *e);

#endif
