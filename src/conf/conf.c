/* SPDX-License-Identifier: ISC
 * See conf.h. Loading: the sources in their order, then the entries, then what only shows when all
 * is known. Nothing is half-loaded: one error and there is no configuration.
 */
#include "config.h"

#include "conf/conf.h"

#include "conf/conf_dsn.h"
#include "conf/conf_file.h"
#include "conf/conf_priv.h"
#include "conf/conf_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum section {
    SECTION_NONE,
    SECTION_WEIR,
    SECTION_DATABASES,
    SECTION_SERVERS,
    SECTION_USERS,
    SECTION_FUNCTIONS,
    SECTION_PEERS, /* PgBouncer's; nothing here */
    SECTION_UNKNOWN
};

static const struct {
    const char *name;
    enum section section;
} section_names[] = {{"weir", SECTION_WEIR},           {"pgbouncer", SECTION_WEIR},
                     {"databases", SECTION_DATABASES}, {"servers", SECTION_SERVERS},
                     {"users", SECTION_USERS},         {"functions", SECTION_FUNCTIONS},
                     {"peers", SECTION_PEERS}};

/* --- one setting --- */

/* Words of PgBouncer's auth_type that weir can't do; md5 asks for a secret of every client. */
static bool is_foreign_auth_type(const char *key, const char *value)
{
    return strcasecmp(key, "auth_type") == 0 &&
           (strcasecmp(value, "hba") == 0 || strcasecmp(value, "pam") == 0 ||
            strcasecmp(value, "ldap") == 0);
}

/* 'a ; b' -> a ; b. Only in weir's own files; in a pgbouncer.ini quotes are part of the value. */
static const char *unquote(struct conf_loader *l, const char *value)
{
    size_t len = strlen(value);
    if (l->conf->pgbouncer || len < 2 || value[0] != '\'' || value[len - 1] != '\'')
        return value;
    char *out = conf_arena_alloc(&l->scratch, len);
    if (out == NULL)
        return value;
    size_t n = 0;
    for (size_t i = 1; i < len - 1; i++) {
        if (value[i] == '\'' && (value[++i] != '\'' || i == len - 1))
            return value; /* two quoted things, not one */
        out[n++] = value[i];
    }
    return out;
}

static void fault_unknown(struct conf_loader *l, const char *key, const struct conf_place *at)
{
    const char *near = conf_setting_suggest(key);
    if (near != NULL)
        conf_report_add(l->report, CONF_ERROR, at->file, at->line,
                        "unknown setting \"%.60s\"; did you mean %s?", key, near);
    else
        conf_report_add(l->report, CONF_ERROR, at->file, at->line, "unknown setting \"%.60s\"",
                        key);
}

void conf_take_setting(struct conf_loader *l, const char *key, const char *value,
                       const struct conf_place *at)
{
    const struct conf_setting *row = conf_setting_find(key);
    const struct conf_ignored *ignored = row == NULL ? conf_ignored_find(key) : NULL;
    if (ignored != NULL) {
        conf_report_add(l->report, CONF_WARNING, at->file, at->line, "%s has no meaning here: %s",
                        ignored->name, ignored->why);
        return;
    }
    if (row == NULL) {
        fault_unknown(l, key, at);
        return;
    }
    if (is_foreign_auth_type(key, value)) {
        conf_report_add(l->report, CONF_WARNING, at->file, at->line,
                        "auth_type: weir has no %s; every client is asked for the secret that "
                        "auth_file or auth_query has (md5)",
                        value);
        value = "md5";
    }
    struct err err;
    if (!conf_setting_parse(row, unquote(l, value), &l->conf->settings, &l->conf->arena, &err))
        conf_report_add(l->report, CONF_ERROR, at->file, at->line, "%s: %s", row->name, err.text);
    l->seen[conf_setting_index(row)] = *at;
}

static void set_defaults(struct conf_loader *l)
{
    const struct conf_setting *row;
    for (size_t i = 0; (row = conf_setting_at(i)) != NULL; i++) {
        struct err err;
        const char *text = conf_setting_default(row, l->conf->pgbouncer);
        if (!conf_setting_parse(row, text, &l->conf->settings, &l->conf->arena, &err))
            conf_report_add(l->report, CONF_ERROR, NULL, 0, "default of %s: %s", row->name,
                            err.text);
    }
}

/* --- the file --- */

/* A second one of the same: PgBouncer lets the last win, so its files may. */
static void report_twice(struct conf_loader *l, const char *what, const char *name,
                         const struct conf_place *at, const struct conf_place *first)
{
    conf_report_add(l->report, l->conf->pgbouncer ? CONF_WARNING : CONF_ERROR, at->file, at->line,
                    "%s%s is given twice, first in %s:%d; %s", what, name, first->file, first->line,
                    l->conf->pgbouncer ? "the last one holds" : "remove one");
}

