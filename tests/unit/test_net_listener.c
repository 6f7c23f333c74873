/* SPDX-License-Identifier: ISC
 * Listening sockets: TCP lists, Unix files fresh, stale and taken, systemd's descriptors, and what
 * happens when descriptors run out.
 */
#include "config.h"

#include "net_help.h"

#include "net/listener.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

enum { KEPT_MAX = 64 };

struct rig {
    struct loop *loop;
    struct listen_set *set;
    struct listener *listener;
    char dir[32];
    uint16_t port;
    unsigned count;
    int fds[KEPT_MAX];
    unsigned doors[KEPT_MAX];
    int families[KEPT_MAX];
    unsigned pause_at; /* the receiver pauses after so many */
};

static void on_accept(int fd, unsigned door, const struct sockaddr_storage *peer, socklen_t len,
                      void *arg)
{
    struct rig *r = arg;
    assert_true(len >= sizeof(sa_family_t));
    assert_true(r->count < KEPT_MAX);
    r->families[r->count] = peer->ss_family;
    r->doors[r->count] = door;
    r->fds[r->count++] = fd;
    if (r->count == r->pause_at)
        listener_pause(r->listener, true);
}

static uint16_t free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    close(fd);
    return ntohs(a.sin_port);
}

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    strcpy(r->dir, "/tmp/weir-net-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    r->loop = loop_create();
    r->set = listen_set_create();
    r->port = free_port();
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;
    for (unsigned i = 0; i < r->count; i++)
        close(r->fds[i]);
    listener_destroy(&r->listener);
    listen_set_destroy(&r->set);
    loop_destroy(&r->loop);
    assert_int_equal(rmdir(r->dir), 0); /* nothing was left in it */
    free(r);
    return 0;
}

static struct listen_spec spec_of(struct rig *r)
{
    return (struct listen_spec){
        .addr = "127.0.0.1", .port = r->port, .backlog = 64, .door = 7, .unix_mode = 0777};
}

static void add_or_fail(struct rig *r, const struct listen_spec *spec)
{
    struct err e = {""};
    if (!listen_set_add(r->set, spec, &e))
        fail_msg("%s", e.text);
}

static void start(struct rig *r)
{
    r->listener = listener_create(r->set, r->loop, 8, on_accept, r);
    assert_non_null(r->listener);
}

static int knock_tcp(uint16_t port)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static struct sockaddr_un unix_addr(const struct rig *r)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s/.s.PGSQL.%u", r->dir, r->port);
    return a;
}

static int knock_unix(const struct rig *r)
{
    struct sockaddr_un a = unix_addr(r);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

/* ---- TCP ------------------------------------------------------------------------------------- */

static void accepts_tcp_ready_to_use(void **state)
{
    struct rig *r = *state;
    struct listen_spec spec = spec_of(r);
    add_or_fail(r, &spec);
    listen_set_tcp_options(
        r->set,
        &(struct tcp_options){.keepalive = true, .keepidle_s = 77, .user_timeout_ms = 1234});
    start(r);
    int c = knock_tcp(r->port);
    TURN_UNTIL(r->loop, r->count == 1);
    assert_int_equal(r->doors[0], 7);
    assert_int_equal(r->families[0], AF_INET);
    int fd = r->fds[0], v = 0;
    socklen_t len = sizeof v;
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &v, &len);
    assert_int_not_equal(v, 0);
    getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &v, &len);
    assert_int_not_equal(v, 0);
    getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &v, &len);
    assert_int_equal(v, 77);
    getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &v, &len);
    assert_int_equal(v, 1234);
    close(c);
}

static void a_star_and_a_list(void **state)
{
    struct rig *r = *state;
    struct listen_spec spec = spec_of(r);
    spec.addr = "127.0.0.1, 127.0.0.2";
    add_or_fail(r, &spec);
    spec.addr = "*";
    spec.port = free_port();
    spec.door = 8;
    add_or_fail(r, &spec);
    start(r);
    int a = knock_tcp(r->port), b = knock_tcp(spec.port);
    TURN_UNTIL(r->loop, r->count == 2);
    assert_int_equal(r->doors[0] + r->doors[1], 15);
    /* IPv4 clients keep their family. */
    assert_int_equal(r->families[0], AF_INET);
    assert_int_equal(r->families[1], AF_INET);
    close(a);
    close(b);
}

