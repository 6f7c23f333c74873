# SPDX-License-Identifier: ISC
"""Thousands at once, and the story of four functions, on a real database."""

import pytest

from harness.played import FUNCTIONS, Burst, Story
from harness.proxy import wait_until

pytestmark = pytest.mark.weir_only

CLIENTS = 5000


def rss(proxy):
    return proxy.status("VmRSS")  # kB


@pytest.mark.parametrize("tls", [True, False])
def test_five_thousand_at_once(start, own_pg, tls):
    """Login, TLS and one transaction each, on twenty server connections: nobody is refused."""
    server = own_pg()
    proxy = start(server, max_server_connections=20, max_client_conn=6000, query_wait_timeout=240, client_login_timeout=240,
                  client_tls_sslmode="allow" if tls else "disable",
                  client_tls_cert_file=f"{server.certs}/localhost.crt", client_tls_key_file=f"{server.certs}/localhost.key",
                  fd_limit=20000)
    where = f"host={proxy.host} port={proxy.port} dbname=shop sslmode={'require' if tls else 'disable'}"
    monitor = f"host={server.dir} port={server.port} dbname=postgres user=postgres"
    Burst("postgres", 100, "select 1", where + " user=app password=secret", monitor)
    before = rss(proxy)
    burst = Burst("postgres", CLIENTS, "begin; select pg_sleep(0.002); commit", where + " user=app password=secret", monitor)
    assert (burst.served, burst.refused) == (CLIENTS, 0), burst.text
    assert burst.peak <= 20, burst.text
    assert server.count("datname = 'shop'") <= 20
    wait_until(lambda: int(proxy.pool()["cl_active"]) == 0, 60, "the end of the clients")
    wait_until(lambda: rss(proxy) < before + 24_000, 60, f"memory to come back from {rss(proxy)} to {before} kB and a bit")


def test_the_story_of_four_functions(start, own_pg):
    """Directly some containers can't get in. With one queue for all the quick function crawls; by function it flies."""
    server = own_pg(max_connections=100)
    proxy = start(server, max_server_connections=20, query_wait_timeout=60)
    monitor = f"host={server.dir} port={server.port} dbname=postgres user=postgres"
    user = "dbname=shop user=app password=secret sslmode=disable"
    direct = Story("postgres", 2, f"host={server.host} port={server.port} {user}", monitor)
    assert direct.refused > 0, direct.text
    through = f"host={proxy.host} port={proxy.port} {user}"
    one = Story("postgres", 6, through, monitor, name="shop")
    by_function = Story("postgres", 6, through, monitor)
    for played in (one, by_function):
        assert played.refused == 0 and played.peak <= 20, played.text
        assert played.containers == {"getUsers": "30/30", "updateUser": "30/30", "saveUser": "50/50", "deleteUser": "30/30"}
        assert all(played.rate[f] > 0 for f in FUNCTIONS), played.text
    assert by_function.rate["getUsers"] > 2 * one.rate["getUsers"], one.text + by_function.text
