# SPDX-License-Identifier: ISC
"""Bytes from hell, storms, and databases that restart, freeze, vanish or lie.

Every test keeps a witness: an honest client that must go on working, undisturbed.
"""

import os
import random
import signal
import socket
import struct
import time

import pytest

from harness import wire
from harness.liar import LOGIN, Liar, READY, one_row
from harness.proxy import ADMIN, Crowd, Sampler, crowd, wait_until
from harness.wire import Closed, Conn, PgError, cstr, message

pytestmark = pytest.mark.weir_only


@pytest.fixture
def witness(shared):
    """An honest client of the shared weir: it worked before and works after, at once."""
    conn = shared.client()
    assert conn.value("select 1") == "1"
    yield conn
    begun = time.monotonic()
    assert conn.value("select 2") == "2"
    with shared.client() as new:
        assert new.value("select 3") == "3"
    assert time.monotonic() - begun < 15
    conn.terminate()


BEFORE_LOGIN = {
    "nothing": b"",
    "zero length": struct.pack("!I", 0),
    "length 4": struct.pack("!I", 4),
    "length 7": struct.pack("!II", 7, 196608),
    "negative length": struct.pack("!iI", -1, 196608) + b"x" * 100,
    "1 GB": struct.pack("!II", 1 << 30, 196608) + b"x" * 10000,
    "2 GB": struct.pack("!II", 0x7fffffff, 196608) + b"user\0",
    "no terminator": struct.pack("!II", 8 + 8, 196608) + b"user\0app",
    "no user": wire.startup_packet({"database": "shop"}),
    "empty user": wire.startup_packet({"user": ""}),
    "name without value": struct.pack("!II", 8 + 6, 196608) + b"user\0\0",
    "bytes behind the end": struct.pack("!II", 8 + 14, 196608) + b"user\0app\0\0more",
    "protocol 1": wire.startup_packet({"user": "app"}, 65536),
    "protocol 99": wire.startup_packet({"user": "app"}, 99 << 16),
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "tls hello without alpn": bytes.fromhex("160301002f0100002b0303") + b"\0" * 40,
    "query first": wire.query("select 1"),
    "cancel too short": struct.pack("!III", 12, wire.CANCEL_REQUEST, 1),
    "cancel too long": struct.pack("!II", 4096, wire.CANCEL_REQUEST) + b"x" * 4088,
    "ssl twice": struct.pack("!II", 8, wire.SSL_REQUEST) * 100,
    "random": random.Random(1).randbytes(5000),
    "nuls": b"\0" * 5000,
    "long user": wire.startup_packet({"user": "u" * 9000, "database": "shop"}),
    "many parameters": wire.startup_packet({"user": "app", **{f"p{i}": "v" for i in range(3000)}}),
}


@pytest.mark.parametrize("what", sorted(BEFORE_LOGIN))
def test_bytes_before_login(shared, witness, what):
    conn = shared.open()
    try:
        conn.send(BEFORE_LOGIN[what])
        conn.sock.shutdown(socket.SHUT_WR)
        data = b""
        while True:
            part = conn.sock.recv(65536)
            if not part:
                break
            data += part
            assert len(data) < 100000
    except OSError:
        pass
    conn.close()


def sasl_answers(bad):
    def talk(conn):
        conn.startup({"user": "app", "database": "shop"})
        conn.recv()
        conn.send(bad)
    return talk


FIRST = b"n,,n=,r=abcdefgh"
IN_LOGIN = {
    "query instead of an answer": sasl_answers(wire.query("select 1")),
    "1 GB password message": sasl_answers(b"p" + struct.pack("!I", 1 << 30) + b"x" * 1000),
    "length 0": sasl_answers(b"p" + struct.pack("!I", 0)),
    "negative length": sasl_answers(b"p" + struct.pack("!i", -5)),
    "no mechanism": sasl_answers(message("p", b"")),
    "unknown mechanism": sasl_answers(message("p", cstr("SCRAM-MD5") + struct.pack("!I", 3) + b"n,,")),
    "inner length too long": sasl_answers(message("p", cstr("SCRAM-SHA-256") + struct.pack("!I", 9999) + FIRST)),
    "inner length negative": sasl_answers(message("p", cstr("SCRAM-SHA-256") + struct.pack("!i", -2) + FIRST)),
    "no nonce": sasl_answers(message("p", cstr("SCRAM-SHA-256") + struct.pack("!I", 5) + b"n,,n=")),
    "channel binding without tls": sasl_answers(message("p", cstr("SCRAM-SHA-256-PLUS") + struct.pack("!I", 30)
                                                        + b"p=tls-server-end-point,,n=,r=a")),
    "nuls": sasl_answers(message("p", cstr("SCRAM-SHA-256") + struct.pack("!I", 20) + b"\0" * 20)),
    "terminate": sasl_answers(wire.TERMINATE),
}


