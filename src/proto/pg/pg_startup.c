/* SPDX-License-Identifier: ISC
 * See pg_startup.h. The packet is length, code, then for a StartupMessage pairs of NUL-terminated
 * strings and one NUL more.
 */
#include "config.h"

#include "proto/pg/pg_startup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FIRST_HEAD_BYTES  8u /* length and code */
#define CANCEL_MIN_BYTES  16u
#define CANCEL_KEY_MAX    256u
#define CODE_CANCEL       (1234u << 16 | 5678u)
#define CODE_SSL          (1234u << 16 | 5679u)
#define CODE_GSSENC       (1234u << 16 | 5680u)
#define TLS_HANDSHAKE     0x16 /* content type of a ClientHello's record */
#define PROTOCOL_MAJOR    3u
#define PROTOCOL_OPTION   "_pq_."
#define WEIR_SETTING      "weir."
#define SQLSTATE_PROTOCOL "08P01"

static const char *const first_kind_names[] = {
    [PG_FIRST_NEED_MORE] = "need more",    [PG_FIRST_STARTUP] = "startup",
    [PG_FIRST_SSL_REQUEST] = "SSLRequest", [PG_FIRST_GSSENC_REQUEST] = "GSSENCRequest",
    [PG_FIRST_CANCEL] = "CancelRequest",   [PG_FIRST_DIRECT_TLS] = "direct TLS",
    [PG_FIRST_TERMINATE] = "Terminate",    [PG_FIRST_BAD] = "bad",
};

const char *pg_first_kind_name(enum pg_first_kind kind)
{
    return first_kind_names[kind];
}

static uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool view_is(struct pg_view v, const char *text)
{
    return v.n == strlen(text) && memcmp(v.p, text, v.n) == 0;
}

static bool view_starts(struct pg_view v, const char *prefix)
{
    size_t n = strlen(prefix);
    return v.n >= n && memcmp(v.p, prefix, n) == 0;
}

static enum pg_first_kind bad_length(struct pg_fault *fault)
{
    pg_fault_set(fault, SQLSTATE_PROTOCOL, "invalid length of startup packet");
    return PG_FIRST_BAD;
}

/* The kind that a code stands for, once the whole packet of `want` bytes is there. */
static enum pg_first_kind kind_of(uint32_t code, size_t want, struct pg_fault *fault)
{
    switch (code) {
    case CODE_CANCEL:
        return want >= CANCEL_MIN_BYTES && want <= CANCEL_MIN_BYTES - 4 + CANCEL_KEY_MAX
                   ? PG_FIRST_CANCEL
                   : bad_length(fault);
    case CODE_SSL:
        return want == FIRST_HEAD_BYTES ? PG_FIRST_SSL_REQUEST : bad_length(fault);
    case CODE_GSSENC:
        return want == FIRST_HEAD_BYTES ? PG_FIRST_GSSENC_REQUEST : bad_length(fault);
    default:
        return PG_FIRST_STARTUP;
    }
}

enum pg_first_kind pg_startup_peek(const void *p, size_t n, size_t *len, struct pg_fault *fault)
{
    static const uint8_t terminate[] = {'X', 0, 0, 0, 4};
    const uint8_t *bytes = p;
    *len = sizeof terminate; /* the shortest */
    if (n == 0)
        return PG_FIRST_NEED_MORE;
    if (bytes[0] == TLS_HANDSHAKE) {
        *len = 0;
        return PG_FIRST_DIRECT_TLS;
    }
    if (memcmp(bytes, terminate, n < sizeof terminate ? n : sizeof terminate) == 0)
        return n < sizeof terminate ? PG_FIRST_NEED_MORE : PG_FIRST_TERMINATE;
    *len = FIRST_HEAD_BYTES;
    /* No acceptable length has its upper bytes set: say so at once, don't wait for more of it. */
    if (bytes[0] != 0 || (n >= 2 && bytes[1] != 0))
        return bad_length(fault);
    if (n < 4)
        return PG_FIRST_NEED_MORE;
    uint32_t want = get_u32(bytes);
    if (want < FIRST_HEAD_BYTES || want > PG_STARTUP_MAX_BYTES)
        return bad_length(fault);
    *len = want;
    if (n < want)
        return PG_FIRST_NEED_MORE;
    return kind_of(get_u32(bytes + 4), want, fault);
}

