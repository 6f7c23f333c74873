/* SPDX-License-Identifier: ISC
 * The rows of conf_settings.def as data: what a setting is called, holds and allows, and how its
 * value gets into struct conf_settings and out again. Private to conf/.
 */
#ifndef WEIR_CONF_CONF_SETTING_H
#define WEIR_CONF_CONF_SETTING_H

#include "conf/conf.h"
#include "conf/conf_arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum conf_type {
    CONF_TYPE_TIME,
    CONF_TYPE_TIMEMS,
    CONF_TYPE_SIZE,
    CONF_TYPE_INT,
    CONF_TYPE_AUTO,
    CONF_TYPE_MODE,
    CONF_TYPE_BOOL,
    CONF_TYPE_ENUM,
    CONF_TYPE_STR,
    CONF_TYPE_FILE,
    CONF_TYPE_BOUND
};

/* At least as many as there are rows; checked where the table is. */
#define CONF_SETTING_MAX 128

/* Chapters of the manual, in its order. */
enum conf_group {
    CONF_GROUP_LISTEN,
    CONF_GROUP_POOL,
    CONF_GROUP_QUEUE,
    CONF_GROUP_CLIENT,
    CONF_GROUP_SERVER,
    CONF_GROUP_AUTH,
    CONF_GROUP_CLIENT_TLS,
    CONF_GROUP_SERVER_TLS,
    CONF_GROUP_TCP,
    CONF_GROUP_FUNCTION,
    CONF_GROUP_ADMIN,
    CONF_GROUP_LOG,
    CONF_GROUP_PROCESS,
    CONF_GROUP_COUNT
};

struct conf_setting {
    const char *name;
    enum conf_type type;
    bool reload;
    enum conf_group group;
    size_t offset;            /* into struct conf_settings, or the struct of an entry */
    uint64_t min, max;        /* in the unit of the field; where the type has a range */
    const char *const *names; /* ENUM: the words, by value */
    const char *defval;
    const char *pgb_defval; /* NULL: the same */
    const char *help;
    const char *note;
};

/* A setting of PgBouncer without meaning here. */
struct conf_ignored {
    const char *name;
    const char *why;
};

/* The rows, in the order of the file; NULL after the last. */
const struct conf_setting *conf_setting_at(size_t i);
const struct conf_ignored *conf_ignored_at(size_t i);
const struct conf_setting *conf_setting_find(const char *name);
const struct conf_ignored *conf_ignored_find(const char *name);
size_t conf_setting_index(const struct conf_setting *row);
/* The known name nearest to a wrong one, or NULL when none is near. */
const char *conf_setting_suggest(const char *name);
const char *conf_group_title(enum conf_group group);
/* The default that holds in a file with or without a [pgbouncer] section. */
const char *conf_setting_default(const struct conf_setting *row, bool pgbouncer);

/* Text into the field of the struct at `base`; strings are copied into the arena. On false nothing
 * changed. */
bool conf_setting_parse(const struct conf_setting *row, const char *text, void *base,
                        struct conf_arena *arena, struct err *err)
    __attribute__((warn_unused_result));
/* The field as text that parses to the same; a string of the struct, or in `to`. */
const char *conf_setting_format(const struct conf_setting *row, const void *base, char to[48]);
/* What is allowed, for the manual and for messages: "0 to 65535", "a, b, c". */
void conf_setting_range(const struct conf_setting *row, char *to, size_t room);

#endif
