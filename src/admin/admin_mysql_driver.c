/* SPDX-License-Identifier: ISC
 * See admin_mysql_driver.h.
 */
#include "config.h"

#include "admin/admin_mysql_driver.h"

#include "admin/admin_result.h"
#include "admin/admin_table.h"
#include "proto/mysql/my_caps.h"
#include "proto/mysql/my_lex.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define WORD_MAX 128

/* Variables that drivers read or set. */
static const struct {
    const char *name, *value;
} variables[] = {
    {"auto_increment_increment", "1"},
    {"autocommit", "1"},
    {"character_set_client", "utf8mb4"},
    {"character_set_connection", "utf8mb4"},
    {"character_set_database", "utf8mb4"},
    {"character_set_results", "utf8mb4"},
    {"character_set_server", "utf8mb4"},
    {"collation_connection", "utf8mb4_general_ci"},
    {"collation_database", "utf8mb4_general_ci"},
    {"collation_server", "utf8mb4_general_ci"},
    {"default_storage_engine", "none"},
    {"foreign_key_checks", "1"},
    {"group_concat_max_len", "1024"},
    {"have_ssl", "YES"},
    {"init_connect", ""},
    {"innodb_lock_wait_timeout", "50"},
    {"interactive_timeout", "28800"},
    {"license", "ISC"},
    {"lower_case_table_names", "0"},
    {"max_allowed_packet", "65536"},
    {"max_execution_time", "0"},
    {"net_buffer_length", "16384"},
    {"net_read_timeout", "30"},
    {"net_write_timeout", "60"},
    {"performance_schema", "0"},
    {"query_cache_size", "0"},
    {"query_cache_type", "OFF"},
    {"session_track_schema", "0"},
    {"session_track_state_change", "0"},
    {"session_track_system_variables", ""},
    {"sql_auto_is_null", "0"},
    {"sql_mode", ""},
    {"sql_notes", "1"},
    {"sql_quote_show_create", "1"},
    {"sql_safe_updates", "0"},
    {"sql_select_limit", "18446744073709551615"},
    {"sql_warnings", "0"},
    {"system_time_zone", "UTC"},
    {"time_zone", "SYSTEM"},
    {"transaction_isolation", "REPEATABLE-READ"},
    {"transaction_read_only", "0"},
    {"tx_isolation", "REPEATABLE-READ"},
    {"tx_read_only", "0"},
    {"unique_checks", "1"},
    {"version", NULL}, /* the console's own */
    {"version_comment", "weir console, SHOW HELP"},
    {"version_compile_machine", ""},
    {"version_compile_os", ""},
    {"wait_timeout", "28800"},
};
#define N_VARIABLES (sizeof variables / sizeof variables[0])

/* Statements by their first word that are answered with OK. */
static const struct {
    const char *word;
    uint16_t set, clear;
} pleasantries[] = {
    {"BEGIN", MY_ST_IN_TRANS, 0},
    {"START", MY_ST_IN_TRANS, 0},
    {"COMMIT", 0, MY_ST_IN_TRANS},
    {"ROLLBACK", 0, MY_ST_IN_TRANS},
    {"SAVEPOINT", 0, 0},
    {"RELEASE", 0, 0},
    {"DO", 0, 0},
};

struct parser {
    struct my_lexer lexer;
    struct my_token t; /* the one to be looked at */
    uint32_t id;
    const char *version;
    struct admin_mysql_said *said;
    bool no_memory;
};

/* ---- tokens ------------------------------------------------------------------------------------
 */

static void next(struct parser *p)
{
    my_lex_next(&p->lexer, &p->t);
}

static bool is_word(const struct parser *p, const char *upper)
{
    return p->t.kind == MY_T_WORD &&
           my_word_is(p->lexer.text + p->t.at, p->t.len, upper, (uint32_t)strlen(upper));
}

static bool is_punct(const struct parser *p, char c)
{
    return p->t.kind == MY_T_PUNCT && p->t.c == c;
}

static bool take_word(struct parser *p, const char *upper)
{
    if (!is_word(p, upper))
        return false;
    next(p);
    return true;
}

static bool take_punct(struct parser *p, char c)
{
    if (!is_punct(p, c))
        return false;
    next(p);
    return true;
}

static bool at_end(struct parser *p)
{
    while (take_punct(p, ';'))
        ;
    return p->t.kind == MY_T_END;
}

/* The token's text, without its quotes; false: too long. */
static bool text_of(const struct parser *p, char *to, size_t room)
{
    const char *from = p->lexer.text + p->t.at;
    size_t n = p->t.len;
    if ((p->t.kind == MY_T_STRING || p->t.kind == MY_T_QUOTED) && n >= 2) {
        from++;
        n -= 2;
    }
    if (n >= room || memchr(from, '\0', n) != NULL)
        return false;
    memcpy(to, from, n);
    to[n] = '\0';
    return true;
}

