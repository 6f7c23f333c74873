/* SPDX-License-Identifier: ISC
 * See conf_file.h.
 */
#include "config.h"

#include "conf/conf_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Not realloc(), which would leave a copy behind unwiped. */
static char *grow(char *text, size_t len, size_t *room)
{
    size_t more = *room * 2;
    char *p = malloc(more + 1);
    if (p != NULL)
        memcpy(p, text, len);
    explicit_bzero(text, len);
    free(text);
    *room = more;
    return p;
}

static char *read_all(int fd, size_t *len, struct err *err)
{
    size_t room = 4096, n = 0;
    char *text = malloc(room + 1);
    while (text != NULL) {
        ssize_t got = read(fd, text + n, room - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 || n + (size_t)got > CONF_FILE_MAX_BYTES) {
            if (got < 0)
                err_set(err, "%s", strerror(errno));
            else
                err_set(err, "it is larger than %u MB", CONF_FILE_MAX_BYTES >> 20);
            conf_file_free(&text, n);
            return NULL;
        }
        n += (size_t)got;
        if (got == 0) {
            text[n] = '\0';
            *len = n;
            return text;
        }
        if (n == room)
            text = grow(text, n, &room);
    }
    err_set(err, "out of memory");
    return NULL;
}

char *conf_file_read(const char *path, size_t *len, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        err_set(err, "%s", strerror(errno));
        return NULL;
    }
    char *text = read_all(fd, len, err);
    close(fd);
    return text;
}

void conf_file_free(char **text, size_t len)
{
    if (*text == NULL)
        return;
    explicit_bzero(*text, len);
    free(*text);
    *text = NULL;
}

const char *conf_file_resolve(struct conf_arena *arena, const char *base, const char *path)
{
    const char *slash = base == NULL ? NULL : strrchr(base, '/');
    if (path[0] == '\0' || path[0] == '/' || slash == NULL)
        return path;
    size_t dir = (size_t)(slash - base) + 1;
    char *beside = conf_arena_alloc(arena, dir + strlen(path) + 1);
    if (beside == NULL)
        return path;
    memcpy(beside, base, dir);
    memcpy(beside + dir, path, strlen(path));
    return access(beside, F_OK) == 0 ? beside : path;
}
