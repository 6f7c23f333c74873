/* SPDX-License-Identifier: ISC
 * See admin_command.h. The verbs are rows, and so is what drivers send: adding one is one row.
 */
#include "config.h"

#include "admin/admin_command.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- the tables -------------------------------------------------------------------------------
 */

enum arg_kind {
    ARG_NONE,
    ARG_DATABASE_MAYBE,
    ARG_DATABASE,
    ARG_CLIENT,
    ARG_SHUTDOWN,
    ARG_WARM,
    ARG_SETTING
};

#define WARM_COUNT_MAX 100000u

struct verb_row {
    const char *name;  /* as in an error text */
    const char *word;  /* what follows SHOW, or the verb itself; lower case */
    const char *usage; /* NULL: what drivers send */
    const char *help;
    enum arg_kind arg;
};

#define SHOW(WORD, word, help)                                                                     \
    {                                                                                              \
        "SHOW " WORD, word, "SHOW " WORD, help, ARG_NONE                                           \
    }
#define DRIVER(name)                                                                               \
    {                                                                                              \
        name, NULL, NULL, NULL, ARG_NONE                                                           \
    }

static const struct verb_row verb_rows[ADMIN_VERB_COUNT] = {
    [ADMIN_EMPTY] = DRIVER(""),
    [ADMIN_SHOW_ACTIVE_SOCKETS] =
        SHOW("ACTIVE_SOCKETS", "active_sockets", "clients and server connections that are busy"),
    [ADMIN_SHOW_BOUNDS] = SHOW("BOUNDS", "bounds", "each database server and its bound"),
    [ADMIN_SHOW_CLIENTS] = SHOW("CLIENTS", "clients", "each client"),
    [ADMIN_SHOW_CONFIG] = SHOW("CONFIG", "config", "each setting"),
    [ADMIN_SHOW_DATABASES] = SHOW("DATABASES", "databases", "each database that clients may name"),
    [ADMIN_SHOW_DNS_HOSTS] = SHOW("DNS_HOSTS", "dns_hosts", "host names that were looked up"),
    [ADMIN_SHOW_DNS_ZONES] = SHOW("DNS_ZONES", "dns_zones", "always empty here"),
    [ADMIN_SHOW_FDS] = SHOW("FDS", "fds", "always empty here"),
    [ADMIN_SHOW_FUNCTIONS] =
        SHOW("FUNCTIONS", "functions", "each function: its loans, its limit, who waits how long"),
    [ADMIN_SHOW_HELP] = SHOW("HELP", "help", "this text"),
    [ADMIN_SHOW_LISTS] = SHOW("LISTS", "lists", "how many there are of everything"),
    [ADMIN_SHOW_MEM] = SHOW("MEM", "mem", "memory by kind of object"),
    [ADMIN_SHOW_PEERS] = SHOW("PEERS", "peers", "always empty here"),
    [ADMIN_SHOW_PEER_POOLS] = SHOW("PEER_POOLS", "peer_pools", "always empty here"),
    [ADMIN_SHOW_PINS] = SHOW("PINS", "pins", "clients that keep their connection, and the reason"),
    [ADMIN_SHOW_POOLS] = SHOW("POOLS", "pools", "each pair of database and user"),
    [ADMIN_SHOW_SERVERS] = SHOW("SERVERS", "servers", "each server connection"),
    [ADMIN_SHOW_SOCKETS] = SHOW("SOCKETS", "sockets", "clients and server connections"),
    [ADMIN_SHOW_STATE] = SHOW("STATE", "state", "active, paused, draining"),
    [ADMIN_SHOW_STATEMENTS] =
        SHOW("STATEMENTS", "statements",
             "prepared statements: who knows them, which connections have them"),
    [ADMIN_SHOW_STATS] = SHOW("STATS", "stats", "totals and averages of each database"),
    [ADMIN_SHOW_STATS_AVERAGES] =
        SHOW("STATS_AVERAGES", "stats_averages", "averages of each database"),
    [ADMIN_SHOW_STATS_TOTALS] = SHOW("STATS_TOTALS", "stats_totals", "totals of each database"),
    [ADMIN_SHOW_TOTALS] = SHOW("TOTALS", "totals", "totals and averages over all databases"),
    [ADMIN_SHOW_USERS] = SHOW("USERS", "users", "each user"),
    [ADMIN_SHOW_VERSION] = SHOW("VERSION", "version", "weir's version"),
    [ADMIN_PAUSE] = {"PAUSE", "pause", "PAUSE [<db>]",
                     "lend nothing until RESUME; answers when no server connection is left",
                     ARG_DATABASE_MAYBE},
    [ADMIN_RESUME] = {"RESUME", "resume", "RESUME [<db>]", "end a PAUSE or KILL",
                      ARG_DATABASE_MAYBE},
    [ADMIN_DISABLE] = {"DISABLE", "disable", "DISABLE <db>", "refuse new clients", ARG_DATABASE},
    [ADMIN_ENABLE] = {"ENABLE", "enable", "ENABLE <db>", "end a DISABLE", ARG_DATABASE},
    [ADMIN_KILL] = {"KILL", "kill", "KILL [<db>]",
                    "drop its clients and server connections, then PAUSE", ARG_DATABASE_MAYBE},
    [ADMIN_KILL_CLIENT] = {"KILL_CLIENT", "kill_client", "KILL_CLIENT <id>",
                           "drop one client (id as in SHOW CLIENTS)", ARG_CLIENT},
    [ADMIN_RECONNECT] = {"RECONNECT", "reconnect", "RECONNECT [<db>]",
                         "replace server connections as they come back", ARG_DATABASE_MAYBE},
    [ADMIN_RELOAD] = {"RELOAD", "reload", "RELOAD", "read the configuration again", ARG_NONE},
    [ADMIN_WAIT_CLOSE] = {"WAIT_CLOSE", "wait_close", "WAIT_CLOSE [<db>]",
                          "answer when all that RECONNECT replaces are closed", ARG_DATABASE_MAYBE},
    [ADMIN_SUSPEND] = {"SUSPEND", "suspend", NULL, NULL, ARG_NONE},
    [ADMIN_SHUTDOWN] = {"SHUTDOWN", "shutdown", "SHUTDOWN [WAIT_FOR_SERVERS|WAIT_FOR_CLIENTS]",
                        "end weir, at once or when the work is done", ARG_SHUTDOWN},
    [ADMIN_WARM] = {"WARM", "warm", "WARM <db> <n> [<user>]",
                    "log in until it has so many server connections", ARG_WARM},
    [ADMIN_SET] = {"SET", "set", "SET key = value", "change a setting until the next RELOAD",
                   ARG_SETTING},
    [ADMIN_VALUE] = DRIVER("SELECT"),
    [ADMIN_NOOP] = DRIVER("SET"),
    [ADMIN_BEGIN] = DRIVER("BEGIN"),
    [ADMIN_COMMIT] = DRIVER("COMMIT"),
    [ADMIN_ROLLBACK] = DRIVER("ROLLBACK"),
};

