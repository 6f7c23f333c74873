/* SPDX-License-Identifier: ISC
 * The story: four functions of a shop, 140 warm containers, each of which keeps a connection, and a
 * database that can't give so many. A container thinks for a while, runs one statement that takes
 * the database a while, and so on. What is printed: how many containers got in, how many
 * transactions a second each function had, and how long they took.
 *
 * It shows what happens; a benchmark it is not. One thread is one container.
 */
#include "engine.h"
#include "monitor.h"

#include <getopt.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LATENCIES 200000 /* kept of each function */

static const struct kind {
    const char *name;
    int containers;
    double think_ms, work_ms;
} kinds[] = {
    {"getUsers", 30, 20, 5},
    {"updateUser", 30, 40, 15},
    {"saveUser", 50, 1, 150},
    {"deleteUser", 30, 60, 8},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

struct story {
    const struct engine *engine;
    const char *dsn;
    const char *name; /* by which all go, or NULL: each by its function's */
    double seconds;
    pthread_barrier_t ready; /* all have tried to connect */
    atomic_bool over;
    atomic_int in[KINDS], refused, failed;
    atomic_int done[KINDS];
    float *latency[KINDS];
    pthread_mutex_t lock; /* of: */
    char first_error[200];
};

struct container {
    pthread_t thread;
    struct story *story;
    int kind, number;
};

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void pause_ms(double ms)
{
    struct timespec t = {.tv_sec = (time_t)(ms / 1e3)};
    t.tv_nsec = (long)((ms - (double)t.tv_sec * 1e3) * 1e6);
    nanosleep(&t, NULL);
}

static void note_error(struct story *s, const char *error)
{
    pthread_mutex_lock(&s->lock);
    if (s->first_error[0] == '\0') {
        snprintf(s->first_error, sizeof s->first_error, "%s", error);
        s->first_error[strcspn(s->first_error, "\n")] = '\0';
    }
    pthread_mutex_unlock(&s->lock);
}

static void work(struct story *s, const struct container *c, void *conn)
{
    const struct kind *k = &kinds[c->kind];
    unsigned short seed[3] = {(unsigned short)c->number, 7, 42};
    char sql[64], error[200];
    snprintf(sql, sizeof sql,
             s->engine == &engine_mysql ? "DO SLEEP(%.3f)" : "SELECT pg_sleep(%.3f)",
             k->work_ms / 1e3);
    while (!atomic_load(&s->over)) {
        pause_ms(-log(1 - erand48(seed)) * k->think_ms);
        double begun = now_ms();
        if (!s->engine->run(conn, sql, error, sizeof error)) {
            atomic_fetch_add(&s->failed, 1);
            note_error(s, error);
            return;
        }
        if (atomic_load(&s->over))
            return;
        int n = atomic_fetch_add(&s->done[c->kind], 1);
        if (n < LATENCIES)
            s->latency[c->kind][n] = (float)(now_ms() - begun);
    }
}

static void *container_main(void *arg)
{
    struct container *c = arg;
    struct story *s = c->story;
    char dsn[400], error[200] = "out of memory";
    snprintf(dsn, sizeof dsn, "%s application_name=%s", s->dsn,
             s->name != NULL ? s->name : kinds[c->kind].name);
    void *conn = s->engine->open(dsn, error, sizeof error);
    if (conn != NULL) {
        atomic_fetch_add(&s->in[c->kind], 1);
    } else {
        atomic_fetch_add(&s->refused, 1);
        note_error(s, error);
    }
    pthread_barrier_wait(&s->ready);
    if (conn == NULL)
        return NULL;
    work(s, c, conn);
    s->engine->close(conn);
    return NULL;
}

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* In milliseconds, from asking to having the answer. */
static double quantile(struct story *s, int kind, double q)
{
    int n = atomic_load(&s->done[kind]);
    n = n < LATENCIES ? n : LATENCIES;
    if (n == 0)
        return 0;
    qsort(s->latency[kind], (size_t)n, sizeof(float), compare_floats);
    return s->latency[kind][(int)((n - 1) * q)];
}

static void report(struct story *s, const char *label, int peak)
{
    printf("%-16s %-12s", label, "containers");
    for (int k = 0; k < KINDS; k++) {
        char in[32];
        snprintf(in, sizeof in, "%d/%d", atomic_load(&s->in[k]), kinds[k].containers);
        printf(" %11s", in);
    }
    printf(" %8d %12d\n%-16s %-12s", atomic_load(&s->refused) + atomic_load(&s->failed), peak, "",
           "a second");
    for (int k = 0; k < KINDS; k++)
        printf(" %11.0f", atomic_load(&s->done[k]) / s->seconds);
    printf("\n%-16s %-12s", "", "p50 ms");
    for (int k = 0; k < KINDS; k++)
        printf(" %11.0f", quantile(s, k, 0.5));
    printf("\n%-16s %-12s", "", "p99 ms");
    for (int k = 0; k < KINDS; k++)
        printf(" %11.0f", quantile(s, k, 0.99));
    printf("\n");
    if (s->first_error[0] != '\0')
        printf("    %s\n", s->first_error);
    fflush(stdout);
}

static void header(void)
{
    printf("%-16s %-12s", "", "");
    for (int k = 0; k < KINDS; k++)
        printf(" %11s", kinds[k].name);
    printf(" %8s %12s\n", "refused", "server conns");
}

static int play(struct story *s, const char *label, const char *monitor_dsn)
{
    struct monitor monitor = {0};
    struct container *all;
    int n = 0;
    for (int k = 0; k < KINDS; k++)
        n += kinds[k].containers;
    all = calloc((size_t)n, sizeof *all);
    for (int k = 0; k < KINDS; k++)
        s->latency[k] = calloc(LATENCIES, sizeof(float));
    if (all == NULL || s->latency[KINDS - 1] == NULL)
        return 1;
    if (!monitor_start(&monitor, s->engine, monitor_dsn))
        return 1;
    pthread_mutex_init(&s->lock, NULL);
    pthread_barrier_init(&s->ready, NULL, (unsigned)n + 1);
    n = 0;
    /* In turns, as containers come up: no function has the luck to be first. */
    for (int i = 0; i < 50; i++)
        for (int k = 0; k < KINDS; k++) {
            if (i >= kinds[k].containers)
                continue;
            all[n] = (struct container){.story = s, .kind = k, .number = n};
            if (pthread_create(&all[n].thread, NULL, container_main, &all[n]) != 0)
                return 1;
            n++;
        }
    pthread_barrier_wait(&s->ready);
    pause_ms(s->seconds * 1e3);
    atomic_store(&s->over, true);
    for (int i = 0; i < n; i++)
        pthread_join(all[i].thread, NULL);
    monitor_stop(&monitor);
    report(s, label, monitor.peak);
    free(all);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"engine", required_argument, NULL, 'e'},
        {"seconds", required_argument, NULL, 's'},
        {"name", required_argument, NULL, 'n'},
        {"header", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    static struct story s = {.engine = &engine_postgres, .seconds = 5};
    int opt;
    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (opt) {
        case 'e':
            s.engine = engine_find(optarg);
            break;
        case 's':
            s.seconds = strtod(optarg, NULL);
            break;
        case 'n':
            s.name = optarg;
            break;
        case 'h':
            header();
            return 0;
        default:
            return 2;
        }
    }
    if (argc - optind != 3 || s.engine == NULL || s.seconds <= 0) {
        fprintf(stderr, "usage: story [--engine postgres|mysql] [--seconds N] [--name FUNCTION]"
                        " LABEL DSN MONITOR-DSN\n");
        return 2;
    }
    s.dsn = argv[optind + 1];
    return play(&s, argv[optind], argv[optind + 2]);
}