@pytest.mark.parametrize("what", sorted(IN_LOGIN))
def test_bytes_in_login(shared, witness, what):
    conn = shared.open(5)
    IN_LOGIN[what](conn)
    msgs = conn.until_closed(5)
    for m in msgs:
        assert m.type in "ER", m
    if what != "terminate":
        assert not any(m.type == "R" and m.body == b"\0\0\0\0" for m in msgs), "let in"
    conn.close()


@pytest.mark.parametrize("spoil", ["proof", "nonce", "binding", "garbage", "empty"])
def test_second_scram_message_spoilt(shared, witness, spoil):
    conn = shared.open(5).startup({"user": "app", "database": "shop"})
    conn.recv()
    scram = wire.Scram("secret")
    first = scram.first()
    conn.send(message("p", cstr("SCRAM-SHA-256") + struct.pack("!I", len(first)) + first))
    final = scram.final(conn.recv().body[4:])
    if spoil == "proof":
        final = final[:-6] + b"AAAAA="
    elif spoil == "nonce":
        final = final.replace(b"r=", b"r=x")
    elif spoil == "binding":
        final = final.replace(b"c=biws", b"c=eSws")
    elif spoil == "garbage":
        final = os.urandom(200)
    else:
        final = b""
    conn.send(message("p", final))
    msgs = conn.until_closed(5)
    assert wire.kinds(msgs) == "E" and wire.error_code(msgs) in ("28P01", "08P01", "28000")
    conn.close()


AFTER_LOGIN = {
    "unknown type": message("!", b"what"),
    "type 0": b"\0" + struct.pack("!I", 4),
    "server's type": message("Z", b"I"),
    "length 0": b"Q" + struct.pack("!I", 0),
    "length 3": b"Q" + struct.pack("!I", 3),
    "negative length": b"Q" + struct.pack("!i", -1) + b"x" * 100,
    "overflowing length": b"Q" + struct.pack("!I", 0xfffffffe) + b"x" * 100,
    "query without its nul": message("Q", b"select 1"),
    "query with two nuls": message("Q", b"select 1\0select 2\0"),
    "empty query body": message("Q", b""),
    "parse without types": message("P", b"s\0select 1\0"),
    "parse with too few types": message("P", b"s\0select 1\0" + struct.pack("!HI", 5, 23)),
    "parse without nul": message("P", b"s"),
    "bind cut off": message("B", b"\0s\0" + struct.pack("!HHi", 0, 1, 100) + b"x"),
    "bind with counts that lie": message("B", b"\0\0" + struct.pack("!HH", 65535, 65535)),
    "bind without a name": message("B", b"\0"),
    "execute cut off": message("E", b"\0\0"),
    "describe of nothing": message("D", b""),
    "describe of the wrong kind": message("D", b"X\0"),
    "close of nothing": message("C", b""),
    "sync with a body": message("S", b"body"),
    "function call cut off": message("F", b"\0\0"),
    "copy data out of the blue": wire.copy_data(b"x") * 10,
    "copy done out of the blue": wire.COPY_DONE,
    "password out of the blue": message("p", b"x\0"),
    "startup again": wire.startup_packet({"user": "app", "database": "shop"}),
    "random": random.Random(2).randbytes(3000),
    "nuls": b"\0" * 3000,
}


@pytest.mark.parametrize("what", sorted(AFTER_LOGIN))
@pytest.mark.parametrize("where", ["idle", "transaction"])
def test_bytes_after_login(shared, pg, witness, what, where):
    """Whatever comes of it, it comes to the one who did it: PostgreSQL's error, or the end of its session."""
    conn = shared.client(timeout=5)
    if where == "transaction":
        conn.simple("begin")
        conn.simple("insert into scratch (who) values ('hell')")
    try:
        conn.send(AFTER_LOGIN[what])
        conn.sock.shutdown(socket.SHUT_WR)
        msgs = conn.until_closed(5)
        assert wire.kinds(msgs).count("Z") <= 12
    except OSError:
        pass
    conn.close()
    with shared.client() as c:
        assert c.value("select count(*) from scratch") == "0"
    assert shared.proc.poll() is None


