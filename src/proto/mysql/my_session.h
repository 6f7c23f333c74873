/* SPDX-License-Identifier: ISC
 * The two objects of a MySQL session and what stands between them. Private to proto/mysql, but for
 * the logins on both sides, which fill them through my_client_init() and my_server_init().
 *
 * A client has one command under way at a time; what it sends behind it waits. weir's own commands
 * (settings to be replayed, a statement to be prepared) go ahead of it in the same write, and
 * `queue` says for each command under way what answer belongs to it and who is to see it. As every
 * command starts a count of its own, the sequence numbers that client and server use agree
 * and rows pass untouched.
 *
 * Who knows what: the server reports variables, schema and transaction (session tracking); what it
 * doesn't report is read from the texts (my_scan) and noted when the statement has succeeded.
 */
#ifndef WEIR_PROTO_MYSQL_MY_SESSION_H
#define WEIR_PROTO_MYSQL_MY_SESSION_H

#include "base/buf.h"
#include "proto/mysql/my_packet.h"
#include "proto/mysql/my_report.h"
#include "proto/mysql/my_scan.h"
#include "proto/mysql/my_text.h"
#include "proto/proto.h"
#include "proto/proto_login.h"
#include "proto/vars/vars.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#define MY_CLIENT_MAGIC 0x6d796331u
#define MY_SERVER_MAGIC 0x6d797331u

struct my_origin; /* how the server connection was made, for a KILL QUERY (my_dial) */
struct ssl_st;

enum my_pool_mode { MY_MODE_TRANSACTION, MY_MODE_SESSION, MY_MODE_STATEMENT };

enum my_lost {
    MY_LOST_NO,
    MY_LOST_TAKEN,   /* the next command gets 1213: its transaction was rolled back */
    MY_LOST_SERVER,  /* the next command gets 2013 */
    MY_LOST_SESSION, /* likewise, and nothing after it: what the session had is gone as well */
};

struct my_client {
    uint32_t magic;
    uint32_t id;          /* what it was greeted with; weir's own */
    uint64_t token;       /* names it among all clients that ever were */
    uint64_t turn;        /* names its last statement, whose counts a server may have */
    uint64_t diagnosis;   /* and what its list of warnings is, likewise; see my_stamp() */
    uint64_t salt_number; /* of its greeting, for COM_CHANGE_USER */
    uint32_t caps;        /* asked for and offered, and what COM_SET_OPTION has made of that */
    uint32_t prepared_limit;
    struct var_set *vars;     /* what the session has set; never NULL */
    struct var_set *start;    /* what it began with: COM_RESET_CONNECTION goes back there */
    struct my_report *report; /* may be NULL */
    struct var_set *named;    /* its application_name; NULL: it gave none */
    char *schema;             /* NULL: the one that its database entry names */
    struct my_stmts *stmts;
    uint8_t *warnings;   /* SHOW WARNINGS as packets, or NULL: none, or not known */
    uint8_t *picked;     /* of these what was asked for last, while it is being sent; or NULL */
    char *lost_text;     /* owned */
    uint8_t *late;       /* the ERR for a command whose packets are still to come; or NULL */
    uint64_t insert_id;  /* LAST_INSERT_ID() */
    int64_t row_count;   /* ROW_COUNT() */
    uint64_t found_rows; /* FOUND_ROWS() */
    uint64_t skip;       /* payload of the packet under way that is still to come */
    uint64_t kill_id;    /* whom its KILL under way is for */
    uint64_t looked_us;  /* when it last asked for the server's own numbers of sessions; or 0 */
    uint32_t deadline_ms, start_deadline_ms; /* weir.deadline now, and after login; 0: none */
    uint32_t warnings_len;
    uint16_t warning_count, error_count;
    uint16_t error;       /* of the last statement that failed, ... */
    char error_state[6];  /* ... and its SQLSTATE */
    uint16_t status;      /* of the last OK, for answers that need no server */
    uint16_t charset;     /* number of its collation at login */
    uint16_t prepare_64k; /* how long a text may be prepared, in units of 64 kB */
    uint32_t scan_opts;   /* how its texts are to be read: follows `vars` and `report` */
    uint8_t pool_mode;
    uint8_t lost;     /* enum my_lost */
    uint8_t seq;      /* of the packet under way */
    bool more;        /* the packet under way goes on in the next one */
    bool drop;        /* what is skipped goes nowhere */
    bool met;         /* has had a loan */
    bool kept_back;   /* a server was lost while a command waited to be sent there */
    bool deferred;    /* its COM_RESET_CONNECTION is answered when the server is clean */
    bool connector_c; /* MariaDB's: see my_error_for() */
    bool kill_query;  /* its KILL under way ends a statement, not a session */
};