/* Settings of a PostgreSQL session that drivers set or ask for. `value` is what SHOW says. */
static const struct {
    const char *name, *value;
} session_settings[] = {
    {"application_name", ""},
    {"bytea_output", "hex"},
    {"client_encoding", "UTF8"},
    {"client_min_messages", "notice"},
    {"datestyle", "ISO, MDY"},
    {"default_transaction_isolation", "read committed"},
    {"default_transaction_read_only", "off"},
    {"extra_float_digits", "1"},
    {"idle_in_transaction_session_timeout", "0"},
    {"in_hot_standby", "off"},
    {"integer_datetimes", "on"},
    {"intervalstyle", "postgres"},
    {"jit", "off"},
    {"lock_timeout", "0"},
    {"max_identifier_length", "63"},
    {"row_security", "on"},
    {"search_path", "weir"},
    {"server_encoding", "UTF8"},
    {"server_version", "15.0"},
    {"standard_conforming_strings", "on"},
    {"statement_timeout", "0"},
    {"synchronize_seqscans", "on"},
    {"timezone", "UTC"},
    {"transaction_isolation", "read committed"},
    {"transaction_read_only", "off"},
};
#define N_SESSION_SETTINGS (sizeof session_settings / sizeof session_settings[0])

/* Other whole statements, as normalize() writes them. */
static const struct {
    const char *text, *column, *value;
    bool is_int4;
} values[] = {
    {"select 1", "?column?", "1", true},
    {"select version()", "version", "PostgreSQL 15.0", false},
    {"select pg_catalog.version()", "version", "PostgreSQL 15.0", false},
    {"select current_schema", "current_schema", "weir", false},
    {"select current_schema()", "current_schema", "weir", false},
    {"select current_database()", "current_database", "weir", false},
    {"select pg_catalog.current_database()", "current_database", "weir", false},
    {"select pg_is_in_recovery()", "pg_is_in_recovery", "f", false},
    {"select pg_catalog.pg_is_in_recovery()", "pg_is_in_recovery", "f", false},
    {"select pg_advisory_unlock_all()", "pg_advisory_unlock_all", "", false},
    {"show transaction isolation level", "transaction_isolation", "read committed", false},
    {"show time zone", "timezone", "UTC", false},
};

