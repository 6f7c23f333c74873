# SPDX-License-Identifier: ISC
"""Databases in trouble: one that refuses every second login, one that takes its time to wake up."""

import time

import pytest

from harness.front import Front
from harness.proxy import Crowd, crowd, wait_until
from harness.wire import Closed, PgError

pytestmark = pytest.mark.weir_only


@pytest.fixture
def front(pg):
    made = []

    def make(server=None, **more):
        server = server or pg
        made.append(Front("postgres", server.host, server.port, **more))
        return made[-1]
    yield make
    for f in made:
        f.close()


@pytest.mark.parametrize("every", [2, 3])
def test_every_second_login_is_refused(start, front, every):
    """With 53300: nobody who waits hears of it, and the bound stays."""
    door = front(every=every)
    proxy = start(max_server_connections=10, query_wait_timeout=60, server_login_retry=1, server_idle_timeout=1,
                  databases={"shop": {"host": "127.0.0.1", "port": door.port, "dbname": "shop"}})

    def work(i):
        with proxy.client(timeout=60) as c:
            for n in range(10):
                assert c.rows(f"select {n}, pg_sleep(0.01)")[0][0] == str(n)
                if i % 5 == 0:
                    time.sleep(0.05)
        return i
    assert sorted(crowd(60, work, 120)) == list(range(60))
    assert door.refused > 0, "it wasn't hard at all"
    assert door.peak <= 10
    assert sum(int(r["refusals"]) for r in proxy.show("FUNCTIONS")) == 0


def test_most_logins_are_refused_and_then_none(start, front):
    """Two clients wait through it; none is sent away as long as its time lasts."""
    door = front(every=1)
    proxy = start(max_server_connections=4, query_wait_timeout=60, server_login_retry=5,
                  databases={"shop": {"host": "127.0.0.1", "port": door.port, "dbname": "shop"}})
    waiting = Crowd(2, lambda i: proxy.client(timeout=60).value("select 1", timeout=60)).start()
    wait_until(lambda: door.refused >= 2, 30, "a refusal")
    door.every = 10 ** 9
    assert waiting.join() == ["1", "1"]


def test_slow_to_wake(start, front):
    """One login tries, for longer than it otherwise might, while the others wait, longer than they otherwise would."""
    door = front(every=0)
    proxy = start(max_server_connections=4, query_wait_timeout="500ms", server_connect_timeout="500ms", idle_to_zero="500ms",
                  resume_timeout="60s", databases={"shop": {"host": "127.0.0.1", "port": door.port, "dbname": "shop"}})
    with proxy.client(timeout=60) as first:
        wait_until(lambda: first.simple("select 1")[0].type == "T", 30, "a first loan")
        wait_until(lambda: door.open == 0, 30, "its sleep")
        door.awake.clear()
        seen = door.seen
        waiting = Crowd(5, lambda i: proxy.client(timeout=60).value(f"select {i}", timeout=60)).start()
        with pytest.raises(PgError) as e:
            first.value("/* deadline_ms=1200 */ select 1", timeout=60)
        assert e.value.code == "53300" and "is resuming" in str(e.value)
        assert door.seen == seen + 1, "nobody else wakes it"
        door.awake.set()
        assert waiting.join() == [str(i) for i in range(5)]
        assert first.value("select 7") == "7"


@pytest.mark.parametrize("state", ["create temp table mine (a int)", "do $$ begin perform set_config('work_mem', '5MB', false); end $$",
                                   "select set_config(name, '5MB', false) from pg_settings where name = 'work_mem'"])
def test_lost_before_weir_knows_what_the_session_has(start, front, state):
    """The connection ends between a statement's answer and weir's own question what it left behind: the session is
    told, not left with half of what it had."""
    door = front(every=0)
    proxy = start(max_server_connections=2, databases={"shop": {"host": "127.0.0.1", "port": door.port, "dbname": "shop"}})
    with proxy.client() as one, proxy.client() as other:
        assert other.value("select 1") == "1"
        door.cut = b"SELECT 's', name, setting"
        assert one.simple(state)[-1].type == "Z"
        with pytest.raises(Closed):
            while one.simple("select 1")[0].type != "T":
                pass
        door.cut = None
        assert other.value("select 1") == "1"
    wait_until(lambda: door.open == int(proxy.show("POOLS")[0]["sv_idle"]), 10, "a true count")
