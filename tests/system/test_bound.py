# SPDX-License-Identifier: ISC
"""The bound: whatever clients do, the database itself never counts more connections than it allows."""

import select
import random
import re
import signal
import threading
import time

import pytest

from harness import wire
from harness.proxy import USERS_PLAIN as pg_users
from harness.proxy import Crowd, Sampler, crowd, wait_until
from harness.wire import Closed, PgError

weir_only = pytest.mark.weir_only


@pytest.fixture(autouse=True)
def nobody_left(pg):
    """On a slow machine backends outlive the proxy of the test before; they are not this one's."""
    wait_until(lambda: pg.count() == 0, 30, "the end of the connections of the test before")


def busy(proxy, seconds, users=("app",), databases=("shop",), sleep=0.002):
    """A client that runs small transactions for a while; returns how many it got."""
    def work(i):
        user, database = users[i % len(users)], databases[(i // len(users)) % len(databases)]
        done = 0
        end = time.monotonic() + seconds
        with proxy.client(user, database) as c:
            while time.monotonic() < end:
                c.value(f"select pg_sleep({sleep})")
                done += 1
        return done
    return work


@pytest.mark.parametrize("bound", [1, 3])
def test_the_database_never_sees_more_than_the_bound(start, pg, bound):
    proxy = start(max_server_connections=bound)
    with Sampler(pg) as seen:
        done = crowd(30, busy(proxy, 1.5))
    assert seen.highest == bound
    assert seen.samples > 50
    assert min(done) > 0


@weir_only
def test_many_pairs_on_one_server_share_its_bound(start, pg):
    proxy = start(max_server_connections=3)
    with Sampler(pg) as seen:
        done = crowd(27, busy(proxy, 3, ("app", "app2", "app3"), ("shop", "other", "third")))
    assert seen.highest <= 3
    assert min(done) > 0, f"somebody starved: {done}"


@weir_only
def test_bound_of_one_serves_nine_pairs(start, pg):
    proxy = start(max_server_connections=1)
    with Sampler(pg) as seen:
        done = crowd(9, busy(proxy, 2, ("app", "app2", "app3"), ("shop", "other", "third")))
    assert seen.highest == 1
    assert min(done) > 0, f"somebody starved: {done}"


@weir_only
def test_idle_connection_of_one_pair_is_closed_for_a_waiter_of_another(start, pg):
    proxy = start(max_server_connections=2)
    a, b = proxy.client("app"), proxy.client("app")
    a.simple("begin"), b.simple("begin")
    a.simple("commit"), b.simple("commit")
    assert pg.count("usename = 'app'") == 2
    begun = time.monotonic()
    with proxy.client("app2") as c:
        assert c.value("select current_user") == "app2"
    assert time.monotonic() - begun < 15
    assert pg.count() <= 2
    a.terminate(), b.terminate()


@weir_only
def test_a_busy_pair_does_not_starve_a_lone_client_of_another(start, pg):
    proxy = start(max_server_connections=2)
    hogs = Crowd(20, busy(proxy, 3)).start()
    time.sleep(0.3)
    waits = []
    with proxy.client("app2", "other") as c:
        for _ in range(10):
            begun = time.monotonic()
            c.value("select 1")
            waits.append(time.monotonic() - begun)
    hogs.join()
    assert max(waits) < 1.5, waits


@weir_only
def test_pool_size_of_a_pair_holds_inside_the_bound(start, pg):
    proxy = start(max_server_connections=5, users={"app": "pool_size=2"})
    with Sampler(pg, "usename = 'app' and datname = 'shop'") as app, Sampler(pg) as all_:
        crowd(24, busy(proxy, 1.5, ("app", "app2")))
    assert app.highest == 2
    assert 3 <= all_.highest <= 5


def test_default_pool_size_is_per_pair(start, pg):
    proxy = start(max_server_connections=10, default_pool_size=2)
    shop = "datname = 'shop'"  # weir tries app's other databases once, when it starts
    with Sampler(pg, f"usename = 'app' and {shop}") as app, Sampler(pg, f"usename = 'app2' and {shop}") as app2:
        crowd(16, busy(proxy, 1, ("app", "app2")))
    assert app.highest == 2 and app2.highest == 2


@weir_only
def test_pool_size_in_the_databases_section(start, pg):
    proxy = start(max_server_connections=10, databases={
        "shop": {"host": pg.host, "port": pg.port, "pool_size": 2}, "other": {"host": pg.host, "port": pg.port}})
    with Sampler(pg, "datname = 'shop'") as shop, Sampler(pg, "datname = 'other'") as other:
        crowd(16, busy(proxy, 1, ("app",), ("shop", "other")))
    assert shop.highest == 2 and other.highest > 2


@weir_only
@pytest.mark.parametrize("setting", ["max_db_connections", "max_user_connections"])
def test_pairs_with_a_limit_together(start, pg, setting):
    """Of a database, whatever the user; of a user, whatever the database. Each of them gets its turn."""
    proxy = start(max_server_connections=10, **{setting: 2})
    where = {"max_db_connections": "datname = 'shop'", "max_user_connections": "usename = 'app'"}[setting]
    with Sampler(pg, where) as limited, Sampler(pg) as all_:
        done = crowd(18, busy(proxy, 2, ("app", "app2", "app3"), ("shop", "other", "third")))
    assert limited.highest == 2 < all_.highest <= 10
    assert min(done) > 0, f"somebody starved: {done}"


@weir_only
def test_bound_in_the_servers_section(start, pg):
    proxy = start(max_server_connections=10, servers={f"127.0.0.1:{pg.port}": "max_server_connections=2"})
    with Sampler(pg) as seen:
        crowd(12, busy(proxy, 1))
    assert seen.highest == 2


def limit_shown(proxy):
    found = re.search(r"^weir_server_connections_limit\{[^}]*\}\s+(\d+)", proxy.http("/metrics"), re.M)
    return int(found.group(1)) if found else None


@weir_only
def test_auto_and_percent_are_computed_from_the_servers_limits(start, pg):
    """max_connections 100 less 3 reserved: auto is at most 97, 75% is 72 or 73."""
    proxy = start(max_server_connections="75%")
    with proxy.client() as c:
        c.value("select 1")
    assert wait_until(lambda: limit_shown(proxy) in (72, 73, 75), 10, "75% of the limit"), limit_shown(proxy)
    auto = start(max_server_connections="auto")
    with auto.client() as c:
        c.value("select 1")
    wait_until(lambda: limit_shown(auto) and 50 <= limit_shown(auto) <= 97, 10, "a limit from the server")


@weir_only
def test_percent_holds_against_the_databases_count(start, own_pg):
    pg = own_pg(max_connections=20)
    proxy = start(server=pg, max_server_connections="50%")
    with Sampler(pg) as seen:
        crowd(60, busy(proxy, 2, sleep=0.01))
    assert 5 <= seen.highest <= 10


@weir_only
def test_role_connection_limit_is_respected(start, pg):
    """ALTER ROLE limited CONNECTION LIMIT 2: more clients than that are served, none sees 53300."""
    proxy = start(max_server_connections="auto")
    done = crowd(10, busy(proxy, 1.5, ("limited",)))
    assert min(done) > 0


@weir_only
def test_limits_of_roles_and_databases_are_theirs_alone(start, pg):
    """The first to be asked has a small limit itself: that is its own, others get what the server has for all."""
    with pg.superuser("postgres") as s:
        s.rows("alter database third connection limit 3")
        here = {"host": pg.host, "port": pg.port}
        proxy = start(max_server_connections="auto", userlist={n: pg_users[n] for n in ("limited", "app", "admin")},
                      databases={"small": dict(here, dbname="third"), "shop": dict(here, dbname="shop")})
        try:
            wait_until(lambda: limit_shown(proxy) == 94, 10, "the server's limit")
            for user, database, count in (("limited", "shop", 2), ("app", "small", 3), ("app", "shop", 8)):
                clients = proxy.clients(8, user=user, database=database)
                for c in clients:
                    c.send(wire.query("begin"))
                wait_until(lambda: sum(c.readable() for c in clients) == count, 20, f"{count} of {user} in {database}")
                for c in clients:
                    c.close()
            assert "too many connections" not in proxy.log()
        finally:
            s.rows("alter database third connection limit -1")


@weir_only
def test_a_limit_of_one_role_holds_up_nobody_else(start, pg):
    """All that `limited` may have is taken by somebody else: its clients wait, and others get new connections at once."""
    proxy = start(max_server_connections=6, server_login_retry=60, query_wait_timeout=60)
    taken = [pg.direct("limited") for _ in range(2)]
    waits = Crowd(3, lambda i: proxy.client("limited", timeout=60).value("select 1")).start()
    wait_until(lambda: "too many connections for role" in proxy.log(), 30, "the refusal")
    others = proxy.clients(4)
    for c in others:
        c.rows("begin")
        assert c.value("select 1") == "1"
    for c in taken:
        c.close()
    assert waits.join(60) == ["1"] * 3
    for c in others:
        c.rows("commit")
        c.close()


@weir_only
def test_pools_of_one_role_share_its_limit(start, pg):
    """Two databases of weir's, one role, which may have two connections: whoever wants one gets it from the other."""
    here = {"host": pg.host, "port": pg.port, "dbname": "shop"}
    proxy = start(max_server_connections=6, databases={"shop": here, "again": here}, query_wait_timeout=60)
    ours, theirs = proxy.clients(2, user="limited"), proxy.clients(2, user="limited", database="again", timeout=60)
    for _ in range(3):
        for pair in (ours, theirs):
            for c in pair:
                c.rows("begin")
            for c in pair:
                c.rows("commit")
    assert pg.count("usename = 'limited'") <= 2


@weir_only
def test_server_that_refuses_53300_makes_clients_wait_not_fail(start, own_pg):
    """The bound is too high for the server: weir learns it from 53300 and serves everybody all the same."""
    pg = own_pg(max_connections=8)
    proxy = start(server=pg, max_server_connections=30)
    done = crowd(40, busy(proxy, 2))
    assert min(done) > 0


@weir_only
def test_who_waited_in_vain_hears_what_the_server_says(start, own_pg):
    pg = own_pg(max_connections=8)
    proxy = start(server=pg, max_server_connections=30, query_wait_timeout=3)
    keepers = [proxy.client(timeout=30) for _ in range(6)]
    errors = [err for c in keepers for err in wire.errors(c.simple("begin"))]
    assert errors
    for err in errors:
        assert err["C"] == "53300"
        assert re.search(r" s\), and the server gives no more: .*(remaining connection slots|too many clients)", err["M"]), err["M"]


@weir_only
def test_reload_grows_and_shrinks_the_bound(start, pg):
    proxy = start(max_server_connections=2)
    hogs = Crowd(20, busy(proxy, 6, sleep=0.005)).start()
    with Sampler(pg) as seen:
        time.sleep(0.7)
    assert seen.highest == 2
    proxy.reconfigure(max_server_connections=6)
    wait_until(lambda: pg.count() == 6, 15, "six connections")
    proxy.reconfigure(max_server_connections=3)
    wait_until(lambda: pg.count() <= 3, 15, "three connections")
    with Sampler(pg) as seen:
        time.sleep(1)
    assert seen.highest <= 3
    hogs.join()


@weir_only
def test_reload_shrinks_idle_connections_at_once(start, pg):
    proxy = start(max_server_connections=6)
    crowd(6, busy(proxy, 0.5, sleep=0.1))
    assert pg.count() > 3
    proxy.reconfigure(max_server_connections=2)
    wait_until(lambda: pg.count() <= 2, 15, "two connections")


@weir_only
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_bound_holds_through_a_restart_of_the_database(start, own_pg, how):
    pg = own_pg()
    proxy = start(server=pg, max_server_connections=4)
    over = threading.Event()
    failures, done = [], [0] * 20

    def work(i):
        c = proxy.client()
        while not over.is_set():
            try:
                c.value("select pg_sleep(0.003)")
                done[i] += 1
            except PgError as err:
                failures.append(err.code)
                time.sleep(0.02)
            except (Closed, OSError) as err:
                failures.append(repr(err))
                c = proxy.client()
    with Sampler(pg) as seen:
        hogs = Crowd(20, work).start()
        try:
            wait_until(lambda: min(done) > 0, 60, "everybody to be served")
            pg.restart(how)
            before = list(done)
            wait_until(lambda: all(now > then for now, then in zip(done, before)), 60, "everybody to be served again")
        finally:
            over.set()
        hogs.join(30)
    assert seen.highest <= 4
    allowed = {"57P01", "57P02", "57P03", "08006", "08001", "08003"}
    assert set(failures) <= allowed, sorted(set(failures) - allowed)


@weir_only
def test_bound_holds_while_clients_vanish_and_cancel(start, pg):
    """Everything that opens and closes sockets to the server at once: cancels, kills, logins, evictions."""
    proxy = start(max_server_connections=4, server_lifetime=1)
    end = time.monotonic() + 4
    rng = random.Random(7)
    plans = [rng.choice(["kill", "cancel", "tx", "quick"]) for _ in range(32)]

    def work(i):
        done = 0
        while time.monotonic() < end:
            c = proxy.client(("app", "app2")[i % 2])
            try:
                plan = plans[i]
                if plan == "kill":
                    c.send(wire.query("select pg_sleep(5)"))
                    time.sleep(0.02)
                    c.reset()
                elif plan == "cancel":
                    c.send(wire.query("select pg_sleep(5)"))
                    time.sleep(0.02)
                    # one that overtakes its statement on the server is lost, as without a proxy
                    for _ in range(10):
                        c.cancel(proxy.host, proxy.port)
                        if select.select([c.sock], [], [], 0.3)[0]:
                            break
                    assert wire.error_code(c.until()) == "57014"
                    c.terminate()
                elif plan == "tx":
                    c.simple("begin")
                    c.simple("select 1")
                    c.reset()
                else:
                    c.value("select 1")
                    c.terminate()
                done += 1
            finally:
                c.close()
        return done
    with Sampler(pg) as seen:
        done = crowd(32, work)
    assert seen.highest <= 4
    assert min(done) > 0, done
    wait_until(lambda: pg.count("state = 'active'") == 0, 15, "the end of what nobody waits for")


@weir_only
def test_min_pool_size_stays_inside_the_bound(start, pg):
    proxy = start(max_server_connections=2, min_pool_size=5)
    with proxy.client() as c:
        c.value("select 1")
        with Sampler(pg) as seen:
            time.sleep(1)
    assert seen.highest <= 2


@weir_only
def test_console_count_equals_the_databases(start, pg):
    proxy = start(max_server_connections=5)
    crowd(15, busy(proxy, 0.5))
    # A login that somebody waited for may still be under way: the database counts it, SHOW SERVERS not yet.
    wait_until(lambda: len(proxy.show("SERVERS")) == pg.count(), 10, "one and the same count")
    for _ in range(5):
        rows = proxy.show("SERVERS")
        assert len(rows) == pg.count(), rows


@weir_only
def test_burst_of_500_clients_on_five_connections(start, pg):
    proxy = start(max_server_connections=5)

    def work(_):
        with proxy.client(timeout=40) as c:
            return c.value("select 1")
    with Sampler(pg) as seen:
        assert crowd(500, work, 50) == ["1"] * 500
    assert 1 <= seen.highest <= 5
