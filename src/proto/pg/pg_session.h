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
#include "proto/vars/vars.h"
#include "proto/pg/pg_msg.h"
#include "proto/pg/pg_columns.h"
#include "proto/pg/pg_heal.h"
#include "proto/pg/pg_names.h"
#include "proto/pg/pg_sql.h"
#include "proto/pg/pg_stmt_cache.h"
#include "proto/pg/pg_wire.h"
#include "proto/proto.h"

#include <stdbool.h>
#include <stdint.h>

struct pg_conn; /* libpq's PGconn */

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
    uint32_t prepared_limit; /* max_prepared_statements: of one server connection */
    struct var_set *startup; /* what RESET goes back to, beyond the server's own defaults */
    struct var_set *current; /* what the session has set; never NULL */
    struct var_set *report;  /* ParameterStatus as the client knows them */
    struct pg_stmt *unnamed;
    struct pg_names *names;
    uint64_t skip;                /* bytes of a large message that are still to be passed through */
    const void *last_server;      /* where it may have drawn last, only to be compared, ... */
    uint32_t last_drawn;          /* ... and that one's `drawn` then */
    char *lost_text;              /* of the 40001 error; owned, NULL unless lost */
    uint32_t deadline_ms;         /* weir.deadline, 0: none */
    uint32_t startup_deadline_ms; /* what RESET goes back to */
    uint32_t statement_max_bytes;
    pg_text_how_t how;  /* its texts are to be read: follows `report` */
    uint8_t lost;       /* enum pg_lost */
    uint8_t pool_mode;  /* enum pg_pool_mode */
    bool skip_to_sync;  /* an error was answered without a server: skip until Sync */
    bool drop;          /* the message being skipped goes nowhere */
    bool started;       /* its startup settings were accepted by a server */
    bool lost_ending;   /* the statement that ends the lost transaction was parsed */
    bool lost_open;     /* lost between its messages and their Sync: that ends with an error, too */
    bool lost_implicit; /* and over with that Sync: it was no transaction block */
    bool sequence_reader; /* has asked for currval() or lastval() */
    bool pdo;             /* it is PHP's PDO, by the names that it gives its statements */
    bool may_kill;        /* has prepared a call of pg_cancel_backend() */
    bool said;            /* has sent a text with a deadline or a trace in a comment */
    bool replication;     /* gets a connection of its own, bytes pass untouched */
    uint8_t kill;         /* enum pg_kill: what came of the wish in the message that waits */
    uint32_t id;          /* that it was greeted with */
};

enum pg_kill { PG_KILL_NONE, PG_KILL_DONE, PG_KILL_UNKNOWN };

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
    PG_A_ASIDE,   /* weir's, beside a text of the client's: neither success nor failure is shown */
    PG_A_SET,     /* weir's own batch of SET: nothing is shown, failure is remembered */
    PG_A_SETTLE,  /* weir's own question or clean-up after the loan */
};

struct pg_expect {
    uint8_t kind;
    uint8_t act;
    bool maybe;           /* a Sync that a COPY may have eaten */
    bool early;           /* and has, if it read anything: no data stands before it */
    bool unsure;          /* may be taken back; counted in the server's `unsure` */
    bool unnamed;         /* PARSE, CLOSE of the client's unnamed statement, QUERY */
    bool replaced;        /* which was `stmt` before; else the same text */
    bool first;           /* BIND, DESCRIBE: the first one that pg_heal has kept */
    bool judged;          /* DESCRIBE: of the text of `stmt` in the unnamed slot */
    bool portal;          /* FAKE of DESCRIBE: of a portal, not of a statement */
    bool again;           /* SYNC: the client's, of a batch that is going to be run again */
    bool cached;          /* PARSE: it was added to the server's cache under stmt->name;
                             CLOSE with SWALLOW: it was taken out of it (name is the server's) */
    uint32_t mark;        /* BIND, DESCRIBE: of the client's name for the statement; 0: unnamed on
                             both sides */
    struct pg_stmt *stmt; /* PARSE: what is being prepared; holds a reference. With `replaced`
                             what it took the place of. DESCRIBE: what is described; its FAKE, and
                             EXECUTE's: weir's own statement */
    char *name;           /* PARSE, CLOSE, DESCRIBE of a named statement: the client's name (owned).
                             DESCRIBE with ASIDE: the name whose types are asked for, of `stmt` */
    struct pg_fault *fault; /* REPLACE (owned) */
    struct pg_sql *sql;     /* QUERY, EXECUTE: the names in its text (owned), or NULL */
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
    PG_PIN_LOAD = 32,      /* stays as long as the backend lives */
    PG_PIN_SEQUENCE = 64,  /* currval() and lastval(): until DISCARD */
    PG_PIN_SETTINGS = 128, /* the truth could not be found out */
    PG_PIN_LARGE = 256,    /* an unnamed statement too large to be remembered */
    PG_PIN_SEED = 512,     /* setseed() */
    PG_PIN_DBLINK = 1024,  /* what dblink_connect() opened: nothing but the backend's end is sure */
    PG_PIN_ASKED = PG_PIN_TEMP | PG_PIN_ADVISORY | PG_PIN_LISTEN | PG_PIN_HOLD | PG_PIN_PREPARE,
};