/* Statements by how they begin, as normalize() writes them; the first that fits counts. */
static const struct {
    const char *head, *tag;
    enum admin_verb verb;
} heads[] = {
    {"begin", "BEGIN", ADMIN_BEGIN},
    {"start transaction", "START TRANSACTION", ADMIN_BEGIN},
    {"commit", "COMMIT", ADMIN_COMMIT},
    {"end", "COMMIT", ADMIN_COMMIT},
    {"rollback to", "ROLLBACK", ADMIN_NOOP},
    {"rollback", "ROLLBACK", ADMIN_ROLLBACK},
    {"abort", "ROLLBACK", ADMIN_ROLLBACK},
    {"savepoint", "SAVEPOINT", ADMIN_NOOP},
    {"release", "RELEASE", ADMIN_NOOP},
    {"discard all", "DISCARD ALL", ADMIN_NOOP},
    {"discard", "DISCARD", ADMIN_NOOP},
    {"deallocate all", "DEALLOCATE ALL", ADMIN_NOOP},
    {"deallocate", "DEALLOCATE", ADMIN_NOOP},
    {"close all", "CLOSE CURSOR ALL", ADMIN_NOOP},
    {"unlisten", "UNLISTEN", ADMIN_NOOP},
    {"reset", "RESET", ADMIN_NOOP},
    {"set names", "SET", ADMIN_NOOP},
    {"set local", "SET", ADMIN_NOOP},
    {"set session", "SET", ADMIN_NOOP},
    {"set time zone", "SET", ADMIN_NOOP},
    {"set transaction", "SET", ADMIN_NOOP},
    {"select b.oid", "SELECT 0", ADMIN_NOOP}, /* postgres.js, at login: array types of the server */
};

/* ---- lexing -----------------------------------------------------------------------------------
 */

struct lexer {
    const char *p, *end;
};

enum token { TOKEN_END, TOKEN_WORD, TOKEN_QUOTED, TOKEN_STRING, TOKEN_SYMBOL, TOKEN_BAD };

static bool word_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '-' || c == '$' ||
           (unsigned char)c >= 0x80;
}

/* Past one comment that starts at p, or p itself. An open one runs to the end. */
static const char *skip_comment(const char *p, const char *end)
{
    if (end - p < 2)
        return p;
    if (p[0] == '-' && p[1] == '-') {
        while (p < end && *p != '\n')
            p++;
        return p;
    }
    if (p[0] != '/' || p[1] != '*')
        return p;
    unsigned depth = 0;
    while (p < end) {
        if (end - p >= 2 && p[0] == '/' && p[1] == '*') {
            depth++;
            p += 2;
        } else if (end - p >= 2 && p[0] == '*' && p[1] == '/') {
            p += 2;
            if (--depth == 0)
                return p;
        } else {
            p++;
        }
    }
    return p;
}

