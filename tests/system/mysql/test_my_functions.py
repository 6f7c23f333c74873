# SPDX-License-Identifier: ISC
"""Functions on MySQL and MariaDB: what has to do with the server's side of it."""

import json
import re
import time

import MySQLdb
import pymysql
import pytest

from harness.guarantee import two_for_a_guarantee
from harness.myproxy import one, rows
from harness.mywire import MyError, Wire, query
from harness.proxy import Crowd, wait_until


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def functions(proxy):
    return {row["name"]: row for row in proxy.my_show("FUNCTIONS")}


def test_who_is_asking(start):
    proxy = start()
    with proxy.connect(user="app+bySuffix", password="secret") as a, proxy.connect(program_name="byProgram") as b:
        for c in (a, b):
            assert one(c, "select 1") == 1
        assert {"bySuffix", "byProgram"} <= set(functions(proxy))


def attributes(**more):
    """What a driver says of itself; PyMySQL takes no others by itself."""
    def connect(proxy, **kw):
        conn = proxy.connect(defer_connect=True, **kw)
        conn._connect_attrs = {"_client_name": "pymysql", **{k.replace("__", "."): v for k, v in more.items()}}
        conn.connect()
        return conn
    return connect


def test_sources_in_order(start):
    proxy = start()
    host, program, faas, own = ({"_server_host": "getusers.weir"}, {"program_name": "byProgram"}, {"faas__name": "byFaas"},
                                {"weir__function": "byOption"})
    for said, name in (({}, "app"), (host, "getusers.weir"), ({"_server_host": "127.0.0.1"}, "app"),
                       ({"_server_host": "::1"}, "app"), ({"_server_host": "localhost"}, "app"), ({**host, **program}, "byProgram"),
                       ({**program, **faas}, "byFaas"), ({**faas, **own, **program}, "byOption")):
        with attributes(**said)(proxy) as c:
            assert one(c, "select 1") == 1
            assert [r["function"] for r in proxy.my_show("CLIENTS") if r["database"] == "shop"] == [name], said
            with attributes(**said)(proxy, user="app+bySuffix", password="secret") as d:
                assert one(d, "select current_user()").split("@")[0] == "app"
                assert "bySuffix" in [r["function"] for r in proxy.my_show("CLIENTS")]
    wait_until(lambda: all(int(r["clients"]) == 0 or r["name"] == "admin" for r in proxy.my_show("FUNCTIONS")), 10,
               "the end of all clients")


@pytest.mark.parametrize("order,name", [("application_name, option, user", "byProgram"), ("option, user", "byFaas"),
                                        ("user", "bySuffix"), ("port", None)])
def test_order_is_a_setting(start, order, name):
    proxy = start(function_from=order)
    with attributes(program_name="byProgram", faas__name="byFaas")(proxy, user="app+bySuffix", password="secret") as c:
        assert one(c, "select 1") == 1
        assert name or str(proxy.mysql_port) in functions(proxy)
        assert [r["function"] for r in proxy.my_show("CLIENTS") if r["database"] == "shop"] == [name or str(proxy.mysql_port)]


def test_odd_names(start):
    proxy = start()
    for name, shown in (("a\x01b\x1f\x7fc", "a?b??c"), ("caf\u00e9", "caf\u00e9"), ("c1\u0085x", "c1?x"), ("  blanks ", "blanks"),
                        ("x" * 200, "x" * 63)):
        with attributes(weir__function=name)(proxy) as c:
            assert one(c, "select 1") == 1
            assert shown in functions(proxy), name
    with attributes(weir__function=" ", program_name="byProgram")(proxy) as c:
        assert one(c, "select 1") == 1 and "byProgram" in functions(proxy)


def test_more_names_than_allowed_are_others(start):
    proxy = start(max_functions=2)
    for name, shown in (("f0", "f0"), ("f1", "f1"), ("f2", "other"), ("f1", "f1"), ("f3", "other")):
        with proxy.connect(program_name=name) as c:
            assert one(c, "select 1") == 1
            assert [r["function"] for r in proxy.my_show("CLIENTS") if r["database"] == "shop"] == [shown]
    assert set(functions(proxy)) - {"admin"} == {"f0", "f1", "other"}