static enum section section_find(const char *name)
{
    for (size_t i = 0; i < sizeof section_names / sizeof section_names[0]; i++)
        if (strcmp(section_names[i].name, name) == 0)
            return section_names[i].section;
    return SECTION_UNKNOWN;
}

static void fault_section(struct conf_loader *l, const char *name, const struct conf_place *at)
{
    const char *best = NULL;
    size_t least = 3;
    for (size_t i = 0; i < sizeof section_names / sizeof section_names[0]; i++) {
        size_t d = conf_distance(name, section_names[i].name);
        if (d < least) {
            least = d;
            best = section_names[i].name;
        }
    }
    if (best != NULL)
        conf_report_add(l->report, CONF_ERROR, at->file, at->line,
                        "unknown section [%.60s]; did you mean [%s]?", name, best);
    else
        conf_report_add(l->report, CONF_ERROR, at->file, at->line,
                        "unknown section [%.60s]; there are weir, databases, servers, users and "
                        "functions",
                        name);
}

/* A section may be opened once in each file. */
static void on_section(void *arg, const char *name, const struct conf_place *at)
{
    struct conf_loader *l = arg;
    enum section section = section_find(name);
    if (section == SECTION_UNKNOWN) {
        fault_section(l, name, at);
        return;
    }
    if (section == SECTION_PEERS)
        conf_report_add(l->report, CONF_WARNING, at->file, at->line,
                        "[peers] has no meaning here: weir's cancel keys need no peers");
    /* [weir] and [pgbouncer] are the same one. */
    const char *same = section == SECTION_WEIR ? "weir" : name;
    size_t room = strlen(same) + strlen(at->file) + 2;
    char *key = conf_arena_alloc(&l->scratch, room);
    struct conf_place *place = conf_arena_alloc(&l->scratch, sizeof *place);
    if (key == NULL || place == NULL)
        return;
    (void)snprintf(key, room, "%s %s", same, at->file);
    *place = *at;
    const struct conf_place *first = conf_table_find(&l->sections, key);
    if (first != NULL)
        report_twice(l, "section ", name, at, first);
    else if (!conf_table_add(&l->sections, &l->scratch, key, place))
        l->scratch.failed = true;
}

static void take_raw(struct conf_loader *l, enum conf_kind kind, const struct conf_raw *raw,
                     bool replace)
{
    struct conf_raw *old = conf_table_find(&l->raw[kind], raw->name);
    if (old != NULL) {
        if (!replace)
            report_twice(l, "", raw->name, &raw->at, &old->at);
        const char *kept = old->name;
        *old = *raw;
        old->name = kept;
        return;
    }
    struct conf_raw *copy = conf_arena_alloc(&l->scratch, sizeof *copy);
    if (copy == NULL)
        return;
    *copy = *raw;
    copy->name = conf_arena_text(&l->scratch, raw->name);
    if (!conf_table_add(&l->raw[kind], &l->scratch, copy->name, copy))
        l->scratch.failed = true;
}

static void take_file_setting(struct conf_loader *l, const char *key, const char *value,
                              const struct conf_place *at)
{
    const struct conf_setting *row = conf_setting_find(key);
    const struct conf_place *first = row == NULL ? NULL : &l->seen[conf_setting_index(row)];
    if (first != NULL && first->file != NULL)
        report_twice(l, "", row->name, at, first);
    conf_take_setting(l, key, value, at);
}

static void on_pair(void *arg, const char *section, const char *key, const char *value,
                    const struct conf_place *at)
{
    struct conf_loader *l = arg;
    struct conf_raw raw = {.name = key, .value = value, .at = *at};
    if (key[0] == '\0') {
        conf_report_add(l->report, CONF_ERROR, at->file, at->line, "no name in front of the =");
        return;
    }
    switch (section[0] == '\0' ? SECTION_NONE : section_find(section)) {
    case SECTION_NONE:
        conf_report_add(l->report, CONF_ERROR, at->file, at->line,
                        "\"%.60s\" stands before the first section; [weir] is the one for settings",
                        key);
        return;
    case SECTION_WEIR:
        take_file_setting(l, key, value, at);
        return;
    case SECTION_DATABASES:
        take_raw(l, CONF_KIND_DATABASE, &raw, false);
        return;
    case SECTION_SERVERS:
        take_raw(l, CONF_KIND_SERVER, &raw, false);
        return;
    case SECTION_USERS:
        take_raw(l, CONF_KIND_USER, &raw, false);
        return;
    case SECTION_FUNCTIONS:
        take_raw(l, CONF_KIND_FUNCTION, &raw, false);
        return;
    case SECTION_PEERS:
    case SECTION_UNKNOWN:
        return; /* said once, at the section */
    }
}

