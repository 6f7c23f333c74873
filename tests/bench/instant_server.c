/* SPDX-License-Identifier: ISC */
/*
 * A PostgreSQL that answers at once: every login is trusted and every simple Query gets the same
 * one row. With it behind a proxy the proxy is what limits, which shows what a second worker is
 * worth.
 *
 *   instant_server PORT [THREADS]        (on 127.0.0.1; one epoll loop per thread, SO_REUSEPORT)
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

struct peer {
    int fd;
    int started; /* the startup packet has been answered */
    size_t held; /* bytes of an incomplete message */
    char in[8192];
};

static int port;

static const char LOGIN[] = "R\0\0\0\x08\0\0\0\0"
                            "S\0\0\0\x18"
                            "server_version\0"
                            "15.0\0"
                            "S\0\0\0\x19"
                            "server_encoding\0"
                            "UTF8\0"
                            "S\0\0\0\x19"
                            "client_encoding\0"
                            "UTF8\0"
                            "S\0\0\0\x17"
                            "DateStyle\0"
                            "ISO, MDY\0"
                            "S\0\0\0\x11"
                            "TimeZone\0"
                            "UTC\0"
                            "S\0\0\0\x19"
                            "integer_datetimes\0"
                            "on\0"
                            "S\0\0\0\x23"
                            "standard_conforming_strings\0"
                            "on\0"
                            "K\0\0\0\x0c\0\0\0\x01\0\0\0\x01"
                            "Z\0\0\0\x05I";
static const char ANSWER[] = "T\0\0\0\x21\0\x01"
                             "?column?\0"
                             "\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0"
                             "D\0\0\0\x0b\0\x01\0\0\0\x01"
                             "1"
                             "C\0\0\0\x0d"
                             "SELECT 1\0"
                             "Z\0\0\0\x05I";

static uint32_t be32(const char *p)
{
    uint32_t v;

    memcpy(&v, p, 4);
    return ntohl(v);
}

/* LOGIN with every ParameterStatus length put right, so that the table above may be edited freely.
 */
static size_t login_bytes(char *out)
{
    size_t n = sizeof(LOGIN) - 1, at = 0;

    memcpy(out, LOGIN, n);
    while (at < n) {
        size_t end = at + 5;

        if (out[at] == 'S') {
            uint32_t len;

            end += strlen(out + end) + 1;
            end += strlen(out + end) + 1;
            len = htonl((uint32_t)(end - at - 1));
            memcpy(out + at + 1, &len, 4);
            at = end;
        } else {
            at += be32(out + at + 1) + 1;
        }
    }
    return n;
}

/* Answers every complete message in p->in; false: the connection is over. */
static int serve(struct peer *p)
{
    static __thread char out[65536];
    static char login[sizeof(LOGIN)];
    static size_t login_len;
    size_t used = 0, n = 0;

    if (!login_len)
        login_len = login_bytes(login);
    for (;;) {
        char *m = p->in + used;
        size_t left = p->held - used, len;

        if (!p->started) {
            if (left < 8 || left < (len = be32(m)))
                break;
            used += len;
            if (be32(m + 4) != 196608) {
                out[n++] = 'N'; /* TLS or GSSAPI asked for */
                continue;
            }
            memcpy(out + n, login, login_len);
            n += login_len;
            p->started = 1;
            continue;
        }
        if (left < 5 || left < (len = be32(m + 1) + 1))
            break;
        used += len;
        if (*m == 'X')
            return 0;
        if ((*m == 'Q' || *m == 'S') && n + sizeof(ANSWER) < sizeof(out)) {
            memcpy(out + n, ANSWER, sizeof(ANSWER) - 1);
            n += sizeof(ANSWER) - 1;
        }
    }
    memmove(p->in, p->in + used, p->held - used);
    p->held -= used;
    return n == 0 || write(p->fd, out, n) == (ssize_t)n;
}

static void *loop(void *arg)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct epoll_event ev[256], l = {.events = EPOLLIN, .data.ptr = NULL};
    int one = 1, ep = epoll_create1(0), listener = socket(AF_INET, SOCK_STREAM, 0);

    (void)arg;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
    if (bind(listener, (void *)&a, sizeof(a)) || listen(listener, 4096)) {
        perror("instant_server");
        exit(1);
    }
    epoll_ctl(ep, EPOLL_CTL_ADD, listener, &l);
    for (;;) {
        int count = epoll_wait(ep, ev, 256, -1);

        for (int i = 0; i < count; i++) {
            struct peer *p = ev[i].data.ptr;
            ssize_t n;

            if (!p) {
                struct epoll_event c = {.events = EPOLLIN, .data.ptr = p = calloc(1, sizeof(*p))};

                p->fd = accept(listener, NULL, NULL);
                setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
                epoll_ctl(ep, EPOLL_CTL_ADD, p->fd, &c);
                continue;
            }
            n = read(p->fd, p->in + p->held, sizeof(p->in) - p->held);
            if (n > 0)
                p->held += (size_t)n;
            if (n <= 0 || !serve(p)) {
                close(p->fd);
                free(p);
            }
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    int threads = argc > 2 ? atoi(argv[2]) : 1;
    pthread_t t;

    if (argc < 2)
        return 2;
    port = atoi(argv[1]);
    while (--threads > 0)
        pthread_create(&t, NULL, loop, NULL);
    loop(NULL);
}
