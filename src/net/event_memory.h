/* SPDX-License-Identifier: ISC
 * Where libevent's small objects live. It keeps one of some 30 bytes for each descriptor ever seen;
 * on the common heap these pin the pages that a storm of logins allocated and freed around them.
 */
#ifndef WEIR_NET_EVENT_MEMORY_H
#define WEIR_NET_EVENT_MEMORY_H

/* Before libevent is used at all; once is enough, more does nothing. Any thread. */
void event_memory_install(void);

#endif
