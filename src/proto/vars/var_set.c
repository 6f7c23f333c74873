/* SPDX-License-Identifier: ISC
 * Interned settings: see var_set.h.
 *
 * Two hash tables: entries by (form, name, value), sets by their sorted array of entries. As equal
 * entries are one object, a set's identity is its array of pointers, and comparing two sets'
 * entries is comparing pointers. A set holds a reference on each of its entries; when its own count
 * falls to zero it leaves the table at once, so the tables never hold what nobody uses. The empty
 * set belongs to the table and is never freed before it.
 */
#include "config.h"

#include "proto/vars/var_set_priv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* A table must survive running out of memory: an element that could not be added has no table. */
#define HASH_NONFATAL_OOM 1
#include "base/hash.h"

#define PART_MAX 63 /* NAMEDATALEN - 1 */

struct var_table {
    uint32_t magic;
#define VAR_TABLE_MAGIC 0x70674755u
    struct var_value *values;
    struct var_node *nodes;
    struct var_set *empty;
};

/* uthash wants its handle inside the element. */
struct var_node {
    UT_hash_handle hh;
    struct var_set set;
};

static struct var_node *node_of(struct var_set *set)
{
    return (struct var_node *)((char *)set - offsetof(struct var_node, set));
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

int var_name_compare(const char *a, size_t a_len, const char *b, size_t b_len)
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
bool var_name_is_good(const char *name, size_t len)
{
    if (len == 0 || len > VAR_NAME_MAX)
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

static void value_put(struct var_table *t, struct var_value *v)
{
    assert(v->refs > 0);
    if (--v->refs > 0)
        return;
    HASH_DEL(t->values, v);
    free(v);
}

/* The interned entry with one more reference. Its key is form, name, NUL, value. */
static struct var_value *value_get(struct var_table *t, const char *name, size_t name_len,
                                   enum var_form form, const char *value, size_t len)
{
    if (!var_name_is_good(name, name_len) || len > VAR_VALUE_MAX || memchr(value, 0, len) != NULL)
        return NULL;
    size_t key_len = 1 + name_len + 1 + len;
    struct var_value *v = calloc(1, sizeof(*v) + key_len + 1), *known;
    if (v == NULL)
        return NULL;
    v->key[0] = (char)form;
    for (size_t i = 0; i < name_len; i++)
        v->key[1 + i] = form == VAR_REPORT ? name[i] : lower(name[i]);
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

static void node_free(struct var_table *t, struct var_node *node)
{
    HASH_DEL(t->nodes, node);
    for (uint32_t i = 0; i < node->set.count; i++)
        value_put(t, node->set.values[i]);
    free(node);
}

static struct var_node *node_create(struct var_table *t, uint32_t count)
{
    struct var_node *node = calloc(1, sizeof(*node) + count * sizeof(node->set.values[0]));
    if (node == NULL)
        return NULL;
    node->set.magic = VAR_SET_MAGIC;
    node->set.table = t;
    node->set.count = count;
    return node;
}

/* Make this fresh node the set that it describes: an equal one if there is one. Takes the node and
 * the references of its entries. */
static struct var_set *intern(struct var_node *node)
{
    struct var_table *t = node->set.table;
    size_t key_len = node->set.count * sizeof(node->set.values[0]);
    struct var_node *known = NULL;
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < node->set.count; i++) {
        bytes += node->set.values[i]->name_len + node->set.values[i]->value_len;
        node->set.lengths |= UINT32_C(1) << node->set.values[i]->name_len % 32;
    }
    if (bytes <= VAR_SET_MAX) {
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
    return known != NULL ? var_set_get(&known->set) : NULL;
}

/* Where the name is, or would be. */
static uint32_t position(const struct var_set *set, const char *name, size_t len, bool *found)
{
    uint32_t low = 0, high = set->count;
    *found = false;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        const struct var_value *v = set->values[mid];
        int d = var_name_compare(var_name(v), v->name_len, name, len);
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

struct var_set *var_set_with(struct var_set *set, const char *name, size_t name_len,
                             enum var_form form, const char *value, size_t value_len)
{
    struct var_table *t = set->table;
    bool found;
    uint32_t at = position(set, name, name_len, &found), rest = at + found;
    uint32_t count = set->count + !found;
    assert(set->magic == VAR_SET_MAGIC);
    if (count > VAR_ENTRIES_MAX)
        return NULL;
    struct var_value *v = value_get(t, name, name_len, form, value, value_len);
    if (v == NULL)
        return NULL;
    if (found && set->values[at] == v) {
        value_put(t, v);
        return var_set_get(set);
    }
    struct var_node *node = node_create(t, count);
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

struct var_set *var_set_without(struct var_set *set, const char *name, size_t name_len)
{
    bool found;
    uint32_t at = position(set, name, name_len, &found);
    assert(set->magic == VAR_SET_MAGIC);
    if (!found)
        return var_set_get(set);
    struct var_node *node = node_create(set->table, set->count - 1);
    if (node == NULL)
        return NULL;
    memcpy(node->set.values, set->values, at * sizeof(set->values[0]));
    memcpy(node->set.values + at, set->values + at + 1,
           (set->count - at - 1) * sizeof(set->values[0]));
    for (uint32_t i = 0; i < node->set.count; i++)
        node->set.values[i]->refs++;
    return intern(node);
}

struct var_set *var_set_empty(struct var_table *table)
{
    return var_set_get(table->empty);
}

struct var_set *var_set_get(struct var_set *set)
{
    assert(set->magic == VAR_SET_MAGIC && set->refs > 0);
    set->refs++;
    return set;
}

void var_set_put(struct var_set **set)
{
    struct var_set *s = *set;
    *set = NULL;
    if (s == NULL)
        return;
    assert(s->magic == VAR_SET_MAGIC && s->refs > 0);
    if (--s->refs == 0)
        node_free(s->table, node_of(s));
}

struct var_table *var_table_create(void)
{
    struct var_table *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return NULL;
    t->magic = VAR_TABLE_MAGIC;
    struct var_node *node = node_create(t, 0);
    t->empty = node != NULL ? intern(node) : NULL;
    if (t->empty == NULL) {
        free(t);
        return NULL;
    }
    return t;
}

void var_table_destroy(struct var_table **table)
{
    struct var_table *t = *table;
    *table = NULL;
    if (t == NULL)
        return;
    assert(t->magic == VAR_TABLE_MAGIC);
    var_set_put(&t->empty);
    assert(t->nodes == NULL && t->values == NULL);
    free(t);
}

/* ---- looking ----------------------------------------------------------------------------------
 */

uint32_t var_set_count(const struct var_set *set)
{
    return set->count;
}

struct var_entry var_set_at(const struct var_set *set, uint32_t i)
{
    assert(set->magic == VAR_SET_MAGIC && i < set->count);
    const struct var_value *v = set->values[i];
    return (struct var_entry){var_name(v),  var_string(v), v->name_len,
                              v->value_len, var_form(v),   v->proven};
}

bool var_set_find(const struct var_set *set, const char *name, size_t name_len,
                  struct var_entry *out)
{
    bool found;
    if ((set->lengths >> name_len % 32 & 1) == 0)
        return false;
    uint32_t at = position(set, name, name_len, &found);
    if (found)
        *out = var_set_at(set, at);
    return found;
}

void var_set_mark_proven(struct var_set *set)
{
    for (uint32_t i = 0; i < set->count; i++)
        if (!set->values[i]->proven)
            set->values[i]->proven = true;
}

void var_set_each_difference(const struct var_set *from, const struct var_set *to,
                             void (*emit)(void *arg, const struct var_entry *entry), void *arg)
{
    if (from == to)
        return;
    for (uint32_t i = 0; i < to->count; i++) {
        struct var_entry now = var_set_at(to, i), before;
        if (!var_set_find(from, now.name, now.name_len, &before) ||
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

bool var_set_pack(const struct var_set *set, struct buf *out)
{
    size_t want = 0;
    for (uint32_t i = 0; i < set->count; i++)
        want += sizeof(struct packed) + set->values[i]->name_len + set->values[i]->value_len;
    uint8_t *p = want != 0 ? buf_reserve(out, want) : NULL;
    if (want != 0 && p == NULL)
        return false;
    for (uint32_t i = 0; i < set->count; i++) {
        struct var_entry e = var_set_at(set, i);
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
static size_t unpack_one(struct var_node *node, const char *bytes, size_t len)
{
    struct packed head;
    if (len < sizeof(head))
        return 0;
    memcpy(&head, bytes, sizeof(head));
    bytes += sizeof(head);
    len -= sizeof(head);
    if (head.name_len > len || head.value_len > len - head.name_len || head.form > VAR_REPORT)
        return 0;
    struct var_value *v = value_get(node->set.table, bytes, head.name_len, (enum var_form)head.form,
                                    bytes + head.name_len, head.value_len);
    if (v == NULL)
        return 0;
    uint32_t n = node->set.count;
    if (n > 0 &&
        var_name_compare(var_name(node->set.values[n - 1]), node->set.values[n - 1]->name_len,
                         var_name(v), v->name_len) >= 0) {
        value_put(node->set.table, v);
        return 0;
    }
    v->proven |= head.proven == 1;
    node->set.values[node->set.count++] = v;
    return sizeof(head) + head.name_len + head.value_len;
}

struct var_set *var_set_unpack(struct var_table *table, const void *bytes, size_t len)
{
    const char *p = bytes;
    struct var_node *node = node_create(table, VAR_ENTRIES_MAX);
    if (node == NULL)
        return NULL;
    node->set.count = 0;
    while (len > 0 && node->set.count < VAR_ENTRIES_MAX) {
        size_t used = unpack_one(node, p, len);
        if (used == 0)
            break;
        p += used;
        len -= used;
    }
    if (len == 0) {
        size_t size = sizeof(*node) + node->set.count * sizeof(node->set.values[0]);
        struct var_node *small = realloc(node, size);
        return intern(small != NULL ? small : node);
    }
    for (uint32_t i = 0; i < node->set.count; i++)
        value_put(table, node->set.values[i]);
    free(node);
    return NULL;
}