enum pg_phase {
    PG_PH_NONE,
    PG_PH_ROLLBACK, /* abandoned: ending the transaction */
    PG_PH_TRUTH,    /* asking what is set and what pins */
    PG_PH_RESET,    /* DISCARD ALL or server_reset_query */
    PG_PH_BARRIER,  /* an empty round trip, so that a late cancel hits nobody else */
    PG_PH_CHECK,    /* idle for long: is the server there? */
};

enum pg_change_kind { PG_CH_SET, PG_CH_RESET, PG_CH_RESET_ALL, PG_CH_DISCARD_ALL };

/* One simple SET or RESET outside a transaction, waiting for its confirmation. */
struct pg_change {
    enum pg_change_kind kind;
    size_t value_len;
    char name[128];
    char value[]; /* SQL as it stood behind TO */
};

struct pg_server {
    struct pg_conn *conn;         /* libpq's, owner of the socket; or NULL and ... */
    struct pg_raw_link *raw_link; /* ... the owner is this, of a login without libpq */
    uint32_t magic;
    uint32_t dirt;           /* enum pg_dirt */
    uint32_t pins;           /* enum pg_pin */
    struct var_set *applied; /* session settings in force beyond the connection's own; not NULL */
    struct var_set *report;
    struct var_set *login;  /* what it reported when it was opened */
    struct var_set *custom; /* names of custom settings that this loan may have changed */
    struct var_set *latent; /* those that functions name, or NULL */
    struct var_set *truth;  /* being collected in PG_PH_TRUTH */
    uint64_t place;         /* another number: another database or user */
    struct pg_cache *cache;
    struct pg_stmt *unnamed;       /* what its unnamed statement is, NULL: none or unknown */
    struct pg_stmt *own;           /* weir's own, which the unnamed portal stands for, or NULL */
    const struct pg_stmt *asked;   /* described for the message that comes next; compared only */
    const struct pg_stmt *judged;  /* in the unnamed slot, by the message before; compared only */
    struct pg_described described; /* if its portal is */
    struct pg_sql *sql_bound;      /* the names in its text, if it has any; owned */
    struct pg_sql *sql_again;      /* a text that is to be run again; owned or NULL */
    struct pg_expect *ring;
    struct pg_change *change; /* owned */
    char *reset_query;        /* server_reset_query; owned */
    char *overdue;            /* why weir has the statement under way cancelled; owned or NULL */
    bool overdue_tx;          /* ... and its whole transaction will be taken back ... */
    bool overdue_told;        /* ... which the client of this loan has been told */
    bool reset_always;        /* after each loan */
    bool in_session;          /* lent for a whole session */
    bool scrub;               /* a custom setting of unknown name may be in force */
    bool reset_own;           /* the reset under way is reset_query */
    bool reset_done;          /* since this loan's end began */
    bool change_done;         /* its CommandComplete came */
    struct var_set *restore;  /* startup values to be set again in this transaction, or NULL */
    struct var_set *before;   /* applied, should the batch of SET under way fail */
    struct pg_heal heal;
    struct buf sql;          /* text of weir's own query while it is being sent */
    uint64_t skip;           /* bytes of a large answer still to be passed on */
    uint32_t head, len, cap; /* of the ring */
    uint32_t unsure;         /* entries in it that may be taken back */
    uint32_t drawn;          /* statements so far that may have called nextval() */
    uint32_t roles_seen;     /* changes to roles, when its settings were last compared */
    uint32_t truth_pins;
    uint32_t latent_of; /* pg_hidden_sources() by which latent is known */
    uint64_t pin_since_us;
    uint32_t hidden[PG_SCAN_USED_MAX]; /* marks of names used in this loan, of which ... */
    uint8_t n_hidden;                  /* ... nothing is known: see pg_hidden.c */
    bool untimed;                      /* the question was asked without statement_timeout */
    bool hidden_altered;               /* by a statement that isn't committed, perhaps */
    bool hidden_undone;                /* something in this loan failed or was rolled back */
    char status;                       /* of the last ReadyForQuery */
    char copy;                         /* 'G' in, 'H' out, 'W' both, 0 */
    uint8_t phase;                     /* enum pg_phase */
    bool skip_drop;
    bool skipping;   /* an error: the server ignores what comes until Sync */
    bool hold;       /* the client gets no turn until weir's own batch is answered */
    bool set_failed; /* the batch of SET failed */
    bool truth_failed;
    bool dying;       /* it said FATAL */
    bool open;        /* messages of the extended protocol without their Sync yet */
    bool copy_fed;    /* data was sent to the COPY under way */
    bool out_of_step; /* something else is on its way to it, which costs the connection */
    bool maybes;      /* Syncs are in the queue that a failed COPY may or may not have eaten */
    bool raw;         /* replication: bytes pass, nothing is tracked */
    bool drops_all;   /* bound: DISCARD ALL or DEALLOCATE ALL */
    bool bound;       /* of the batch that is open a Bind, Describe or Execute was sent */
    bool alone;       /* the client's next message waits until all before it is answered */
    bool resets;      /* something that RESETs, by a client with startup settings, is under way */
    bool misreport;   /* it made the server report its own value of one of these */
    bool strange;     /* what currval() and lastval() know here is not this client's */
    bool lingers;     /* its client may be about to ask for them: see pg_sequence.c */
    bool calls;       /* since the loan began a text had a parenthesis: it may call a function */
    bool kept_ready;  /* so the ReadyForQuery is kept back until the startup values are in force */
    bool resets_deadline; /* RESET ALL, or DISCARD ALL, is under way */
    char pin_statement[128];
    char set_error[160];
    char set_code[6];
};

