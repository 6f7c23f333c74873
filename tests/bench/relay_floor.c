/* SPDX-License-Identifier: ISC */
/*
 * The floor: what no proxy can go below without fewer system calls.
 *
 * One thread, epoll, each client tied to one server connection that is opened when the client is
 * accepted; whatever is read from one is written to the other. It knows no protocol, pools nothing
 * and is no part of weir: `make bench` measures weir's CPU time per transaction against it.
 *
 *   relay_floor LISTEN_PORT SERVER_PORT        (both on 127.0.0.1)
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

static int peer_of[65536];
static char buf[65536];

static int tcp(int port, int listening)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0), bad;

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    bad = listening ? bind(fd, (void *)&a, sizeof(a)) || listen(fd, 4096)
                    : connect(fd, (void *)&a, sizeof(a));
    if (bad) {
        perror("relay_floor");
        exit(1);
    }
    return fd;
}

static void watch(int ep, int fd, int peer)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
    int one = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    peer_of[fd] = peer;
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
}

static void relay(int fd)
{
    ssize_t n, done, w;

    if (fd < 0 || peer_of[fd] < 0)
        return; /* its other half ended in the same turn */
    n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return; /* the event was for a socket that had this number before */
    for (done = 0; done < n; done += w)
        if ((w = write(peer_of[fd], buf + done, (size_t)(n - done))) <= 0)
            n = 0;
    if (n <= 0) {
        int peer = peer_of[fd];

        peer_of[fd] = peer_of[peer] = -1;
        close(fd);
        close(peer);
    }
}

int main(int argc, char **argv)
{
    struct epoll_event ev[256], l = {.events = EPOLLIN, .data.fd = -1};
    int ep = epoll_create1(0), listener;

    if (argc != 3)
        return 2;
    listener = tcp(atoi(argv[1]), 1);
    epoll_ctl(ep, EPOLL_CTL_ADD, listener, &l);
    for (;;) {
        int n = epoll_wait(ep, ev, 256, -1);

        for (int i = 0; i < n; i++) {
            if (ev[i].data.fd == -1) {
                int client = accept(listener, NULL, NULL), server = tcp(atoi(argv[2]), 0);

                watch(ep, client, server);
                watch(ep, server, client);
            } else {
                relay(ev[i].data.fd);
            }
        }
    }
}
