/* SPDX-License-Identifier: ISC
 * What the files of this folder share: the configuration itself and the steps of conf_load().
 */
#ifndef WEIR_CONF_CONF_PRIV_H
#define WEIR_CONF_CONF_PRIV_H

#include "conf/conf.h"
#include "conf/conf_arena.h"
#include "conf/conf_ini.h"
#include "conf/conf_setting.h"
#include "conf/conf_table.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* --- the configuration --- */

enum conf_kind { CONF_KIND_DATABASE, CONF_KIND_SERVER, CONF_KIND_USER, CONF_KIND_FUNCTION };
#define CONF_KIND_COUNT 4

/* Shared by a configuration and its copies. */
struct conf_entries {
    atomic_uint refs;
    struct conf_arena arena;
    struct conf_table tables[CONF_KIND_COUNT];
    struct conf_place places[CONF_SETTING_MAX]; /* where a setting was given; file NULL: nowhere */
};

struct conf {
    atomic_uint refs;
    bool pgbouncer; /* the file has a [pgbouncer] section: its defaults hold */
    struct conf_settings settings;
    struct conf_arena arena; /* the settings' strings */
    struct conf_entries *entries;
};

/* A line of one of the four sections, or its like from elsewhere, before it is understood. */
struct conf_raw {
    const char *name;
    const char *value;
    struct conf_place at;
    bool from_url;
    bool any_dbname; /* the dbname it says is for another entry: here the client's name holds */
};

/* A configuration on its way. */
struct conf_loader {
    const struct conf_source *src;
    struct conf_report *report;
    struct conf *conf;
    struct conf_arena scratch;
    struct conf_table raw[CONF_KIND_COUNT];   /* of struct conf_raw */
    struct conf_table sections;               /* seen in the file at hand: of struct conf_place */
    struct conf_place seen[CONF_SETTING_MAX]; /* where a setting was given; file NULL: nowhere */
};

/* An option of an entry, as a row: found in the table of its kind. */
const struct conf_setting *conf_option_at(enum conf_kind kind, size_t i);
const struct conf_setting *conf_option_find(enum conf_kind kind, const char *name);
/* Mark every option of an entry as not given. */
void conf_option_clear(enum conf_kind kind, void *entry);
bool conf_option_is_set(const struct conf_setting *row, const void *entry);
const char *conf_kind_section(enum conf_kind kind);

/* Build the entries out of the raw lines; faults go into the report. */
void conf_build_database(struct conf_loader *l, const struct conf_raw *raw);
void conf_build_entries(struct conf_loader *l);
/* "h1:p1,h2" as the canonical name of a server, default ports filled in; NULL: no host list. */
const char *conf_server_canonical(struct conf_arena *arena, const char *text, int default_port);
/* The environment's URLs, then its settings. */
void conf_take_environment(struct conf_loader *l);
/* One --url or WEIR_URL. `name` NULL: the URL's own database. */
void conf_take_url(struct conf_loader *l, const char *name, const char *url,
                   const struct conf_place *at);
/* One setting, wherever from; a later source replaces an earlier one silently. */
void conf_take_setting(struct conf_loader *l, const char *key, const char *value,
                       const struct conf_place *at);
/* A variable of the source's environment, or NULL. */
const char *conf_source_getenv(const struct conf_source *src, const char *name);
/* Faults that only show when everything is known. */
void conf_check_whole(struct conf_loader *l);
/* Likewise after one setting was changed by name. */
bool conf_check_set(struct conf *conf, struct err *err);

#endif
