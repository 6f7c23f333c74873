# SPDX-License-Identifier: ISC
"""Lines of single loans: the slow, the pinned, the taken back; of the others a sample."""

import json
import re
import time

import pytest

from harness.proxy import wait_until

pytestmark = pytest.mark.weir_only

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
COMMENT = f" /*application='x',traceparent='00-{TRACE}-00f067aa0ba902b7-01'*/"


def loans(proxy, n=1):
    def found():
        lines = [json.loads(line) for line in proxy.log().splitlines() if line.startswith("{")]
        got = [line for line in lines if line.get("event.action") == "loan"]
        return got if len(got) >= n else None
    return wait_until(found, 10, f"{n} lines of loans")


@pytest.mark.parametrize("log_format", ["json", "ecs", "gcp"])
def test_slow_one(start, pg, log_format):
    proxy = start(log_format=log_format, log_slow_loans="300ms", max_server_connections=1)
    with proxy.client(application_name="getUsers") as c:
        port = c.sock.getsockname()[1]
        c.simple("select 1")
        c.simple("begin")
        c.simple("select pg_sleep(0.4)" + COMMENT)
        c.simple("commit")
        line = loans(proxy)[0]
    assert line["message"] == "loan ended"
    assert line["event.outcome"] == "success" and line["event.dataset"] == "weir.loan"
    assert line["faas.name"] == "getUsers" and line["user.name"] == "app" and line["weir.database"] == "shop"
    assert line["client.address"] == "127.0.0.1" and line["client.port"] == port
    assert line["server.address"] == pg.host and line["server.port"] == pg.port
    assert line["weir.statements"] == 3
    assert line["weir.hold_ms"] >= 400 and line["event.duration"] >= 400_000_000
    if log_format == "gcp":
        assert line["logging.googleapis.com/trace"].endswith(TRACE)
    else:
        assert line["trace.id"] == TRACE
    if log_format == "ecs":
        assert line["log.level"] == "info" and line["ecs.version"] and line["@timestamp"]
    assert len(loans(proxy)) == 1  # the quick one has none


def test_one_that_waited(start):
    proxy = start(log_format="ecs", log_slow_loans="300ms", max_server_connections=1)
    with proxy.client() as h, proxy.client(application_name="late") as c:
        h.simple("begin")
        h.simple("select 1")
        from harness.wire import query
        c.send(query("select 1"))
        wait_until(lambda: int(proxy.pool()["cl_waiting"]) == 1, 10, "the waiter")
        time.sleep(0.4)
        h.simple("commit")
        c.until()
        late = [line for line in loans(proxy, 2) if line["faas.name"] == "late"]
    assert len(late) == 1 and late[0]["weir.wait_ms"] >= 400 and late[0]["weir.statements"] == 1


def test_pinned(start):
    proxy = start(log_format="ecs")
    with proxy.client() as c:
        c.simple("create temporary table t (i int)")
        wait_until(lambda: proxy.show("PINS"), 10, "the pin")
        c.simple("drop table t")
        line = loans(proxy)[0]
    assert line["weir.pin_reason"] == "temporary object" and line["event.outcome"] == "success"


def test_taken_back(start):
    proxy = start(log_format="ecs", idle_transaction_timeout="500ms", log_slow_loans=0)
    with proxy.client(application_name="frozenOne") as c:
        c.simple("begin")
        c.simple("select 1" + COMMENT)
        line = loans(proxy)[0]
        assert line["event.outcome"] == "failure" and line["event.reason"] == "idle_transaction_timeout"
        assert "rolled back" in line["message"] and line["trace.id"] == TRACE and line["faas.name"] == "frozenOne"


def test_cancelled_at_a_limit(start):
    proxy = start(log_format="ecs", log_slow_loans=0, query_timeout="400ms")
    with proxy.client() as c:
        c.simple("select pg_sleep(9) /* deadline_ms=200 */")
        c.simple("select pg_sleep(9)")
        lines = loans(proxy, 2)
    assert [(line["event.outcome"], line["event.reason"]) for line in lines] == [("failure", "deadline"), ("failure", "query_timeout")]


def test_sample(start):
    proxy = start(log_format="json", log_slow_loans=0, log_loan_sample=10)
    with proxy.client() as c:
        for _ in range(100):
            c.simple("select 1")
    assert 8 <= len(loans(proxy, 8)) <= 10  # each worker counts by itself


def test_a_storm_of_them_is_bounded(start):
    proxy = start(log_format="json", log_slow_loans=0, log_loan_sample=1, max_server_connections=1)
    with proxy.client() as c:
        begun = time.monotonic()
        for _ in range(3000):
            c.simple("select 1")
        took = time.monotonic() - begun
        time.sleep(1.1)
        c.simple("select 1")

    def counted():
        got = loans(proxy, 2)
        return got if len(got) + sum(line.get("weir.dropped", 0) for line in got) >= 3001 else None
    got = wait_until(counted, 10, "the line that counts what was dropped")
    assert len(got) <= 100 * (took + 4)
    assert len(got) + sum(line.get("weir.dropped", 0) for line in got) == 3001


def test_text(start):
    proxy = start(log_slow_loans="200ms")
    with proxy.client(application_name="a b") as c:
        c.simple("select pg_sleep(0.3)" + COMMENT)
    found = wait_until(lambda: re.search(r"info client [^\n]*: loan ended [^\n]*", proxy.log()), 10, "the line")
    assert ' faas.name="a b" ' in found.group() and f" trace.id={TRACE}" in found.group()


def test_refusal_names_its_function(start):
    proxy = start(log_format="ecs", max_server_connections=1, query_wait_timeout="200ms")
    with proxy.client() as h, proxy.client(application_name="refused") as c:
        h.simple("begin")
        h.simple("select 1")
        c.simple("select 1")

        def found():
            lines = [json.loads(line) for line in proxy.log().splitlines() if "refusal" in line]
            return lines[0] if lines else None
        line = wait_until(found, 10, "the line")
    assert line["faas.name"] == "refused" and line["event.reason"] == "timeout" and line["log.level"] == "warning"
