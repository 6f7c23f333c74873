# SPDX-License-Identifier: ISC
"""A MySQL in trouble: it refuses every second login with 1040, or takes its time to wake up."""

import signal
import time

import pymysql
import pytest

from harness.front import Front
from harness.myproxy import one, rows
from harness.proxy import Crowd, crowd, wait_until


@pytest.mark.parametrize("every", [2, 3])
def test_every_second_login_is_refused(start, my, every):
    """Nobody who waits hears of it, and the bound stays."""
    door = Front("mysql", my.host, my.port, every=every)
    proxy = start(max_server_connections=10, query_wait_timeout=60, server_login_retry=1, server_idle_timeout=1,
                  databases={"shop": f"mysql://127.0.0.1:{door.port}/shop"})

    def work(i):
        with proxy.connect(read_timeout=60) as c:
            for n in range(10):
                assert one(c, f"select {n} + sleep(0.01)") == n
                if i % 5 == 0:
                    time.sleep(0.05)
        return i
    try:
        assert sorted(crowd(60, work, 120)) == list(range(60))
    finally:
        door.close()
    assert door.refused > 0, "it wasn't hard at all"
    assert door.peak <= 10
    assert sum(int(r["refusals"]) for r in proxy.my_show("FUNCTIONS")) == 0


def test_slow_to_wake(start, my):
    """One login tries, for longer than it otherwise might, while the others wait, longer than they otherwise would."""
    door = Front("mysql", my.host, my.port, every=0)
    proxy = start(max_server_connections=4, query_wait_timeout="500ms", server_connect_timeout="500ms", idle_to_zero="500ms",
                  resume_timeout="60s", databases={"shop": f"mysql://127.0.0.1:{door.port}/shop"})

    def works(conn):
        try:
            return one(conn, "select 1 from items limit 1") == 1
        except pymysql.MySQLError:
            return False
    try:
        with proxy.connect(read_timeout=60) as first:
            wait_until(lambda: works(first), 30, "a first loan")
            wait_until(lambda: door.open == 0, 30, "its sleep")
            door.awake.clear()
            seen = door.seen
            waiting = Crowd(5, lambda i: one(proxy.connect(read_timeout=60), f"select {i} from items limit 1")).start()
            with pytest.raises(pymysql.MySQLError) as e:
                one(first, "/* deadline_ms=1200 */ select 1 from items limit 1")
            assert e.value.args[0] == 1040 and "is resuming" in e.value.args[1]
            assert door.seen == seen + 1, "nobody else wakes it"
            door.awake.set()
            assert waiting.join() == list(range(5))
            assert one(first, "select 7 from items limit 1") == 7
    finally:
        door.close()


def test_lost_before_weir_knows_what_the_session_has(start, my):
    """The connection ends between a statement's answer and weir's own question what it left behind: the session is
    told, not given another's number of rows."""
    door = Front("mysql", my.host, my.port, every=0)
    proxy = start(max_server_connections=2, server_tls_sslmode="disable",
                  databases={"shop": f"mysql://127.0.0.1:{door.port}/shop"})
    try:
        with proxy.connect(read_timeout=60) as first, proxy.connect(read_timeout=60) as other:
            assert one(other, "select 1 from items limit 1") == 1
            door.cut = b"SELECT FOUND_ROWS()"
            assert one(first, "select sql_calc_found_rows 1 from items limit 1") == 1
            with pytest.raises(pymysql.MySQLError) as e:
                one(first, "select found_rows()")
            assert e.value.args[0] == 2013
            door.cut = None
            assert one(other, "select 1 from items limit 1") == 1
    finally:
        door.close()


def test_a_session_ends_with_what_only_its_server_had(start, own_my):
    """It hears so; a session that went on without its transaction or variables would be another one."""
    my = own_my()
    proxy = start(my, max_server_connections=6, query_wait_timeout=60, server_login_retry=1)
    ended = [proxy.connect(read_timeout=60, autocommit=True) for _ in range(3)]
    for c, had in zip(ended, ("begin", "set @mine = 7", "create temporary table mine (i int)")):
        rows(c, "select 1 from items limit 1")
        rows(c, had)
    with proxy.connect(read_timeout=60, autocommit=True) as kept:
        rows(kept, "set sql_mode = 'ANSI_QUOTES'")
        my.restart(signal.SIGKILL)
        assert one(kept, "select @@sql_mode") == "ANSI_QUOTES"
    for c in ended:
        for told in ((2013,), (0, 2006, 2013)):
            with pytest.raises(pymysql.MySQLError) as e:
                one(c, "select 1 from items limit 1")
            assert e.value.args[0] in told
