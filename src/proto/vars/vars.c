/* SPDX-License-Identifier: ISC
 * See vars.h.
 */
#include "config.h"

#include "proto/vars/vars.h"

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct var_table *table;

bool vars_init(void)
{
    if (table == NULL)
        table = var_table_create();
    return table != NULL;
}

void vars_fini(void)
{
    if (table != NULL)
        var_table_destroy(&table);
}

struct var_set *vars_empty(void)
{
    pthread_mutex_lock(&lock);
    struct var_set *set = var_set_empty(table);
    pthread_mutex_unlock(&lock);
    return set;
}

struct var_set *vars_get(struct var_set *set)
{
    pthread_mutex_lock(&lock);
    set = var_set_get(set);
    pthread_mutex_unlock(&lock);
    return set;
}

void vars_put(struct var_set **set)
{
    if (*set == NULL)
        return;
    pthread_mutex_lock(&lock);
    var_set_put(set);
    pthread_mutex_unlock(&lock);
}

struct var_set *vars_with(struct var_set *set, const char *name, size_t name_len,
                          enum var_form form, const char *value, size_t value_len)
{
    pthread_mutex_lock(&lock);
    struct var_set *fresh = var_set_with(set, name, name_len, form, value, value_len);
    pthread_mutex_unlock(&lock);
    return fresh;
}

struct var_set *vars_without(struct var_set *set, const char *name, size_t name_len)
{
    pthread_mutex_lock(&lock);
    struct var_set *fresh = var_set_without(set, name, name_len);
    pthread_mutex_unlock(&lock);
    return fresh;
}

void vars_mark_proven(struct var_set *set)
{
    pthread_mutex_lock(&lock);
    var_set_mark_proven(set);
    pthread_mutex_unlock(&lock);
}

void vars_assign(struct var_set **at, struct var_set *to)
{
    if (*at == to)
        return;
    pthread_mutex_lock(&lock);
    to = var_set_get(to);
    if (*at != NULL)
        var_set_put(at);
    pthread_mutex_unlock(&lock);
    *at = to;
}

bool vars_take(struct var_set **at, struct var_set *fresh)
{
    if (fresh == NULL)
        return false;
    vars_put(at);
    *at = fresh;
    return true;
}
