/* SPDX-License-Identifier: ISC
 * See conf_describe.h.
 */
#include "config.h"

#include "conf/conf_describe.h"

#include "conf/conf_priv.h"
#include "conf/conf_value.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* --- SHOW CONFIG --- */

static int compare_names(const void *a, const void *b)
{
    const struct conf_setting *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* The row with this place in the order of names. */
static const struct conf_setting *by_name(size_t place)
{
    const struct conf_setting *rows[CONF_SETTING_MAX], *row;
    size_t n = 0;
    for (; (row = conf_setting_at(n)) != NULL; n++)
        rows[n] = row;
    qsort(rows, n, sizeof rows[0], compare_names);
    return place < n ? rows[place] : NULL;
}

bool conf_show_row(const struct conf *conf, size_t i, struct conf_show *out)
{
    char text[CONF_VALUE_TEXT];
    const struct conf_setting *row = by_name(i);
    if (row == NULL)
        return false;
    out->key = row->name;
    out->changeable = row->reload;
    (void)snprintf(out->value, sizeof out->value, "%s",
                   conf_setting_format(row, &conf->settings, text));
    (void)snprintf(out->defval, sizeof out->defval, "%s",
                   conf_setting_default(row, conf->pgbouncer));
    return true;
}

/* --- --print-config --- */

/* Whether a value of a setting would not come back as it is without quotes. */
static bool needs_quotes(const char *v)
{
    size_t len = strlen(v);
    if (len == 0)
        return false;
    if (isspace((unsigned char)v[0]) || isspace((unsigned char)v[len - 1]) || v[0] == '\'')
        return true;
    if (v[0] == ';')
        return true;
    for (const char *p = v; (p = strchr(p + 1, ';')) != NULL;)
        if (isspace((unsigned char)p[-1]))
            return true;
    return false;
}

static void put_quoted(const char *v, FILE *to)
{
    (void)fputc('\'', to);
    for (; *v != '\0'; v++) {
        if (*v == '\'')
            (void)fputc('\'', to);
        (void)fputc(*v, to);
    }
    (void)fputc('\'', to);
}

static void print_settings(const struct conf *conf, FILE *to)
{
    const struct conf_setting *row;
    (void)fprintf(to, "[weir]\n");
    for (size_t i = 0; (row = conf_setting_at(i)) != NULL; i++) {
        char text[CONF_VALUE_TEXT];
        const char *value = conf_setting_format(row, &conf->settings, text);
        (void)fprintf(to, "%s = ", row->name);
        if (needs_quotes(value))
            put_quoted(value, to);
        else
            (void)fputs(value, to);
        (void)fputc('\n', to);
    }
}

static void print_name(const char *name, FILE *to)
{
    bool plain = name[0] != '\0' && name[0] != '[' && name[0] != '%';
    for (const char *p = name; *p != '\0'; p++)
        plain = plain && !isspace((unsigned char)*p) && strchr("=\";#", *p) == NULL;
    if (plain) {
        (void)fprintf(to, "%s =", name);
        return;
    }
    (void)fputc('"', to);
    for (const char *p = name; *p != '\0'; p++)
        (void)fprintf(to, "%s%c", *p == '"' ? "\"" : "", *p);
    (void)fputs("\" =", to);
}

static bool is_secret(const char *key)
{
    return strstr(key, "password") == key || strcmp(key, "sslpassword") == 0 ||
           strcmp(key, "scram_client_key") == 0 || strcmp(key, "scram_server_key") == 0 ||
           strcmp(key, "oauth_client_secret") == 0;
}

static void print_option(const char *key, const char *value, FILE *to)
{
    (void)fprintf(to, " %s=", key);
    if (is_secret(key) && strcmp(key, "password_ttl") != 0 && strcmp(key, "password_command") != 0)
        (void)fputs("***", to);
    else if (value[0] == '\0' || strpbrk(value, " \t\v\f;'") != NULL)
        put_quoted(value, to);
    else
        (void)fputs(value, to);
}

static void print_options(enum conf_kind kind, const void *entry, FILE *to)
{
    const struct conf_setting *row;
    for (size_t i = 0; (row = conf_option_at(kind, i)) != NULL; i++) {
        char text[CONF_VALUE_TEXT];
        if (conf_option_is_set(row, entry))
            print_option(row->name, conf_setting_format(row, entry, text), to);
    }
}

/* A host of a URL: a socket's directory has slashes that aren't the URL's. */
static void print_url_host(const struct conf_host *host, bool first, FILE *to)
{
    bool brackets = host->host[0] != '/' && strchr(host->host, ':') != NULL;
    (void)fputs(first ? "" : ",", to);
    (void)fputs(brackets ? "[" : "", to);
    for (const char *p = host->host; *p != '\0'; p++)
        if (isalnum((unsigned char)*p) || strchr(brackets ? ":.-" : ".-_", *p) != NULL)
            (void)fputc(*p, to);
        else
            (void)fprintf(to, "%%%02X", (unsigned char)*p);
    (void)fprintf(to, "%s:%u", brackets ? "]" : "", host->port);
}

static void print_database(const struct conf_database *db, FILE *to)
{
    print_name(db->name, to);
    if (db->proto == CONF_PROTO_MYSQL) {
        /* There is no other way to say that it is MySQL. */
        (void)fputs(" mysql://", to);
        for (size_t i = 0; i < db->n_hosts; i++)
            print_url_host(&db->hosts[i], i == 0, to);
    }
    for (size_t i = 0; i < db->n_params; i++)
        if (db->proto == CONF_PROTO_POSTGRES ||
            (strcmp(db->params[i].key, "host") != 0 && strcmp(db->params[i].key, "port") != 0))
            print_option(db->params[i].key, db->params[i].value, to);
    for (size_t i = 0; i < db->n_startup; i++)
        print_option(db->startup[i].key, db->startup[i].value, to);
    print_options(CONF_KIND_DATABASE, db, to);
    (void)fputc('\n', to);
}

static void print_entries(const struct conf *conf, enum conf_kind kind, FILE *to)
{
    const struct conf_table *t = &conf->entries->tables[kind];
    if (t->n == 0)
        return;
    (void)fprintf(to, "\n[%s]\n", conf_kind_section(kind));
    for (size_t i = 0; i < t->n; i++) {
        const void *entry = t->items[i];
        if (kind == CONF_KIND_DATABASE) {
            print_database(entry, to);
            continue;
        }
        print_name(kind == CONF_KIND_SERVER ? ((const struct conf_server *)entry)->name
                   : kind == CONF_KIND_USER ? ((const struct conf_user *)entry)->name
                                            : ((const struct conf_function *)entry)->pattern,
                   to);
        print_options(kind, entry, to);
        (void)fputc('\n', to);
    }
}

void conf_print(const struct conf *conf, FILE *to)
{
    (void)fprintf(to, "; passwords are left out (***)\n");
    print_settings(conf, to);
    for (int kind = 0; kind < CONF_KIND_COUNT; kind++)
        print_entries(conf, (enum conf_kind)kind, to);
}
