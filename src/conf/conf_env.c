/* SPDX-License-Identifier: ISC
 * The environment: WEIR_<KEY> for each setting, WEIR_URL and WEIR_URL_<NAME> for databases.
 *
 * A variable that is none of these is a typo and an error, with two exceptions: one that a
 * password_env names, and those with which Kubernetes describes a service called `weir` or `weir-x`
 * to every container beside it (WEIR_SERVICE_HOST, WEIR_PORT_6432_TCP_ADDR, ...).
 */
#include "config.h"

#include "conf/conf_dsn.h"
#include "conf/conf_priv.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define PREFIX         "WEIR_"
#define NAME_MAX_BYTES 128

static const struct conf_place in_environment = {"environment", 0};

const char *conf_source_getenv(const struct conf_source *src, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; src->env != NULL && src->env[i] != NULL; i++)
        if (strncmp(src->env[i], name, len) == 0 && src->env[i][len] == '=')
            return src->env[i] + len + 1;
    return NULL;
}

/* `name` without the leading WEIR_. */
static bool is_service_link(const char *name, const char *value)
{
    static const char *const endings[] = {"SERVICE_HOST", "SERVICE_PORT"};
    static const char *const schemes[] = {"tcp://", "udp://", "sctp://"};
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        const char *at = strstr(name, endings[i]);
        if (at != NULL && (at == name || at[-1] == '_'))
            return true;
    }
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (strncmp(value, schemes[i], strlen(schemes[i])) == 0 && strstr(name, "PORT") != NULL)
            return true;
    /* ..PORT_6432_TCP_ADDR */
    const char *port = strstr(name, "PORT_");
    if (port == NULL || !isdigit((unsigned char)port[5]))
        return false;
    const char *protocol = port + 5 + strspn(port + 5, "0123456789");
    return strncmp(protocol, "_TCP", 4) == 0 || strncmp(protocol, "_UDP", 4) == 0 ||
           strncmp(protocol, "_SCTP", 5) == 0;
}

static bool mentions(const char *line, const char *name)
{
    const char *at = strstr(line, "password_env");
    return at != NULL && strstr(at, name) != NULL;
}

/* Whether a database has password_env=name. */
static bool is_password_env(const struct conf_loader *l, const char *name)
{
    const struct conf_table *t = &l->raw[CONF_KIND_DATABASE];
    for (size_t i = 0; i < t->n; i++)
        if (mentions(((const struct conf_raw *)t->items[i])->value, name))
            return true;
    for (size_t i = 0; i < l->src->n_urls; i++)
        if (mentions(l->src->urls[i], name))
            return true;
    return false;
}

static void lower(const char *from, char *to, size_t room)
{
    size_t n = 0;
    for (; from[n] != '\0' && n + 1 < room; n++)
        to[n] = (char)tolower((unsigned char)from[n]);
    to[n] = '\0';
}

static void fault_unknown(struct conf_loader *l, const char *full, const char *key)
{
    const char *near = conf_setting_suggest(key);
    char upper[NAME_MAX_BYTES] = "";
    for (size_t i = 0; near != NULL && near[i] != '\0' && i + 1 < sizeof upper; i++)
        upper[i] = (char)toupper((unsigned char)near[i]);
    conf_report_add(l->report, CONF_ERROR, in_environment.file, 0, "%.80s is no setting; %s%s%s",
                    full,
                    near != NULL ? "did you mean " PREFIX : "WEIR_<KEY> and WEIR_URL_<NAME> are",
                    upper, near != NULL ? "?" : "");
}

static void take_variable(struct conf_loader *l, const char *full, const char *value, bool urls)
{
    const char *name = full + strlen(PREFIX);
    char key[NAME_MAX_BYTES];
    lower(name, key, sizeof key);
    bool is_url = strcmp(name, "URL") == 0 || (strncmp(name, "URL_", 4) == 0 && name[4] != '\0');
    if (is_url != urls || is_service_link(name, value) || is_password_env(l, full))
        return;
    if (is_url)
        conf_take_url(l, name[3] == '\0' ? NULL : key + 4, value, &in_environment);
    else if (conf_setting_find(key) != NULL || conf_ignored_find(key) != NULL)
        conf_take_setting(l, key, value, &in_environment);
    else
        fault_unknown(l, full, key);
}

static void take_variables(struct conf_loader *l, bool urls)
{
    for (size_t i = 0; l->src->env[i] != NULL; i++) {
        const char *variable = l->src->env[i];
        const char *equals = strchr(variable, '=');
        if (strncmp(variable, PREFIX, strlen(PREFIX)) != 0 || equals == NULL)
            continue;
        char name[NAME_MAX_BYTES];
        size_t len = (size_t)(equals - variable);
        if (len < sizeof name) {
            memcpy(name, variable, len);
            name[len] = '\0';
            take_variable(l, name, equals + 1, urls);
        } else if (urls) {
            conf_report_add(l->report, CONF_ERROR, in_environment.file, 0, "%.60s... is no setting",
                            variable);
        }
    }
}

void conf_take_environment(struct conf_loader *l)
{
    if (l->src->env == NULL)
        return;
    take_variables(l, true);
    take_variables(l, false);
}
