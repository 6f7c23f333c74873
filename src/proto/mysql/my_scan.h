/* SPDX-License-Identifier: ISC
 * What the text of a statement means for the session it runs in: what it sets, pins, frees, and
 * asks about itself. One pass, no memory of its own.
 *
 * What it is not: a parser. It knows words where they stand (MySQL 9 and MariaDB 10.11 manuals) and
 * is careful: what could be read in two ways is read as the one that pins or asks. What the server
 * reports by itself (values of variables, the schema, the transaction) is not looked for here.
 * Pure; any thread. Linear in the text's length.
 */
#ifndef WEIR_PROTO_MYSQL_MY_SCAN_H
#define WEIR_PROTO_MYSQL_MY_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How the text is to be read: flags, what my_scan_charset() says of character_set_client, and what
 * my_scan_server() says of who is to execute it. */
#define MY_SCAN_ANSI_QUOTES    1u /* sql_mode: "x" is a name */
#define MY_SCAN_NO_BACKSLASH   2u /* sql_mode: a backslash is a character */
#define MY_SCAN_CUT            4u /* the text is only the beginning of it */
#define MY_SCAN_SKIP_VERSIONED 8u /* my_scan's own: what depends on a version is not executed */
#define MY_SCAN_MARIADB        128u
#define MY_SCAN_CHARSET_SHIFT  4u /* three bits: enum my_charset */
#define MY_SCAN_VERSION_SHIFT  8u /* 101119 is 10.11.19; 0: not known */

enum my_charset {
    MY_CHARSET_PLAIN, /* utf8mb4, ascii, ... */
    MY_CHARSET_BYTES, /* one byte a character */
    MY_CHARSET_SPACE_A0,
    MY_CHARSET_SPACE_FF, /* of these, one is white space */
    MY_CHARSET_GBK,      /* from here on a second byte can look like a quote or a backslash */
    MY_CHARSET_BIG5,
    MY_CHARSET_SJIS,
};

/* What a statement does. */
#define MY_DO_SET           (UINT64_C(1) << 0)  /* SET of variables, understood: see assign[] */
#define MY_DO_SET_OTHER     (UINT64_C(1) << 1)  /* SET that isn't */
#define MY_DO_USER_VAR      (UINT64_C(1) << 2)  /* gives a @variable a value */
#define MY_DO_TEMP_CREATE   (UINT64_C(1) << 3)  /* CREATE TEMPORARY TABLE: names[] */
#define MY_DO_DROP_TABLE    (UINT64_C(1) << 4)  /* DROP TABLE: names[] */
#define MY_DO_LOCK          (UINT64_C(1) << 5)  /* GET_LOCK(): names[] when it is a literal */
#define MY_DO_UNLOCK        (UINT64_C(1) << 6)  /* RELEASE_LOCK() */
#define MY_DO_UNLOCK_ALL    (UINT64_C(1) << 7)  /* RELEASE_ALL_LOCKS() */
#define MY_DO_LOCK_TABLES   (UINT64_C(1) << 8)  /* LOCK TABLES, FLUSH TABLES .. WITH READ LOCK */
#define MY_DO_UNLOCK_TABLES (UINT64_C(1) << 9)  /* UNLOCK TABLES, or what implies it */
#define MY_DO_LOCK_SERVER   (UINT64_C(1) << 10) /* LOCK INSTANCE, BACKUP STAGE */
#define MY_DO_UNLOCK_SERVER (UINT64_C(1) << 11)
#define MY_DO_PREPARE       (UINT64_C(1) << 12) /* text PREPARE: names[] */
#define MY_DO_DEALLOCATE    (UINT64_C(1) << 13) /* names[] */
#define MY_DO_HANDLER_OPEN  (UINT64_C(1) << 14) /* names[] */
#define MY_DO_HANDLER_CLOSE (UINT64_C(1) << 15)
#define MY_DO_SET_NEXT      (UINT64_C(1) << 16) /* SET TRANSACTION: holds for the next one */
#define MY_DO_DIAGNOSTICS                                                                          \
    (UINT64_C(1) << 17)                         /* asks of the statement before it, by a form that \
                                                   is not in volatiles[] */