/* ---- expect (pg_expect.c) -----------------------------------------------------------------------
 */

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
static inline void pg_expect_set_unsure(struct pg_server *s, struct pg_expect *x)
{
    x->unsure = true;
    s->unsure++;
}
/* Done: its notes stand. */
void pg_expect_pop(struct pg_server *s);
/* Errors: the head failed and everything up to the next Sync is skipped; notes are taken back. */
void pg_expect_fail(struct pg_server *s, struct pg_client *c);
/* Answers that weir makes itself and whose turn it is; `c` NULL: nobody is to see them. */
bool pg_expect_fakes(struct pg_server *s, struct pg_client *c, struct proto_out *out);
void pg_expect_clear(struct pg_server *s);
/* Does the client's segment end with this entry's answer? A Sync that a COPY ate ends nothing. */
static inline bool pg_expect_ends(const struct pg_expect *x)
{
    return x->kind == PG_X_QUERY || x->kind == PG_X_FUNCTION || (x->kind == PG_X_SYNC && !x->maybe);
}
/* Is it for weir's own use, not a part of the client's conversation? */
static inline bool pg_expect_is_own(const struct pg_expect *x)
{
    return x->act == PG_A_SET || x->act == PG_A_SETTLE || x->act == PG_A_ASIDE ||
           (x->act == PG_A_SWALLOW && !x->again);
}

/* ---- feeding
 * ------------------------------------------------------------------------------------- */

enum proto_verdict pg_client_feed(void *pc, void *ps, const uint8_t *in, size_t n, size_t *used,
                                  struct proto_out *out);
enum proto_verdict pg_server_feed(void *ps, void *pc, const uint8_t *in, size_t n, size_t *used,
                                  struct proto_out *out);

/* Whole messages of the client's once more; false: it can't be. */
bool pg_client_again(struct pg_client *c, struct pg_server *s, const uint8_t *p, size_t n,
                     struct proto_out *out);

/* A message of the client: `have` bytes of it are at p, `total` it has with its head; `behind` of
 * what follows came with it. */
struct pg_in {
    const uint8_t *p;
    size_t have, total, behind;
};
/* Parse, Bind, Describe, Close, Execute (pg_extended.c); whole but for Bind, whose values may still
 * be on their way. */
enum proto_verdict pg_extended(struct pg_client *c, struct pg_server *s, const struct pg_in *m,
                               struct proto_out *out);
/* Does an unanswered message of an earlier segment decide what this name or statement is? Only when
 * it is answered can be said what became of it; its Sync is on its way, so it will be. */
bool pg_is_unsure(struct pg_server *s, const char *name, size_t n, const struct pg_stmt *stmt);
/* Prepare the statement on the server, anew where it is; what makes room there is closed. false:
 * out of memory. */
bool pg_put_needed(struct pg_server *s, struct pg_stmt *stmt, uint32_t limit,
                   enum pg_expect_act act, struct proto_out *out)
    __attribute__((warn_unused_result));
