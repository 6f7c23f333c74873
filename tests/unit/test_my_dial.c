/* SPDX-License-Identifier: ISC
 * Logging in to a MySQL server that says what the test tells it to, at once and byte by byte: what
 * is answered, what is refused, which error comes out. The server is a Unix socket (a safe way) or
 * a TCP socket (an unsafe one).
 */
#include "config.h"

#include "proto/mysql/my_crypt.h"
#include "proto/mysql/my_dial.h"
#include "proto/mysql/my_proto.h"
#include "proto/mysql/my_session.h"

#include "my_dial_help.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PARAMS_MAX 12u
#define PIECE_ALL  (1u << 20)

struct fixture {
    char dir[64], path[96], port[8];
    int local, remote; /* listeners */
    struct dsn_param params[PARAMS_MAX];
    size_t n;
    struct my_dial *dial;
    int peer;
    struct buf script;
    uint8_t heard[8192]; /* what weir said */
    size_t n_heard;
};

static void set(struct fixture *f, const char *key, const char *value)
{
    size_t i = 0;
    while (i < f->n && strcmp(f->params[i].key, key) != 0)
        i++;
    assert_true(i < PARAMS_MAX);
    f->params[i] = (struct dsn_param){key, value};
    f->n = i == f->n ? i + 1 : f->n;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr_in in = {.sin_family = AF_INET};
    socklen_t n = sizeof in;
    snprintf(f->dir, sizeof f->dir, "/tmp/weir-unit.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/s", f->dir);
    snprintf(un.sun_path, sizeof un.sun_path, "%s", f->path);
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    f->local = socket(AF_UNIX, SOCK_STREAM, 0);
    f->remote = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(f->local, (struct sockaddr *)&un, sizeof un), 0);
    assert_int_equal(bind(f->remote, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(f->local, 8), 0);
    assert_int_equal(listen(f->remote, 8), 0);
    assert_int_equal(getsockname(f->remote, (struct sockaddr *)&in, &n), 0);
    snprintf(f->port, sizeof f->port, "%d", ntohs(in.sin_port));
    f->peer = -1;
    set(f, "host", f->path);
    set(f, "port", f->port);
    set(f, "user", "u");
    set(f, "password", "secret");
    *state = f;
    return 0;
}

static void over_tcp(struct fixture *f, const char *sslmode)
{
    set(f, "host", "127.0.0.1");
    set(f, "sslmode", sslmode);
}

static void end(struct fixture *f)
{
    my_dial_hang_up(&f->dial);
    if (f->peer >= 0)
        close(f->peer);
    f->peer = -1;
}

static void forget(struct fixture *f)
{
    end(f);
    buf_release(&f->script);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    forget(f);
    close(f->local);
    close(f->remote);
    unlink(f->path);
    rmdir(f->dir);
    free(f);
    return 0;
}

static void take_peer(struct fixture *f)
{
    bool tcp = f->params[0].value[0] != '/';
    f->peer = accept(tcp ? f->remote : f->local, NULL, NULL);
    assert_true(f->peer >= 0);
    f->n_heard = 0;
}

static void begin(struct fixture *f)
{
    f->dial = my_dial_start(f->params, f->n);
    assert_non_null(f->dial);
    (void)my_dial_poll(f->dial);
    take_peer(f);
}

/* Poll until weir waits for the server and all it said is heard. */
static enum dial_step settle(struct fixture *f)
{
    for (;;) {
        enum dial_step step = my_dial_poll(f->dial);
        struct pollfd p = {.fd = f->peer, .events = POLLIN};
        while (poll(&p, 1, 0) == 1 && (p.revents & POLLIN) != 0) {
            ssize_t n =
                recv(f->peer, f->heard + f->n_heard, sizeof f->heard - f->n_heard, MSG_DONTWAIT);
            if (n <= 0)
                break;
            f->n_heard += (size_t)n;
        }
        if (step != DIAL_WRITE)
            return step;
        p = (struct pollfd){.fd = my_dial_socket(f->dial), .events = POLLOUT};
        assert_int_equal(poll(&p, 1, 5000), 1);
    }
}

/* Bytes that were sent have come to the other end of the loopback. */
static void await_bytes(struct fixture *f)
{
    struct pollfd p = {.fd = my_dial_socket(f->dial), .events = POLLIN};
    if (p.fd >= 0)
        assert_int_equal(poll(&p, 1, 5000), 1);
}