static void a_taken_port_and_a_bad_address_are_errors(void **state)
{
    struct rig *r = *state;
    struct listen_spec spec = spec_of(r);
    struct err e = {""};
    add_or_fail(r, &spec);
    assert_false(listen_set_add(r->set, &spec, &e));
    assert_non_null(strstr(e.text, "Address already in use"));
    spec.addr = "300.1.2.3.";
    assert_false(listen_set_add(r->set, &spec, &e));
    assert_non_null(strstr(e.text, "300.1.2.3."));
    spec.addr = "192.0.2.77"; /* nobody's */
    assert_false(listen_set_add(r->set, &spec, &e));
    assert_non_null(strstr(e.text, "192.0.2.77"));
}

static void a_pause_keeps_clients_in_the_queue(void **state)
{
    struct rig *r = *state;
    struct listen_spec spec = spec_of(r);
    int c[5];
    add_or_fail(r, &spec);
    start(r);
    r->pause_at = 2;
    for (int i = 0; i < 5; i++)
        c[i] = knock_tcp(r->port);
    TURN_UNTIL(r->loop, r->count == 2);
    turn_for_ms(r->loop, 30);
    assert_int_equal(r->count, 2);
    listener_pause(r->listener, false);
    TURN_UNTIL(r->loop, r->count == 5);
    for (int i = 0; i < 5; i++)
        close(c[i]);
}

/* ---- Unix ------------------------------------------------------------------------------------ */

static struct listen_spec unix_spec_of(struct rig *r)
{
    struct listen_spec spec = spec_of(r);
    spec.addr = NULL;
    spec.unix_name = ".s.PGSQL.";
    spec.unix_dir = r->dir;
    return spec;
}