def test_one_gigabyte_announced_before_login_costs_nothing(start):
    proxy = start()
    before = proxy.status("VmRSS")
    conns = []
    for _ in range(100):
        c = proxy.open()
        c.send(struct.pack("!II", 1 << 30, 196608) + b"x" * 1000)
        conns.append(c)
    time.sleep(0.2)
    assert proxy.status("VmRSS") - before < 4096
    with proxy.client() as c:
        assert c.value("select 1") == "1"
    for c in conns:
        c.close()


def test_one_gigabyte_announced_after_login_costs_nothing(start):
    proxy = start(max_server_connections=2)
    before = proxy.status("VmRSS")
    conns = []
    for kind in "QPBd":
        c = proxy.client()
        c.send(kind.encode() + struct.pack("!I", 1 << 30) + b"x" * 100000)
        conns.append(c)
    time.sleep(0.3)
    assert proxy.status("VmRSS") - before < 8192
    for c in conns:
        c.close()
    with proxy.client() as c:
        assert c.value("select 1") == "1"


def test_slow_loris(start):
    """Two hundred clients that send a byte now and then neither get in each other's way nor stay for ever."""
    proxy = start(client_login_timeout=3)
    packet = wire.startup_packet({"user": "app", "database": "shop"})
    slow = [proxy.open() for _ in range(200)]
    for i in range(5):
        for c in slow:
            try:
                c.send(packet[i:i + 1])
            except OSError:
                pass
        with proxy.client() as c:
            begun = time.monotonic()
            c.value("select 1")
            assert time.monotonic() - begun < 15
        time.sleep(0.2)
    wait_until(lambda: proxy.fd_count() < 100, 8, "the slow ones' end")
    for c in slow:
        c.close()


def test_a_message_that_never_ends_holds_no_connection(start):
    """Outside a transaction nothing is borrowed before there is something to send."""
    proxy = start(max_server_connections=1, query_wait_timeout=3)
    slow = proxy.clients(5)
    for c in slow:
        c.send(wire.query("select 1")[:3])
    with proxy.client() as c:
        assert c.value("select 1") == "1"
    for c in slow:
        c.close()


# --- descriptors ------------------------------------------------------------------------------------------

def test_out_of_descriptors(start, pg):
    """With 256 descriptors and 400 clients: those inside are served, the console and the database's side
    keep theirs, accepting pauses, says so, and goes on when there is room."""
    proxy = start(fd_limit=256, max_client_conn=1000, max_server_connections=5)
    crowd_ = []
    for _ in range(400):
        c = socket.socket()
        c.setblocking(False)
        try:
            c.connect((proxy.host, proxy.port))
        except BlockingIOError:
            pass
        crowd_.append(c)
    time.sleep(0.5)
    assert proxy.fd_count() <= 256
    assert "weir_build_info" in proxy.http("/metrics")
    assert proxy.http("/healthz") is not None
    for c in crowd_[:350]:  # those left say nothing, and hold their places until client_login_timeout
        c.close()
    with proxy.client(timeout=15) as c:
        assert c.value("select 1") == "1"
    for c in crowd_:
        c.close()
    wait_until(lambda: proxy.fd_count() < 60, 10, "the descriptors' return")
    with proxy.client() as c:
        assert c.value("select 1") == "1"
    assert "descriptor" in proxy.log()


def test_a_storm_of_logged_in_clients_leaves_descriptors_for_the_servers(start, pg):
    proxy = start(fd_limit=256, max_client_conn=1000, max_server_connections=5)
    clients, refused = [], 0
    for _ in range(300):
        try:
            clients.append(proxy.client(timeout=1))
        except (PgError, Closed, OSError, TimeoutError):
            refused += 1
            if refused > 3:
                break
    assert len(clients) > 100
    with Conn(proxy.dir, proxy.port).login(*ADMIN, "weir") as console:  # over the network nobody else gets in
        assert len(console.dicts("show clients")) > 100
    done = crowd(50, lambda i: clients[i].value("select pg_sleep(0.02)"))
    assert len(done) == 50
    assert pg.count() >= 2
    for c in clients:
        c.close()


# --- signals -------------------------------------------------------------------------------------------------

