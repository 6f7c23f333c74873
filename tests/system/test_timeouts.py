# SPDX-License-Identifier: ISC
"""What time does: to idle transactions, long statements, idle clients, old and idle server connections."""

import time

import pytest

from harness import wire
from harness.proxy import crowd, wait_until
from harness.wire import Closed, PgError

weir_only = pytest.mark.weir_only


@weir_only
def test_idle_transaction_timeout_takes_the_loan_back(start, pg):
    """40001 with ReadyForQuery E, then 25P02 until the client ends it, and COMMIT is no success."""
    proxy = start(max_server_connections=1, idle_transaction_timeout=1)
    a = proxy.client()
    a.simple("begin")
    a.simple("insert into scratch (who) values ('late')")
    begun = time.monotonic()
    with proxy.client() as b:
        assert b.value("select count(*) from scratch") == "0"
    assert 0.5 < time.monotonic() - begun < 15
    assert not a.readable(0), "nothing unasked is sent"
    msgs = a.simple("select 1")
    assert wire.error_code(msgs) == "40001" and a.status == "E", wire.errors(msgs)
    msgs = a.simple("select 1")
    assert wire.error_code(msgs) == "25P02" and a.status == "E"
    assert wire.tags(a.simple("commit")) == ["ROLLBACK"]
    assert a.status == "I"
    assert a.value("select count(*) from scratch") == "0"
    a.terminate()


@weir_only
def test_commit_after_the_loan_was_taken_back_is_never_success(start):
    proxy = start(max_server_connections=1, idle_transaction_timeout=1)
    with proxy.client() as a:
        a.simple("begin")
        a.simple("insert into scratch (who) values ('late')")
        time.sleep(2.2)
        msgs = a.simple("commit")
        assert wire.error_code(msgs) == "40001" or wire.tags(msgs) == ["ROLLBACK"], msgs
        assert "COMMIT" not in wire.tags(msgs)
        if a.status == "E":
            a.simple("rollback")
        assert a.value("select count(*) from scratch") == "0"


@weir_only
def test_taken_back_in_extended_protocol(start):
    proxy = start(max_server_connections=1, idle_transaction_timeout=1)
    with proxy.client() as a:
        a.extended("begin")
        a.extended("insert into scratch (who) values ('late')")
        time.sleep(2.2)
        msgs = a.extended("select 1")
        assert wire.error_code(msgs) == "40001" and a.status == "E", wire.kinds(msgs)
        assert wire.error_code(a.extended("select 1")) == "25P02"
        assert wire.tags(a.extended("rollback")) == ["ROLLBACK"] and a.status == "I"
        assert a.value("select 1") == "1"


def test_an_active_transaction_is_not_idle(start):
    proxy = start(idle_transaction_timeout=1)
    with proxy.client() as a:
        a.simple("begin")
        assert wire.error_code(a.simple("select pg_sleep(2)")) is None
        for _ in range(3):
            time.sleep(0.5)
            assert wire.error_code(a.simple("select 1")) is None
        assert wire.tags(a.simple("commit")) == ["COMMIT"]


@weir_only
def test_transaction_timeout(start, pg):
    """However busy: after its time the transaction ends and the session lives."""
    proxy = start(max_server_connections=1, transaction_timeout=1)
    with proxy.client() as a:
        a.simple("begin")
        codes = []
        for _ in range(30):
            codes.append(wire.error_code(a.simple("select pg_sleep(0.1)")))
            if codes[-1]:
                break
        assert codes[-1] in ("40001", "57014", "25P04"), codes
        a.simple("rollback")
        assert a.value("select 1") == "1"
    with proxy.client() as b:
        assert b.value("select 1") == "1"


@weir_only
def test_transaction_timeout_is_told_once(start):
    """As the running statement's error, and not before its end is known; then the transaction is as one that failed."""
    proxy = start(max_server_connections=1, transaction_timeout=1)
    with proxy.client() as a, proxy.client() as b:
        a.simple("begin")
        a.simple("insert into scratch (who) values ('late')")
        msgs = a.simple("select pg_sleep(60)")
        assert wire.error_code(msgs) == "40001" and "transaction_timeout" in wire.errors(msgs)[0]["M"] and msgs[-1].body == b"E"
        assert b.value("select count(*) from scratch") == "0", "its connection is lent on"
        assert wire.error_code(a.simple("select 1")) == "25P02"
        assert wire.tags(a.simple("commit")) == ["ROLLBACK"]
        assert a.value("select 1") == "1"


