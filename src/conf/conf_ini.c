/* SPDX-License-Identifier: ISC
 * See conf_ini.h.
 *
 * inih reads the sections and pairs; this file is the reader that feeds it. As distributions build
 * it, inih has a line buffer of 200 bytes, takes `:` for `=`, joins indented lines to the one
 * before, and cuts at ` ;` even inside quotes. So lines are tidied here before inih sees them, and
 * a pair that inih's rules would hurt travels beside it: inih is handed `key=value` in its place
 * and the handler puts the true texts back.
 *
 * The handler is called while inih still works on the line that was handed over last; a pair line
 * after which it wasn't called is one that inih refused, and is reported with its line number.
 */
#include "config.h"

#include "conf/conf_ini.h"

#include "conf/conf_file.h"

#include <ctype.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>

#define DEPTH_MAX     10
#define SECTION_ROOM  48  /* inih keeps 49 bytes of a section's name */
#define PLAIN_BYTES   180 /* longest line handed to inih as it is */
#define STAND_IN_PAIR "key=value"

struct frame {
    struct conf_place at;
    char *next;                 /* first byte of the next line; NULL at the end */
    char section[SECTION_ROOM]; /* in force where it was included */
};

struct reader {
    struct frame frames[DEPTH_MAX];
    int depth;                  /* frames in use */
    char section[SECTION_ROOM]; /* in force now */
    bool pgbouncer;
    bool expect;     /* a pair was handed over and hasn't come back yet */
    const char *key; /* the true texts of a pair that travels beside; NULL: inih's are */
    const char *value;
    struct conf_arena *arena;
    const struct conf_ini_sink *sink;
    struct conf_report *report;
};

static char *skip_blanks(char *p)
{
    while (isspace((unsigned char)*p))
        p++;
    return p;
}

static void trim_end(char *p)
{
    char *end = p + strlen(p);
    while (end > p && isspace((unsigned char)end[-1]))
        *--end = '\0';
}

bool conf_ini_is_pgbouncer(const char *text)
{
    for (const char *p = text; p != NULL; p = strchr(p, '\n')) {
        while (isspace((unsigned char)*p))
            p++;
        if (strncmp(p, "[pgbouncer]", 11) == 0)
            return true;
    }
    return false;
}

static void push(struct reader *r, const char *path, const char *text)
{
    struct frame *f = &r->frames[r->depth];
    f->at.file = conf_arena_text(r->arena, path);
    f->at.line = 0;
    f->next = conf_arena_scratch(r->arena, text);
    memcpy(f->section, r->section, sizeof f->section);
    if (f->next != NULL && strncmp(f->next, "\xef\xbb\xbf", 3) == 0)
        f->next += 3;
    r->depth++;
}

static void include(struct reader *r, char *name, const struct conf_place *at)
{
    trim_end(name);
    name = skip_blanks(name);
    if (r->depth == DEPTH_MAX) {
        conf_report_add(r->report, CONF_ERROR, at->file, at->line,
                        "%%include: more than %d files deep; does one include itself?",
                        DEPTH_MAX - 1);
        return;
    }
    const char *path = conf_file_resolve(r->arena, at->file, name);
    struct err err;
    size_t len = 0;
    char *text = conf_file_read(path, &len, &err);
    if (text == NULL) {
        conf_report_add(r->report, CONF_ERROR, at->file, at->line, "%%include %s: %s", path,
                        err.text);
        return;
    }
    if (strlen(text) != len)
        conf_report_add(r->report, CONF_ERROR, path, 0, "there is a NUL byte in the file");
    push(r, path, text);
    conf_file_free(&text, len);
}

/* The end of the value in front of a comment: ` ;` outside single quotes. A quote that is never
 * closed is an apostrophe. */
static void cut_comment(char *value)
{
    for (char *p = value; *p != '\0'; p++) {
        if (*p == '\'') {
            char *close = strchr(p + 1, '\'');
            if (close != NULL)
                p = close;
        } else if (*p == ';' && (p == value || isspace((unsigned char)p[-1]))) {
            *p = '\0';
            return;
        }
    }
}

/* The = between key and value; a key may be in double quotes, doubled inside. */
static char *find_equals(char *line)
{
    char *p = line;
    while (*p == '"') {
        char *close = strchr(p + 1, '"');
        if (close == NULL)
            return strchr(line, '=');
        p = close + 1;
    }
    return strchr(p, '=');
}

/* "my ""db""" -> my "db" */
static void unquote_key(char *key)
{
    size_t len = strlen(key);
    if (len < 2 || key[0] != '"' || key[len - 1] != '"')
        return;
    char *to = key;
    for (const char *p = key + 1; p < key + len - 1; p++) {
        if (*p == '"' && p[1] == '"' && p + 1 < key + len - 1)
            p++;
        *to++ = *p;
    }
    *to = '\0';
}

static bool is_plain(const char *line)
{
    return strlen(line) <= PLAIN_BYTES && strpbrk(line, "[:;#\"") == NULL;
}