/* A simple query goes out: the `have` bytes, and its entry. */
enum proto_verdict pg_push_query(struct pg_client *c, struct pg_server *s, const struct pg_in *m,
                                 struct proto_out *out);
/* Does a text with these scan flags begin a transaction block, where there may be none? The client
 * was told, and goes. */
bool pg_refuse_block(const struct pg_client *c, uint64_t scan_flags, struct proto_out *out);
/* Fail where the message stood that is being dropped. */
enum proto_verdict pg_refuse_statement(struct pg_server *s, struct proto_out *out);

/* ---- state of the session (pg_state.c, pg_settle.c)
 * ------------------------------------------------ */

/* Note what a statement with these scan flags may do to the session. */
void pg_note(struct pg_client *c, struct pg_server *s, uint64_t scan_flags, const char *sql,
             size_t n);
/* Likewise of a prepared one, which is executed without its text being sent. */
void pg_note_stmt(struct pg_client *c, struct pg_server *s, uint64_t scan_flags,
                  const struct pg_stmt *stmt);
/* Should it pin: this is the statement for SHOW PINS. */
void pg_note_pin(const struct pg_client *c, struct pg_server *s, const char *sql, size_t n);
/* The values of a Bind, from its parameter formats on, whose statement calls set_config($1, ...):
 * what could name a custom setting is asked for. false: it can't be told. */
bool pg_note_parameters(struct pg_server *s, const uint8_t *p, size_t n);
pg_stmt_scan_fn pg_scan_flags;
/* Bring the server's settings to the client's; true: hold the client until it is answered. */
bool pg_sync_settings(struct pg_client *c, struct pg_server *s, struct proto_out *out);
/* Set s->restore in the open transaction, ahead of the client's next message. */
void pg_restore_startup(struct pg_server *s, struct proto_out *out);
/* The same within a batch that has no Sync; not if it is too much for that. false: out of memory.
 */
bool pg_restore_in_batch(struct pg_server *s, struct proto_out *out)
    __attribute__((warn_unused_result));
/* A CommandComplete of the client's. */
void pg_on_tag(struct pg_client *c, struct pg_server *s, const char *tag, size_t n);
/* A ReadyForQuery of the client's: what its statements said of the settings holds, or doesn't. */
void pg_change_end(struct pg_client *c, struct pg_server *s);
void pg_change_free(struct pg_change **ch);

enum proto_loan pg_begin(void *ps, void *pc, struct proto_out *out);
enum proto_loan pg_state(void *ps, void *pc, bool may_end, uint64_t now_us, struct proto_out *out);
bool pg_abandon(void *ps, void *pc, struct proto_out *out);
bool pg_check(void *ps, const char *query, struct proto_out *out);

/* ---- pg_cancel_backend() of a client's number (pg_kill.c) ---- */

/* Whether a Parse prepares such a call. */
bool pg_kill_is_parsed(const struct pg_in *m);
/* The client holds no loan. Is what it says (n bytes at `in`, a Query or what begins with a Parse
 * or a Bind) such a call, and all there? LOAN: it is not, or for the server to answer. WAIT:
 * out->kill is set, and when say() has told what came of it the same bytes are to come again. MORE:
 * *used bytes are answered. BAD: likewise, and the session ends. */
enum proto_verdict pg_kill(struct pg_client *c, const uint8_t *in, size_t n, size_t *used,
                           struct proto_out *out);

/* ---- what functions and triggers do unseen (pg_hidden.c) ---- */

/* A loan begins. */
void pg_hidden_begin(struct pg_server *s);
/* A text, or a prepared statement, is executed. */
void pg_hidden_note(const struct pg_client *c, struct pg_server *s, const struct pg_scan *scan,
                    const char *sql, size_t n);
void pg_hidden_note_stmt(const struct pg_client *c, struct pg_server *s, struct pg_stmt *stmt);
/* The server has said what is there (s->truth); s->applied is what was believed. */
void pg_hidden_answered(struct pg_server *s, bool pins_are_new);
void pg_hidden_on_tag(struct pg_server *s, const char *tag);
/* What is known gets old. */
void pg_hidden_age(uint64_t now_us);
/* Another number: the sources of functions may be others than they were. */
uint32_t pg_hidden_sources(void);

/* ---- currval() and lastval() (pg_sequence.c) ---- */

/* A loan begins. */
void pg_sequence_begin(struct pg_client *c, struct pg_server *s);
/* Before a statement with these flags is sent: what others' nextval() left is nobody else's answer.
 * PROTO_MORE: send it; PROTO_WAIT: what was asked before is answered first; PROTO_BAD: told. */
