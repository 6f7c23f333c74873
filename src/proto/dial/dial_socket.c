/* SPDX-License-Identifier: ISC
 * See dial_socket.h.
 */
#include "config.h"

#include "proto/dial/dial_socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static const char *value_of(const struct dsn_param *params, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(params[i].key, key) == 0)
            return params[i].value;
    return "";
}

void dial_socket_options(int fd, const struct dsn_param *params, size_t n)
{
    static const struct {
        const char *key;
        int option;
    } rows[] = {
        {"keepalives_idle", TCP_KEEPIDLE},
        {"keepalives_interval", TCP_KEEPINTVL},
        {"keepalives_count", TCP_KEEPCNT},
        {"tcp_user_timeout", TCP_USER_TIMEOUT},
    };
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (strcmp(value_of(params, n, "keepalives"), "0") != 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int value = (int)strtol(value_of(params, n, rows[i].key), NULL, 10);
        if (value > 0)
            (void)setsockopt(fd, IPPROTO_TCP, rows[i].option, &value, sizeof value);
    }
}
