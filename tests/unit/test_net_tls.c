/* SPDX-License-Identifier: ISC
 * TLS streams against an OpenSSL client that lives in memory, so that its bytes can be cut
 * anywhere; contexts from settings good and bad; tickets across a reload.
 */
#include "config.h"

#include "net_help.h"

#include "net/stream.h"
#include "net/stream_aside.h"
#include "net/tls.h"
#include "net/tls_memory.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/mman.h>

static char cert_file[] = "/tmp/weir-net-cert-XXXXXX", key_file[] = "/tmp/weir-net-key-XXXXXX";
static char other_cert[] = "/tmp/weir-net-cert-XXXXXX", other_key[] = "/tmp/weir-net-key-XXXXXX";

struct rig {
    struct loop *loop;
    struct tls_ctx *ctx;
    struct stream s; /* the server side: ours */
    bool greeted;    /* its handshake is through */
    unsigned calls, hups;
    enum io_result last;
    char *in;
    size_t in_len, in_room, read_room;
    bool consume;
    /* the client side */
    SSL_CTX *client_ctx;
    SSL *client;
    int fd;
    size_t cut; /* bytes at a time, both ways */
};

static void on_stream(struct stream *s, unsigned what, void *arg)
{
    struct rig *r = arg;
    r->calls++;
    r->hups += what & NET_HUP ? 1 : 0;
    if (!r->greeted) {
        enum io_result h = stream_handshake(s);
        if (h != IO_AGAIN) {
            r->greeted = true;
            r->last = h;
            if (h != IO_OK)
                stream_pause(s, PAUSE_SHUTDOWN);
        }
        return;
    }
    if (!(what & NET_READ) || !r->consume)
        return;
    size_t got = 0, room = r->in_room - r->in_len;
    r->last = stream_read(s, r->in + r->in_len, room < r->read_room ? room : r->read_room, &got);
    if (r->last == IO_OK)
        r->in_len += got;
    else if (r->last != IO_AGAIN)
        stream_pause(s, PAUSE_SHUTDOWN);
}

static struct tls_settings settings(void)
{
    return (struct tls_settings){.cert_file = cert_file, .key_file = key_file};
}

static struct tls_ctx *ctx_or_fail(const struct tls_settings *set)
{
    struct err e = {""};
    struct tls_ctx *c = tls_ctx_create(set, &e);
    if (!c)
        fail_msg("%s", e.text);
    return c;
}

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    struct tls_settings set = settings();
    r->loop = loop_create();
    r->ctx = ctx_or_fail(&set);
    r->client_ctx = SSL_CTX_new(TLS_client_method());
    r->cut = SIZE_MAX;
    r->in_room = 4 << 20;
    r->in = malloc(r->in_room);
    r->read_room = 65536;
    r->consume = true;
    r->fd = -1;
    *state = r;
    return 0;
}

