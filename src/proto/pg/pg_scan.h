/* SPDX-License-Identifier: ISC
 * What a client's SQL text could do to its session, read off the text alone.
 *
 * A lexer with PostgreSQL's own rules (strings of every kind, dollar quotes, nested comments,
 * statement ends, BEGIN ATOMIC bodies) and on top of it a recognition of the few statements that
 * touch session state. It is not a parser: it accepts what the server will refuse. A text that
 * the server refuses changes nothing, so a flag too many costs a question and never the truth;
 * where a text can't be understood the answer is PG_SCAN_SET_OPAQUE or PG_SCAN_MAY_ANY, never
 * silence.
 *
 * What no text shows: what the functions, triggers and rules do that a plain SELECT runs into.
 *
 * Pure: bytes in, a result out; no allocation, no state, any thread. A text is scanned as a whole.
 * Of one longer than the caller wants to keep (PG_SCAN_MAX is the advice) it scans the beginning
 * with PG_SCAN_OPT_CUT, which answers for the unseen rest with PG_SCAN_MAY_ANY |
 * PG_SCAN_SET_OPAQUE.
 */
#ifndef WEIR_PROTO_PG_SCAN_H
#define WEIR_PROTO_PG_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PG_SCAN_MAX        (64u * 1024) /* texts up to here are worth collecting for a scan */
#define PG_SCAN_NAMES_MAX  64           /* statement names remembered */
#define PG_SCAN_CUSTOM_MAX 64           /* custom settings remembered */
#define PG_SCAN_USED_MAX   32           /* names of functions and tables remembered */
#define PG_SETTING_MAX     128          /* longest setting name that is followed, with its NUL */

/* How the text has to be read. */
enum pg_scan_opt {
    PG_SCAN_OPT_SCS = 1 << 0,        /* standard_conforming_strings is on */
    PG_SCAN_OPT_UNSAFE_ENC = 1 << 1, /* client_encoding is one of those whose characters may
                                        contain ASCII bytes (see pg_canon_encoding_unsafe()) */
    PG_SCAN_OPT_CUT = 1 << 2,        /* this is only the beginning of the text */
};

/* A part of the text. len 0: not there. */
struct pg_span {
    uint32_t off;
    uint32_t len;
};

/* X(NAME, name): the kind of a statement, by its first words. */
#define PG_SCAN_KINDS(X)                                                                           \
    X(EMPTY, "empty")                                                                              \
    X(OTHER, "other")                                                                              \
    X(SELECT, "select") /* also WITH, VALUES, TABLE */                                             \
    X(INSERT, "insert")                                                                            \
    X(UPDATE, "update")                                                                            \
    X(DELETE, "delete")                                                                            \
    X(MERGE, "merge")                                                                              \
    X(COPY, "copy")                                                                                \
    X(BEGIN, "begin") /* also START TRANSACTION */                                                 \
    X(COMMIT, "commit")                                                                            \
    X(ROLLBACK, "rollback")                                                                        \
    X(PREPARE_TRANSACTION, "prepare transaction")                                                  \
    X(SAVEPOINT, "savepoint")                                                                      \
    X(RELEASE, "release")                                                                          \
    X(ROLLBACK_TO, "rollback to")                                                                  \
    X(SET, "set")                                                                                  \
    X(RESET, "reset")                                                                              \
    X(SHOW, "show")                                                                                \
    X(DISCARD, "discard")                                                                          \
    X(PREPARE, "prepare")                                                                          \
    X(EXECUTE, "execute")                                                                          \
    X(DEALLOCATE, "deallocate")                                                                    \
    X(DECLARE, "declare")                                                                          \
    X(FETCH, "fetch") /* also MOVE */                                                              \
    X(CLOSE, "close")                                                                              \
    X(LISTEN, "listen")                                                                            \
    X(UNLISTEN, "unlisten")                                                                        \
    X(NOTIFY, "notify")                                                                            \
    X(EXPLAIN, "explain")                                                                          \
    X(CREATE, "create")                                                                            \
    X(ALTER, "alter")                                                                              \
    X(DBLINK, "dblink connection") /* dblink_connect() */                                          \
    X(DROP, "drop")                                                                                \
    X(DO, "do")                                                                                    \
    X(CALL, "call")                                                                                \
    X(LOAD, "load")

