# SPDX-License-Identifier: ISC
"""What only PostgreSQL 17 and later do, servers and clients. Needs WEIR_POSTGRES=unstable."""

import os
import signal
import struct
import subprocess
import time

import pytest

from harness import wire
from harness.postgres import bindir
from harness.proxy import wait_until
from harness.transcript import difference, play

pytestmark = pytest.mark.weir_only


def psql(dsn, *commands):
    line = [os.path.join(bindir(), "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", dsn]
    for command in commands:
        line += ["-c", command]
    return subprocess.run(line, capture_output=True, text=True, timeout=60)


def tls_settings(pg):
    return {"client_tls_sslmode": "allow", "client_tls_key_file": pg.certs + "/localhost.key",
            "client_tls_cert_file": pg.certs + "/localhost.crt", "client_tls_ca_file": pg.certs + "/ca.crt"}


def test_the_server_is_new(pg):
    with pg.superuser() as s:
        assert int(s.value("show server_version_num")) >= 170000


# --- clients -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("version", ["3.0", "3.2", "latest"])
def test_psql_asks_for_newer_protocols(shared, version):
    out = psql(shared.dsn(max_protocol_version=version), "select count(*) from items", "show search_path")
    assert (out.stdout, out.stderr) == ('1000\n"$user", public\n', "")


def test_psql_that_insists_on_3_2_is_told_what_there_is(shared):
    out = psql(shared.dsn(max_protocol_version="3.2", min_protocol_version="3.2"), "select 1")
    assert out.returncode == 2 and "3.0" in out.stderr, out.stderr


@pytest.mark.parametrize("more", [{}, {"max_protocol_version": "3.2"},
                                  {"sslmode": "verify-full", "sslnegotiation": "direct"}])
def test_psql_is_interrupted(start, pg, more):
    proxy = start(**tls_settings(pg))
    more = dict(more, sslrootcert=pg.certs + "/ca.crt") if "sslmode" in more else more
    dsn = proxy.dsn(**more)
    running = subprocess.Popen([os.path.join(bindir(), "psql"), "-XAtq", dsn, "-c", "select pg_sleep(300)"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: pg.count("state = 'active' and query like '%pg_sleep(300)%'") == 1, 30, "the statement")
    wait_until(lambda: running.send_signal(signal.SIGINT) or running.poll() is not None, 30, "its end", every=0.5)
    assert "canceling statement due to user request" in running.communicate()[1]
    with proxy.client() as c:
        assert c.value("select 1") == "1"


def test_psql_by_direct_tls(start, pg):
    proxy = start(**tls_settings(pg))
    dsn = proxy.dsn(sslmode="verify-full", sslnegotiation="direct", sslrootcert=pg.certs + "/ca.crt")
    out = psql(dsn, "\\conninfo", "select 1")
    assert out.returncode == 0 and "postgresql" in out.stdout, out.stdout + out.stderr  # its ALPN


def test_a_cancel_request_by_direct_tls(start, pg):
    """libpq 17 encrypts its cancel requests as it does the session."""
    proxy = start(**tls_settings(pg))
    with proxy.client() as c:
        c.send(wire.query("select pg_sleep(300)"))
        wait_until(lambda: pg.count("state = 'active' and query like '%pg_sleep(300)%'") == 1, 30, "the statement")
        other = proxy.open().start_tls(wire.insecure_context(["postgresql"]), direct=True)
        other.send(wire.cancel_packet(c.pid, c.key))
        other.until_closed()
        assert wire.error_code(c.until()) == "57014"


def test_a_long_key_cancels_nobody(shared, pg):
    """Protocol 3.2 allows keys of up to 256 bytes; the right four at their head are not the key."""
    with shared.client() as c:
        c.send(wire.query("select pg_sleep(1), 'slept'"))
        for key in (c.key + bytes(28), c.key + bytes(252)):
            other = shared.open()
            other.send(struct.pack("!III", 12 + len(key), wire.CANCEL_REQUEST, c.pid) + key)
            other.until_closed()
        assert wire.rows(c.until()) == [["", "slept"]]


# --- servers -------------------------------------------------------------------------------------------

def test_search_path_is_reported_as_the_server_does(shared, pg):
    with shared.client() as c:
        c.value("select 1")
    for options in ({}, {"search_path": "beta, alpha"}, {"options": "-c search_path=alpha"}):
        with pg.direct(**options) as direct, shared.client(**options) as c:
            assert c.parameters == direct.parameters
            assert "search_path" in c.parameters
            steps = ["select 1", "set search_path = alpha", "begin", "set search_path to beta, public", "rollback",
                     "select name from place", "begin", "set local search_path = beta", "select name from place", "commit",
                     "reset search_path", "discard all"]
            with shared.client(search_path="beta") as other:
                found = difference(steps, play(direct, steps), play(c, steps, lambda *_: other.value("select 1") and None))
            assert found is None, found


def test_transaction_timeout_belongs_to_its_session(start, pg):
    proxy = start(max_server_connections=1)
    with proxy.client() as c, proxy.client() as other:
        c.simple("set transaction_timeout = '1234s'")
        assert other.value("show transaction_timeout") == "0"
        assert c.value("show transaction_timeout") == "1234s"
        c.simple("begin")
        c.simple("set local transaction_timeout = '77s'")
        assert c.value("show transaction_timeout") == "77s"
        c.simple("commit")
        assert other.value("show transaction_timeout") == "0"
        assert c.value("show transaction_timeout") == "1234s"
    with proxy.client(transaction_timeout="4321s") as c:
        assert c.value("show transaction_timeout") == "4321s"


@pytest.mark.parametrize("text", ["set work_mem = '5MB'; set transaction_timeout = '2min'", "select set_config('transaction_timeout', '2min', false)",
                                  "do $$ begin set transaction_timeout = '2min'; end $$", "begin; set transaction_timeout = '2min'; commit"])
def test_transaction_timeout_that_is_asked_for_belongs_to_its_session(start, text):
    """Where the text alone doesn't tell, the server is asked what is set."""
    proxy = start(max_server_connections=1)
    with proxy.client() as one, proxy.client() as other:
        one.simple(text)
        assert [c.value("show transaction_timeout") for c in (other, one, other)] == ["0", "2min", "0"]
        one.simple("begin read only; reset transaction_timeout; commit")
        assert [c.value("show transaction_timeout") for c in (other, one)] == ["0", "0"]


def test_transaction_timeout_ends_the_session_as_it_does_directly(start, pg):
    proxy = start(max_server_connections=1)
    seen = []
    for conn in (pg.direct(), proxy.client()):
        conn.simple("set transaction_timeout = '200ms'")
        conn.simple("begin")
        msgs = conn.until_closed()
        seen.append((wire.kinds(msgs), wire.error_code(msgs), wire.errors(msgs)[0]["S"]))
    assert seen[0] == seen[1] and seen[0][1] == "25P04", seen
    with proxy.client() as c:
        assert c.value("show transaction_timeout") == "0"


def test_pg_receivewal_of_this_version(start, pg, tmp_path):
    proxy = start()
    running = subprocess.Popen([os.path.join(bindir(), "pg_receivewal"), "-D", str(tmp_path), "-d", proxy.dsn("repl")],
                               stderr=subprocess.PIPE)
    try:
        wait_until(lambda: any(tmp_path.iterdir()), 60, "a WAL segment")
    finally:
        running.terminate()
        running.wait(30)


def test_auto_leaves_what_is_reserved(own_pg, start):
    """reserved_connections is PostgreSQL 16's."""
    server = own_pg(max_connections=40, reserved_connections=7, superuser_reserved_connections=3)
    proxy = start(server=server, max_server_connections="auto")
    with proxy.client() as c:
        c.value("select 1")
    with proxy.console() as c:
        c.simple("show servers")
        limit = [line for line in proxy.http("/metrics").splitlines() if line.startswith("weir_server_connections_limit")]
    assert limit and int(float(limit[0].split()[-1])) <= 30, limit


def test_encrypted_cancel_and_login_of_the_server(start, pg):
    """SCRAM with channel binding, TLS and a cancel towards a server of this version."""
    proxy = start(server_tls_sslmode="verify-full", server_tls_ca_file=pg.certs + "/ca.crt",
                  databases={"shop": {"host": "localhost", "port": pg.port, "dbname": "shop"}})
    with proxy.client() as c:
        assert c.value("select ssl from pg_stat_ssl where pid = pg_backend_pid()") == "t"
        c.send(wire.query("select pg_sleep(300)"))
        time.sleep(0.2)
        c.cancel(proxy.host, proxy.port)
        assert wire.error_code(c.until()) == "57014"


def test_what_a_login_trigger_sets_is_the_connections_own(own_pg, start):
    """Event triggers at login are PostgreSQL 17's."""
    server = own_pg()
    with server.superuser("shop") as s:
        s.rows("create function hello() returns event_trigger language plpgsql as"
               " $$ begin perform set_config('work_mem', '3MB', false); end $$")
        s.rows("create event trigger hello on login execute function hello()")
        s.rows("alter event trigger hello enable always")
    proxy = start(server=server, max_server_connections=1)
    with proxy.client() as c, proxy.client() as other:
        c.simple("set lock_timeout = '5s'")
        assert [conn.value("show work_mem") for conn in (server.direct(), c, other)] == ["3MB"] * 3
