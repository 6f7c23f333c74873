# SPDX-License-Identifier: ISC
"""The console and the HTTP side: what they show, what they order, and whom they delay."""

import json
import re
import socket
import threading
import time
import urllib.error
import urllib.request

import psycopg
import psycopg2
import pytest

from harness import wire
from harness.proxy import ADMIN, STATS, Crowd, crowd, wait_until
from harness.wire import Closed, PgError

pytestmark = pytest.mark.weir_only

# As PgBouncer 1.26.1 answers; its exporter and dashboards read these by name and by place.
PGBOUNCER_COLUMNS = {
    "POOLS": "database user cl_active cl_waiting cl_active_cancel_req cl_waiting_cancel_req sv_active sv_active_cancel"
             " sv_being_canceled sv_idle sv_used sv_tested sv_login maxwait maxwait_us pool_mode load_balance_hosts",
    "CLIENTS": "type user database replication state addr port local_addr local_port connect_time request_time wait wait_us"
               " close_needed ptr link remote_pid tls application_name prepared_statements id",
    "SERVERS": "type user database replication state addr port local_addr local_port connect_time request_time wait wait_us"
               " close_needed ptr link remote_pid tls application_name prepared_statements id",
    "DATABASES": "name host port database force_user pool_size min_pool_size reserve_pool_size server_lifetime pool_mode"
                 " load_balance_hosts max_connections current_connections max_client_connections"
                 " current_client_connections paused disabled",
    "USERS": "name pool_size reserve_pool_size pool_mode max_user_connections current_connections"
             " max_user_client_connections current_client_connections",
    "STATS": "database total_server_assignment_count total_xact_count total_query_count total_received total_sent"
             " total_xact_time total_query_time total_wait_time total_client_parse_count total_server_parse_count"
             " total_bind_count total_client_login_count avg_server_assignment_count avg_xact_count avg_query_count avg_recv"
             " avg_sent avg_xact_time avg_query_time avg_wait_time avg_client_parse_count avg_server_parse_count"
             " avg_bind_count avg_client_login_count",
    "STATS_TOTALS": "database server_assignment_count xact_count query_count bytes_received bytes_sent xact_time query_time"
                    " wait_time client_parse_count server_parse_count bind_count client_login_count",
    "STATS_AVERAGES": "database server_assignment_count xact_count query_count bytes_received bytes_sent xact_time"
                      " query_time wait_time avg_client_parse_count avg_server_parse_count avg_bind_count"
                      " avg_client_login_count",
    "LISTS": "list items",
    "CONFIG": "key value default changeable",
    "MEM": "name size used free memtotal",
    "STATE": "key value",
    "VERSION": "version",
}
OWN = ["FUNCTIONS", "PINS", "STATEMENTS", "HELP"]


def columns(conn, what):
    msgs = conn.simple("SHOW " + what)
    assert not wire.errors(msgs), wire.errors(msgs)
    return [c[0] for m in msgs if m.type == "T" for c in m.columns]


@pytest.mark.parametrize("what", sorted(PGBOUNCER_COLUMNS))
def test_columns_begin_with_pgbouncers(shared, what):
    with shared.client() as worker, shared.console() as c:
        worker.value("select 1")
        want = PGBOUNCER_COLUMNS[what].split()
        got = columns(c, what)
        assert got[:len(want)] == want
        assert wire.tags(c.simple("show " + what.lower() + ";")) == ["SHOW"]


@pytest.mark.parametrize("what", OWN)
def test_own_commands_answer(shared, what):
    with shared.console() as c:
        msgs = c.simple("SHOW " + what)
        assert not wire.errors(msgs) and c.status == "I"


@pytest.mark.parametrize("database", ["weir", "pgbouncer"])
def test_both_names_of_the_console(shared, database):
    with shared.console(database=database) as c:
        assert "weir" in c.value("SHOW VERSION").lower()


def test_console_needs_an_admin_or_stats_user(shared):
    with pytest.raises(PgError):
        shared.client("app", "weir")
    with pytest.raises(PgError):
        shared.client(ADMIN[0], "weir", "wrong")