/* The pair at *at; false at the terminator or where a string has no end. */
static bool next_pair(struct pg_view params, size_t *at, struct pg_setting *out)
{
    if (*at >= params.n || params.p[*at] == '\0')
        return false;
    const char *name = params.p + *at;
    const char *name_end = memchr(name, '\0', params.n - *at);
    if (name_end == NULL)
        return false;
    const char *value = name_end + 1;
    size_t left = params.n - (size_t)(value - params.p);
    const char *value_end = left == 0 ? NULL : memchr(value, '\0', left);
    if (value_end == NULL)
        return false;
    out->name = (struct pg_view){name, (size_t)(name_end - name)};
    out->value = (struct pg_view){value, (size_t)(value_end - value)};
    *at = (size_t)(value_end - params.p) + 1;
    return true;
}

/* PostgreSQL's parse_bool: any unambiguous beginning of a word, in any case. */
static bool parse_bool(struct pg_view v, bool *out)
{
    static const struct {
        const char *word;
        size_t least;
        bool value;
    } words[] = {{"true", 1, true},   {"yes", 1, true}, {"on", 2, true},   {"1", 1, true},
                 {"false", 1, false}, {"no", 1, false}, {"off", 2, false}, {"0", 1, false}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (v.n < words[i].least || v.n > strlen(words[i].word) ||
            strncasecmp(v.p, words[i].word, v.n) != 0)
            continue;
        *out = words[i].value;
        return true;
    }
    return false;
}

static bool read_replication(struct pg_view v, enum pg_replication *out, struct pg_fault *fault)
{
    bool on = false;
    if (view_is(v, "database")) {
        *out = PG_REPLICATION_LOGICAL;
    } else if (parse_bool(v, &on)) {
        *out = on ? PG_REPLICATION_PHYSICAL : PG_REPLICATION_NONE;
    } else {
        pg_fault_set(fault, "22023", "invalid value for parameter \"replication\": \"%.*s\"",
                     (int)v.n, v.p);
        snprintf(fault->hint, sizeof(fault->hint),
                 "Valid values are: \"false\", 0, \"true\", 1, \"database\".");
        return false;
    }
    return true;
}

static bool take_pair(struct pg_startup *s, const struct pg_setting *pair, struct pg_fault *fault)
{
    if (view_is(pair->name, "user"))
        s->user = pair->value;
    else if (view_is(pair->name, "database"))
        s->database = pair->value;
    else if (view_is(pair->name, "options"))
        s->options = pair->value;
    else if (view_is(pair->name, "replication"))
        return read_replication(pair->value, &s->replication, fault);
    else if (view_starts(pair->name, PROTOCOL_OPTION))
        s->negotiate = true;
    return true;
}

bool pg_startup_parse(const void *p, size_t n, struct pg_startup *out, struct pg_fault *fault)
{
    *out = (struct pg_startup){0};
    if (n < FIRST_HEAD_BYTES || n > PG_STARTUP_MAX_BYTES || get_u32(p) != n)
        return bad_length(fault) != PG_FIRST_BAD;
    out->version = get_u32((const uint8_t *)p + 4);
    uint32_t major = out->version >> 16;
    uint32_t minor = out->version & 0xffffu;
    if (major != PROTOCOL_MAJOR) {
        pg_fault_set(fault, "0A000",
                     "unsupported frontend protocol %u.%u: server supports 3.0 to 3.0", major,
                     minor);
        return false;
    }
    out->negotiate = minor != 0;
    out->params = (struct pg_view){(const char *)p + FIRST_HEAD_BYTES, n - FIRST_HEAD_BYTES};

    size_t at = 0;
    struct pg_setting pair;
    while (next_pair(out->params, &at, &pair))
        if (!take_pair(out, &pair, fault))
            return false;
    if (at + 1 != out->params.n || out->params.p[at] != '\0') {
        pg_fault_set(fault, SQLSTATE_PROTOCOL,
                     "invalid startup packet layout: expected terminator as last byte");
        return false;
    }
    if (out->user.n == 0) {
        pg_fault_set(fault, "28000", "no PostgreSQL user name specified in startup packet");
        return false;
    }
    if (out->database.n == 0) {
        struct pg_view function;
        pg_startup_split_user(out->user, &out->database, &function);
    }
    return true;
}

bool pg_startup_next(const struct pg_startup *s, size_t *at, struct pg_setting *out)
{
    static const char *const taken[] = {"user", "database", "options", "replication"};
    while (next_pair(s->params, at, out)) {
        bool skip = view_starts(out->name, PROTOCOL_OPTION);
        for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
            skip = skip || view_is(out->name, taken[i]);
        if (!skip)
            return true;
    }
    return false;
}