def test_broken_file_is_refused_whole_with_all_its_errors(start):
    proxy = start(max_server_connections=2)
    with proxy.client() as c:
        good = open(proxy.ini_path).read()
        broken = good.replace("[weir]", "[weir]\nnonsense = 1\nquery_timeout = soon") \
                     .replace("max_server_connections = 2", "max_server_connections = 9")
        with open(proxy.ini_path, "w") as f:
            f.write(broken)
        at = len(proxy.log())
        proxy.signal(signal.SIGHUP)
        proxy.wait_log("nonsense", 5, at)
        proxy.wait_log("query_timeout", 5, at)
        value = next(r["value"] for r in proxy.show("CONFIG") if r["key"] == "max_server_connections")
        assert value == "2"
        assert c.value("select 1") == "1"
        with open(proxy.ini_path, "w") as f:
            f.write(good.replace("max_server_connections = 2", "max_server_connections = 4"))
        proxy.signal(signal.SIGHUP)
        wait_until(lambda: next(r["value"] for r in proxy.show("CONFIG") if r["key"] == "max_server_connections") == "4", 5,
                   "the new bound")


def test_a_file_that_has_lost_its_databases_is_refused(start):
    """As one is for a moment that somebody is writing."""
    proxy = start()
    with proxy.client() as c:
        for text in ("", "[weir]\n"):
            at = len(proxy.log())
            with open(proxy.ini_path, "w") as f:
                f.write(text)
            proxy.signal(signal.SIGHUP)
            for said in ("no database is left", "refused, the running one stays"):
                proxy.wait_log(said, 10, at)
            assert c.value("select 1") == "1"
        with proxy.client() as d:
            assert d.value("select 2") == "2"


def test_reload_under_load_disturbs_nobody(start):
    proxy = start(max_server_connections=3)
    end = time.monotonic() + 3

    def work(i):
        with proxy.client() as c:
            n = 0
            while time.monotonic() < end:
                c.value("select 1")
                n += 1
            return n
    hogs = Crowd(10, work).start()
    while time.monotonic() < end:
        proxy.reconfigure(query_wait_timeout=random.choice([10, 20, 30]), max_server_connections=random.choice([2, 3, 4]))
        time.sleep(0.05)
    assert min(hogs.join()) > 0


def test_reload_of_users_and_databases(start, pg):
    proxy = start()
    with pytest.raises(PgError):
        proxy.client("newcomer", password="x")
    with pg.superuser("postgres") as s:
        s.rows("create role newcomer login password 'fresh'")
    try:
        proxy.userlist["newcomer"] = "fresh"
        proxy.databases["renamed"] = {"host": pg.host, "port": pg.port, "dbname": "shop"}
        with proxy.client() as old:
            proxy.reconfigure()
            def try_it():
                try:
                    return proxy.client("newcomer", "renamed", "fresh")
                except PgError:
                    return None
            with wait_until(try_it, 15, "the new user") as c:
                assert c.value("select current_user") == "newcomer"
            assert old.value("select 1") == "1"
            del proxy.databases["renamed"]
            proxy.reconfigure()

            def refused():
                try:
                    proxy.client("newcomer", "renamed", "fresh").close()
                    return False
                except PgError as err:
                    return err.code == "3D000"
            wait_until(refused, 15, "the database's end")
    finally:
        proxy.stop()
        with pg.superuser("postgres") as s:
            s.rows("drop role newcomer")


def refused(host, port):
    """At once: who may go elsewhere is not kept waiting."""
    try:
        Conn(host, port, 2).close()
    except (ConnectionRefusedError, FileNotFoundError):
        return True
    return False


def test_sigterm_drains(start):
    """Who is in a transaction ends it; who is idle is told 57P01; nobody new gets in; then it is over."""
    proxy = start(shutdown_timeout=10)
    busy, running, idle = proxy.clients(3)
    silent, half = proxy.open(), proxy.open().startup({"user": "app", "database": "shop"})
    assert half.recv().type == "R"
    busy.simple("begin")
    busy.simple("insert into scratch (who) values ('drained')")
    running.send(wire.query("select pg_sleep(0.5), 'ran'"))
    time.sleep(0.1)
    proxy.signal(signal.SIGTERM)
    for who in (idle, silent, half):
        assert wire.error_code(who.until_closed(5)) == "57P01"
    wait_until(lambda: refused(proxy.host, proxy.port) and refused(proxy.dir, proxy.port), what="a closed door")
    assert wire.rows(running.until()) == [["", "ran"]]
    assert busy.value("select 1") == "1"
    assert wire.tags(busy.simple("commit")) == ["COMMIT"]
    assert wire.error_code(busy.until_closed(5)) in ("57P01", None)
    assert proxy.wait(10) == 0
    with proxy.pg.superuser() as s:
        assert s.value("select count(*) from scratch") == "1"
        s.rows("delete from scratch")