static void take_file(struct conf_loader *l)
{
    const char *path = l->src->path != NULL ? l->src->path : "configuration";
    const char *text = l->src->text;
    char *own = NULL;
    size_t len = 0;
    struct err err;
    if (text == NULL && l->src->path != NULL) {
        own = conf_file_read(path, &len, &err);
        if (own == NULL)
            conf_report_add(l->report, CONF_ERROR, path, 0, "%s", err.text);
        else if (strlen(own) != len)
            conf_report_add(l->report, CONF_ERROR, path, 0, "there is a NUL byte in the file");
        text = own;
    }
    l->conf->pgbouncer = text != NULL && conf_ini_is_pgbouncer(text);
    set_defaults(l);
    if (text != NULL) {
        const struct conf_ini_sink sink = {l, on_section, on_pair};
        conf_ini_read(path, text, l->conf->pgbouncer, &l->scratch, &sink, l->report);
    }
    conf_file_free(&own, len);
}

/* --- the command line --- */

/* Of two URLs in one place none is the stronger; a file's entry gives way to both. */
static bool is_second_url(struct conf_loader *l, const struct conf_raw *raw)
{
    const struct conf_raw *old = conf_table_find(&l->raw[CONF_KIND_DATABASE], raw->name);
    if (old == NULL || !old->from_url || strcmp(old->at.file, raw->at.file) != 0)
        return false;
    conf_report_add(l->report, CONF_ERROR, raw->at.file, raw->at.line,
                    "two URLs are of a database \"%.60s\"; give one of them another name: in "
                    "WEIR_URL_<NAME>, or in [databases]",
                    raw->name);
    return true;
}

void conf_take_url(struct conf_loader *l, const char *name, const char *url,
                   const struct conf_place *at)
{
    struct conf_raw raw = {.name = name, .value = url, .at = *at, .from_url = true};
    if (name == NULL) {
        struct conf_url parts;
        struct err err;
        char *copy = conf_arena_scratch(&l->scratch, url);
        if (copy == NULL)
            return;
        copy[strcspn(copy, " \t")] = '\0';
        if (!conf_url_split(copy, &parts, &err)) {
            conf_report_add(l->report, CONF_ERROR, at->file, at->line, "%s", err.text);
            return;
        }
        raw.name = parts.dbname != NULL ? parts.dbname : "*";
    }
    if (!is_second_url(l, &raw))
        take_raw(l, CONF_KIND_DATABASE, &raw, true);
}

/* A single URL serves every database name that clients ask for. */
static void take_fallback(struct conf_loader *l)
{
    const struct conf_table *t = &l->raw[CONF_KIND_DATABASE];
    const struct conf_raw *only = t->n == 1 ? t->items[0] : NULL;
    if (only == NULL || !only->from_url || strcmp(only->name, "*") == 0)
        return;
    struct conf_raw raw = *only;
    raw.name = "*";
    raw.any_dbname = true;
    take_raw(l, CONF_KIND_DATABASE, &raw, true);
}

static void take_command_line(struct conf_loader *l)
{
    static const struct conf_place at = {"command line", 0};
    for (size_t i = 0; i < l->src->n_urls; i++)
        conf_take_url(l, NULL, l->src->urls[i], &at);
    for (size_t i = 0; i < l->src->n_args; i++)
        conf_take_setting(l, l->src->args[i].key, l->src->args[i].value, &at);
}

/* --- all of it --- */

static struct conf *conf_new(struct conf_entries *share)
{
    struct conf *conf = calloc(1, sizeof *conf);
    struct conf_entries *entries = share != NULL ? share : calloc(1, sizeof *entries);
    if (conf == NULL || entries == NULL) {
        free(conf);
        if (share == NULL)
            free(entries);
        return NULL;
    }
    atomic_init(&conf->refs, 1);
    if (share != NULL)
        atomic_fetch_add(&share->refs, 1);
    else
        atomic_init(&entries->refs, 1);
    conf->entries = entries;
    return conf;
}

/* A relative name of a file is looked for beside the configuration file first. */
static void resolve_files(struct conf_loader *l)
{
    const struct conf_setting *row;
    for (size_t i = 0; (row = conf_setting_at(i)) != NULL; i++) {
        if (row->type != CONF_TYPE_FILE || l->seen[i].line == 0)
            continue;
        const char **field = (const char **)(void *)((char *)&l->conf->settings + row->offset);
        *field = conf_file_resolve(&l->conf->arena, l->seen[i].file, *field);
    }
}

