/* SPDX-License-Identifier: ISC */
/*
 * Thousands of real libpq clients in one process, without a thread each.
 *
 *   swarm hold  N CONNINFO   logs all in at once, one statement each, says "ready" and holds them
 *                            until its standard input ends
 *   swarm burst N CONNINFO   each: log in, "select 1", log out; prints served, refused, p50 and p99
 *                            (ms from the common start to the answer)
 *   swarm churn SECONDS CONCURRENCY CONNINFO   logins + one statement + logout, over and over
 *   swarm query SECONDS CONCURRENCY CONNINFO   one simple statement after another on kept
 * connections
 *
 * The last two print how many were done and how many failed.
 */
#include <errno.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum step { STEP_LOGIN, STEP_ANSWER, STEP_HELD, STEP_OVER };

struct one {
    PGconn *conn;
    enum step step;
    int fd;
    double done_ms;
};

static struct one *all;
static int ep, count, held, served, refused, over;
static int keep_going, keep_connection, hold;
static const char *conninfo;
static double start_ms, end_ms;
static char first_error[512];

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void want(struct one *o, unsigned events)
{
    struct epoll_event ev = {.events = events, .data.ptr = o};
    int fd = PQsocket(o->conn);

    /* libpq may have closed one socket and opened another under the same number */
    if (fd < 0)
        return;
    if (epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev) && errno == ENOENT)
        epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
    o->fd = fd;
}

static void begin(struct one *o)
{
    o->conn = PQconnectStart(conninfo);
    o->step = STEP_LOGIN;
    want(o, EPOLLOUT);
}

static void finish(struct one *o, int ok)
{
    o->done_ms = now_ms() - start_ms;
    if (ok) {
        served++;
    } else {
        refused++;
        if (!*first_error)
            snprintf(first_error, sizeof(first_error), "%s", PQerrorMessage(o->conn));
    }
    if (ok && hold) {
        o->step = STEP_HELD;
        held++;
        return;
    }
    if (ok && keep_going && keep_connection && now_ms() < end_ms) {
        PQsendQuery(o->conn, "select 1");
        return;
    }
    PQfinish(o->conn);
    if (keep_going && now_ms() < end_ms) {
        begin(o);
        return;
    }
    o->step = STEP_OVER;
    over++;
}

static void step_login(struct one *o)
{
    switch (PQconnectPoll(o->conn)) {
    case PGRES_POLLING_READING:
        want(o, EPOLLIN);
        break;
    case PGRES_POLLING_WRITING:
        want(o, EPOLLOUT);
        break;
    case PGRES_POLLING_OK:
        o->step = STEP_ANSWER;
        want(o, EPOLLIN);
        if (!PQsendQuery(o->conn, "select 1"))
            finish(o, 0);
        break;
    default:
        finish(o, 0);
    }
}

static void step_answer(struct one *o)
{
    PGresult *r;
    int ok = 1;

    if (!PQconsumeInput(o->conn)) {
        finish(o, 0);
        return;
    }
    while (!PQisBusy(o->conn)) {
        if (!(r = PQgetResult(o->conn))) {
            finish(o, ok);
            return;
        }
        ok = ok && PQresultStatus(r) == PGRES_TUPLES_OK;
        if (!ok && !*first_error)
            snprintf(first_error, sizeof(first_error), "%s", PQresultErrorMessage(r));
        PQclear(r);
    }
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
            struct one *o = ev[i].data.ptr;

            if (o->step == STEP_LOGIN)
                step_login(o);
            else if (o->step == STEP_ANSWER)
                step_answer(o);
        }
    }
}

int main(int argc, char **argv)
{
    struct rlimit r = {0};
    char c;

    if (argc < 4)
        return 2;
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
