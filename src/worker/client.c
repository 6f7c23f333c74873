/* SPDX-License-Identifier: ISC
 * A client socket from accept to close: see worker_priv.h for its states.
 *
 * Nothing is freed while the turn lasts: a destroyed client is on dead_clients until
 * worker_drain(), so whoever is up the call chain may still look at its state.
 */
#include "config.h"

#include "worker/function.h"
#include "worker/route.h"
#include "worker/worker_priv.h"
#include "worker/world.h"

#include "base/log.h"
#include "base/own_count.h"

#include <arpa/inet.h>
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define SLOTS_FIRST 1024u

const char *const client_state_names[CLIENT_STATES] = {"login",  "idle",    "waiting",
                                                       "active", "closing", "gone"};

void client_set_state(struct client *c, enum client_state state)
{
    struct worker *w = c->worker;
    if (state == CLIENT_IDLE)
        client_wait_end(c);
    if (c->state == state)
        return;
    TAILQ_REMOVE(&w->states[c->state], c, link);
    own_count_add(&w->counts[c->state], -1);
    if (c->state == CLIENT_LOGIN || c->state == CLIENT_WAITING || state == CLIENT_GONE) {
        w->churn++;
        w->churn_us = w->now_us;
    }
    c->state = (uint8_t)state;
    c->since_us = w->now_us;
    own_count_add(&w->counts[state], 1);
    TAILQ_INSERT_TAIL(&w->states[state], c, link);
}

void client_make_ready(struct client *c)
{
    if (c->ready)
        return;
    c->ready = true;
    STAILQ_INSERT_TAIL(&c->worker->ready, c, ready_link);
}

void client_wait_end(struct client *c)
{
    if (c->wait != NULL)
        slab_put(&c->worker->waits, c->wait);
    c->wait = NULL;
}

/* The slot's number is part of the cancel key: found again in O(1). MySQL's KILL has nothing else
 * to go by, and may come late: a slot is used again when its turn comes, after as many others as
 * there are, of which at least half are free. */
static bool slot_take(struct worker *w, struct client *c)
{
    if (w->used_slots >= w->n_slots / 2) {
        uint32_t n = w->n_slots != 0 ? w->n_slots * 2 : SLOTS_FIRST;
        struct client **fresh = realloc(w->slots, n * sizeof *fresh);
        if (fresh == NULL)
            return false;
        memset(fresh + w->n_slots, 0, (n - w->n_slots) * sizeof *fresh);
        w->slots = fresh;
        w->n_slots = n;
    }
    while (w->slots[w->next_slot] != NULL)
        w->next_slot = (w->next_slot + 1) % w->n_slots;
    c->slot = w->next_slot;
    w->slots[c->slot] = c;
    w->used_slots++;
    w->next_slot = (w->next_slot + 1) % w->n_slots;
    return true;
}

static void slot_give(struct worker *w, struct client *c)
{
    w->slots[c->slot] = NULL;
    w->used_slots--;
}

struct client *worker_client(struct worker *w, uint32_t slot)
{
    return slot < w->n_slots ? w->slots[slot] : NULL;
}

static void keep_address(struct client *c, const struct sockaddr_storage *peer)
{
    if (peer->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)peer;
        memcpy(c->addr, &in->sin_addr, 4);
        c->port = ntohs(in->sin_port);
        c->family = 4;
    } else if (peer->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const void *)peer;
        memcpy(c->addr, &in->sin6_addr, 16);
        c->port = ntohs(in->sin6_port);
        c->family = 6;
    }
}

/* In lots: a system call for each would be felt in a storm. */
static uint32_t fresh_key(struct worker *w)
{
    uint32_t key;
    if (w->n_keys == 0) {
        (void)!getrandom(w->keys, sizeof w->keys, 0);
        w->n_keys = sizeof w->keys / sizeof w->keys[0];
    }
    key = w->keys[--w->n_keys];
    w->keys[w->n_keys] = 0;
    return key;
}

