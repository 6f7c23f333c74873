/* SPDX-License-Identifier: ISC
 * One line per event, to stderr (or stdout: a setting). The object comes first, so that every line
 * names its connection: log_info("client 17 shop/app", "login from %s", addr).
 * No secret, ever. A place where a storm can repeat a line uses log_limited().
 * Any thread; a line is one write().
 */
#ifndef WEIR_BASE_LOG_H
#define WEIR_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON, LOG_FORMAT_ECS, LOG_FORMAT_GCP };

/* Set once at start and again on reload; `fd` is 1 or 2. */
void log_configure(enum log_level level, enum log_format format, int fd);
bool log_enabled(enum log_level level);

/* `object` may be NULL for the process itself. Control characters in the text are escaped. */
void log_write(enum log_level level, const char *object, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* What a line says beside its text, by ECS names: members of the object in the JSON formats,
 * name=value behind the text in the other. What has no room is left out. */
struct log_fields {
    int format; /* of the line, since it was begun */
    size_t n;
    char text[1536];
};
void log_fields_begin(struct log_fields *f);
/* An empty value is not said. */
void log_field(struct log_fields *f, const char *name, const char *value);
void log_field_int(struct log_fields *f, const char *name, uint64_t value);
void log_field_ms(struct log_fields *f, const char *name, uint64_t us);
void log_write_with(enum log_level level, const char *object, const struct log_fields *f,
                    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* A budget for a line that a storm could repeat: at most one a second, with the number left out
 * handed out when it speaks again. Zero-initialised; shared by threads. */
struct log_limit {
    uint64_t next_us;
    uint32_t dropped;
};
bool log_limit_pass(struct log_limit *l, uint32_t *dropped);

#define log_error(obj, ...) log_write(LOG_LEVEL_ERROR, (obj), __VA_ARGS__)
#define log_warn(obj, ...)  log_write(LOG_LEVEL_WARNING, (obj), __VA_ARGS__)
#define log_info(obj, ...)  log_write(LOG_LEVEL_INFO, (obj), __VA_ARGS__)
#define log_debug(obj, ...)                                                                        \
    do {                                                                                           \
        if (log_enabled(LOG_LEVEL_DEBUG))                                                          \
            log_write(LOG_LEVEL_DEBUG, (obj), __VA_ARGS__);                                        \
    } while (0)

#endif
