/* SPDX-License-Identifier: ISC
 * See params.h.
 */
#include "config.h"

#include "worker/params.h"

#include "base/clock.h"
#include "net/tls.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_TIMEOUT_S "5" /* of what blocks a job thread */

void params_put(struct params *ps, const char *key, const char *value)
{
    if (value == NULL || value[0] == '\0' || ps->n >= PARAMS_MAX - 1)
        return;
    for (size_t i = 0; i < ps->n; i++)
        if (strcmp(ps->p[i].key, key) == 0)
            return; /* the entry's own word holds */
    ps->p[ps->n++] = (struct dsn_param){.key = key, .value = value};
}

static bool leads_to_server(const char *key)
{
    return strcmp(key, "host") == 0 || strcmp(key, "hostaddr") == 0 || strcmp(key, "port") == 0;
}

/* As the server splits `options`: at spaces, unless there is a backslash before them. */
static void add_option(struct params *ps, const char *key, const char *value)
{
    char text[sizeof ps->options];
    size_t n = 0, used = strlen(ps->options);
    for (; *value != '\0' && n < sizeof text - 2; value++) {
        if (*value == ' ' || *value == '\\')
            text[n++] = '\\';
        text[n++] = *value;
    }
    text[n] = '\0';
    (void)snprintf(ps->options + used, sizeof ps->options - used, "%s-c %s=%s",
                   used != 0 ? " " : "", key, text);
}

/* Settings that a PostgreSQL server is to start a session with; behind `options`, if there are. */
static void put_startup(struct params *ps, const struct conf_database *db)
{
    struct dsn_param *options = NULL;
    ps->options[0] = '\0';
    for (size_t i = 0; i < ps->n; i++)
        if (strcmp(ps->p[i].key, "options") == 0)
            options = &ps->p[i];
    if (options != NULL)
        (void)snprintf(ps->options, sizeof ps->options, "%s", options->value);
    for (size_t i = 0; i < db->n_startup; i++) {
        if (strcmp(db->startup[i].key, "client_encoding") == 0)
            params_put(ps, "client_encoding", db->startup[i].value);
        else
            add_option(ps, db->startup[i].key, db->startup[i].value);
    }
    if (options != NULL)
        options->value = ps->options;
    else
        params_put(ps, "options", ps->options);
}

static const char *sslmode_name(enum conf_sslmode mode)
{
    static const char *const names[] = {"disable", "allow",     "prefer",
                                        "require", "verify-ca", "verify-full"};
    return names[mode];
}

/* What MySQL's programs have other words for goes by libpq's. */
static void put_mysql(struct params *ps, const char *key, const char *value)
{
    static const char *const keys[][2] = {
        {"ssl-cert", "sslcert"}, {"ssl-key", "sslkey"}, {"ssl-ca", "sslrootcert"}};
    static const struct {
        const char *word;
        enum conf_sslmode mode;
    } modes[] = {{"DISABLED", CONF_SSLMODE_DISABLE},
                 {"PREFERRED", CONF_SSLMODE_PREFER},
                 {"REQUIRED", CONF_SSLMODE_REQUIRE},
                 {"VERIFY_CA", CONF_SSLMODE_VERIFY_CA},
                 {"VERIFY_IDENTITY", CONF_SSLMODE_VERIFY_FULL}};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strcmp(key, keys[i][0]) == 0)
            key = keys[i][1];
    for (size_t i = 0; strcmp(key, "ssl-mode") == 0 && i < sizeof modes / sizeof modes[0]; i++)
        if (strcmp(value, modes[i].word) == 0) {
            key = "sslmode";
            value = sslmode_name(modes[i].mode);
        }
    params_put(ps, key, value);
}

/* As for clients' connections; 0 is the system's. */
static void put_tcp(struct params *ps, const struct conf_settings *cs)
{
    const struct {
        const char *key;
        uint64_t value;
    } rows[] = {{"keepalives_idle", cs->tcp_keepidle_us / US_PER_S},
                {"keepalives_interval", cs->tcp_keepintvl_us / US_PER_S},
                {"keepalives_count", (uint64_t)cs->tcp_keepcnt},
                {"tcp_user_timeout", cs->tcp_user_timeout_us / US_PER_MS}};
    _Static_assert(sizeof rows / sizeof rows[0] == sizeof ps->tcp / sizeof ps->tcp[0], "");
    if (!cs->tcp_keepalive)
        params_put(ps, "keepalives", "0");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)snprintf(ps->tcp[i], sizeof ps->tcp[i], "%" PRIu64, rows[i].value);
        if (rows[i].value != 0)
            params_put(ps, rows[i].key, ps->tcp[i]);
    }
}

const char *params_dbname(const struct conf_database *db, const char *asked)
{
    return db->dbname != NULL || db->service ? db->dbname : asked;
}

void params_collect(struct params *ps, const struct conf *conf, const struct conf_database *db,
                    const struct dial_as *as)
{
    const struct conf_settings *cs = conf_settings(conf);
    for (size_t i = 0; i < db->n_params; i++) {
        const struct conf_param *p = &db->params[i];
        if (!leads_to_server(p->key) && db->proto == CONF_PROTO_MYSQL)
            put_mysql(ps, p->key, p->value);
        else if (!leads_to_server(p->key))
            params_put(ps, p->key, p->value);
    }
    put_startup(ps, db);
    put_tcp(ps, cs);
    params_put(ps, "dbname", params_dbname(db, as->database));
    params_put(ps, "user", as->user);
    params_put(ps, "password", as->password);
    for (size_t i = 0; as->keys != NULL && i < SERVER_KEYS && as->keys->k[i].name[0] != '\0'; i++)
        params_put(ps, as->keys->k[i].name, as->keys->k[i].value);
    const char *min, *max;
    params_put(ps, "sslmode", sslmode_name(cs->server_tls_sslmode));
    if (tls_version_range(cs->server_tls_protocols, &min, &max)) {
        params_put(ps, "ssl_min_protocol_version", min);
        params_put(ps, "ssl_max_protocol_version", max);
    }
    params_put(ps, "sslrootcert", cs->server_tls_ca_file);
    params_put(ps, "sslkey", cs->server_tls_key_file);
    params_put(ps, "sslcert", cs->server_tls_cert_file);
}

struct params_kept *params_keep(const struct conf *conf, const struct conf_database *db,
                                const struct dial_as *as)
{
    struct params ps = {.n = 0};
    struct params_kept *kept = calloc(1, sizeof *kept);
    if (kept == NULL)
        return NULL;
    params_collect(&ps, conf, db, as);
    for (size_t i = 0; i < db->n_params; i++)
        if (leads_to_server(db->params[i].key))
            params_put(&ps, db->params[i].key, db->params[i].value);
    params_put(&ps, "connect_timeout", CONNECT_TIMEOUT_S);
    for (; kept->n < ps.n; kept->n++) {
        struct dsn_param *p = &kept->p[kept->n];
        p->key = strdup(ps.p[kept->n].key);
        p->value = strdup(ps.p[kept->n].value);
        if (p->key == NULL || p->value == NULL) {
            kept->n++;
            params_forget(&kept);
            return NULL;
        }
    }
    return kept;
}

void params_forget(struct params_kept **kp)
{
    struct params_kept *kept = *kp;
    *kp = NULL;
    for (size_t i = 0; kept != NULL && i < kept->n; i++) {
        char *value = (char *)(uintptr_t)kept->p[i].value;
        if (value != NULL)
            explicit_bzero(value, strlen(value));
        free(value);
        free((char *)(uintptr_t)kept->p[i].key);
    }
    free(kept);
}
