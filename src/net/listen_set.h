/* SPDX-License-Identifier: ISC
 * Between listen_set.c, which opens, and listener.c, which accepts.
 */
#ifndef WEIR_NET_LISTEN_SET_H
#define WEIR_NET_LISTEN_SET_H

#include <stdbool.h>

struct listen_set;

unsigned listen_set_count(struct listen_set *s);
int listen_set_at(struct listen_set *s, unsigned i, unsigned *door);
/* Is this descriptor among those that clients may not have? Any thread. */
bool listen_set_above(struct listen_set *s, int fd);

#endif
