/* SPDX-License-Identifier: ISC
 * A hostile client before an honest server: the input is what the client sends, in pieces, and what
 * happens to it meanwhile. A byte below 0xe0 is the length of the piece that follows; above:
 * see relay_event(). Whatever it does, spans are sound, nothing crashes, and the server, which
 * checks names like PostgreSQL, is still in step when the client is gone.
 */
#include "../unit/pg_relay_help.h"

static void lost_server(struct relay *r)
{
    size_t used;
    struct buf b = {0};
    if (r->lent < 0)
        return;
    r->closed = !pg_proto_ops.say(r->c, r->servers[r->lent], PROTO_EV_LOST_SERVER, "gone", NULL,
                                  NULL, 0, &used, &b);
    buf_release(&b);
    r->broken = true;
}

/* The loan ends in disorder; `keep`: only for the client's transaction. */
static void abandon(struct relay *r, bool keep)
{
    size_t used;
    int i = r->lent;
    struct buf b = {0};
    if (i < 0)
        return;
    if (keep)
        (void)pg_proto_ops.say(r->c, r->servers[i], PROTO_EV_TAKEN_BACK, "late", NULL, NULL, 0,
                               &used, &b);
    (void)pg_proto_ops.abandon(r->servers[i], r->c, &r->out);
    relay_take(r, i);
    r->lent = -1;
    if (!keep)
        r->closed = true;
    buf_release(&b);
    for (int turn = 0; turn < 20 && !r->broken; turn++) {
        enum proto_loan loan = pg_proto_ops.state(r->servers[i], NULL, true, 1, &r->out);
        relay_take(r, i);
        if (loan == LOAN_BROKEN)
            r->broken = true;
        if (loan == LOAN_CLEAN) {
            RELAY_REQUIRE(r->models[i].status == 'I');
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
    case 6:
        r->models[0].version++;
        break;
    case 7:
        r->models[0].truth = r->models[0].truth == NULL ? "s work_mem 4096;p temp" : NULL;
        break;
    default:
        r->piece = what & 0x0f;
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static bool ready;
    if (!ready)
        relay_set_up();
    ready = true;
    static struct relay r;
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