def test_stats_users_may_only_look(shared):
    with shared.console(STATS) as c:
        for what in ("POOLS", "STATS", "CLIENTS", "FUNCTIONS"):
            assert not wire.errors(c.simple("SHOW " + what))
        for order in ("PAUSE", "RESUME", "KILL shop", "RELOAD", "SHUTDOWN", "SET query_timeout = 5", "DISABLE shop", "RECONNECT",
                      "KILL_CLIENT 1", "ENABLE shop", "WAIT_CLOSE"):
            assert wire.error_code(c.simple(order)) == "42501", order
    with shared.client() as c:
        assert c.value("select 1") == "1"


def test_unknown_commands_are_errors_and_the_session_goes_on(shared):
    with shared.console() as c:
        for sql in ("nonsense", "SHOW nothing", "SELECT * FROM pg_class", "PAUSE nowhere", "KILL_CLIENT x", "SET nothing = 1",
                    "SET query_timeout = soon", "show pools extra words"):
            msgs = c.simple(sql)
            assert wire.errors(msgs) and c.status == "I", sql
        assert wire.kinds(c.simple("")) == "IZ"
        assert c.value("SHOW VERSION")


def test_console_through_psycopg_simple_and_extended(shared):
    # psycopg 3 uses the extended protocol for everything with parameters or prepare=True
    with psycopg.connect(shared.dsn("admin", "weir"), autocommit=True) as conn:
        names = [d.name for d in conn.execute("SHOW POOLS").description]
        assert names[0] == "database"
        assert conn.execute("SHOW VERSION", prepare=True).fetchone()
        assert conn.execute("SHOW STATS").fetchall() is not None
    conn = psycopg2.connect(shared.dsn("admin", "weir"))
    conn.autocommit = True
    cur = conn.cursor()
    cur.execute("SHOW LISTS")
    assert dict(cur.fetchall())["databases"] >= 3
    conn.close()


def test_console_in_extended_protocol_by_hand(shared):
    with shared.console() as c:
        msgs = c.ask(wire.parse("s", "SHOW LISTS"), wire.describe_statement("s"), wire.bind("", "s"), wire.describe_portal(),
                     wire.execute(), wire.SYNC)
        kinds = wire.kinds(msgs)
        assert kinds.startswith("1tT2T") and kinds.endswith("CZ"), kinds
        msgs = c.ask(wire.parse("", "nonsense"), wire.bind("", ""), wire.execute(), wire.SYNC)
        assert wire.kinds(msgs).endswith("EZ") and len(wire.errors(msgs)) == 1


def test_psql_can_use_the_console(shared):
    import subprocess
    out = subprocess.run(["psql", "-X", "-At", "-c", "SHOW POOLS", "-c", "SHOW VERSION", shared.dsn("admin", "weir")],
                         capture_output=True, text=True, timeout=20)
    assert out.returncode == 0, out.stderr


def test_pools_counts(start, pg):
    proxy = start(max_server_connections=2)
    holder, waiter, idle = proxy.clients(3)
    other = proxy.client()
    holder.simple("begin"), other.simple("begin")
    waiter.send(wire.query("select 1"))
    time.sleep(1.1)
    row = proxy.pool()
    assert int(row["cl_waiting"]) == 1 and int(row["sv_active"]) == 2 and int(row["sv_idle"]) == 0
    assert int(row["maxwait"]) >= 1 and row["pool_mode"] == "transaction"
    assert int(row["cl_active"]) == 3, "linked or idle clients count as active"
    holder.simple("commit"), other.simple("commit")
    waiter.until()
    wait_until(lambda: proxy.pool()["sv_idle"] == "2" and proxy.pool()["cl_waiting"] == "0", 15, "a calm pool")
    for c in (holder, waiter, idle, other):
        c.terminate()


def test_clients_and_servers_rows(start):
    proxy = start(max_server_connections=2)
    with proxy.client(application_name="rows") as c:
        c.simple("begin")
        clients = [r for r in proxy.show("CLIENTS") if r["application_name"] == "rows"]
        servers = proxy.show("SERVERS")
        assert len(clients) == 1 and clients[0]["state"] == "active" and clients[0]["type"] == "C"
        assert clients[0]["user"] == "app" and clients[0]["database"] == "shop"
        mine = [s for s in servers if s["ptr"] == clients[0]["link"]]
        assert len(mine) == 1 and mine[0]["link"] == clients[0]["ptr"]
        assert mine[0].get("function", "rows") == "rows"  # who holds it; a column of weir's own
        assert mine[0]["remote_pid"] == c.value("select pg_backend_pid()")
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", clients[0]["connect_time"])
        c.simple("commit")


