/* SPDX-License-Identifier: ISC
 * What weir says itself: OK to what needs no server, and errors in the protocol's own form.
 */
#include "config.h"

#include "proto/mysql/my_dial.h"
#include "proto/mysql/my_session.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

uint8_t *my_put(struct proto_out *out, struct proto_lane *lane, const void *p, size_t n)
{
    uint8_t *to = out->arena + out->arena_used;
    memcpy(to, p, n);
    out->arena_used += n;
    if (lane != NULL)
        proto_lane_add(lane, to, n);
    return to;
}

void my_put_command(struct proto_out *out, uint8_t command, const void *p, size_t n)
{
    uint8_t head[MY_HEAD_BYTES + 1];
    my_put_head(head, (uint32_t)n + 1, 0);
    head[MY_HEAD_BYTES] = command;
    my_put(out, &out->server, head, sizeof head);
    proto_lane_add(&out->server, p, n);
}

void my_put_ok(struct my_client *c, struct proto_out *out)
{
    uint8_t packet[MY_OK_MAX];
    struct my_ok ok = {.status = c->status};
    my_put(out, &out->client, packet, my_write_ok(packet, 1, &ok));
}

/* ---- session changes, as servers tell them to who asked for it ---- */

struct changes {
    uint8_t bytes[1200];
    size_t n;
};

static void add_change(struct changes *ch, uint8_t type, const char *name, const char *value)
{
    size_t a = strlen(name), b = value != NULL ? strlen(value) : 0;
    if (a > 64 || b > 200 || ch->n + a + b + 16 > sizeof ch->bytes)
        return;
    uint8_t data[280];
    size_t len = my_write_lenenc(data, a);
    memcpy(data + len, name, a);
    len += a;
    if (value != NULL) {
        len += my_write_lenenc(data + len, b);
        memcpy(data + len, value, b);
        len += b;
    }
    ch->bytes[ch->n++] = type;
    ch->n += my_write_lenenc(ch->bytes + ch->n, len);
    memcpy(ch->bytes + ch->n, data, len);
    ch->n += len;
}

static void add_variable(struct changes *ch, const struct my_client *c, const char *name)
{
    struct var_entry e;
    if (my_track_is_usual(name) && my_set_value(c, name, &e))
        add_change(ch, 0, name, e.value);
}

static void put_ok_with(struct my_client *c, const struct changes *ch, uint16_t warnings,
                        struct proto_out *out)
{
    uint8_t packet[MY_OK_MAX + sizeof ch->bytes];
    struct my_ok ok = {.status = c->status, .state = {ch->bytes, ch->n}, .warnings = warnings};
    my_put(out, &out->client, packet, my_write_ok(packet, 1, &ok));
}

void my_put_ok_ping(struct my_client *c, struct proto_out *out)
{
    const struct changes none = {.n = 0};
    put_ok_with(c, &none, my_is_mysql(c) ? c->warning_count : 0, out);
}

void my_put_ok_schema(struct my_client *c, struct proto_out *out)
{
    struct changes ch = {.n = 0};
    if ((c->caps & MY_CAP_SESSION_TRACK) != 0 && c->schema != NULL)
        add_change(&ch, 1, c->schema, NULL);
    put_ok_with(c, &ch, my_is_mysql(c) ? c->warning_count : 0, out);
}

void my_put_ok_set(struct my_client *c, const struct my_scan *scan, const char *text,
                   struct proto_out *out)
{
    static const char *const names[] = {"character_set_client", "character_set_connection",
                                        "character_set_results"};
    struct changes ch = {.n = 0};
    char name[128];
    bool told = (c->caps & MY_CAP_SESSION_TRACK) != 0;
    if (told && scan->flags == MY_DO_USE) {
        my_put_ok_schema(c, out);
        return;
    }
    for (uint32_t i = 0; told && i < scan->n_assigns; i++) {
        const struct my_scan_assign *a = &scan->assigns[i];
        if (a->scope == MY_SCOPE_NAMES)
            for (size_t k = 0; k < 3; k++)
                add_variable(&ch, c, names[k]);
        else if (a->scope == MY_SCOPE_SESSION && (!a->bare || my_is_mysql(c)) &&
                 my_scan_name(text, a->name, name, sizeof name) != 0)
            add_variable(&ch, c, name);
    }
    put_ok_with(c, &ch, 0, out);
}