@weir_only
@pytest.mark.parametrize("block", [False, True])
def test_what_survives_the_transaction_timeout_is_not_told_to_be_lost(start, block):
    """A statement that was stopped too late has done what it says."""
    proxy = start(max_server_connections=1, transaction_timeout=1, client_gone_timeout=60)
    sql = ("do $$ begin begin perform pg_sleep(30); exception when query_canceled then null; end;"
           " insert into scratch (who) values ('through'); end $$")
    with proxy.client() as a, proxy.client() as b:
        if block:
            a.simple("begin")
        msgs = a.simple(sql, timeout=60)
        assert wire.tags(msgs) == ["DO"] and wire.error_code(msgs) is None
        assert b.value("select count(*) from scratch") == ("0" if block else "1")
        if block:
            assert wire.error_code(a.simple("commit")) == "40001"
            a.simple("rollback")
        assert a.value("select count(*) from scratch") == ("0" if block else "1")
        a.simple("delete from scratch")


@weir_only
def test_a_statement_that_can_not_be_stopped_has_an_unknown_end(start, pg):
    proxy = start(max_server_connections=1, transaction_timeout=1, client_gone_timeout=1)
    with proxy.client() as a:
        a.send(wire.query("do $$ begin loop begin perform pg_sleep(0.5); exception when query_canceled then null; end; end loop; end $$"))
        msgs = a.until("E", timeout=60)
        assert wire.error_code(msgs) not in (None, "40001") and "unknown" in wire.errors(msgs)[0]["M"]
    with pg.superuser() as s:
        s.rows("select pg_terminate_backend(pid) from pg_stat_activity where query like 'do %loop%' and pid <> pg_backend_pid()")


@weir_only
@pytest.mark.parametrize("pool_mode,sql", [("transaction", "create temporary table pins (a int)"), ("session", "select 1")])
def test_transaction_timeout_counts_from_the_transactions_begin(start, pg, pool_mode, sql):
    """Not from the loan's: a pin, or a session, may have held the connection for much longer."""
    proxy = start(transaction_timeout="5s", databases={"shop": {"host": pg.host, "port": pg.port, "pool_mode": pool_mode}})
    with proxy.client() as c:
        c.simple(sql)
        time.sleep(6)
        c.simple("begin")
        assert wire.error_code(c.simple("select pg_sleep(0.5)")) is None
        c.simple("commit")
        assert c.value("select 3") == "3"


@weir_only
def test_transaction_timeout_of_a_single_statement(start, pg):
    proxy = start(max_server_connections=1, transaction_timeout=1)
    with proxy.client("app3") as a:
        begun = time.monotonic()
        msgs = a.simple("select pg_sleep(20)")
        assert time.monotonic() - begun < 15
        assert wire.error_code(msgs) in ("57014", "40001", "25P04")
        assert a.value("select 1") == "1"
    assert pg.count("usename = 'app3' and state = 'active'") == 0


@weir_only
def test_query_timeout_cancels_and_keeps_the_session(start, pg):
    proxy = start(max_server_connections=1, query_timeout=1)
    with proxy.client() as a:
        pid = a.backend_pid()
        begun = time.monotonic()
        msgs = a.simple("select pg_sleep(20)")
        assert 0.8 < time.monotonic() - begun < 15
        assert wire.error_code(msgs) == "57014"
        assert a.backend_pid() == pid
        # the clock runs per statement, not per transaction
        a.simple("begin")
        for _ in range(4):
            assert wire.error_code(a.simple("select pg_sleep(0.4)")) is None
        a.simple("commit")


def test_client_idle_timeout(start):
    proxy = start(client_idle_timeout=1)
    idle, active = proxy.client(), proxy.client()
    idle.value("select 1")
    end = time.monotonic() + 3
    while time.monotonic() < end:
        active.value("select 1")
        time.sleep(0.1)
    msgs = idle.until_closed(3)
    if proxy.which == "weir":
        assert wire.error_code(msgs) in ("57P05", "57P01", "57014"), msgs
    assert active.value("select 1") == "1"
    active.terminate()


def test_a_running_statement_is_not_client_idleness(start):
    proxy = start(client_idle_timeout=1)
    with proxy.client() as c:
        assert wire.error_code(c.simple("select pg_sleep(2.5)")) is None


def test_server_idle_timeout_closes_what_nobody_uses(start, pg):
    proxy = start(max_server_connections=3, server_idle_timeout=1)
    crowd(3, lambda i: proxy.client("app3").value("select pg_sleep(0.2)"))
    assert pg.count("usename = 'app3'") >= 2
    wait_until(lambda: pg.count("usename = 'app3'") == 0, 6, "the end of idle connections")
    with proxy.client() as c:
        assert c.value("select 1") == "1"