def test_stats_count(start):
    proxy = start()
    with proxy.client() as c:
        for _ in range(10):
            c.value("select 1")
        c.simple("begin")
        c.simple("select 1")
        c.simple("commit")
        time.sleep(0.1)
    row = next(r for r in proxy.show("STATS_TOTALS") if r["database"] == "shop")
    assert int(row["xact_count"]) == 11
    assert int(row["query_count"]) == 13
    assert int(row["bytes_received"]) > 0 and int(row["bytes_sent"]) > 0
    assert int(row["client_login_count"]) == 1


def totals(proxy, database="shop"):
    row = next(r for r in proxy.show("STATS_TOTALS") if r["database"] == database)
    return {k: int(v) for k, v in row.items() if k != "database"}


def test_statements_are_counted(start):
    """Those with a name, as PgBouncer counts them: each text once on one connection, whoever prepares it."""
    proxy = start(max_server_connections=1)
    for _ in range(2):
        with proxy.client() as c:
            c.ask(wire.parse("mine", "select 4711"), wire.SYNC)
            for _ in range(3):
                assert wire.rows(c.ask(wire.bind("", "mine"), wire.execute(), wire.SYNC)) == [["4711"]]
            c.ask(wire.parse("", "select 4712"), wire.bind("", ""), wire.execute(), wire.SYNC)
    wait_until(lambda: totals(proxy)["xact_count"] >= 10, what="the transactions are counted")
    row = totals(proxy)
    assert (row["client_parse_count"], row["server_parse_count"], row["bind_count"]) == (2, 1, 6)
    text = proxy.http("/metrics")
    found = dict(re.findall(r'^weir_database_(client_parses|server_parses|binds)_total\{.*database="shop".*\} (\d+)$', text,
                            re.M))
    assert found == {"client_parses": "2", "server_parses": "1", "binds": "6"}


def test_time_of_queries_is_without_the_pauses_between(start):
    proxy = start()
    with proxy.client() as c:
        c.simple("begin")
        c.simple("select pg_sleep(0.2)")
        time.sleep(0.5)
        c.simple("commit")
    wait_until(lambda: totals(proxy)["xact_count"] == 1, what="the transaction is counted")
    row = totals(proxy)
    assert row["query_time"] >= 200_000
    assert row["xact_time"] - row["query_time"] >= 500_000


def test_functions_are_counted(start):
    proxy = start(max_server_connections=2)
    with proxy.client() as a, proxy.client() as b:
        for c in (a, b):
            c.value("select 1")
        rows = proxy.show("FUNCTIONS")
        assert sum(int(r["loans"]) for r in rows) >= 2


def test_pause_waits_for_loans_and_holds_new_ones_and_resume_lets_go(start):
    proxy = start(max_server_connections=2)
    busy, later = proxy.clients(2)
    busy.simple("begin")
    done = []
    pauser = threading.Thread(target=lambda: done.append(wire.tags(proxy.admin("PAUSE shop"))))
    pauser.start()
    time.sleep(0.3)
    assert not done, "a loan is out"
    later.send(wire.query("select 1"))
    assert not later.readable(0.2)
    assert busy.value("select 5") == "5", "who has a loan finishes"
    busy.simple("commit")
    pauser.join(5)
    assert done == [["PAUSE"]]
    assert not later.readable(0.2)
    row = next(r for r in proxy.show("DATABASES") if r["name"] == "shop")
    assert row["paused"] == "1"
    with proxy.client(database="other") as c:
        assert c.value("select 1") == "1"
    assert wire.tags(proxy.admin("RESUME shop")) == ["RESUME"]
    assert wire.rows(later.until()) == [["1"]]
    busy.terminate(), later.terminate()


