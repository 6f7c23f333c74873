/* SPDX-License-Identifier: ISC
 * See pg_set.h.
 */
#include "config.h"

#include "proto/pg/pg_set.h"

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct pg_guc_table *table;

bool pg_set_init(void)
{
    if (table == NULL)
        table = pg_guc_table_create();
    return table != NULL;
}

void pg_set_fini(void)
{
    if (table != NULL)
        pg_guc_table_destroy(&table);
}

struct pg_guc_set *pg_set_empty(void)
{
    pthread_mutex_lock(&lock);
    struct pg_guc_set *set = pg_guc_empty(table);
    pthread_mutex_unlock(&lock);
    return set;
}

struct pg_guc_set *pg_set_get(struct pg_guc_set *set)
{
    pthread_mutex_lock(&lock);
    set = pg_guc_get(set);
    pthread_mutex_unlock(&lock);
    return set;
}

void pg_set_put(struct pg_guc_set **set)
{
    if (*set == NULL)
        return;
    pthread_mutex_lock(&lock);
    pg_guc_put(set);
    pthread_mutex_unlock(&lock);
}

struct pg_guc_set *pg_set_with(struct pg_guc_set *set, const char *name, size_t name_len,
                               enum pg_guc_form form, const char *value, size_t value_len)
{
    pthread_mutex_lock(&lock);
    struct pg_guc_set *fresh = pg_guc_with(set, name, name_len, form, value, value_len);
    pthread_mutex_unlock(&lock);
    return fresh;
}

struct pg_guc_set *pg_set_without(struct pg_guc_set *set, const char *name, size_t name_len)
{
    pthread_mutex_lock(&lock);
    struct pg_guc_set *fresh = pg_guc_without(set, name, name_len);
    pthread_mutex_unlock(&lock);
    return fresh;
}

void pg_set_mark_proven(struct pg_guc_set *set)
{
    pthread_mutex_lock(&lock);
    pg_guc_mark_proven(set);
    pthread_mutex_unlock(&lock);
}

void pg_set_assign(struct pg_guc_set **at, struct pg_guc_set *to)
{
    if (*at == to)
        return;
    pthread_mutex_lock(&lock);
    to = pg_guc_get(to);
    if (*at != NULL)
        pg_guc_put(at);
    pthread_mutex_unlock(&lock);
    *at = to;
}

bool pg_set_take(struct pg_guc_set **at, struct pg_guc_set *fresh)
{
    if (fresh == NULL)
        return false;
    pg_set_put(at);
    *at = fresh;
    return true;
}
