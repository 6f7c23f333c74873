/* SPDX-License-Identifier: ISC */
/*
 * Thousands of real clients (libpq's, or Connector/C's) in one process, without a thread each. They
 * are those of the demo (tests/demo/engine.h). As arguments: postgres or mysql, then
 *
 * `hold N CONNINFO`: logs all in at once, one statement each, says "ready" and holds them until its
 * standard input ends.
 * `burst N CONNINFO`: each logs in, has one statement, logs out; prints served, refused, p50 and
 * p99 (ms from the common start to the answer). `churn SECONDS CONCURRENCY CONNINFO`: login, one
 * statement, logout, over and over. `query SECONDS CONCURRENCY CONNINFO`: one simple statement
 * after another on kept connections.
 *
 * The last two print how many were done and how many failed.
 */
#include "../demo/engine.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum step { STEP_LOGIN, STEP_ANSWER, STEP_HELD, STEP_OVER };

struct one {
    void *conn;
    enum step step;
    double done_ms;
};

static struct one *all;
static int ep, count, held, served, refused, over;
static int keep_going, keep_connection, hold;
static const struct engine *engine;
static const char *conninfo, *sql;
static double start_ms, end_ms;
static char first_error[512];

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* What the step that is over asks for next; the end of a login or an answer is not its business. */
static void want(struct one *o, enum want w)
{
    struct epoll_event ev = {.events = w == WANT_WRITE ? EPOLLOUT : EPOLLIN, .data.ptr = o};
    int fd = engine->fd(o->conn);

    /* the library may have closed one socket and opened another under the same number */
    if (fd >= 0 && epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev) && errno == ENOENT)
        epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
}

static void begin(struct one *o);
static void go_on(struct one *o, enum want w);

static void finish(struct one *o, int ok)
{
    o->done_ms = now_ms() - start_ms;
    if (ok) {
        served++;
    } else {
        refused++;
        if (!*first_error)
            snprintf(first_error, sizeof(first_error), "%s", engine->error(o->conn));
    }
    if (ok && hold) {
        o->step = STEP_HELD;
        held++;
        return;
    }
    if (ok && keep_going && keep_connection && now_ms() < end_ms) {
        go_on(o, engine->query(o->conn, sql));
        return;
    }
    engine->close(o->conn);
    if (keep_going && now_ms() < end_ms) {
        begin(o);
        return;
    }
    o->step = STEP_OVER;
    over++;
}

static void go_on(struct one *o, enum want w)
{
    while (w == WANT_NOTHING && o->step == STEP_LOGIN) {
        o->step = STEP_ANSWER;
        w = engine->query(o->conn, sql);
    }
    switch (w) {
    case WANT_READ:
    case WANT_WRITE:
        want(o, w);
        break;
    case WANT_NOTHING:
    case WANT_FAILED:
        finish(o, w == WANT_NOTHING);
    }
}

static void begin(struct one *o)
{
    enum want w = WANT_FAILED;

    o->step = STEP_LOGIN;
    if ((o->conn = engine->start(conninfo, &w)) == NULL) {
        fprintf(stderr, "swarm: out of memory\n");
        exit(1);
    }
    go_on(o, w);
}

static void event(struct one *o, uint32_t events)
{
    bool over = (events & (EPOLLERR | EPOLLHUP)) != 0; /* reading or writing finds out */
    unsigned ready =
        (events & EPOLLIN || over ? READY_READ : 0) | (events & EPOLLOUT || over ? READY_WRITE : 0);

    if (o->step == STEP_LOGIN)
        go_on(o, engine->connect_step(o->conn, ready));
    else if (o->step == STEP_ANSWER)
        go_on(o, engine->query_step(o->conn, ready));
}

static int by_time(const void *a, const void *b)
{
    double x = ((const struct one *)a)->done_ms, y = ((const struct one *)b)->done_ms;

    return (x > y) - (x < y);
}

static void run(void)
{
    struct epoll_event ev[512];

    while (over + held < count) {
        int n = epoll_wait(ep, ev, 512, 120000);

        if (n == 0) {
            fprintf(stderr, "swarm: nothing for two minutes, %d of %d left\n", count - over - held,
                    count);
            exit(1);
        }
        for (int i = 0; i < n; i++) {
            event(ev[i].data.ptr, ev[i].events);
        }
    }
}

int main(int argc, char **argv)
{
    struct rlimit r = {0};
    char c;

    if (argc < 5 || (engine = engine_find(argv[1])) == NULL)
        return 2;
    argc--;
    argv++;
    /* MySQL's engine takes no rows without waiting; this borrows a server connection all the same.
     */
    sql = engine == &engine_mysql ? "DO 1" : "select 1";
    getrlimit(RLIMIT_NOFILE, &r);
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
    conninfo = argv[argc - 1];
    hold = !strcmp(argv[1], "hold");
    keep_connection = !strcmp(argv[1], "query");
    keep_going = keep_connection || !strcmp(argv[1], "churn");
    if (keep_going && argc < 5)
        return 2;
    count = atoi(argv[keep_going ? 3 : 2]);
    all = calloc((size_t)count, sizeof(*all));
    ep = epoll_create1(0);
    start_ms = now_ms();
    end_ms = start_ms + (keep_going ? atof(argv[2]) * 1e3 : 0);
    for (int i = 0; i < count; i++)
        begin(&all[i]);
    run();
    if (*first_error)
        fprintf(stderr, "swarm: first error: %s\n", first_error);
    if (hold) {
        printf("ready %d %d\n", held, refused);
        fflush(stdout);
        while (read(0, &c, 1) > 0)
            ;
        return 0;
    }
    if (keep_going) {
        printf("%d %d\n", served, refused);
        return 0;
    }
    qsort(all, (size_t)count, sizeof(*all), by_time);
    printf("%d %d %.1f %.1f\n", served, refused, all[count / 2].done_ms,
           all[count * 99 / 100].done_ms);
    return 0;
}