def test_who_shares_the_port_serves_while_another_drains(start):
    old = start(so_reuseport=1, unix_socket_dir=None)
    stays = old.client()
    stays.simple("begin")
    new = start(so_reuseport=1, unix_socket_dir=None, listen_port=old.port, start=False)
    new.port = old.port
    new.start()
    old.signal(signal.SIGTERM)
    old.wait_log("no longer listening")
    for _ in range(20):
        with new.client() as c:
            assert c.value("select 1") == "1"
    stays.simple("commit")
    assert old.wait(10) == 0


def test_sigterm_ends_after_shutdown_timeout(start):
    proxy = start(shutdown_timeout=1)
    with proxy.client() as c:
        c.simple("begin")
        proxy.signal(signal.SIGTERM)
        begun = time.monotonic()
        assert proxy.wait(30) == 0
        assert 0.5 < time.monotonic() - begun < 25


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGQUIT])
def test_a_signal_ends_at_once(start, pg, which):
    proxy = start()
    with proxy.client("app3") as c:
        c.simple("begin")
        proxy.signal(which)
        begun = time.monotonic()
        assert proxy.wait(30) == 0
        assert time.monotonic() - begun < 15
    wait_until(lambda: pg.count("usename = 'app3'") == 0, 15, "the servers' end")


@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM"])
def test_the_end_is_told(start, how):
    """Idle, in a transaction, with a statement under way, waiting or in the middle of its login: each hears 57P01.
    Not who is in the middle of an answer, where it would be taken for a part of that."""
    proxy = start(shutdown_timeout=1, max_server_connections=3, client_spool=65536, lease_dead_after=600)
    inside, running, torn, idle, waiting = proxy.clients(5)
    half = proxy.open().startup({"user": "app", "database": "shop"})
    assert half.recv().type == "R"
    inside.simple("begin")
    running.send(wire.query("select pg_sleep(60)"))
    torn.send(wire.query("select repeat('x', 100000000)"))
    wait_until(lambda: proxy.pg.count("query like 'select pg_sleep(60)%' and state = 'active'") == 1 and torn.readable(0.1),
               20, "statements under way")
    waiting.send(wire.query("select 1"))
    wait_until(lambda: int(proxy.pool()["cl_waiting"]) == 1, 20, "a client that waits")
    ENDS[how](proxy)
    for who in (half, idle, waiting, inside, running):
        assert wire.error_code(who.until_closed(30)) == "57P01"
    with pytest.raises((Closed, OSError)):
        while torn.read_bytes(1):
            pass
    assert proxy.wait(30) == 0
    with proxy.pg.superuser() as s:  # the server looks for its client when the statement is over
        s.rows("select pg_terminate_backend(pid) from pg_stat_activity where query like 'select pg_sleep(60)%'")
    wait_until(lambda: proxy.pg.count("query like 'select pg_sleep(60)%'") == 0, 20, "the end of the statement")


ENDS = {"SIGINT": lambda p: p.signal(signal.SIGINT), "SHUTDOWN": lambda p: p.console().send(wire.query("SHUTDOWN")),
        "SIGTERM": lambda p: p.signal(signal.SIGTERM)}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("how", ENDS)
def test_the_end_with_tls_clients_open(start, pg, how, workers):
    """Idle, in a transaction, in the middle of its handshake, and one whose session sleeps: weir ends in order."""
    proxy = start(client_tls_sslmode="allow", client_tls_key_file=f"{pg.certs}/localhost.key",
                  client_tls_cert_file=f"{pg.certs}/localhost.crt", shutdown_timeout=1, workers=workers)
    clients = []
    for _ in range(4):
        c = proxy.open()
        c.start_tls()
        clients.append(c.login("app", "secret", "shop"))
    time.sleep(3.5)  # the sessions of all these are put to sleep
    clients[0].simple("begin")
    clients[1].value("select 1")
    half = proxy.open()
    half.send(struct.pack("!II", 8, wire.SSL_REQUEST))
    assert half.read_bytes(1) == b"S"
    ENDS[how](proxy)
    assert proxy.wait(30) == 0


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("order", ["PAUSE", "WAIT_CLOSE"])
def test_the_end_while_an_order_waits(start, order, how):
    """For a transaction that is not over: nobody is told any more, and weir ends in order."""
    proxy = start(shutdown_timeout=1)
    with proxy.client() as c, proxy.console() as console:
        c.simple("begin")
        with proxy.console() as other:
            other.simple("RECONNECT")
        console.send(wire.query(order))
        assert not console.readable(0.3)
        ENDS[how](proxy)
        assert proxy.wait(30) == 0


