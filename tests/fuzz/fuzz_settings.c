/* SPDX-License-Identifier: ISC
 * libFuzzer target: a configuration file from hell. What is refused must say why; what is accepted
 * must answer every question, and print as a file that is accepted again and means the same.
 *
 * %include and password_file would read files of this machine, so they are made harmless.
 */
#include "config.h"

#include "conf/conf.h"
#include "conf/conf_describe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void defuse(char *text, const char *word)
{
    for (char *p = text; (p = strstr(p, word)) != NULL;)
        *p = 'X';
}

static char *print(const struct conf *conf)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    if (f == NULL)
        abort();
    conf_print(conf, f);
    fclose(f);
    return text;
}

static void ask_everything(const struct conf *conf)
{
    const struct conf_database *db;
    const struct conf_server *server;
    struct conf_show row;
    struct conf_pool pool;
    for (size_t i = 0; (db = conf_database_at(conf, i)) != NULL; i++) {
        if (conf_database_find(conf, db->name) != db || db->n_hosts == 0)
            abort();
        server = conf_server_find(conf, db->server);
        if (server == NULL || conf_server_bound(conf, server).kind == CONF_BOUND_UNSET)
            abort();
        conf_pool_resolve(conf, db, db->user, &pool);
    }
    for (size_t i = 0; conf_show_row(conf, i, &row); i++)
        if (row.key[0] == '\0')
            abort();
    (void)conf_function_find(conf, "getUsers");
    if (conf_fds_needed(conf) == 0)
        abort();
}

/* A configuration without [pgbouncer]'s own defaults comes back as it was. */
static void check_round_trip(const struct conf *conf)
{
    char *printed = print(conf);
    struct conf_report report;
    struct conf_source src = {.path = "printed.ini", .text = printed};
    conf_report_init(&report);
    struct conf *again = conf_load(&src, &report);
    if (again == NULL) {
        conf_report_print(&report, stderr);
        fprintf(stderr, "%s", printed);
        abort();
    }
    char *reprinted = print(again);
    if (strcmp(printed, reprinted) != 0) {
        fprintf(stderr, "--- first\n%s--- second\n%s", printed, reprinted);
        abort();
    }
    free(printed);
    free(reprinted);
    conf_free(&again);
    conf_report_fini(&report);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (text == NULL)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    defuse(text, "%include");
    defuse(text, "password_file");

    struct conf_report report;
    struct conf_source src = {.path = "fuzz.ini", .text = text};
    conf_report_init(&report);
    struct conf *conf = conf_load(&src, &report);
    if ((conf == NULL) != (report.errors > 0))
        abort();
    if (conf != NULL) {
        ask_everything(conf);
        check_round_trip(conf);
    }
    conf_free(&conf);
    conf_report_fini(&report);
    free(text);
    return 0;
}