static void skip_space(struct lexer *l)
{
    while (l->p < l->end) {
        if (isspace((unsigned char)*l->p)) {
            l->p++;
            continue;
        }
        const char *after = skip_comment(l->p, l->end);
        if (after == l->p)
            return;
        l->p = after;
    }
}

/* A text in quotes into `out`, doubled quotes made single; false when open or too long. */
static bool lex_quoted(struct lexer *l, char quote, char *out, size_t room)
{
    size_t n = 0;
    for (l->p++; l->p < l->end; l->p++) {
        if (*l->p == quote) {
            if (l->end - l->p < 2 || l->p[1] != quote) {
                l->p++;
                out[n] = '\0';
                return true;
            }
            l->p++;
        }
        if (*l->p == '\0' || n + 1 >= room)
            return false;
        out[n++] = *l->p;
    }
    return false;
}

static enum token lex(struct lexer *l, char *out, size_t room)
{
    skip_space(l);
    out[0] = '\0';
    if (l->p == l->end)
        return TOKEN_END;
    char c = *l->p;
    if (c == '"' || c == '\'') {
        if (!lex_quoted(l, c, out, room))
            return TOKEN_BAD;
        return c == '"' ? TOKEN_QUOTED : TOKEN_STRING;
    }
    if (!word_char(c)) {
        out[0] = c;
        out[1] = '\0';
        l->p++;
        return TOKEN_SYMBOL;
    }
    size_t n = 0;
    while (l->p < l->end && word_char(*l->p) && skip_comment(l->p, l->end) == l->p) {
        if (n + 1 >= room)
            return TOKEN_BAD;
        out[n++] = *l->p++;
    }
    out[n] = '\0';
    return TOKEN_WORD;
}

/* Only semicolons are left. */
static bool at_end(struct lexer *l)
{
    char t[4];
    enum token k;
    do {
        k = lex(l, t, sizeof t);
    } while (k == TOKEN_SYMBOL && t[0] == ';');
    return k == TOKEN_END;
}

/* The statement in lower case, one space between words, none beside symbols, no semicolon; false
 * when it doesn't fit, holds quotes, or a second statement follows. */
static bool normalize(const char *text, size_t len, char *out, size_t room)
{
    struct lexer l = {text, text + len};
    size_t n = 0;
    bool word_before = false;
    for (;;) {
        char t[128];
        enum token k = lex(&l, t, sizeof t);
        if (k == TOKEN_END || (k == TOKEN_SYMBOL && t[0] == ';')) {
            out[n] = '\0';
            return at_end(&l);
        }
        if (k != TOKEN_WORD && k != TOKEN_SYMBOL)
            return false;
        size_t want = strlen(t) + (k == TOKEN_WORD && word_before);
        if (n + want + 1 > room)
            return false;
        if (k == TOKEN_WORD && word_before)
            out[n++] = ' ';
        for (const char *c = t; *c != '\0'; c++)
            out[n++] = (char)tolower((unsigned char)*c);
        word_before = k == TOKEN_WORD;
    }
}

/* Past a dollar-quoted text that starts at p, or p itself. */
static const char *skip_dollar(const char *p, const char *end)
{
    const char *tag_end = p + 1;
    while (tag_end < end && (isalnum((unsigned char)*tag_end) || *tag_end == '_'))
        tag_end++;
    if (tag_end == end || *tag_end != '$' || isdigit((unsigned char)p[1]))
        return p;
    size_t n = (size_t)(tag_end + 1 - p);
    for (const char *q = tag_end + 1; (size_t)(end - q) >= n; q++)
        if (memcmp(q, p, n) == 0)
            return q + n;
    return end;
}

