/* SPDX-License-Identifier: ISC
 * A burst of clients, as a scaled-out function makes it: all connect at once, each runs one short
 * transaction, and each keeps its connection afterwards, as a warm container does. They hang up
 * together when the last one was served or refused.
 *
 * What it is not: a benchmark; that is tests/bench. It shows what happens and how long it takes.
 *
 * One thread with epoll and the client library's non-blocking calls carries the clients. A second
 * one asks the database itself, over a reserved connection, how many server connections it sees.
 */
#include "engine.h"
#include "monitor.h"

#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_PER_TURN 256

/*
 *   connecting -----logged in------> querying --last result--> served
 *       `------------- error ------------`------- error -----> refused
 */
enum client_state { CLIENT_CONNECTING, CLIENT_QUERYING, CLIENT_SERVED, CLIENT_REFUSED };

struct client {
    void *conn;
    int fd; /* what epoll knows; the library may change its socket while it connects */
    enum client_state state;
    double latency_ms;
};

struct burst {
    const struct engine *engine;
    const char *conninfo;
    const char *query;
    int asked;
    double limit_ms;
    int epoll_fd;
    struct client *clients;
    double start_ms;
    int open; /* connecting or querying */
    int served;
    char first_error[160];
};

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* ---- the clients ----------------------------------------------------------------------------- */

static void client_watch(struct burst *b, struct client *c, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = c};

    c->fd = b->engine->fd(c->conn);
    if (c->fd < 0)
        return;
    /* A socket that the library closed has left epoll by itself. */
    if (epoll_ctl(b->epoll_fd, EPOLL_CTL_MOD, c->fd, &ev) != 0 && errno == ENOENT)
        (void)epoll_ctl(b->epoll_fd, EPOLL_CTL_ADD, c->fd, &ev);
}

static void client_end(struct burst *b, struct client *c, bool served)
{
    c->state = served ? CLIENT_SERVED : CLIENT_REFUSED;
    c->latency_ms = now_ms() - b->start_ms;
    b->open--;
    if (served) {
        b->served++;
        client_watch(b, c, 0);
        return;
    }
    if (b->first_error[0] == '\0') {
        snprintf(b->first_error, sizeof b->first_error, "%s",
                 c->conn != NULL ? b->engine->error(c->conn) : "out of memory");
        b->first_error[strcspn(b->first_error, "\n")] = '\0';
    }
    if (c->conn != NULL)
        b->engine->close(c->conn);
    c->conn = NULL;
}

static void client_go_on(struct burst *b, struct client *c, enum want want)
{
    while (want == WANT_NOTHING && c->state == CLIENT_CONNECTING) {
        c->state = CLIENT_QUERYING;
        want = b->engine->query(c->conn, b->query);
    }
    switch (want) {
    case WANT_READ:
        client_watch(b, c, EPOLLIN);
        break;
    case WANT_WRITE:
        client_watch(b, c, EPOLLOUT);
        break;
    case WANT_NOTHING:
        client_end(b, c, true);
        break;
    case WANT_FAILED:
        client_end(b, c, false);
        break;
    }
}

static void client_step(struct burst *b, struct client *c, uint32_t events)
{
    unsigned ready = ((events & ~(uint32_t)EPOLLOUT) != 0 ? READY_READ : 0) |
                     ((events & ~(uint32_t)EPOLLIN) != 0 ? READY_WRITE : 0);

    client_go_on(b, c,
                 c->state == CLIENT_CONNECTING ? b->engine->connect_step(c->conn, ready)
                                               : b->engine->query_step(c->conn, ready));
}

static void burst_open_all(struct burst *b)
{
    b->start_ms = now_ms();
    for (int i = 0; i < b->asked; i++) {
        struct client *c = &b->clients[i];

        enum want want = WANT_FAILED;

        b->open++;
        c->conn = b->engine->start(b->conninfo, &want);
        client_go_on(b, c, c->conn != NULL ? want : WANT_FAILED);
    }
}