def test_server_lifetime_replaces_old_connections(start, pg):
    proxy = start(max_server_connections=1, server_lifetime=1)
    with proxy.client() as c:
        first = c.backend_pid()
        end = time.monotonic() + 5
        while c.backend_pid() == first:
            assert time.monotonic() < end, "still the old one"
            time.sleep(0.1)


@pytest.mark.parametrize("of", ["setting", "database"])
def test_a_server_lifetime_of_0_is_one_use(start, pg, of):
    """As in PgBouncer. A database's own is stronger, also where it is 0."""
    shop = {"host": pg.host, "port": pg.port, "user": "app", "password": "secret"}
    if of == "setting":
        proxy = start(max_server_connections=2, server_lifetime=0, databases={"shop": shop})
    else:
        proxy = start(max_server_connections=2, databases={"shop": {**shop, "server_lifetime": 0}})
    with proxy.client() as c:
        pids = [c.backend_pid() for _ in range(5)]
        assert len(set(pids)) == 5
        c.simple("begin")
        assert c.backend_pid() == c.backend_pid()
        c.simple("commit")


def test_server_lifetime_does_not_cut_a_loan(start, pg):
    proxy = start(max_server_connections=1, server_lifetime=1)
    with proxy.client() as c:
        c.simple("begin")
        first = c.backend_pid()
        time.sleep(2.5)
        assert c.backend_pid() == first
        c.simple("commit")


def test_keepalive_of_server_connections(start, pg):
    """The tcp_ settings are for both sides; what the database's own string says is stronger."""
    shop = {"host": pg.host, "port": pg.port, "user": "app", "password": "secret"}
    proxy = start(tcp_keepidle=700, databases={"shop": shop, "other": {**shop, "keepalives_idle": 5000},
                                               "third": {**shop, "keepalives": 0}})
    for name in proxy.databases:
        with proxy.client(database=name) as c:
            c.value("select 1")
    assert {r["database"] for r in proxy.show("SERVERS")} == {"shop", "other", "third"}
    wait_until(lambda: len(proxy.probes_due(pg.port)) >= 2, what="two that will be probed")
    settings, own = sorted(proxy.probes_due(pg.port))
    assert 0 < settings <= 700 < own <= 5000


def test_min_pool_size_is_kept_ready(start, pg):
    proxy = start(max_server_connections=5, min_pool_size=3, server_idle_timeout=1,
                  databases={"shop": {"host": pg.host, "port": pg.port, "user": "app", "password": "secret"}})
    with proxy.client() as c:
        c.value("select 1")
        wait_until(lambda: pg.count() >= 3, 6, "three connections")
        time.sleep(2)
        assert pg.count() >= 3


@weir_only
def test_server_connect_timeout(start):
    """A server that accepts and says nothing."""
    import socket
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(50)
        proxy = start(server_connect_timeout=1, query_wait_timeout=5,
                      databases={"shop": {"host": "127.0.0.1", "port": deaf.getsockname()[1], "dbname": "shop"}})
        with proxy.client() as c:
            begun = time.monotonic()
            msgs = c.simple("select 1")
            assert time.monotonic() - begun < 20
            assert wire.error_code(msgs) in ("08006", "08001", "53300"), wire.errors(msgs)
            assert c.status == "I"


@weir_only
def test_after_repeated_failure_clients_get_the_servers_error_at_once(start, pg):
    proxy = start(databases={"shop": {"host": pg.host, "port": pg.port, "dbname": "no_such_db"}}, query_wait_timeout=20)
    with proxy.client() as c:
        c.simple("select 1")
        begun = time.monotonic()
        msgs = c.simple("select 1")
        assert time.monotonic() - begun < 15
        assert wire.error_code(msgs) == "3D000", wire.errors(msgs)
        assert c.status == "I"


@weir_only
def test_server_reset_query_runs_in_session_mode(start):
    proxy = start(pool_mode="session", max_server_connections=1, server_reset_query="set app.reset = 'done'")
    with proxy.client() as c:
        c.value("select 1")
    with proxy.client() as c:
        assert c.value("select current_setting('app.reset', true)") == "done"


@weir_only
def test_client_spool_setting_is_honoured(start):
    proxy = start(max_server_connections=1, client_spool="1MB")
    a, b = proxy.clients(2)
    a.send(wire.query("select repeat('x', 900000)"))
    time.sleep(0.2)
    assert b.value("select 1") == "1"
    assert len(wire.rows(a.until())[0][0]) == 900000
    a.terminate(), b.terminate()