enum pg_scan_kind {
#define X(NAME, name) PG_KIND_##NAME,
    PG_SCAN_KINDS(X)
#undef X
        PG_KIND_COUNT
};

/* X(NAME, name): what some statement of the text does or may do. */
#define PG_SCAN_FLAGS(X)                                                                           \
    X(TX_BEGIN, "begins a transaction")                                                            \
    X(TX_END, "ends a transaction") /* commit, rollback, prepare transaction */                    \
    X(SAVEPOINT, "savepoint")                                                                      \
    X(RELEASE, "release savepoint")                                                                \
    X(ROLLBACK_TO, "rollback to savepoint")                                                        \
    X(SET_SIMPLE, "set") /* the only statement: .name and .value can be replayed as they are */    \
    X(SET_LOCAL, "set local") /* nothing outlives the transaction */                               \
    X(SET_OPAQUE, "settings changed in a way only the server knows")                               \
    X(SET_UNNAMED, "settings changed whose names are not in the text") /* set_config($1, ..) */    \
    X(RESET_ONE, "reset") /* the only statement; .name. Also SET .. TO DEFAULT */                  \
    X(RESET_ALL, "reset all")                                                                      \
    X(DISCARD_ALL, "discard all")                                                                  \
    X(DISCARD_PLANS, "discard plans")                                                              \
    X(DISCARD_SEQUENCES, "discard sequences")                                                      \
    X(DISCARD_TEMP, "discard temp")                                                                \
    X(PREPARE, "prepare")       /* .names[]; so for the next two */                                \
    X(EXECUTE, "execute")       /* also EXPLAIN EXECUTE, CREATE TABLE .. AS EXECUTE */             \
    X(DEALLOCATE, "deallocate") /* by name */                                                      \
    X(DEALLOCATE_ALL, "deallocate all")                                                            \
    X(LISTEN, "listen")                                                                            \
    X(UNLISTEN, "unlisten")                                                                        \
    X(TEMP_OBJECT, "temporary object")                                                             \
    X(TEMP_TX, "temporary object for the transaction") /* ON COMMIT DROP: gone when it ends */     \
    X(ADVISORY_LOCK, "advisory lock")                                                              \
    X(ADVISORY_UNLOCK, "advisory unlock")                                                          \
    X(HOLD_CURSOR, "cursor with hold")                                                             \
    X(CLOSE, "close cursor")                                                                       \
    X(LOAD, "load")                                                                                \
    X(SEQUENCE, "sequence used") /* nextval(), setval() */                                         \
    X(SEQ_READ, "sequence read") /* currval(), lastval() */                                        \
    X(SEQ_IMPLICIT, "insert")    /* INSERT, MERGE, COPY: a column's default may call nextval() */  \
    X(RETURNING, "returning")                                                                      \
    X(SEED, "random seed")         /* setseed(), SET SEED */                                       \
    X(DBLINK, "dblink connection") /* dblink_connect() */                                          \
    X(DROP, "drop")                /* could have removed a temporary object */                     \
    X(COPY, "copy")                                                                                \
    X(MAY_ANY, "anything") /* DO, CALL, unreadable: anything above may have happened as well */    \
    X(CALLS, "call")       /* of a function that isn't PostgreSQL's own */

enum pg_scan_flag_bit {
#define X(NAME, name) PG_SCAN_BIT_##NAME,
    PG_SCAN_FLAGS(X)
#undef X
        PG_SCAN_BIT_COUNT
};

