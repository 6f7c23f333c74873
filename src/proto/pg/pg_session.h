/* SPDX-License-Identifier: ISC
 * The two objects of a PostgreSQL session and the queue between them. Private to proto/pg: what the
 * relay's files share.
 *
 *      client bytes --> pg_client_feed --.            .--> server
 *                                        +-- expect --+
 *      client <-------- pg_server_feed --'            '--- server bytes
 *
 * `expect` holds one entry for each message that the server will answer, in order; the answer to
 * the entry at its head decides whether it is passed on, swallowed (weir asked for it) or made by
 * weir itself (FAKE: the server was never asked). It is empty exactly when the server owes nothing.
 *
 * A statement's effects on the session become ours only when the server confirms them; what was
 * noted in advance (a name, a cache entry) is taken back when an error makes the server skip it.
 */
#ifndef WEIR_PROTO_PG_SESSION_H
#define WEIR_PROTO_PG_SESSION_H

#include "base/buf.h"
#include "proto/pg/pg_guc.h"
#include "proto/pg/pg_msg.h"
#include "proto/pg/pg_stmt.h"
#include "proto/pg/pg_wire.h"
#include "proto/proto.h"

#include <stdbool.h>
#include <stdint.h>

#define PG_CLIENT_MAGIC 0x70676331u
#define PG_SERVER_MAGIC 0x70677331u

/* A transaction that weir took back: what the client is told until it ends it. */
enum pg_lost {
    PG_LOST_NO,
    PG_LOST_TELL, /* the next message gets 40001 */
    PG_LOST_TOLD, /* 25P02 until the client ends the transaction */
};

struct pg_client {
    uint32_t magic;
    uint32_t prepared_limit;      /* max_prepared_statements: of one server connection */
    const struct pg_guc *startup; /* what RESET goes back to, beyond the server's own defaults */
    const struct pg_guc *current; /* what the session has set; never NULL */
    const struct pg_guc *report;  /* ParameterStatus as the client knows them */
    struct pg_stmt *unnamed;
    struct pg_names *names;
    uint64_t skip; /* bytes of a large message that are still to be passed through */
    const char *lost_text; /* static or interned text of the 40001 error */
    uint8_t lost;          /* enum pg_lost */
    uint8_t pool_mode;     /* enum pg_pool_mode */
    bool skip_to_sync;     /* an error was answered without a server: skip until Sync */
    bool drop;             /* the message being skipped goes nowhere */
    bool started;          /* its startup settings were accepted by a server */
};

enum pg_pool_mode { PG_MODE_TRANSACTION, PG_MODE_SESSION, PG_MODE_STATEMENT };

enum pg_expect_kind {
    PG_X_QUERY,
    PG_X_PARSE,
    PG_X_BIND,
    PG_X_DESCRIBE,
    PG_X_EXECUTE,
    PG_X_CLOSE,
    PG_X_SYNC,
    PG_X_FUNCTION,
};

enum pg_expect_act {
    PG_A_PASS,    /* the client's own */
    PG_A_SWALLOW, /* weir's: success is not shown; an error is (the client's next message fails) */
    PG_A_FAKE,    /* never sent: answered by weir when its turn comes */
    PG_A_REPLACE, /* sent to make the server fail; the error shown is `fault` */
    PG_A_SET,     /* weir's own batch of SET: nothing is shown, failure is remembered */
    PG_A_SETTLE,  /* weir's own question or clean-up after the loan */
};

struct pg_expect {
    uint8_t kind;
    uint8_t act;
    bool maybe;              /* a Sync that a COPY may have eaten */
    struct pg_stmt *stmt;    /* PARSE: what is being prepared; holds a reference */
    char *name;              /* PARSE, CLOSE of a named statement: the client's name (owned) */
    struct pg_fault *fault;  /* REPLACE (owned) */
    bool cached;             /* PARSE: it was added to the server's cache under stmt->name;
                                CLOSE with SWALLOW: it was taken out of it (name is the server's) */
};

/* What a loan may have changed; decided when the server is quiet. */
enum pg_dirt {
    PG_D_SETTINGS = 1, /* session settings: only the server knows which */
    PG_D_PINS = 2,     /* something that can't be moved may be there */
    PG_D_UNKNOWN = 4,  /* abandoned in the middle: clean it all */
};

enum pg_pin {
    PG_PIN_TEMP = 1,
    PG_PIN_ADVISORY = 2,
    PG_PIN_LISTEN = 4,
    PG_PIN_HOLD = 8,
    PG_PIN_PREPARE = 16,
    PG_PIN_LOAD = 32,     /* stays as long as the backend lives */
    PG_PIN_SEQUENCE = 64, /* currval() and lastval(): until DISCARD */
    PG_PIN_SETTINGS = 128, /* the truth could not be found out */
    PG_PIN_LARGE = 256,    /* an unnamed statement too large to be remembered */
    PG_PIN_ASKED = PG_PIN_TEMP | PG_PIN_ADVISORY | PG_PIN_LISTEN | PG_PIN_HOLD | PG_PIN_PREPARE,
};

enum pg_phase {
    PG_PH_NONE,
    PG_PH_ROLLBACK, /* abandoned: ending the transaction */
    PG_PH_TRUTH,    /* asking what is set and what pins */
    PG_PH_RESET,    /* DISCARD ALL or server_reset_query */
    PG_PH_BARRIER,  /* an empty round trip, so that a late cancel hits nobody else */
};

struct pg_change; /* one simple SET or RESET, waiting for its confirmation */