bool pg_startup_negotiate(const struct pg_startup *s, struct buf *out)
{
    /* A pair takes at least this many bytes, so there can't be more of them. */
    struct pg_view options[PG_STARTUP_MAX_BYTES / (sizeof(PROTOCOL_OPTION) + 1)];
    size_t count = 0;
    size_t at = 0;
    struct pg_setting pair;
    while (next_pair(s->params, &at, &pair))
        if (view_starts(pair.name, PROTOCOL_OPTION))
            options[count++] = pair.name;
    return pg_msg_negotiate(out, PG_PROTOCOL_3_0, options, count);
}

/* ---- options ------------------------------------------------------------------------------
 * PostgreSQL hands the words of `options` to the same getopt loop as its own command line. The
 * switches that make sense for a session stand for settings; so do those that only a starting
 * server may take, and there the database itself gives the refusal when it sees the setting. */

#define WITH_ARGUMENT "BCDcdfhkNprStvW-"

/* A switch that stands for one setting; value NULL: its argument is the value. */
static const struct {
    char letter;
    const char *name;
    const char *value;
} plain_switches[] = {
    {'B', "shared_buffers", NULL},
    {'e', "datestyle", "euro"},
    {'F', "fsync", "false"},
    {'h', "listen_addresses", NULL},
    {'i', "listen_addresses", "*"},
    {'k', "unix_socket_directories", NULL},
    {'l', "ssl", "true"},
    {'N', "max_connections", NULL},
    {'O', "allow_system_table_mods", "true"},
    {'P', "ignore_system_indexes", "true"},
    {'p', "port", NULL},
    {'S', "work_mem", NULL},
    {'s', "log_statement_stats", "true"},
    {'W', "post_auth_delay", NULL},
};

/* Switches that PostgreSQL accepts from a client and doesn't act upon. */
#define IGNORED "bCDEjnrTv"

/* Switches whose argument selects the setting. */
static const struct {
    char letter;
    const char *argument;
    const char *name;
    const char *value;
} keyed_switches[] = {
    {'f', "s", "enable_seqscan", "false"},       {'f', "i", "enable_indexscan", "false"},
    {'f', "o", "enable_indexonlyscan", "false"}, {'f', "b", "enable_bitmapscan", "false"},
    {'f', "t", "enable_tidscan", "false"},       {'f', "n", "enable_nestloop", "false"},
    {'f', "m", "enable_mergejoin", "false"},     {'f', "h", "enable_hashjoin", "false"},
    {'t', "pa", "log_parser_stats", "true"},     {'t', "pl", "log_planner_stats", "true"},
    {'t', "e", "log_executor_stats", "true"},
};

/* What -d switches on beside log_min_messages, from which level. */
static const struct {
    int level;
    const char *name;
    const char *value;
} debug_switches[] = {
    {2, "log_statement", "all"},
    {3, "debug_print_parse", "true"},
    {4, "debug_print_plan", "true"},
    {5, "debug_print_rewritten", "true"},
};

struct option_reader {
    char *at; /* rest of the unescaped words, each NUL-terminated */
    char *end;
    pg_setting_fn *each;
    void *arg;
    struct pg_fault *fault;
};

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Split into words, taking backslashes away, into `out` (as large as `in`, plus 1). */
static size_t split_words(struct pg_view in, char *out)
{
    size_t n = 0;
    size_t i = 0;
    while (i < in.n) {
        while (i < in.n && is_space(in.p[i]))
            i++;
        if (i == in.n)
            break;
        bool escaped = false;
        for (; i < in.n && (escaped || !is_space(in.p[i])); i++) {
            if (!escaped && in.p[i] == '\\') {
                escaped = true;
                continue;
            }
            out[n++] = in.p[i];
            escaped = false;
        }
        out[n++] = '\0';
    }
    return n;
}

static char *next_word(struct option_reader *r)
{
    if (r->at == r->end)
        return NULL;
    char *word = r->at;
    r->at += strlen(word) + 1;
    return word;
}

static bool bad_argument(struct option_reader *r, const char *word)
{
    pg_fault_set(r->fault, "42601", "invalid command-line argument for server process: %s", word);
    snprintf(r->fault->hint, sizeof(r->fault->hint),
             "Try \"postgres --help\" for more information.");
    return false;
}

static bool emit(struct option_reader *r, const char *name, const char *value)
{
    const struct pg_setting s = {pg_view_of(name), pg_view_of(value)};
    return r->each(r->arg, &s);
}

/* -c name=value or --name=value; a '-' in a name means '_'. */
static bool long_switch(struct option_reader *r, char letter, char *argument)
{
    char *equals = strchr(argument, '=');
    if (equals == NULL) {
        pg_fault_set(r->fault, "42601",
                     letter == '-' ? "--%s requires a value" : "-c %s requires a value", argument);
        return false;
    }
    *equals = '\0';
    for (char *c = argument; *c != '\0'; c++)
        if (*c == '-')
            *c = '_';
    return emit(r, argument, equals + 1);
}

