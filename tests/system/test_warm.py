# SPDX-License-Identifier: ISC
"""Connections made ready before anybody asks: WARM, and `warm` by the clock."""

import time

import pytest

from harness.proxy import STATS, wait_until
from harness.wire import PgError

pytestmark = pytest.mark.weir_only


def ready(pg):
    return pg.count("usename = 'app' and datname = 'shop'")


def test_warm_on_the_console(start, own_pg):
    server = own_pg()
    proxy = start(server, max_server_connections=8, server_idle_timeout="2s")
    with proxy.client() as c:
        c.value("select 1")
    assert proxy.admin("WARM shop 5") is not None
    wait_until(lambda: ready(server) == 5, 15, "five of them")
    wait_until(lambda: ready(server) == 0, 15, "their end: nobody used them")
    proxy.admin("WARM shop 50")  # as far as the bound goes
    wait_until(lambda: ready(server) == 8, 15, "all that the bound allows")
    time.sleep(0.3)
    assert ready(server) == 8


def test_warm_wakes_what_sleeps(start, own_pg):
    server = own_pg()
    proxy = start(server, max_server_connections=4, idle_to_zero="1s")
    with proxy.client() as c:
        c.value("select 1")
        wait_until(lambda: server.count() == 0, 15, "sleep")
        proxy.admin("WARM shop 3")
        wait_until(lambda: ready(server) == 3, 15, "three")
        wait_until(lambda: server.count() == 0, 15, "sleep again")


def test_whom(start, pg):
    """The user that the database had; of several one must be named. Not everybody may."""
    proxy = start(max_server_connections=8)
    for user in ("app", "app2"):
        with proxy.client(user=user) as c:
            c.value("select 1")
    with proxy.console() as admin:
        for command, text in (("WARM nowhere 3", "no such database"), ("WARM shop 3", "several users"),
                              ("WARM shop 0", "invalid command")):
            with pytest.raises(PgError) as e:
                admin.rows(command)
            assert text in str(e.value), command
        admin.rows("WARM shop 3 app2")
    wait_until(lambda: pg.count("usename = 'app2'") == 3, 15, "three of app2's")
    with proxy.console(STATS) as c, pytest.raises(PgError) as e:
        c.rows("WARM shop 3 app")
    assert e.value.code == "42501"


def test_by_the_clock(start, own_pg):
    """The expression names every minute; the next one begins within sixty seconds."""
    server = own_pg()
    proxy = start(server, max_server_connections=8, warm='2 at "* * * * *", 4 at "*/1 * * * *"')
    with proxy.client() as c:
        c.value("select 1")
        wait_until(lambda: ready(server) == 4, 75, "the minute")
    assert "being warmed to 4" in proxy.log()


@pytest.mark.parametrize("bad", ["20", '0 at "* * * * *"', '20 at "60 * * * *"', '20 at "* * * *"'])
def test_bad_ones_are_refused(start, bad):
    proxy = start(warm=bad, start=False)
    with pytest.raises(AssertionError):
        proxy.start()
    assert "warm" in proxy.log()