def test_signals_pause_and_resume(start):
    """SIGUSR1 and SIGUSR2, as PgBouncer takes them; a RESUME of nothing is only said."""
    proxy = start()
    with proxy.client() as c, proxy.client("app3") as other:
        c.value("select 1")
        proxy.signal(signal.SIGUSR2)
        proxy.wait_log("nothing is paused")
        proxy.signal(signal.SIGUSR1)
        wait_until(lambda: [r["paused"] for r in proxy.show("DATABASES") if r["name"] == "shop"] == ["1"], what="the pause")
        for waits in (c, other):
            waits.send(wire.query("select 2"))
        wait_until(lambda: int(proxy.pool()["cl_waiting"]) == 1, what="a client that waits")
        proxy.signal(signal.SIGUSR2)
        for waits in (c, other):
            assert wire.rows(waits.until()) == [["2"]]


# --- the database ----------------------------------------------------------------------------------------------

def hammer(proxy, end, tolerate=True):
    """Clients that work outside transactions; returns for each (done, errors, done since the last error)."""
    def work(_):
        done, since, errors = 0, 0, []
        c = proxy.client()
        while time.monotonic() < end():
            try:
                c.value("select pg_sleep(0.002)")
                done, since = done + 1, since + 1
            except PgError as err:
                errors.append(err.code)
                since = 0
                time.sleep(0.02)
        c.terminate()
        return done, errors, since
    return work


def test_restart_under_load_is_a_delay_for_those_outside_transactions(start, own_pg):
    pg = own_pg()
    proxy = start(server=pg, max_server_connections=4, query_wait_timeout=60, server_login_retry=15)
    end = [time.monotonic() + 30]
    with Sampler(pg) as seen:
        hogs = Crowd(20, hammer(proxy, lambda: end[0])).start()
        time.sleep(1)
        pg.restart()
        end[0] = time.monotonic() + 2
        done = hogs.join(30)
    assert all(since > 0 for _, _, since in done)
    # the statements that ran at that moment were lost with the server, and no others: at most one each
    lost = sum(len(errors) for _, errors, _ in done)
    assert lost <= 20, [e for _, e, _ in done]
    assert seen.highest <= 4

    def quiet():
        row = proxy.pool()
        return all(int(row[k]) == 0 for k in ("cl_waiting", "sv_active", "sv_login"))
    wait_until(quiet, 30, "the end of all logins and loans")


def test_killed_backends_are_replaced_without_a_word_to_idle_clients(start, pg):
    proxy = start(max_server_connections=3)
    clients = proxy.clients(6)
    crowd(3, lambda i: clients[i].value("select pg_sleep(0.1)"))
    with pg.superuser() as s:
        s.rows("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'")
    time.sleep(0.1)
    for c in clients:
        assert c.value("select 1") == "1"
        c.terminate()


def test_backend_killed_in_a_transaction_says_so_and_the_session_goes_on_or_ends(start, pg):
    proxy = start(max_server_connections=2)
    c = proxy.client()
    c.simple("begin")
    pid = c.backend_pid()
    with pg.superuser() as s:
        s.rows(f"select pg_terminate_backend({pid})")
    time.sleep(0.1)
    try:
        msgs = c.simple("select 1")
        assert wire.error_code(msgs) in ("57P01", "08006", "40001")
    except (Closed, OSError):
        msgs = c.log
    assert any(m.type == "E" and m.fields["C"] in ("57P01", "08006", "40001") for m in c.log)
    c.close()
    with proxy.client() as d:
        assert d.value("select 1") == "1"


def test_a_frozen_database_and_its_return(start, own_pg):
    """SIGSTOP for the postmaster and all backends: it looks like a machine that hangs. Clients that can't be
    served get their answer in time, and the pool comes back by itself."""
    pg = own_pg()
    proxy = start(server=pg, max_server_connections=2, query_wait_timeout=1)
    a, b = proxy.clients(2)
    a.simple("begin"), b.simple("begin")
    a.simple("commit"), b.simple("commit")
    third = proxy.client()
    pids = [int(x["pid"]) for x in pg.activity()] + [pg.proc.pid]
    pg.signal_backends(signal.SIGSTOP, pids)
    try:
        a.send(wire.query("select 1")), b.send(wire.query("select 1"))
        time.sleep(0.2)
        begun = time.monotonic()
        msgs = third.simple("select 1")
        assert wire.error_code(msgs) in ("53300", "08006") and time.monotonic() - begun < 15
        assert proxy.show("POOLS"), "the console is there all the time"
        assert proxy.http("/healthz") is not None
    finally:
        pg.signal_backends(signal.SIGCONT, pids)
    assert wire.error_code(a.until()) is None
    assert wire.error_code(b.until()) is None
    assert third.value("select 1") == "1"
    for c in (a, b, third):
        c.terminate()


