/* SPDX-License-Identifier: ISC
 * See pg_stmt.h.
 */
#include "config.h"

#include "proto/pg/pg_stmt.h"

#include "base/buf.h"
#include "base/hash.h"
#include "proto/pg/pg_crypto.h"
#include "proto/pg/pg_stmt_cache.h"
#include "proto/pg/pg_stmt_each.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    struct pg_stmt s; /* first: the public part */
    uint32_t refs;    /* under table_lock */
    UT_hash_handle hh;
    uint8_t bytes[];
};

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry *table;

static _Atomic uint32_t change_clock = 1; /* events that make statements old */
static _Atomic uint32_t all_changed;      /* the last one that was about all of them */
static _Atomic uint32_t last_drop;        /* of what a name may stand for something else now */

static struct entry *entry_create(const uint8_t *body, size_t n, pg_text_how_t how,
                                  const uint8_t digest[16])
{
    struct entry *e = calloc(1, sizeof *e + n);
    if (e == NULL)
        return NULL;
    memcpy(e->bytes, body, n);
    e->s.body = e->bytes;
    e->s.body_len = (uint32_t)n;
    e->s.how = how;
    memcpy(e->s.digest, digest, 16);
    memcpy(e->s.name, PG_STMT_PREFIX, PG_STMT_PREFIX_LEN);
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < 16; i++) {
        e->s.name[PG_STMT_PREFIX_LEN + 2 * i] = hex[digest[i] >> 4];
        e->s.name[PG_STMT_PREFIX_LEN + 2 * i + 1] = hex[digest[i] & 15];
    }
    e->refs = 1;
    /* Connections may have it from before, when it was known already and what was found out about
     * it is forgotten. */
    e->s.changed = change_clock;
    return e;
}

static void keep_used(struct pg_stmt *s, const uint32_t *used, uint32_t n)
{
    uint32_t kept = n < PG_SCAN_USED_MAX ? n : PG_SCAN_USED_MAX;
    s->n_used = n;
    if (kept == 0)
        return;
    uint32_t *copy = malloc(kept * sizeof *copy);
    if (copy != NULL)
        memcpy(copy, used, kept * sizeof *copy);
    else
        s->n_used = PG_SCAN_USED_MAX + 1; /* it can't be told */
    s->used = copy;
}

static void entry_free(struct entry *e)
{
    free((void *)(uintptr_t)e->s.used);
    free(e);
}

/* With what was found in `like`, or as scanning finds it. */
static struct pg_stmt *intern(const uint8_t *body, size_t n, pg_text_how_t how,
                              pg_stmt_scan_fn *scan, const struct pg_stmt *like)
{
    uint8_t digest[16];
    const char *sql = (const char *)body;
    size_t text = strlen(sql);
    how = pg_text_how_of(sql, text, how);
    pg_crypto_digest128(body, n, digest);
    digest[0] ^= (uint8_t)(how >> 8);
    digest[1] ^= (uint8_t)(how ^ PG_TEXT_PLAIN);
    digest[2] ^= (uint8_t)(how >> 16);
    digest[3] ^= (uint8_t)(how >> 24);
    struct entry *e = NULL;
    pthread_mutex_lock(&table_lock);
    HASH_FIND(hh, table, digest, 16, e);
    if (e != NULL)
        e->refs++;
    pthread_mutex_unlock(&table_lock);
    if (e != NULL)
        return &e->s;

    e = entry_create(body, n, how, digest);
    if (e == NULL)
        return NULL;
    e->s.text_len = (uint32_t)text;
    if (like != NULL) {
        e->s.flags = like->flags;
        keep_used(&e->s, like->used, like->n_used);
    } else {
        struct pg_scan found;
        e->s.flags = scan(sql, text, how, &found);
        keep_used(&e->s, found.used, found.n_used);
    }
    struct entry *other = NULL;
    pthread_mutex_lock(&table_lock);
    HASH_FIND(hh, table, digest, 16, other); /* another worker may have been quicker */
    if (other != NULL) {
        other->refs++;
    } else {
        HASH_ADD(hh, table, s.digest, 16, e);
    }
    pthread_mutex_unlock(&table_lock);
    if (other == NULL)
        return &e->s;
    entry_free(e);
    return &other->s;
}

struct pg_stmt *pg_stmt_intern(const uint8_t *body, size_t n, pg_text_how_t how,
                               pg_stmt_scan_fn *scan)
{
    return intern(body, n, how, scan, NULL);
}

