/* SPDX-License-Identifier: ISC
 * What the tests of conf/ share: a configuration from a text, and the problems it has.
 */
#ifndef WEIR_TESTS_CONF_HELP_H
#define WEIR_TESTS_CONF_HELP_H

#include "conf/conf.h"
#include "conf/conf_report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Load a text as "t.ini"; the report is left open for the caller. */
static inline struct conf *load_text(const char *text, struct conf_report *r)
{
    struct conf_source src = {.path = "t.ini", .text = text};
    conf_report_init(r);
    return conf_load(&src, r);
}

/* A configuration that must load; its warnings don't matter. */
static inline struct conf *load_good(const char *text)
{
    struct conf_report r;
    struct conf *conf = load_text(text, &r);
    if (conf == NULL) {
        conf_report_print(&r, stderr);
        fail_msg("refused");
    }
    conf_report_fini(&r);
    return conf;
}

static inline const struct conf_problem *
find_problem(const struct conf_report *r, enum conf_severity severity, int line, const char *part)
{
    const struct conf_problem *p;
    STAILQ_FOREACH(p, &r->problems, link)
    if (p->severity == severity && p->line == line && strstr(p->text, part) != NULL)
        return p;
    return NULL;
}

static inline void expect_problem(const struct conf_report *r, enum conf_severity severity,
                                  int line, const char *part)
{
    if (find_problem(r, severity, line, part) != NULL)
        return;
    conf_report_print(r, stderr);
    fail_msg("no such problem in line %d: %s", line, part);
}

/* A text that must be refused with exactly one error, in this line and with these words. */
static inline void refuse(const char *text, int line, const char *part)
{
    struct conf_report r;
    struct conf *conf = load_text(text, &r);
    if (conf != NULL)
        fail_msg("accepted: %s", text);
    expect_problem(&r, CONF_ERROR, line, part);
    if (r.errors != 1) {
        conf_report_print(&r, stderr);
        fail_msg("%zu errors instead of one", r.errors);
    }
    conf_report_fini(&r);
}

#endif
