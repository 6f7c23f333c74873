/* SPDX-License-Identifier: ISC
 * weir's command line: reads its arguments, starts the world, waits for signals, ends it.
 *
 *   weir CONFIG.ini             run
 *   weir --url URL [--url ...]  run without a file: the sidecar
 *   weir --check CONFIG.ini     read everything, connect to every database, say what is wrong
 *
 * Exit codes: 0 fine, 1 cannot run, 2 usage.
 */
#include "config.h"

#include "admin/console_admin.h"
#include "base/log.h"
#include "base/pidfile.h"
#include "check.h"
#include "conf/conf.h"
#include "conf/conf_describe.h"
#include "net/loop.h"
#include "net/watch.h"
#include "worker/protocols.h"
#include "worker/order.h"
#include "worker/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

extern char **environ;

#define URLS_MAX 64

enum action { ACTION_RUN, ACTION_CHECK, ACTION_PRINT, ACTION_VERSION, ACTION_HELP };

struct options {
    enum action action;
    const char *path;
    const char *urls[URLS_MAX];
    size_t n_urls;
};

struct process {
    struct options opts;
    struct world *world;
    struct admin_world *admin;
    struct loop *loop;
    struct watch signals;
    struct timer drain;
    int signal_fd;
    int pidfile; /* -1: none */
    uint64_t drain_left_us;
    bool draining;
};

static const char usage_text[] =
    "usage: weir [options] CONFIG.ini\n"
    "       weir --url URL [--url URL ...]\n"
    "\n"
    "  --url URL        a database, e.g. postgres://app:secret@db.internal:5432/shop\n"
    "  --check          read everything, connect to every database, print what was found\n"
    "  --print-config   print the configuration as it would be used, without passwords\n"
    "  --version        print the version\n"
    "  --help           print this\n"
    "\n"
    "Every setting is also WEIR_<KEY> in the environment, every database WEIR_URL or\n"
    "WEIR_URL_<NAME>. SIGHUP reloads, SIGTERM drains, SIGINT and SIGQUIT end at\n"
    "once, SIGUSR1 pauses, SIGUSR2 resumes. See weir(1).\n";

static bool parse_options(int argc, char **argv, struct options *o)
{
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        if (strcmp(a, "--help") == 0 || strcmp(a, "-h") == 0) {
            o->action = ACTION_HELP;
        } else if (strcmp(a, "--version") == 0 || strcmp(a, "-V") == 0) {
            o->action = ACTION_VERSION;
        } else if (strcmp(a, "--check") == 0) {
            o->action = ACTION_CHECK;
        } else if (strcmp(a, "--print-config") == 0) {
            o->action = ACTION_PRINT;
        } else if (strcmp(a, "--url") == 0 && i + 1 < argc && o->n_urls < URLS_MAX) {
            o->urls[o->n_urls++] = argv[++i];
        } else if (strncmp(a, "--url=", 6) == 0 && o->n_urls < URLS_MAX) {
            o->urls[o->n_urls++] = a + 6;
        } else if (a[0] == '-' || o->path != NULL) {
            fprintf(stderr, "weir: unexpected argument: %s\n", a);
            return false;
        } else {
            o->path = a;
        }
    }
    return true;
}

static bool env_has_url(void)
{
    for (char **e = environ; *e != NULL; e++)
        if (strncmp(*e, "WEIR_URL", 8) == 0)
            return true;
    return false;
}

static struct conf *load(const struct options *o, struct conf_report *report)
{
    struct conf_source src = {
        .path = o->path,
        .env = (const char *const *)environ,
        .urls = o->urls,
        .n_urls = o->n_urls,
    };
    return conf_load(&src, report);
}

static void log_report(const struct conf_report *r)
{
    const struct conf_problem *p;
    char line[1024];
    STAILQ_FOREACH(p, &r->problems, link)
    {
        (void)conf_problem_format_plain(p, line, sizeof line);
        if (p->severity == CONF_ERROR)
            log_error(NULL, "%s", line);
        else
            log_warn(NULL, "%s", line);
    }
}

