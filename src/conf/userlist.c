/* SPDX-License-Identifier: ISC
 * See userlist.h.
 */
#include "config.h"

/* Out of memory is a fault of this list, not the end of the process. */
#define HASH_NONFATAL_OOM        1
#define uthash_nonfatal_oom(elt) ((elt)->lost = true)

#include "base/hash.h"
#include "conf/userlist.h"

#include "conf/conf_arena.h"
#include "conf/conf_file.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct userlist_node {
    struct userlist_user user;
    int line;
    bool lost; /* uthash had no memory for it */
    UT_hash_handle hh;
};

struct userlist {
    struct userlist_node *by_name;
    struct userlist_node **nodes; /* in the file's order */
    size_t n;
    struct conf_arena arena; /* wiped when it goes */
};

struct parser {
    struct userlist *list;
    struct conf_report *report;
    const char *label;
    const char *at;
    const char *end;
    int line;
};

static bool all_hex(const char *p, size_t n)
{
    return strspn(p, "0123456789abcdefABCDEF") >= n;
}

#define BASE64 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="

/* SCRAM-SHA-256$4096:salt$stored:server, the last two 32 bytes in base64. */
static bool is_scram(const char *p)
{
    if (strncmp(p, "SCRAM-SHA-256$", 14) != 0)
        return false;
    p += 14;
    size_t digits = strspn(p, "0123456789");
    if (digits == 0 || digits > 9 || p[digits] != ':')
        return false;
    p += digits + 1;
    size_t salt = strspn(p, BASE64);
    if (salt == 0 || p[salt] != '$')
        return false;
    p += salt + 1;
    size_t stored = strspn(p, BASE64);
    if (stored != 44 || p[stored] != ':')
        return false;
    p += stored + 1;
    return strspn(p, BASE64) == 44 && p[44] == '\0';
}

/* Anything that isn't exactly one of the known forms is a password. */
static enum userlist_kind classify(const char *secret)
{
    size_t len = strlen(secret);
    if (len == 35 && strncmp(secret, "md5", 3) == 0 && all_hex(secret + 3, 32))
        return USERLIST_MD5;
    if (is_scram(secret))
        return USERLIST_SCRAM;
    if (len == 41 && secret[0] == '*' && all_hex(secret + 1, 40))
        return USERLIST_NATIVE;
    if (len >= 10 && strncmp(secret, "$A$", 3) == 0 && all_hex(secret + 3, 3) && secret[6] == '$')
        return USERLIST_CACHING_SHA2;
    return USERLIST_PLAIN;
}

const char *userlist_kind_name(enum userlist_kind kind)
{
    static const char *const names[] = {"plain", "md5", "scram-sha-256", "mysql_native_password",
                                        "caching_sha2_password"};
    return names[kind];
}

static void skip_line(struct parser *p)
{
    while (p->at < p->end && *p->at != '\n')
        p->at++;
}

static void skip_blanks(struct parser *p)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\r'))
        p->at++;
}

static bool fault_quoted(struct parser *p, const char *what, const char *wrong)
{
    conf_report_add(p->report, CONF_ERROR, p->label, p->line, "%s %s", what, wrong);
    return false;
}

/* "text", a quote inside doubled, into `to`; false and a fault when it isn't one. */
static bool take_quoted(struct parser *p, const char *what, char *to, size_t max)
{
    size_t n = 0;
    skip_blanks(p);
    if (p->at == p->end || *p->at != '"')
        return fault_quoted(p, what, "is missing; \"user\" \"secret\" is a line");
    for (p->at++; p->at < p->end && *p->at != '\n' && *p->at != '\0'; p->at++) {
        if (*p->at == '"') {
            if (p->at + 1 == p->end || p->at[1] != '"') {
                p->at++;
                to[n] = '\0';
                return true;
            }
            p->at++;
        }
        if (n == max)
            return fault_quoted(p, what, "is too long");
        to[n++] = *p->at;
    }
    return fault_quoted(p, what, "has no closing quote");
}

