# SPDX-License-Identifier: ISC
"""Functions: who is asking, who is next, what each may have."""

import json
import re
import time

import pytest

from harness.guarantee import two_for_a_guarantee
from harness.proxy import Crowd, crowd, wait_until
from harness.wire import PgError, query

pytestmark = pytest.mark.weir_only


def functions(proxy):
    return {row["name"]: row for row in proxy.show("FUNCTIONS")}


def function_of(proxy, **params):
    with proxy.client(**params) as c:
        c.value("select 1")
        return [row["function"] for row in proxy.show("CLIENTS") if row["database"] == "shop"][0]


def begin(proxy, name, **more):
    c = proxy.client(application_name=name, **more)
    c.simple("begin")
    c.value("select 1")
    return c


# --- who is asking ------------------------------------------------------------------------------------


def test_first_source_that_is_there(start):
    proxy = start()
    assert function_of(proxy) == "app"
    assert function_of(proxy, application_name="byName") == "byName"
    assert function_of(proxy, application_name="byName", options="-c weir.function=byOption") == "byOption"
    assert function_of(proxy, user="app+bySuffix", password="secret", application_name="byName",
                       options="-c weir.function=byOption") == "bySuffix"


def test_order_is_a_setting(start):
    proxy = start(function_from="application_name, user")
    assert function_of(proxy, user="app+bySuffix", password="secret", application_name="byName") == "byName"
    assert function_of(proxy, user="app+bySuffix", password="secret") == "bySuffix"
    assert function_of(proxy, options="-c weir.function=byOption") == "app"


def test_names_are_cleaned(start):
    proxy = start()
    odd = "a\x07b\u00e9" + "x" * 200
    name = function_of(proxy, options="-c weir.function=" + odd.replace(" ", "\\ "))
    assert name.startswith("a?b\u00e9xxx")
    assert len(name.encode()) <= 63


def test_more_names_than_allowed_are_others(start):
    proxy = start(max_functions=3)
    seen = [function_of(proxy, application_name=f"f{i}") for i in range(5)]
    assert seen == ["f0", "f1", "f2", "other", "other"]
    assert function_of(proxy, application_name="f1") == "f1"


def test_configured_names_keep_their_places(start):
    """However many names clients make up. Who fits a pattern shares what it gives with the others that came too late."""
    proxy = start(max_functions=5, functions={"vip": "guarantee=1 limit=2", "report_*": "limit=1", "*": "limit=9"})
    seen = [function_of(proxy, application_name=f"f{i}") for i in range(5)]
    assert seen == ["f0", "f1", "f2", "other", "other"]
    assert function_of(proxy, application_name="vip") == "vip"
    rows = functions(proxy)
    assert (rows["vip"]["guarantee"], rows["vip"]["limit"], rows["other"]["limit"]) == ("1", "2", "9")
    with begin(proxy, "report_a"), proxy.client(application_name="report_b") as late:
        late.send(query("select 1"))
        wait_until(lambda: int(functions(proxy)["report_*"]["waiting"]) == 1, what="one that waits")
        assert functions(proxy)["report_*"]["limit"] == "1"


def test_weirs_own_options_stay_here(start, pg):
    proxy = start()
    with proxy.client(application_name="getUsers", options="-c weir.function=getUsers -c geqo=off") as c:
        assert c.value("show geqo") == "off"
        with pytest.raises(PgError) as e:
            c.value("select current_setting('weir.function')")
        assert e.value.code == "42704"
        assert c.value("select application_name from pg_stat_activity where pid = pg_backend_pid()") == "getUsers"
        with pytest.raises(PgError) as e:
            c.rows("set weir.function = 'other'")
        assert e.value.code == "55P02"
        assert c.value("select current_setting('weir.function', true) is null") == "t"


def test_followed_when_the_driver_sets_it_later(start):
    proxy = start(functions={"late": "limit=7"})
    with proxy.client() as c:
        c.simple("set application_name = 'late'")
        c.value("select 1")
        assert [r["function"] for r in proxy.show("CLIENTS") if r["database"] == "shop"] == ["late"]
        assert functions(proxy)["late"]["clients"] == "1"
        assert functions(proxy)["app"]["clients"] == "0"
        c.simple("reset application_name")
        c.value("select 1")
        assert [r["function"] for r in proxy.show("CLIENTS") if r["database"] == "shop"] == ["app"]
    with proxy.client(options="-c weir.function=fixed") as c:
        c.simple("set application_name = 'late'")
        c.value("select 1")
        assert [r["function"] for r in proxy.show("CLIENTS") if r["database"] == "shop"] == ["fixed"]


@pytest.mark.parametrize("bad", ["who", "user, user", "user application"])
def test_bad_order_is_refused(start, bad):
    proxy = start(function_from=bad, start=False)
    with pytest.raises(Exception):
        proxy.start()
    assert "function_from" in proxy.log()


