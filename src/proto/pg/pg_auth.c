/* SPDX-License-Identifier: ISC
 * See pg_auth.h.
 *
 * Which secret is checked is decided once, in pg_auth_start(): a real one, or a made-up one of the
 * kind that the method wants together with `doomed`. From there on both take one path, and `doomed`
 * is looked at last.
 */
#include "config.h"

#include "proto/pg/pg_auth.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/pg/pg_scram.h"

#define AUTH_MAGIC       0x41555448u
#define MESSAGE_HEAD     5u /* type and length word */
#define MD5_SALT_BYTES   4u
#define SASL_MESSAGE_MAX (PG_SCRAM_MESSAGE_MAX + sizeof(PG_SCRAM_PLUS_NAME) + 4u)
#define SQLSTATE_BAD     "08P01"
#define SQLSTATE_AUTH    "28000"
#define SQLSTATE_PASS    "28P01"

static const char *const type_names[] = {
    [PG_AUTH_TRUST] = "trust",         [PG_AUTH_PLAIN] = "plain", [PG_AUTH_MD5] = "md5",
    [PG_AUTH_SCRAM] = "scram-sha-256", [PG_AUTH_CERT] = "cert",   [PG_AUTH_ANY] = "any",
};

enum auth_state {
    AUTH_IDLE,
    AUTH_PASSWORD,
    AUTH_MD5,
    AUTH_SASL_INITIAL,
    AUTH_SASL,
    AUTH_OK,
    AUTH_FAILED
};

struct pg_auth {
    uint32_t magic;
    enum auth_state state;
    struct pg_auth_facts facts;
    const char *secret; /* what is checked; NULL: doomed */
    const char *reason; /* of a failure, for the log */
    struct pg_scram *scram;
    uint8_t md5_salt[MD5_SALT_BYTES];
};

_Static_assert(sizeof(struct pg_auth) <= 176, "state of a login grew");

struct pg_auth *pg_auth_create(const struct pg_auth_facts *facts)
{
    struct pg_auth *a = calloc(1, sizeof(*a));
    if (a == NULL)
        return NULL;
    a->magic = AUTH_MAGIC;
    a->facts = *facts;
    a->reason = "";
    return a;
}

void pg_auth_destroy(struct pg_auth **ap)
{
    struct pg_auth *a = *ap;
    *ap = NULL;
    if (a == NULL)
        return;
    assert(a->magic == AUTH_MAGIC);
    pg_scram_destroy(&a->scram);
    a->magic = 0;
    free(a);
}

/* ---- verdicts -------------------------------------------------------------------------------- */

static enum pg_auth_outcome succeed(struct pg_auth *a, struct buf *out)
{
    a->state = AUTH_OK;
    return pg_msg_auth(out, PG_AUTH_CODE_OK, NULL, 0) ? PG_AUTH_OUT_OK : PG_AUTH_OUT_NOMEM;
}

static enum pg_auth_outcome fail(struct pg_auth *a, struct buf *out, const struct pg_fault *fault,
                                 const char *reason)
{
    a->state = AUTH_FAILED;
    a->reason = reason;
    return pg_msg_fault(out, "FATAL", fault) ? PG_AUTH_OUT_FAILED : PG_AUTH_OUT_NOMEM;
}

/* The client broke the protocol. */
static enum pg_auth_outcome fail_protocol(struct pg_auth *a, struct buf *out, const char *message)
{
    struct pg_fault fault;
    pg_fault_set(&fault, SQLSTATE_BAD, "%s", message);
    return fail(a, out, &fault, "protocol violation");
}

/* Wrong password or no such user: one message for both, as PostgreSQL has it. */
static enum pg_auth_outcome fail_password(struct pg_auth *a, struct buf *out)
{
    struct pg_fault fault;
    pg_fault_set(&fault, SQLSTATE_PASS, "password authentication failed for user \"%s\"",
                 a->facts.login_user);
    return fail(a, out, &fault, a->secret == NULL ? a->reason : "wrong password");
}

/* ---- the request -------------------------------------------------------------------------------
 */

static uint32_t iterations(const struct pg_auth *a)
{
    return a->facts.scram_iterations == 0 ? PG_SCRAM_ITERATIONS_DEFAULT : a->facts.scram_iterations;
}

/* From here on there is nothing that could fit. */
static void doom(struct pg_auth *a, const char *reason)
{
    a->secret = NULL;
    a->reason = reason;
}