enum proto_verdict pg_sequence_forget(struct pg_client *c, struct pg_server *s, uint64_t scan_flags,
                                      struct proto_out *out) __attribute__((warn_unused_result));
/* A statement is sent; returns its flags, with what this client's own habit adds to them. */
uint64_t pg_sequence_note(struct pg_client *c, struct pg_server *s, uint64_t scan_flags);
/* A CommandComplete of the client's; c may be NULL: it has left. */
void pg_sequence_on_tag(struct pg_client *c, struct pg_server *s, const char *tag);

/* ---- weir's own questions (pg_settle.c) ---- */

enum proto_loan pg_settle_start(struct pg_client *c, struct pg_server *s, enum pg_phase phase,
                                struct proto_out *out);
void pg_settle_row(struct pg_server *s, const uint8_t *body, size_t n);
void pg_settle_ready(struct pg_client *c, struct pg_server *s);
/* The batch of SET was answered. false: it failed under a client whose statement ran all the same.
 */
bool pg_set_ready(struct pg_client *c, struct pg_server *s, struct proto_out *out);
const char *pg_pin_name(uint32_t pins);
/* RESET leads to what the client gave at startup; the server, to whom it was a SET, goes to its own
 * value and says so. Where it does, the client isn't told and its ReadyForQuery is kept back, until
 * the startup values are set again; likewise where it says nothing, because it had that value, but
 * the client has to be told of another; and in pool_mode session, where nothing else would set
 * them. May it be? */
bool pg_keep_ready(struct pg_client *c, struct pg_server *s);
/* A step towards that; LOAN_BUSY. */
enum proto_loan pg_kept_go_on(struct pg_client *c, struct pg_server *s, struct proto_out *out);
/* They are in force: what the client is told now. */
void pg_kept_end(struct pg_client *c, struct pg_server *s, struct proto_out *out);

/* ---- without a server (pg_local.c)
 * ------------------------------------------------------------------ */

#define PG_TEXT_25P02                                                                              \
    "current transaction is aborted, commands ignored until end of transaction block"

/* Answer what needs no server. PROTO_LOAN: it needs one. */
enum proto_verdict pg_local(struct pg_client *c, const struct pg_in *m, struct proto_out *out);
bool pg_say(void *pc, void *ps, enum proto_event ev, const char *text, const char *code,
            const uint8_t *in, size_t n, size_t *used, struct buf *out);
/* Drop a message of which `have` bytes are there. */
void pg_drop(struct pg_client *c, size_t have, size_t total);

/* ---- weir's own setting (pg_own.c)
 * ------------------------------------------------------------------ */

/* Of pg_stmt.flags, beside the scanner's: SET, RESET or SHOW of weir.deadline; a comment with a
 * deadline or a trace in it. */
#define PG_STMT_OWN  (UINT64_C(1) << 63)
#define PG_STMT_SAID (UINT64_C(1) << 62)

/* SET, RESET and SHOW of weir's own settings, as a simple query. PROTO_LOAN: it is none of these;
 * PROTO_WAIT: what was asked before is answered first. `s` may be NULL. */
enum proto_verdict pg_own(struct pg_client *c, struct pg_server *s, const struct pg_in *m,
                          struct proto_out *out);
bool pg_own_is(const char *sql, size_t n);
bool pg_own_has_rows(const char *sql);
/* The description of its rows. */
void pg_own_describe(struct proto_out *out);
/* Is it one that can't be done? Then why in *fault. */
bool pg_own_is_wrong(const char *sql, size_t n, struct pg_fault *fault);
/* Do what the text says: rows and CommandComplete go to the client. */
void pg_own_run(struct pg_client *c, const char *sql, size_t n, struct proto_out *out);

/* ---- composing
 * ---------------------------------------------------------------------------------------- */

/* Copy n bytes to the arena (n is bounded by PROTO_ARENA_SLACK in a step) and add them to a lane.
 */
uint8_t *pg_put(struct proto_out *out, struct proto_lane *lane, const void *p, size_t n);
/* A whole message with a body. */
void pg_put_msg(struct proto_out *out, struct proto_lane *lane, char type, const void *body,
                size_t n);
/* RowDescription, to the client: one column of no table; `bytes` of its type, UINT16_MAX: any. */
void pg_put_column(struct proto_out *out, const char *name, uint32_t type, uint16_t bytes,
                   bool binary);
void pg_put_query(struct proto_out *out, const char *sql, size_t n);
void pg_put_error(struct proto_out *out, const char *severity, const char *code, const char *fmt,
                  ...) __attribute__((format(printf, 4, 5)));

#endif
