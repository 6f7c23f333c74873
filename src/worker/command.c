/* SPDX-License-Identifier: ISC
 * See command.h.
 */
#include "config.h"

#include "worker/command.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_US   (10 * US_PER_S)
#define ANSWER_MAX 16384u /* cloud tokens take a few kB */

extern char **environ;

/* A process group of its own, so that what it started goes with it; the shell's usual signals. */
static bool spawn(const char *command, int out, pid_t *pid)
{
    char *argv[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c", (char *)(uintptr_t)command,
                    NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    if (posix_spawn_file_actions_init(&files) != 0)
        return false;
    if (posix_spawnattr_init(&attr) != 0) {
        posix_spawn_file_actions_destroy(&files);
        return false;
    }
    bool ok = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0) == 0 &&
              posix_spawn_file_actions_adddup2(&files, out, 1) == 0 &&
              posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0) == 0 &&
              posix_spawnattr_setsigmask(&attr, &none) == 0 &&
              posix_spawnattr_setsigdefault(&attr, &all) == 0 &&
              posix_spawnattr_setpgroup(&attr, 0) == 0 &&
              posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                  POSIX_SPAWN_SETSIGDEF) == 0 &&
              posix_spawn(pid, "/bin/sh", &files, &attr, argv, environ) == 0;
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    return ok;
}

/* Up to the end of the stream; false: too long, or too late. */
static bool read_answer(int fd, char *text, size_t *n, uint64_t until_us)
{
    for (*n = 0;;) {
        uint64_t now = clock_now_us();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (now >= until_us || *n == ANSWER_MAX)
            return false;
        if (poll(&p, 1, (int)((until_us - now) / 1000 + 1)) <= 0)
            continue;
        ssize_t got = read(fd, text + *n, ANSWER_MAX - *n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0;
        *n += (size_t)got;
    }
}

/* It has closed its output, or has to go. */
static bool reap(pid_t pid, bool kill_it, uint64_t until_us)
{
    int status = 0;
    while (!kill_it && waitpid(pid, &status, WNOHANG) == 0) {
        kill_it = clock_now_us() >= until_us;
        (void)poll(NULL, 0, 5);
    }
    if (kill_it) {
        (void)kill(-pid, SIGKILL);
        (void)waitpid(pid, &status, 0);
        return false;
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static char *first_line(const char *text, size_t n, struct err *e)
{
    const char *end = memchr(text, '\n', n);
    size_t len = end != NULL ? (size_t)(end - text) : n;
    if (len != 0 && text[len - 1] == '\r')
        len--;
    if (len == 0 || memchr(text, '\0', len) != NULL) {
        err_set(e, "password_command printed no password");
        return NULL;
    }
    return strndup(text, len);
}

char *command_run(const char *command, struct err *e)
{
    uint64_t until_us = clock_now_us() + LIMIT_US;
    int fds[2];
    pid_t pid = -1;
    size_t n = 0;
    char *line = NULL;
    char *text = malloc(ANSWER_MAX);
    if (text == NULL || pipe2(fds, O_CLOEXEC) != 0) {
        err_set(e, "password_command: %s", strerror(errno));
        free(text);
        return NULL;
    }
    bool started = spawn(command, fds[1], &pid);
    close(fds[1]);
    bool got = started && read_answer(fds[0], text, &n, until_us);
    bool well = started && reap(pid, !got, until_us);
    close(fds[0]);
    if (!started)
        err_set(e, "password_command can't be started");
    else if (!got)
        err_set(e, "password_command took longer than 10 s, or printed too much");
    else if (!well)
        err_set(e, "password_command failed");
    else
        line = first_line(text, n, e);
    explicit_bzero(text, ANSWER_MAX);
    free(text);
    return line;
}
