/* SPDX-License-Identifier: ISC
 * What is wrong with a configuration: a list, so that the user hears of everything at once (of a
 * thousand things, that is; the rest is counted).
 * Each line says file, line, key, what is wrong and what would be right; never a secret.
 * One thread; the texts are the report's own.
 */
#ifndef WEIR_CONF_CONF_REPORT_H
#define WEIR_CONF_CONF_REPORT_H

#include <stddef.h>
#include <stdio.h>
#include <sys/queue.h>

enum conf_severity { CONF_WARNING, CONF_ERROR };

struct conf_problem {
    STAILQ_ENTRY(conf_problem) link;
    enum conf_severity severity;
    int line;         /* 0: not in a file */
    const char *file; /* or "environment", "command line"; NULL: none */
    const char *text; /* `key: what is wrong; what would be right` */
};

struct conf_report {
    STAILQ_HEAD(conf_problem_list, conf_problem) problems; /* in the order they were found */
    size_t errors;
    size_t warnings;
};

void conf_report_init(struct conf_report *r);
void conf_report_fini(struct conf_report *r);
void conf_report_add(struct conf_report *r, enum conf_severity severity, const char *file, int line,
                     const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* `file:line: error: text`, as compilers write it; returns the length as snprintf does. */
int conf_problem_format(const struct conf_problem *p, char *to, size_t room);
/* Likewise without how bad it is, for the log, which says that itself. */
int conf_problem_format_plain(const struct conf_problem *p, char *to, size_t room);
/* All of them, one a line. */
void conf_report_print(const struct conf_report *r, FILE *to);

#endif