/* For faults that show later, when the loader is gone. */
static void keep_places(struct conf_loader *l)
{
    struct conf_entries *e = l->conf->entries;
    const char *from = NULL, *copy = NULL;
    for (size_t i = 0; i < CONF_SETTING_MAX; i++) {
        if (l->seen[i].file == NULL)
            continue;
        if (l->seen[i].file != from) {
            from = l->seen[i].file;
            copy = conf_arena_text(&e->arena, from);
        }
        e->places[i] = (struct conf_place){.file = copy, .line = l->seen[i].line};
    }
}

static void loader_fini(struct conf_loader *l)
{
    for (size_t i = 0; i < CONF_KIND_COUNT; i++)
        conf_table_fini(&l->raw[i]);
    conf_table_fini(&l->sections);
    conf_arena_fini(&l->scratch);
}

struct conf *conf_load(const struct conf_source *src, struct conf_report *report)
{
    struct conf *conf = conf_new(NULL);
    if (conf == NULL) {
        conf_report_add(report, CONF_ERROR, NULL, 0, "out of memory");
        return NULL;
    }
    size_t errors_before = report->errors;
    struct conf_loader l = {.src = src, .report = report, .conf = conf};
    take_file(&l);
    conf_take_environment(&l);
    take_command_line(&l);
    take_fallback(&l);
    resolve_files(&l);
    keep_places(&l);
    conf_build_entries(&l);
    conf_check_whole(&l);
    if (conf->arena.failed || conf->entries->arena.failed || l.scratch.failed)
        conf_report_add(report, CONF_ERROR, NULL, 0, "out of memory");
    loader_fini(&l);
    if (report->errors != errors_before)
        conf_free(&conf);
    return conf;
}

struct conf *conf_get(const struct conf *conf)
{
    /* Only the count changes, and it is atomic. */
    struct conf *mutable_conf = (struct conf *)(uintptr_t)conf;
    atomic_fetch_add(&mutable_conf->refs, 1);
    return mutable_conf;
}

static void entries_put(struct conf_entries *e)
{
    if (atomic_fetch_sub(&e->refs, 1) != 1)
        return;
    for (size_t i = 0; i < CONF_KIND_COUNT; i++)
        conf_table_fini(&e->tables[i]);
    conf_arena_fini(&e->arena);
    free(e);
}

void conf_free(struct conf **conf)
{
    struct conf *c = *conf;
    *conf = NULL;
    if (c == NULL || atomic_fetch_sub(&c->refs, 1) != 1)
        return;
    entries_put(c->entries);
    conf_arena_fini(&c->arena);
    free(c);
}

const struct conf_settings *conf_settings(const struct conf *conf)
{
    return &conf->settings;
}

struct conf *conf_copy(const struct conf *conf)
{
    struct conf *copy = conf_new(conf->entries);
    if (copy == NULL)
        return NULL;
    copy->pgbouncer = conf->pgbouncer;
    copy->settings = conf->settings;
    const struct conf_setting *row;
    for (size_t i = 0; (row = conf_setting_at(i)) != NULL; i++) {
        if (row->type != CONF_TYPE_STR && row->type != CONF_TYPE_FILE)
            continue;
        const char **field = (const char **)(void *)((char *)&copy->settings + row->offset);
        *field = conf_arena_text(&copy->arena, *field);
    }
    if (copy->arena.failed)
        conf_free(&copy);
    return copy;
}

bool conf_set(struct conf *conf, const char *key, const char *value, struct err *err)
{
    const struct conf_setting *row = conf_setting_find(key);
    if (row == NULL) {
        const struct conf_ignored *ignored = conf_ignored_find(key);
        const char *near = conf_setting_suggest(key);
        if (ignored != NULL)
            err_set(err, "%s has no meaning here: %s", ignored->name, ignored->why);
        else if (near != NULL)
            err_set(err, "unknown setting \"%.60s\"; did you mean %s?", key, near);
        else
            err_set(err, "unknown setting \"%.60s\"", key);
        return false;
    }
    if (!row->reload) {
        err_set(err, "%s needs a restart", row->name);
        return false;
    }
    struct err why;
    if (!conf_setting_parse(row, value, &conf->settings, &conf->arena, &why)) {
        err_set(err, "%s: %.200s", row->name, why.text);
        return false;
    }
    return conf_check_set(conf, err);
}

bool conf_list_has(const char *list, const char *want)
{
    size_t len = strlen(want);
    for (const char *p = list; *p != '\0';) {
        p += strspn(p, ", \t");
        size_t n = strcspn(p, ",");
        const char *next = p + n;
        while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t'))
            n--;
        if (n == len && n > 0 && memcmp(p, want, n) == 0)
            return true;
        p = next;
    }
    return false;
}