/* ---- answers -----------------------------------------------------------------------------------
 */

static struct admin_result *new_result(struct parser *p)
{
    struct admin_result *r = admin_result_create("OK");
    p->no_memory |= r == NULL;
    p->said->result = r;
    return r;
}

static struct admin_table *new_table(struct parser *p, const struct admin_column *columns, size_t n)
{
    struct admin_result *r = new_result(p);
    if (r != NULL)
        r->table = admin_table_create(columns, n);
    p->no_memory |= r != NULL && r->table == NULL;
    return r != NULL ? r->table : NULL;
}

static void say_ok(struct parser *p)
{
    (void)new_result(p);
}

static void say_error(struct parser *p, const char *sqlstate, const char *what, const char *name)
{
    struct admin_result *r = new_result(p);
    if (r != NULL)
        admin_result_fail(r, sqlstate, "%s '%s'", what, name);
}

static size_t find_variable(const char *name)
{
    size_t i = 0;
    while (i < N_VARIABLES && strcasecmp(variables[i].name, name) != 0)
        i++;
    return i;
}

static const char *value_of(const struct parser *p, size_t i)
{
    return variables[i].value != NULL ? variables[i].value : p->version;
}

/* ---- SELECT ------------------------------------------------------------------------------------
 */

struct item {
    char value[WORD_MAX];
    bool is_null;
};

/* After @@: [SESSION.]name. false: it isn't known, and the error is said. */
static bool select_variable(struct parser *p, struct item *it)
{
    char name[WORD_MAX];
    if (!text_of(p, name, sizeof name))
        return false;
    next(p);
    if (take_punct(p, '.')) {
        if (!text_of(p, name, sizeof name))
            return false;
        next(p);
    }
    size_t i = find_variable(name);
    if (i == N_VARIABLES) {
        say_error(p, "42704", "Unknown system variable", name);
        return false;
    }
    (void)snprintf(it->value, sizeof it->value, "%s", value_of(p, i));
    return true;
}

/* A function without arguments, or a word that stands for a value. */
static bool select_word(struct parser *p, struct item *it)
{
    char name[WORD_MAX];
    if (!text_of(p, name, sizeof name))
        return false;
    next(p);
    if (take_punct(p, '(') && !take_punct(p, ')'))
        return false;
    if (strcasecmp(name, "database") == 0 || strcasecmp(name, "schema") == 0)
        (void)snprintf(it->value, sizeof it->value, "weir");
    else if (strcasecmp(name, "version") == 0)
        (void)snprintf(it->value, sizeof it->value, "%s", p->version);
    else if (strcasecmp(name, "connection_id") == 0)
        (void)snprintf(it->value, sizeof it->value, "%u", (unsigned)p->id);
    else if (strcasecmp(name, "user") == 0 || strcasecmp(name, "current_user") == 0 ||
             strcasecmp(name, "session_user") == 0)
        (void)snprintf(it->value, sizeof it->value, "weir@%%");
    else if (strcasecmp(name, "true") == 0 || strcasecmp(name, "false") == 0)
        (void)snprintf(it->value, sizeof it->value, "%d", tolower((unsigned char)name[0]) == 't');
    else if (strcasecmp(name, "null") == 0)
        it->is_null = true;
    else
        return false;
    return true;
}

static bool select_item(struct parser *p, struct item *it, char *name)
{
    uint32_t from = p->t.at, to;
    bool known;
    if (p->t.kind == MY_T_SYSTEM) {
        next(p);
        known = select_variable(p, it);
    } else if (p->t.kind == MY_T_NUMBER || p->t.kind == MY_T_STRING) {
        known = text_of(p, it->value, sizeof it->value);
        next(p);
    } else {
        known = p->t.kind == MY_T_WORD && select_word(p, it);
    }
    if (!known)
        return false;
    /* Unnamed, its column is called as it is written. */
    to = p->t.kind == MY_T_END ? p->lexer.n : p->t.at;
    while (to > from && isspace((unsigned char)p->lexer.text[to - 1]))
        to--;
    (void)snprintf(name, ADMIN_MYSQL_NAME_MAX, "%.*s", (int)(to - from), p->lexer.text + from);
    if (take_word(p, "AS") ||
        (p->t.kind == MY_T_WORD && !is_word(p, "LIMIT") && !is_word(p, "FROM")) ||
        p->t.kind == MY_T_QUOTED || p->t.kind == MY_T_STRING) {
        if (!text_of(p, name, ADMIN_MYSQL_NAME_MAX))
            return false;
        next(p);
    }
    return true;
}