/* What a command is answered with. */
enum my_kind {
    MY_R_OK,     /* OK or ERR */
    MY_R_RESULT, /* OK, ERR, LOCAL INFILE or rows; perhaps several */
    MY_R_PREPARE,
    MY_R_FETCH,  /* rows without columns */
    MY_R_FIELDS, /* columns without rows */
    MY_R_TEXT,   /* one packet without a head byte */
    MY_R_EOF,    /* EOF or ERR */
};

enum my_act {
    MY_A_PASS,    /* the client's own */
    MY_A_SET,     /* weir's: brings the session to the client's; must succeed */
    MY_A_PREPARE, /* weir's: a statement that this connection lacks */
    MY_A_SETTLE,  /* weir's own question or clean-up */
};

struct my_expect {
    uint8_t kind, act;
    uint8_t command; /* enum my_command */
    bool cursor;     /* an EXECUTE that may open one: else MY_ST_CURSOR is a routine's own */
};
#define MY_QUEUE_MAX 8u

/* Where in a response. */
enum my_phase {
    MY_PH_FIRST,
    MY_PH_COLUMNS, /* `left` definitions and an EOF to come */
    MY_PH_ROWS,
    MY_PH_PARAMS, /* of PREPARE */
    MY_PH_PREPARE_COLUMNS,
    MY_PH_INFILE, /* the client sends a file */
};

/* What weir asks or does for itself when the client's part is over. */
enum my_settle {
    MY_S_NONE,
    MY_S_ROLLBACK,
    MY_S_RESET,    /* COM_RESET_CONNECTION and what a new connection gets */
    MY_S_WORDS,    /* server_reset_query first, then the same */
    MY_S_WARNINGS, /* SHOW WARNINGS: its rows are kept, its end says how the transaction stands */
    MY_S_ASK,      /* what only the server knows: locks, FOUND_ROWS(), LAST_INSERT_ID() */
    MY_S_HIDDEN,   /* what a routine may have done that nothing has told of */
    MY_S_CHECK,    /* idle for long: is the server there? */
};

enum my_pin {
    MY_PIN_TEMP = 1,
    MY_PIN_LOCK = 2, /* GET_LOCK() */
    MY_PIN_PREPARE = 4,
    MY_PIN_HANDLER = 8,
    MY_PIN_TABLES = 16,
    MY_PIN_SERVER = 32,
    MY_PIN_USER_VAR = 64,
    MY_PIN_CURSOR = 128,
    MY_PIN_NEXT = 256,      /* SET TRANSACTION */
    MY_PIN_STATE = 512,     /* the server says that something changed, and not what */
    MY_PIN_VARIABLE = 1024, /* one that can't be given to another connection */
    MY_PIN_ROLE = 2048,     /* SET ROLE, SET RESOURCE GROUP */
    MY_PIN_SCHEMA = 4096, /* none is selected any more: no other connection can be brought there */
};

/* Routines whose names stand for what my_scan.calls has. */
#define MY_HIDDEN_MAX   4u
#define MY_HARMLESS_MAX 16u
struct my_hidden {
    uint32_t calls[MY_HIDDEN_MAX]; /* of the statements since it was asked last; 0: of no name */
    uint32_t n;                    /* of these statements, also those for which there is no room */
    struct {
        uint32_t calls;
        uint64_t until_us;
    } harmless[MY_HARMLESS_MAX]; /* what has left all as it was lately */
    uint32_t next;               /* of them */
};

