/* SPDX-License-Identifier: ISC
 * Between loop.c and stream.c only.
 */
#ifndef WEIR_NET_LOOP_PRIV_H
#define WEIR_NET_LOOP_PRIV_H

struct loop;

/* This loop's thread has TLS sessions awake: look after them until all are asleep. */
void loop_sweep_soon(struct loop *l);

#endif