static bool is_number(const struct item *it)
{
    size_t n = strlen(it->value);
    return !it->is_null && n > 0 && n < 19 && strspn(it->value, "0123456789") == n;
}

/* false: not of this kind, or its error is said. */
static bool parse_select(struct parser *p)
{
    struct item items[ADMIN_MYSQL_ITEMS] = {{.value = ""}};
    struct admin_column columns[ADMIN_MYSQL_ITEMS];
    size_t n = 0;
    do {
        if (n == ADMIN_MYSQL_ITEMS || !select_item(p, &items[n], p->said->names[n]))
            return false;
        columns[n].name = p->said->names[n];
        columns[n].type = is_number(&items[n]) ? ADMIN_INT8 : ADMIN_TEXT;
        n++;
    } while (take_punct(p, ','));
    if (take_word(p, "FROM") && !take_word(p, "DUAL"))
        return false;
    if (take_word(p, "LIMIT"))
        next(p);
    if (!at_end(p))
        return false;
    struct admin_table *t = new_table(p, columns, n);
    for (size_t i = 0; t != NULL && i < n; i++)
        if (columns[i].type == ADMIN_TEXT)
            admin_table_text(t, items[i].is_null ? NULL : items[i].value);
        else
            admin_table_put(t, items[i].value);
    return true;
}

/* ---- SHOW --------------------------------------------------------------------------------------
 */

/* Does one character fit, which takes *step bytes of the pattern? */
static bool like_one(const char *pattern, char c, size_t *step)
{
    *step = pattern[0] == '\\' && pattern[1] != '\0' ? 2 : 1;
    return (*step == 1 && pattern[0] == '_') ||
           tolower((unsigned char)pattern[*step - 1]) == tolower((unsigned char)c);
}

/* Only the last % is ever tried again: the time is bounded by the product of the lengths. */
static bool like(const char *pattern, const char *text)
{
    const char *again = NULL, *from = NULL;
    size_t step;
    while (*text != '\0') {
        if (*pattern == '%') {
            again = ++pattern;
            from = text;
        } else if (*pattern != '\0' && like_one(pattern, *text, &step)) {
            pattern += step;
            text++;
        } else if (again != NULL) {
            pattern = again;
            text = ++from;
        } else {
            return false;
        }
    }
    while (*pattern == '%')
        pattern++;
    return *pattern == '\0';
}

/* LIKE 'pattern', or WHERE with the names that are wanted among its strings; neither: all. */
static bool wanted(struct parser at, const char *name)
{
    char text[WORD_MAX];
    if (take_word(&at, "LIKE"))
        return text_of(&at, text, sizeof text) && like(text, name);
    if (!is_word(&at, "WHERE"))
        return true;
    for (; at.t.kind != MY_T_END; next(&at))
        if (at.t.kind == MY_T_STRING && text_of(&at, text, sizeof text) && like(text, name))
            return true;
    return false;
}

static void show_variables(struct parser *p, bool any)
{
    static const struct admin_column columns[] = {{"Variable_name", ADMIN_TEXT},
                                                  {"Value", ADMIN_TEXT}};
    struct admin_table *t = new_table(p, columns, 2);
    for (size_t i = 0; any && t != NULL && i < N_VARIABLES; i++) {
        if (!wanted(*p, variables[i].name))
            continue;
        admin_table_text(t, variables[i].name);
        admin_table_text(t, value_of(p, i));
    }
}

static void show_collation(struct parser *p)
{
    static const struct admin_column columns[] = {
        {"Collation", ADMIN_TEXT}, {"Charset", ADMIN_TEXT},  {"Id", ADMIN_INT8},
        {"Default", ADMIN_TEXT},   {"Compiled", ADMIN_TEXT}, {"Sortlen", ADMIN_INT8}};
    static const char *const row[] = {"utf8mb4_general_ci", "utf8mb4", "45", "Yes", "Yes", "1"};
    struct admin_table *t = new_table(p, columns, 6);
    for (size_t i = 0; t != NULL && i < 6; i++)
        columns[i].type == ADMIN_TEXT ? admin_table_text(t, row[i]) : admin_table_put(t, row[i]);
}