static bool debug_switch(struct option_reader *r, const char *argument)
{
    long level = strtol(argument, NULL, 10);
    char name[] = "debug1";
    if (level > 5)
        level = 5;
    if (level > 0)
        name[sizeof(name) - 2] = (char)('0' + level);
    if (!emit(r, "log_min_messages", level > 0 ? name : "notice"))
        return false;
    for (size_t i = 0; i < sizeof(debug_switches) / sizeof(debug_switches[0]); i++)
        if (level >= debug_switches[i].level &&
            !emit(r, debug_switches[i].name, debug_switches[i].value))
            return false;
    return true;
}

static bool keyed_switch(struct option_reader *r, char letter, const char *argument,
                         const char *word)
{
    for (size_t i = 0; i < sizeof(keyed_switches) / sizeof(keyed_switches[0]); i++)
        if (keyed_switches[i].letter == letter &&
            strncmp(argument, keyed_switches[i].argument, strlen(keyed_switches[i].argument)) == 0)
            return emit(r, keyed_switches[i].name, keyed_switches[i].value);
    return bad_argument(r, word);
}

static bool one_switch(struct option_reader *r, char letter, char *argument, const char *word)
{
    if (letter == 'c' || letter == '-')
        return long_switch(r, letter, argument);
    if (letter == 'd')
        return debug_switch(r, argument);
    if (letter == 'f' || letter == 't')
        return keyed_switch(r, letter, argument, word);
    for (size_t i = 0; i < sizeof(plain_switches) / sizeof(plain_switches[0]); i++)
        if (plain_switches[i].letter == letter)
            return emit(r, plain_switches[i].name,
                        plain_switches[i].value == NULL ? argument : plain_switches[i].value);
    return strchr(IGNORED, letter) != NULL ? true : bad_argument(r, word);
}

/* The letters of one word; the last of them may take the rest of it, or the next word. */
static bool one_word(struct option_reader *r, char *word)
{
    if (word[0] != '-' || word[1] == '\0')
        return bad_argument(r, word);
    for (char *c = word + 1; *c != '\0'; c++) {
        if (strchr(WITH_ARGUMENT, *c) == NULL) {
            if (!one_switch(r, *c, NULL, word))
                return false;
            continue;
        }
        if (c[1] != '\0')
            return one_switch(r, *c, c + 1, word);
        char *argument = next_word(r); /* what PostgreSQL names when it doesn't like it */
        return argument == NULL ? bad_argument(r, word) : one_switch(r, *c, argument, argument);
    }
    return true;
}

bool pg_startup_options(struct pg_view options, pg_setting_fn *each, void *arg,
                        struct pg_fault *fault)
{
    char words[PG_STARTUP_MAX_BYTES + 1];
    *fault = (struct pg_fault){0};
    if (options.n > PG_STARTUP_MAX_BYTES)
        return bad_length(fault) != PG_FIRST_BAD;
    struct option_reader r = {words, words + split_words(options, words), each, arg, fault};
    char *word;
    while ((word = next_word(&r)) != NULL) {
        if (strcmp(word, "--") == 0) /* the end of the switches, as everywhere */
            return (word = next_word(&r)) == NULL ? true : bad_argument(&r, word);
        if (!one_word(&r, word))
            return false;
    }
    return true;
}

/* ---- the rest ------------------------------------------------------------------------------ */

void pg_startup_split_user(struct pg_view user, struct pg_view *role, struct pg_view *function)
{
    const char *plus = user.n == 0 ? NULL : memrchr(user.p, '+', user.n);
    *role = user;
    *function = (struct pg_view){NULL, 0};
    if (plus == NULL || plus == user.p || plus + 1 == user.p + user.n)
        return;
    *role = (struct pg_view){user.p, (size_t)(plus - user.p)};
    *function = (struct pg_view){plus + 1, user.n - role->n - 1};
}

bool pg_startup_is_weir_setting(struct pg_view name)
{
    size_t n = strlen(WEIR_SETTING);
    return name.n >= n && strncasecmp(name.p, WEIR_SETTING, n) == 0;
}

bool pg_startup_parse_cancel(const void *p, size_t n, uint32_t *pid, struct pg_view *key)
{
    const uint8_t *bytes = p;
    if (n < CANCEL_MIN_BYTES || n > CANCEL_MIN_BYTES - 4 + CANCEL_KEY_MAX || get_u32(bytes) != n ||
        get_u32(bytes + 4) != CODE_CANCEL)
        return false;
    *pid = get_u32(bytes + 8);
    *key = (struct pg_view){(const char *)bytes + 12, n - 12};
    return true;
}
