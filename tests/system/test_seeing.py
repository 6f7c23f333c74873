# SPDX-License-Identifier: ISC
"""What can be seen of functions: the sentence of a refusal, SHOW FUNCTIONS, metrics, JSON; and that they agree."""

import json
import os
import re
import shutil
import subprocess
import time

import pytest

from harness.proxy import Crowd, wait_until, weir_binary
from harness.wire import PgError, query

pytestmark = pytest.mark.weir_only


def functions(proxy):
    return {row["name"]: row for row in proxy.show("FUNCTIONS")}


def begin(proxy, name, **more):
    c = proxy.client(application_name=name, **more)
    for _ in range(100):  # the first one waits for a login, longer than some of these tests let it
        if c.status == "T":
            break
        c.simple("begin")
    assert c.value("select 1") == "1" and c.status == "T"
    return c


def waiting(proxy):
    return sum(int(r["waiting"]) for r in functions(proxy).values())


def metrics(proxy):
    """{name{labels}: value}"""
    return dict(line.rsplit(" ", 1) for line in proxy.http("/metrics").splitlines() if not line.startswith("#"))


def test_the_sentence_of_a_refusal(start, pg):
    """weir: no connection for function "getUsers" within 1500 ms (HOST:PORT 3/3 lent, 2 of them to "saveUser", 1 waiting, oldest loan 1.6 s)"""
    proxy = start(max_server_connections=3, query_wait_timeout="1500ms", functions={"patient": "query_wait_timeout=60s"})
    held = [begin(proxy, n) for n in ("saveUser", "saveUser", "updateUser")]
    with proxy.client(application_name="patient") as p, proxy.client(application_name="getUsers") as c:
        p.send(query("select 1"))
        wait_until(lambda: waiting(proxy) == 1, 20, "the patient one")
        with pytest.raises(PgError) as e:
            c.value("select 1", timeout=30)
        assert e.value.code == "53300"
        where = re.escape(f"{pg.host}:{pg.port}")
        assert re.fullmatch(r'weir: no connection for function "getUsers" within 1500 ms \(' + where +
                            r' 3/3 lent, 2 of them to "saveUser", 1 waiting, oldest loan \d+\.\d s\)', e.value.fields["M"])
        for h in held:
            h.simple("rollback")
        assert c.value("select 7") == "7", "the session is kept"
        p.until()
    for h in held:
        h.close()


def test_columns_of_show_functions(start):
    proxy = start(max_server_connections=2, query_wait_timeout=60, functions={"getUsers": "guarantee=1 limit=30 weight=2"})
    with begin(proxy, "getUsers") as a, begin(proxy, "getUsers") as b, proxy.client(application_name="getUsers") as c:
        c.send(query("select 1"))
        wait_until(lambda: waiting(proxy) == 1, 20, "one waits")
        time.sleep(0.3)
        row = functions(proxy)["getUsers"]
        assert (row["lent_of_limit"], row["guarantee"], row["weight"], row["clients"], row["waiting"]) == ("2/30", "1", "2", "3", "1")
        assert int(row["oldest_wait_us"]) >= 300_000
        a.value("select pg_sleep(0.3)")
        a.simple("commit")
        c.until()
        b.simple("rollback")
        wait_until(lambda: functions(proxy)["getUsers"]["lent_of_limit"] == "0/30", 20, "their end")
        row = functions(proxy)["getUsers"]
        assert int(row["loans"]) == 3 and row["waiting"] == "0" and row["oldest_wait_us"] == "0"
        for what in ("wait", "hold"):
            p50, p95, p99 = (int(row[f"{what}_p{n}_us"]) for n in (50, 95, 99))
            assert 0 <= p50 <= p95 <= p99
            assert p99 >= 300_000
        assert (row["refusals"], row["pins"], row["rollbacks"]) == ("0", "0", "0")