/* Something held that has a name: a temporary table, a lock, a statement of PREPARE, a handler. */
struct my_held {
    LIST_ENTRY(my_held) link;
    uint32_t pin;
    char name[];
};

struct my_server {
    uint32_t magic;
    int fd;
    struct ssl_st *ssl;
    struct my_origin *origin;
    struct my_report *report;
    struct var_set *vars; /* what is in force beyond `base`; never NULL */
    struct var_set *base;
    char *schema; /* in use now; NULL: home; may be: */
#define MY_SCHEMA_UNKNOWN "\n"
    char *home;     /* of the database entry; "" when it names none */
    char *tracking; /* what a new connection is told first; owned */
    struct my_cache *cache;
    struct buf sql;     /* weir's own packets while they are being sent */
    struct buf notes;   /* a rewritten text; rows of the question under way */
    struct buf closing; /* COM_STMT_CLOSE packets for the next write, */
    struct buf closed;  /* and of the last one */
    struct buf longs;   /* long data that was sent last */
    struct my_text *preparing;
    char
        *reset_query; /* server_reset_query, if it isn't COM_RESET_CONNECTION; "": nothing; owned */
    uint8_t *prepare_error; /* an ERR packet: what was done ahead of a command ended with */
    char *overdue;          /* why weir has the statement under way cancelled; owned or NULL */
    bool overdue_tx;        /* ... and its whole transaction will be taken back ... */
    bool overdue_told;      /* ... which the client of this loan has been told */
    LIST_HEAD(, my_held) held;
    struct buf pending; /* names in the client's statement under way: what, then the name, NUL */
    struct my_hidden hidden;
    uint32_t calls;     /* my_scan.calls of the statement under way, in this schema */
    uint64_t owner;     /* `turn` of the client's statement that was the last here; 0: weir's own */
    uint64_t diagnosed; /* `diagnosis` of the client whose warnings the server has */
    uint64_t flags;     /* MY_DO_* of the statement under way */
    uint64_t skip;      /* payload of the packet under way */
    uint64_t rows;      /* of the result set under way */
    uint64_t pin_since_us;
    uint32_t thread_id;
    uint32_t caps;
    uint32_t pins;      /* enum my_pin */
    uint32_t vague;     /* of these, what nobody could name */
    uint32_t left;      /* definitions still to come */
    uint32_t long_id;   /* client's number of the statement under way; 0: none */
    uint32_t executing; /* and the server's */
    struct my_expect queue[MY_QUEUE_MAX];
    uint32_t head, len;
    uint32_t prepared_limit; /* statements kept here; never more than: */
    uint32_t prepared_share; /* of what the server allows in all */
    uint32_t prepare_params, prepare_columns;
    uint16_t status;
    uint16_t warning_count;
    uint16_t error;  /* of the client's last statement that failed */
    uint8_t phase;   /* enum my_phase */
    uint8_t settle;  /* enum my_settle */
    uint8_t seq;     /* of the client's command: the last packet that it got or sent */
    bool out_params; /* a CALL's parameters: an OK follows, whatever their EOF says */
    bool skip_drop;
    bool cont;     /* the next packet continues the one before */
    bool unknown;  /* an error: how the transaction stands is not known */
    bool failed;   /* the client's statement ended with an error */
    bool changed;  /* the server said that something changed, in a packet that can't say what */
    bool reported; /* variables or schema changed in the statement under way */
    bool state_changed;   /* likewise, in a packet that says so much and no more */
    bool executing_longs; /* long data went ahead of it */
    bool several;         /* the text under way has several statements */
    bool no_table;        /* it is of a kind that reads no table */
    bool ask, want_warnings;
    bool ask_id;         /* LAST_INSERT_ID() is this client's, and may have changed */
    bool asked_warnings; /* for this statement; ROW_COUNT() is not its own any more */
    bool listed;         /* it has warnings in its list, of `diagnosed` */
    bool savepoint;   /* one was set with autocommit off: a transaction, whatever the status says */
    bool touched;     /* MySQL may keep metadata locks of tables, without a transaction */
    bool next_begun;  /* the transaction that MY_PIN_NEXT is for */
    bool next_left;   /* what that was for may still be there */
    bool id_given;    /* its LAST_INSERT_ID() is the borrower's */
    bool late_cancel; /* a cancel has come to an end: a late one must not hit the next borrower */
    bool multi;
    bool file_begun;     /* the client has sent a part of its file */
    bool infile_refused; /* the client can't send files: weir has refused in its name */
    bool in_session;
    bool reset_always; /* server_reset_query_always */
    bool reset_done;   /* since the client's last command */
    bool dying;
    bool stuck;      /* MY_PIN_VARIABLE is for more than @@timestamp */
    bool frees_time; /* the statement under way sets that to its default */
    bool worn; /* it has, or its login gave it, what COM_RESET_CONNECTION doesn't bring back */
    uint8_t settle_left; /* answers that the clean-up under way still waits for */
    char collation[64];  /* that the statement under way gives with SET NAMES; "": a default one */
    char statement[128]; /* the beginning of the one under way, should it pin */
    char pin_statement[128];
    char hidden_statement[128]; /* the first one of `hidden` */
    char words[256];            /* with which the server ended the connection */
    char words_state[6];
};