static enum pg_auth_outcome ask(struct pg_auth *a, struct buf *out, enum auth_state next,
                                enum pg_auth_code code, const void *data, size_t n)
{
    a->state = next;
    return pg_msg_auth(out, code, data, n) ? PG_AUTH_OUT_MORE : PG_AUTH_OUT_NOMEM;
}

static enum pg_auth_outcome ask_sasl(struct pg_auth *a, struct buf *out)
{
    /* The literals' own NULs end each name; one more ends the list. */
    static const char both[] = PG_SCRAM_PLUS_NAME "\0" PG_SCRAM_NAME "\0";
    static const char only[] = PG_SCRAM_NAME "\0";
    bool plus = a->facts.binding_n != 0;
    if (a->secret != NULL && pg_secret_is_md5(a->secret))
        doom(a, "the user's secret is an md5 hash, which SCRAM can't use");
    return ask(a, out, AUTH_SASL_INITIAL, PG_AUTH_CODE_SASL, plus ? both : only,
               plus ? sizeof(both) : sizeof(only));
}

static enum pg_auth_outcome ask_md5(struct pg_auth *a, struct buf *out)
{
    bool scram =
        a->secret == NULL ? a->facts.mock_scram : pg_secret_kind_of(a->secret) == PG_SECRET_SCRAM;
    if (scram)
        return ask_sasl(a, out);
    if (a->secret != NULL && pg_secret_kind_of(a->secret) == PG_SECRET_MD5 &&
        strcmp(a->facts.role, a->facts.login_user) != 0)
        doom(a, "the user's md5 secret can't be used with a function suffix in the user's name");
    if (!pg_crypto_random(a->md5_salt, sizeof(a->md5_salt)))
        return PG_AUTH_OUT_NOMEM;
    return ask(a, out, AUTH_MD5, PG_AUTH_CODE_MD5, a->md5_salt, sizeof(a->md5_salt));
}

static enum pg_auth_outcome check_certificate(struct pg_auth *a, struct buf *out)
{
    struct pg_fault fault;
    if (a->facts.peer_cn == NULL) {
        pg_fault_set(&fault, SQLSTATE_AUTH, "connection requires a valid client certificate");
        return fail(a, out, &fault, "no client certificate");
    }
    if (strcmp(a->facts.peer_cn, a->facts.role) == 0)
        return succeed(a, out);
    pg_fault_set(&fault, SQLSTATE_AUTH, "certificate authentication failed for user \"%s\"",
                 a->facts.login_user);
    return fail(a, out, &fault, "the certificate is another user's");
}

enum pg_auth_outcome pg_auth_start(struct pg_auth *a, const char *secret, struct buf *out)
{
    assert(a->magic == AUTH_MAGIC && a->state == AUTH_IDLE);
    a->secret = secret;
    if (secret == NULL || secret[0] == '\0')
        doom(a, "no such user, or no password");
    switch (a->facts.type) {
    case PG_AUTH_TRUST:
    case PG_AUTH_ANY:
        return succeed(a, out);
    case PG_AUTH_CERT:
        return check_certificate(a, out);
    case PG_AUTH_PLAIN:
        return ask(a, out, AUTH_PASSWORD, PG_AUTH_CODE_CLEARTEXT, NULL, 0);
    case PG_AUTH_MD5:
        return ask_md5(a, out);
    case PG_AUTH_SCRAM:
        return ask_sasl(a, out);
    }
    abort();
}

/* ---- cleartext and md5 -------------------------------------------------------------------------
 */

/* A made-up secret costs what a real one of the likely kind costs. */
static bool check_cleartext(const struct pg_auth *a, struct pg_view password)
{
    struct pg_scram_secret scram;
    char md5[36];
    bool doomed = a->secret == NULL;
    if (doomed && a->facts.mock_scram) {
        pg_secret_mock_scram(a->facts.role, iterations(a), &scram);
        return pg_verifiers_fits(NULL, a->facts.role, password, &scram) & !doomed;
    }
    const char *want = doomed ? "md5" : a->secret;
    switch (pg_secret_kind_of(want)) {
    case PG_SECRET_SCRAM:
        return pg_secret_parse_scram(want, &scram) &&
               pg_verifiers_fits(a->facts.verifiers, a->facts.role, password, &scram);
    case PG_SECRET_MD5:
        return pg_secret_print_md5(password, a->facts.role, md5) &&
               pg_crypto_equal(md5, want, sizeof(md5));
    case PG_SECRET_PLAIN:
        break;
    }
    /* Compared as hashes: a length then shows nothing either. */
    uint8_t left[PG_SHA256_BYTES];
    uint8_t right[PG_SHA256_BYTES];
    pg_crypto_sha256(want, strlen(want), left);
    pg_crypto_sha256(password.p, password.n, right);
    return pg_crypto_equal(left, right, sizeof(left)) & !doomed;
}