static bool parse_show(struct parser *p)
{
    static const struct admin_column warnings[] = {
        {"Level", ADMIN_TEXT}, {"Code", ADMIN_INT4}, {"Message", ADMIN_TEXT}};
    static const struct admin_column tables[] = {{"Tables_in_weir", ADMIN_TEXT}};
    bool full = take_word(p, "FULL");
    if (!full && !take_word(p, "SESSION") && !take_word(p, "GLOBAL"))
        (void)take_word(p, "LOCAL");
    if (take_word(p, "VARIABLES"))
        show_variables(p, true);
    else if (take_word(p, "STATUS"))
        show_variables(p, false);
    else if (take_word(p, "WARNINGS") || take_word(p, "ERRORS"))
        (void)new_table(p, warnings, 3);
    else if (take_word(p, "TABLES"))
        (void)new_table(p, tables, 1);
    else if (take_word(p, "COLLATION"))
        show_collation(p);
    else if (take_word(p, "PROCESSLIST"))
        (void)snprintf(p->said->command, sizeof p->said->command, "SHOW CLIENTS");
    else if (take_word(p, "SCHEMAS"))
        (void)snprintf(p->said->command, sizeof p->said->command, "SHOW DATABASES");
    else
        return false;
    return true;
}

/* ---- SET, USE, KILL ----------------------------------------------------------------------------
 */

/* The variable's name is behind us; what follows of the statement is not looked at. */
static void set_variable(struct parser *p, const char *name)
{
    char value[WORD_MAX] = "";
    if (strcasecmp(name, "autocommit") == 0 && (take_punct(p, '=') || p->t.kind == MY_T_ASSIGN)) {
        if (p->t.kind == MY_T_ASSIGN)
            next(p);
        (void)text_of(p, value, sizeof value);
        bool off = strcmp(value, "0") == 0 || strcasecmp(value, "off") == 0 ||
                   strcasecmp(value, "false") == 0;
        p->said->set = off ? 0 : MY_ST_AUTOCOMMIT;
        p->said->clear = off ? MY_ST_AUTOCOMMIT : MY_ST_IN_TRANS;
    }
    say_ok(p);
}

/* false: the console's own SET. */
static bool parse_set(struct parser *p)
{
    char name[WORD_MAX];
    bool system = p->t.kind == MY_T_SYSTEM;
    if (p->t.kind == MY_T_USER || is_word(p, "NAMES") || is_word(p, "CHARACTER") ||
        is_word(p, "CHARSET") || is_word(p, "TRANSACTION")) {
        say_ok(p);
        return true;
    }
    if (system)
        next(p);
    if (take_word(p, "SESSION") || take_word(p, "LOCAL") || take_word(p, "GLOBAL")) {
        (void)take_punct(p, '.');
        if (is_word(p, "TRANSACTION")) {
            say_ok(p);
            return true;
        }
        system = true;
    }
    if (!text_of(p, name, sizeof name))
        return false;
    next(p);
    if (find_variable(name) != N_VARIABLES)
        set_variable(p, name);
    else if (system)
        say_error(p, "42704", "Unknown system variable", name);
    else
        return false;
    return true;
}

static bool parse_use(struct parser *p)
{
    char name[WORD_MAX];
    if (!text_of(p, name, sizeof name))
        return false;
    if (strcasecmp(name, "weir") == 0 || strcasecmp(name, "pgbouncer") == 0)
        say_ok(p);
    else
        say_error(p, "3D000", "Unknown database", name);
    return true;
}

/* KILL of a number is a client's, as MySQL has it; else the console's KILL of a database. */
static bool parse_kill(struct parser *p)
{
    char number[24];
    if (!take_word(p, "CONNECTION"))
        (void)take_word(p, "QUERY");
    if (p->t.kind != MY_T_NUMBER || !text_of(p, number, sizeof number))
        return false;
    (void)snprintf(p->said->command, sizeof p->said->command, "KILL_CLIENT %s", number);
    return true;
}

static bool parse_pleasantry(struct parser *p)
{
    for (size_t i = 0; i < sizeof pleasantries / sizeof pleasantries[0]; i++)
        if (is_word(p, pleasantries[i].word)) {
            p->said->set = pleasantries[i].set;
            p->said->clear = pleasantries[i].clear;
            say_ok(p);
            return true;
        }
    return false;
}

bool admin_mysql_driver(const char *text, size_t len, uint32_t id, const char *version,
                        struct admin_mysql_said *said)
{
    struct parser p = {
        .lexer = {.text = text, .n = (uint32_t)len}, .id = id, .version = version, .said = said};
    *said = (struct admin_mysql_said){.command = ""};
    next(&p);
    if (take_word(&p, "SELECT"))
        (void)parse_select(&p);
    else if (take_word(&p, "SHOW"))
        (void)parse_show(&p);
    else if (take_word(&p, "SET"))
        (void)parse_set(&p);
    else if (take_word(&p, "USE"))
        (void)parse_use(&p);
    else if (take_word(&p, "KILL"))
        (void)parse_kill(&p);
    else
        (void)parse_pleasantry(&p);
    if (p.no_memory)
        admin_result_destroy(&said->result);
    return !p.no_memory;
}