def test_a_plus_that_is_part_of_the_users_name(start, my):
    my.rows("create user if not exists `pl+us`@`%` identified by 'plussecret'")
    my.rows("grant all on shop.* to `pl+us`@`%`")
    proxy = start(userlist={"app": "secret", "pl+us": "plussecret", "admin": "admin secret"})
    with proxy.connect(user="pl+us", password="plussecret") as c, proxy.connect(user="pl+us+getUsers", password="plussecret") as d:
        for conn in (c, d):
            assert one(conn, "select current_user()").split("@")[0] == "pl+us"
        assert {"pl+us", "getUsers"} <= set(functions(proxy))
    with pytest.raises(pymysql.MySQLError) as e:
        proxy.connect(user="app+getUsers", password="wrong")
    assert e.value.args[0] == 1045


def test_limit_and_guarantee(start):
    proxy = start(max_server_connections=3, query_wait_timeout="700ms",
                  functions={"slow": "limit=1", "vip": "guarantee=1"})
    first, second = (proxy.connect(program_name="slow") for _ in range(2))
    with first, second, proxy.connect(program_name="vip") as vip:
        assert one(first, "select count(*) from items for update") > 0
        first.begin()
        one(first, "select count(*) from items")
        with pytest.raises(pymysql.MySQLError) as e:
            one(second, "select 1")
        assert e.value.args[0] == 1040 and 'function "slow"' in e.value.args[1]
        assert one(vip, "select 1") == 1
        first.rollback()
        assert one(second, "select 1") == 1
    rows = functions(proxy)
    assert int(rows["slow"]["refusals"]) == 1 and int(rows["vip"]["refusals"]) == 0


def test_a_guarantee_holds_for_a_user_of_its_own(start):
    """Two connections of three, though the others are nine, never pause, and were there first."""
    proxy = start(max_server_connections=3, query_wait_timeout=60, functions={"vip": "guarantee=2"})

    def hold(name, user, over):
        with proxy.connect(user=user, program_name=name, read_timeout=60) as c:
            while not over:
                one(c, "select sleep(0.1)")

    def lent(name):
        return int(functions(proxy).get(name, {"lent": 0})["lent"])
    two_for_a_guarantee(hold, lent)


def test_what_a_function_may_is_reloaded_while_it_waits(start):
    proxy = start(max_server_connections=4, query_wait_timeout=60, idle_transaction_timeout=60, functions={
        "hasty": "query_wait_timeout=300ms query_timeout=300ms idle_transaction_timeout=300ms", "small": "limit=1 max_waiting=1"})
    small = [proxy.connect(program_name="small", read_timeout=60) for _ in range(3)]
    with proxy.connect(program_name="hasty", read_timeout=60) as hasty, Wire(small[1]) as second:
        small[0].begin()
        one(small[0], "select 1 from items limit 1")
        second.send(query("select 2"))
        wait_until(lambda: int(functions(proxy)["small"]["waiting"]) == 1, 20, "the second")
        with pytest.raises(pymysql.MySQLError) as e:
            one(small[2], "select 3")
        assert e.value.args[0] == 1040 and "too many clients wait" in e.value.args[1]
        with pytest.raises(pymysql.MySQLError) as e:
            one(hasty, "select count(*) from items where sleep(5) = 0")
        assert e.value.args[0] == 1317 and "query_timeout" in e.value.args[1]
        hasty.begin()
        one(hasty, "select 1 from items limit 1")
        wait_until(lambda: int(functions(proxy)["hasty"]["lent"]) == 0, 20, "it was idle for too long")
        with pytest.raises(pymysql.MySQLError) as e:
            one(hasty, "commit")
        assert e.value.args[0] == 1213
        proxy.functions = {"hasty": "limit=3 guarantee=1 weight=5", "small": "limit=2 max_waiting=5"}
        proxy.reconfigure()
        assert second.answer() is not None  # within the limit now
        row = wait_until(lambda: [r for r in proxy.my_show("FUNCTIONS") if r["name"] == "hasty" and r["weight"] == 5], 20, "the reload")[0]
        assert (row["lent_of_limit"], row["guarantee"]) == ("0/3", 1)
        assert one(hasty, "select count(*) from items where id = 1 and sleep(0.5) = 0") == 1
        second.send(query("select count(*) from items where sleep(30) = 0"))
        wait_until(lambda: int(functions(proxy)["small"]["lent"]) == 2, 20, "both are lent")
        proxy.functions["small"] = "limit=2"
        proxy.reconfigure()
        late = Crowd(1, lambda i: code_of(small[2], "select 4")).start()
        wait_until(lambda: int(functions(proxy)["small"]["waiting"]) == 1, 20, "the late one")
        proxy.functions["small"] = "limit=2 query_wait_timeout=200ms query_timeout=200ms"
        proxy.reconfigure()
        assert late.join() == [1040], "it waited already"
        with pytest.raises(MyError) as e:
            second.answer()
        assert e.value.code == 1317
    for c in small:
        if c.open:
            c.close()