@pytest.mark.parametrize("database", ["", " shop"])
def test_a_pause_that_waits_hears_of_the_resume(start, database):
    proxy = start(max_server_connections=2)
    busy = proxy.client()
    busy.simple("begin")
    with proxy.console() as pauser:
        pauser.send(wire.query("PAUSE" + database))
        wait_until(lambda: proxy.show("STATE")[1]["value"] == "yes", 10, "the pause")
        assert wire.tags(proxy.admin("RESUME shop")) == ["RESUME"]
        assert wire.error_code(pauser.until()) == "55000"
        busy.simple("commit")
        assert pauser.rows("show version"), "it goes on"
    busy.terminate()


def test_a_pause_leaves_no_server_connection(start, pg):
    """The database can be renamed, and none comes back before RESUME: not for a minimum, nor for who waits."""
    with pg.superuser() as s:
        s.rows("create database short_of_breath owner app")
    breath = {"host": pg.host, "port": pg.port, "dbname": "short_of_breath", "user": "app", "password": "secret"}
    proxy = start(max_server_connections=5, min_pool_size=2, databases={"breath": breath})
    ours = "datname = 'short_of_breath'"
    with proxy.client(database="breath") as c, pg.superuser() as s:
        c.value("select 1")
        wait_until(lambda: pg.count(ours) >= 2, what="the minimum")
        assert wire.tags(proxy.admin("PAUSE breath")) == ["PAUSE"]
        assert [int(proxy.pool("breath")[n]) for n in ("sv_active", "sv_idle", "sv_login")] == [0, 0, 0]
        c.send(wire.query("select 2"))
        wait_until(lambda: int(proxy.pool("breath")["cl_waiting"]) == 1, what="a client that waits")
        s.rows("alter database short_of_breath rename to out_of_breath")
        assert pg.count("datname = 'out_of_breath'") == 0
        s.rows("alter database out_of_breath rename to short_of_breath")
        proxy.admin("RESUME breath")
        assert wire.rows(c.until()) == [["2"]]
        wait_until(lambda: pg.count(ours) >= 2, what="the minimum, again")
    proxy.stop()
    with pg.superuser() as s:
        s.rows("drop database short_of_breath with (force)")


def test_pause_of_everything(start):
    proxy = start()
    with proxy.client() as c:
        c.value("select 1")
        assert wire.tags(proxy.admin("PAUSE")) == ["PAUSE"]
        c.send(wire.query("select 1"))
        assert not c.readable(0.2)
        proxy.admin("RESUME")
        assert wire.rows(c.until()) == [["1"]]


def test_users_and_databases_are_shown_as_configured(start, pg):
    """Of users also those who haven't come yet."""
    shop = {"host": pg.host, "port": pg.port, "dbname": "shop"}
    proxy = start(max_user_connections=11, max_db_client_connections=13, server_lifetime="30min",
                  users={"app": "pool_size=1 max_user_connections=2 max_user_client_connections=3 pool_mode=session",
                         "stranger": "pool_size=4"},
                  databases={"shop": {**shop, "max_db_client_connections": 5, "server_lifetime": "2min"},
                             "pair": {**shop, "host": f"{pg.host},{pg.host}", "load_balance_hosts": "disable"}})
    with proxy.client() as c:
        c.value("select 1")
        users = {r["name"]: r for r in proxy.show("USERS")}
        databases = {r["name"]: r for r in proxy.show("DATABASES")}
    assert set(proxy.userlist) | {"stranger"} == set(users)
    assert len(proxy.show("USERS")) == len(users)
    shown = "pool_size pool_mode max_user_connections max_user_client_connections current_client_connections".split()
    assert [users["app"][k] for k in shown] == ["1", "session", "2", "3", "1"]
    assert [users["app3"][k] for k in shown] == ["", None, "11", "0", "0"]
    assert users["stranger"]["pool_size"] == "4"
    shown = "server_lifetime max_client_connections load_balance_hosts".split()
    assert [databases["shop"][k] for k in shown] == ["120", "5", None]
    assert [databases["pair"][k] for k in shown] == ["1800", "13", "disable"]


