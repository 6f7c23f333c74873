# SPDX-License-Identifier: ISC
"""Logins that cost much, are wrong, or never come to an end: others must not pay for them."""

import socket
import struct
import threading
import time

import pytest

from harness import wire
from harness.proxy import crowd, wait_until
from harness.wire import PgError

pytestmark = pytest.mark.weir_only

# Derived from "secret"; each look at it costs 400,000 rounds: a good while.
ROUNDS = 400_000


@pytest.fixture(scope="module")
def costly(pg):
    """A user whose password is known as a SCRAM secret of many rounds."""
    import base64
    import hashlib
    import hmac
    salt = b"0123456789abcdef"
    salted = hashlib.pbkdf2_hmac("sha256", b"secret", salt, ROUNDS)
    key = hmac.digest(salted, b"Client Key", "sha256")
    stored = hashlib.sha256(key).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    b64 = lambda b: base64.b64encode(b).decode()  # noqa: E731
    return f"SCRAM-SHA-256${ROUNDS}:{b64(salt)}${b64(stored)}:{b64(server)}"


def with_password(pg):
    return {"shop": {"host": pg.host, "port": pg.port, "dbname": "shop", "user": "app", "password": "secret"}}


def attempt(proxy, password):
    try:
        proxy.client(password=password, timeout=60).close()
        return True
    except PgError as err:
        assert err.code == "28P01"
        return False


def test_costly_passwords_are_judged_aside(start, costly):
    """Right and wrong ones; while hundreds of rounds of thousands are computed, a client's statements go on."""
    proxy = start(auth_type="plain", userlist={"app": costly, "app2": "secret2"}, workers=1, query_wait_timeout=60)
    done = threading.Event()
    slowest = [0.0]

    def watch():
        with proxy.client(user="app2", password="secret2", timeout=60) as c:
            while not done.is_set():
                begun = time.monotonic()
                c.value("select 1", timeout=60)
                slowest[0] = max(slowest[0], time.monotonic() - begun)
    watcher = threading.Thread(target=watch)
    watcher.start()
    begun = time.monotonic()
    answers = crowd(24, lambda i: attempt(proxy, "secret" if i % 2 else f"wrong {i}"), 120)
    took = time.monotonic() - begun
    done.set()
    watcher.join()
    assert answers == [i % 2 == 1 for i in range(24)]
    # On the loop they would have been one block: nothing could have been answered within half of it.
    assert slowest[0] < took / 2, (slowest, took)


def test_gone_while_it_is_judged(start, pg, costly):
    proxy = start(auth_type="plain", databases=with_password(pg), userlist={"app": costly, "app2": "secret2", "admin": "admin secret"})
    for _ in range(8):
        c = proxy.open(60)
        c.send(wire.startup_packet({"user": "app", "database": "shop"}))
        c.until("R")
        c.send(wire.message("p", b"secret\0"))
        c.close()
    with proxy.client(user="app2", password="secret2") as c:
        assert c.value("select 1") == "1"
    assert attempt(proxy, "secret")
    wait_until(lambda: sum(int(r["cl_active"]) for r in proxy.show("POOLS") if r["database"] == "shop") == 0, 30, "their end")


def test_bytes_behind_the_password_are_part_of_the_stream(start, pg, costly):
    proxy = start(auth_type="plain", databases=with_password(pg), userlist={"app": costly})
    c = proxy.open(60)
    c.send(wire.startup_packet({"user": "app", "database": "shop"}))
    c.until("R")
    c.send(wire.message("p", b"secret\0"), wire.query("select 7"))
    got = c.until("Z", 2)
    assert [m.row for m in got if m.type == "D"] == [["7"]]
    c.close()


def test_the_silent_give_way(start):
    """Whoever holds sockets and says nothing doesn't keep others out when there is room for no more."""
    proxy = start(max_client_conn=30, client_login_timeout=60)
    silent = [socket.create_connection((proxy.host, proxy.port)) for _ in range(60)]
    for s in silent[:20]:
        s.sendall(struct.pack("!II", 30, 196608) + b"user\0ap")  # and no more
    time.sleep(1.2)
    for _ in range(5):
        with proxy.client(timeout=20) as c:
            assert c.value("select 1") == "1"
    for s in silent:
        s.close()