/* A fresh pair; the server side waits for the ClientHello. */
static void connect_pair(struct rig *r)
{
    int fds[2];
    tcp_pair(fds);
    r->fd = fds[1];
    r->greeted = false;
    r->last = IO_AGAIN;
    r->in_len = 0;
    assert_true(stream_init(&r->s, r->loop, fds[0], on_stream, r));
    assert_true(stream_start_tls(&r->s, r->ctx));
    r->client = SSL_new(r->client_ctx);
    SSL_set_bio(r->client, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(r->client);
}

static void disconnect_pair(struct rig *r)
{
    stream_fini(&r->s, false);
    SSL_free(r->client);
    r->client = NULL;
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
}

static int teardown(void **state)
{
    struct rig *r = *state;
    disconnect_pair(r);
    SSL_CTX_free(r->client_ctx);
    tls_ctx_put(&r->ctx);
    loop_destroy(&r->loop);
    free(r->in);
    free(r);
    return 0;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Carry bytes between the client's memory and its socket, `cut` at a time, and turn the loop. */
static void shuttle(struct rig *r)
{
    char buf[65536];
    int n = BIO_read(SSL_get_wbio(r->client), buf, (int)least(sizeof buf, r->cut));
    if (n > 0)
        assert_int_equal(send(r->fd, buf, (size_t)n, MSG_NOSIGNAL), n);
    turn(r->loop);
    ssize_t m = recv(r->fd, buf, least(sizeof buf, r->cut), 0);
    if (m > 0)
        BIO_write(SSL_get_rbio(r->client), buf, (int)m);
}

static void shake_hands(struct rig *r)
{
    uint64_t end = clock_now_us() + 20 * US_PER_S;
    while (!r->greeted || !SSL_is_init_finished(r->client)) {
        ERR_clear_error();
        SSL_do_handshake(r->client);
        shuttle(r);
        assert_true(clock_now_us() < end);
    }
    assert_int_equal(r->last, IO_OK);
}

static size_t client_read(struct rig *r, char *to, size_t want)
{
    uint64_t end = clock_now_us() + 20 * US_PER_S;
    size_t have = 0, n = 0;
    while (have < want) {
        ERR_clear_error();
        if (SSL_read_ex(r->client, to + have, want - have, &n))
            have += n;
        else
            shuttle(r);
        assert_true(clock_now_us() < end);
    }
    return have;
}

static void echo(struct rig *r, const char *text)
{
    size_t n = strlen(text), put = 0;
    r->in_len = 0;
    assert_int_equal(SSL_write(r->client, text, (int)n), n);
    uint64_t end = clock_now_us() + 20 * US_PER_S;
    while (r->in_len < n) {
        shuttle(r);
        assert_true(clock_now_us() < end);
    }
    assert_memory_equal(r->in, text, n);
    struct iovec iov[2] = {{r->in, 1}, {r->in + 1, n - 1}};
    assert_int_equal(stream_writev(&r->s, iov, 2, &put), IO_OK);
    assert_int_equal(put, n);
    char back[256];
    client_read(r, back, n);
    assert_memory_equal(back, text, n);
}

/* ---- handshake and bytes --------------------------------------------------------------------- */

static void handshake_and_echo(void **state)
{
    struct rig *r = *state;
    char text[80];
    connect_pair(r);
    tls_describe(&r->s, text, sizeof text);
    assert_string_equal(text, "");
    SSL_set_tlsext_host_name(r->client, "shop.example");
    SSL_set_alpn_protos(r->client, (const unsigned char *)"\x0apostgresql", 11);
    shake_hands(r);
    echo(r, "select 1");
    tls_describe(&r->s, text, sizeof text);
    assert_string_equal(text, "TLSv1.3/TLS_AES_256_GCM_SHA384");
    assert_string_equal(tls_sni(&r->s), "shop.example");
    assert_true(tls_alpn_is(&r->s, "postgresql"));
    assert_false(tls_alpn_is(&r->s, "postgres"));
    assert_false(tls_peer_cn(&r->s, text, sizeof text));
}

static void facts_of_a_plain_stream(void **state)
{
    (void)state;
    struct stream s = {.fd = -1};
    char text[8] = "x";
    uint8_t hash[64];
    tls_describe(&s, text, sizeof text);
    assert_string_equal(text, "");
    assert_string_equal(tls_sni(&s), "");
    assert_false(tls_alpn_is(&s, "postgresql"));
    assert_int_equal(tls_server_end_point(&s, hash, sizeof hash), 0);
}

static void tls12_handshake_and_echo(void **state)
{
    struct rig *r = *state;
    SSL_CTX_set_max_proto_version(r->client_ctx, TLS1_2_VERSION);
    connect_pair(r);
    shake_hands(r);
    echo(r, "select 1");
}

static void old_protocols_are_refused(void **state)
{
    struct rig *r = *state;
    SSL_CTX_set_max_proto_version(r->client_ctx, TLS1_1_VERSION);
    SSL_CTX_set_cipher_list(r->client_ctx, "ALL:@SECLEVEL=0");
    connect_pair(r);
    SSL_do_handshake(r->client);
    uint64_t end = clock_now_us() + 10 * US_PER_S;
    while (!r->greeted && clock_now_us() < end)
        shuttle(r);
    assert_int_equal(r->last, IO_ERROR);
    assert_non_null(strstr(stream_error(&r->s), "protocol"));
}

static void every_byte_alone(void **state)
{
    struct rig *r = *state;
    r->cut = 1;
    connect_pair(r);
    shake_hands(r);
    echo(r, "select 1");
}

static void foreign_alpn_is_refused(void **state)
{
    struct rig *r = *state;
    connect_pair(r);
    SSL_set_alpn_protos(r->client, (const unsigned char *)"\x02h2", 3);
    SSL_do_handshake(r->client);
    uint64_t end = clock_now_us() + 10 * US_PER_S;
    while (!r->greeted && clock_now_us() < end)
        shuttle(r);
    assert_int_equal(r->last, IO_ERROR);
}

static void plain_text_instead_of_a_hello(void **state)
{
    struct rig *r = *state;
    connect_pair(r);
    assert_int_equal(send(r->fd, "GET / HTTP/1.0\r\n\r\n", 18, 0), 18);
    TURN_UNTIL(r->loop, r->greeted);
    assert_int_equal(r->last, IO_ERROR);
    assert_string_equal(stream_error(&r->s), "http request");
}

static void an_end_within_the_handshake(void **state)
{
    struct rig *r = *state;
    connect_pair(r);
    close(r->fd);
    r->fd = -1;
    TURN_UNTIL(r->loop, r->greeted);
    assert_int_not_equal(r->last, IO_OK);
}

/* Many records in one go, read in small portions: OpenSSL holds what epoll can't see. */
static void what_openssl_holds_calls_again(void **state)
{
    struct rig *r = *state;
    enum { TOTAL = 40000 };
    char *data = malloc(TOTAL);
    for (size_t i = 0; i < TOTAL; i++)
        data[i] = (char)(i * 7 + i / 251);
    connect_pair(r);
    shake_hands(r);
    r->read_room = 1000;
    assert_int_equal(SSL_write(r->client, data, TOTAL), TOTAL);
    uint64_t end = clock_now_us() + 10 * US_PER_S;
    while (r->in_len < TOTAL && clock_now_us() < end)
        shuttle(r);
    assert_int_equal(r->in_len, TOTAL);
    assert_memory_equal(r->in, data, TOTAL);
    /* A pause in the middle, with the rest inside OpenSSL. */
    r->in_len = 0;
    SSL_write(r->client, data, 3000);
    while (r->in_len == 0)
        shuttle(r);
    stream_pause(&r->s, PAUSE_BACKPRESSURE);
    size_t had = r->in_len;
    turn_for_ms(r->loop, 30);
    assert_int_equal(r->in_len, had);
    stream_resume(&r->s, PAUSE_BACKPRESSURE);
    TURN_UNTIL(r->loop, r->in_len == 3000);
    free(data);
}

/* The first query may lie behind the client's Finished, in the same segment. */
static void words_behind_the_handshake_are_not_lost(void **state)
{
    struct rig *r = *state;
    connect_pair(r);
    while (!SSL_is_init_finished(r->client)) {
        SSL_do_handshake(r->client);
        if (SSL_is_init_finished(r->client))
            break;
        shuttle(r);
    }
    assert_int_equal(SSL_write(r->client, "early", 5), 5);
    uint64_t end = clock_now_us() + 10 * US_PER_S;
    while (r->in_len < 5 && clock_now_us() < end)
        shuttle(r);
    assert_int_equal(r->in_len, 5);
}

static void partial_writes_of_records(void **state)
{
    struct rig *r = *state;
    enum { TOTAL = 3 << 20 };
    char *data = malloc(TOTAL), *got = malloc(TOTAL);
    for (size_t i = 0; i < TOTAL; i++)
        data[i] = (char)(i * 13 + i / 509);
    connect_pair(r);
    shake_hands(r);
    size_t sent = 0, have = 0, n = 0;
    unsigned full = 0;
    int small = 20000; /* so that the socket is full now and then */
    setsockopt(r->s.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    setsockopt(r->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    uint64_t end = clock_now_us() + 20 * US_PER_S;
    while (have < TOTAL && clock_now_us() < end) {
        /* Pieces of changing shape: what was offered begins the next offer. */
        size_t left = TOTAL - sent, one = least(left, 1 + sent % 20011), two = left - one, put = 0;
        if (left) {
            struct iovec iov[3] = {{data + sent, one},
                                   {data + sent + one, two / 2},
                                   {data + sent + one + two / 2, two - two / 2}};
            enum io_result w = stream_writev(&r->s, iov, 3, &put);
            assert_true(w == IO_OK || w == IO_AGAIN);
            full += w == IO_AGAIN;
            sent += put;
        }
        shuttle(r);
        while (have < TOTAL && SSL_read_ex(r->client, got + have, TOTAL - have, &n))
            have += n;
        ERR_clear_error();
    }
    assert_int_equal(have, TOTAL);
    assert_true(full > 0);
    assert_memory_equal(data, got, TOTAL);
    free(data);
    free(got);
}

static void an_orderly_end(void **state)
{
    struct rig *r = *state;
    connect_pair(r);
    shake_hands(r);
    SSL_shutdown(r->client);
    uint64_t end = clock_now_us() + 10 * US_PER_S;
    while (r->last != IO_CLOSED && clock_now_us() < end)
        shuttle(r);
    assert_int_equal(r->last, IO_CLOSED);
}

static void an_end_without_notice_is_an_end(void **state)
{
    struct rig *r = *state;
    connect_pair(r);
    shake_hands(r);
    shutdown(r->fd, SHUT_WR);
    TURN_UNTIL(r->loop, r->last == IO_CLOSED);
}

static void paused_hears_the_end(void **state)
{
    struct rig *r = *state;
    connect_pair(r);
    shake_hands(r);
    stream_pause(&r->s, PAUSE_LEASE);
    close(r->fd);
    r->fd = -1;
    TURN_UNTIL(r->loop, r->hups == 1);
}

static void our_end_sends_close_notify(void **state)
{
    struct rig *r = *state;
    char c;
    connect_pair(r);
    shake_hands(r);
    stream_fini(&r->s, false);
    turn_for_ms(r->loop, 10);
    shuttle(r);
    int rc = SSL_read(r->client, &c, 1);
    assert_int_equal(SSL_get_error(r->client, rc), SSL_ERROR_ZERO_RETURN);
}

static void a_session_moves_to_another_loop(void **state)
{
    struct rig *r = *state;
    connect_pair(r);
    shake_hands(r);
    struct loop *home = r->loop;
    struct loop *other = loop_create();
    struct stream_export x = stream_detach(&r->s);
    r->loop = other;
    assert_true(stream_init(&r->s, other, x.fd, on_stream, r));
    stream_adopt_tls(&r->s, x.ssl);
    echo(r, "elsewhere");
    disconnect_pair(r);
    r->loop = home;
    loop_destroy(&other);
}

/* ---- a handshake aside ------------------------------------------------------------------------
 */

struct aside {
    struct rig *rig;
    struct stream_export x;
    enum io_result result;
    bool wants_write;
};

static void *shake_aside(void *arg)
{
    struct aside *a = arg;
    a->result = stream_handshake_detached(&a->x, &a->wants_write);
    return NULL;
}

/* Whenever the client has sent something, another thread goes on with the handshake. */
static void on_aside(struct stream *s, unsigned what, void *arg)
{
    struct rig *r = arg;
    if (r->greeted) {
        on_stream(s, what, arg);
        return;
    }
    r->calls++;
    struct aside a = {.x = stream_detach(s)};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, shake_aside, &a), 0);
    pthread_join(thread, NULL);
    assert_true(stream_attach(s, r->loop, &a.x, a.wants_write, on_aside, r));
    assert_int_equal(a.x.fd, -1);
    r->greeted = a.result != IO_AGAIN;
    r->last = a.result;
}

static void a_handshake_made_aside(void **state)
{
    struct rig *r = *state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++)
        for (size_t cut = 1; cut < 2000; cut = cut * 7) {
            connect_pair(r);
            r->s.cb = on_aside;
            r->cut = cut;
            SSL_set_min_proto_version(r->client, version);
            SSL_set_max_proto_version(r->client, version);
            shake_hands(r);
            assert_false(tls_key_is_slow(&r->s));
            r->s.cb = on_stream;
            echo(r, "select 1");
            for (int i = 0; i < 4; i++)
                tls_arena_sweep();
            echo(r, "again");
            r->cut = SIZE_MAX;
            disconnect_pair(r);
        }
}

static void a_handshake_aside_that_fails(void **state)
{
    struct rig *r = *state;
    connect_pair(r);
    struct stream_export x = stream_detach(&r->s);
    bool wants_write;
    assert_int_equal(stream_handshake_detached(&x, &wants_write), IO_AGAIN);
    assert_int_equal(write(r->fd, "GET / HTTP/1.1\r\n", 16), 16);
    assert_int_equal(stream_handshake_detached(&x, &wants_write), IO_ERROR);
    stream_export_close(&x);
    disconnect_pair(r);
    connect_pair(r);
    x = stream_detach(&r->s);
    close(r->fd);
    r->fd = -1;
    assert_int_equal(stream_handshake_detached(&x, &wants_write), IO_CLOSED);
    stream_export_close(&x);
    assert_int_equal(x.fd, -1);
    stream_export_close(&x);
}

/* ---- idle sessions --------------------------------------------------------------------------- */

static bool has_pages(const void *p)
{
    unsigned char there = 1;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    assert_int_equal(mincore((void *)((uintptr_t)p & ~(page - 1)), page, &there), 0);
    return there & 1;
}

/* What the loop's timer does within three seconds. */
static void fall_asleep(void)
{
    for (int i = 0; i < 4; i++)
        tls_arena_sweep();
}

static void idle_sessions_sleep_and_wake(void **state, int version)
{
    struct rig *r = *state;
    /* A second session: what the two have in common is what need not be kept. */
    struct rig neighbour = {.loop = r->loop,
                            .ctx = r->ctx,
                            .client_ctx = r->client_ctx,
                            .cut = SIZE_MAX,
                            .in = malloc(1 << 16),
                            .in_room = 1 << 16,
                            .read_room = 1 << 16,
                            .consume = true,
                            .last = IO_AGAIN};
    char text[80];
    SSL_CTX_set_max_proto_version(r->client_ctx, version);
    connect_pair(r);
    shake_hands(r);
    connect_pair(&neighbour);
    shake_hands(&neighbour);
    echo(r, "before");
    echo(&neighbour, "before");
    for (int round = 0; round < 20; round++) {
        fall_asleep();
        assert_false(has_pages(r->s.ssl));
        assert_false(has_pages(neighbour.s.ssl));
        if (round % 3 == 0) { /* a fact wakes too */
            tls_describe(&r->s, text, sizeof text);
            assert_memory_equal(text, "TLSv1.", 6);
            assert_true(has_pages(r->s.ssl));
        }
        echo(r, "awake again");
        assert_true(has_pages(r->s.ssl));
        assert_false(has_pages(neighbour.s.ssl));
        if (round % 2)
            echo(&neighbour, "so am I");
    }
    fall_asleep();
    stream_fini(&neighbour.s, false); /* out of its sleep */
    disconnect_pair(&neighbour);
    free(neighbour.in);
}

static void idle_tls13_sessions_sleep_and_wake(void **state)
{
    idle_sessions_sleep_and_wake(state, TLS1_3_VERSION);
}

static void idle_tls12_sessions_sleep_and_wake(void **state)
{
    idle_sessions_sleep_and_wake(state, TLS1_2_VERSION);
}

static void the_loop_puts_sessions_to_sleep(void **state)
{
    struct rig *r = *state;
    connect_pair(r);
    shake_hands(r);
    echo(r, "hello");
    assert_true(has_pages(r->s.ssl));
    TURN_UNTIL(r->loop, !has_pages(r->s.ssl));
    echo(r, "again");
    TURN_UNTIL(r->loop, !has_pages(r->s.ssl));
}

/* ---- contexts -------------------------------------------------------------------------------- */

static void connections_outlive_their_context(void **state)
{
    struct rig *r = *state;
    connect_pair(r);
    shake_hands(r);
    struct tls_ctx *second = tls_ctx_get(r->ctx);
    tls_ctx_put(&r->ctx);
    assert_null(r->ctx);
    tls_ctx_put(&second);
    echo(r, "still here");
}

/* Connect, give the ticket back, say whether the second connection resumed. */
static bool comes_back(struct rig *r, SSL_SESSION **ticket)
{
    connect_pair(r);
    if (*ticket)
        SSL_set_session(r->client, *ticket);
    shake_hands(r);
    echo(r, "hello");
    bool resumed = SSL_session_reused(r->client);
    SSL_SESSION_free(*ticket);
    *ticket = SSL_get1_session(r->client);
    SSL_set_shutdown(r->client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    disconnect_pair(r);
    return resumed;
}

static void tickets_survive_a_reload(void **state, int version)
{
    struct rig *r = *state;
    SSL_SESSION *ticket = NULL;
    SSL_CTX_set_max_proto_version(r->client_ctx, version);
    assert_false(comes_back(r, &ticket));
    assert_true(comes_back(r, &ticket));
    tls_ctx_put(&r->ctx);
    struct tls_settings set = settings();
    r->ctx = ctx_or_fail(&set);
    assert_true(comes_back(r, &ticket));
    /* Other rules for client certificates: the old verdict does not count. */
    tls_ctx_put(&r->ctx);
    set.ca_file = other_cert;
    set.verify_client = true;
    r->ctx = ctx_or_fail(&set);
    assert_false(comes_back(r, &ticket));
    SSL_SESSION_free(ticket);
}

static void tls13_tickets_survive_a_reload(void **state)
{
    tickets_survive_a_reload(state, TLS1_3_VERSION);
}

static void tls12_tickets_survive_a_reload(void **state)
{
    tickets_survive_a_reload(state, TLS1_2_VERSION);
}

static void client_certificates(void **state)
{
    struct rig *r = *state;
    char cn[64];
    struct tls_settings set = settings();
    set.ca_file = other_cert;
    set.require_client = true;
    tls_ctx_put(&r->ctx);
    r->ctx = ctx_or_fail(&set);
    /* The right one. */
    assert_int_equal(SSL_CTX_use_certificate_file(r->client_ctx, other_cert, SSL_FILETYPE_PEM), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(r->client_ctx, other_key, SSL_FILETYPE_PEM), 1);
    connect_pair(r);
    shake_hands(r);
    echo(r, "it is me");
    assert_true(tls_peer_cn(&r->s, cn, sizeof cn));
    assert_string_equal(cn, "somebody");
    assert_false(tls_peer_cn(&r->s, cn, 8)); /* no room for the NUL */
    disconnect_pair(r);
    /* One that nobody vouches for. */
    assert_int_equal(SSL_CTX_use_certificate_file(r->client_ctx, cert_file, SSL_FILETYPE_PEM), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(r->client_ctx, key_file, SSL_FILETYPE_PEM), 1);
    connect_pair(r);
    uint64_t end = clock_now_us() + 10 * US_PER_S;
    while (!r->greeted && clock_now_us() < end) {
        SSL_do_handshake(r->client);
        ERR_clear_error();
        shuttle(r);
    }
    assert_int_equal(r->last, IO_ERROR);
}

static void channel_binding_is_the_certificates_hash(void **state)
{
    struct rig *r = *state;
    uint8_t ours[64], theirs[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    connect_pair(r);
    shake_hands(r);
    X509 *cert = SSL_get1_peer_certificate(r->client);
    assert_int_equal(X509_digest(cert, EVP_sha256(), theirs, &len), 1);
    X509_free(cert);
    assert_int_equal(tls_server_end_point(&r->s, ours, sizeof ours), len);
    assert_memory_equal(ours, theirs, len);
    assert_int_equal(tls_server_end_point(&r->s, ours, len - 1), 0);
}

static void bad_settings_say_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        struct tls_settings set;
        const char *expect;
    } rows[] = {
        {{.cert_file = ""}, "both a certificate and a key"},
        {{.cert_file = "/nonexistent", .key_file = key_file}, "/nonexistent"},
        {{.cert_file = cert_file, .key_file = "/nonexistent"}, "/nonexistent"},
        {{.cert_file = cert_file, .key_file = other_key}, "is not the key of the certificate"},
        {{.cert_file = cert_file, .key_file = key_file, .protocols = "tlsv1.9"}, "tlsv1.9"},
        {{.cert_file = cert_file, .key_file = key_file, .protocols = ","}, "protocols"},
        {{.cert_file = cert_file, .key_file = key_file, .ciphers = "NONSENSE"}, "NONSENSE"},
        {{.cert_file = cert_file, .key_file = key_file, .tls13_ciphers = "NONSENSE"}, "NONSENSE"},
        {{.cert_file = cert_file, .key_file = key_file, .ecdhcurve = "P-000"}, "P-000"},
        {{.cert_file = cert_file, .key_file = key_file, .dheparams = "x.pem"}, "x.pem"},
        {{.cert_file = cert_file, .key_file = key_file, .ca_file = "/nonexistent"},
         "client_tls_ca_file: /nonexistent"},
        {{.cert_file = cert_file, .key_file = key_file, .verify_client = true},
         "client_tls_ca_file"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err e = {""};
        assert_null(tls_ctx_create(&rows[i].set, &e));
        if (!strstr(e.text, rows[i].expect))
            fail_msg("row %zu: \"%s\" lacks \"%s\"", i, e.text, rows[i].expect);
    }
}

static void good_settings(void **state)
{
    (void)state;
    struct tls_settings rows[] = {settings(), settings(), settings(), settings()};
    rows[0].protocols = "all";
    rows[0].ciphers = "fast";
    rows[1].protocols = "tlsv1.2, tlsv1.3";
    rows[1].ciphers = "HIGH:!aNULL";
    rows[1].tls13_ciphers = "TLS_AES_128_GCM_SHA256";
    rows[2].protocols = "tlsv1.3";
    rows[2].ecdhcurve = "prime256v1";
    rows[2].dheparams = "none";
    rows[3].ecdhcurve = "auto";
    rows[3].dheparams = "auto";
    rows[3].ca_file = cert_file;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tls_ctx *c = ctx_or_fail(&rows[i]);
        tls_ctx_put(&c);
    }
}

static int group_setup(void **state)
{
    (void)state;
    char *names[] = {cert_file, key_file, other_cert, other_key};
    for (int i = 0; i < 4; i++)
        close(mkstemp(names[i]));
    make_certificate("localhost", cert_file, key_file);
    make_certificate("somebody", other_cert, other_key);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    unlink(cert_file);
    unlink(key_file);
    unlink(other_cert);
    unlink(other_key);
    return 0;
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(handshake_and_echo),
        cmocka_unit_test(facts_of_a_plain_stream),
        T(tls12_handshake_and_echo),
        T(old_protocols_are_refused),
        T(every_byte_alone),
        T(foreign_alpn_is_refused),
        T(plain_text_instead_of_a_hello),
        T(an_end_within_the_handshake),
        T(what_openssl_holds_calls_again),
        T(words_behind_the_handshake_are_not_lost),
        T(partial_writes_of_records),
        T(an_orderly_end),
        T(an_end_without_notice_is_an_end),
        T(paused_hears_the_end),
        T(our_end_sends_close_notify),
        T(a_session_moves_to_another_loop),
        T(a_handshake_made_aside),
        T(a_handshake_aside_that_fails),
        T(idle_tls13_sessions_sleep_and_wake),
        T(idle_tls12_sessions_sleep_and_wake),
        T(the_loop_puts_sessions_to_sleep), /* the ones above have shown what is common */
        T(connections_outlive_their_context),
        T(tls13_tickets_survive_a_reload),
        T(tls12_tickets_survive_a_reload),
        T(client_certificates),
        T(channel_binding_is_the_certificates_hash),
        cmocka_unit_test(bad_settings_say_what_is_wrong),
        cmocka_unit_test(good_settings),
    };
    return cmocka_run_group_tests_name("net/tls", tests, group_setup, group_teardown);
}
