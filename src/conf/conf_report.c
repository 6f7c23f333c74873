/* SPDX-License-Identifier: ISC
 * See conf_report.h.
 */
#include "config.h"

#include "conf/conf_report.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define PROBLEM_TEXT_MAX 512
/* A file that is no configuration at all needn't be told line by line; the rest is counted. */
#define PROBLEMS_KEPT 1000u

void conf_report_init(struct conf_report *r)
{
    STAILQ_INIT(&r->problems);
    r->errors = 0;
    r->warnings = 0;
}

void conf_report_fini(struct conf_report *r)
{
    while (!STAILQ_EMPTY(&r->problems)) {
        struct conf_problem *p = STAILQ_FIRST(&r->problems);
        STAILQ_REMOVE_HEAD(&r->problems, link);
        free(p);
    }
    conf_report_init(r);
}

/* A line of the report stays one line, whatever a broken file holds. */
static void make_printable(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

/* File name and text live behind the struct, in the same block. */
void conf_report_add(struct conf_report *r, enum conf_severity severity, const char *file, int line,
                     const char *fmt, ...)
{
    char text[PROBLEM_TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    make_printable(text);

    if (severity == CONF_ERROR)
        r->errors++;
    else
        r->warnings++;
    if (r->errors + r->warnings > PROBLEMS_KEPT)
        return;
    size_t file_size = file == NULL ? 0 : strlen(file) + 1;
    size_t text_size = strlen(text) + 1;
    struct conf_problem *p = malloc(sizeof *p + file_size + text_size);
    if (p == NULL)
        return; /* the count tells that there was one */
    char *tail = (char *)(p + 1);
    memcpy(tail, text, text_size);
    if (file != NULL)
        memcpy(tail + text_size, file, file_size);
    p->severity = severity;
    p->line = line;
    p->text = tail;
    p->file = file == NULL ? NULL : tail + text_size;
    STAILQ_INSERT_TAIL(&r->problems, p, link);
}

/* `kind` with its colon, or "". */
static int format_as(const struct conf_problem *p, const char *kind, char *to, size_t room)
{
    if (p->file == NULL)
        return snprintf(to, room, "%s%s", kind, p->text);
    if (p->line == 0)
        return snprintf(to, room, "%s: %s%s", p->file, kind, p->text);
    return snprintf(to, room, "%s:%d: %s%s", p->file, p->line, kind, p->text);
}

int conf_problem_format(const struct conf_problem *p, char *to, size_t room)
{
    return format_as(p, p->severity == CONF_ERROR ? "error: " : "warning: ", to, room);
}

int conf_problem_format_plain(const struct conf_problem *p, char *to, size_t room)
{
    return format_as(p, "", to, room);
}

void conf_report_print(const struct conf_report *r, FILE *to)
{
    const struct conf_problem *p;
    STAILQ_FOREACH(p, &r->problems, link)
    {
        char line[PROBLEM_TEXT_MAX * 2];
        (void)conf_problem_format(p, line, sizeof line);
        (void)fprintf(to, "%s\n", line);
    }
    if (r->errors + r->warnings > PROBLEMS_KEPT)
        (void)fprintf(to, "... and %zu more\n", r->errors + r->warnings - PROBLEMS_KEPT);
}