def test_a_database_that_is_down_at_start_is_found_later(start, own_pg):
    pg = own_pg()
    pg.stop()
    proxy = start(server=pg, query_wait_timeout=15)
    with proxy.client() as c:
        assert wire.error_code(c.simple("select 1")) in ("08006", "08001", "53300", None)
        pg.start()

        def served():
            return wire.error_code(c.simple("select 1")) is None
        wait_until(served, 10, "service")


def test_server_still_starting_up_is_57p03(start):
    """57P03 while it starts, as the database would say it itself."""
    def talk(sock, kind, body):
        return False
    refusal = message("E", b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0")
    with Liar(talk, refusal) as liar:
        proxy = start(databases={"shop": {"host": liar.host, "port": liar.port}}, query_wait_timeout=3, auth_type="trust")
        with proxy.client() as c:
            assert wire.error_code(c.simple("select 1")) == "57P03"


# --- servers that lie ------------------------------------------------------------------------------------------

def lies():
    yield "negative length", lambda s: s.sendall(b"D" + struct.pack("!i", -1))
    yield "length 0", lambda s: s.sendall(b"D" + struct.pack("!I", 0))
    yield "2 GB", lambda s: s.sendall(b"D" + struct.pack("!I", 0x7fffffff) + b"x" * 1000) or False
    yield "unknown type", lambda s: s.sendall(message("~", b"x"))
    yield "client's type", lambda s: s.sendall(message("Q", b"select 1\0"))
    yield "ready with no state", lambda s: s.sendall(message("Z", b""))
    yield "ready with an unknown state", lambda s: s.sendall(message("Z", b"?"))
    yield "authentication again", lambda s: s.sendall(message("R", struct.pack("!I", 3)))
    yield "half a message and the end", lambda s: s.sendall(b"T\0\0\0\x20ab") or False
    yield "the end", lambda s: False
    yield "a row out of the blue", lambda s: s.sendall(message("D", struct.pack("!H", 0))) or False
    yield "error without end", lambda s: s.sendall(message("E", b"SERROR")) or False
    yield "parameter status without value", lambda s: s.sendall(message("S", b"TimeZone")) or False
    yield "garbage", lambda s: s.sendall(random.Random(3).randbytes(2000)) or False
    yield "key data again", lambda s: s.sendall(message("K", b"x")) or False


LIES = dict(lies())


@pytest.mark.parametrize("what", sorted(LIES))
def test_a_server_that_lies_costs_its_client_an_error_and_nobody_else_anything(start, pg, what):
    lie = LIES[what]

    def serve(sock, kind, body):
        if kind == "Q" and b"lie" in body:
            return lie(sock)
        if kind == "Q":
            sock.sendall(one_row())
        elif kind == "S":
            sock.sendall(READY)
        return True
    with Liar(serve) as liar:
        proxy = start(databases={"shop": {"host": liar.host, "port": liar.port}, "other": {"host": pg.host, "port": pg.port}},
                      query_wait_timeout=4, query_timeout=3, auth_type="trust")
        honest = proxy.client(database="other")
        conn = proxy.client(timeout=8)
        conn.value("select 1")
        conn.send(wire.query("lie"))
        try:
            conn.until("Z", 1, 6)
        except (Closed, OSError, TimeoutError, struct.error):
            pass
        conn.close()
        assert honest.value("select 1") == "1"
        with proxy.client(timeout=8) as again:
            assert again.value("select 1") == "1", "the pool comes back"
        honest.terminate()


def test_ready_twice_is_not_lent_on(start):
    """A server that answers twice is out of step: the next borrower must not get the first one's leftovers."""
    def serve(sock, kind, body):
        if kind == "Q" and b"twice" in body:
            sock.sendall(one_row("first") + one_row("leftover"))
        elif kind == "Q":
            sock.sendall(one_row("mine"))
    with Liar(serve) as liar:
        proxy = start(databases={"shop": {"host": liar.host, "port": liar.port}}, max_server_connections=1, auth_type="trust")
        a, b = proxy.clients(2)
        a.send(wire.query("twice"))
        a.until()
        time.sleep(0.1)
        assert b.value("select 1") == "mine"
        assert b.value("select 1") == "mine"
        a.close(), b.terminate()


def test_unasked_data_on_an_idle_connection_closes_it(start):
    sockets = []

    def serve(sock, kind, body):
        sockets.append(sock)
        sock.sendall(one_row("mine"))
    with Liar(serve) as liar:
        proxy = start(databases={"shop": {"host": liar.host, "port": liar.port}}, max_server_connections=1, auth_type="trust")
        with proxy.client() as c:
            c.value("select 1")
            sockets[-1].sendall(one_row("leftover"))
            time.sleep(0.2)
            assert c.value("select 1") == "mine"
            assert c.value("select 1") == "mine"


def send_unread(sock, data, most):
    """Send it over and over until nothing more is taken, reading nothing; how many bytes were taken."""
    sent, idle = 0, 0
    sock.setblocking(False)
    while sent < most and idle < 20:
        try:
            at = sent % len(data)
            sent, idle = sent + sock.send(data[at:]), 0
        except BlockingIOError:
            idle += 1
            time.sleep(0.1)
    sock.settimeout(60)
    return sent


@pytest.mark.parametrize("inside", [False, True])
def test_who_asks_and_does_not_read_is_not_heard_further(start, inside):
    """What weir answers by itself needs no server whose speed would hold it back. Nothing of it is lost."""
    proxy = start()
    with proxy.client(timeout=60) as c:
        if inside:
            c.simple("begin")
        one = wire.query("show weir.deadline")
        answer = len(b"".join(wire.message(m.type, m.body) for m in c.ask(one)))
        sent = send_unread(c.sock, one * 4000, 60_000_000)
        assert sent < 60_000_000
        whole = sent // len(one)
        for left in range(whole * answer, 0, -65536):
            c.read_bytes(min(left, 65536))
        if sent % len(one) != 0:
            c.sock.sendall(one[sent % len(one):])
            c.read_bytes(answer)
        assert c.value("select 1") == "1"


LOGIN_LIES = {
    "garbage": b"\xff" * 500,
    "2 GB": b"R" + struct.pack("!I", 0x7fffffff),
    "never ready": LOGIN[:-6],
    "unknown authentication": message("R", struct.pack("!I", 77)),
    "error": message("E", b"SFATAL\0VFATAL\0C28000\0Mno entry\0\0"),
    "nothing": b"",
    "half": LOGIN[:30],
}


def rounds(count, pieces):
    """What a server says in a login by SCRAM that asks for so many of them, its message cut at `pieces`."""
    def serve(sock, kind, body):
        nonce = body[body.index(b"r=") + 2:] if b"r=" in body else b""
        whole = message("R", struct.pack("!I", 11) + b"r=" + nonce + b"zz,s=MDEyMzQ1Njc4OWFiY2RlZg==,i=%d" % count)
        for part in (whole[:pieces], whole[pieces:]):
            sock.sendall(part)
            time.sleep(0.01)
        return True
    return serve


@pytest.mark.parametrize("pieces", [0, 3, 40])
def test_a_server_that_asks_for_endless_rounds_of_scram(start, pg, pieces):
    """They would be computed where all servers' logins are, and the end of weir is ordered."""
    with Liar(rounds(2000000000, pieces), message("R", struct.pack("!I", 10) + b"SCRAM-SHA-256\0\0")) as liar:
        proxy = start(databases={"shop": {"host": liar.host, "port": liar.port, "user": "app", "password": "secret"},
                                 "other": {"host": pg.host, "port": pg.port}}, query_wait_timeout=10)
        with proxy.client(timeout=20) as c:
            msgs = c.simple("select 1", timeout=15)
            assert "iterations of SCRAM" in wire.errors(msgs)[0]["M"]
        with proxy.client(database="other") as c:
            assert c.value("select 1") == "1"
        proxy.signal(signal.SIGINT)
        assert proxy.wait(30) == 0


@pytest.mark.parametrize("what", sorted(LOGIN_LIES))
def test_a_server_that_lies_at_login(start, pg, what):
    with Liar(lambda *a: True, LOGIN_LIES[what]) as liar:
        proxy = start(databases={"shop": {"host": liar.host, "port": liar.port}, "other": {"host": pg.host, "port": pg.port}},
                      query_wait_timeout=5, server_connect_timeout=1, auth_type="trust")
        with proxy.client(timeout=12) as c:
            msgs = c.simple("select 1", timeout=10)
            assert wire.errors(msgs) and c.status == "I"
        with proxy.client(database="other") as c:
            assert c.value("select 1") == "1"
