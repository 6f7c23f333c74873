/* SPDX-License-Identifier: ISC
 * A client that lies to the login. The first byte chooses the way, the kind of secret, and whether
 * the user exists; the rest is what arrives, fed as it comes and asked for more as a worker would.
 * A user who doesn't exist must never get in, nobody may get in without a proof, a refusal says
 * exactly one error, and every packet that weir writes is whole and numbered in order.
 */
#include "config.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/mysql/my_handshake.h"
#include "proto/mysql/my_login.h"
#include "proto/mysql/my_secret.h"

#define NATIVE "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7"
#define CRYPT  "$A$001$saltsaltsaltsaltsalt..........................................."

#define CHOICE_UNKNOWN 0x80
#define CHOICE_TLS     0x40
#define CHOICE_LOCAL   0x20
#define CHOICE_CHANGE  0x10

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* Whole packets; those of type ERR are counted. */
static unsigned errors_in(const struct buf *out)
{
    const uint8_t *p = buf_head(out);
    unsigned errors = 0;
    for (size_t left = buf_len(out); left != 0;) {
        check(left > MY_HEAD_BYTES);
        size_t n = my_get24(p);
        check(n != 0 && left >= MY_HEAD_BYTES + n);
        errors += p[MY_HEAD_BYTES] == 0xff;
        p += MY_HEAD_BYTES + n;
        left -= MY_HEAD_BYTES + n;
    }
    return errors;
}

static void fuzz_change_user(const uint8_t *data, size_t size)
{
    struct my_hello h;
    struct my_view name, value;
    if (my_change_user_parse(data, size, MY_CAPS_OFFERED, &h) != MY_HELLO_OK)
        return;
    check(h.user.p != NULL && h.user.n <= MY_NAME_MAX && h.database.n <= MY_NAME_MAX);
    while (my_attribute_next(&h.attributes, &name, &value))
        check(value.p == NULL || value.p + value.n <= data + size);
}

static enum login_step step_on(void *login, enum login_step step, const char *secret,
                               struct buf *out)
{
    const struct login_found found = {.secret = secret};
    const struct login_asked *a = my_login_ops.asked(login);
    if (step == LOGIN_TLS) {
        my_login_ops.on_tls(login, NULL, NULL, 0, false);
        return LOGIN_MORE;
    }
    if (step != LOGIN_SECRET)
        return step;
    check(strlen(a->user) <= MY_NAME_MAX && strlen(a->role) <= strlen(a->user));
    return my_login_ops.on_secret(login, &found, out);
}

static void fuzz_login(uint8_t choice, const uint8_t *data, size_t size)
{
    static const char *const secrets[] = {"secret", NATIVE, CRYPT, ""};
    const struct login_policy policy = {.auth_type = LOGIN_AUTH_SCRAM, .tls_mode = 1};
    const struct login_greeting g = {
        .id = 1, .tls = (choice & CHOICE_TLS) != 0, .local = (choice & CHOICE_LOCAL) != 0};
    const char *secret = (choice & CHOICE_UNKNOWN) != 0 ? NULL : secrets[choice & 3];
    const struct login_welcome w = {.console = true};
    struct login_proof proof;
    struct buf out = {0};
    enum login_step step = LOGIN_MORE;
    void *login = my_login_ops.create(&policy);
    check(login != NULL && my_login_ops.greet(login, &g, &out));
    check(errors_in(&out) == 0);
    for (size_t used = 1; step == LOGIN_MORE && used != 0;) {
        step = my_login_ops.feed(login, data, size, &used, &out);
        check(used <= size);
        data += used;
        size -= used;
        step = step_on(login, step, secret, &out);
    }
    check(errors_in(&out) == (step == LOGIN_REFUSED));
    if (step == LOGIN_OK) {
        check(secret != NULL);
        check(my_login_ops.proof(login, &proof) || my_login_ops.password(login) != NULL);
        check(my_login_ops.finish(login, NULL, &w, &out));
    }
    my_login_ops.destroy(&login);
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if ((data[0] & CHOICE_CHANGE) != 0)
        fuzz_change_user(data + 1, size - 1);
    else
        fuzz_login(data[0], data + 1, size - 1);
    return 0;
}
