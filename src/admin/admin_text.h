/* SPDX-License-Identifier: ISC
 * Texts for the web: a table as JSON, and strings escaped for JSON and for Prometheus. What isn't
 * UTF-8 becomes U+FFFD, so that one odd name can't spoil an answer. Pure.
 */
#ifndef WEIR_ADMIN_ADMIN_TEXT_H
#define WEIR_ADMIN_ADMIN_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct admin_table;
struct buf;

/* Each returns false when out of memory. */
bool admin_json_string(struct buf *out, const char *text, size_t n)
    __attribute__((warn_unused_result));
/* {"total":3,"offset":0,"complete":true,"rows":[{"column":value,...},...]} of the rows from
 * `offset` on, at most `limit`. */
bool admin_json_table(struct buf *out, const struct admin_table *t, uint64_t offset, uint64_t limit,
                      bool complete) __attribute__((warn_unused_result));
/* The inside of a label's value in Prometheus' text format. */
bool admin_label_text(struct buf *out, const char *text) __attribute__((warn_unused_result));

#endif