/* For whoever asked: what was wrong, or (ok) what was warned of, one a line, while there's room. */
static void tell_report(const struct conf_report *r, bool ok, char *text, size_t room)
{
    const struct conf_problem *p;
    size_t used = 0, left = ok ? r->warnings : r->errors;
    char line[1024];
    text[0] = '\0';
    STAILQ_FOREACH(p, &r->problems, link)
    {
        if (p->severity != (ok ? CONF_WARNING : CONF_ERROR))
            continue;
        (void)conf_problem_format(p, line, sizeof line);
        if (used + strlen(line) + 64 > room)
            break;
        used += (size_t)snprintf(text + used, room - used, "%s%s", used != 0 ? "\n" : "", line);
        left--;
    }
    if (left != 0)
        (void)snprintf(text + used, room - used, "%s%zu more in the log", used != 0 ? "\n" : "",
                       left);
}

/* ---- signals
 * ------------------------------------------------------------------------------------- */

static bool process_reload(void *arg, char *text, size_t room)
{
    struct process *p = arg;
    struct conf_report report;
    conf_report_init(&report);
    (void)sd_notify(0, "RELOADING=1");
    struct conf *conf = load(&p->opts, &report);
    bool ok = conf != NULL && world_reload(p->world, conf, &report);
    log_report(&report);
    log_info(NULL, ok ? "configuration reloaded" : "configuration refused, the running one stays");
    tell_report(&report, ok, text, room);
    conf_report_fini(&report);
    (void)sd_notify(0, "READY=1");
    return ok;
}

static void on_drain(void *arg)
{
    struct process *p = arg;
    if (world_clients(p->world) == 0 || p->drain_left_us == 0) {
        loop_stop(p->loop);
        return;
    }
    uint64_t step = p->drain_left_us < 50000 ? p->drain_left_us : 50000;
    p->drain_left_us -= step;
    timer_set_us(&p->drain, step);
}

static void process_drain(void *arg, bool patient)
{
    struct process *p = arg;
    if (p->draining)
        return;
    p->draining = true;
    (void)sd_notify(0, "STOPPING=1");
    struct conf *conf = world_conf(p->world);
    uint64_t limit = conf_settings(conf)->shutdown_timeout_us;
    conf_free(&conf);
    p->drain_left_us = limit != 0 && !patient ? limit : UINT64_MAX / 2;
    log_info(NULL, "draining: clients end with their transactions");
    world_drain(p->world, patient);
    timer_set_us(&p->drain, 10000);
}

static void process_stop(void *arg)
{
    loop_stop(((struct process *)arg)->loop);
}

static void process_pause(struct process *p, bool on)
{
    bool done = world_order(p->world, on ? WORLD_PAUSE : WORLD_RESUME, NULL) == WORLD_DONE;
    log_info(NULL, "%s: %s", on ? "SIGUSR1" : "SIGUSR2",
             !done ? "nothing is paused"
             : on  ? "all databases are paused"
                   : "all databases are resumed");
}

static void wait_for_signal(struct process *p);