# --- who is next --------------------------------------------------------------------------------------


def test_limit_is_never_exceeded(start):
    proxy = start(max_server_connections=3, functions={"greedy": "limit=1", "*": "limit=2"})
    with begin(proxy, "greedy"), begin(proxy, "modest") as other, proxy.client(application_name="greedy") as second:
        other.simple("commit")
        proxy.admin("SET query_wait_timeout = '400ms'")  # now that nobody waits for a login
        with pytest.raises(PgError) as e:
            second.value("select 1")
        assert e.value.code == "53300"
        assert 'no connection for function "greedy" within' in str(e.value)
        assert '1 of them to "greedy"' in str(e.value)
        assert other.value("select 2") == "2"
        row = functions(proxy)["greedy"]
        assert (row["lent_of_limit"], row["limit"], row["refusals"]) == ("1/1", "1", "1")


def test_guarantee_comes_first(start):
    proxy = start(max_server_connections=2, functions={"vip": "guarantee=1"})
    held = [begin(proxy, "crowd") for _ in range(2)]
    order = []

    def work(i):
        with proxy.client(application_name="vip" if i == 5 else "crowd") as c:
            time.sleep(0.5 if i == 5 else 0)
            order.append((c.value("select clock_timestamp()"), i))  # the server knows who came first
            c.value("select pg_sleep(0.05)")

    def release():
        wait_until(lambda: sum(int(r["waiting"]) for r in functions(proxy).values()) == 6, what="six waiting")
        held[0].simple("rollback")
        wait_until(lambda: len(order) == 6, what="all of them")

    waiting = Crowd(6, work).start()
    release()
    assert min(order)[1] == 5
    held[1].simple("rollback")
    waiting.join()
    for c in held:
        c.close()


def test_quick_function_is_not_held_up_by_a_slow_crowd(start):
    """Twenty containers of a slow function are there first; one of a quick one needs no turn behind them."""
    proxy = start(max_server_connections=2)
    done = {"slow": 0, "quick": 0}
    end = time.monotonic() + 3

    def work(i):
        name = "quick" if i == 20 else "slow"
        with proxy.client(application_name=name) as c:
            while time.monotonic() < end:
                c.value("select pg_sleep(0.1)" if name == "slow" else "select 1")
                done[name] += 1
    crowd(21, work)
    # First come, first served: the quick one gets one turn in twenty-one, 60/21 of them.
    assert done["quick"] >= done["slow"] / 4


def test_a_guarantee_holds_for_a_user_of_its_own(start):
    """Two connections of three, though the others are nine, never pause, and were there first."""
    proxy = start(max_server_connections=3, query_wait_timeout=60, functions={"vip": "guarantee=2"})

    def hold(name, user, over):
        with proxy.client(user=user, application_name=name, timeout=60) as c:
            while not over:
                c.value("select pg_sleep(0.1)", timeout=60)

    def lent(name):
        return int(functions(proxy).get(name, {"lent": 0})["lent"])
    two_for_a_guarantee(hold, lent)


def test_max_waiting_of_a_function(start):
    proxy = start(max_server_connections=1, functions={"small": "max_waiting=1"})
    with begin(proxy, "big"):
        first = Crowd(1, lambda i: proxy.client(application_name="small").value("select 1")).start()
        wait_until(lambda: functions(proxy).get("small", {}).get("waiting") == "1")
        with proxy.client(application_name="small") as c, pytest.raises(PgError) as e:
            c.value("select 1")
        assert e.value.code == "53300" and "too many clients wait" in str(e.value)
        del first


def test_timeouts_of_a_function_and_reload(start):
    proxy = start(max_server_connections=1, query_wait_timeout=20, idle_transaction_timeout=20,
                  functions={"hasty": "query_wait_timeout=200ms idle_transaction_timeout=300ms query_timeout=300ms"})
    with begin(proxy, "calm"), proxy.client(application_name="hasty") as c:
        with pytest.raises(PgError) as e:
            c.value("select 1")
        assert e.value.code == "53300"
    with begin(proxy, "hasty") as c:
        time.sleep(1)
        with pytest.raises(PgError) as e:
            c.value("select 1")
        assert e.value.code == "40001"
        c.simple("rollback")
        with pytest.raises(PgError) as e:
            c.value("select pg_sleep(10)")
        assert e.value.code == "57014"
        proxy.functions["hasty"] = "limit=9"
        proxy.reconfigure()
        wait_until(lambda: functions(proxy)["hasty"]["limit"] == "9")
        assert c.value("select pg_sleep(0.6)") == ""


# --- seeing it ----------------------------------------------------------------------------------------