size_t admin_command_split(const char *text, size_t len)
{
    const char *p = text, *end = text + len;
    while (p < end) {
        const char *after = *p == '$' ? skip_dollar(p, end) : skip_comment(p, end);
        if (after != p) {
            p = after;
        } else if (*p == ';') {
            return (size_t)(p + 1 - text);
        } else if (*p == '\'' || *p == '"') {
            const char *close = memchr(p + 1, *p, (size_t)(end - p - 1));
            p = close == NULL ? end : close + 1;
        } else {
            p++;
        }
    }
    return len;
}

/* ---- parsing ------------------------------------------------------------------------------------
 */

static bool fail(struct err *e, const char **sqlstate, const char *code, const char *text)
{
    *sqlstate = code;
    err_set(e, "%s", text);
    return false;
}

static bool invalid(struct err *e, const char **sqlstate, const char *text, size_t len)
{
    *sqlstate = "42601";
    err_set(e, "invalid command '%.*s', use SHOW HELP;", (int)(len > 120 ? 120 : len), text);
    return false;
}

static enum admin_verb verb_find(enum admin_verb first, enum admin_verb last, const char *word)
{
    for (enum admin_verb v = first; v <= last; v++)
        if (strcasecmp(verb_rows[v].word, word) == 0)
            return v;
    return ADMIN_VERB_COUNT;
}

static void set_value(struct admin_command *cmd, const char *column, const char *value, bool int4,
                      const char *tag)
{
    cmd->verb = ADMIN_VALUE;
    cmd->tag = tag;
    cmd->column = column;
    cmd->column_value = value;
    cmd->value_is_int4 = int4;
    cmd->value_has_version =
        strcmp(column, "version") == 0 || strcmp(column, "server_version") == 0;
}

/* What drivers send, in its normal form. */
static bool parse_driver(const char *norm, struct admin_command *cmd)
{
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        if (strcmp(norm, values[i].text) == 0) {
            set_value(cmd, values[i].column, values[i].value, values[i].is_int4,
                      norm[1] == 'h' ? "SHOW" : "SELECT 1");
            return true;
        }
    if (strncmp(norm, "show ", 5) == 0)
        for (size_t i = 0; i < N_SESSION_SETTINGS; i++)
            if (strcmp(norm + 5, session_settings[i].name) == 0) {
                set_value(cmd, session_settings[i].name, session_settings[i].value, false, "SHOW");
                return true;
            }
    return false;
}

static bool parse_head(const char *norm, struct admin_command *cmd)
{
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        size_t n = strlen(heads[i].head);
        if (strncmp(norm, heads[i].head, n) == 0 && !word_char(norm[n])) {
            cmd->verb = heads[i].verb;
            cmd->tag = heads[i].tag;
            return true;
        }
    }
    return false;
}

/* The first words of any statement, for parse_head: what follows may hold quotes. */
static void first_words(const char *text, size_t len, char *out, size_t room)
{
    struct lexer l = {text, text + len};
    size_t n = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < 3; i++) {
        char t[64];
        if (lex(&l, t, sizeof t) != TOKEN_WORD || n + strlen(t) + 2 > room)
            return;
        if (n != 0)
            out[n++] = ' ';
        for (const char *c = t; *c != '\0'; c++)
            out[n++] = (char)tolower((unsigned char)*c);
        out[n] = '\0';
    }
}

/* Everything up to the statement's end as it stands, white space trimmed; or one quoted text. */
static bool parse_set_value(struct lexer *l, struct admin_command *cmd)
{
    skip_space(l);
    if (l->p < l->end && (*l->p == '\'' || *l->p == '"')) {
        struct lexer quoted = *l;
        enum token k = lex(&quoted, cmd->value, sizeof cmd->value);
        *l = quoted;
        return (k == TOKEN_STRING || k == TOKEN_QUOTED) && at_end(l);
    }
    size_t n = admin_command_split(l->p, (size_t)(l->end - l->p));
    const char *begin = l->p;
    l->p += n;
    while (n > 0 && (begin[n - 1] == ';' || isspace((unsigned char)begin[n - 1])))
        n--;
    if (n == 0 || n >= sizeof cmd->value || memchr(begin, '\0', n) != NULL)
        return false;
    memcpy(cmd->value, begin, n);
    cmd->value[n] = '\0';
    return at_end(l);
}

