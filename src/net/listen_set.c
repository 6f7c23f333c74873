/* SPDX-License-Identifier: ISC
 * Opening the listening sockets, once, at start, before the workers: TCP, Unix, or what systemd
 * hands over. Accepting is listener.c's.
 *
 * Unix sockets. Two instances that start at once could both find a stale file, and the second would
 * remove the first one's fresh socket. So look, remove, bind and listen happen under an flock() on
 * the directory, which leaves nothing behind; after listen() the file answers, and whoever comes
 * later keeps his hands off. At the end the file is removed only if it is still the one made here.
 */
#include "config.h"

#include "net/listener.h"
#include "net/listen_set.h"
#include "base/log.h"

#include <systemd/sd-daemon.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { SET_MAX = 64 }; /* sockets in all */

struct listening {
    int fd;
    unsigned door;
    char *path; /* Unix socket file made here, or NULL */
    dev_t dev;
    ino_t ino;
};

struct listen_set {
    struct listening socks[SET_MAX];
    unsigned count;
    int handed;         /* descriptors from systemd: SD_LISTEN_FDS_START ... */
    uint64_t taken;     /* bit: that one is in use */
    bool told_untaken;  /* and the others were warned about */
    atomic_int ceiling; /* 0: none */
};

struct listen_set *listen_set_create(void)
{
    struct listen_set *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    /* Out of the environment: a password_command must not believe they are its own. */
    s->handed = sd_listen_fds(1);
    if (s->handed < 0)
        s->handed = 0;
    if (s->handed > SET_MAX)
        s->handed = SET_MAX;
    return s;
}

static void listening_close(struct listening *l)
{
    struct stat st;
    close(l->fd);
    if (l->path && lstat(l->path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino)
        unlink(l->path);
    free(l->path);
}

void listen_set_close(struct listen_set *s)
{
    if (s->count != 0)
        log_info("listener", "no longer listening");
    for (unsigned i = 0; i < s->count; i++)
        listening_close(&s->socks[i]);
    s->count = 0;
}

void listen_set_destroy(struct listen_set **sp)
{
    struct listen_set *s = *sp;
    *sp = NULL;
    if (!s)
        return;
    listen_set_close(s);
    free(s);
}

unsigned listen_set_count(struct listen_set *s)
{
    for (int i = 0; i < s->handed && !s->told_untaken; i++)
        if (!(s->taken & (UINT64_C(1) << i)))
            log_warn("listener", "descriptor %d from systemd fits no listening setting: not used",
                     SD_LISTEN_FDS_START + i);
    s->told_untaken = true;
    return s->count;
}

int listen_set_at(struct listen_set *s, unsigned i, unsigned *door)
{
    *door = s->socks[i].door;
    return s->socks[i].fd;
}

void listen_set_ceiling(struct listen_set *s, int below_fd)
{
    atomic_store_explicit(&s->ceiling, below_fd, memory_order_relaxed);
}

bool listen_set_above(struct listen_set *s, int fd)
{
    int below = atomic_load_explicit(&s->ceiling, memory_order_relaxed);
    return below > 0 && fd >= below;
}

/* What accepted sockets inherit. */
static void listening_tune(int fd, const struct listen_spec *spec)
{
    int on = 1, wait_s = (int)spec->defer_accept_s;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (wait_s)
        setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &wait_s, sizeof wait_s);
}

/* Take the descriptor into the set; it is closed when there is no room. */
static struct listening *set_take(struct listen_set *s, int fd, const struct listen_spec *spec,
                                  struct err *e)
{
    if (s->count == SET_MAX) {
        err_set(e, "more than %d listening sockets", SET_MAX);
        close(fd);
        return NULL;
    }
    struct listening *l = &s->socks[s->count++];
    *l = (struct listening){.fd = fd, .door = spec->door};
    return l;
}

/* ---- systemd --------------------------------------------------------------------------------- */

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage a;
    socklen_t len = sizeof a;
    if (getsockname(fd, (struct sockaddr *)&a, &len) < 0)
        return 0;
    if (a.ss_family == AF_INET)
        return ntohs(((struct sockaddr_in *)&a)->sin_port);
    if (a.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&a)->sin6_port);
    return 0;
}

/* Is it a Unix socket whose file has this name, in whatever directory? */
static bool bound_file_is(int fd, const char *name)
{
    struct sockaddr_un a;
    socklen_t len = sizeof a;
    if (getsockname(fd, (struct sockaddr *)&a, &len) < 0 || a.sun_family != AF_UNIX ||
        len <= offsetof(struct sockaddr_un, sun_path))
        return false;
    char path[sizeof a.sun_path + 1] = {0};
    memcpy(path, a.sun_path, len - offsetof(struct sockaddr_un, sun_path));
    const char *slash = strrchr(path, '/');
    return strcmp(slash ? slash + 1 : path, name) == 0;
}

