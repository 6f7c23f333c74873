/* SPDX-License-Identifier: ISC
 * The table of settings, told: SHOW CONFIG, --print-config, docs/configuration.md, weir.ini(5).
 * Pure output; secrets come out as `***`.
 */
#ifndef WEIR_CONF_CONF_DESCRIBE_H
#define WEIR_CONF_CONF_DESCRIBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct conf;

/* A row of SHOW CONFIG. */
struct conf_show {
    char value[1024]; /* NUL-terminated, cut when longer */
    char defval[1024];
    const char *key;
    bool changeable; /* by SET and reload */
};

/* Row i, ordered by key; false when there are no more. */
bool conf_show_row(const struct conf *conf, size_t i, struct conf_show *row);
/* A file that would give this configuration again, but for the passwords. */
void conf_print(const struct conf *conf, FILE *to);

void conf_describe_markdown(FILE *to);
void conf_describe_man(FILE *to);

#endif