/* A pair: as it is when inih does no harm to it, else its stand-in. */
static const char *hand_pair(struct reader *r, char *line)
{
    char *equals = find_equals(line);
    r->expect = true;
    if (equals == NULL) {
        /* inih refuses it, unless it takes a colon for the sign. */
        line[strcspn(line, ":=")] = '\0';
        return strlen(line) <= PLAIN_BYTES ? line : "?";
    }
    if (!r->pgbouncer)
        cut_comment(equals + 1);
    trim_end(line);
    if (is_plain(line))
        return line;
    *equals = '\0';
    trim_end(line);
    unquote_key(line);
    r->key = line;
    r->value = skip_blanks(equals + 1);
    return STAND_IN_PAIR;
}

/* `[::1]:5432 = ...` is a pair, not a section. */
static bool is_bracketed_key(const char *line)
{
    const char *close = strchr(line, ']');
    return close != NULL && strchr(close, '=') != NULL &&
           (close[1] == ':' || close[1 + strspn(close + 1, " \t")] == '=');
}

/* `[name]`; the rest of the line may be a comment. */
static void take_section(struct reader *r, char *line, const struct conf_place *at)
{
    char *close = strchr(line, ']');
    char *rest = close == NULL ? NULL : skip_blanks(close + 1);
    if (close == NULL || (*rest != '\0' && *rest != ';' && *rest != '#')) {
        conf_report_add(r->report, CONF_ERROR, at->file, at->line,
                        "not a section; [name] alone on its line is one");
        return;
    }
    *close = '\0';
    (void)snprintf(r->section, sizeof r->section, "%s", line + 1);
    r->sink->on_section(r->sink->arg, line + 1, at);
}

/* The next line of the innermost file, cut out in place; NULL at its end. */
static char *next_line(struct frame *f)
{
    char *line = f->next;
    if (line == NULL || *line == '\0')
        return NULL;
    char *end = strchr(line, '\n');
    if (end != NULL)
        *end = '\0';
    f->next = end == NULL ? NULL : end + 1;
    f->at.line++;
    trim_end(line);
    return skip_blanks(line);
}

/* What inih shall see next: a section, a pair, or nothing of interest. */
static const char *next_for_ini(struct reader *r, char section[SECTION_ROOM + 2])
{
    struct frame *f = &r->frames[r->depth - 1];
    char *line = next_line(f);
    if (line == NULL) {
        /* Back to the section in which the file was included. */
        memcpy(r->section, f->section, sizeof r->section);
        r->depth--;
    } else if (strncmp(line, "%include", 8) == 0 && isspace((unsigned char)line[8])) {
        include(r, line + 8, &f->at);
        return "";
    } else if (*line == '\0' || *line == ';' || *line == '#') {
        return "";
    } else if (*line == '[' && !is_bracketed_key(line)) {
        take_section(r, line, &f->at);
    } else {
        return hand_pair(r, line);
    }
    (void)snprintf(section, SECTION_ROOM + 2, "[%s]", r->section);
    return r->section[0] == '\0' ? "" : section;
}

/* The line handed over before is done with; did it come back? */
static void settle(struct reader *r)
{
    if (r->expect) {
        const struct conf_place *at = &r->frames[r->depth - 1].at;
        conf_report_add(r->report, CONF_ERROR, at->file, at->line,
                        "neither a section nor key = value");
    }
    r->expect = false;
    r->key = NULL;
    r->value = NULL;
}

/* inih's fgets(). */
static char *on_read(char *to, int room, void *arg)
{
    struct reader *r = arg;
    char section[SECTION_ROOM + 2];
    settle(r);
    if (r->depth == 0 || room <= 0)
        return NULL;
    (void)snprintf(to, (size_t)room, "%s\n", next_for_ini(r, section));
    return to;
}

static int on_ini_pair(void *arg, const char *section, const char *name, const char *value)
{
    struct reader *r = arg;
    if (value == NULL)
        return 0; /* a build of inih that takes a key alone */
    r->expect = false;
    const struct conf_place *at = &r->frames[r->depth - 1].at;
    r->sink->on_pair(r->sink->arg, section,
                     r->key != NULL ? r->key : conf_arena_text(r->arena, name),
                     r->value != NULL ? r->value : conf_arena_text(r->arena, value), at);
    return 1;
}

void conf_ini_read(const char *path, const char *text, bool pgbouncer, struct conf_arena *arena,
                   const struct conf_ini_sink *sink, struct conf_report *report)
{
    struct reader r = {.pgbouncer = pgbouncer, .arena = arena, .sink = sink, .report = report};
    push(&r, path, text);
    int rc = ini_parse_stream(on_read, &r, on_ini_pair, &r);
    if (rc < 0)
        conf_report_add(report, CONF_ERROR, path, 0, "inih gave up (%d)", rc);
    if (r.depth > 0 && rc >= 0)
        conf_report_add(report, CONF_ERROR, path, 0, "inih stopped before the end");
}
