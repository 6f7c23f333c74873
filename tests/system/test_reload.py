# SPDX-License-Identifier: ISC
"""What a reload changes under those who are there already."""

import re
import time

import pytest

from harness import wire
from harness.proxy import wait_until
from harness.wire import PgError

pytestmark = pytest.mark.weir_only
WHERE = "select current_database()"


def reload(proxy, **shop):
    proxy.databases["shop"] = shop
    proxy.write()
    proxy.admin("RELOAD")


def test_a_database_moves(start, pg):
    """To another server, by its name: who waits for the old one gets the new one, who is in a transaction ends it there."""
    proxy = start(max_server_connections=1)
    inside, waiting = proxy.clients(2)
    inside.simple("begin")
    assert inside.value(WHERE) == "shop"
    waiting.send(wire.query(WHERE))
    wait_until(lambda: proxy.pool()["cl_waiting"] == "1", 20, "the wait")
    reload(proxy, host=pg.dir, port=pg.port, dbname="other")
    assert wire.rows(waiting.until(timeout=20)) == [["other"]]
    with proxy.client() as new:
        assert new.value(WHERE) == "other"
    assert inside.value(WHERE) == "shop"
    inside.simple("commit")
    assert inside.value(WHERE) == "other"
    wait_until(lambda: pg.count("datname = 'shop'") == 0, 20, "the end of the old connection")
    assert len([r for r in proxy.show("POOLS") if r["database"] == "shop"]) == 1
    assert {r["name"]: r["clients"] for r in proxy.show("FUNCTIONS")}["app"] == "2"
    # The server stays: its other databases are where they were. Without them it isn't shown any more.
    up = r'weir_server_up{server="(.*?)"}'
    assert sorted(re.findall(up, proxy.http("/metrics"))) == sorted([f"127.0.0.1:{pg.port}", f"{pg.dir}:{pg.port}"])
    proxy.databases.clear()
    reload(proxy, host=pg.dir, port=pg.port, dbname="third")
    assert [c.value(WHERE) for c in (inside, waiting)] == ["third", "third"]
    wait_until(lambda: re.findall(up, proxy.http("/metrics")) == [f"{pg.dir}:{pg.port}"], 20, "the end of what it had there")
    for c in (inside, waiting):
        c.terminate()


def test_a_database_that_has_moved_is_reloaded(start, pg):
    """What is shown of it, and what it has, doesn't grow with each reload."""
    proxy = start()
    with proxy.client() as c:
        c.value(WHERE)
        for _ in range(3):
            reload(proxy, host=pg.dir, port=pg.port, dbname="other")
            assert c.value(WHERE) == "other"
        assert [r["cl_active"] for r in proxy.show("POOLS") if r["database"] == "shop"] == ["1"]
    assert len([s for s in proxy.show("SERVERS") if s["database"] == "shop"]) == 1


def test_a_database_that_is_gone(start, pg):
    """Who is in a transaction may end it; nobody else waits for what won't come back. Unless it comes back."""
    proxy = start(max_server_connections=1, query_wait_timeout=600)
    here = {"host": pg.host, "port": pg.port}
    inside, idle, waiting = proxy.clients(3)
    assert idle.value(WHERE) == "shop"
    inside.simple("begin")
    waiting.send(wire.query(WHERE))
    wait_until(lambda: proxy.pool()["cl_waiting"] == "1", 20, "the wait")
    del proxy.databases["shop"]
    proxy.write()
    proxy.admin("RELOAD")

    def refused(answers):
        assert [(e.get("C"), e.get("M")) for e in wire.errors(answers)] == [("3D000", "the database is no longer configured")]

    refused(waiting.until(timeout=20))
    refused(idle.ask(wire.query(WHERE), timeout=20))
    assert inside.value(WHERE) == "shop"
    inside.simple("commit")
    refused(inside.ask(wire.query(WHERE), timeout=20))
    with pytest.raises(PgError) as e:
        proxy.client()
    assert e.value.code == "3D000"
    reload(proxy, **here)
    assert [c.value(WHERE) for c in (inside, idle, waiting)] == ["shop"] * 3
    assert len([r for r in proxy.show("POOLS") if r["database"] == "shop"]) == 1
    for c in (inside, idle, waiting):
        c.terminate()


