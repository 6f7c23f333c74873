# SPDX-License-Identifier: ISC
"""Logins that cost much, are wrong, or never come to an end: others must not pay for them."""

import os
import select
import socket
import ssl
import struct
import subprocess
import threading
import time

import psycopg
import pytest

from harness import wire
from harness.proxy import crowd, wait_until
from harness.wire import PgError

pytestmark = pytest.mark.weir_only

# Derived from "secret"; each look at it costs 400,000 rounds: a good while.
ROUNDS = 400_000


@pytest.fixture(scope="module")
def costly():
    """A user whose password is known as a SCRAM secret of many rounds."""
    return wire.scram_secret("secret", ROUNDS)


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
    proxy = start(auth_type="plain", userlist={"app": costly, "app2": "secret2"}, workers=1, query_wait_timeout=60,
                  client_login_timeout=240)
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


# --- many from one address -------------------------------------------------------------------------------------


def answered(conns):
    return len(select.select([c.sock for c in conns], [], [], 0)[0])


def send_password(proxy, password, source):
    c = proxy.open(60, source)
    c.send(wire.startup_packet({"user": "app", "database": "shop"}))
    c.until("R")
    c.send(wire.message("p", password + b"\0"))
    return c


def test_wrong_passwords_from_one_address_delay_its_own_only(start, pg, costly):
    """Sixty are in line; who comes from elsewhere is next after those that are under way."""
    proxy = start(auth_type="plain", userlist={"app": costly, "app2": "secret2"}, databases=with_password(pg), client_login_timeout=120)
    flood = [send_password(proxy, b"wrong", "127.0.0.2") for _ in range(60)]
    with proxy.client(password="secret", timeout=60, source="127.0.0.3") as c:
        done = answered(flood)
        assert c.value("select 1") == "1"
    # In order of arrival all sixty would have been answered first.
    assert done < 40, done
    wait_until(lambda: answered(flood) == 60, 120, "the rest: nobody is forgotten")
    for c in flood:
        c.close()


def cpu_s(proxy):
    with open(f"/proc/{proxy.proc.pid}/stat") as f:
        return sum(map(int, f.read().rsplit(") ", 1)[1].split()[11:13])) / os.sysconf("SC_CLK_TCK")


def test_those_who_leave_leave_no_work(start, pg, costly):
    """Whose client is gone before its turn is not judged any more."""
    proxy = start(auth_type="plain", userlist={"app": costly}, databases=with_password(pg))
    before = cpu_s(proxy)
    assert attempt(proxy, "secret")
    once = cpu_s(proxy) - before
    before = cpu_s(proxy)
    for _ in range(4):
        for c in [send_password(proxy, b"wrong", "127.0.0.2") for _ in range(40)]:
            c.close()
    assert attempt(proxy, "secret")
    assert cpu_s(proxy) - before < 80 * once, "most of a hundred and sixty were judged for nobody"


# --- TLS with large keys ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large_key(tmp_path_factory):
    where = tmp_path_factory.mktemp("tls")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:4096", "-nodes", "-days", "30", "-subj", "/CN=localhost",
                    "-keyout", "key.pem", "-out", "cert.pem"], check=True, cwd=where, capture_output=True)
    return dict(client_tls_sslmode="allow", client_tls_cert_file=f"{where}/cert.pem", client_tls_key_file=f"{where}/key.pem")


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_handshakes_with_a_large_key_are_made_aside(start, large_key, version):
    """Dozens at once, each of milliseconds; drivers notice nothing, and statements go on."""
    proxy = start(workers=1, max_server_connections=4, query_wait_timeout=60, **large_key)
    dsn = proxy.dsn(sslmode="require", ssl_min_protocol_version=version, ssl_max_protocol_version=version, connect_timeout="60")

    def work(i):
        with psycopg.connect(dsn, autocommit=True) as conn:
            assert conn.execute("select %s::int, repeat('x', 100000)", [i]).fetchone()[0] == i
        return i
    assert crowd(40, work, 120) == list(range(40))
    wait_until(lambda: int(proxy.pool()["cl_active"]) == 0, 30, "their end")
    ticks = {}
    for task in os.listdir(f"/proc/{proxy.proc.pid}/task"):
        with open(f"/proc/{proxy.proc.pid}/task/{task}/stat") as f:
            name, rest = f.read().split("(", 1)[1].rsplit(") ", 1)
        ticks[name] = ticks.get(name, 0) + sum(map(int, rest.split()[11:13]))
    assert ticks["weir-0"] < ticks["weir-job"], ticks


def test_gone_in_a_handshake_aside(start, large_key):
    """Whoever leaves at any moment of it leaves nothing behind; nor does one who sends nonsense."""
    proxy = start(workers=1, client_login_timeout=2, **large_key)
    with proxy.client() as c:
        c.value("select 1")
    before = proxy.fd_count()
    for cut in (1, 5, 80, 200, 300):
        for _ in range(10):
            c = proxy.open(20)
            c.send(struct.pack("!II", 8, 80877103))
            assert c.sock.recv(1) == b"S"
            inc, out = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = wire.insecure_context().wrap_bio(inc, out)
            with pytest.raises(ssl.SSLWantReadError):
                tls.do_handshake()
            c.send(out.read()[:cut])
            if cut == 80:
                c.reset()
            elif cut != 200:
                c.close()
    stuck = proxy.open(20)
    stuck.send(struct.pack("!II", 8, 80877103))
    assert stuck.sock.recv(1) == b"S"
    stuck.send(b"GET / HTTP/1.1\r\n\r\n")
    stuck.until_closed(20)
    with psycopg.connect(proxy.dsn(sslmode="require")) as conn:
        assert conn.execute("select 1").fetchone() == (1,)
    wait_until(lambda: proxy.fd_count() <= before + 2, 30, f"{before} descriptors again, now {proxy.fd_count()}")


def test_reload_and_stop_while_handshakes_are_aside(start, large_key, pg):
    proxy = start(workers=2, client_login_timeout=60, **large_key)
    stop = threading.Event()

    def work(i):
        n = 0
        while not stop.is_set():
            try:
                with psycopg.connect(proxy.dsn(sslmode="require", connect_timeout="30")) as conn:
                    conn.execute("select 1")
                n += 1
            except psycopg.OperationalError:
                assert stop.is_set()
        return n
    from harness.proxy import Crowd
    some = Crowd(8, work).start()
    for i in range(6):
        time.sleep(0.3)
        proxy.reconfigure(client_login_timeout=60 + i)
    stop.set()
    proxy.proc.terminate()
    assert proxy.wait(40) == 0
    assert sum(some.join(60)) > 0
