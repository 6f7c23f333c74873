/* SPDX-License-Identifier: ISC
 * The configuration: read once, checked as a whole, then never changed.
 *
 * A `struct conf` is immutable once conf_load(), conf_copy() and conf_set() are done with it, so
 * any thread may read one that it holds a reference of. A reload makes a second one and the caller
 * compares the two; nothing here is global and nothing is logged: what is wrong goes into a
 * conf_report, all of it at once.
 *
 * Order: defaults < file < environment < command line.
 */
#ifndef WEIR_CONF_CONF_H
#define WEIR_CONF_CONF_H

#include "conf/conf_entry.h"
#include "conf/conf_report.h"

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum conf_auth_type {
    CONF_AUTH_SCRAM_SHA_256,
    CONF_AUTH_MD5, /* SCRAM for a user whose secret is one */
    CONF_AUTH_PLAIN,
    CONF_AUTH_CERT,
    CONF_AUTH_TRUST, /* the user must exist */
    CONF_AUTH_ANY    /* the user name is ignored: every database entry names its own */
};
/* The words of function_from: what names a client's function. */
enum conf_function_source {
    CONF_FUNCTION_USER, /* its suffix */
    CONF_FUNCTION_OPTION,
    CONF_FUNCTION_APPLICATION_NAME,
    CONF_FUNCTION_CERTIFICATE,
    CONF_FUNCTION_SNI,
    CONF_FUNCTION_PORT
};
#define CONF_FUNCTION_SOURCES 6
extern const char *const conf_function_sources[CONF_FUNCTION_SOURCES];
enum conf_sslmode {
    CONF_SSLMODE_DISABLE,
    CONF_SSLMODE_ALLOW,
    CONF_SSLMODE_PREFER,
    CONF_SSLMODE_REQUIRE,
    CONF_SSLMODE_VERIFY_CA,
    CONF_SSLMODE_VERIFY_FULL
};
enum conf_dheparams { CONF_DHEPARAMS_AUTO, CONF_DHEPARAMS_NONE, CONF_DHEPARAMS_LEGACY };
/* These two have the values of base/log.h's enum log_level and enum log_format. */
enum conf_log_level {
    CONF_LOG_LEVEL_ERROR,
    CONF_LOG_LEVEL_WARNING,
    CONF_LOG_LEVEL_INFO,
    CONF_LOG_LEVEL_DEBUG
};
enum conf_log_format {
    CONF_LOG_FORMAT_TEXT,
    CONF_LOG_FORMAT_JSON,
    CONF_LOG_FORMAT_ECS,
    CONF_LOG_FORMAT_GCP
};
enum conf_log_destination { CONF_LOG_STDERR, CONF_LOG_STDOUT };

/* One field for each row of conf_settings.def, named as in the file plus the unit. */
struct conf_settings {
#define CONF_TIME(name, ...)      uint64_t name##_us;
#define CONF_TIMEMS(name, ...)    uint64_t name##_us;
#define CONF_SIZE(name, ...)      uint64_t name##_bytes;
#define CONF_INT(name, ...)       int name;
#define CONF_AUTO(name, ...)      int name; /* 0: auto */
#define CONF_MODE(name, ...)      int name;
#define CONF_BOOL(name, ...)      bool name;
#define CONF_ENUM(name, tag, ...) enum conf_##tag name;
#define CONF_STR(name, ...)       const char *name; /* never NULL */
#define CONF_FILE(name, ...)      const char *name; /* never NULL */
#define CONF_BOUND(name, ...)     struct conf_bound name;
#define CONF_IGNORED(name, why)
#include "conf/conf_settings.def"
#undef CONF_TIME
#undef CONF_TIMEMS
#undef CONF_SIZE
#undef CONF_INT
#undef CONF_AUTO
#undef CONF_MODE
#undef CONF_BOOL
#undef CONF_ENUM
#undef CONF_STR
#undef CONF_FILE
#undef CONF_BOUND
#undef CONF_IGNORED
};

/* Where a configuration comes from; every part may be left out. */
struct conf_source {
    const char *path;        /* the file; NULL: none */
    const char *text;        /* its content when it isn't to be read from `path` */
    const char *const *env;  /* as environ; NULL: no environment */
    const char *const *urls; /* --url, in their order */
    size_t n_urls;
    const struct conf_param *args; /* settings from the command line */
    size_t n_args;
};

struct conf;

/* Read and check everything. NULL when the report holds an error; warnings don't hinder. The result
 * holds one reference. Reads files (the configuration, includes, password_file): not for the loop.
 */
struct conf *conf_load(const struct conf_source *src, struct conf_report *report)
    __attribute__((warn_unused_result));
/* One more reference of the same; given back with conf_free(). */
struct conf *conf_get(const struct conf *conf);
/* Give a reference back; with the last one every byte is wiped and freed. */
void conf_free(struct conf **conf);

const struct conf_settings *conf_settings(const struct conf *conf);
/* What is wrong with a setting, with the place where it was given. The text begins with the
 * setting's name and a colon. */
void conf_fault(const struct conf *conf, struct conf_report *report, enum conf_severity severity,
                const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* A private copy for conf_set(): the settings are its own, the entries are shared. */
struct conf *conf_copy(const struct conf *conf) __attribute__((warn_unused_result));
/* SET key = value on a copy that nobody else has seen yet. On false nothing changed. */
bool conf_set(struct conf *conf, const char *key, const char *value, struct err *err)
    __attribute__((warn_unused_result));

/* Every setting that differs and needs a restart stays in `now`, which nobody else has seen yet,
 * what it is; a warning each. Returns how many. */
size_t conf_keep_unreloadable(const struct conf *old, struct conf *now, struct conf_report *report);
/* What only the machine can tell: a file that can't be read is an error, too low a limit of
 * descriptors (RLIMIT_NOFILE) a warning. */
void conf_check_files(const struct conf *conf, struct conf_report *report);
/* Descriptors that the settings can need at most: clients, servers, and what weir itself uses. */
uint64_t conf_fds_needed(const struct conf *conf);

/* Whether a comma-separated list (admin_users, ...) has the item. */
bool conf_list_has(const char *list, const char *item);

#endif
