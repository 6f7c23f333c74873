/* SPDX-License-Identifier: ISC
 * Values as people write them: times, sizes, numbers, switches, bounds. Text in, number out, and
 * back. Pure: no allocation, no state. On false `err` says what is wrong and what would be right.
 */
#ifndef WEIR_CONF_CONF_VALUE_H
#define WEIR_CONF_CONF_VALUE_H

#include "conf/conf_entry.h"

#include "base/clock.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONF_MS(n) ((uint64_t)(n)*US_PER_MS)
#define CONF_S(n)  ((uint64_t)(n)*US_PER_S)
#define CONF_D(n)  (CONF_S(n) * 86400u)
#define CONF_MB(n) ((uint64_t)(n) << 20)
#define CONF_GB(n) ((uint64_t)(n) << 30)

/* The largest text that the formatting functions write, NUL included. */
#define CONF_VALUE_TEXT 48

/* `bare_us` is what a number without a unit counts: a second or a millisecond. Fractions count. */
bool conf_parse_time(const char *text, uint64_t bare_us, uint64_t *us, struct err *err);
bool conf_parse_size(const char *text, uint64_t *bytes, struct err *err);
/* Decimal; with `octal` a leading 0 means octal, as C and PgBouncer have it. */
bool conf_parse_int(const char *text, bool octal, int64_t *n, struct err *err);
bool conf_parse_bool(const char *text, bool *on, struct err *err);
bool conf_parse_bound(const char *text, struct conf_bound *bound, struct err *err);
/* An index into `names`, which ends with NULL; case doesn't matter. */
bool conf_parse_name(const char *text, const char *const *names, int *index, struct err *err);
/* tlsv1.0,... into bits 0 to 3 for 1.0 to 1.3. */
bool conf_parse_tls_protocols(const char *text, unsigned *mask, struct err *err);

/* With the largest unit that keeps it whole: 90 s is 90s, 120 s is 2min. */
const char *conf_format_time(uint64_t us, char to[CONF_VALUE_TEXT]);
const char *conf_format_size(uint64_t bytes, char to[CONF_VALUE_TEXT]);
const char *conf_format_bound(struct conf_bound bound, char to[CONF_VALUE_TEXT]);

/* How unlike two names are: insertions, removals, changes, swaps of neighbours; case counts not. */
size_t conf_distance(const char *a, const char *b);

#endif