/* Of a client's statements each has another: what a server remembers of an older one of the same
 * client is not what it asks for. */
static inline uint64_t my_stamp(const struct my_client *c, uint64_t last)
{
    return c->token << 24 | ((last + 1) & 0xffffff);
}

/* ---- the ends of the objects (my_proto.c) ---- */

struct my_client_start {
    uint32_t id, caps;
    struct login_limits limits;
    uint64_t salt_number; /* see my_salt() */
    uint32_t deadline_ms; /* weir.deadline of the attributes; 0: none */
    const char *application_name;
    unsigned charset; /* of the handshake */
    bool connector_c;
    struct my_report *report; /* or NULL; a reference is taken */
};
bool my_client_init(struct my_client *c, const struct my_client_start *start);
/* Its character sets, now that `report` says whose numbers they are. false: out of memory. */
bool my_client_names(struct my_client *c);
void my_client_limit(void *pc, const struct login_limits *limits);

struct my_server_start {
    int fd;
    struct ssl_st *ssl;
    struct my_origin *origin; /* taken over */
    struct my_report *report; /* taken over */
    const char *home;
    const char *tracking; /* the SET that follows a login and a reset */
    uint32_t thread_id, caps;
    uint32_t max_prepared; /* @@max_prepared_stmt_count; 0: not known */
    bool init_connect;     /* the login has set what that says, and a reset forgets it */
};
bool my_server_init(struct my_server *s, const struct my_server_start *start);

/* ---- feeding (my_client.c, my_server.c) ---- */

struct my_in {
    const uint8_t *p;   /* the packet's header */
    size_t have, total; /* of a PREPARE that is all there: of all its packets */
    size_t n;           /* bytes at p, of what follows it, too */
};

enum proto_verdict my_client_feed(void *pc, void *ps, const uint8_t *in, size_t n, size_t *used,
                                  struct proto_out *out);
enum proto_verdict my_server_feed(void *ps, void *pc, const uint8_t *in, size_t n, size_t *used,
                                  struct proto_out *out);
bool my_expect_push(struct my_server *s, enum my_kind kind, enum my_act act, uint8_t command);
static inline struct my_expect *my_expect_head(struct my_server *s)
{
    return s->len != 0 ? &s->queue[s->head] : NULL;
}

static inline struct my_expect *my_expect_last(struct my_server *s)
{
    return &s->queue[(s->head + s->len - 1) % MY_QUEUE_MAX];
}

