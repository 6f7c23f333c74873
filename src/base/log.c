/* SPDX-License-Identifier: ISC
 * See log.h. A line is put together on the stack and written at once, so lines of different
 * threads never mix.
 */
#include "config.h"

#include "base/log.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1920 /* of the text; with all else less than PIPE_BUF */

static _Atomic int cur_level = LOG_LEVEL_INFO;
static _Atomic int cur_format = LOG_FORMAT_TEXT;
static _Atomic int cur_fd = 2;

static const char *const level_names[] = {"error", "warning", "info", "debug"};
static const char *const gcp_names[] = {"ERROR", "WARNING", "INFO", "DEBUG"};

void log_configure(enum log_level level, enum log_format format, int fd)
{
    atomic_store(&cur_level, (int)level);
    atomic_store(&cur_format, (int)format);
    atomic_store(&cur_fd, fd);
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&cur_level, memory_order_relaxed);
}

/* Copy text so that it stays on its line: JSON escapes in both formats. */
static size_t escape(char *to, size_t room, const char *from, bool json)
{
    const unsigned char *p = (const unsigned char *)from;
    size_t n = 0, left = strlen(from);
    while (left != 0 && n + 7 < room) {
        uint32_t c;
        size_t len = utf8_next(p, left, &c);
        if (c == UTF8_BAD)
            c = 0xfffd;
        if (c == 0xfffd || utf8_is_control(c)) {
            n += (size_t)snprintf(to + n, room - n, "\\u%04x", c);
        } else {
            if (json && (c == '"' || c == '\\'))
                to[n++] = '\\';
            memcpy(to + n, p, len);
            n += len;
        }
        p += len;
        left -= len;
    }
    to[n] = '\0';
    return n;
}

static size_t stamp(char *to, size_t room)
{
    uint64_t now = clock_wall_us();
    time_t s = (time_t)(now / US_PER_S);
    struct tm tm;
    gmtime_r(&s, &tm);
    size_t n = strftime(to, room, "%Y-%m-%dT%H:%M:%S", &tm);
    return n + (size_t)snprintf(to + n, room - n, ".%03uZ", (unsigned)(now / 1000 % 1000));
}

/* ---- fields ---- */

void log_fields_begin(struct log_fields *f)
{
    f->format = atomic_load(&cur_format);
    f->n = 0;
    f->text[0] = '\0';
}

/* `value` is as it is to stand there. */
static void put_field(struct log_fields *f, const char *name, const char *value, bool quoted)
{
    static const char trace[] = "trace.id";
    const char *quote = quoted ? "\"" : "", *project = NULL;
    size_t room = sizeof f->text - f->n;
    char *to = f->text + f->n;
    int n;
    if (f->format == LOG_FORMAT_TEXT) {
        n = snprintf(to, room, " %s=%s%s%s", name, quote, value, quote);
    } else if (f->format == LOG_FORMAT_GCP && strcmp(name, trace) == 0) {
        project = getenv("GOOGLE_CLOUD_PROJECT");
        n = snprintf(to, room, ",\"logging.googleapis.com/trace\":\"%s%s%s%s\"",
                     project != NULL ? "projects/" : "", project != NULL ? project : "",
                     project != NULL ? "/traces/" : "", value);
    } else {
        n = snprintf(to, room, ",\"%s\":%s%s%s", name, quote, value, quote);
    }
    if (n > 0 && (size_t)n < room)
        f->n += (size_t)n;
    else
        *to = '\0';
}

void log_field(struct log_fields *f, const char *name, const char *value)
{
    char text[512];
    if (value == NULL || value[0] == '\0')
        return;
    bool json = f->format != LOG_FORMAT_TEXT;
    bool odd = strpbrk(value, " \"=\\") != NULL;
    escape(text, sizeof text, value, json || odd);
    put_field(f, name, text, json || odd);
}

void log_field_int(struct log_fields *f, const char *name, uint64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRIu64, value);
    put_field(f, name, text, false);
}

void log_field_ms(struct log_fields *f, const char *name, uint64_t us)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%" PRIu64 ".%03u", us / US_PER_MS,
                   (unsigned)(us % US_PER_MS));
    put_field(f, name, text, false);
}

/* ---- lines ---- */