/* Until each client was served or refused; who is neither at the limit counts as refused. */
static void burst_run(struct burst *b)
{
    struct epoll_event events[EVENTS_PER_TURN];

    burst_open_all(b);
    while (b->open > 0 && now_ms() - b->start_ms < b->limit_ms) {
        int n = epoll_wait(b->epoll_fd, events, EVENTS_PER_TURN, 100);

        for (int i = 0; i < n; i++) {
            struct client *c = events[i].data.ptr;

            if (c->state == CLIENT_CONNECTING || c->state == CLIENT_QUERYING)
                client_step(b, c, events[i].events);
            else if (c->conn != NULL) /* served, and hung up on */
                (void)epoll_ctl(b->epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
        }
    }
    if (b->open > 0 && b->first_error[0] == '\0')
        snprintf(b->first_error, sizeof b->first_error, "no answer within %.0f s",
                 b->limit_ms / 1e3);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* One row: label asked served refused p50 p99 peak seconds, then the first error. */
static void burst_report(const struct burst *b, const char *label, int peak, double took_ms)
{
    double *latency = calloc((size_t)b->asked + 1, sizeof *latency);
    int n = 0;

    if (latency == NULL)
        return;
    for (int i = 0; i < b->asked; i++) {
        if (b->clients[i].state == CLIENT_SERVED)
            latency[n++] = b->clients[i].latency_ms;
    }
    qsort(latency, (size_t)n, sizeof *latency, compare_doubles);
    printf("%-14s %7d %7d %8d %9.0f %9.0f %8.1f %12d\n", label, b->asked, b->served,
           b->asked - b->served, n ? latency[(n - 1) / 2] : 0.0,
           n ? latency[(n - 1) * 99 / 100] : 0.0, took_ms / 1e3, peak);
    if (b->first_error[0] != '\0')
        printf("    %s\n", b->first_error);
    free(latency);
}

/* ---- start ----------------------------------------------------------------------------------- */

/* A port that is free now, for the script that starts the servers. */
static int print_free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &length) != 0)
        return 1;
    printf("%d\n", ntohs(a.sin_port));
    close(fd);
    return 0;
}

static bool raise_descriptor_limit(int clients)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return false;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max >= (rlim_t)clients + 64)
        return true;
    fprintf(stderr, "burst: %d clients need more descriptors than the %lu allowed (ulimit -Hn)\n",
            clients, (unsigned long)limit.rlim_max);
    return false;
}

static int burst_main(struct burst *b, const char *label, const char *monitor_conninfo)
{
    struct monitor monitor = {0};
    double took_ms;

    b->clients = calloc((size_t)b->asked, sizeof *b->clients);
    b->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (b->clients == NULL || b->epoll_fd < 0 || !raise_descriptor_limit(b->asked))
        return 1;
    if (!monitor_start(&monitor, b->engine, monitor_conninfo))
        return 1;
    burst_run(b);
    took_ms = now_ms() - b->start_ms;
    monitor_stop(&monitor);
    for (int i = 0; i < b->asked; i++)
        if (b->clients[i].conn != NULL)
            b->engine->close(b->clients[i].conn);
    burst_report(b, label, monitor.peak, took_ms);
    free(b->clients);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"clients", required_argument, NULL, 'n'},
        {"query", required_argument, NULL, 'q'},
        {"limit", required_argument, NULL, 't'},
        {"free-port", no_argument, NULL, 'p'},
        {"header", no_argument, NULL, 'h'},
        {"engine", required_argument, NULL, 'e'},
        {NULL, 0, NULL, 0},
    };
    struct burst b = {
        .engine = &engine_postgres, .query = "SELECT 1", .asked = 2000, .limit_ms = 60e3};
    int opt;

    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (opt) {
        case 'n':
            b.asked = (int)strtol(optarg, NULL, 10);
            break;
        case 'q':
            b.query = optarg;
            break;
        case 't':
            b.limit_ms = strtod(optarg, NULL) * 1e3;
            break;
        case 'e':
            b.engine = engine_find(optarg);
            break;
        case 'p':
            return print_free_port();
        case 'h':
            printf("%-14s %7s %7s %8s %9s %9s %8s %12s\n", "", "asked", "served", "refused",
                   "p50 ms", "p99 ms", "took s", "server conns");
            return 0;
        default:
            return 2;
        }
    }
    if (argc - optind != 3 || b.asked < 1 || b.engine == NULL) {
        fprintf(stderr, "usage: burst [--engine postgres|mysql] [--clients N] [--query SQL]"
                        " [--limit SECONDS] LABEL DSN MONITOR-DSN\n");
        return 2;
    }
    b.conninfo = argv[optind + 1];
    return burst_main(&b, argv[optind], argv[optind + 2]);
}
