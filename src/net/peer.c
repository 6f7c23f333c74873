/* SPDX-License-Identifier: ISC
 * See peer.h. Linux: tcp(7), and what tcp_info means in net/ipv4/tcp.c.
 *
 * Keepalive alone is blind while bytes are unacknowledged (they are sent again instead), so both
 * are counted: unanswered probes, and retransmissions. The time since the last acknowledgement is
 * what decides; it is short for a peer that was asked a second ago and is there.
 */
#include "config.h"

#include "net/peer.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define ASK_S 1

static void set_number(int fd, int level, int option, int value)
{
    (void)setsockopt(fd, level, option, &value, sizeof value);
}

void peer_set_patience(int fd, unsigned user_timeout_ms)
{
    set_number(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)user_timeout_ms);
}

void peer_watch(int fd, unsigned user_timeout_ms)
{
    peer_set_patience(fd, user_timeout_ms);
    set_number(fd, IPPROTO_TCP, TCP_KEEPINTVL, ASK_S);
    set_number(fd, IPPROTO_TCP, TCP_KEEPIDLE, ASK_S);
    set_number(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

/* What a socket has that nobody changed: it can be read from one, not from a constant. */
static int system_idle_s, system_interval_s;

static void read_system(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t n = sizeof(int), m = sizeof(int);
    if (fd < 0 || getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &system_idle_s, &n) != 0 ||
        getsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &system_interval_s, &m) != 0) {
        system_idle_s = 7200;
        system_interval_s = 75;
    }
    if (fd >= 0)
        close(fd);
}

void peer_rest(int fd, const struct tcp_options *o)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, read_system);
    /* In this order: none of them may meet probes that were counted by the others' rules. */
    peer_set_patience(fd, o->user_timeout_ms);
    set_number(fd, IPPROTO_TCP, TCP_KEEPINTVL,
               o->keepintvl_s != 0 ? (int)o->keepintvl_s : system_interval_s);
    set_number(fd, IPPROTO_TCP, TCP_KEEPIDLE,
               o->keepidle_s != 0 ? (int)o->keepidle_s : system_idle_s);
    set_number(fd, SOL_SOCKET, SO_KEEPALIVE, o->keepalive);
}

uint32_t peer_owed(int fd)
{
    int n = 0;
    return ioctl(fd, SIOCOUTQ, &n) == 0 && n > 0 ? (uint32_t)n : 0;
}

bool peer_look(int fd, struct peer_look *out)
{
    struct tcp_info info;
    socklen_t n = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) != 0 ||
        n < offsetof(struct tcp_info, tcpi_notsent_bytes) + sizeof info.tcpi_notsent_bytes)
        return false;
    bool asked = info.tcpi_probes != 0 || info.tcpi_retransmits != 0;
    out->silent_ms = asked ? info.tcpi_last_ack_recv : 0;
    out->full = info.tcpi_notsent_bytes != 0 && info.tcpi_unacked == 0;
    return true;
}
