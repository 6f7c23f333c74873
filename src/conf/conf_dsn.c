/* SPDX-License-Identifier: ISC
 * See conf_dsn.h.
 */
#include "config.h"

#include "conf/conf_dsn.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static char *skip_blanks(char *p)
{
    while (isspace((unsigned char)*p))
        p++;
    return p;
}

/* A value in single quotes, `p` behind the opening one; NULL when it isn't closed well. */
static char *take_quoted(char *p, struct err *err)
{
    char *to = p;
    for (; *p != '\'' || p[1] == '\''; *to++ = *p++) {
        if (*p == '\0') {
            err_set(err, "a quote (') is not closed");
            return NULL;
        }
        if (*p == '\'')
            p++;
    }
    char *rest = p + 1;
    *to = '\0';
    if (*rest != '\0' && !isspace((unsigned char)*rest)) {
        err_set(err, "no blank after a closing quote; a quote inside is written twice ('')");
        return NULL;
    }
    return rest;
}

enum conf_next conf_dsn_next_pair(char **at, char **key, char **value, struct err *err)
{
    char *p = skip_blanks(*at);
    if (*p == '\0')
        return CONF_NEXT_END;
    *key = p;
    while (*p != '\0' && *p != '=' && !isspace((unsigned char)*p))
        p++;
    char *end = p;
    p = skip_blanks(p);
    if (*p != '=' || end == *key) {
        err_set(err, "no key= where one is expected; a value with a blank in it needs quotes ('')");
        return CONF_NEXT_BAD;
    }
    *end = '\0';
    p = skip_blanks(p + 1);
    *value = p;
    if (*p == '\'') {
        *value = p + 1;
        p = take_quoted(p + 1, err);
        if (p == NULL)
            return CONF_NEXT_BAD;
    } else if (*p == '\0') {
        err_set(err, "the last key= has no value; '' is an empty one");
        return CONF_NEXT_BAD;
    } else {
        while (*p != '\0' && !isspace((unsigned char)*p))
            p++;
    }
    *at = *p == '\0' ? p : p + 1;
    *p = '\0';
    return CONF_NEXT_ITEM;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool decode(char *text, struct err *err)
{
    char *to = text;
    for (const char *p = text; *p != '\0'; p++) {
        if (*p != '%') {
            *to++ = *p;
            continue;
        }
        int hi = hex_digit(p[1]);
        int lo = hi < 0 ? -1 : hex_digit(p[2]);
        if (lo < 0 || (hi == 0 && lo == 0)) {
            err_set(err, "%% in a URL is not followed by two hexadecimal digits (a %% itself is "
                         "%%25, and %%00 can't be)");
            return false;
        }
        *to++ = (char)(hi * 16 + lo);
        p += 2;
    }
    *to = '\0';
    return true;
}

bool conf_url_is(const char *text)
{
    const char *p = text;
    while (isalnum((unsigned char)*p) || *p == '+' || *p == '-' || *p == '.')
        p++;
    return p > text && strncmp(p, "://", 3) == 0;
}

static bool split_scheme(char **text, struct conf_url *url, struct err *err)
{
    static const struct {
        const char *name;
        bool mysql;
    } schemes[] = {{"postgres", false}, {"postgresql", false}, {"mysql", true}, {"mariadb", true}};
    char *end = strstr(*text, "://");
    for (size_t i = 0; end != NULL && i < sizeof schemes / sizeof schemes[0]; i++)
        if (strlen(schemes[i].name) == (size_t)(end - *text) &&
            strncasecmp(*text, schemes[i].name, (size_t)(end - *text)) == 0) {
            url->mysql = schemes[i].mysql;
            *text = end + 3;
            return true;
        }
    err_set(err,
            "not a URL of a database; postgres://, postgresql://, mysql:// and mariadb:// are");
    return false;
}

/* user[:password] in front of the last @, so that an @ in a password needs no encoding. */
static bool split_user(char *authority, struct conf_url *url, struct err *err)
{
    char *at = strrchr(authority, '@');
    if (at == NULL) {
        url->hosts = authority;
        return true;
    }
    *at = '\0';
    url->hosts = at + 1;
    char *colon = strchr(authority, ':');
    if (colon != NULL) {
        *colon = '\0';
        url->password = colon + 1;
    }
    url->user = *authority == '\0' ? NULL : authority;
    return (url->user == NULL || decode(url->user, err)) &&
           (url->password == NULL || decode(url->password, err));
}

bool conf_url_split(char *text, struct conf_url *url, struct err *err)
{
    *url = (struct conf_url){.query = text + strlen(text)};
    if (!split_scheme(&text, url, err))
        return false;
    char *question = strchr(text, '?');
    if (question != NULL) {
        *question = '\0';
        url->query = question + 1;
    }
    char *slash = strchr(text, '/');
    if (slash != NULL) {
        *slash = '\0';
        url->dbname = slash[1] == '\0' ? NULL : slash + 1;
        if (url->dbname != NULL && !decode(url->dbname, err))
            return false;
    }
    return split_user(text, url, err);
}

/* The part up to a separator, cut out; NULL at the end. */
static char *take_part(char **at, char separator)
{
    char *part = *at;
    if (*part == '\0')
        return NULL;
    char *end = strchr(part, separator);
    *at = end == NULL ? part + strlen(part) : end + 1;
    if (end != NULL)
        *end = '\0';
    return part;
}

enum conf_next conf_url_next_host(char **at, char **host, char **port, struct err *err)
{
    char *part = take_part(at, ',');
    if (part == NULL)
        return CONF_NEXT_END;
    *host = part;
    char *rest = part;
    if (*part == '[') {
        char *close = strchr(part, ']');
        if (close == NULL || (close[1] != '\0' && close[1] != ':')) {
            err_set(err, "the [ of an IPv6 address is not closed by a ]");
            return CONF_NEXT_BAD;
        }
        *close = '\0';
        *host = part + 1;
        rest = close + 1;
    }
    char *colon = strchr(rest, ':');
    if (colon != NULL && strchr(colon + 1, ':') != NULL) {
        err_set(err, "an IPv6 address needs brackets: [::1]:5432");
        return CONF_NEXT_BAD;
    }
    *port = colon == NULL || colon[1] == '\0' ? NULL : colon + 1;
    if (colon != NULL)
        *colon = '\0';
    return decode(*host, err) ? CONF_NEXT_ITEM : CONF_NEXT_BAD;
}

enum conf_next conf_url_next_option(char **at, char **key, char **value, struct err *err)
{
    char *part = take_part(at, '&');
    if (part == NULL)
        return CONF_NEXT_END;
    char *equals = strchr(part, '=');
    if (equals == NULL || equals == part) {
        err_set(err, "a part behind the ? of a URL is not key=value");
        return CONF_NEXT_BAD;
    }
    *equals = '\0';
    *key = part;
    *value = equals + 1;
    return decode(*key, err) && decode(*value, err) ? CONF_NEXT_ITEM : CONF_NEXT_BAD;
}
