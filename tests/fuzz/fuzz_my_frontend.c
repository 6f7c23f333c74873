/* SPDX-License-Identifier: ISC
 * A hostile client before an honest MySQL: the input is what the client sends, in pieces, and what
 * happens to it meanwhile. A byte below 0xe0 is the length of the piece that follows; above: see
 * relay_event(). Whatever it does, spans are sound, nothing crashes, no command reaches the server
 * that weir did not mean to send, and the server is in step and outside of a transaction when the
 * client is gone.
 */
#include "../unit/my_relay_help.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void lost_server(struct relay *r)
{
    if (r->lent < 0)
        return;
    relay_say(r, PROTO_EV_LOST_SERVER, r->servers[r->lent], false);
    r->broken = true;
}

/* The loan ends in disorder; `keep`: only for the client's transaction. */
static void abandon(struct relay *r, bool keep)
{
    int i = r->lent;
    if (i < 0)
        return;
    if (keep)
        relay_say(r, PROTO_EV_TAKEN_BACK, NULL, false);
    (void)my_proto_ops.abandon(r->servers[i], keep ? r->c : NULL, &r->out);
    relay_take(r, i);
    r->lent = -1;
    if (!keep)
        r->closed = true;
    for (int turn = 0; turn < 20 && !r->broken; turn++) {
        enum proto_loan loan = my_proto_ops.state(r->servers[i], NULL, true, 1, &r->out);
        relay_take(r, i);
        if (loan == LOAN_BROKEN)
            r->broken = true;
        if (loan == LOAN_CLEAN) {
            RELAY_REQUIRE((r->models[i].status & MY_ST_IN_TRANS) == 0 && !r->models[i].file);
            RELAY_REQUIRE(buf_len(&r->models[i].in) == 0 && buf_len(&r->models[i].out) == 0);
            return;
        }
        relay_pump(r, 0);
    }
    r->broken = true; /* the worker closes it after a while */
}

static void relay_event(struct relay *r, uint8_t what)
{
    switch (what & 0x1f) {
    case 0:
        relay_pump(r, 0);
        break;
    case 1:
        abandon(r, false);
        break;
    case 2:
        abandon(r, true);
        break;
    case 3:
        lost_server(r);
        break;
    case 4:
        r->next ^= 1;
        break;
    case 5:
        r->refuse = !r->refuse;
        break;
    default:
        r->piece = what & 0x0f;
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static bool ready;
    static struct relay r;
    if (!ready)
        ready = vars_init();
    relay_init(&r, 0);
    while (n != 0 && !r.closed && !r.broken) {
        size_t take = *data++;
        n--;
        if (take >= 0xe0) {
            relay_event(&r, (uint8_t)take);
            continue;
        }
        if (take > n)
            take = n;
        relay_send(&r, data, take);
        data += take;
        n -= take;
    }
    if (!r.broken)
        abandon(&r, false);
    relay_fini(&r);
    return 0;
}
