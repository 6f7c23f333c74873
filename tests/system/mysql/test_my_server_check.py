# SPDX-License-Identifier: ISC
"""Connections to MariaDB or MySQL that were idle: what its server left isn't lent."""

import threading
import time

import pymysql
import pytest

from harness.line import Line
from harness.myproxy import one, rows
from harness.proxy import wait_until


@pytest.fixture
def line(my):
    made = Line(my.host, my.port)
    yield made
    made.close()


@pytest.fixture
def weir(start, line):
    def make(**more):
        databases = {"shop": f"mysql://127.0.0.1:{line.port}/shop"}
        return start(databases=databases, **{"max_server_connections": 3, "server_check_delay": "200ms", **more})
    return make


def fill(proxy, count):
    clients = [proxy.connect(autocommit=True) for _ in range(count)]
    for c in clients:
        c.begin()
        rows(c, "select 1")
    for c in clients:
        c.commit()
    return clients


@pytest.mark.parametrize("query", ["<empty>", "select 'are you there'"])
def test_a_server_that_vanished_costs_a_delay(weir, line, query):
    proxy = weir(server_check_query=query)
    clients = fill(proxy, 3)
    line.cut()
    time.sleep(0.3)
    begun = time.monotonic()
    rows(clients[0], "insert into scratch (who) values ('once')")
    assert time.monotonic() - begun < 10
    answers = []
    threads = [threading.Thread(target=lambda c=c: answers.append(one(c, "select count(*) from scratch"))) for c in clients]
    for t in threads:
        t.start()
    for t in threads:
        t.join(20)
    assert answers == [1, 1, 1]
    wait_until(lambda: int(proxy.pool()["sv_active"]) == 0)


def test_a_connection_the_server_closed_while_idle_is_never_lent(start, my):
    proxy = start(max_server_connections=2)
    c = proxy.connect(autocommit=True)
    for i in range(40):
        assert one(c, "select 1") == 1
        for (number,) in my.rows("select id from information_schema.processlist where user = 'app'"):
            try:
                my.rows(f"kill {number}")
            except pymysql.err.OperationalError:
                pass  # it has gone already
        wait_until(lambda: my.count("user = 'app'") == 0, 10, "the end of what was killed", every=0.001)
        assert one(c, f"select {i}") == i
    c.close()


def test_what_a_client_asks_of_its_last_statement_survives_a_check(start):
    proxy = start(max_server_connections=1, server_check_delay=0)
    c = proxy.connect(autocommit=True)
    rows(c, "set @@sql_mode = ''")
    rows(c, "insert into scratch (who) values ('a'), ('b')")
    time.sleep(0.02)
    assert one(c, "select row_count()") == 2
    rows(c, "select sql_calc_found_rows * from scratch limit 1")
    time.sleep(0.02)
    assert one(c, "select found_rows()") == 2
    rows(c, "select cast('x' as signed)")
    time.sleep(0.02)
    assert len(rows(c, "show warnings")) == 1
    assert one(c, "select @@sql_mode") == ""
    c.close()


def test_a_server_that_starts_anew(start, own_my):
    server = own_my()
    proxy = start(server, max_server_connections=3)
    clients = fill(proxy, 3)
    server.restart()
    for c in clients:
        assert one(c, "select 2") == 2
        c.close()


def test_a_check_that_fails_closes_the_connection(start, my):
    proxy = start(max_server_connections=1, server_check_delay=0, server_check_query="select no_such_column")
    c = proxy.connect(autocommit=True)
    seen = set()
    for _ in range(3):
        assert one(c, "select 1") == 1
        seen |= {number for (number,) in my.rows("select id from information_schema.processlist where user = 'app'")}
    c.close()
    assert len(seen) > 1