/* "md5" + md5(md5(password user) salt) */
static bool check_md5(const struct pg_auth *a, struct pg_view answer)
{
    char stored[36];
    char want[36] = "md5";
    bool doomed = a->secret == NULL;
    const char *secret = doomed ? "" : a->secret;
    if (pg_secret_kind_of(secret) == PG_SECRET_MD5)
        memcpy(stored, secret, sizeof(stored));
    else if (!pg_secret_print_md5(pg_view_of(secret), a->facts.login_user, stored))
        return false;
    const struct pg_piece pieces[] = {{stored + 3, 32}, {a->md5_salt, sizeof(a->md5_salt)}};
    bool fits = pg_crypto_md5_hex(pieces, 2, want + 3) && answer.n == sizeof(want) - 1 &&
                pg_crypto_equal(answer.p, want, sizeof(want) - 1);
    pg_crypto_wipe(stored, sizeof(stored));
    return fits & !doomed;
}

static enum pg_auth_outcome on_password(struct pg_auth *a, struct pg_view body, struct buf *out)
{
    struct pg_fault fault;
    if (body.n == 0 || memchr(body.p, '\0', body.n) != body.p + body.n - 1)
        return fail_protocol(a, out, "invalid password packet size");
    if (body.n == 1) {
        pg_fault_set(&fault, SQLSTATE_PASS, "empty password returned by client");
        return fail(a, out, &fault, "empty password");
    }
    struct pg_view password = {body.p, body.n - 1};
    bool fits = a->state == AUTH_MD5 ? check_md5(a, password) : check_cleartext(a, password);
    return fits ? succeed(a, out) : fail_password(a, out);
}

/* ---- SASL ------------------------------------------------------------------------------------ */

/* The secret as SCRAM wants it, or one that nothing fits. False: no memory. */
static bool scram_secret(struct pg_auth *a, struct pg_scram_secret *out)
{
    if (a->secret == NULL) {
        pg_secret_mock_scram(a->facts.role, iterations(a), out);
        return true;
    }
    return pg_secret_parse_scram(a->secret, out) ||
           pg_verifiers_get(a->facts.verifiers, a->facts.role, pg_view_of(a->secret), iterations(a),
                            out);
}

static bool scram_open(struct pg_auth *a, bool plus)
{
    struct pg_scram_secret secret;
    if (!scram_secret(a, &secret))
        return false;
    const struct pg_scram_config config = {.secret = &secret,
                                           .doomed = a->secret == NULL,
                                           .plus = plus,
                                           .binding = a->facts.binding,
                                           .binding_n = a->facts.binding_n};
    a->scram = pg_scram_create(&config);
    pg_crypto_wipe(&secret, sizeof(secret));
    return a->scram != NULL;
}

static enum pg_auth_outcome on_sasl(struct pg_auth *a, struct pg_view msg, struct buf *out)
{
    struct pg_fault fault;
    struct pg_view reply;
    a->state = AUTH_SASL;
    switch (pg_scram_step(a->scram, msg.p, msg.n, &reply, &fault)) {
    case PG_SCRAM_CONTINUE:
        return ask(a, out, AUTH_SASL, PG_AUTH_CODE_SASL_CONTINUE, reply.p, reply.n);
    case PG_SCRAM_DONE:
        if (!pg_msg_auth(out, PG_AUTH_CODE_SASL_FINAL, reply.p, reply.n))
            return PG_AUTH_OUT_NOMEM;
        return succeed(a, out);
    case PG_SCRAM_WRONG:
        return fail_password(a, out);
    case PG_SCRAM_BAD:
        return fail(a, out, &fault, "malformed SCRAM exchange");
    }
    abort();
}

