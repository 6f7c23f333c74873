/* SPDX-License-Identifier: ISC
 * A hostile client and a MySQL that lies: the input is a sequence of pieces, each with a byte that
 * says how long it is and whether client or server sends it (or that something happens). Nothing
 * crashes, spans are sound, and what weir remembers stays bounded by what it was sent.
 */
#include "../unit/my_relay_help.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void end_loan(struct relay *r, bool keep)
{
    if (r->lent < 0)
        return;
    if (keep)
        relay_say(r, PROTO_EV_TAKEN_BACK, NULL, false);
    (void)my_proto_ops.abandon(r->servers[0], keep ? r->c : NULL, &r->out);
    relay_take(r, 0);
    r->lent = -1;
    if (my_proto_ops.state(r->servers[0], NULL, true, 1, &r->out) == LOAN_BROKEN)
        r->broken = true;
    relay_take(r, 0);
}

static void from_server(struct relay *r, const uint8_t *p, size_t n)
{
    if (n == 0)
        return;
    RELAY_REQUIRE(buf_append(&r->models[0].out, p, n));
    (void)relay_feed_server(r, 0, 0);
    relay_feed_client(r);
    relay_state(r);
}

static void from_client(struct relay *r, const uint8_t *p, size_t n)
{
    if (n != 0)
        RELAY_REQUIRE(buf_append(&r->cin, p, n));
    relay_feed_client(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static bool ready;
    static struct relay r;
    if (!ready)
        ready = vars_init();
    relay_init(&r, 0);
    r.models[0].deaf = true;
    while (n != 0 && !r.closed && !r.broken) {
        uint8_t what = *data++;
        n--;
        size_t take = what & 0x7f;
        if (take >= 0x7e) {
            end_loan(&r, take == 0x7e);
            continue;
        }
        if (take > n)
            take = n;
        if ((what & 0x80) != 0)
            from_server(&r, data, take);
        else
            from_client(&r, data, take);
        RELAY_REQUIRE(r.servers[0]->len <= MY_QUEUE_MAX);
        data += take;
        n -= take;
    }
    relay_fini(&r);
    return 0;
}
