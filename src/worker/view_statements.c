/* SPDX-License-Identifier: ISC
 * SHOW STATEMENTS: the texts that clients and server connections have prepared, one row for each
 * text of a pool, added up over the workers as the question goes round (view.c). How many rows
 * there can be is bounded; of what is beyond it nothing is said but that.
 */
#include "config.h"

#include "base/buf.h"
#include "worker/route.h"
#include "worker/worker_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include "base/hash.h"

#define ROWS_MAX 2000u

struct key {
    const struct route *route; /* lives as long as the process */
    uint64_t text;
};

struct text_row {
    UT_hash_handle hh;
    struct key key;
    struct view_statement row;
};

struct view_statements {
    struct text_row *rows;
    uint64_t left_out; /* mentions of texts without a row */
};

/* Who is being looked at. */
struct look {
    struct view_statements *all;
    const struct route *route;
    bool client;
};

static struct text_row *row_create(struct look *l, const struct key *key,
                                   const struct proto_statement *st)
{
    struct text_row *r = NULL;
    if (HASH_COUNT(l->all->rows) < ROWS_MAX)
        r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    r->key = *key;
    (void)snprintf(r->row.name, sizeof r->row.name, "%s", st->name);
    (void)snprintf(r->row.database, sizeof r->row.database, "%s", l->route->database);
    (void)snprintf(r->row.user, sizeof r->row.user, "%s", l->route->user);
    HASH_ADD(hh, l->all->rows, key, sizeof r->key, r);
    if (r->hh.tbl == NULL) {
        free(r);
        return NULL;
    }
    return r;
}

static void on_statement(void *arg, const struct proto_statement *st)
{
    struct look *l = arg;
    struct key key;
    struct text_row *r = NULL;
    memset(&key, 0, sizeof key);
    key.route = l->route;
    key.text = st->key;
    HASH_FIND(hh, l->all->rows, &key, sizeof key, r);
    if (r == NULL)
        r = row_create(l, &key, st);
    if (r == NULL) {
        l->all->left_out++;
        return;
    }
    if (r->row.statement[0] == '\0') { /* a connection may have what no client knows any more */
        st->digest(st->of, r->row.statement, sizeof r->row.statement);
        r->row.bytes = st->bytes;
    }
    r->row.clients += l->client;
    r->row.servers += !l->client;
}

void view_statements_add(struct view_statements *all, const struct route *r, const void *pc,
                         const void *ps)
{
    struct look l = {.all = all, .route = r, .client = pc != NULL};
    if (r->proto->statements != NULL)
        r->proto->statements(pc, ps, on_statement, &l);
}

struct view_statements *view_statements_create(void)
{
    return calloc(1, sizeof(struct view_statements));
}

struct view_statement *view_statements_end(struct view_statements **allp, size_t *n)
{
    struct view_statements *all = *allp;
    struct text_row *r, *tmp;
    size_t room = HASH_COUNT(all->rows) + 1;
    struct view_statement *rows = calloc(room, sizeof *rows);
    *n = 0;
    HASH_ITER(hh, all->rows, r, tmp)
    {
        if (rows != NULL)
            rows[(*n)++] = r->row;
        HASH_DEL(all->rows, r);
        free(r);
    }
    if (rows != NULL && all->left_out != 0)
        (void)snprintf(rows[(*n)++].statement, sizeof rows->statement,
                       "(more than %u texts: the others are not shown)", ROWS_MAX);
    free(all);
    *allp = NULL;
    return rows;
}
