/* SPDX-License-Identifier: ISC
 * Interned settings: see pg_guc.h. The SQL between two sets is in pg_guc_sql.c.
 *
 * Two hash tables: entries by (form, name, value), sets by their sorted array of entries. As equal
 * entries are one object, a set's identity is its array of pointers, and comparing two sets'
 * entries is comparing pointers. A set holds a reference on each of its entries; when its own count
 * falls to zero it leaves the table at once, so the tables never hold what nobody uses. The empty
 * set belongs to the table and is never freed before it.
 */
#include "config.h"

#include "proto/pg/pg_guc_priv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* A table must survive running out of memory: an element that could not be added has no table. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define PART_MAX 63 /* NAMEDATALEN - 1 */

struct pg_guc_table {
    uint32_t magic;
#define PG_GUC_TABLE_MAGIC 0x70674755u
    struct guc_value *values;
    struct guc_node *nodes;
    struct pg_guc_set *empty;
};

/* uthash wants its handle inside the element. */
struct guc_node {
    UT_hash_handle hh;
    struct pg_guc_set set;
};

static struct guc_node *node_of(struct pg_guc_set *set)
{
    return (struct guc_node *)((char *)set - offsetof(struct guc_node, set));
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

int guc_name_compare(const char *a, size_t a_len, const char *b, size_t b_len)
{
    for (size_t i = 0; i < a_len && i < b_len; i++) {
        int d = (uint8_t)lower(a[i]) - (uint8_t)lower(b[i]);
        if (d != 0)
            return d;
    }
    return a_len < b_len ? -1 : a_len > b_len;
}

/* Letters, digits, underscore, dollar, dash and what is not ASCII, in parts between dots: all that
 * a setting's name can have, and nothing that has to be doubled inside "". A part that is longer
 * than an identifier would be cut when it is replayed. */
static bool good_name(const char *name, size_t len)
{
    if (len == 0 || len > PG_GUC_NAME_MAX)
        return false;
    for (size_t i = 0, part = 0; i <= len; i++, part++) {
        if (i == len || name[i] == '.') {
            if (part == 0 || part > PART_MAX)
                return false;
            part = SIZE_MAX; /* 0 for the next */
            continue;
        }
        uint8_t c = (uint8_t)name[i];
        bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        if (!letter && !(c >= '0' && c <= '9') && c < 128 && memchr("_$-", c, 3) == NULL)
            return false;
    }
    return true;
}

/* ---- entries ----------------------------------------------------------------------------------
 */

static void value_put(struct pg_guc_table *t, struct guc_value *v)
{
    assert(v->refs > 0);
    if (--v->refs > 0)
        return;
    HASH_DEL(t->values, v);
    free(v);
}

/* The interned entry with one more reference. Its key is form, name, NUL, value. */
static struct guc_value *value_get(struct pg_guc_table *t, const char *name, size_t name_len,
                                   enum pg_guc_form form, const char *value, size_t len)
{
    if (!good_name(name, name_len) || len > PG_GUC_VALUE_MAX || memchr(value, 0, len) != NULL)
        return NULL;
    size_t key_len = 1 + name_len + 1 + len;
    struct guc_value *v = calloc(1, sizeof(*v) + key_len + 1), *known;
    if (v == NULL)
        return NULL;
    v->key[0] = (char)form;
    for (size_t i = 0; i < name_len; i++)
        v->key[1 + i] = form == PG_GUC_REPORT ? name[i] : lower(name[i]);
    memcpy(v->key + 1 + name_len + 1, value, len);
    v->name_len = (uint32_t)name_len;
    v->value_len = (uint32_t)len;
    HASH_FIND(hh, t->values, v->key, key_len, known);
    if (known != NULL) {
        free(v);
        known->refs++;
        return known;
    }
    v->refs = 1;
    HASH_ADD(hh, t->values, key, key_len, v);
    if (v->hh.tbl == NULL) {
        free(v);
        return NULL;
    }
    return v;
}

/* ---- sets -------------------------------------------------------------------------------------
 */

static void node_free(struct pg_guc_table *t, struct guc_node *node)
{
    HASH_DEL(t->nodes, node);
    for (uint32_t i = 0; i < node->set.count; i++)
        value_put(t, node->set.values[i]);
    free(node);
}

static struct guc_node *node_create(struct pg_guc_table *t, uint32_t count)
{
    struct guc_node *node = calloc(1, sizeof(*node) + count * sizeof(node->set.values[0]));
    if (node == NULL)
        return NULL;
    node->set.magic = PG_GUC_SET_MAGIC;
    node->set.table = t;
    node->set.count = count;
    return node;
}

/* Make this fresh node the set that it describes: an equal one if there is one. Takes the node and
 * the references of its entries. */
static struct pg_guc_set *intern(struct guc_node *node)
{
    struct pg_guc_table *t = node->set.table;
    size_t key_len = node->set.count * sizeof(node->set.values[0]);
    struct guc_node *known = NULL;
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < node->set.count; i++)
        bytes += node->set.values[i]->name_len + node->set.values[i]->value_len;
    if (bytes <= PG_GUC_SET_MAX) {
        HASH_FIND(hh, t->nodes, node->set.values, key_len, known);
        if (known == NULL) {
            node->set.refs = 1;
            HASH_ADD_KEYPTR(hh, t->nodes, node->set.values, key_len, node);
            if (node->hh.tbl != NULL)
                return &node->set;
        }
    }
    for (uint32_t i = 0; i < node->set.count; i++)
        value_put(t, node->set.values[i]);
    free(node);
    return known != NULL ? pg_guc_get(&known->set) : NULL;
}