def test_disable_refuses_new_clients_only(start):
    proxy = start()
    with proxy.client() as old:
        assert wire.tags(proxy.admin("DISABLE shop")) == ["DISABLE"]
        with pytest.raises(PgError) as err:
            proxy.client()
        assert "disabled" in err.value.fields["M"]
        assert old.value("select 1") == "1"
        assert wire.tags(proxy.admin("ENABLE shop")) == ["ENABLE"]
        with proxy.client() as new:
            assert new.value("select 1") == "1"


@pytest.mark.parametrize("order", ["PAUSE", "PAUSE shop"])
def test_a_pause_holds_for_whoever_comes_first(start, order):
    """Nobody has been there yet."""
    proxy = start()
    assert wire.tags(proxy.admin(order)) == ["PAUSE"]
    assert next(r for r in proxy.show("DATABASES") if r["name"] == "shop")["paused"] == "1"
    with proxy.client() as c:
        c.send(wire.query("select 1"))
        assert not c.readable(0.3)
        proxy.admin(order.replace("PAUSE", "RESUME"))
        assert wire.rows(c.until()) == [["1"]]


def test_a_disabled_database_refuses_its_very_first_client(start):
    proxy = start()
    assert wire.tags(proxy.admin("DISABLE shop")) == ["DISABLE"]
    with pytest.raises(PgError) as err:
        proxy.client()
    assert "disabled" in err.value.fields["M"]
    proxy.admin("ENABLE shop")
    with proxy.client() as c:
        assert c.value("select 1") == "1"


def test_orders_that_come_to_nothing_are_errors_as_pgbouncers(start):
    proxy = start()
    with proxy.console() as c:
        for order, text in (("RESUME", "pooler is not paused"), ("RESUME shop", "database shop is not paused"),
                            ("WAIT_CLOSE nowhere", "no such database: nowhere"),
                            ("RECONNECT nowhere", "no such database: nowhere"),
                            ("KILL_CLIENT 4711", "client not found"), ("KILL_CLIENT 0x4711", "client not found")):
            assert [m.fields["M"] for m in c.simple(order) if m.type == "E"] == [text], order
        c.simple("PAUSE"), c.simple("RESUME")
        assert [m.fields["M"] for m in c.simple("RESUME") if m.type == "E"] == ["pooler is not paused"]
    with proxy.client() as c:
        c.value("select 1")
        ptr = next(r["ptr"] for r in proxy.show("CLIENTS") if r["database"] == "shop")
        assert wire.tags(proxy.admin(f"KILL_CLIENT {ptr}")) == ["KILL_CLIENT"]
        c.until_closed(5)


def test_kill_drops_clients_and_servers(start, pg):
    proxy = start()
    a, b = proxy.clients(2, user="app3")
    a.simple("begin")
    b.value("select 1")
    assert wire.tags(proxy.admin("KILL shop")) == ["KILL"]
    for c in (a, b):
        msgs = c.until_closed(5)
        assert wire.error_code(msgs) in (None, "57P01")
    wait_until(lambda: pg.count("usename = 'app3'") == 0, 15, "the servers' end")
    proxy.admin("RESUME shop")
    with proxy.client() as c:
        assert c.value("select 1") == "1"


def test_kill_client_in_the_middle_of_a_row(start):
    """What it is told then would be taken for the rest of the row: it is told nothing."""
    proxy = start(max_server_connections=1)
    with proxy.client() as c, proxy.client() as other:
        c.send(wire.query("select repeat('x', 50000000)"))
        got = bytearray()
        while len(got) < 10000:
            got += c.sock.recv(1000)
        (row,) = [r for r in proxy.show("CLIENTS") if r["state"] == "active"]
        assert wire.tags(proxy.admin(f"KILL_CLIENT {row['ptr']}")) == ["KILL_CLIENT"]
        while part := c.sock.recv(1 << 20):
            got += part
        assert len(got) < 50000000 and got.endswith(b"xxxx") and b"terminating" not in got
        assert other.value("select 1") == "1"


def test_kill_client_by_id(start):
    proxy = start()
    victim, other = proxy.client(application_name="victim"), proxy.client()
    victim.simple("begin")
    number = next(r["id"] for r in proxy.show("CLIENTS") if r["application_name"] == "victim")
    assert wire.tags(proxy.admin(f"KILL_CLIENT {number}")) == ["KILL_CLIENT"]
    assert wire.error_code(victim.until_closed(5)) == "57P01"
    assert other.value("select 1") == "1"
    other.terminate()