def test_shown_on_console_json_and_metrics(start):
    proxy = start(functions={"getUsers": "limit=30 guarantee=2 weight=3"})
    with begin(proxy, "getUsers") as c:
        row = functions(proxy)["getUsers"]
        assert (row["lent_of_limit"], row["guarantee"], row["weight"]) == ("1/30", "2", "3")
        assert int(row["loans"]) == 1
        rows = json.loads(proxy.http("/api/v1/functions"))["rows"]
        assert [r for r in rows if r["name"] == "getUsers"][0]["lent"] == 1
        c.simple("rollback")
        c.simple("create temporary table t (a int)")
        wait_until(lambda: 'weir_function_pins_total{function="getUsers",reason="' in proxy.http("/metrics"))
        metrics = proxy.http("/metrics")
        assert 'weir_function_loans{function="getUsers"} 1' in metrics
        assert 'weir_function_wait_seconds_count{function="getUsers"} 2' in metrics
        assert 'weir_function_hold_seconds_count{function="getUsers"} 1' in metrics
    wait_until(lambda: 'weir_function_rollbacks_total{function="getUsers",reason="client_gone"} 1'
               in proxy.http("/metrics"))


# --- scale to zero ------------------------------------------------------------------------------------


def test_idle_to_zero_closes_all_and_the_first_client_wakes_it(start, own_pg):
    server = own_pg()
    proxy = start(server, max_server_connections=3, min_pool_size=2, idle_to_zero="1s", query_wait_timeout="1s",
                  resume_timeout="40s", server_login_retry=1)
    with proxy.client() as c:
        c.value("select 1")
        wait_until(lambda: server.count() == 0, 15, "no connection left")
        time.sleep(1)
        assert server.count() == 0, "min_pool_size keeps it awake"
        assert c.value("select 2") == "2"
        wait_until(lambda: server.count() == 0, 15, "no connection left")
        server.stop()
        crowd_of_two = Crowd(2, lambda i: proxy.client(timeout=40).value("select 3", timeout=40)).start()
        time.sleep(20)  # far longer than query_wait_timeout
        server.start()
        assert crowd_of_two.join() == ["3", "3"]


def test_overload_tells_the_hopeless_early(start):
    """Forty ask for what takes eight seconds, and wait four: some hear that it's hopeless while there is time left."""
    proxy = start(max_server_connections=1, query_wait_timeout=4)

    def work(_):
        with proxy.client(timeout=60) as c:
            try:
                c.rows("select pg_sleep(0.2)", timeout=60)
                return None
            except PgError as err:
                assert err.code == "53300"
                return int(re.search(r"within (\d+) ms", str(err)).group(1))
    told = [ms for ms in crowd(40, work, 120) if ms is not None]
    assert told and min(told) < 3500 and len(told) < 40, told
    assert sum(int(r["refusals"]) for r in proxy.show("FUNCTIONS")) == len(told)


# --- one container can't take everything ---------------------------------------------------------------


def test_an_address_gets_so_many_loans(start):
    proxy = start(max_server_connections=6, max_loans_per_client_addr=2, query_wait_timeout="700ms")
    greedy = [proxy.client(source="127.0.0.2") for _ in range(4)]
    for c in greedy[:2]:
        c.simple("begin")
        c.value("select 1")
    with pytest.raises(PgError) as e:  # though four connections are free
        greedy[2].value("select 1")
    assert e.value.code == "53300" and "2/6 lent" in str(e.value)
    assert "to its address as many as it may have" in str(e.value)
    other = proxy.client(source="127.0.0.3")
    assert other.value("select 1") == "1"
    greedy[3].send(query("select 3"))
    wait_until(lambda: int(proxy.pool()["cl_waiting"]) == 1, 10, "the waiter")
    greedy[0].simple("rollback")
    assert [m.row for m in greedy[3].until() if m.type == "D"] == [["3"]]
    for c in greedy[1:]:
        c.close()
    wait_until(lambda: int(proxy.pool()["sv_active"]) == 0, 10, "nothing is lent")
    again = [proxy.client(source="127.0.0.2") for _ in range(2)]
    for c in again:
        c.simple("begin")
        c.value("select 1")
    for c in [other, greedy[0], *again]:
        c.close()


def test_address_limit_reloads_while_they_wait(start):
    proxy = start(max_server_connections=6, max_loans_per_client_addr=1, query_wait_timeout=30)
    a, b = (proxy.client(source="127.0.0.2") for _ in range(2))
    a.simple("begin")
    a.value("select 1")
    b.send(query("select 2"))
    wait_until(lambda: int(proxy.pool()["cl_waiting"]) == 1, 10, "the waiter")
    proxy.reconfigure(max_loans_per_client_addr=0)
    proxy.admin("RELOAD")
    assert [m.row for m in b.until() if m.type == "D"] == [["2"]]
    a.close()
    b.close()