/* Where the name is, or would be. */
static uint32_t position(const struct pg_guc_set *set, const char *name, size_t len, bool *found)
{
    uint32_t low = 0, high = set->count;
    *found = false;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        const struct guc_value *v = set->values[mid];
        int d = guc_name_compare(guc_name(v), v->name_len, name, len);
        if (d == 0) {
            *found = true;
            return mid;
        }
        if (d < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct pg_guc_set *pg_guc_with(struct pg_guc_set *set, const char *name, size_t name_len,
                               enum pg_guc_form form, const char *value, size_t value_len)
{
    struct pg_guc_table *t = set->table;
    bool found;
    uint32_t at = position(set, name, name_len, &found), rest = at + found;
    uint32_t count = set->count + !found;
    assert(set->magic == PG_GUC_SET_MAGIC);
    if (count > PG_GUC_ENTRIES_MAX)
        return NULL;
    struct guc_value *v = value_get(t, name, name_len, form, value, value_len);
    if (v == NULL)
        return NULL;
    if (found && set->values[at] == v) {
        value_put(t, v);
        return pg_guc_get(set);
    }
    struct guc_node *node = node_create(t, count);
    if (node == NULL) {
        value_put(t, v);
        return NULL;
    }
    memcpy(node->set.values, set->values, at * sizeof(v));
    node->set.values[at] = v;
    memcpy(node->set.values + at + 1, set->values + rest, (set->count - rest) * sizeof(v));
    for (uint32_t i = 0; i < count; i++)
        node->set.values[i]->refs += i != at;
    return intern(node);
}

struct pg_guc_set *pg_guc_without(struct pg_guc_set *set, const char *name, size_t name_len)
{
    bool found;
    uint32_t at = position(set, name, name_len, &found);
    assert(set->magic == PG_GUC_SET_MAGIC);
    if (!found)
        return pg_guc_get(set);
    struct guc_node *node = node_create(set->table, set->count - 1);
    if (node == NULL)
        return NULL;
    memcpy(node->set.values, set->values, at * sizeof(set->values[0]));
    memcpy(node->set.values + at, set->values + at + 1,
           (set->count - at - 1) * sizeof(set->values[0]));
    for (uint32_t i = 0; i < node->set.count; i++)
        node->set.values[i]->refs++;
    return intern(node);
}

struct pg_guc_set *pg_guc_empty(struct pg_guc_table *table)
{
    return pg_guc_get(table->empty);
}

struct pg_guc_set *pg_guc_get(struct pg_guc_set *set)
{
    assert(set->magic == PG_GUC_SET_MAGIC && set->refs > 0);
    set->refs++;
    return set;
}

void pg_guc_put(struct pg_guc_set **set)
{
    struct pg_guc_set *s = *set;
    *set = NULL;
    if (s == NULL)
        return;
    assert(s->magic == PG_GUC_SET_MAGIC && s->refs > 0);
    if (--s->refs == 0)
        node_free(s->table, node_of(s));
}

struct pg_guc_table *pg_guc_table_create(void)
{
    struct pg_guc_table *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return NULL;
    t->magic = PG_GUC_TABLE_MAGIC;
    struct guc_node *node = node_create(t, 0);
    t->empty = node != NULL ? intern(node) : NULL;
    if (t->empty == NULL) {
        free(t);
        return NULL;
    }
    return t;
}

void pg_guc_table_destroy(struct pg_guc_table **table)
{
    struct pg_guc_table *t = *table;
    *table = NULL;
    if (t == NULL)
        return;
    assert(t->magic == PG_GUC_TABLE_MAGIC);
    pg_guc_put(&t->empty);
    assert(t->nodes == NULL && t->values == NULL);
    free(t);
}

/* ---- looking ----------------------------------------------------------------------------------
 */

uint32_t pg_guc_count(const struct pg_guc_set *set)
{
    return set->count;
}

struct pg_guc_entry pg_guc_at(const struct pg_guc_set *set, uint32_t i)
{
    assert(set->magic == PG_GUC_SET_MAGIC && i < set->count);
    const struct guc_value *v = set->values[i];
    return (struct pg_guc_entry){guc_name(v),  guc_string(v), v->name_len,
                                 v->value_len, guc_form(v),   v->proven};
}

bool pg_guc_find(const struct pg_guc_set *set, const char *name, size_t name_len,
                 struct pg_guc_entry *out)
{
    bool found;
    uint32_t at = position(set, name, name_len, &found);
    if (found)
        *out = pg_guc_at(set, at);
    return found;
}

void pg_guc_mark_proven(struct pg_guc_set *set)
{
    for (uint32_t i = 0; i < set->count; i++)
        set->values[i]->proven = true;
}

void pg_guc_each_difference(const struct pg_guc_set *from, const struct pg_guc_set *to,
                            void (*emit)(void *arg, const struct pg_guc_entry *entry), void *arg)
{
    if (from == to)
        return;
    for (uint32_t i = 0; i < to->count; i++) {
        struct pg_guc_entry now = pg_guc_at(to, i), before;
        if (!pg_guc_find(from, now.name, now.name_len, &before) ||
            strcmp(now.value, before.value) != 0)
            emit(arg, &now);
    }
}

/* ---- travelling -------------------------------------------------------------------------------
 */

/* Packed: for each entry its head and the two strings. The bytes never leave the process. */
struct packed {
    uint32_t name_len;
    uint32_t value_len;
    uint8_t form;
    uint8_t proven;
    uint8_t unused[2];
};

bool pg_guc_pack(const struct pg_guc_set *set, struct buf *out)
{
    size_t want = 0;
    for (uint32_t i = 0; i < set->count; i++)
        want += sizeof(struct packed) + set->values[i]->name_len + set->values[i]->value_len;
    uint8_t *p = want != 0 ? buf_reserve(out, want) : NULL;
    if (want != 0 && p == NULL)
        return false;
    for (uint32_t i = 0; i < set->count; i++) {
        struct pg_guc_entry e = pg_guc_at(set, i);
        struct packed head = {e.name_len, e.value_len, (uint8_t)e.form, e.proven, {0, 0}};
        memcpy(p, &head, sizeof(head));
        memcpy(p += sizeof(head), e.name, e.name_len);
        memcpy(p += e.name_len, e.value, e.value_len);
        p += e.value_len;
    }
    if (want != 0)
        buf_commit(out, want);
    return true;
}

/* One packed entry into the node; what it took of the bytes, or 0. */
static size_t unpack_one(struct guc_node *node, const char *bytes, size_t len)
{
    struct packed head;
    if (len < sizeof(head))
        return 0;
    memcpy(&head, bytes, sizeof(head));
    bytes += sizeof(head);
    len -= sizeof(head);
    if (head.name_len > len || head.value_len > len - head.name_len || head.form > PG_GUC_REPORT)
        return 0;
    struct guc_value *v =
        value_get(node->set.table, bytes, head.name_len, (enum pg_guc_form)head.form,
                  bytes + head.name_len, head.value_len);
    if (v == NULL)
        return 0;
    uint32_t n = node->set.count;
    if (n > 0 &&
        guc_name_compare(guc_name(node->set.values[n - 1]), node->set.values[n - 1]->name_len,
                         guc_name(v), v->name_len) >= 0) {
        value_put(node->set.table, v);
        return 0;
    }
    v->proven |= head.proven == 1;
    node->set.values[node->set.count++] = v;
    return sizeof(head) + head.name_len + head.value_len;
}

struct pg_guc_set *pg_guc_unpack(struct pg_guc_table *table, const void *bytes, size_t len)
{
    const char *p = bytes;
    struct guc_node *node = node_create(table, PG_GUC_ENTRIES_MAX);
    if (node == NULL)
        return NULL;
    node->set.count = 0;
    while (len > 0 && node->set.count < PG_GUC_ENTRIES_MAX) {
        size_t used = unpack_one(node, p, len);
        if (used == 0)
            break;
        p += used;
        len -= used;
    }
    if (len == 0) {
        size_t size = sizeof(*node) + node->set.count * sizeof(node->set.values[0]);
        struct guc_node *small = realloc(node, size);
        return intern(small != NULL ? small : node);
    }
    for (uint32_t i = 0; i < node->set.count; i++)
        value_put(table, node->set.values[i]);
    free(node);
    return NULL;
}
