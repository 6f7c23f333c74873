# SPDX-License-Identifier: ISC
"""Fixtures of the system tests."""

import os
import signal
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness.postgres import Postgres  # noqa: E402
from harness.proxy import Proxy, peer, weir_binary  # noqa: E402

# PostgreSQL 17 and later, which tests/debian_unstable brings
collect_ignore = [] if os.environ.get("WEIR_POSTGRES") == "unstable" else ["test_newer_postgres.py"]


def pytest_configure(config):
    # A shell's background job ignores SIGINT, and so would all programs that the tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "weir_only: says something that PgBouncer does not promise")
    if peer() == "weir" and not os.access(weir_binary(), os.X_OK):
        pytest.exit(f"no weir at {weir_binary()}: build it, or set WEIR_BIN", returncode=1)


def pytest_collection_modifyitems(config, items):
    """To check the tests themselves: WEIR_PEER=pgbouncer runs what PgBouncer promises, too, and
    WEIR_PEER=postgres the drivers' programs without anything in between."""
    if peer() == "weir":
        return
    if peer() == "postgres":
        chosen = [i for i in items if i.path.name == "test_drivers.py"]
    else:
        chosen = [i for i in items if not i.get_closest_marker("weir_only")]
    config.hook.pytest_deselected(items=[i for i in items if i not in chosen])
    items[:] = chosen


@pytest.hookimpl(tryfirst=True, hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    setattr(item, "report_" + outcome.get_result().when, outcome.get_result())


@pytest.fixture(scope="session")
def pg():
    server = Postgres()
    yield server
    server.destroy()


@pytest.fixture(autouse=True)
def empty(pg):
    """What one test's clients left behind is that test's failure only."""
    with pg.superuser() as s:
        s.rows("delete from scratch")


@pytest.fixture
def own_pg():
    """A PostgreSQL that the test may stop, freeze or reconfigure; made on demand."""
    made = []

    def make(**settings):
        made.append(Postgres(**settings))
        return made[-1]
    yield make
    for server in made:
        server.destroy()


def finish(proxies, request):
    problems = []
    for proxy in proxies:
        failed = getattr(request.node, "report_call", None)
        if failed is not None and failed.failed and proxy.proc is not None:
            print(f"--- {proxy.which}'s log ---\n{proxy.log()[-6000:]}")
        problem = proxy.destroy()
        if problem:
            problems.append(problem)
    assert not problems, "\n".join(problems)


@pytest.fixture
def start(pg, request):
    """start(settings..., databases=..., ...) -> a Proxy of this test's own."""
    made = []

    def make(server=None, databases=None, users=None, servers=None, userlist=None, **more):
        keys = ("args", "env", "which", "fd_limit", "start", "wrap", "functions")
        process = {k: more.pop(k) for k in keys if k in more}
        wait = process.pop("start", True)
        proxy = Proxy(server or pg, more, databases, users, servers, userlist, start=False, **process)
        made.append(proxy)
        return proxy.start() if wait else proxy
    yield make
    finish(made, request)


@pytest.fixture(scope="module")
def shared(pg):
    """One weir with three server connections for all tests of a module that leave it as it was."""
    proxy = Proxy(pg)
    yield proxy
    problem = proxy.destroy()
    assert not problem, problem