static void on_signal(bool ready, void *arg)
{
    struct process *p = arg;
    struct signalfd_siginfo info;
    while (ready && read(p->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        char text[512];
        switch (info.ssi_signo) {
        case SIGHUP:
            (void)process_reload(p, text, sizeof text);
            break;
        case SIGUSR1:
        case SIGUSR2:
            process_pause(p, info.ssi_signo == SIGUSR1);
            break;
        case SIGTERM:
            if (!p->draining) {
                process_drain(p, false);
                break;
            }
            loop_stop(p->loop);
            break;
        default: /* SIGINT, SIGQUIT */
            loop_stop(p->loop);
            break;
        }
    }
    wait_for_signal(p);
}

static void wait_for_signal(struct process *p)
{
    if (!watch_once(&p->signals, p->loop, p->signal_fd, false, 3600u * 1000000ull, on_signal, p))
        log_error(NULL, "can't watch for signals");
}

static int open_signals(void)
{
    static const int taken[] = {SIGHUP, SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        sigaddset(&set, taken[i]);
    (void)signal(SIGPIPE, SIG_IGN);
    /* Blocked before any thread is started, so that every thread inherits it. */
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

/* ---- run
 * --------------------------------------------------------------------------------------------- */

/* What a function has to be given: only for the sidecar, whose user typed no port. */
static void print_dsn(const struct options *o, const struct conf *conf)
{
    const struct conf_settings *cs = conf_settings(conf);
    const struct conf_database *db;
    bool named = false;
    if (o->n_urls == 0 && !env_has_url())
        return;
    for (size_t i = 0; (db = conf_database_at(conf, i)) != NULL; i++)
        named = named || (db->from_url && strcmp(db->name, "*") != 0);
    for (size_t i = 0; (db = conf_database_at(conf, i)) != NULL; i++)
        if (db->from_url && (strcmp(db->name, "*") != 0) == named && protocol_of(db->proto) != NULL)
            log_info(NULL, "give your function: %s://%s:***@%s:%d/%s",
                     protocol_of(db->proto)->url_scheme, db->user != NULL ? db->user : "USER",
                     strcmp(cs->listen_addr, "*") == 0 ? "127.0.0.1" : cs->listen_addr,
                     protocol_port(protocol_of(db->proto), cs), named ? db->name : "DATABASE");
}

static int run(struct process *p, struct conf *conf, struct conf_report *report)
{
    struct err e = {""};
    /* Those of the environment that libpq would take for every server connection. */
    static const char *const libpq_env[] = {"PGAPPNAME", "PGOPTIONS",   "PGCLIENTENCODING",
                                            "PGTZ",      "PGDATESTYLE", "PGGEQO"};
    for (size_t i = 0; i < sizeof libpq_env / sizeof libpq_env[0]; i++)
        unsetenv(libpq_env[i]);
    p->signal_fd = open_signals();
    p->pidfile = -1;
    const char *pidfile = conf_settings(conf)->pidfile;
    if (pidfile[0] != '\0' && (p->pidfile = pidfile_create(pidfile, &e)) < 0) {
        log_error(NULL, "%s", e.text);
        conf_free(&conf);
        return 1;
    }
    struct conf *shown = conf_get(conf);
    p->world = p->signal_fd >= 0 ? world_create(conf, report, &e) : NULL;
    if (p->world == NULL) {
        log_report(report);
        if (e.text[0] != '\0')
            log_error(NULL, "%s", e.text);
        pidfile_remove(p->pidfile, conf_settings(shown)->pidfile);
        conf_free(&shown);
        return 1;
    }
    log_report(report);
    p->loop = world_loop(p->world);
    timer_init(&p->drain, p->loop, on_drain, p);
    struct admin_process calls = {
        .arg = p, .reload = process_reload, .drain = process_drain, .stop = process_stop};
    p->admin = admin_world_create(p->world, shown, &calls, &e);
    if (p->admin == NULL) {
        log_error(NULL, "%s", e.text);
        pidfile_remove(p->pidfile, conf_settings(shown)->pidfile);
        conf_free(&shown);
        return 1;
    }
    log_info(NULL, "weir " PACKAGE_VERSION " is ready");
    print_dsn(&p->opts, shown);
    wait_for_signal(p);
    (void)sd_notify(0, "READY=1");
    loop_run(p->loop);
    log_info(NULL, "stopping");
    watch_stop(&p->signals);
    timer_clear(&p->drain);
    world_stop(p->world);
    admin_world_destroy(&p->admin);
    world_destroy(&p->world);
    pidfile_remove(p->pidfile, conf_settings(shown)->pidfile);
    conf_free(&shown);
    return 0;
}

static int usage(void)
{
    fputs(usage_text, stderr);
    return 2;
}

int main(int argc, char **argv)
{
    static struct process p;
    struct conf_report report;
    if (!parse_options(argc, argv, &p.opts))
        return usage();
    if (p.opts.action == ACTION_HELP) {
        fputs(usage_text, stdout);
        return 0;
    }
    if (p.opts.action == ACTION_VERSION) {
        puts("weir " PACKAGE_VERSION);
        return 0;
    }
    if (p.opts.path == NULL && p.opts.n_urls == 0 && !env_has_url())
        return usage();
    /* Secrets are in memory: no core file unless somebody asks for one. */
    (void)prctl(PR_SET_DUMPABLE, 0);
    conf_report_init(&report);
    struct conf *conf = load(&p.opts, &report);
    int status = 1;
    if (conf == NULL) {
        conf_report_print(&report, stderr);
    } else if (p.opts.action == ACTION_PRINT) {
        conf_report_print(&report, stderr);
        conf_print(conf, stdout);
        conf_free(&conf);
        status = 0;
    } else if (p.opts.action == ACTION_CHECK) {
        status = check_run(conf, &report, stdout);
        conf_free(&conf);
    } else {
        status = run(&p, conf, &report);
    }
    conf_report_fini(&report);
    return status;
}