struct pg_stmt *pg_stmt_declare(const struct pg_stmt *s, const uint8_t *types, size_t n)
{
    struct buf b = {0};
    struct pg_stmt *declared = NULL;
    if (buf_append(&b, s->body, s->text_len + 1) && buf_append(&b, types, n))
        declared = intern(buf_head(&b), buf_len(&b), s->how, NULL, s);
    buf_release(&b);
    return declared;
}

struct pg_stmt *pg_stmt_get(struct pg_stmt *s)
{
    if (s == NULL)
        return NULL;
    struct entry *e = (struct entry *)(void *)s;
    pthread_mutex_lock(&table_lock);
    e->refs++;
    pthread_mutex_unlock(&table_lock);
    return s;
}

void pg_stmt_drop(struct pg_stmt **sp)
{
    struct entry *e = (struct entry *)(void *)*sp;
    *sp = NULL;
    pthread_mutex_lock(&table_lock);
    assert(e->refs > 0);
    bool last = --e->refs == 0;
    if (last) {
        HASH_DEL(table, e);
    }
    pthread_mutex_unlock(&table_lock);
    if (last)
        entry_free(e);
}

static uint8_t nibble(char c)
{
    return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static void digest_of_name(const char *name, uint8_t to[16])
{
    const char *hex = name + PG_STMT_PREFIX_LEN;
    for (size_t i = 0; i < 16; i++)
        to[i] = (uint8_t)(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]));
}

static uint32_t next_change(void)
{
    return atomic_fetch_add(&change_clock, 1) + 1;
}

void pg_stmt_all_changed(void)
{
    all_changed = next_change();
}

void pg_stmt_on_tag(const char *tag)
{
    static const char *const tags[] = {"ALTER TABLE", "ALTER VIEW",   "ALTER TYPE",
                                       "CREATE VIEW", "ALTER DOMAIN", "CREATE FUNCTION",
                                       "CREATE CAST", "DROP CAST",    "CREATE OPERATOR"};
    if (tag[0] == 'S' || tag[0] == 'I' || tag[0] == 'U') /* most of them */
        return;
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++)
        if (strcmp(tag, tags[i]) == 0)
            pg_stmt_all_changed();
    if (strncmp(tag, "DROP ", 5) == 0)
        last_drop = next_change();
}

void pg_stmt_changed(const char *server_name)
{
    uint8_t raw[16];
    struct entry *e = NULL;
    digest_of_name(server_name, raw);
    pthread_mutex_lock(&table_lock);
    HASH_FIND(hh, table, raw, 16, e);
    if (e != NULL)
        e->s.changed = next_change();
    pthread_mutex_unlock(&table_lock);
}

/* ---- a server connection's cache ---------------------------------------------------------------
 */

/* uthash keeps items in the order of insertion: the head is the least recently used. */
struct pg_cache {
    UT_hash_handle hh;
    uint32_t at; /* when it was prepared, by change_clock; 0: who knows */
    pg_columns_t columns;
    pg_types_t types;
    char name[PG_STMT_NAME_BYTES];
};