struct pg_server {
    uint32_t magic;
    uint32_t dirt; /* enum pg_dirt */
    uint32_t pins; /* enum pg_pin */
    const struct pg_guc *applied; /* session settings in force beyond the connection's own; not NULL */
    const struct pg_guc *report;
    const struct pg_guc *truth; /* being collected in PG_PH_TRUTH */
    struct pg_cache *cache;
    struct pg_stmt *unnamed; /* what its unnamed statement is, NULL: none or unknown */
    struct pg_expect *ring;
    struct pg_change *change;
    uint64_t skip; /* bytes of a large answer still to be passed on */
    uint32_t head, len, cap; /* of the ring */
    uint32_t truth_pins;
    uint64_t pin_since_us;
    char status;  /* of the last ReadyForQuery */
    char copy;    /* 'G' in, 'H' out, 'W' both, 0 */
    uint8_t phase; /* enum pg_phase */
    bool skip_drop;
    bool skipping;    /* an error: the server ignores what comes until Sync */
    bool hold;        /* the client gets no turn until weir's own batch is answered */
    bool set_failed;  /* the batch of SET failed */
    bool truth_failed;
    bool dying;       /* it said FATAL */
    bool barrier;     /* a cancel was sent during this loan */
    bool used;        /* the borrower's bytes went to it */
    bool reset_pending; /* session settings of the startup went with a RESET inside a transaction */
    char pin_statement[128];
    char set_error[160];
    char set_code[6];
};

/* ---- expect (pg_expect.c) ----------------------------------------------------------------------- */

/* Append; NULL when out of memory (the ring grows up to PG_EXPECT_MAX entries). */
#define PG_EXPECT_MAX 16384u
struct pg_expect *pg_expect_push(struct pg_server *s, enum pg_expect_kind kind,
                                 enum pg_expect_act act);
static inline struct pg_expect *pg_expect_head(struct pg_server *s)
{
    return s->len != 0 ? &s->ring[s->head] : NULL;
}
static inline struct pg_expect *pg_expect_at(struct pg_server *s, uint32_t i)
{
    return &s->ring[(s->head + i) & (s->cap - 1)];
}
/* Done: its notes stand. */
void pg_expect_pop(struct pg_server *s);
/* Errors: the head failed and everything up to the next Sync is skipped; notes are taken back. */
void pg_expect_fail(struct pg_server *s, struct pg_client *c);
/* Answers that weir makes itself and whose turn it is. */
bool pg_expect_fakes(struct pg_server *s, struct proto_out *out, bool show);
void pg_expect_clear(struct pg_server *s);

/* ---- feeding ------------------------------------------------------------------------------------- */

enum proto_verdict pg_client_feed(void *pc, void *ps, const uint8_t *in, size_t n, size_t *used,
                                  struct proto_out *out);
enum proto_verdict pg_server_feed(void *ps, void *pc, const uint8_t *in, size_t n, size_t *used,
                                  struct proto_out *out);
/* Parse, Bind, Describe, Close of a whole message (pg_extended.c). */
enum proto_verdict pg_extended(struct pg_client *c, struct pg_server *s, const uint8_t *msg,
                               size_t total, struct proto_out *out);

/* ---- state of the session (pg_state.c, pg_settle.c) ------------------------------------------------ */

/* Note what a statement with these scan flags may do to the session. */
void pg_note(struct pg_server *s, uint32_t scan_flags, const char *sql, size_t n);
/* Bring the server's settings to the client's; true: hold the client until it is answered. */
bool pg_sync_settings(struct pg_client *c, struct pg_server *s, struct proto_out *out);
/* Tell the client what its server reports differently. */
void pg_sync_report(struct pg_client *c, struct pg_server *s, struct proto_out *out);
/* A CommandComplete of the client's. */
void pg_on_tag(struct pg_client *c, struct pg_server *s, const char *tag, size_t n);
/* A simple SET or RESET alone in its string begins; confirmed by tag and ReadyForQuery. */
void pg_change_begin(struct pg_server *s, const struct pg_change *what);
void pg_change_end(struct pg_client *c, struct pg_server *s, bool failed);
void pg_change_free(struct pg_change **ch);

enum proto_loan pg_begin(void *ps, void *pc, struct proto_out *out);
enum proto_loan pg_state(void *ps, void *pc, bool may_end, uint64_t now_us, struct proto_out *out);
bool pg_abandon(void *ps, void *pc, struct proto_out *out);
/* Answers to weir's own questions. */
void pg_settle_row(struct pg_server *s, const uint8_t *body, size_t n);
void pg_settle_ready(struct pg_client *c, struct pg_server *s);

/* ---- without a server (pg_local.c) ------------------------------------------------------------------ */

/* Answer what needs no server. PROTO_LOAN: it needs one. */
enum proto_verdict pg_local(struct pg_client *c, const uint8_t *msg, size_t total,
                            struct proto_out *out);
bool pg_say(void *pc, enum proto_event ev, const char *text, const char *code, const uint8_t *in,
            size_t n, size_t *used, struct buf *out);

/* ---- composing ---------------------------------------------------------------------------------------- */

/* Copy n bytes to the arena (n is bounded by PROTO_ARENA_SLACK in a step) and add them to a lane. */
uint8_t *pg_put(struct proto_out *out, struct proto_lane *lane, const void *p, size_t n);
/* A whole message with a body. */
void pg_put_msg(struct proto_out *out, struct proto_lane *lane, char type, const void *body, size_t n);
void pg_put_query(struct proto_out *out, const char *sql, size_t n);
void pg_put_error(struct proto_out *out, const char *severity, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
