/* SPDX-License-Identifier: ISC
 * The way of a console command through the threads: a client's session on its worker, the command
 * on the control plane's thread, the result back. What a command means is known above.
 */
#ifndef WEIR_WORKER_CONSOLE_H
#define WEIR_WORKER_CONSOLE_H

#include "base/buf.h"
#include "net/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct world;
struct console_request;

enum console_state { CONSOLE_READY, CONSOLE_WAIT, CONSOLE_MORE, CONSOLE_CLOSE };

/* The protocol of a console session, on the worker's thread. */
struct console_ops {
    /* `flags`: login_asked.console_flags. */
    void *(*create)(uint32_t flags, void (*execute)(void *ctx, const char *text), void *ctx);
    void (*destroy)(void **session);
    bool (*greet)(void *session, uint32_t id, uint32_t key, struct buf *out);
    enum console_state (*feed)(void *session, const uint8_t *in, size_t n, size_t *used,
                               struct buf *out);
    enum console_state (*more)(void *session, struct buf *out);
    enum console_state (*result)(void *session, void *result, struct buf *out);
    void (*drop)(void *result); /* nobody is there any more to be told */
    /* On the control plane's thread: carry out, then console_answer(). */
    void (*run)(struct console_request *q, void *arg);
    void *arg;
};

struct console_request {
    struct mail mail;
    struct world *world;
    uint16_t worker;
    uint32_t slot, key;
    uint8_t door;
    bool read_only;
    bool answered;
    void *result;
    char text[];
};

/* The console of one door (protocols.h), before any client can ask for it. */
void world_on_console(struct world *w, unsigned door, const struct console_ops *ops);
/* Control plane's thread: the result goes to whoever asked; takes over the request. */
void console_answer(struct console_request *q, void *result);

#endif