void client_on_accept(int fd, unsigned door, const struct sockaddr_storage *peer, socklen_t len,
                      void *arg)
{
    struct worker *w = arg;
    const struct protocol *protocol = protocol_at(door);
    (void)len;
    w->now_us = clock_now_us();
    struct client *c = protocol != NULL ? slab_get(&w->clients[door]) : NULL;
    struct client_login *l = calloc(1, sizeof *l);
    if (c == NULL || l == NULL || !slot_take(w, c)) {
        if (c != NULL)
            slab_put(&w->clients[door], c);
        free(l);
        close(fd);
        return;
    }
    c->magic = CLIENT_MAGIC;
    c->worker = w;
    c->door = (uint8_t)door;
    c->u.login = l;
    c->connected_us = c->since_us = w->now_us;
    keep_address(c, peer);
    c->key = fresh_key(w);
    l->login = protocol->login->create(&w->settings->policy);
    l->deadline_us = w->now_us + w->settings->login_us;
    c->state = CLIENT_LOGIN;
    own_count_add(&w->counts[CLIENT_LOGIN], 1);
    TAILQ_INSERT_TAIL(&w->states[CLIENT_LOGIN], c, link);
    atomic_fetch_add(&w->world->clients, 1);
    if (l->login == NULL || !stream_init(&c->stream, w->loop, fd, relay_client_io, c)) {
        c->stream.fd = -1;
        close(fd);
        client_destroy(c);
    } else if (protocol->login->greet != NULL) {
        client_greet(c);
    }
    worker_tick_need(w);
    worker_drain(w);
}

void client_address(const struct client *c, char to[CLIENT_ADDRESS_BYTES])
{
    char ip[INET6_ADDRSTRLEN] = "";
    if (c->family != 0)
        inet_ntop(c->family == 4 ? AF_INET : AF_INET6, c->addr, ip, sizeof ip);
    if (c->family == 0)
        snprintf(to, CLIENT_ADDRESS_BYTES, "unix");
    else
        snprintf(to, CLIENT_ADDRESS_BYTES, c->family == 4 ? "%s:%u" : "[%s]:%u", ip, c->port);
}

void client_name(const struct client *c, char *to, size_t room)
{
    char ip[INET6_ADDRSTRLEN] = "unix";
    if (c->family != 0)
        inet_ntop(c->family == 4 ? AF_INET : AF_INET6, c->addr, ip, sizeof ip);
    snprintf(to, room, "client %u-%" PRIu32 " %s/%s %s:%u", c->worker->index, c->slot,
             c->route != NULL ? c->route->database : "-", c->route != NULL ? c->route->user : "-",
             ip, c->port);
}

/* Asking a sleeping TLS session would wake it, so its description is kept: one of a few, told by
 * its number. Those beyond them are just TLS. */
#define TLS_TEXTS 32
static pthread_mutex_t tls_lock = PTHREAD_MUTEX_INITIALIZER;
static char tls_texts[TLS_TEXTS][64] = {"", "TLS"};

static uint8_t tls_text(const struct stream *s)
{
    uint8_t found = 1;
    char text[sizeof tls_texts[0]];
    tls_describe(s, text, sizeof text);
    if (text[0] == '\0')
        return 0;
    pthread_mutex_lock(&tls_lock);
    for (uint8_t i = 1; i < TLS_TEXTS; i++) {
        if (tls_texts[i][0] == '\0')
            memcpy(tls_texts[i], text, sizeof text);
        if (strcmp(tls_texts[i], text) == 0) {
            found = i;
            break;
        }
    }
    pthread_mutex_unlock(&tls_lock);
    return found;
}

const char *client_tls_text(const struct client *c)
{
    return tls_texts[c->tls]; /* written once, before its number was given out */
}

void client_logged_in(struct client *c)
{
    c->tls = tls_text(&c->stream);
    client_set_state(c, CLIENT_IDLE);
    route_count(c->route, c->worker, STAT_LOGINS, 1);
    if (c->worker->settings->log_connections) {
        char who[200];
        client_name(c, who, sizeof who);
        log_info(who, "login");
    }
}

