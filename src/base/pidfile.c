/* SPDX-License-Identifier: ISC
 * See pidfile.h.
 */
#include "config.h"

#include "base/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Is it still the file of this name? Another process may have removed it before we had the lock. */
static bool is_there(int fd, const char *path)
{
    struct stat ours, named;
    return fstat(fd, &ours) == 0 && stat(path, &named) == 0 && ours.st_dev == named.st_dev &&
           ours.st_ino == named.st_ino;
}

int pidfile_create(const char *path, struct err *e)
{
    for (;;) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (fd < 0) {
            err_set(e, "pidfile: %s: %s", path, strerrordesc_np(errno));
            return -1;
        }
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            err_set(e, "pidfile: %s belongs to a process that runs", path);
            close(fd);
            return -1;
        }
        if (!is_there(fd, path)) {
            close(fd);
            continue;
        }
        if (ftruncate(fd, 0) == 0 && dprintf(fd, "%ld\n", (long)getpid()) > 0)
            return fd;
        err_set(e, "pidfile: %s: %s", path, strerrordesc_np(errno));
        close(fd);
        return -1;
    }
}

void pidfile_remove(int fd, const char *path)
{
    if (fd < 0)
        return;
    (void)unlink(path);
    close(fd);
}