void my_put_error(struct proto_out *out, uint8_t seq, unsigned code, const char *state,
                  const char *fmt, ...)
{
    char text[512];
    uint8_t packet[MY_ERR_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    my_put(out, &out->client, packet, my_write_err(packet, seq, code, state, text));
}

/* ---- events -------------------------------------------------------------------------------------
 */

static const struct {
    unsigned code;
    const char *state, *text;
    bool kept;
} events[] = {
    [PROTO_EV_NO_LOAN] = {MY_ER_CON_COUNT, "08004", "Too many connections", true},
    [PROTO_EV_DOWN] = {MY_CR_CONN_HOST, "08S01", "the server can't be reached", true},
    [PROTO_EV_CANCELLED] = {MY_ER_QUERY_INTERRUPTED, "70100", "Query execution was interrupted",
                            true},
    [PROTO_EV_LOST_SERVER] = {MY_CR_SERVER_LOST, "08S01", "Lost connection to server during query",
                              true},
    [PROTO_EV_TAKEN_BACK] = {MY_ER_LOCK_DEADLOCK, "40001", "the transaction was rolled back", true},
    [PROTO_EV_OVERDUE] = {MY_ER_QUERY_INTERRUPTED, "70100", "Query execution was interrupted",
                          true},
    [PROTO_EV_NO_LOOKUP] = {MY_CR_CONN_HOST, "08S01", "the server can't be reached", false},
    [PROTO_EV_TOO_MANY] = {MY_ER_CON_COUNT, "08004", "Too many connections", false},
    [PROTO_EV_SHUTDOWN] = {MY_ER_SERVER_SHUTDOWN, "08S01", "Server shutdown in progress", false},
    [PROTO_EV_IDLE_TIMEOUT] = {MY_ER_CLIENT_INTERACTION, "HY000",
                               "The client was disconnected by weir because of inactivity", false},
    [PROTO_EV_LOGIN_TIMEOUT] = {1159, "08S01", "Got timeout reading communication packets", false},
    [PROTO_EV_KILLED] = {1927, "70100", "Connection was killed", false},
    [PROTO_EV_NO_MEMORY] = {MY_ER_OUT_OF_RESOURCES, "HY000", "Out of memory", false},
    [PROTO_EV_BAD_SETTING] = {MY_ER_UNKNOWN, "HY000", "a setting was refused", false},
};

unsigned my_error_for(const struct my_client *c, unsigned code)
{
    if (c == NULL || !c->connector_c)
        return code;
    if (code == MY_CR_CONN_HOST)
        return MY_ER_CONNECT_TO_FOREIGN;
    return code == MY_CR_SERVER_LOST ? MY_ER_NET_READ : code;
}

/* The waiting command is answered: forget it. */
static void drop_command(struct my_client *c, const uint8_t *in, size_t n, size_t *used)
{
    *used = 0;
    if (n < MY_HEAD_BYTES)
        return;
    struct my_in m = {.p = in, .total = MY_HEAD_BYTES + (size_t)my_get24(in)};
    m.have = n < m.total ? n : m.total;
    *used = m.have;
    my_execute_refused(c, &m);
    my_pass_rest(c, &m, true);
}

/* No server connection, since the server refuses the login: its own error says most. */
static bool put_refusal(struct buf *out, const char *code, const char *text)
{
    static const struct {
        unsigned number;
        const char *state;
    } states[] = {
        {MY_ER_CON_COUNT, "08004"},          {MY_ER_DB_ACCESS_DENIED, "42000"},
        {MY_ER_ACCESS_DENIED, "28000"},      {MY_ER_BAD_DB, "42000"},
        {MY_ER_USER_CONNECTIONS, "42000"},   {MY_ER_USER_LIMIT, "42000"},
        {MY_ER_ACCESS_DENIED_NOPW, "28000"},
    };
    unsigned number = (unsigned)strtoul(code + strlen(MY_DIAL_NUMBER), NULL, 10);
    const char *state = "HY000";
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        if (states[i].number == number)
            state = states[i].state;
    return my_put_err(out, 1, number, state, text);
}

static bool put(const struct my_client *c, struct buf *out, uint8_t seq, enum proto_event ev,
                const char *text)
{
    return my_put_err(out, seq, my_error_for(c, events[ev].code), events[ev].state,
                      text != NULL && text[0] != '\0' ? text : events[ev].text);
}

static bool say_killed(struct my_client *c, enum proto_event ev, struct buf *out)
{
    uint8_t packet[MY_OK_MAX];
    struct my_ok ok = {.status = c->status};
    char text[64];
    if (ev == PROTO_EV_KILL_DONE && c->kill_id == c->id) { /* KILL is the statement that it stops */
        bool kept = c->kill_query;
        enum proto_event what = kept || my_is_mysql(c) ? PROTO_EV_CANCELLED : PROTO_EV_KILLED;
        return put(c, out, 1, what, NULL) && kept;
    }
    if (ev == PROTO_EV_KILL_DONE)
        return buf_append(out, packet, my_write_ok(packet, 1, &ok));
    snprintf(text, sizeof text, "Unknown thread id: %llu", (unsigned long long)c->kill_id);
    return my_put_err(out, 1, MY_ER_NO_SUCH_THREAD, "HY000", text);
}

/* Was it lost over a text that is prepared before its execution is sent? Once that is nobody's
 * fault; a second time it may be the text that ends servers, and the client hears of it. */
static bool lost_again(struct my_client *c, const struct my_server *s)
{
    const struct my_expect *x = s != NULL && s->len != 0 ? &s->queue[s->head] : NULL;
    if (x == NULL || x->act != MY_A_PREPARE)
        return false;
    bool again = c->kept_back;
    c->kept_back = !again;
    return again;
}

/* The server connection broke. A client that waits for its answer hears it now; one whose
 * transaction was open, or who has a pin, hears it next and is ended; anybody else needn't know:
 * what was not sent yet goes to another connection. */
static bool say_lost_server(struct my_client *c, struct my_server *s, const char *text,
                            struct buf *out)
{
    bool asked = s != NULL && my_is_awaited(c, s);
    bool had = s != NULL && (my_in_transaction(s) || s->pins != 0);
    bool open = had || (s != NULL && s->settle == MY_S_ASK);
    bool torn = s != NULL && s->skip != 0 && !s->skip_drop;
    bool again = !open && lost_again(c, s);
    c->status &= (uint16_t)~MY_ST_IN_TRANS;
    c->deferred = false;
    if (torn)
        return false; /* half a row is out */
    if (c->skip != 0 || c->more)
        c->drop = true;
    struct buf late = {0};
    bool more = asked && !open && my_is_sending(c, s);
    if (asked && !put(c, more ? &late : out, (uint8_t)(s->seq + 1), PROTO_EV_LOST_SERVER, text))
        return false;
    bool kept = !more || my_answer_late(c, buf_head(&late), buf_len(&late));
    buf_release(&late);
    if (!kept)
        return false;
    if (asked || (!open && !again))
        return !open;
    c->lost = had ? MY_LOST_SESSION : MY_LOST_SERVER;
    free(c->lost_text);
    c->lost_text =
        strdup(text != NULL && text[0] != '\0' ? text : events[PROTO_EV_LOST_SERVER].text);
    return true;
}

bool my_say(void *pc, void *ps, enum proto_event ev, const char *text, const char *code,
            const uint8_t *in, size_t n, size_t *used, struct buf *out)
{
    struct my_client *c = pc;
    *used = 0;
    if (ev == PROTO_EV_KILL_DONE || ev == PROTO_EV_KILL_UNKNOWN)
        return say_killed(c, ev, out);
    /* Without a word, as the servers do: a driver takes an error that it didn't wait for as the
     * answer to whatever it says next. */
    if (ev == PROTO_EV_ENDED)
        return false;
    if (c == NULL || c->magic != MY_CLIENT_MAGIC) { /* during the login */
        (void)put(NULL, out, 2, ev, text);
        return false;
    }
    if (ev == PROTO_EV_TAKEN_BACK) {
        c->lost = MY_LOST_TAKEN;
        free(c->lost_text);
        c->lost_text = text != NULL ? strdup(text) : NULL;
        return true;
    }
    if (ev == PROTO_EV_OVERDUE) {
        struct my_server *s = ps;
        free(s->overdue);
        s->overdue = strdup(text);
        s->overdue_tx = code != NULL && strcmp(code, "40001") == 0;
        return true;
    }
    if (ev == PROTO_EV_LOST_SERVER)
        return say_lost_server(c, ps, text, out);
    if (ev == PROTO_EV_CANCELLED)
        text = NULL; /* the servers' own words are what drivers look for */
    const struct my_server *s = ps;
    bool waits = n >= MY_HEAD_BYTES, inside = s != NULL && my_is_awaited(c, s);
    uint8_t seq = inside ? (uint8_t)(s->seq + 1) : events[ev].kept || waits ? 1 : 0;
    bool refused = ev == PROTO_EV_DOWN && code != NULL && code[0] == MY_DIAL_NUMBER[0];
    bool more = waits && events[ev].kept && my_get24(in) == MY_PACKET_FULL;
    struct buf late = {0}, *to = more ? &late : out;
    bool told = refused ? put_refusal(to, code, text) : put(c, to, seq, ev, text);
    told = told && (!more || my_answer_late(c, buf_head(&late), buf_len(&late)));
    buf_release(&late);
    if (!told && events[ev].kept)
        return false;
    drop_command(c, in, n, used);
    return events[ev].kept;
}
