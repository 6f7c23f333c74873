/* SPDX-License-Identifier: ISC
 * See my_text.h.
 */
#include "config.h"

#include "proto/mysql/my_text.h"

#include "base/fnv.h"
#include "proto/mysql/my_scan.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define HASH_NONFATAL_OOM 1
#include "base/hash.h"

/* ---- texts ---- */

struct text_node {
    UT_hash_handle hh;
    struct my_text text;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct text_node *texts;

static struct text_node *node_of(const struct my_text *t)
{
    return (struct text_node *)(uintptr_t)((const char *)t - offsetof(struct text_node, text));
}

struct my_text *my_text_intern(const char *context, const char *sql, size_t n, uint64_t flags)
{
    size_t at = strlen(context) + 1;
    struct text_node *known, *fresh = calloc(1, sizeof *fresh + at + n + 1);
    if (fresh == NULL)
        return NULL;
    struct my_text *t = &fresh->text;
    memcpy(t->key, context, at);
    memcpy(t->key + at, sql, n);
    t->key_len = (uint32_t)(at + n);
    t->text_at = (uint32_t)at;
    t->text_len = (uint32_t)n;
    t->flags = flags;
    t->refs = 1;
    pthread_mutex_lock(&lock);
    HASH_FIND(hh, texts, t->key, t->key_len, known);
    if (known != NULL) {
        known->text.refs++;
        t = &known->text;
        free(fresh);
    } else {
        HASH_ADD(hh, texts, text.key, t->key_len, fresh);
        if (fresh->hh.tbl == NULL) {
            free(fresh);
            t = NULL;
        }
    }
    pthread_mutex_unlock(&lock);
    return t;
}

struct my_text *my_text_get(struct my_text *t)
{
    pthread_mutex_lock(&lock);
    t->refs++;
    pthread_mutex_unlock(&lock);
    return t;
}

void my_text_put(struct my_text **tp)
{
    struct my_text *t = *tp;
    if (t == NULL)
        return;
    *tp = NULL;
    pthread_mutex_lock(&lock);
    if (--t->refs == 0) {
        struct text_node *node = node_of(t);
        HASH_DEL(texts, node);
        free(node);
    }
    pthread_mutex_unlock(&lock);
}

/* ---- a client's statements ---- */

struct my_stmt_node {
    UT_hash_handle hh;
    struct my_stmt stmt;
};

static size_t stmt_bytes(const struct my_stmt_node *node)
{
    return sizeof *node + node->stmt.text->key_len + 2u * node->stmt.params;
}

static void stmt_free(struct my_stmts *all, struct my_stmt_node *node)
{
    HASH_DEL(all->by_id, node);
    all->bytes -= stmt_bytes(node);
    all->long_bytes -= buf_len(&node->stmt.longs);
    my_text_put(&node->stmt.text);
    free(node->stmt.types);
    buf_release(&node->stmt.longs);
    free(node);
}

struct my_stmt *my_stmts_add(struct my_stmts **allp, struct my_text *text, uint16_t params,
                             uint16_t columns)
{
    struct my_stmts *all = *allp;
    if (all == NULL && (all = *allp = calloc(1, sizeof *all)) == NULL)
        return NULL;
    struct my_stmt_node *node = calloc(1, sizeof *node);
    if (node == NULL)
        return NULL;
    do /* after four thousand millions of them */
        if (++all->last == 0 || all->last == UINT32_MAX)
            all->last = 1;
    while (my_stmts_find(all, all->last) != NULL);
    node->stmt.id = all->latest = all->last;
    node->stmt.params = params;
    node->stmt.columns = columns;
    HASH_ADD(hh, all->by_id, stmt.id, sizeof node->stmt.id, node);
    if (node->hh.tbl == NULL) {
        free(node);
        return NULL;
    }
    node->stmt.text = my_text_get(text);
    all->bytes += stmt_bytes(node);
    return &node->stmt;
}

bool my_stmts_part(struct my_stmts *all, struct my_stmt *s, uint64_t token)
{
    size_t room = strlen(s->text->key) + 64;
    char *key = malloc(room);
    if (key == NULL)
        return false;
    snprintf(key, room, "%s %" PRIu64 ".%" PRIu32, s->text->key, token, s->id);
    struct my_text *own =
        my_text_intern(key, my_text_sql(s->text), s->text->text_len, s->text->flags);
    free(key);
    if (own == NULL)
        return false;
    all->bytes += own->key_len;
    all->bytes -= s->text->key_len;
    my_text_put(&s->text);
    s->text = own;
    return true;
}

struct my_stmt *my_stmts_find(const struct my_stmts *all, uint32_t id)
{
    struct my_stmt_node *node = NULL;
    if (all != NULL)
        HASH_FIND(hh, all->by_id, &id, sizeof id, node);
    return node != NULL ? &node->stmt : NULL;
}

uint32_t my_stmts_last(const struct my_stmts *all)
{
    return all != NULL ? all->last : 0;
}

void my_stmts_remove(struct my_stmts **allp, uint32_t id)
{
    struct my_stmts *all = *allp;
    struct my_stmt_node *node = NULL;
    if (all != NULL)
        HASH_FIND(hh, all->by_id, &id, sizeof id, node);
    if (node != NULL)
        stmt_free(all, node);
}

void my_stmts_clear(struct my_stmts **allp)
{
    struct my_stmts *all = *allp;
    struct my_stmt_node *node, *next;
    if (all == NULL)
        return;
    HASH_ITER(hh, all->by_id, node, next)
    stmt_free(all, node);
    free(all);
    *allp = NULL;
}

uint32_t my_stmts_count(const struct my_stmts *all, size_t *bytes)
{
    if (bytes != NULL)
        *bytes = all != NULL ? all->bytes : 0;
    return all != NULL ? HASH_COUNT(all->by_id) : 0;
}

/* MYSQL_TYPE_TINY .. DOUBLE, LONGLONG, INT24, YEAR, BIT, NEWDECIMAL */
static bool is_number(uint8_t type)
{
    return type <= 5 || type == 8 || type == 9 || type == 13 || type == 16 || type == 246;
}

bool my_stmt_set_types(struct my_stmt *s, const uint8_t *types)
{
    size_t n = 2u * s->params;
    if (s->types != NULL && memcmp(s->types, types, n) == 0)
        return true;
    uint8_t *copy = realloc(s->types, 2 * n);
    if (copy == NULL)
        return false;
    memcpy(copy, types, n);
    if (s->types == NULL)
        memcpy(copy + n, types, n);
    for (size_t i = 0; i < n; i += 2)
        if (types[i] != MY_TYPE_NULL && !(is_number(copy[n + i]) && !is_number(types[i])))
            memcpy(copy + n + i, types + i, 2);
    s->types = copy;
    /* A number for these types: a hash will do, for a wrong match needs two types of one statement
     * that collide. */
    uint32_t h = fnv_add(FNV_START, types, n);
    s->types_id = h != 0 ? h : 1;
    return true;
}

/* ---- one after another ---- */

static void digest(const void *of, char *to, size_t room)
{
    const struct my_text *t = of;
    /* The context's last line is a collation: it begins with the name of its character set. What
     * makes a text somebody's own stands behind it. */
    char charset[32] = "";
    const char *line = strrchr(t->key, '\n');
    if (line != NULL)
        (void)sscanf(line + 1, "%31[^_ ]", charset);
    my_scan_digest(my_text_sql(t), t->text_len, my_scan_charset(charset), to, room);
}

void my_text_row(const struct my_text *t, proto_statement_row *row, void *arg)
{
    struct proto_statement out = {.key = (uintptr_t)t, .name = "", .of = t, .digest = digest};
    out.bytes = t->text_len;
    row(arg, &out);
}

void my_stmts_each(const struct my_stmts *all, proto_statement_row *row, void *arg)
{
    for (const struct my_stmt_node *node = all != NULL ? all->by_id : NULL; node != NULL;
         node = node->hh.next)
        my_text_row(node->stmt.text, row, arg);
}