def test_reconnect_replaces_connections_as_they_come_free(start):
    proxy = start(max_server_connections=1)
    with proxy.client() as c:
        c.simple("begin")
        pid = c.backend_pid()
        assert wire.tags(proxy.admin("RECONNECT")) == ["RECONNECT"]
        assert c.backend_pid() == pid
        c.simple("commit")
        assert c.backend_pid() != pid


def test_wait_close_waits_for_old_connections(start):
    proxy = start(max_server_connections=1)
    with proxy.client() as c:
        c.simple("begin")
        proxy.admin("RECONNECT")
        done = []
        waiter = threading.Thread(target=lambda: done.append(wire.tags(proxy.admin("WAIT_CLOSE"))))
        waiter.start()
        time.sleep(0.3)
        assert not done
        c.simple("commit")
        waiter.join(5)
        assert done == [["WAIT_CLOSE"]]


def test_reload_and_set(start):
    proxy = start(query_wait_timeout=20)
    assert wire.tags(proxy.admin("RELOAD")) == ["RELOAD"]
    assert not wire.errors(proxy.admin("SET query_wait_timeout = 7"))
    value = next(r["value"] for r in proxy.show("CONFIG") if r["key"] == "query_wait_timeout")
    assert value.startswith("7")
    with open(proxy.ini_path, "a") as f:
        f.write("[weir]\nnope = 1\nquery_timeout = soon\n")
    (refusal,) = wire.errors(proxy.admin("RELOAD"))
    assert re.search(r":\d+: error: .*nope.*\n.*:\d+: error: query_timeout: ", refusal["M"]), refusal
    logged = [line for line in proxy.log().splitlines() if "query_timeout: " in line]
    assert logged and not any("error: " in line for line in logged), "the log's own word says how bad it is"
    proxy.write()
    # the file says 20 still, and a reload goes back to it
    proxy.admin("RELOAD")
    value = next(r["value"] for r in proxy.show("CONFIG") if r["key"] == "query_wait_timeout")
    assert value.startswith("20")


def test_config_shows_no_secret(start, pg):
    proxy = start(databases={"shop": f"postgres://app:secret@127.0.0.1:{pg.port}/shop"})
    with proxy.client() as c:
        c.value("select 1")
    everything = json.dumps([proxy.show(w) for w in ("CONFIG", "DATABASES", "USERS", "POOLS", "CLIENTS", "SERVERS")])
    assert '"secret' not in everything and ":secret" not in everything
    assert "secret" not in proxy.log().replace("no secret", "")
    assert "secret@" not in proxy.http("/metrics")


@pytest.mark.parametrize("order", ["SHUTDOWN", "SHUTDOWN WAIT_FOR_CLIENTS", "SHUTDOWN WAIT_FOR_SERVERS"])
def test_shutdown_orders(start, order):
    proxy = start()
    client = proxy.client()
    client.value("select 1")
    c = proxy.console()
    c.send(wire.query(order))
    if "WAIT_FOR_CLIENTS" in order:
        time.sleep(0.3)
        assert proxy.proc.poll() is None
        client.terminate()
        c.close()
    assert proxy.wait(10) == 0
    client.close(), c.close()


def test_mem_state_and_lists(shared):
    with shared.client() as worker:
        worker.value("select 1")
        assert shared.show("MEM")
        state = {r["key"]: r["value"] for r in shared.show("STATE")}
        assert state["active"] == "yes" and state["paused"] == "no"
        lists = {r["list"]: int(r["items"]) for r in shared.show("LISTS")}
        for name in ("databases", "users", "pools", "free_clients", "used_clients", "login_clients", "free_servers",
                     "used_servers"):
            assert name in lists
        assert lists["used_clients"] >= 1


# --- HTTP -----------------------------------------------------------------------------------------------

LINE = re.compile(r"^[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_][a-zA-Z0-9_]*=\"(\\.|[^\"\\])*\",?)*\})? [-+]?([0-9.eE+-]+|NaN|[-+]?Inf)$")