/* Does the client know definitions of columns as the server writes them? */
static inline bool my_same_definitions(const struct my_client *c, const struct my_server *s)
{
    return ((c->caps ^ s->caps) & MY_CAP_EXTENDED) == 0;
}
/* The other form of this definition, a packet; its length, or 0: it is none, or there is no room.
 */
#define MY_DEFINITION_MAX 4096u
size_t my_definition_for(const struct my_client *c, const uint8_t *packet, size_t n, uint8_t *to,
                         size_t room);

/* It has been told what it lost, or need not be. */
void my_lost_forget(struct my_client *c);

/* ---- commands (my_query.c) ---- */

/* A text, with or without a server. PROTO_LOAN: it needs one. */
enum proto_verdict my_on_query(struct my_client *c, struct my_server *s, const struct my_in *m,
                               struct proto_out *out);
/* The text with the client's own values put in where this connection would give another's. */
bool my_rewrite(const struct my_client *c, const struct my_server *s, const struct my_scan *scan,
                const char *text, size_t n, struct buf *to);
bool my_needs_rewrite(const struct my_client *c, const struct my_server *s,
                      const struct my_scan *scan);
/* Answer a prepared SHOW WARNINGS with what was kept; false: it can't be. */
bool my_put_warnings(struct my_client *c, const struct my_text *text, struct proto_out *out);
/* The statement asks for LAST_INSERT_ID() where it must be the server that answers. */
bool my_give_insert_id(const struct my_client *c, struct my_server *s, const struct my_scan *scan,
                       struct proto_out *out);
uint64_t my_returning(const char *text, size_t n); /* MY_DO_SET_INSERT_ID or 0 */
/* Begins a transaction where there may be none: refused. */
bool my_is_barred(const struct my_client *c, const struct my_scan *scan, const char *text,
                  struct proto_out *out);

/* ---- prepared statements (my_prepare.c, my_prepared.c) ---- */

enum proto_verdict my_on_prepare(struct my_client *c, struct my_server *s, const struct my_in *m,
                                 struct proto_out *out);
/* Of several packets, if it must be; those are kept until the answer comes. */
bool my_send_prepare(struct my_server *s, const struct my_text *text, struct proto_out *out);
/* The answers to a PREPARE of the client's or weir's own; its first packet. */
bool my_prepared(struct my_client *c, struct my_server *s, const struct my_expect *x,
                 const uint8_t *p, size_t n, struct proto_out *out);
/* An ERR in its place: where the server has no room for one more, make some and ask again. false:
 * that isn't what is wrong, or can't be helped. */
bool my_prepare_again(struct my_server *s, unsigned code, struct proto_out *out);
/* Close what need not be kept, so that one more may be prepared; sent by my_send_closes(). */
void my_prepared_trim(struct my_server *s);
void my_send_closes(struct my_server *s, struct proto_out *out);
/* EXECUTE, FETCH, RESET, CLOSE, SEND_LONG_DATA. */
enum proto_verdict my_on_statement(struct my_client *c, struct my_server *s, const struct my_in *m,
                                   struct proto_out *out);
/* An EXECUTE that weir answers itself: what it brought for later ones is kept, and what was for it
 * alone is gone, as if a server had had it. Any other command is left alone. */
void my_execute_refused(struct my_client *c, const struct my_in *m);
/* An EXECUTE ended with an error: what it left at the server is nobody else's to find. */
void my_execute_failed(struct my_server *s);
/* One of a text that is not to be kept has ended: MY_DO_FLEETING. */
void my_execute_over(struct my_server *s);
enum proto_verdict my_out_of_memory(struct proto_out *out);

/* ---- what the server reports (my_track.c) ---- */

/* A block of session changes. */
void my_track(struct my_client *c, struct my_server *s, struct my_view block);
/* Of a block of session changes what servers tell by default; bytes of it in `to`. */
size_t my_track_filter(struct my_view block, uint8_t *to, size_t room);
/* Do servers tell of it by default? */
bool my_track_is_usual(const char *name);

