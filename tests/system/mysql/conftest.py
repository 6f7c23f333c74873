# SPDX-License-Identifier: ISC
"""Fixtures of the tests on MariaDB and MySQL. Each test's name says which server it ran on."""

import pytest

from conftest import finish
from harness.mysql import MySQL, engines
from harness.myproxy import MyProxy
from harness.players import commands


@pytest.fixture(scope="session", params=engines())
def engine(request):
    return request.param


@pytest.fixture(scope="session")
def my(engine):
    server = MySQL(engine)
    print(f"server: {engine} {server.version}")
    yield server
    server.destroy()


@pytest.fixture(autouse=True)
def empty(my):
    """What one test's clients left behind is that test's failure only."""
    my.rows("delete from scratch")


@pytest.fixture
def own_my(engine):
    """A server that the test may stop, freeze or reconfigure; made on demand."""
    made = []

    def make(**settings):
        made.append(MySQL(engine, **settings))
        return made[-1]
    yield make
    for server in made:
        server.destroy()


@pytest.fixture
def start(my, request):
    """start(settings..., databases=..., ...) -> a MyProxy of this test's own."""
    made = []

    def make(server=None, databases=None, users=None, servers=None, userlist=None, **more):
        keys = ("args", "env", "fd_limit", "functions", "start", "wrap")
        process = {k: more.pop(k) for k in keys if k in more}
        wait = process.pop("start", True)
        proxy = MyProxy(server or my, more, databases, users, servers, userlist, start=False, **process)
        made.append(proxy)
        return proxy.start() if wait else proxy
    yield make
    finish(made, request)


@pytest.fixture(scope="module")
def shared(my):
    """One weir with three server connections for all tests of a module that leave it as it was."""
    proxy = MyProxy(my, {"max_server_connections": 3, "query_wait_timeout": 10})
    yield proxy
    problem = proxy.destroy()
    assert not problem, problem


@pytest.fixture(scope="session")
def drivers():
    return commands()
