# SPDX-License-Identifier: ISC
"""Functions on MySQL and MariaDB: what has to do with the server's side of it."""

import json
import re
import time

import pymysql
import pytest

from harness.myproxy import one
from harness.mywire import Wire
from harness.proxy import Crowd, wait_until


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
    assert all(r["clients"] == "0" or r["clients"] == 0 or r["name"] == "admin" for r in proxy.my_show("FUNCTIONS"))


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
    """Two connections of three, though the others are nine, and were there first."""
    proxy = start(max_server_connections=3, functions={"vip": "guarantee=2"})
    done = {"vip": 0, "crowd": 0}
    end = time.monotonic() + 2

    def work(i):
        name = "vip" if i >= 9 else "crowd"
        with proxy.connect(user="app2" if name == "vip" else "app", program_name=name) as c:
            while time.monotonic() < end:
                one(c, "select sleep(0.1)")
                done[name] += 1
    Crowd(13, work).start().join()
    assert done["vip"] > 1.2 * done["crowd"], done


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


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize("prepared", [False, True])
def test_a_slow_loan_is_logged(start, my, prepared):
    proxy = start(log_format="ecs", log_slow_loans="300ms")
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
    assert line["faas.name"] == "getUsers" and line["trace.id"] == TRACE and line["event.outcome"] == "success"
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