/* ---- the session's state (my_state.c) ---- */

/* The client's command goes to this server: bring it to the client's session, ahead of it, but for
 * the schema. */
bool my_sync(struct my_client *c, struct my_server *s, struct proto_out *out);
/* And to its schema. WAIT: that is asked for, and the command must not be sent before it is known
 * that it is there: it would be executed in somebody else's. */
enum proto_verdict my_sync_all(struct my_client *c, struct my_server *s, struct proto_out *out);
enum proto_verdict my_go_to_schema(struct my_server *s, const char *name, struct proto_out *out);
/* A copy, or NULL, in the place of another. */
void my_set_text(char **at, const char *text);
/* Remember what the statement under way will have done. false: out of memory. */
bool my_effect_note(struct my_client *c, struct my_server *s, const struct my_scan *scan,
                    const char *text, size_t n);
/* The client's command is over. */
void my_effect_end(struct my_client *c, struct my_server *s);
/* A cursor was: the last one that is open ends its pin. */
void my_cursor_closed(struct my_server *s);
void my_held_forget(struct my_server *s, uint32_t pins);
const char *my_pin_name(uint32_t pins);
/* Does the statement under way leave the warnings of the one before alone? */
bool my_keeps_warnings(const struct my_client *c, const struct my_server *s);
/* The status doesn't tell of savepoints before the first table: they are lost with the loan as
 * well. */
static inline bool my_in_transaction(const struct my_server *s)
{
    return (s->status & MY_ST_IN_TRANS) != 0 || s->savepoint;
}
/* FOUND_ROWS() stays what it was: SHOW WARNINGS of MySQL. */
static inline bool my_is_mysql(const struct my_client *c)
{
    return c != NULL && c->report != NULL && !c->report->mariadb;
}
static inline bool my_leaves_counts(const struct my_client *c, const struct my_server *s)
{
    return (s->flags & MY_DO_SHOW_WARNINGS) != 0 && c->report != NULL && !c->report->mariadb;
}
/* FOUND_ROWS() of a session that has asked for none. */
static inline uint64_t my_found_at_first(const struct my_report *report)
{
    return report != NULL && report->mariadb ? 1 : 0;
}
void my_memory_clear(struct my_client *c);
/* To how it was after login; its vars, statements and memory. */
void my_client_reset(struct my_client *c);
/* Its first loan: what the handshake asked for and only a server can say more of. */
void my_client_meet(struct my_client *c, struct my_server *s);

/* ---- what routines do unseen (my_hidden.c) ---- */

/* The statement under way, of which this is known, is noted, or is over. */
void my_hidden_note(const struct my_client *c, struct my_server *s, const struct my_scan *scan);
void my_hidden_end(struct my_server *s);
/* Ask; and what the server has answered: how many locks it has let go. */
bool my_hidden_ask(struct my_server *s, struct proto_out *out);
void my_hidden_take(struct my_server *s, uint64_t locks);

/* ---- the list of warnings that is kept (my_settle.c) ---- */

/* A row of SHOW WARNINGS. */
struct my_warning {
    struct my_view level, message;
    uint32_t number;
};
/* Where in c->warnings; begins as {0}. */
struct my_warnings_at {
    const uint8_t *row; /* without its head */
    size_t next;
    uint32_t len;
    int ends;
};
bool my_next_warning(const struct my_client *c, struct my_warnings_at *w);
/* false: it isn't one. The views point into the row. */
bool my_read_warning(const uint8_t *row, size_t n, struct my_warning *to);

/* ---- GET DIAGNOSTICS (my_diagnostics.c) ---- */

/* Would GET DIAGNOSTICS find another statement than the client's last here? */
bool my_diagnostics_differ(const struct my_client *c, const struct my_server *s);
/* If that is what the text is, a SET of its variables to the right values. false, with anything in
 * `to`: it isn't, or the server says it best. */