/* key = value, key TO value */
static bool parse_set(struct lexer *l, struct admin_command *cmd)
{
    enum token k = lex(l, cmd->arg, sizeof cmd->arg);
    if (k != TOKEN_WORD && k != TOKEN_QUOTED)
        return false;
    char t[8];
    k = lex(l, t, sizeof t);
    if (!(k == TOKEN_SYMBOL && t[0] == '=') && !(k == TOKEN_WORD && strcasecmp(t, "to") == 0))
        return false;
    if (!parse_set_value(l, cmd))
        return false;
    for (size_t i = 0; i < N_SESSION_SETTINGS; i++)
        if (strcasecmp(cmd->arg, session_settings[i].name) == 0)
            cmd->verb = ADMIN_NOOP;
    return true;
}

static bool parse_client_id(struct lexer *l, struct admin_command *cmd)
{
    char t[32];
    enum token k = lex(l, t, sizeof t);
    if ((k != TOKEN_WORD && k != TOKEN_STRING) || !isdigit((unsigned char)t[0]))
        return false;
    /* PgBouncer's clients are known by an address, 0x..., as SHOW CLIENTS has it in `ptr`. */
    bool hex = t[0] == '0' && (t[1] == 'x' || t[1] == 'X') && isxdigit((unsigned char)t[2]);
    char *end;
    errno = 0;
    cmd->client_id = strtoull(t, &end, hex ? 16 : 10);
    return errno == 0 && *end == '\0' && at_end(l);
}

static bool parse_shutdown(struct lexer *l, struct admin_command *cmd)
{
    char t[32];
    struct lexer ahead = *l;
    cmd->shutdown_mode = ADMIN_SHUTDOWN_NOW;
    if (at_end(&ahead))
        return true;
    if (lex(l, t, sizeof t) != TOKEN_WORD)
        return false;
    if (strcasecmp(t, "wait_for_servers") == 0)
        cmd->shutdown_mode = ADMIN_SHUTDOWN_SERVERS;
    else if (strcasecmp(t, "wait_for_clients") == 0)
        cmd->shutdown_mode = ADMIN_SHUTDOWN_CLIENTS;
    else
        return false;
    return at_end(l);
}

static bool parse_database(struct lexer *l, struct admin_command *cmd, bool needed)
{
    struct lexer ahead = *l;
    if (at_end(&ahead))
        return !needed;
    enum token k = lex(l, cmd->arg, sizeof cmd->arg);
    cmd->has_arg = true;
    return (k == TOKEN_WORD || k == TOKEN_QUOTED) && cmd->arg[0] != '\0' && at_end(l);
}

/* A database, a number, and perhaps a user. */
static bool parse_warm(struct lexer *l, struct admin_command *cmd)
{
    char t[32], *end;
    enum token k = lex(l, cmd->arg, sizeof cmd->arg);
    cmd->has_arg = true;
    if ((k != TOKEN_WORD && k != TOKEN_QUOTED) || cmd->arg[0] == '\0')
        return false;
    if (lex(l, t, sizeof t) != TOKEN_WORD || !isdigit((unsigned char)t[0]))
        return false;
    unsigned long n = strtoul(t, &end, 10);
    if (*end != '\0' || n == 0 || n > WARM_COUNT_MAX)
        return false;
    cmd->count = (uint32_t)n;
    struct lexer ahead = *l;
    if (at_end(&ahead))
        return true;
    k = lex(l, cmd->value, sizeof cmd->value);
    return (k == TOKEN_WORD || k == TOKEN_QUOTED) && cmd->value[0] != '\0' && at_end(l);
}

