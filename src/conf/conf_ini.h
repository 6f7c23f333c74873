/* SPDX-License-Identifier: ISC
 * A file of sections and `key = value` lines, through inih, with what inih alone wouldn't do:
 * %include, lines of any length, keys with a colon, indented lines, a place for every error.
 * Private to conf/.
 */
#ifndef WEIR_CONF_CONF_INI_H
#define WEIR_CONF_CONF_INI_H

#include "conf/conf_arena.h"
#include "conf/conf_report.h"

#include <stdbool.h>

/* Where a line stands. */
struct conf_place {
    const char *file;
    int line;
};

/* Who is told. Texts live as long as the arena. */
struct conf_ini_sink {
    void *arg;
    void (*on_section)(void *arg, const char *name, const struct conf_place *at);
    /* `section` is "" before the first one. */
    void (*on_pair)(void *arg, const char *section, const char *key, const char *value,
                    const struct conf_place *at);
};

/* Whether the text has a [pgbouncer] section: then `;` inside a line is nothing special. */
bool conf_ini_is_pgbouncer(const char *text);

/* Read `text`, which came from `path`. Faults of form go into the report. */
void conf_ini_read(const char *path, const char *text, bool pgbouncer, struct conf_arena *arena,
                   const struct conf_ini_sink *sink, struct conf_report *report);

#endif