bool my_diagnostics_set(const struct my_client *c, const struct my_server *s, const char *text,
                        size_t n, struct buf *to);

/* ---- values of variables (my_set.c) ---- */

/* Write the statement from one set to another; nothing when they agree. `loud`: the server may warn
 * of it. false: out of memory. */
bool my_set_diff(const struct var_set *have, const struct var_set *want, const struct var_set *base,
                 struct buf *sql, bool *any, bool *loud);
/* Is this assignment one that changes nothing? */
bool my_set_is_noop(const struct my_client *c, const char *text, const struct my_scan_assign *a,
                    unsigned opts);
/* The value in force; false: not known. */
bool my_set_value(const struct my_client *c, const char *name, struct var_entry *out);
/* How its texts are to be read: MY_SCAN_.... */
unsigned my_scan_opts(const struct my_client *c);
/* After each change of the client's vars or report. */
void my_scan_opts_follow(struct my_client *c);

/* ---- lending (my_settle.c) ---- */

enum proto_loan my_begin(void *ps, void *pc, struct proto_out *out);
enum proto_loan my_state(void *ps, void *pc, bool may_end, uint64_t now_us, struct proto_out *out);
bool my_abandon(void *ps, void *pc, struct proto_out *out);
bool my_check(void *ps, const char *query, struct proto_out *out);
/* Is the client owed an answer to what was sent? What weir asks for itself is nobody's, and the
 * command that waits for it (prepare_first() in my_prepared.c) is looked at again. */
bool my_is_awaited(const struct my_client *c, const struct my_server *s);
/* Send weir's own question or clean-up. BROKEN also where no reset would do. */
enum proto_loan my_settle_start(struct my_server *s, enum my_settle what, struct proto_out *out);
bool my_is_error_row(const uint8_t *row, size_t n);
void my_settle_packet(const struct my_client *c, struct my_server *s, const uint8_t *packet,
                      size_t n);
void my_settle_end(struct my_client *c, struct my_server *s, bool ok);

/* ---- answers of weir's own (my_local.c) ---- */

void my_put_ok(struct my_client *c, struct proto_out *out);
/* To a statement that sets what is in force already: as the server tells it. */
void my_put_ok_set(struct my_client *c, const struct my_scan *scan, const char *text,
                   struct proto_out *out);
/* To what is no statement: MySQL counts the warnings of the last one in it. */
void my_put_ok_ping(struct my_client *c, struct proto_out *out);
void my_put_ok_schema(struct my_client *c, struct proto_out *out);
/* A number in the clients' own range (MY_CR_..), or what this client is told instead. */
unsigned my_error_for(const struct my_client *c, unsigned code);
void my_put_error(struct proto_out *out, uint8_t seq, unsigned code, const char *state,
                  const char *fmt, ...) __attribute__((format(printf, 5, 6)));
bool my_say(void *pc, void *ps, enum proto_event ev, const char *text, const char *code,
            const uint8_t *in, size_t n, size_t *used, struct buf *out);
/* Copy to the arena and add to a lane; n is bounded by PROTO_ARENA_SLACK in a step. */
uint8_t *my_put(struct proto_out *out, struct proto_lane *lane, const void *p, size_t n);
/* Head and payload of a command of weir's own; the payload must stay until it is sent. */
void my_put_command(struct proto_out *out, uint8_t command, const void *p, size_t n);
/* Skip the rest of a packet of which `have` bytes were used, and what continues it. */
void my_pass_rest(struct my_client *c, const struct my_in *m, bool drop);
/* Further packets of the command that the server is answering are still to come. */
static inline bool my_is_sending(const struct my_client *c, const struct my_server *s)
{
    return c->more && s->phase != MY_PH_INFILE;
}
/* The answer to a command of several packets counts on from the last of them, and until that has
 * come its client doesn't read: this ERR packet is kept until then. false: no memory. */
bool my_answer_late(struct my_client *c, const void *err, size_t n);

#endif