def parse_metrics(text):
    """The Prometheus text format, strictly: {name: type} and the sample lines."""
    types, samples, helped = {}, [], set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types, f"TYPE of {name} twice"
            types[name] = kind
        elif line.startswith("# HELP "):
            name = line.split(" ")[2]
            assert name not in helped
            helped.add(name)
        elif line and not line.startswith("#"):
            assert LINE.match(line), line
            samples.append(line)
            name = re.match(r"[a-zA-Z0-9_:]+", line).group(0)
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            assert name in types or base in types, f"no TYPE for {name}"
    names = [s.rpartition(" ")[0] for s in samples]
    assert len(names) == len(set(names)), "a sample twice"
    return types, samples


def test_metrics_parse_and_hold_the_promised_names(start):
    proxy = start(max_server_connections=2)
    with proxy.client(application_name='fn "quoted"\\') as c, proxy.client(application_name="getUsers") as d:
        c.value("select 1")
        d.value("select 1")
        d.rows("create temp table m (i int)")
        text = proxy.http("/metrics")
    types, samples = parse_metrics(text)
    for name, kind in {"weir_function_loans": "gauge", "weir_function_wait_seconds": "histogram",
                       "weir_function_hold_seconds": "histogram", "weir_function_refusals_total": "counter",
                       "weir_function_pins_total": "counter", "weir_function_rollbacks_total": "counter",
                       "weir_server_connections": "gauge", "weir_server_connections_limit": "gauge", "weir_clients": "gauge",
                       "weir_build_info": "gauge"}.items():
        assert types.get(name) == kind, f"{name}: {types.get(name)}"
    assert all(n.startswith(("weir_", "process_")) for n in types), sorted(types)
    assert any(s.startswith("weir_function_loans{") for s in samples)


def test_json_has_every_row_unless_fewer_are_asked_for(start):
    proxy = start()
    with proxy.client() as c:
        for i in range(1100):
            c.simple(f"set application_name = 'f{i}'")
            c.value("select 1")
    found = json.loads(proxy.http("/api/v1/functions"))
    assert len(found["rows"]) == found["total"] > 1050 and found["complete"]
    some = json.loads(proxy.http("/api/v1/functions?limit=7&offset=1000"))
    assert [r["name"] for r in some["rows"]] == [r["name"] for r in found["rows"][1000:1007]]


def test_logins_that_are_refused_are_counted_by_reason(start):
    def counted():
        found = re.findall(r'^weir_logins_refused_total\{reason="(\w+)"\} (\d+)$', proxy.http("/metrics"), re.M)
        return {reason: int(n) for reason, n in found}

    def nobody():
        return not re.search(r"^weir_clients\{.*\} [1-9]", proxy.http("/metrics"), re.M)
    proxy = start(max_client_conn=1, client_login_timeout=4)
    wait_until(nobody, 20, "the end of who looked whether it is up")
    with proxy.client() as c:
        c.value("select 1")
        for _ in range(2):
            with pytest.raises(PgError, match="max_client_conn"):
                proxy.client()
    with socket.create_connection(("127.0.0.1", proxy.port)) as slow:
        slow.settimeout(30)
        while slow.recv(4096):
            pass
    wait_until(nobody, 20, "the end of all")
    with pytest.raises(PgError, match="password"):
        proxy.client(password="wrong")
    assert counted() == {"limit": 2, "login": 1, "timeout": 1, "draining": 0}


def test_histograms_are_cumulative(start):
    def buckets():
        return [int(float(s.rsplit(" ", 1)[1])) for s in proxy.http("/metrics").splitlines()
                if s.startswith("weir_function_hold_seconds_bucket{")]
    proxy = start()
    with proxy.client() as c:
        for _ in range(20):
            c.value("select 1")
        wait_until(lambda: buckets() and buckets()[-1] >= 20, 10, "the last loan: it ends behind its answer")
        assert buckets() == sorted(buckets())