static void accepts_on_a_unix_socket(void **state)
{
    struct rig *r = *state;
    struct listen_spec spec = unix_spec_of(r);
    struct sockaddr_un a = unix_addr(r);
    struct stat st;
    spec.unix_mode = 0640;
    add_or_fail(r, &spec);
    assert_int_equal(stat(a.sun_path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    start(r);
    int c = knock_unix(r);
    TURN_UNTIL(r->loop, r->count == 1);
    assert_int_equal(r->families[0], AF_UNIX);
    close(c);
    /* A living one is not replaced. */
    struct listen_set *second = listen_set_create();
    struct err e = {""};
    assert_false(listen_set_add(second, &spec, &e));
    assert_non_null(strstr(e.text, "in use"));
    listen_set_destroy(&second);
    assert_int_equal(stat(a.sun_path, &st), 0);
}

static void a_stale_unix_socket_is_replaced(void **state)
{
    struct rig *r = *state;
    struct listen_spec spec = unix_spec_of(r);
    struct sockaddr_un a = unix_addr(r);
    int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(dead, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(dead, 1), 0);
    close(dead);
    add_or_fail(r, &spec);
    start(r);
    int c = knock_unix(r);
    TURN_UNTIL(r->loop, r->count == 1);
    close(c);
}

static void what_is_no_socket_is_left_alone(void **state)
{
    struct rig *r = *state;
    struct listen_spec spec = unix_spec_of(r);
    struct sockaddr_un a = unix_addr(r);
    struct err e = {""};
    FILE *f = fopen(a.sun_path, "w");
    fputs("precious", f);
    fclose(f);
    assert_false(listen_set_add(r->set, &spec, &e));
    assert_non_null(strstr(e.text, "not a socket"));
    struct stat st;
    assert_int_equal(stat(a.sun_path, &st), 0);
    assert_int_equal(st.st_size, 8);
    unlink(a.sun_path);
}

static void a_successors_socket_file_is_not_removed(void **state)
{
    struct rig *r = *state;
    struct listen_spec spec = unix_spec_of(r);
    struct sockaddr_un a = unix_addr(r);
    struct stat st;
    add_or_fail(r, &spec);
    /* Somebody removed our file and opened their own in its place. */
    assert_int_equal(unlink(a.sun_path), 0);
    struct listen_set *next = listen_set_create();
    struct err e;
    assert_true(listen_set_add(next, &spec, &e));
    listen_set_destroy(&r->set);
    assert_int_equal(stat(a.sun_path, &st), 0);
    listen_set_destroy(&next);
    assert_int_equal(stat(a.sun_path, &st), -1);
}

static void unix_paths_that_can_not_be(void **state)
{
    struct rig *r = *state;
    struct listen_spec spec = unix_spec_of(r);
    char longest[200] = "/tmp/";
    struct err e = {""};
    memset(longest + 5, 'x', sizeof longest - 6);
    spec.unix_dir = longest;
    assert_false(listen_set_add(r->set, &spec, &e));
    assert_non_null(strstr(e.text, "longer"));
    spec.unix_dir = "/nonexistent/dir";
    assert_false(listen_set_add(r->set, &spec, &e));
    assert_non_null(strstr(e.text, "No such file"));
}

/* ---- out of descriptors ---------------------------------------------------------------------- */

static int lowest_free_fd(void)
{
    int fd = dup(0);
    assert_true(fd >= 0);
    close(fd);
    return fd;
}

static uint64_t cpu_us(void)
{
    return (uint64_t)clock() * US_PER_S / CLOCKS_PER_SEC;
}

static void without_descriptors_clients_wait(void **state)
{
    struct rig *r = *state;
    struct listen_spec spec = spec_of(r);
    struct rlimit was, tight;
    int c[4];
    add_or_fail(r, &spec);
    start(r);
    for (int i = 0; i < 4; i++)
        c[i] = knock_tcp(r->port);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    tight = was;
    tight.rlim_cur = (rlim_t)lowest_free_fd() + 2;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    TURN_UNTIL(r->loop, r->count == 2);
    uint64_t from = cpu_us();
    turn_for_ms(r->loop, 250);
    assert_true(cpu_us() - from < 150 * US_PER_MS); /* it waits, it does not spin */
    assert_int_equal(r->count, 2);
    /* One leaves, one comes in. */
    close(r->fds[0]);
    r->fds[0] = -1;
    TURN_UNTIL(r->loop, r->count == 3);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    TURN_UNTIL(r->loop, r->count == 4);
    for (int i = 0; i < 4; i++)
        close(c[i]);
}

static void clients_stay_below_the_ceiling(void **state)
{
    struct rig *r = *state;
    struct listen_spec spec = spec_of(r);
    int c[5];
    add_or_fail(r, &spec);
    start(r);
    for (int i = 0; i < 5; i++)
        c[i] = knock_tcp(r->port);
    int ceiling = lowest_free_fd() + 2;
    listen_set_ceiling(r->set, ceiling);
    TURN_UNTIL(r->loop, r->count == 2);
    turn_for_ms(r->loop, 250);
    assert_int_equal(r->count, 2);
    /* Others may still open what they need. */
    int mine = dup(0);
    assert_true(mine >= ceiling);
    close(mine);
    close(r->fds[1]);
    r->fds[1] = -1;
    TURN_UNTIL(r->loop, r->count == 3);
    assert_true(r->fds[2] < ceiling);
    /* The one that was put aside is a connection like any other. */
    assert_int_equal(send(r->fds[2], "x", 1, 0), 1);
    listen_set_ceiling(r->set, 0);
    TURN_UNTIL(r->loop, r->count == 5);
    for (int i = 0; i < 5; i++)
        close(c[i]);
}

/* Whatever comes over the network, some more get in on the machine. */
static void the_unix_socket_has_a_few_more(void **state)
{
    struct rig *r = *state;
    struct listen_spec tcp = spec_of(r), local = unix_spec_of(r);
    int c[3 + LISTEN_LOCAL_EXTRA + 2];
    add_or_fail(r, &tcp);
    add_or_fail(r, &local);
    start(r);
    for (int i = 0; i < 3; i++)
        c[i] = knock_tcp(r->port);
    for (int i = 3; i < 3 + LISTEN_LOCAL_EXTRA + 2; i++)
        c[i] = knock_unix(r);
    listen_set_ceiling(r->set, lowest_free_fd());
    /* What was put aside on the way has a number as well. */
    TURN_UNTIL(r->loop, r->count >= LISTEN_LOCAL_EXTRA - 1);
    turn_for_ms(r->loop, 250);
    assert_in_range(r->count, LISTEN_LOCAL_EXTRA - 1, LISTEN_LOCAL_EXTRA);
    for (unsigned i = 0; i < r->count; i++)
        assert_int_equal(r->families[i], AF_UNIX);
    listen_set_ceiling(r->set, 0);
    TURN_UNTIL(r->loop, r->count == 3 + LISTEN_LOCAL_EXTRA + 2);
    for (int i = 0; i < 3 + LISTEN_LOCAL_EXTRA + 2; i++)
        close(c[i]);
}

/* ---- systemd --------------------------------------------------------------------------------- */

/* In a child of its own: the descriptors have to be 3 and 4, and the environment is the process's.
 * Exits with the number of the step that failed. */
static int activated_child(const char *dir, uint16_t port)
{
    struct sockaddr_in in = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    char pid[16];
    snprintf(un.sun_path, sizeof un.sun_path, "%s/.s.PGSQL.%u", dir, port);
    int a = socket(AF_INET, SOCK_STREAM, 0), b = socket(AF_UNIX, SOCK_STREAM, 0), on = 1;
    a = fcntl(a, F_DUPFD, 100);
    b = fcntl(b, F_DUPFD, 100);
    setsockopt(a, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(a, (struct sockaddr *)&in, sizeof in) || listen(a, 5) ||
        bind(b, (struct sockaddr *)&un, sizeof un) || listen(b, 5))
        return 1;
    if (dup2(a, 3) != 3 || dup2(b, 4) != 4)
        return 2;
    snprintf(pid, sizeof pid, "%d", getpid());
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "2", 1);
    struct rig r = {.port = port};
    snprintf(r.dir, sizeof r.dir, "%s", dir);
    struct err e;
    r.set = listen_set_create();
    if (getenv("LISTEN_FDS"))
        return 3;
    /* The port and the file are taken already: only the handed over sockets can serve. */
    struct listen_spec spec = spec_of(&r);
    spec.unix_name = ".s.PGSQL.";
    spec.unix_dir = dir;
    if (!listen_set_add(r.set, &spec, &e))
        return 4;
    r.loop = loop_create();
    start(&r);
    int c = knock_tcp(port), d = knock_unix(&r);
    TURN_UNTIL(r.loop, r.count == 2);
    close(c);
    close(d);
    listener_destroy(&r.listener);
    listen_set_destroy(&r.set);
    loop_destroy(&r.loop);
    /* systemd's file stays. */
    struct stat st;
    return stat(un.sun_path, &st) == 0 && unlink(un.sun_path) == 0 ? 0 : 5;
}

static void takes_what_systemd_hands_over(void **state)
{
    struct rig *r = *state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(activated_child(r->dir, r->port));
    int status = -1;
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(accepts_tcp_ready_to_use),
        T(a_star_and_a_list),
        T(a_taken_port_and_a_bad_address_are_errors),
        T(a_pause_keeps_clients_in_the_queue),
        T(accepts_on_a_unix_socket),
        T(a_stale_unix_socket_is_replaced),
        T(what_is_no_socket_is_left_alone),
        T(a_successors_socket_file_is_not_removed),
        T(unix_paths_that_can_not_be),
        T(without_descriptors_clients_wait),
        T(clients_stay_below_the_ceiling),
        T(the_unix_socket_has_a_few_more),
        T(takes_what_systemd_hands_over),
    };
    return cmocka_run_group_tests_name("net/listener", tests, NULL, NULL);
}