/* Take all handed over sockets that match; *took: at least one did. */
static bool set_take_handed(struct listen_set *s, const struct listen_spec *spec, const char *file,
                            bool *took, struct err *e)
{
    *took = false;
    for (int i = 0; i < s->handed; i++) {
        int fd = SD_LISTEN_FDS_START + i;
        uint64_t bit = UINT64_C(1) << i;
        if ((s->taken & bit) || sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0)
            continue;
        if (file ? !bound_file_is(fd, file) : bound_port(fd) != spec->port)
            continue;
        s->taken |= bit;
        *took = true;
        if (!set_take(s, fd, spec, e))
            return false;
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        if (!file)
            listening_tune(fd, spec);
        log_info("listener", "listening on descriptor %d from systemd", fd);
    }
    return true;
}

void listen_set_claim(struct listen_set *s, uint16_t port, struct listen_claim *out)
{
    out->n = 0;
    for (int i = 0; i < s->handed && out->n < LISTEN_CLAIM_MAX; i++) {
        int fd = SD_LISTEN_FDS_START + i;
        uint64_t bit = UINT64_C(1) << i;
        if ((s->taken & bit) || port == 0 || sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0 ||
            bound_port(fd) != port)
            continue;
        s->taken |= bit;
        out->fds[out->n++] = fd;
        log_info("listener", "listening on descriptor %d from systemd", fd);
    }
}

/* ---- TCP ------------------------------------------------------------------------------------- */

/* A bound, listening socket, or -1 with errno. */
static int tcp_open(const struct addrinfo *a, const struct listen_spec *spec)
{
    int on = 1;
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (spec->reuse_port)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    /* "*" is a socket of each family, so that IPv4 clients keep their IPv4 address. */
    if (a->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    listening_tune(fd, spec);
    if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, spec->backlog) == 0)
        return fd;
    int err = errno;
    close(fd);
    errno = err;
    return -1;
}

/* All addresses of one host. Those of a family that this machine lacks don't count, as long as
 * one remains. */
static bool tcp_add_host(struct listen_set *s, const char *host, const struct listen_spec *spec,
                         struct err *e)
{
    struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM}, *list = NULL;
    char port[8];
    unsigned opened = 0;
    int missing = 0;
    bool ok = true;
    snprintf(port, sizeof port, "%u", spec->port);
    int rc = getaddrinfo(strcmp(host, "*") == 0 ? NULL : host, port, &hints, &list);
    if (rc != 0) {
        err_set(e, "cannot listen on \"%s\": %s", host, gai_strerror(rc));
        return false;
    }
    for (struct addrinfo *a = list; a && ok; a = a->ai_next) {
        int fd = tcp_open(a, spec);
        if (fd >= 0) {
            ok = set_take(s, fd, spec, e) != NULL;
            opened++;
        } else if (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL) {
            missing = errno;
        } else {
            err_set(e, "cannot listen on %s port %u: %s", host, spec->port, strerrordesc_np(errno));
            ok = false;
        }
    }
    freeaddrinfo(list);
    if (ok && opened == 0) {
        err_set(e, "cannot listen on %s port %u: %s", host, spec->port, strerrordesc_np(missing));
        ok = false;
    }
    if (ok)
        log_info("listener", "listening on %s port %u", host, spec->port);
    return ok;
}

/* For --check: none of the ports that the system has to give is anybody's. */
static bool tcp_try_host(const char *host, struct err *e)
{
    const struct listen_spec any = {.backlog = 1};
    struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM}, *list = NULL;
    int failed = 0;
    bool some = false;
    int rc = getaddrinfo(strcmp(host, "*") == 0 ? NULL : host, "0", &hints, &list);
    if (rc != 0) {
        err_set(e, "\"%s\": %s", host, gai_strerror(rc));
        return false;
    }
    for (struct addrinfo *a = list; a; a = a->ai_next) {
        int fd = tcp_open(a, &any);
        some = some || fd >= 0;
        if (fd >= 0)
            close(fd);
        else
            failed = errno;
    }
    freeaddrinfo(list);
    if (!some)
        err_set(e, "\"%s\": %s", host, strerrordesc_np(failed));
    return some;
}

/* The next of a list in `host`: 1; 0: there is none; -1: it is too long. */
static int next_host(const char **p, char host[256], struct err *e)
{
    *p += strspn(*p, ", \t");
    size_t n = strcspn(*p, ", \t");
    if (n >= 256) {
        err_set(e, "listening address is longer than %d bytes", 255);
        return -1;
    }
    memcpy(host, *p, n);
    host[n] = '\0';
    *p += n;
    return n != 0;
}

bool listen_addr_try(const char *addr, struct err *e)
{
    char host[256];
    int next;
    while ((next = next_host(&addr, host, e)) > 0)
        if (!tcp_try_host(host, e))
            return false;
    return next == 0;
}

static bool tcp_add(struct listen_set *s, const struct listen_spec *spec, struct err *e)
{
    const char *p = spec->addr;
    char host[256];
    int next;
    while ((next = next_host(&p, host, e)) > 0)
        if (!tcp_add_host(s, host, spec, e))
            return false;
    return next == 0;
}

/* ---- Unix ------------------------------------------------------------------------------------ */