#define PG_SCAN_TX_BEGIN          (UINT64_C(1) << PG_SCAN_BIT_TX_BEGIN)
#define PG_SCAN_TX_END            (UINT64_C(1) << PG_SCAN_BIT_TX_END)
#define PG_SCAN_SAVEPOINT         (UINT64_C(1) << PG_SCAN_BIT_SAVEPOINT)
#define PG_SCAN_RELEASE           (UINT64_C(1) << PG_SCAN_BIT_RELEASE)
#define PG_SCAN_ROLLBACK_TO       (UINT64_C(1) << PG_SCAN_BIT_ROLLBACK_TO)
#define PG_SCAN_SET_SIMPLE        (UINT64_C(1) << PG_SCAN_BIT_SET_SIMPLE)
#define PG_SCAN_SET_LOCAL         (UINT64_C(1) << PG_SCAN_BIT_SET_LOCAL)
#define PG_SCAN_SET_OPAQUE        (UINT64_C(1) << PG_SCAN_BIT_SET_OPAQUE)
#define PG_SCAN_SET_UNNAMED       (UINT64_C(1) << PG_SCAN_BIT_SET_UNNAMED)
#define PG_SCAN_RESET_ONE         (UINT64_C(1) << PG_SCAN_BIT_RESET_ONE)
#define PG_SCAN_RESET_ALL         (UINT64_C(1) << PG_SCAN_BIT_RESET_ALL)
#define PG_SCAN_DISCARD_ALL       (UINT64_C(1) << PG_SCAN_BIT_DISCARD_ALL)
#define PG_SCAN_DISCARD_PLANS     (UINT64_C(1) << PG_SCAN_BIT_DISCARD_PLANS)
#define PG_SCAN_DISCARD_SEQUENCES (UINT64_C(1) << PG_SCAN_BIT_DISCARD_SEQUENCES)
#define PG_SCAN_DISCARD_TEMP      (UINT64_C(1) << PG_SCAN_BIT_DISCARD_TEMP)
#define PG_SCAN_PREPARE           (UINT64_C(1) << PG_SCAN_BIT_PREPARE)
#define PG_SCAN_EXECUTE           (UINT64_C(1) << PG_SCAN_BIT_EXECUTE)
#define PG_SCAN_DEALLOCATE        (UINT64_C(1) << PG_SCAN_BIT_DEALLOCATE)
#define PG_SCAN_DEALLOCATE_ALL    (UINT64_C(1) << PG_SCAN_BIT_DEALLOCATE_ALL)
#define PG_SCAN_LISTEN            (UINT64_C(1) << PG_SCAN_BIT_LISTEN)
#define PG_SCAN_UNLISTEN          (UINT64_C(1) << PG_SCAN_BIT_UNLISTEN)
#define PG_SCAN_TEMP_OBJECT       (UINT64_C(1) << PG_SCAN_BIT_TEMP_OBJECT)
#define PG_SCAN_TEMP_TX           (UINT64_C(1) << PG_SCAN_BIT_TEMP_TX)
#define PG_SCAN_ADVISORY_LOCK     (UINT64_C(1) << PG_SCAN_BIT_ADVISORY_LOCK)
#define PG_SCAN_ADVISORY_UNLOCK   (UINT64_C(1) << PG_SCAN_BIT_ADVISORY_UNLOCK)
#define PG_SCAN_HOLD_CURSOR       (UINT64_C(1) << PG_SCAN_BIT_HOLD_CURSOR)
#define PG_SCAN_CLOSE             (UINT64_C(1) << PG_SCAN_BIT_CLOSE)
#define PG_SCAN_LOAD              (UINT64_C(1) << PG_SCAN_BIT_LOAD)
#define PG_SCAN_SEQUENCE          (UINT64_C(1) << PG_SCAN_BIT_SEQUENCE)
#define PG_SCAN_SEQ_READ          (UINT64_C(1) << PG_SCAN_BIT_SEQ_READ)
#define PG_SCAN_SEQ_IMPLICIT      (UINT64_C(1) << PG_SCAN_BIT_SEQ_IMPLICIT)
#define PG_SCAN_RETURNING         (UINT64_C(1) << PG_SCAN_BIT_RETURNING)
#define PG_SCAN_SEED              (UINT64_C(1) << PG_SCAN_BIT_SEED)
#define PG_SCAN_DBLINK            (UINT64_C(1) << PG_SCAN_BIT_DBLINK)
#define PG_SCAN_DROP              (UINT64_C(1) << PG_SCAN_BIT_DROP)
#define PG_SCAN_COPY              (UINT64_C(1) << PG_SCAN_BIT_COPY)
#define PG_SCAN_MAY_ANY           (UINT64_C(1) << PG_SCAN_BIT_MAY_ANY)
#define PG_SCAN_CALLS             (UINT64_C(1) << PG_SCAN_BIT_CALLS)