#define MY_DO_CALC_ROWS     (UINT64_C(1) << 18) /* SQL_CALC_FOUND_ROWS */
#define MY_DO_SET_INSERT_ID (UINT64_C(1) << 19) /* LAST_INSERT_ID(expression), SET of it */
#define MY_DO_USE           (UINT64_C(1) << 20) /* USE: names[] */
#define MY_DO_CALL          (UINT64_C(1) << 21) /* may do anything */
#define MY_DO_KILL          (UINT64_C(1) << 22) /* see kill_id */
#define MY_DO_BEGIN         (UINT64_C(1) << 23)
#define MY_DO_COMMIT        (UINT64_C(1) << 24) /* alone, without CHAIN or RELEASE */
#define MY_DO_ROLLBACK      (UINT64_C(1) << 25) /* the whole transaction, likewise */
#define MY_DO_SHOW_WARNINGS (UINT64_C(1) << 26) /* or SHOW ERRORS; perhaps with LIMIT */
#define MY_DO_VIRTUAL       (UINT64_C(1) << 27) /* SETs a variable that is kept from servers */
#define MY_DO_RENAME_TABLE  (UINT64_C(1) << 28) /* ALTER or RENAME TABLE: may be a temporary one */
#define MY_DO_TOO_MUCH                                                                             \
    (UINT64_C(1) << 29) /* more names or assignments than are noted, or cut                        \
                           where it matters: the rest is not known */
#define MY_DO_XA             (UINT64_C(1) << 30)
#define MY_DO_READ_USER_VAR  (UINT64_C(1) << 31)
#define MY_DO_FLUSH          (UINT64_C(1) << 32)
#define MY_DO_DEADLINE       (UINT64_C(1) << 33) /* SET weir.deadline */
#define MY_DO_SHOW_ERRORS    (UINT64_C(1) << 34) /* of these the errors only */
#define MY_DO_COUNT_WARNINGS (UINT64_C(1) << 35) /* reads @@warning_count or @@error_count */
#define MY_DO_PAST           (UINT64_C(1) << 36) /* of a prepared text: it has volatiles */
#define MY_DO_NO_TABLE       (UINT64_C(1) << 37) /* of a prepared text: my_scan.no_table */
#define MY_DO_SHOW_COUNT     (UINT64_C(1) << 38) /* SHOW COUNT(*) WARNINGS or ERRORS */
#define MY_DO_BARE_SET       (UINT64_C(1) << 39) /* SET @@name: see my_scan_assign.bare */
#define MY_DO_SAVEPOINT      (UINT64_C(1) << 40)
#define MY_DO_RELEASE        (UINT64_C(1) << 41) /* COMMIT RELEASE: the server hangs up then */
#define MY_DO_FLEETING       (UINT64_C(1) << 42) /* of a prepared text: not worth keeping */
#define MY_DO_NO_STATEMENT   (UINT64_C(1) << 43) /* a command that is none: PREPARE, .. */
#define MY_DO_LOOK           (UINT64_C(1) << 44) /* shows the numbers of the server's sessions */
#define MY_DO_FUNCTION       (UINT64_C(1) << 45) /* calls one that isn't the server's: see calls */
#define MY_DO_ROUTINE        (UINT64_C(1) << 46) /* makes or alters one, or a trigger or an event */

/* A text that can't be read for sure, or is not all there, may do what pins. */
#define MY_DO_ANYTHING (MY_DO_CALL | MY_DO_TOO_MUCH | MY_DO_LOCK | MY_DO_USER_VAR)

/* What may pin, or must be noted when the statement has succeeded. */
#define MY_DO_PINS                                                                                 \
    (MY_DO_USER_VAR | MY_DO_TEMP_CREATE | MY_DO_DROP_TABLE | MY_DO_LOCK | MY_DO_UNLOCK |           \
     MY_DO_UNLOCK_ALL | MY_DO_LOCK_TABLES | MY_DO_UNLOCK_TABLES | MY_DO_LOCK_SERVER |              \
     MY_DO_UNLOCK_SERVER | MY_DO_PREPARE | MY_DO_DEALLOCATE | MY_DO_HANDLER_OPEN |                 \
     MY_DO_HANDLER_CLOSE | MY_DO_SET_NEXT | MY_DO_RENAME_TABLE)