/* Make sure that nothing is in the way of bind(). */
static bool unix_clear(const struct sockaddr_un *a, socklen_t len, struct err *e)
{
    struct stat st;
    if (lstat(a->sun_path, &st) < 0)
        return true; /* bind() will say what is wrong, if anything is */
    if (!S_ISSOCK(st.st_mode)) {
        err_set(e, "%s is in the way: not a socket", a->sun_path);
        return false;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int rc = fd < 0 ? -1 : connect(fd, (const struct sockaddr *)a, len);
    int err = errno;
    if (fd >= 0)
        close(fd);
    if (rc < 0 && err == ECONNREFUSED) {
        unlink(a->sun_path);
        return true;
    }
    /* Connected, or EAGAIN (its queue is full): somebody lives there. Anything else: we can't know.
     */
    err_set(e, "%s is in use by another process", a->sun_path);
    return false;
}

static bool unix_give(const char *path, const char *group)
{
    if (group == NULL || group[0] == '\0')
        return true;
    const struct group *g = getgrnam(group);
    if (g != NULL)
        return chown(path, (uid_t)-1, g->gr_gid) == 0;
    errno = EINVAL;
    return false;
}

static bool unix_open_at(int fd, const struct sockaddr_un *a, socklen_t len,
                         const struct listen_spec *spec, struct err *e)
{
    bool abstract = a->sun_path[0] == '\0';
    const char *name = abstract ? a->sun_path + 1 : a->sun_path;
    if (!abstract && !unix_clear(a, len, e))
        return false;
    /* Nobody gets in between bind() and listen(), so group and mode are right from the start. */
    if (bind(fd, (const struct sockaddr *)a, len) == 0 &&
        (abstract ||
         (unix_give(a->sun_path, spec->unix_group) && chmod(a->sun_path, spec->unix_mode) == 0)) &&
        listen(fd, spec->backlog) == 0)
        return true;
    err_set(e, "cannot listen on %s: %s", name, strerrordesc_np(errno));
    return false;
}

static bool unix_add(struct listen_set *s, const struct listen_spec *spec, const char *file,
                     struct err *e)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int n = snprintf(a.sun_path, sizeof a.sun_path, "%s/%s", spec->unix_dir, file);
    if (n < 0 || (size_t)n >= sizeof a.sun_path) {
        err_set(e, "Unix socket path is longer than %zu bytes: %s", sizeof a.sun_path - 1,
                spec->unix_dir);
        return false;
    }
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n);
    bool abstract = a.sun_path[0] == '@';
    if (abstract)
        a.sun_path[0] = '\0';
    else
        len++;
    int dir = abstract ? -1 : open(spec->unix_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool ok = false;
    if (!abstract && (dir < 0 || flock(dir, LOCK_EX) < 0))
        err_set(e, "directory of Unix sockets %s: %s", spec->unix_dir, strerrordesc_np(errno));
    else if (fd < 0)
        err_set(e, "Unix socket: %s", strerrordesc_np(errno));
    else
        ok = unix_open_at(fd, &a, len, spec, e);
    if (dir >= 0)
        close(dir); /* and the lock with it */
    if (!ok) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    struct listening *l = set_take(s, fd, spec, e);
    struct stat st;
    if (l && !abstract && lstat(a.sun_path, &st) == 0) {
        l->path = strdup(a.sun_path);
        l->dev = st.st_dev;
        l->ino = st.st_ino;
    }
    if (l)
        log_info("listener", "listening on %s/%s", spec->unix_dir, file);
    return l != NULL;
}

bool listen_set_add(struct listen_set *s, const struct listen_spec *spec, struct err *e)
{
    bool handed = false;
    if (!set_take_handed(s, spec, NULL, &handed, e))
        return false;
    if (!handed && spec->addr && *spec->addr && !tcp_add(s, spec, e))
        return false;
    if (!spec->unix_name)
        return true;
    char file[64];
    snprintf(file, sizeof file, "%s%u", spec->unix_name, spec->port);
    if (!set_take_handed(s, spec, file, &handed, e))
        return false;
    return handed || !spec->unix_dir || !*spec->unix_dir || unix_add(s, spec, file, e);
}

/* ---- options --------------------------------------------------------------------------------- */

static void set_tcp_number(int fd, int option, unsigned value)
{
    int v = (int)value;
    if (value)
        setsockopt(fd, IPPROTO_TCP, option, &v, sizeof v);
}

void tcp_options_apply(int fd, const struct tcp_options *o)
{
    int domain = AF_UNIX, on = o->keepalive;
    socklen_t len = sizeof domain;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 || domain == AF_UNIX)
        return;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    if (o->keepalive) {
        set_tcp_number(fd, TCP_KEEPIDLE, o->keepidle_s);
        set_tcp_number(fd, TCP_KEEPINTVL, o->keepintvl_s);
        set_tcp_number(fd, TCP_KEEPCNT, o->keepcnt);
    }
    set_tcp_number(fd, TCP_USER_TIMEOUT, o->user_timeout_ms);
}

void listen_set_tcp_options(struct listen_set *s, const struct tcp_options *o)
{
    for (unsigned i = 0; i < s->count; i++)
        tcp_options_apply(s->socks[i].fd, o);
}