def code_of(conn, sql):
    try:
        one(conn, sql)
    except pymysql.MySQLError as e:
        return e.args[0]
    return 0


def test_shown_on_console_json_and_metrics(start):
    proxy = start(functions={"getUsers": "limit=30 guarantee=2 weight=3"}, idle_transaction_timeout="400ms", log_format="ecs",
                  log_slow_loans="60s")
    with proxy.connect(program_name="getUsers") as c:
        c.begin()
        one(c, f"select 1 from items limit 1 /*traceparent='00-{TRACE}-00f067aa0ba902b7-01'*/")
        row = functions(proxy)["getUsers"]
        assert (row["lent_of_limit"], row["guarantee"], row["weight"], row["clients"]) == ("1/30", 2, 3, 1)
        assert [r["lent"] for r in json.loads(proxy.http("/api/v1/functions"))["rows"] if r["name"] == "getUsers"] == [1]
        metric = 'weir_function_%s{function="getUsers"%s} %d'
        wait_until(lambda: metric % ("rollbacks_total", ',reason="idle_transaction_timeout"', 1) in proxy.http("/metrics"), 20, "taken back")
        with pytest.raises(pymysql.MySQLError):
            c.rollback()
        rows(c, "create temporary table mine (i int)")
        wait_until(lambda: metric % ("pins_total", ',reason="temporary table"', 1) in proxy.http("/metrics"), 20, "the pin")
        rows(c, "drop temporary table mine")
        wait_until(lambda: functions(proxy)["getUsers"]["lent"] == 0, 20, "its end")
        text = proxy.http("/metrics")
        assert metric % ("wait_seconds_count", "", 2) in text and metric % ("loans_total", "", 2) in text

    def found():
        lines = [json.loads(line) for line in proxy.log().splitlines() if '"event.action":"loan"' in line]
        return lines if len(lines) == 2 else None
    taken, pinned = wait_until(found, 20, "both lines")
    assert (taken["event.outcome"], taken["event.reason"], taken["trace.id"]) == ("failure", "idle_transaction_timeout", TRACE)
    assert (pinned["event.outcome"], pinned["weir.pin_reason"], pinned["faas.name"]) == ("success", "temporary table", "getUsers")


def test_overload_tells_the_hopeless_early(start):
    """Thirty ask for what takes six seconds, and wait two: some hear that it's hopeless while there is time left."""
    proxy = start(max_server_connections=1, query_wait_timeout=2)

    def work(_):
        with proxy.connect(read_timeout=60) as c:
            try:
                one(c, "select sleep(0.2)")
                return None
            except pymysql.MySQLError as err:
                assert err.args[0] == 1040
                return int(re.search(r"within (\d+) ms", err.args[1]).group(1))
    told = [ms for ms in Crowd(30, work).start().join(120) if ms is not None]
    assert told and min(told) < 1800 and len(told) < 30, told


def test_another_user_is_another_function(start):
    proxy = start()
    conn = MySQLdb.connect(host=proxy.host, port=proxy.mysql_port, user="app+first", passwd="secret", db="shop")
    for name in ("first", "second"):
        conn.change_user("app+" + name, "secret", "shop")
        conn.query("select 1")
        conn.store_result()
        assert {r["name"] for r in proxy.my_show("FUNCTIONS") if r["clients"] and r["name"] != "admin"} == {name}
    conn.close()