static void let_go(struct client *c)
{
    struct worker *w = c->worker;
    bool free_now = true;
    switch ((enum client_state)c->state) {
    case CLIENT_LOGIN:
        client_login_end(c);
        buf_wipe(&c->in); /* it may have been a password */
        break;
    case CLIENT_WAITING:
        free_now = loan_leave_queue(c);
        break;
    case CLIENT_ACTIVE:
        loan_abandon(c, false, "client_gone", NULL);
        break;
    case CLIENT_IDLE:
    case CLIENT_CLOSING:
    case CLIENT_GONE:
        break;
    }
    if (c->is_console)
        console_end(c);
    relay_not_later(c);
    client_set_state(c, CLIENT_GONE);
    TAILQ_REMOVE(&w->states[CLIENT_GONE], c, link);
    own_count_add(&w->counts[CLIENT_GONE], -1);
    if (free_now)
        TAILQ_INSERT_TAIL(&w->dead_clients, c, link);
}

bool client_set_function(struct client *c, const char *name)
{
    struct worker *w = c->worker;
    struct function *f = NULL;
    if (name != NULL)
        f = functions_get(w->world->functions, w->settings, c->route->server, name);
    if (name != NULL && f == NULL)
        return false;
    if (c->function != NULL)
        atomic_fetch_sub(&c->function->clients, 1);
    c->function = f;
    if (f != NULL)
        atomic_fetch_add(&f->clients, 1);
    return true;
}

bool client_follow(struct client *c)
{
    struct route *r = c->route, *to;
    while ((to = atomic_load(&r->successor)) != NULL)
        r = to;
    if (r == c->route)
        return false;
    struct function *f = functions_get(c->worker->world->functions, c->worker->settings, r->server,
                                       c->function->name);
    if (f == NULL)
        return false;
    atomic_fetch_add(&f->clients, 1);
    atomic_fetch_sub(&c->function->clients, 1);
    c->function = f;
    atomic_fetch_add(&r->clients, 1);
    route_client_left(c->route);
    c->route = r;
    return true;
}

void client_destroy(struct client *c)
{
    struct worker *w = c->worker;
    if (c->state == CLIENT_GONE)
        return;
    if (c->state != CLIENT_LOGIN && w->settings->log_disconnections) {
        char who[200];
        client_name(c, who, sizeof who);
        log_info(who, "closed after %.1f s", (double)(w->now_us - c->connected_us) / 1e6);
    }
    let_go(c);
    frozen_forget(c);
    stream_fini(&c->stream, false);
    if (c->route != NULL) {
        c->route->proto->client_fini(c->proto);
        if (!c->is_console)
            route_client_left(c->route);
        if (c->function != NULL)
            atomic_fetch_sub(&c->function->clients, 1);
    }
    buf_release(&c->in);
    buf_release(&c->out);
    slot_give(w, c);
    atomic_fetch_sub(&w->world->clients, 1);
    worker_tick_need(w);
}

bool client_flush(struct client *c)
{
    while (buf_len(&c->out) != 0) {
        size_t put = 0;
        struct iovec v = {.iov_base = buf_head(&c->out), .iov_len = buf_len(&c->out)};
        enum io_result r = stream_writev(&c->stream, &v, 1, &put);
        if (r != IO_OK && r != IO_AGAIN) {
            client_destroy(c);
            return false;
        }
        buf_consume(&c->out, put);
        if (r == IO_AGAIN) {
            if (buf_len(&c->out) <= c->worker->settings->spool_bytes / 2)
                stream_resume(&c->stream, PAUSE_UNREAD);
            stream_want_write(&c->stream, true);
            return true;
        }
    }
    buf_release(&c->out);
    stream_want_write(&c->stream, false);
    stream_resume(&c->stream, PAUSE_UNREAD);
    if (c->state == CLIENT_CLOSING) {
        client_destroy(c);
        return false;
    }
    return true;
}

void client_finish(struct client *c)
{
    if (c->state == CLIENT_GONE || c->state == CLIENT_CLOSING)
        return;
    if (c->state == CLIENT_ACTIVE)
        loan_abandon(c, false, "client_gone", NULL);
    if (c->state == CLIENT_WAITING && !loan_leave_queue(c)) {
        client_destroy(c); /* a connection is on its way to it: no time for words */
        return;
    }
    if (c->state == CLIENT_LOGIN) {
        client_login_end(c);
        buf_wipe(&c->in);
    }
    stream_pause(&c->stream, PAUSE_SHUTDOWN);
    buf_release(&c->in);
    client_set_state(c, CLIENT_CLOSING);
    worker_tick_need(c->worker);
    (void)client_flush(c);
}