/* SASLInitialResponse: the mechanism's name, the response's length (-1: none), the response. */
static enum pg_auth_outcome on_sasl_initial(struct pg_auth *a, struct pg_view body, struct buf *out)
{
    const char *end = body.n == 0 ? NULL : memchr(body.p, '\0', body.n);
    if (end == NULL || body.n - (size_t)(end + 1 - body.p) < 4)
        return fail_protocol(a, out, "invalid message format");
    bool plus = strcmp(body.p, PG_SCRAM_PLUS_NAME) == 0 && a->facts.binding_n != 0;
    if (!plus && strcmp(body.p, PG_SCRAM_NAME) != 0)
        return fail_protocol(a, out, "client selected an invalid SASL authentication mechanism");
    const uint8_t *length = (const uint8_t *)end + 1;
    uint32_t want = (uint32_t)length[0] << 24 | (uint32_t)length[1] << 16 |
                    (uint32_t)length[2] << 8 | length[3];
    struct pg_view msg = {end + 5, body.n - (size_t)(end + 5 - body.p)};
    if (want == UINT32_MAX ? msg.n != 0 : msg.n != want)
        return fail_protocol(a, out, "invalid message format");
    if (!scram_open(a, plus))
        return PG_AUTH_OUT_NOMEM;
    if (want == UINT32_MAX) /* no initial response: ask for it with an empty challenge */
        return ask(a, out, AUTH_SASL, PG_AUTH_CODE_SASL_CONTINUE, NULL, 0);
    return on_sasl(a, msg, out);
}

/* ---- frames ------------------------------------------------------------------------------------
 */

static enum pg_auth_outcome wrong_type(struct pg_auth *a, struct buf *out, uint8_t type)
{
    struct pg_fault fault;
    bool sasl = a->state == AUTH_SASL_INITIAL || a->state == AUTH_SASL;
    pg_fault_set(&fault, SQLSTATE_BAD, "expected %s response, got message type %d",
                 sasl ? "SASL" : "password", type);
    return fail(a, out, &fault, "protocol violation");
}

static enum pg_auth_outcome on_message(struct pg_auth *a, struct pg_view body, struct buf *out)
{
    switch (a->state) {
    case AUTH_PASSWORD:
    case AUTH_MD5:
        return on_password(a, body, out);
    case AUTH_SASL_INITIAL:
        return on_sasl_initial(a, body, out);
    case AUTH_SASL:
        return on_sasl(a, body, out);
    case AUTH_IDLE:
    case AUTH_OK:
    case AUTH_FAILED:
        break;
    }
    abort();
}

enum pg_auth_outcome pg_auth_feed(struct pg_auth *a, const void *p, size_t n, size_t *used,
                                  struct buf *out)
{
    const uint8_t *bytes = p;
    assert(a->magic == AUTH_MAGIC);
    *used = 0;
    if (a->state == AUTH_IDLE || n == 0) /* the secret is still being looked up */
        return PG_AUTH_OUT_MORE;
    if (a->state == AUTH_OK)
        return PG_AUTH_OUT_OK;
    if (a->state == AUTH_FAILED)
        return PG_AUTH_OUT_FAILED;
    if (bytes[0] != 'p')
        return wrong_type(a, out, bytes[0]);
    if (n < MESSAGE_HEAD)
        return PG_AUTH_OUT_MORE;
    bool sasl = a->state == AUTH_SASL_INITIAL || a->state == AUTH_SASL;
    uint32_t length =
        (uint32_t)bytes[1] << 24 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 8 | bytes[4];
    if (length < 4 || length > (sasl ? 4 + SASL_MESSAGE_MAX : PG_AUTH_PASSWORD_MAX))
        return fail_protocol(a, out, "invalid message length");
    if (n < (size_t)length + 1)
        return PG_AUTH_OUT_MORE;
    *used = (size_t)length + 1;
    return on_message(a, (struct pg_view){(const char *)bytes + MESSAGE_HEAD, length - 4}, out);
}

bool pg_auth_is_heavy(const struct pg_auth *a, const void *p, size_t n)
{
    const uint8_t *bytes = p;
    if (a->state != AUTH_PASSWORD || n <= MESSAGE_HEAD || bytes[0] != 'p')
        return false; /* asked of each message: the secret is read for a password only */
    return a->secret != NULL ? pg_secret_kind_of(a->secret) == PG_SECRET_SCRAM
                             : a->facts.mock_scram;
}

bool pg_auth_client_key(const struct pg_auth *a, uint8_t out[PG_SHA256_BYTES])
{
    return a->state == AUTH_OK && a->scram != NULL && pg_scram_client_key(a->scram, out);
}

const char *pg_auth_reason(const struct pg_auth *a)
{
    return a->state == AUTH_FAILED ? a->reason : "";
}

const char *pg_auth_method(const struct pg_auth *a)
{
    if (a->state == AUTH_SASL_INITIAL || a->state == AUTH_SASL || a->scram != NULL)
        return type_names[PG_AUTH_SCRAM];
    return type_names[a->facts.type];
}
