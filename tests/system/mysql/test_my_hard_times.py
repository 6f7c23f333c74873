# SPDX-License-Identifier: ISC
"""A MySQL in trouble: it refuses every second login with 1040."""

import time

import pytest

from harness.front import Front
from harness.myproxy import one
from harness.proxy import crowd


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