def test_health_and_readiness(start, pg):
    proxy = start()
    assert urllib.request.urlopen(f"http://127.0.0.1:{proxy.admin_port}/healthz", timeout=5).status == 200
    wait_until(lambda: status_of(proxy, "/readyz") == 200, 10, "readiness")
    from harness.postgres import free_port
    lost = start(databases={"shop": {"host": "127.0.0.1", "port": free_port(), "dbname": "shop"}})
    assert status_of(lost, "/healthz") == 200
    wait_until(lambda: status_of(lost, "/readyz") == 503, 10, "no database, not ready")
    assert status_of(proxy, "/nowhere") == 404
    # Nothing can be tried before a client has said where to: it has to come first.
    unknown = start(databases={"*": {"host": pg.host, "port": pg.port}})
    assert status_of(unknown, "/readyz") == 200
    with unknown.client() as c:
        assert c.value("select 1") == "1"
    wait_until(lambda: status_of(unknown, "/readyz") == 200, 10, "still ready")
    assert status_of(start(databases={}), "/readyz") == 503


def status_of(proxy, path):
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{proxy.admin_port}{path}", timeout=5).status
    except urllib.error.HTTPError as err:
        return err.code


@pytest.mark.parametrize("what", ["functions", "pools", "clients", "servers", "stats"])
def test_json(shared, what):
    with shared.client(application_name='a "b" \\ c\t') as c:
        c.value("select 1")
        data = json.loads(shared.http("/api/v1/" + what))
        assert data


def test_http_refuses_what_is_not_asked_for(shared):
    import socket
    for request in (b"DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
                    b"nonsense\r\n\r\n", b"GET " + b"a" * 100000 + b" HTTP/1.1\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", shared.admin_port), timeout=5) as s:
            try:
                s.sendall(request)
                answer = s.recv(100)
            except ConnectionError:
                answer = b""
            assert not answer.startswith(b"HTTP/1.1 200"), answer
    assert "weir_build_info" in shared.http("/metrics")


def test_reading_everything_delays_nobody(start):
    """A thousand clients, and the console and metrics are read without pause beside a busy one."""
    proxy = start(max_server_connections=3, max_client_conn=3000)
    crowd_ = crowd(10, lambda i: proxy.clients(100))
    with proxy.client() as c:
        def measure(seconds):
            worst, end = [], time.monotonic() + seconds
            while time.monotonic() < end:
                begun = time.monotonic()
                c.value("select 1")
                worst.append(time.monotonic() - begun)
            return sorted(worst)[int(len(worst) * 0.99)]
        calm = measure(1)
        stop = []

        def read(_):
            n = 0
            while not stop:
                proxy.show(("CLIENTS", "SERVERS", "POOLS", "FUNCTIONS")[n % 4])
                proxy.http("/metrics")
                n += 1
            return n
        readers = Crowd(1, read).start()
        loud = measure(2)
        stop.append(1)
        readers.join()
    assert loud < 5 * calm + 0.2, f"p99 {calm * 1000:.1f} ms in calm, {loud * 1000:.1f} ms while being watched"
    for group in crowd_:
        for conn in group:
            conn.close()


@pytest.mark.weir_only
def test_names_that_clients_make_up_can_be_shown(start, pg):
    """Under `*` any bytes are a database's name: the console stays readable to drivers, the log to terminals."""
    proxy = start(databases={"*": {"host": pg.host, "port": pg.port, "dbname": "shop"}}, log_connections=1)
    odd = ["not utf-8 \xff\xfe", "esc \x1b[2J", "c1 \u009b31m", "turned \u202e", "d\u00e9j\u00e0 vu"]
    clients = []
    for name in odd:
        raw = name.encode("latin-1") if "\xff" in name else name.encode()
        conn = proxy.open()
        clients.append(conn.login("app", "secret", raw))
    with psycopg.connect(host=proxy.host, port=proxy.port, user=ADMIN[0], password=ADMIN[1], dbname="weir", autocommit=True) as c:
        for what in ("CLIENTS", "POOLS", "STATS", "DATABASES"):
            text = repr(c.execute("SHOW " + what).fetchall())
            assert "d\u00e9j\u00e0 vu" in text or what == "DATABASES"
            assert not any(bad in text for bad in ("x1b", "x9b", "u202e"))
    log = open(proxy.log_path, "rb").read()
    log.decode()
    assert "d\u00e9j\u00e0 vu".encode() in log and b"\\u001b[2J" in log and b"\\u009b" in log and b"\\u202e" in log
    for conn in clients:
        conn.close()