/* PgBouncer lets the last line of a user hold, so its files may have several. */
static void replace(struct parser *p, struct userlist_node *node, const char *secret)
{
    conf_report_add(p->report, CONF_WARNING, p->label, p->line,
                    "user \"%s\" is there twice, first in line %d; the last one holds",
                    node->user.name, node->line);
    node->user.secret = conf_arena_text(&p->list->arena, secret);
    node->user.kind = classify(secret);
}

static void add(struct parser *p, const char *name, const char *secret)
{
    struct userlist *l = p->list;
    struct userlist_node *node;
    HASH_FIND_STR(l->by_name, name, node);
    if (strncmp(secret, "SCRAM-SHA-256$", 14) == 0 && !is_scram(secret))
        conf_report_add(p->report, CONF_WARNING, p->label, p->line,
                        "the secret of \"%s\" looks like SCRAM but isn't; it is taken for a "
                        "password",
                        name);
    if (node != NULL) {
        replace(p, node, secret);
        return;
    }
    struct userlist_node **slot = conf_arena_push(&l->arena, &l->nodes, &l->n, sizeof *slot);
    node = slot == NULL ? NULL : conf_arena_alloc(&l->arena, sizeof *node);
    if (node == NULL) {
        l->n -= slot != NULL;
        return;
    }
    *slot = node;
    node->user.name = conf_arena_text(&l->arena, name);
    node->user.secret = conf_arena_text(&l->arena, secret);
    node->user.kind = classify(secret);
    node->line = p->line;
    HASH_ADD_KEYPTR(hh, l->by_name, node->user.name, strlen(node->user.name), node);
    l->arena.failed |= node->lost;
}

/* "user" "secret", whatever follows is PgBouncer's to ignore. */
static void take_line(struct parser *p)
{
    char name[USERLIST_NAME_MAX + 1], secret[USERLIST_SECRET_MAX + 1];
    skip_blanks(p);
    if (p->at == p->end || *p->at == '\n' || *p->at == ';' || *p->at == '#')
        return;
    if (take_quoted(p, "the user", name, USERLIST_NAME_MAX) &&
        take_quoted(p, "the secret", secret, USERLIST_SECRET_MAX)) {
        if (name[0] == '\0')
            (void)fault_quoted(p, "the user", "has no name");
        else
            add(p, name, secret);
    }
    explicit_bzero(secret, sizeof secret);
}

struct userlist *userlist_parse(const char *text, size_t len, const char *label,
                                struct conf_report *report)
{
    size_t errors_before = report->errors;
    struct userlist *list = calloc(1, sizeof *list);
    if (list == NULL) {
        conf_report_add(report, CONF_ERROR, label, 0, "out of memory");
        return NULL;
    }
    struct parser p = {list, report, label, text, text + len, 1};
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        p.at += 3;
    while (p.at < p.end) {
        take_line(&p);
        skip_line(&p);
        if (p.at < p.end)
            p.at++;
        p.line++;
    }
    if (list->arena.failed)
        conf_report_add(report, CONF_ERROR, label, 0, "out of memory");
    if (report->errors != errors_before)
        userlist_free(&list);
    return list;
}

struct userlist *userlist_load(const char *path, struct conf_report *report)
{
    struct err err;
    size_t len;
    char *text = conf_file_read(path, &len, &err);
    if (text == NULL) {
        conf_report_add(report, CONF_ERROR, path, 0, "auth_file: %s", err.text);
        return NULL;
    }
    struct userlist *list = userlist_parse(text, len, path, report);
    conf_file_free(&text, len);
    return list;
}

void userlist_free(struct userlist **list)
{
    struct userlist *l = *list;
    *list = NULL;
    if (l == NULL)
        return;
    HASH_CLEAR(hh, l->by_name);
    conf_arena_fini(&l->arena);
    free(l);
}

const struct userlist_user *userlist_find(const struct userlist *list, const char *name)
{
    struct userlist_node *node;
    HASH_FIND_STR(list->by_name, name, node);
    return node == NULL ? NULL : &node->user;
}

size_t userlist_count(const struct userlist *list)
{
    return list->n;
}

const struct userlist_user *userlist_at(const struct userlist *list, size_t i)
{
    return i < list->n ? &list->nodes[i]->user : NULL;
}