/* The name is a digest already. */
static uint32_t name_hash(const char name[PG_STMT_NAME_BYTES])
{
    uint64_t digits;
    memcpy(&digits, name + PG_STMT_PREFIX_LEN, sizeof digits);
    return (uint32_t)((digits * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

static struct pg_cache *cache_item(struct pg_cache *c, const char *name)
{
    struct pg_cache *item = NULL;
    if (c != NULL)
        HASH_FIND_BYHASHVALUE(hh, c, name, PG_STMT_NAME_BYTES - 1, name_hash(name), item);
    return item;
}

bool pg_cache_touch(struct pg_cache **c, const struct pg_stmt *s)
{
    struct pg_cache *item = cache_item(*c, s->name);
    if (item == NULL)
        return false;
    if (item->hh.next != NULL) { /* not the newest: move it to the end */
        HASH_DEL(*c, item);
        HASH_ADD_BYHASHVALUE(hh, *c, name, PG_STMT_NAME_BYTES - 1, name_hash(item->name), item);
    }
    return true;
}

bool pg_cache_is_old(struct pg_cache *c, const struct pg_stmt *s)
{
    const struct pg_cache *item = cache_item(c, s->name);
    return item != NULL && (item->at < s->changed || item->at < all_changed);
}

bool pg_cache_is_outlived(struct pg_cache *c, const struct pg_stmt *s)
{
    const struct pg_cache *item = cache_item(c, s->name);
    return pg_cache_is_old(c, s) || (item != NULL && item->at < last_drop);
}

void pg_cache_grow_old(struct pg_cache *c, const struct pg_stmt *s)
{
    struct pg_cache *item = cache_item(c, s->name);
    if (item != NULL)
        item->at = 0;
}

pg_columns_t pg_cache_columns(struct pg_cache *c, const struct pg_stmt *s)
{
    const struct pg_cache *item = cache_item(c, s->name);
    return item != NULL ? item->columns : 0;
}

pg_types_t pg_cache_types(struct pg_cache *c, const struct pg_stmt *s)
{
    const struct pg_cache *item = cache_item(c, s->name);
    return item != NULL ? item->types : 0;
}

void pg_cache_described_types(struct pg_cache *c, const struct pg_stmt *s, const uint8_t *body,
                              size_t n)
{
    struct pg_cache *item = cache_item(c, s->name);
    if (item != NULL)
        item->types = pg_types_mark(body, n);
}

void pg_cache_described(struct pg_cache *c, const struct pg_stmt *s, pg_columns_t columns)
{
    struct pg_cache *item = cache_item(c, s->name);
    if (item != NULL)
        item->columns = columns;
}

bool pg_cache_add(struct pg_cache **c, const struct pg_stmt *s)
{
    struct pg_cache *item = calloc(1, sizeof *item);
    if (item == NULL)
        return false;
    memcpy(item->name, s->name, PG_STMT_NAME_BYTES);
    item->at = change_clock;
    HASH_ADD_BYHASHVALUE(hh, *c, name, PG_STMT_NAME_BYTES - 1, name_hash(item->name), item);
    return true;
}

bool pg_cache_evict(struct pg_cache **c, uint32_t limit, char evicted[PG_STMT_NAME_BYTES])
{
    if (HASH_COUNT(*c) <= limit)
        return false;
    struct pg_cache *oldest = *c;
    memcpy(evicted, oldest->name, PG_STMT_NAME_BYTES);
    HASH_DEL(*c, oldest);
    free(oldest);
    return true;
}

void pg_cache_remove(struct pg_cache **c, const char *server_name)
{
    struct pg_cache *item = cache_item(*c, server_name);
    if (item == NULL)
        return;
    HASH_DEL(*c, item);
    free(item);
}

void pg_cache_put_back(struct pg_cache **c, const char *server_name)
{
    struct pg_cache *item = calloc(1, sizeof *item);
    if (item == NULL)
        return;
    memcpy(item->name, server_name, PG_STMT_NAME_BYTES);
    HASH_ADD_BYHASHVALUE(hh, *c, name, PG_STMT_NAME_BYTES - 1, name_hash(item->name), item);
}

void pg_cache_clear(struct pg_cache **c)
{
    struct pg_cache *item, *tmp;
    HASH_ITER(hh, *c, item, tmp)
    {
        HASH_DEL(*c, item);
        free(item);
    }
    *c = NULL;
}

uint32_t pg_cache_count(const struct pg_cache *c)
{
    return HASH_COUNT(c);
}

/* ---- one after another -------------------------------------------------------------------------
 */

static void digest(const void *of, char *to, size_t room)
{
    const struct pg_stmt *st = of;
    to[0] = '\0';
    if (st != NULL)
        pg_text_digest(to, room, (const char *)st->body, st->text_len, st->how);
}

void pg_stmt_row(const struct pg_stmt *st, const char *name, proto_statement_row *row, void *arg)
{
    uint8_t raw[16];
    struct proto_statement out = {.name = name, .of = st, .digest = digest};
    digest_of_name(name, raw);
    memcpy(&out.key, raw, sizeof out.key);
    if (st != NULL)
        out.bytes = st->text_len;
    row(arg, &out);
}

void pg_cache_each(const struct pg_cache *cache, proto_statement_row *row, void *arg)
{
    for (const struct pg_cache *item = cache; item != NULL; item = item->hh.next) {
        uint8_t raw[16];
        struct entry *e = NULL;
        digest_of_name(item->name, raw);
        pthread_mutex_lock(&table_lock);
        HASH_FIND(hh, table, raw, 16, e);
        if (e != NULL)
            e->refs++;
        pthread_mutex_unlock(&table_lock);
        struct pg_stmt *st = e != NULL ? &e->s : NULL;
        pg_stmt_row(st, item->name, row, arg);
        pg_stmt_put(&st);
    }
}