/* A function or variable that tells of the session's own past, and which weir knows as well. */
enum my_volatile {
    MY_V_LAST_INSERT_ID, /* LAST_INSERT_ID(), @@last_insert_id, @@identity */
    MY_V_ROW_COUNT,
    MY_V_FOUND_ROWS,
    MY_V_WARNING_COUNT,
    MY_V_ERROR_COUNT,
    MY_V_CONNECTION_ID,
};

struct my_span {
    uint32_t at, len; /* in the text */
};

struct my_scan_volatile {
    struct my_span text;
    uint8_t kind; /* enum my_volatile */
    bool item;    /* a whole column without a name of its own, of the SELECT that gives names */
    bool aliased; /* likewise, but with a name of its own */
    bool whole;   /* SHOW COUNT(*) WARNINGS: the text is the whole statement */
};

enum my_scope { MY_SCOPE_SESSION, MY_SCOPE_GLOBAL, MY_SCOPE_USER, MY_SCOPE_NAMES };
enum my_value { MY_VALUE_LITERAL, MY_VALUE_WORD, MY_VALUE_DEFAULT, MY_VALUE_EXPRESSION };

struct my_scan_assign {
    struct my_span name;  /* without @@ and scope; of NAMES the character set */
    struct my_span value; /* as written, quotes included; of NAMES the collation, or empty */
    uint8_t scope;        /* enum my_scope */
    uint8_t kind;         /* enum my_value */
    bool is_virtual;      /* wait_timeout and its like */
    bool bare;            /* @@name without a scope: what MariaDB doesn't report */
};

struct my_scan_name {
    struct my_span text; /* as written, quotes included, with its schema if one was */
    uint64_t what;       /* which MY_DO_ it belongs to */
};

/* kill_id of what is no plain number: nobody has it, but for the session's own. */
#define MY_KILL_OTHER UINT64_MAX
#define MY_KILL_SELF  (UINT64_MAX - 1) /* KILL CONNECTION_ID() */

#define MY_SCAN_NAMES     8
#define MY_SCAN_ASSIGNS   16
#define MY_SCAN_VOLATILES 8

struct my_scan {
    uint64_t flags;
    uint32_t statements; /* at least 1; empty ones are not counted */
    uint32_t second;     /* where the second of them begins */
    uint32_t n_names, n_assigns, n_volatiles;
    uint64_t kill_id;
    uint32_t calls; /* stands for the names of all functions of somebody's own, and of procedures,
                       that are called; 0: none whose name is known */
    uint32_t limit_from, limit; /* of SHOW WARNINGS */
    bool kill_query;            /* KILL QUERY */
    bool alone;                 /* nothing but SELECT and one volatile */
    bool no_table;              /* of kinds that read no table */
    struct my_scan_name names[MY_SCAN_NAMES];
    struct my_scan_assign assigns[MY_SCAN_ASSIGNS];
    struct my_scan_volatile volatiles[MY_SCAN_VOLATILES];
};

/* Read a text of n bytes, which need not end with a NUL. Everything in `out` is filled in, arrays
 * up to their counts. */
void my_scan(const char *text, size_t n, unsigned opts, struct my_scan *out);

/* The column of a SELECT's list in which `at` lies, as the server would call it. false: it has a
 * name of its own, or there is none. */
bool my_scan_column(const char *text, size_t n, unsigned opts, uint32_t at, struct my_span *out);

/* Options by the name of a character set, and by a server's version as it reports it. */
unsigned my_scan_charset(const char *charset);

/* The text as it may be shown: literals replaced, comments left out, cut to `room`. */
void my_scan_digest(const char *text, size_t n, unsigned opts, char *to, size_t room);
unsigned my_scan_server(const char *version, bool mariadb);

/* A name without quotes and white space, as it is written or with ASCII letters in lower case; `to`
 * has room for `room` bytes with its NUL. 0: empty or too long. */
size_t my_scan_ident(const char *text, struct my_span span, char *to, size_t room);
size_t my_scan_name(const char *text, struct my_span span, char *to, size_t room);

/* A variable that says what a session is told of its own changes. */
bool my_scan_is_tracking(const char *name, size_t n);

/* The value of a literal: unquoted and unescaped. false: not a plain literal or too long. */
bool my_scan_literal(const char *text, struct my_span span, unsigned opts, char *to, size_t room);

#endif