def test_a_refusal_is_lifted(start, pg):
    """What the database refused is tried again at once when the file has been mended."""
    proxy = start(server_login_retry=600)
    here = {"host": pg.host, "port": pg.port}
    with proxy.client() as c:
        del proxy.databases["shop"]
        proxy.write()
        proxy.admin("RELOAD")
        for dbname in (None, "nowhere"):
            if dbname:
                reload(proxy, **here, dbname=dbname)
            with pytest.raises(PgError) as e:
                c.value(WHERE)
            assert e.value.code == "3D000"
        reload(proxy, **here, dbname="shop")
        assert c.value(WHERE) == "shop"


def test_client_idle_timeout_of_those_who_idle_already(start):
    proxy = start()
    c = proxy.client()
    assert c.value("select 1") == "1"
    time.sleep(0.3)  # nothing else is to be done any more
    proxy.reconfigure(client_idle_timeout="500ms")
    c.until_closed(20)


@pytest.mark.parametrize("setting", ["max_db_client_connections", "max_user_client_connections"])
def test_clients_of_a_database_or_user(start, setting):
    """Whatever the user, and whatever the database."""
    proxy = start(**{setting: 2})
    other = ("app2", "shop") if setting.startswith("max_db") else ("app", "other")
    a, b = proxy.client(), proxy.client(*other)
    for who in (("app", "shop"), other):
        with pytest.raises(PgError) as e:
            proxy.client(*who)
        assert e.value.code == "53300" and setting in str(e.value)
    proxy.client("app2", "other").terminate()
    a.terminate()
    wait_until(lambda: try_client(proxy, *other), 20, "the place that came free")
    b.terminate()


def try_client(proxy, *who):
    try:
        proxy.client(*who).terminate()
        return True
    except PgError:
        return False


def test_no_prepared_statements_and_then_some(start):
    """What was prepared while none were kept is not in the way afterwards."""
    proxy = start(max_server_connections=1, max_prepared_statements=0)
    with proxy.client() as c:
        def use(name):
            parts = wire.parse(name, "select $1::int"), wire.bind("", name, ["1"]), wire.execute(), wire.close_statement(name)
            return wire.rows(c.ask(*parts, *parts, wire.SYNC))
        assert use("a") == [["1"], ["1"]] == use("b")
        proxy.reconfigure(max_prepared_statements=200)
        proxy.wait_log("configuration reloaded")
        assert use("a") == [["1"], ["1"]] == use("c")


def test_limits_of_sessions_that_stay(start, pg):
    """max_prepared_statements, max_statement_size and pool_mode hold for them from their next loan on."""
    proxy = start(max_server_connections=1)
    many = [f"select {i} + $1::int" for i in range(5)]
    there = "select count(*) from pg_prepared_statements"
    with proxy.client() as c:
        for i, sql in enumerate(many):
            c.ask(wire.parse(f"s{i}", sql), wire.SYNC)
        assert int(c.value(there)) >= 5
        proxy.reconfigure(max_prepared_statements=2, max_statement_size="1kB")
        proxy.wait_log("configuration reloaded")
        c.ask(wire.parse("more", "select 'one more', $1::int"), wire.SYNC)
        for i in range(5):
            rows = wire.rows(c.ask(wire.bind("", f"s{i}", ["1"]), wire.execute(), wire.SYNC))
            assert rows == [[str(i + 1)]]
        assert int(c.value(there)) <= 2
        assert wire.error_code(c.ask(wire.parse("long", "select '" + "x" * 2000 + "'"), wire.SYNC)) == "54000"
        assert proxy.pool()["sv_active"] == "0"
        proxy.reconfigure(pool_mode="session")
        wait_until(lambda: proxy.pool()["pool_mode"] == "session", 20, "the other mode")
        assert c.value("select 1") == "1"
        assert proxy.pool()["sv_active"] == "1"
    with proxy.client() as c:
        assert c.value("select 1") == "1"
        wait_until(lambda: proxy.pool()["sv_active"] == "1", 20, "the loan of a session")