static enum dial_step feed(struct fixture *f, size_t piece)
{
    enum dial_step step = settle(f);
    const uint8_t *p = buf_head(&f->script);
    size_t n = buf_len(&f->script);
    for (size_t at = 0; at < n && step != DIAL_DONE && step != DIAL_FAILED; at += piece) {
        size_t m = n - at < piece ? n - at : piece;
        assert_int_equal(send(f->peer, p + at, m, MSG_NOSIGNAL), m);
        await_bytes(f);
        step = settle(f);
    }
    return step;
}

/* Play the script; the server hangs up at its end. The login fails so, in pieces as well. */
static void fails(struct fixture *f, const char *code, enum dial_failure why, const char *says)
{
    const size_t pieces[] = {PIECE_ALL, 1};
    for (size_t i = 0; i < 2; i++) {
        char got[6], text[256];
        begin(f);
        enum dial_step step = feed(f, pieces[i]);
        if (step == DIAL_READ) {
            shutdown(f->peer, SHUT_WR);
            await_bytes(f);
            step = settle(f);
        }
        assert_int_equal(step, DIAL_FAILED);
        enum dial_failure kind = my_dial_failure(f->dial, got, text, sizeof text);
        if (strstr(text, says) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", text, says);
        assert_string_equal(got, code);
        assert_int_equal(kind, why);
        assert_int_equal(my_dial_socket(f->dial), -1);
        assert_null(strstr(text, "secret"));
        end(f);
    }
    forget(f);
}

#define LOST "the server closed the connection"

/* ---- good logins ---- */

static void logs_in(void **state)
{
    struct fixture *f = *state;
    const size_t pieces[] = {PIECE_ALL, 1, 7};
    greeting(&f->script, ALL_CAPS, "caching_sha2_password");
    packet(&f->script, 2, B("\1\3"));
    ok(&f->script, 3);
    baseline(&f->script);
    for (size_t i = 0; i < 3; i++) {
        struct my_server *s = calloc(1, sizeof *s);
        struct ssl_st *ssl;
        struct var_entry e;
        int fd = -1;
        size_t n;
        begin(f);
        assert_int_equal(feed(f, pieces[i]), DIAL_DONE);
        void *d = f->dial;
        assert_true(my_server_ops.adopt(&d, s, &fd, &ssl));
        f->dial = d;
        assert_null(f->dial);
        assert_true(fd >= 0);
        assert_null(ssl);
        assert_int_equal(my_server_ops.remote_pid(s), THREAD_ID);
        void *report = my_server_ops.report(s);
        assert_string_equal(my_server_ops.version(report), "9.7.4");
        assert_true(var_set_find(((struct my_report *)report)->base, "autocommit",
                                 strlen("autocommit"), &e));
        assert_string_equal(e.value, "ON");
        my_server_ops.report_put(&report);
        const void *bye = my_server_ops.farewell(&n);
        my_proto_ops.server_fini(s);
        free(s);
        uint8_t last[16];
        assert_int_equal(recv(f->peer, last, sizeof last, MSG_WAITALL), n);
        assert_memory_equal(last, bye, n);
        end(f);
    }
}

/* Log in and leave what weir said in `heard`. */
static void hear(struct fixture *f, enum dial_step want)
{
    begin(f);
    assert_int_equal(feed(f, PIECE_ALL), want);
    forget(f);
}

static uint32_t caps_heard(const struct fixture *f)
{
    assert_true(f->n_heard > MY_HEAD_BYTES + 32);
    return my_get32(f->heard + MY_HEAD_BYTES);
}

static bool was_heard(const struct fixture *f, const char *text)
{
    return memmem(f->heard, f->n_heard, text, strlen(text)) != NULL;
}

static void asks_for_what_the_server_has(void **state)
{
    struct fixture *f = *state;
    set(f, "dbname", "shop");
    set(f, "pool_flags", "2");
    greeting(&f->script, ALL_CAPS, "caching_sha2_password");
    hear(f, DIAL_READ);
    assert_int_equal(caps_heard(f), ALL_CAPS);
    assert_int_equal(f->heard[3], 1); /* its number */
    assert_true(was_heard(f, "shop") && was_heard(f, "program_name"));
    greeting(&f->script, MY_CAP_PROTOCOL_41 | MY_CAP_SECURE_CONNECTION, NULL);
    hear(f, DIAL_READ);
    assert_int_equal(caps_heard(f) & ~MY_CAP_FOUND_ROWS,
                     MY_CAP_PROTOCOL_41 | MY_CAP_SECURE_CONNECTION);
    assert_false(was_heard(f, "shop") || was_heard(f, "program_name"));
    set(f, "pool_flags", "20000");
    greeting(&f->script, ALL_CAPS, "caching_sha2_password");
    hear(f, DIAL_READ);
    assert_int_equal(caps_heard(f), ALL_CAPS & ~(MY_CAP_FOUND_ROWS | MY_CAPS_SINGLE));
}

/* MariaDB has four bytes more where MySQL has zeroes, and says so by not being CLIENT_MYSQL. */
static void asks_for_the_form_of_mariadb(void **state)
{
    static const uint8_t none[4] = {0}, wanted[4] = {MY_EXT_METADATA | MY_EXT_BULK};
    const size_t late = MY_HEAD_BYTES + 1 + sizeof "9.7.4" + 4 + 9 + 8 + 6;
    struct fixture *f = *state;
    for (int mysql = 0; mysql < 2; mysql++) {
        greeting(&f->script, mysql ? ALL_CAPS : ALL_CAPS & ~MY_CAP_LONG_PASSWORD, NULL);
        buf_head(&f->script)[late] = 0x1d;
        hear(f, DIAL_READ);
        assert_int_equal(caps_heard(f) & MY_CAP_LONG_PASSWORD, mysql);
        assert_int_equal(caps_heard(f) & MY_CAPS_LATE, 0);
        assert_memory_equal(f->heard + MY_HEAD_BYTES + 28, mysql ? none : wanted, 4);
    }
}

/* Where the answer begins in the response to the greeting: behind "u", its NUL and a length. */
static const uint8_t *answer_heard(const struct fixture *f, size_t n)
{
    assert_true(f->n_heard > MY_HEAD_BYTES + 35 + n);
    assert_int_equal(f->heard[MY_HEAD_BYTES + 34], n);
    return f->heard + MY_HEAD_BYTES + 35;
}

static void proves_it_by_password(void **state)
{
    struct fixture *f = *state;
    uint8_t stored[32], once[32];
    my_sha1(B("secret"), once);
    my_sha1(once, MY_SHA1_BYTES, stored);
    greeting(&f->script, ALL_CAPS, "mysql_native_password");
    hear(f, DIAL_READ);
    assert_true(
        my_native_verify(stored, (const uint8_t *)SALT, answer_heard(f, MY_SHA1_BYTES), once));
    my_sha256(B("secret"), once);
    my_sha256(once, MY_SHA256_BYTES, stored);
    greeting(&f->script, ALL_CAPS, "caching_sha2_password");
    hear(f, DIAL_READ);
    assert_true(
        my_sha2_verify(stored, (const uint8_t *)SALT, answer_heard(f, MY_SHA256_BYTES), once));
    assert_false(was_heard(f, "secret"));
}

static void proves_it_by_key(void **state)
{
    struct fixture *f = *state;
    uint8_t stored[32], once[32];
    /* SHA1 and SHA256 of "secret" */
    set(f, "password", "");
    set(f, "native_sha1", "e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4");
    set(f, "sha2_sha256", "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b");
    my_sha1(B("secret"), once);
    my_sha1(once, MY_SHA1_BYTES, stored);
    greeting(&f->script, ALL_CAPS, "mysql_native_password");
    hear(f, DIAL_READ);
    assert_true(
        my_native_verify(stored, (const uint8_t *)SALT, answer_heard(f, MY_SHA1_BYTES), once));
    my_sha256(B("secret"), once);
    my_sha256(once, MY_SHA256_BYTES, stored);
    greeting(&f->script, ALL_CAPS, "caching_sha2_password");
    hear(f, DIAL_READ);
    assert_true(
        my_sha2_verify(stored, (const uint8_t *)SALT, answer_heard(f, MY_SHA256_BYTES), once));
    greeting(&f->script, ALL_CAPS, "caching_sha2_password");
    packet(&f->script, 2, B("\1\4"));
    fails(f, "28000", DIAL_FAIL_REFUSED, "only its hash is known");
    set(f, "sha2_sha256", "");
    greeting(&f->script, ALL_CAPS, "caching_sha2_password");
    packet(&f->script, 2, B("\xff\x15\x04#28000Access denied (using password: NO)"));
    fails(f, "#1045", DIAL_FAIL_REFUSED, "only its SHA1 is known");
    set(f, "native_sha1", "e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f"); /* a digit short: no key */
    greeting(&f->script, ALL_CAPS, "mysql_native_password");
    hear(f, DIAL_READ);
    (void)answer_heard(f, 0);
}

static void switches_the_plugin(void **state)
{
    struct fixture *f = *state;
    uint8_t stored[32], once[32];
    my_sha1(B("secret"), once);
    my_sha1(once, MY_SHA1_BYTES, stored);
    greeting(&f->script, ALL_CAPS, "caching_sha2_password");
    auth_switch(&f->script, 2, "mysql_native_password");
    hear(f, DIAL_READ);
    const uint8_t *last = f->heard + f->n_heard - MY_SHA1_BYTES;
    assert_int_equal(last[-1], 3); /* its number */
    assert_true(my_native_verify(stored, (const uint8_t *)SALT, last, once));
    /* A plugin that weir hasn't got may be another user's: the login begins with one it has. */
    greeting(&f->script, ALL_CAPS, "client_ed25519");
    auth_switch(&f->script, 2, "mysql_native_password");
    ok(&f->script, 4);
    baseline(&f->script);
    hear(f, DIAL_DONE);
}

static void gives_the_password_on_a_safe_way(void **state)
{
    struct fixture *f = *state;
    greeting(&f->script, ALL_CAPS, "caching_sha2_password");
    packet(&f->script, 2, B("\1\4"));
    hear(f, DIAL_READ);
    assert_memory_equal(f->heard + f->n_heard - 11, "\7\0\0\3secret", 11);
    greeting(&f->script, ALL_CAPS, "mysql_native_password");
    auth_switch(&f->script, 2, "mysql_clear_password");
    hear(f, DIAL_READ);
    assert_memory_equal(f->heard + f->n_heard - 11, "\7\0\0\3secret", 11);
}

static void encrypts_it_on_an_unsafe_one(void **state)
{
    struct fixture *f = *state;
    char clear[64];
    struct buf key = {0};
    over_tcp(f, "prefer");
    greeting(&f->script, ALL_CAPS, "caching_sha2_password");
    packet(&f->script, 2, B("\1\4"));
    hear(f, DIAL_READ);
    assert_memory_equal(f->heard + f->n_heard - 5, "\1\0\0\3\2", 5);
    const char *pem = my_rsa_pem();
    assert_non_null(pem);
    put(&key, "\1", 1);
    put(&key, pem, strlen(pem));
    greeting(&f->script, ALL_CAPS, "caching_sha2_password");
    packet(&f->script, 2, B("\1\4"));
    packet(&f->script, 4, buf_head(&key), buf_len(&key));
    hear(f, DIAL_READ);
    assert_false(was_heard(f, "secret"));
    const uint8_t *secret = f->heard + f->n_heard - 256;
    assert_memory_equal(secret - 4, "\0\1\0\5", 4);
    assert_true(my_rsa_decrypt(secret, 256, (const uint8_t *)SALT, clear, sizeof clear));
    assert_string_equal(clear, "secret");
    /* A key that is none, and a second one. */
    greeting(&f->script, ALL_CAPS, "caching_sha2_password");
    packet(&f->script, 2, B("\1\4"));
    packet(&f->script, 4, B("\1-----BEGIN PUBLIC KEY-----\nAAAA\n"));
    fails(f, "08S01", DIAL_FAIL_REACH, "a public key that is none");
    greeting(&f->script, ALL_CAPS, "caching_sha2_password");
    packet(&f->script, 2, B("\1\4"));
    packet(&f->script, 4, buf_head(&key), buf_len(&key));
    packet(&f->script, 6, B("\1\4"));
    fails(f, "08S01", DIAL_FAIL_REACH, "a second time");
    buf_release(&key);
}

/* ---- refusals ---- */

static void errors_of_the_server(void **state)
{
    static const struct {
        unsigned code;
        const char *state, *gives;
        enum dial_failure why;
    } known[] = {
        {1040, "08004", "#1040", DIAL_FAIL_LIMIT},   {1203, "42000", "#1203", DIAL_FAIL_USER},
        {1226, "42000", "#1226", DIAL_FAIL_USER},    {1045, "28000", "#1045", DIAL_FAIL_REFUSED},
        {1044, "42000", "#1044", DIAL_FAIL_MISSING}, {1049, "42000", "#1049", DIAL_FAIL_MISSING},
        {1129, "HY000", "#1129", DIAL_FAIL_REFUSED}, {3159, "HY000", "#3159", DIAL_FAIL_REFUSED},
        {1059, "42000", "#1059", DIAL_FAIL_REFUSED}, {9001, "HY000", "08S01", DIAL_FAIL_REACH},
        {1053, "08S01", "08S01", DIAL_FAIL_REACH},   {1040, NULL, "#1040", DIAL_FAIL_LIMIT},
        {1130, NULL, "#1130", DIAL_FAIL_REFUSED},    {1045, "\n\r;--", "#1045", DIAL_FAIL_REFUSED},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        error(&f->script, 0, known[i].code, known[i].state);
        fails(f, known[i].gives, known[i].why, "said the server");
        greeting(&f->script, ALL_CAPS, "mysql_native_password");
        error(&f->script, 2, known[i].code, known[i].state);
        fails(f, known[i].gives, known[i].why, "said the server");
    }
    greeting(&f->script, ALL_CAPS, "mysql_native_password");
    ok(&f->script, 2);
    error(&f->script, 1, 1193, "HY000"); /* to the SET */
    fails(f, "#1193", DIAL_FAIL_REFUSED, "said the server");
    packet(&f->script, 0, B("\xff\x15"));
    fails(f, "08S01", DIAL_FAIL_REACH, "a short error");
}

static void greetings_that_are_none(void **state)
{
    struct fixture *f = *state;
    struct buf whole = {0};
    greeting_of(&whole, "8.4.0", ALL_CAPS, NULL);
    for (size_t n = 1; n < buf_len(&whole) - 1; n++) { /* its last byte is the salt's NUL */
        packet(&f->script, 0, buf_head(&whole), n);
        fails(f, "08S01", DIAL_FAIL_REACH, "the server broke the protocol");
    }
    memset(buf_head(&whole) + 1, 'x', buf_len(&whole) - 1);
    packet(&f->script, 0, buf_head(&whole), buf_len(&whole));
    fails(f, "08S01", DIAL_FAIL_REACH, "without a version");
    *buf_head(&whole) = 9;
    packet(&f->script, 0, buf_head(&whole), buf_len(&whole));
    fails(f, "08S01", DIAL_FAIL_REACH, "protocol 10");
    buf_release(&whole);
    greeting(&f->script, ALL_CAPS & ~MY_CAP_PROTOCOL_41, "mysql_native_password");
    fails(f, "08004", DIAL_FAIL_REFUSED, "too old");
    put(&f->script, "HTTP/1.1 400 Bad Request\r\n", 26);
    fails(f, "08S01", DIAL_FAIL_REACH, "unlikely length");
    put(&f->script, "\0\0\0\0", 4);
    fails(f, "08S01", DIAL_FAIL_REACH, "unlikely length");
    put(&f->script, "\5\0\0", 3);
    fails(f, "08S01", DIAL_FAIL_REACH, LOST);
    fails(f, "08S01", DIAL_FAIL_REACH, LOST);
}

static void plugins_that_weir_has_not(void **state)
{
    struct fixture *f = *state;
    greeting(&f->script, ALL_CAPS, "mysql_native_password");
    auth_switch(&f->script, 2, "client_ed25519");
    fails(f, "28000", DIAL_FAIL_REFUSED, "\"client_ed25519\"");
    greeting(&f->script, ALL_CAPS, "mysql_native_password");
    packet(&f->script, 2, B("\xfe"));
    fails(f, "28000", DIAL_FAIL_REFUSED, "mysql_old_password");
    greeting(&f->script, ALL_CAPS, "mysql_native_password");
    packet(&f->script, 2,
           B("\xfe"
             "caching_sha2_password\0short"));
    fails(f, "08S01", DIAL_FAIL_REACH, "without a salt");
    over_tcp(f, "disable");
    greeting(&f->script, ALL_CAPS, "mysql_native_password");
    auth_switch(&f->script, 2, "mysql_clear_password");
    fails(f, "08001", DIAL_FAIL_REFUSED, "over TLS only");
    assert_false(was_heard(f, "secret"));
}

static void logins_that_never_end(void **state)
{
    struct fixture *f = *state;
    greeting(&f->script, ALL_CAPS, "mysql_native_password");
    auth_switch(&f->script, 2, "caching_sha2_password");
    auth_switch(&f->script, 4, "mysql_native_password");
    fails(f, "08S01", DIAL_FAIL_REACH, "a second change");
    greeting(&f->script, ALL_CAPS, "caching_sha2_password");
    packet(&f->script, 2, B("\1\4"));
    packet(&f->script, 4, B("\1\4"));
    fails(f, "08S01", DIAL_FAIL_REACH, "a second time");
    greeting(&f->script, ALL_CAPS, "caching_sha2_password");
    for (unsigned i = 0; i < 2100; i++)
        packet(&f->script, 2 + i, B("\1\3"));
    fails(f, "08S01", DIAL_FAIL_REACH, "too many packets");
    greeting(&f->script, ALL_CAPS, "mysql_native_password");
    packet(&f->script, 2, B("\1\4"));
    fails(f, "08S01", DIAL_FAIL_REACH, "no plugin asked for");
    greeting(&f->script, ALL_CAPS, "caching_sha2_password");
    packet(&f->script, 2, B("\1\5"));
    fails(f, "08S01", DIAL_FAIL_REACH, "an unknown step");
}

static void packets_out_of_order(void **state)
{
    struct fixture *f = *state;
    greeting(&f->script, ALL_CAPS, "mysql_native_password");
    ok(&f->script, 1);
    fails(f, "08S01", DIAL_FAIL_REACH, "out of order");
    greeting(&f->script, ALL_CAPS, "mysql_native_password");
    auth_switch(&f->script, 2, "caching_sha2_password");
    ok(&f->script, 3);
    fails(f, "08S01", DIAL_FAIL_REACH, "out of order");
    greeting(&f->script, ALL_CAPS, "mysql_native_password");
    error(&f->script, 9, 1158, "08S01"); /* an error is one whatever its number */
    fails(f, "08S01", DIAL_FAIL_REACH, "said the server");
    greeting(&f->script, ALL_CAPS, "mysql_native_password");
    packet(&f->script, 2, B("\2what"));
    fails(f, "08S01", DIAL_FAIL_REACH, "an answer to the login that is none");
}

/* ---- what follows a login ---- */

static void answers_that_are_none(void **state)
{
    static const struct {
        const char *rows;
        size_t n;
    } bad[] = {
        {B("\4\0\0\5\1a\xff\2")},                               /* no length at all */
        {B("\2\0\0\5\12a")},                                    /* longer than the packet */
        {B("\12\0\0\5\xfe\xff\xff\xff\xff\xff\xff\xff\xff\1")}, /* longer than memory */
        {B("\13\0\0\5\12autocommit")},                          /* a column short */
        {B("\3\0\0\5\0\1x")},                                   /* a variable without a name */
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        greeting(&f->script, ALL_CAPS, "mysql_native_password");
        ok(&f->script, 2);
        ok(&f->script, 1);
        result(&f->script, bad[i].rows, bad[i].n);
        fails(f, "08S01", DIAL_FAIL_REACH, "variables that can't be read");
    }
    greeting(&f->script, ALL_CAPS, "mysql_native_password");
    ok(&f->script, 2);
    packet(&f->script, 1, B("\0"));
    fails(f, "08S01", DIAL_FAIL_REACH, "an OK that is none");
    greeting(&f->script, ALL_CAPS, "mysql_native_password");
    ok(&f->script, 2);
    packet(&f->script, 1, B("\xfb/etc/passwd"));
    fails(f, "0A000", DIAL_FAIL_REFUSED, "asks for a file");
    greeting(&f->script, ALL_CAPS, "mysql_native_password");
    ok(&f->script, 2);
    baseline(&f->script);
    ok(&f->script, 1);
    begin(f);
    assert_int_equal(feed(f, PIECE_ALL), DIAL_FAILED); /* nobody asked for this one */
}

static void an_answer_without_end(void **state)
{
    struct fixture *f = *state;
    static const uint8_t row[60000] = {1, 'a', 1, 'b'};
    struct buf rows = {0};
    for (unsigned i = 0; i < 8; i++)
        packet(&rows, 5, row, sizeof row);
    greeting(&f->script, ALL_CAPS, "mysql_native_password");
    ok(&f->script, 2);
    ok(&f->script, 1);
    result(&f->script, buf_head(&rows), buf_len(&rows));
    buf_release(&rows);
    begin(f);
    assert_int_equal(settle(f), DIAL_READ);
    enum dial_step step = DIAL_READ;
    const uint8_t *p = buf_head(&f->script);
    for (size_t at = 0; at < buf_len(&f->script) && step == DIAL_READ; at += 10000) {
        size_t n = buf_len(&f->script) - at;
        assert_true(send(f->peer, p + at, n < 10000 ? n : 10000, MSG_NOSIGNAL) > 0);
        step = settle(f);
    }
    assert_int_equal(step, DIAL_FAILED);
}

static void runs_connect_query(void **state)
{
    struct fixture *f = *state;
    set(f, "connect_query", "SET @a := 1; SELECT @a");
    for (unsigned kind = 0; kind < 4; kind++) {
        greeting(&f->script, ALL_CAPS, "mysql_native_password");
        ok(&f->script, 2);
        baseline(&f->script);
        if (kind == 0) {
            ok_with(&f->script, 1, MY_ST_AUTOCOMMIT | MY_ST_MORE_RESULTS);
            result(&f->script, B("\4\0\0\5\1a\1b"));
        } else if (kind == 1) {
            error(&f->script, 1, 1064, "42000"); /* logged, and the connection is good */
        } else if (kind == 2) {
            ok_with(&f->script, 1, MY_ST_MORE_RESULTS); /* the rest never comes */
        }
        begin(f);
        assert_int_equal(feed(f, 5), kind < 2 ? DIAL_DONE : DIAL_READ);
        assert_true(was_heard(f, "\3SET @a := 1; SELECT @a"));
        forget(f);
    }
    greeting(&f->script, ALL_CAPS, "mysql_native_password");
    ok(&f->script, 2);
    baseline(&f->script);
    ok_with(&f->script, 1, MY_ST_IN_TRANS);
    fails(f, "25000", DIAL_FAIL_REFUSED, "leaves a transaction open");
}

/* ---- TLS: lies about it; the true ones are in the system tests ---- */

static void lies_about_tls(void **state)
{
    static const char *const strict[] = {"require", "verify-ca", "verify-full"};
    struct fixture *f = *state;
    for (size_t i = 0; i < 3; i++) {
        over_tcp(f, strict[i]);
        greeting(&f->script, ALL_CAPS, "mysql_native_password");
        fails(f, "08001", DIAL_FAIL_REFUSED, "does not support TLS");
        assert_int_equal(f->n_heard, 0); /* not even the user's name */
    }
    over_tcp(f, "require");
    greeting(&f->script, ALL_CAPS | MY_CAP_SSL, "mysql_native_password");
    ok(&f->script, 2); /* in clear, with the greeting */
    begin(f);
    assert_int_equal(feed(f, PIECE_ALL), DIAL_FAILED);
    assert_false(was_heard(f, "mysql_native_password"));
    end(f);
    begin(f); /* or as an answer to the ClientHello */
    assert_int_equal(feed(f, buf_len(&f->script) - 11), DIAL_FAILED);
    assert_false(was_heard(f, "mysql_native_password"));
    assert_memory_equal(f->heard, "\x20\0\0\1", 4);
    assert_true((my_get32(f->heard + 4) & MY_CAP_SSL) != 0);
    forget(f);
    over_tcp(f, "verify-full");
    greeting(&f->script, ALL_CAPS | MY_CAP_SSL, "mysql_native_password");
    fails(f, "08001", DIAL_FAIL_REFUSED, "root certificate");
    over_tcp(f, "sometimes");
    f->dial = my_dial_start(f->params, f->n);
    assert_int_equal(my_dial_poll(f->dial), DIAL_FAILED);
}

static int option_of(const struct fixture *f, int level, int option)
{
    int value = -1;
    socklen_t n = sizeof value;
    assert_int_equal(getsockopt(my_dial_socket(f->dial), level, option, &value, &n), 0);
    return value;
}

static void sets_the_sockets_options(void **state)
{
    struct fixture *f = *state;
    over_tcp(f, "disable");
    set(f, "keepalives_idle", "71");
    set(f, "keepalives_interval", "13");
    set(f, "keepalives_count", "5");
    set(f, "tcp_user_timeout", "4321");
    begin(f);
    assert_int_equal(option_of(f, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(option_of(f, IPPROTO_TCP, TCP_KEEPIDLE), 71);
    assert_int_equal(option_of(f, IPPROTO_TCP, TCP_KEEPINTVL), 13);
    assert_int_equal(option_of(f, IPPROTO_TCP, TCP_KEEPCNT), 5);
    assert_int_equal(option_of(f, IPPROTO_TCP, TCP_USER_TIMEOUT), 4321);
    end(f);
    set(f, "keepalives", "0");
    begin(f);
    assert_int_equal(option_of(f, SOL_SOCKET, SO_KEEPALIVE), 0);
    end(f);
}

/* ---- several hosts ---- */

static void tries_the_next_host(void **state)
{
    struct fixture *f = *state;
    char hosts[300], text[256], code[6];
    snprintf(hosts, sizeof hosts, "/nonexistent/socket,%s,%s", f->path, f->path);
    set(f, "host", hosts);
    error(&f->script, 0, 1040, "08004");
    begin(f); /* the first can't be reached, the second is full */
    assert_int_equal(feed(f, PIECE_ALL), DIAL_READ);
    close(f->peer);
    take_peer(f);
    buf_release(&f->script);
    greeting(&f->script, ALL_CAPS, "mysql_native_password");
    ok(&f->script, 2);
    baseline(&f->script);
    assert_int_equal(feed(f, 3), DIAL_DONE);
    forget(f);
    error(&f->script, 0, 1045, "28000"); /* a refusal holds for all */
    begin(f);
    assert_int_equal(feed(f, PIECE_ALL), DIAL_FAILED);
    assert_int_equal(my_dial_failure(f->dial, code, text, sizeof text), DIAL_FAIL_REFUSED);
    forget(f);
    set(f, "host", "/nonexistent/a,/nonexistent/b");
    f->dial = my_dial_start(f->params, f->n);
    assert_int_equal(my_dial_poll(f->dial), DIAL_FAILED);
    assert_int_equal(my_dial_failure(f->dial, code, text, sizeof text), DIAL_FAIL_REACH);
    assert_non_null(strstr(text, "/nonexistent/b"));
    end(f);
    set(f, "host", "");
    f->dial = my_dial_start(f->params, f->n);
    assert_int_equal(my_dial_poll(f->dial), DIAL_FAILED);
}

/* A connection lost while connect_query runs: the next host's runs it as well. */
static void begins_anew_with_the_next_host(void **state)
{
    struct fixture *f = *state;
    char hosts[300];
    snprintf(hosts, sizeof hosts, "%s,%s", f->path, f->path);
    set(f, "host", hosts);
    set(f, "connect_query", "SET @a := 1");
    greeting(&f->script, ALL_CAPS, "mysql_native_password");
    ok(&f->script, 2);
    baseline(&f->script);
    begin(f);
    assert_int_equal(feed(f, PIECE_ALL), DIAL_READ);
    close(f->peer);
    assert_int_equal(settle(f), DIAL_READ);
    take_peer(f);
    assert_int_equal(feed(f, PIECE_ALL), DIAL_READ);
    assert_true(was_heard(f, "\3SET @a := 1"));
    static const uint8_t done[] = {7, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0};
    assert_int_equal(send(f->peer, done, sizeof done, 0), sizeof done);
    assert_int_equal(settle(f), DIAL_DONE);
}

static int once(void **state)
{
    (void)state;
    return vars_init() ? 0 : -1;
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(logs_in),
        T(asks_for_what_the_server_has),
        T(asks_for_the_form_of_mariadb),
        T(proves_it_by_password),
        T(proves_it_by_key),
        T(switches_the_plugin),
        T(gives_the_password_on_a_safe_way),
        T(encrypts_it_on_an_unsafe_one),
        T(errors_of_the_server),
        T(greetings_that_are_none),
        T(plugins_that_weir_has_not),
        T(logins_that_never_end),
        T(packets_out_of_order),
        T(answers_that_are_none),
        T(an_answer_without_end),
        T(runs_connect_query),
        T(lies_about_tls),
        T(sets_the_sockets_options),
        T(tries_the_next_host),
        T(begins_anew_with_the_next_host),
    };
    return cmocka_run_group_tests(tests, once, NULL);
}