/* In every format of ours; gcp has what Cloud Logging looks for in its place. */
#define ECS_HEAD                                                                                   \
    "{\"@timestamp\":\"%s\",\"log.level\":\"%s\",\"message\":\"%s\",\"ecs.version\":\"8.11.0\","

static int compose(char *line, size_t room, enum log_level level, const char *object,
                   const char *text, const struct log_fields *f)
{
    char when[40];
    stamp(when, sizeof when);
    switch ((enum log_format)f->format) {
    case LOG_FORMAT_JSON:
        return snprintf(line, room, ECS_HEAD "\"labels.object\":\"%s\"%s}\n", when,
                        level_names[level], text, object, f->text);
    case LOG_FORMAT_ECS:
        return snprintf(line, room,
                        ECS_HEAD "\"service.name\":\"weir\",\"process.pid\":%ld,"
                                 "\"labels.object\":\"%s\"%s}\n",
                        when, level_names[level], text, (long)getpid(), object, f->text);
    case LOG_FORMAT_GCP:
        return snprintf(line, room,
                        "{\"time\":\"%s\",\"severity\":\"%s\",\"message\":\"%s\","
                        "\"object\":\"%s\"%s}\n",
                        when, gcp_names[level], text, object, f->text);
    case LOG_FORMAT_TEXT:
        break;
    }
    return snprintf(line, room, "%s %s %s%s%s%s\n", when, level_names[level], object,
                    object[0] != '\0' ? ": " : "", text, f->text);
}

/* Whoever reads the log may be slow, or stand still: that must hold up nobody. A line that there is
 * no room for is left out, and counted. No other thread writes between the look and the line, and a
 * line is short enough to go where there is any room (pipe(7)). */
static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER;
static uint64_t unwritten;

static bool is_writable(void)
{
    struct pollfd p = {.fd = atomic_load(&cur_fd), .events = POLLOUT};
    return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) != 0;
}

static void put(const char *line, size_t n)
{
    ssize_t done = write(atomic_load(&cur_fd), line, n);
    (void)done; /* nobody to tell */
}

static void write_unwritten(void)
{
    struct log_fields none;
    char line[1024], text[64];
    log_fields_begin(&none);
    (void)snprintf(text, sizeof text, "%" PRIu64 " lines were left out: nobody read the log",
                   unwritten);
    int n = compose(line, sizeof line, LOG_LEVEL_WARNING, "log", text, &none);
    if (n > 0)
        put(line, (size_t)n);
    unwritten = 0;
}

static void write_line(enum log_level level, const char *object, const struct log_fields *f,
                       const char *raw)
{
    bool json = f->format != LOG_FORMAT_TEXT;
    char text[LINE_MAX_BYTES];
    char who[256];
    escape(text, sizeof text, raw, json);
    escape(who, sizeof who, object != NULL ? object : "", json);

    char line[PIPE_BUF];
    int n = compose(line, sizeof line, level, who, text, f);
    pthread_mutex_lock(&writing);
    if (unwritten != 0 && is_writable())
        write_unwritten();
    if (unwritten != 0 || !is_writable())
        unwritten++;
    else if (n > 0)
        put(line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
    pthread_mutex_unlock(&writing);
}

void log_write(enum log_level level, const char *object, const char *fmt, ...)
{
    if (!log_enabled(level))
        return;
    struct log_fields none;
    char raw[LINE_MAX_BYTES / 2];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(raw, sizeof raw, fmt, ap);
    va_end(ap);
    log_fields_begin(&none);
    write_line(level, object, &none, raw);
}

void log_write_with(enum log_level level, const char *object, const struct log_fields *f,
                    const char *fmt, ...)
{
    if (!log_enabled(level))
        return;
    char raw[LINE_MAX_BYTES / 2];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(raw, sizeof raw, fmt, ap);
    va_end(ap);
    write_line(level, object, f, raw);
}

bool log_limit_pass(struct log_limit *l, uint32_t *dropped)
{
    uint64_t now = clock_now_us();
    uint64_t next = __atomic_load_n(&l->next_us, __ATOMIC_RELAXED);
    if (now < next || !__atomic_compare_exchange_n(&l->next_us, &next, now + US_PER_S, false,
                                                   __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        __atomic_add_fetch(&l->dropped, 1, __ATOMIC_RELAXED);
        return false;
    }
    *dropped = __atomic_exchange_n(&l->dropped, 0, __ATOMIC_RELAXED);
    return true;
}