def test_what_befell_is_counted_by_reason(start):
    proxy = start(max_server_connections=1, query_wait_timeout="300ms", max_waiting_clients=1, idle_transaction_timeout="800ms",
                  functions={"f": "transaction_timeout=60s"})
    with begin(proxy, "f"), proxy.client(application_name="f") as waits, proxy.client(application_name="f") as full:
        before = int(functions(proxy)["f"]["refusals"])
        waits.send(query("select 1"))
        with pytest.raises(PgError):
            full.value("select 1")
        waits.until()
        assert int(functions(proxy)["f"]["refusals"]) == before + 2
        wait_until(lambda: int(functions(proxy)["f"]["rollbacks"]) == 1, 20, "the late one")
    c = begin(proxy, "f")
    c.simple("commit")
    c.simple("create temp table t (a int)")
    wait_until(lambda: functions(proxy)["f"]["pins"] == "1", 20, "the pin")
    c.simple("begin")
    c.close()
    wait_until(lambda: int(functions(proxy)["f"]["rollbacks"]) == 2, 20, "the one that left")
    seen = metrics(proxy)
    label = 'function="f",reason='
    refused = {k: int(v) for k, v in seen.items() if k.startswith("weir_function_refusals_total{" + label)}
    assert sum(refused.values()) == int(functions(proxy)["f"]["refusals"]), refused
    assert seen[f'weir_function_pins_total{{{label}"temporary object"}}'] == "1"
    assert seen[f'weir_function_rollbacks_total{{{label}"idle_transaction_timeout"}}'] == "1"
    assert seen[f'weir_function_rollbacks_total{{{label}"client_gone"}}'] == "1"


FIXED = ["weir_function_loans", "weir_function_wait_seconds_bucket", "weir_function_wait_seconds_sum", "weir_function_wait_seconds_count",
         "weir_function_hold_seconds_bucket", "weir_function_refusals_total", "weir_function_pins_total",
         "weir_function_rollbacks_total", "weir_server_connections", "weir_server_connections_limit", "weir_clients", "weir_build_info"]


def test_exposition(start, pg):
    """What Prometheus's own tool has nothing to say about; with odd names in it."""
    assert shutil.which("promtool"), "promtool is missing: install prometheus"
    proxy = start(max_server_connections=2, query_wait_timeout="200ms")
    odd = 'we"ird\\name{}=,é'
    with begin(proxy, odd), begin(proxy, "b"), proxy.client(application_name=odd) as c:
        with pytest.raises(PgError):
            c.value("select 1")
        text = proxy.http("/metrics")
    c = begin(proxy, odd)
    c.simple("commit")
    c.simple("create temp table t (a int)")
    wait_until(lambda: "weir_function_pins_total{" in proxy.http("/metrics"), 20, "the pin")
    c.simple("begin")
    c.close()
    wait_until(lambda: "weir_function_rollbacks_total{" in proxy.http("/metrics"), 20, "the roll-back")
    text = proxy.http("/metrics")
    done = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True)
    assert done.returncode == 0 and not done.stdout and not done.stderr, done.stdout + done.stderr
    for name in FIXED:
        assert re.search(rf"^{name}[{{ ]", text, re.M), name
    assert f'weir_server_connections_limit{{server="{pg.host}:{pg.port}"}} 2' in text
    assert re.search(rf'weir_server_connections{{server="{pg.host}:{pg.port}",state="\w+"}}', text)
    # Histograms: cumulative, the last bucket is the count.
    for what in ("wait", "hold"):
        escaped = odd.replace("\\", "\\\\").replace('"', '\\"')
        got = [(k, int(v)) for k, v in metrics(proxy).items()
               if k.startswith(f'weir_function_{what}_seconds_bucket{{function="{escaped}"')]
        counts = [n for _, n in got]
        assert counts == sorted(counts) and got[-1][0].endswith('le="+Inf"}')
        assert counts[-1] == int(metrics(proxy)[f'weir_function_{what}_seconds_count{{function="{escaped}"}}'])


