/* SPDX-License-Identifier: ISC
 * The names of one text: what pg_sql.c, which replaces them, and pg_sql_answer.c, which reads what
 * came of it, share. See pg_sql.h.
 */
#ifndef WEIR_PROTO_PG_SQL_PRIV_H
#define WEIR_PROTO_PG_SQL_PRIV_H

#include "base/buf.h"
#include "proto/pg/pg_scan.h"
#include "proto/pg/pg_stmt.h"
#include "proto/pg/pg_text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pg_sql_item {
    uint64_t flag; /* one of PG_SQL_NAMES */
    bool renamed;
    bool fresh; /* PREPARE: the stand-in comes to be by it */
    bool dummy; /* the stand-in is prepared ahead */
    bool done;  /* its CommandComplete came */
    char name[64];
    char sent[PG_STMT_NAME_BYTES]; /* in its place */
    struct pg_stmt *stmt;          /* PREPARE: what it prepares; EXECUTE: what it runs */
    struct pg_span at;             /* in the client's text */
    uint32_t sent_at;              /* in the text that was sent */
    uint32_t chars;                /* of the token that was replaced */
};

struct pg_sql {
    struct buf sent;  /* the Query and what is behind it */
    struct buf error; /* of what went ahead */
    const char *text; /* the client's, while this is composed */
    size_t text_len;
    size_t sent_len; /* of the text in `sent` */
    pg_text_how_t how;
    bool changes; /* the client's names */
    bool once;    /* may be run a second time: an EXECUTE alone, of which nothing was shown */
    bool stale;   /* is going to be */
    bool joins;   /* a batch without Sync: one ahead of the text would end it, and what fails ahead
                     would have the text skipped, so nothing is prepared there that may fail */
    uint32_t n;
    struct pg_sql_item items[];
};

#endif