static bool parse_arg(struct lexer *l, struct admin_command *cmd)
{
    switch (verb_rows[cmd->verb].arg) {
    case ARG_NONE:
        return at_end(l);
    case ARG_DATABASE_MAYBE:
        return parse_database(l, cmd, false);
    case ARG_DATABASE:
        return parse_database(l, cmd, true);
    case ARG_CLIENT:
        return parse_client_id(l, cmd);
    case ARG_SHUTDOWN:
        return parse_shutdown(l, cmd);
    case ARG_WARM:
        return parse_warm(l, cmd);
    case ARG_SETTING:
        return parse_set(l, cmd);
    }
    return false;
}

/* SHOW x, and SELECT x as PgBouncer has it. */
static bool parse_show(struct lexer *l, struct admin_command *cmd)
{
    char word[32];
    if (lex(l, word, sizeof word) != TOKEN_WORD)
        return false;
    cmd->verb = verb_find(ADMIN_SHOW_ACTIVE_SOCKETS, ADMIN_SHOW_VERSION, word);
    cmd->tag = "SHOW";
    return cmd->verb != ADMIN_VERB_COUNT && at_end(l);
}

bool admin_command_parse(const char *text, size_t len, struct admin_command *cmd,
                         const char **sqlstate, struct err *e)
{
    *cmd = (struct admin_command){.verb = ADMIN_EMPTY, .tag = ""};
    struct lexer l = {text, text + len};
    if (at_end(&l))
        return true;
    if (admin_command_split(text, len) < len) {
        struct lexer rest = {text + admin_command_split(text, len), text + len};
        if (!at_end(&rest))
            return fail(e, sqlstate, "42601", "only one command at a time here");
    }
    char norm[160];
    if (normalize(text, len, norm, sizeof norm) && parse_driver(norm, cmd))
        return true;
    first_words(text, len, norm, sizeof norm);
    if (parse_head(norm, cmd))
        return true;
    char word[32];
    l = (struct lexer){text, text + len};
    if (lex(&l, word, sizeof word) != TOKEN_WORD)
        return invalid(e, sqlstate, text, len);
    if (strcasecmp(word, "show") == 0)
        return parse_show(&l, cmd) || invalid(e, sqlstate, text, len);
    if (strcasecmp(word, "select") == 0)
        return parse_show(&l, cmd) ||
               fail(e, sqlstate, "0A000", "weir's console has no SQL, use SHOW HELP;");
    cmd->verb = verb_find(ADMIN_PAUSE, ADMIN_SET, word);
    if (cmd->verb == ADMIN_VERB_COUNT)
        return invalid(e, sqlstate, text, len);
    if (cmd->verb == ADMIN_SUSPEND)
        return fail(e, sqlstate, "0A000",
                    "SUSPEND is not supported: weir doesn't hand its sockets to another process; "
                    "PAUSE stops lending, SHUTDOWN WAIT_FOR_CLIENTS drains");
    cmd->tag = verb_rows[cmd->verb].name;
    return parse_arg(&l, cmd) || invalid(e, sqlstate, text, len);
}

const char *admin_verb_name(enum admin_verb v)
{
    assert(v < ADMIN_VERB_COUNT);
    return verb_rows[v].name;
}

bool admin_verb_is_show(enum admin_verb v)
{
    return v >= ADMIN_SHOW_ACTIVE_SOCKETS && v <= ADMIN_SHOW_VERSION;
}

bool admin_verb_is_order(enum admin_verb v)
{
    return v >= ADMIN_PAUSE && v <= ADMIN_SET;
}

const char *admin_verb_usage(enum admin_verb v)
{
    assert(v < ADMIN_VERB_COUNT);
    return verb_rows[v].usage;
}

const char *admin_verb_help(enum admin_verb v)
{
    assert(v < ADMIN_VERB_COUNT);
    return verb_rows[v].help;
}