/* The text is, but for case, space, comments and a trailing semicolon, exactly this. */
enum pg_scan_whole {
    PG_WHOLE_NONE,
    PG_WHOLE_DISCARD_ALL,
    PG_WHOLE_RESET_ALL,
    PG_WHOLE_DEALLOCATE_ALL,
    PG_WHOLE_ASYNCPG_RESET, /* SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL; */
};

/* One statement name in PREPARE, EXECUTE or DEALLOCATE, in the order of the text. */
struct pg_scan_name {
    struct pg_span at;   /* the token as written, quotes included: replace these bytes to rename;
                            len 0: U&"..", or what the server will refuse */
    struct pg_span body; /* PREPARE: the statement behind AS; len 0: there is none */
    uint64_t flag;       /* PG_SCAN_PREPARE, _EXECUTE, _DEALLOCATE or, without a name, of
                            DEALLOCATE ALL _DEALLOCATE_ALL */
    bool typed;          /* PREPARE: with a list of types */
};

struct pg_scan {
    uint64_t flags;
    uint32_t statements;    /* empty ones not counted */
    enum pg_scan_kind kind; /* of the first statement */
    enum pg_scan_whole whole;
    const char *alias;    /* the setting's name where the text says it otherwise (TIME ZONE,
                             NAMES, SCHEMA): use pg_scan_setting() */
    struct pg_span name;  /* SET_SIMPLE, RESET_ONE: the setting's name as written */
    struct pg_span value; /* SET_SIMPLE: everything between TO and the end, as written */
    struct pg_span first; /* the first statement without the semicolon */
    /* Custom settings (my.var) that the text sets or resets for the session, by whatever statement:
     * the server doesn't list them in pg_settings, it only answers for a name. A name for
     * pg_scan_custom(); overlong ones, and those in a parameter, are PG_SCAN_SET_UNNAMED. */
    uint32_t n_custom; /* all of them; only the first PG_SCAN_CUSTOM_MAX are in custom[] */
    uint32_t n_names;  /* likewise, PG_SCAN_NAMES_MAX */
    /* What may do more than the text shows: what stands in front of a parenthesis and isn't
     * PostgreSQL's own, as pg_builtin_mark() has it, and tables and views as pg_scan_table_mark()
     * has them; each with its schema where the text names that. Of n_used only the first
     * PG_SCAN_USED_MAX are here: with more, something is used that can't be told by a name. */
    uint32_t n_used;
    uint32_t used[PG_SCAN_USED_MAX];
    /* What is behind n_names and n_custom is not initialized. */
    struct pg_scan_name names[PG_SCAN_NAMES_MAX];
    struct pg_span custom[PG_SCAN_CUSTOM_MAX];
};

/* A mark of a table's name, however it is written, and of what is done to it: r read, i insert, u
 * update, d delete, m merge, which different triggers see. */
uint32_t pg_scan_table_mark(char how, const char *name, size_t n);

/* Scan the text. `opts` is a set of enum pg_scan_opt. */
void pg_scan_text(const char *text, size_t len, unsigned opts, struct pg_scan *out);

/* The setting's name of a SET_SIMPLE or RESET_ONE, lower case, unquoted, NUL-terminated;
 * PG_SETTING_MAX always suffices. Returns its length. */
size_t pg_scan_setting(const char *text, const struct pg_scan *scan, char out[PG_SETTING_MAX]);

/* The name that custom[] points to, in the same form; 0 when it can't be read. */
size_t pg_scan_custom(const char *text, struct pg_span at, char out[PG_SETTING_MAX]);

/* What an identifier token means: folded to lower case or unquoted, cut to 63 bytes as the server
 * cuts it, NUL-terminated. Returns the length; 0 when it isn't a plain or quoted identifier. */
size_t pg_scan_identifier(const char *text, struct pg_span at, char out[64]);

const char *pg_scan_kind_name(enum pg_scan_kind kind);
/* "name" of the lowest flag that is set, e.g. for a pin's reason; "" when none is. */
const char *pg_scan_flag_name(uint64_t flags);

#endif
