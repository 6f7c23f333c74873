# SPDX-License-Identifier: ISC
"""Random sessions of three clients, directly and through weir with two server connections, compared
message by message: see harness/random_sessions.py and harness/random_play.py.

WEIR_RANDOM=first:count plays other seeds, as many as wanted."""

import os

import pytest

from harness.proxy import Proxy
from harness.random_play import run_seed

pytestmark = pytest.mark.weir_only

FIRST, COUNT = (int(n) for n in os.environ.get("WEIR_RANDOM", "1:8").split(":"))


@pytest.fixture(scope="module")
def two(pg):
    proxy = Proxy(pg, {"max_server_connections": 2, "query_wait_timeout": 20})
    with proxy.client() as c:
        c.value("select 1")  # from here on the server's parameters are known at login
    yield proxy
    problem = proxy.destroy()
    assert not problem, problem


@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
def test_random_sessions(pg, two, seed):
    story = run_seed(pg, two, seed)
    assert story is None, story