def test_all_say_the_same(start):
    """Console, JSON and metrics, after work of every kind; and everything is at rest."""
    proxy = start(max_server_connections=3, query_wait_timeout=60, workers=2)

    def work(i):
        with proxy.client(application_name=f"f{i % 4}", timeout=60) as c:
            for n in range(15):
                if n % 5 == 4:
                    c.simple("begin")
                    c.simple("select 1/0")
                    c.simple("rollback")
                else:
                    c.value(f"select {n}", timeout=60)
    Crowd(24, work).start().join(120)
    wait_until(lambda: sum(int(r["clients"]) for r in functions(proxy).values()) == 0, 30, "their end")
    rows, seen = functions(proxy), metrics(proxy)
    as_json = {r["name"]: r for r in json.loads(proxy.http("/api/v1/functions"))["rows"]}
    for name in ("f0", "f1", "f2", "f3"):
        r = rows[name]
        assert (r["lent"], r["waiting"], r["clients"], r["refusals"], r["rollbacks"]) == ("0",) * 5
        assert int(r["loans"]) == as_json[name]["loans"] == int(seen[f'weir_function_loans_total{{function="{name}"}}']) == 6 * 15
        assert int(seen[f'weir_function_hold_seconds_count{{function="{name}"}}']) == 6 * 15
        assert int(seen[f'weir_function_wait_seconds_count{{function="{name}"}}']) == 6 * 15
        assert seen[f'weir_function_loans{{function="{name}"}}'] == "0"