def test_the_sentence_of_a_refusal(start, my):
    proxy = start(max_server_connections=2, query_wait_timeout=60,
                  functions={"getUsers": "query_wait_timeout=1500ms"})
    held = [proxy.connect(program_name="saveUser") for _ in range(2)]
    for c in held:
        c.begin()
        one(c, "select count(*) from items")
    with proxy.connect(program_name="getUsers") as c:
        with pytest.raises(pymysql.MySQLError) as e:
            one(c, "select 1")
        assert e.value.args[0] == 1040
        assert re.fullmatch(r'weir: no connection for function "getUsers" within 1500 ms \(' + re.escape(f"{my.host}:{my.port}") +
                            r' 2/2 lent, 2 of them to "saveUser", 0 waiting, oldest loan \d+\.\d s\)', e.value.args[1]), e.value
        held[0].rollback()
        assert one(c, "select 7") == 7, "the session is kept"
    for c in held:
        c.close()


def test_time_of_a_transaction_by_function(start):
    """However busy; and of one function only."""
    proxy = start(max_server_connections=2, functions={"hasty": "transaction_timeout=1s"})
    with proxy.connect(program_name="hasty") as hasty, proxy.connect(program_name="patient") as patient:
        for c in (hasty, patient):
            c.begin()
        with pytest.raises(pymysql.MySQLError) as e:
            for _ in range(200):
                one(patient, "select sleep(0.1)")
                one(hasty, "select sleep(0.1)")
        assert e.value.args[0] in (1213, 1317), e.value
        patient.commit()
        hasty.rollback()
        assert one(hasty, "select 7") == 7
    assert [functions(proxy)[name]["rollbacks"] for name in ("hasty", "patient")] == [1, 0]


@pytest.mark.parametrize("log_format,trace,prepared", [("ecs", "trace.id", False), ("ecs", "trace.id", True), ("json", "trace.id", False),
                                                       ("gcp", "logging.googleapis.com/trace", True)])
def test_a_slow_loan_is_logged(start, my, log_format, trace, prepared):
    proxy = start(log_format=log_format, log_slow_loans="300ms")
    sql = f"select sleep(0.4) /*traceparent='00-{TRACE}-00f067aa0ba902b7-01'*/"
    with Wire(proxy.connect(program_name="getUsers")) as c:
        if prepared:
            c.execute(c.prepare(sql)[0])
        else:
            c.query(sql)

        def found():
            lines = [json.loads(line) for line in proxy.log().splitlines() if '"loan"' in line]
            return lines[0] if lines else None
        line = wait_until(found, 20, "the line")
    assert line["faas.name"] == "getUsers" and line[trace].endswith(TRACE) and line["event.outcome"] == "success"
    assert line["weir.hold_ms"] >= 400 and line["weir.statements"] >= 1 and line["server.port"] == my.port


def test_an_address_gets_so_many_loans(start):
    proxy = start(max_server_connections=6, max_loans_per_client_addr=2, query_wait_timeout="700ms")
    greedy = [proxy.connect(bind_address="127.0.0.2") for _ in range(3)]
    for c in greedy[:2]:
        c.begin()
        one(c, "select count(*) from items")
    with pytest.raises(pymysql.MySQLError) as e:  # though four connections are free
        one(greedy[2], "select count(*) from items")
    assert e.value.args[0] == 1040 and "to its address as many as it may have" in e.value.args[1]
    with proxy.connect(bind_address="127.0.0.3") as other:
        assert one(other, "select 1") == 1
    greedy[0].rollback()
    assert one(greedy[2], "select count(*) from items") > 0
    for c in greedy:
        c.close()


def test_warm(start, own_my):
    server = own_my()
    proxy = start(server, max_server_connections=8, server_idle_timeout="2s")
    with proxy.connect() as c:
        one(c, "select 1")
    with proxy.connect("admin", "weir", "admin secret") as admin, admin.cursor() as cur:
        cur.execute("WARM shop 5")
    wait_until(lambda: server.count() == 5, 15, "five of them")
    wait_until(lambda: server.count() == 0, 15, "their end: nobody used them")


def test_idle_to_zero(start, own_my):
    """Nothing is kept; the first client wakes it, and waits longer than it otherwise would."""
    server = own_my()
    proxy = start(server, max_server_connections=3, min_pool_size=2, idle_to_zero="1s", query_wait_timeout="1s",
                  resume_timeout="40s", server_login_retry=1)
    with proxy.connect() as c:
        one(c, "select 1")
        wait_until(lambda: server.count() == 0, 15, "no connection left")
        server.stop()
        late = Crowd(1, lambda i: one(c, "select 3")).start()
        time.sleep(4)
        server.start()
        assert late.join() == [3]