def test_alerts():
    rules = os.path.join(os.path.dirname(os.path.abspath(__file__)), "alerts.yml")
    done = subprocess.run(["promtool", "test", "rules", rules], text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_reloaded_while_they_wait(start):
    """max_waiting holds for who comes next, all else at once."""
    proxy = start(max_server_connections=3, query_wait_timeout=60, functions={"f": "limit=1"})
    with begin(proxy, "f"), proxy.client(application_name="f") as second, proxy.client(application_name="f") as third:
        second.send(query("select 2"))
        wait_until(lambda: waiting(proxy) == 1, 20, "the second")
        proxy.functions["f"] = "limit=2 max_waiting=5"
        proxy.reconfigure()
        second.until()  # within the limit now
        proxy.functions["f"] = "limit=1 max_waiting=1 query_wait_timeout=400ms weight=7 guarantee=1"
        proxy.reconfigure()
        wait_until(lambda: functions(proxy)["f"]["weight"] == "7", 20, "the reload")
        assert functions(proxy)["f"]["guarantee"] == "1" and functions(proxy)["f"]["limit"] == "1"
        begun = time.monotonic()
        with pytest.raises(PgError) as e:
            third.value("select 3", timeout=30)
        assert e.value.code == "53300" and "within 400 ms" in str(e.value) and time.monotonic() - begun < 25
        proxy.functions["f"] = "limit=1"
        proxy.reconfigure()
        wait_until(lambda: functions(proxy)["f"]["weight"] == "1", 20, "the reload")
        second.send(query("select 2"))
        third.send(query("/* deadline_ms=60000 */ select 3"))
        wait_until(lambda: waiting(proxy) == 2, 20, "both")
        proxy.functions["f"] = "limit=1 query_wait_timeout=400ms"  # they came under another
        proxy.reconfigure()
        for late in (second, third):
            assert [m.fields["C"] for m in late.until("Z", timeout=20) if m.type == "E"] == ["53300"]
        proxy.functions["f"] = "idle_transaction_timeout=300ms"
        proxy.reconfigure()
        wait_until(lambda: functions(proxy)["f"]["lent"] == "0", 20, "the idle transaction was there before the reload")


@pytest.mark.parametrize("setting,sql,code", [
    ("query_timeout=400ms", "select pg_sleep(30)", "57014"), ("transaction_timeout=400ms", "select pg_sleep(30)", "40001"),
])
def test_limits_reload_into_what_runs(start, setting, sql, code):
    proxy = start(max_server_connections=2)
    with proxy.client(application_name="f") as c:
        c.simple("begin")
        c.send(query(sql))
        wait_until(lambda: functions(proxy)["f"]["lent"] == "1", 20, "it runs")
        proxy.functions["f"] = setting
        proxy.reconfigure()
        msgs = c.until("Z", timeout=20)
        assert [m.fields["C"] for m in msgs if m.type == "E"] == [code]
        c.simple("rollback")
        proxy.functions["f"] = "limit=0"
        proxy.reconfigure()
        wait_until(lambda: functions(proxy)["f"]["limit"] == "0", 20, "the reload")
        assert c.value("select 1") == "1"


def test_limits_count_over_databases_and_workers(start, pg):
    """A function's limit is kept for a database server, whatever the databases, users and workers."""
    proxy = start(max_server_connections=8, workers=4, query_wait_timeout="500ms", functions={"f": "limit=3"})
    held = [begin(proxy, "f", database=d, user=u) for d, u in (("shop", "app"), ("other", "app"), ("third", "app2"))]
    for d in ("shop", "other", "third"):
        with proxy.client(application_name="f", database=d) as c, pytest.raises(PgError) as e:
            c.value("select 1")
        assert e.value.code == "53300"
    assert functions(proxy)["f"]["lent_of_limit"] == "3/3"
    held[0].simple("rollback")
    with proxy.client(application_name="f", database="third") as c:
        assert c.value("select 1") == "1"
    for c in held:
        c.close()


def check(proxy):
    env = {k: v for k, v in os.environ.items() if not k.startswith("WEIR_")}
    return subprocess.run([weir_binary(), "--check", proxy.ini_path], capture_output=True, text=True, cwd=proxy.dir, env=env)


def test_guarantees_beyond_the_bound_are_told(start, pg):
    proxy = start(max_server_connections=3, functions={"a": "guarantee=2", "b": "guarantee=2"}, start=False)
    done = check(proxy)
    assert "guarantees 4" in done.stderr, done
    proxy = start(max_server_connections=50, servers={f"{pg.host}:{pg.port}": "max_server_connections=3"},
                  functions={"a": "guarantee=2", "b": "guarantee=2"}, start=False)
    done = check(proxy)
    assert "guarantees 4" in done.stderr, done
    proxy = start(functions={"a": "guarantee=5 limit=3"}, start=False)
    done = check(proxy)
    assert done.returncode == 1 and "guarantee is above limit" in done.stderr, done


def test_a_waiter_hears_that_the_database_is_resuming(start, own_pg):
    """One whose own deadline passes, and one who waits as long as resume_timeout lets it."""
    server = own_pg()
    proxy = start(server, max_server_connections=3, idle_to_zero="1s", query_wait_timeout="1s", resume_timeout="6s", min_pool_size=1)
    with proxy.client() as c, proxy.client() as d:
        c.value("select 1")
        wait_until(lambda: server.count() == 0, 30, "sleep")
        server.stop()
        d.send(query("select 2"))
        with pytest.raises(PgError) as e:
            c.value("/* deadline_ms=800 */ select 1", timeout=30)
        assert e.value.code == "53300" and "is resuming" in str(e.value), e.value
        msgs = d.until("Z", timeout=40)
        told = [m.fields for m in msgs if m.type == "E"]
        assert told and told[0]["C"] in ("08006", "57P03", "53300"), told
        assert "resuming" in told[0]["M"], told
        server.start()
        wait_until(lambda: d.simple("select 3")[0].type == "T", 30, "it is back, and the session was kept")


@pytest.mark.parametrize("settings,why", [
    ({"functions": {"a": "limit=1"}}, "its function has as many as its limit lets it"),
    ({"default_pool_size": 1}, "its database and user have as many as pool_size lets them"),
    ({"max_db_connections": 1}, "max_db_connections of its database are in use"),
    ({"max_user_connections": 1}, "max_user_connections of its user are in use"), ({"pause": True}, "its database is paused"),
    ({"max_server_connections": 1}, None)])
def test_a_refusal_names_what_was_in_the_way(start, settings, why):
    """Where connections are free, and the bound is not why it waited."""
    settings = dict(settings)
    paused = settings.pop("pause", False)
    proxy = start(query_wait_timeout="300ms", **settings)
    with proxy.client(application_name="a") as holder, proxy.client(application_name="a") as c:
        if paused:
            with proxy.console() as console:
                console.simple("PAUSE shop")
        else:
            holder.simple("begin")
        with pytest.raises(PgError) as err:
            c.value("select 1")
        assert err.value.code == "53300"
        assert why is None or why in str(err.value), str(err.value)
        assert why is not None or "lent, 0 waiting" in str(err.value) or "lent, 1 of them" in str(err.value), str(err.value)
