# SPDX-License-Identifier: ISC
"""A list of hosts with target_session_attrs: the pool is where the writable server is."""

import signal

import pytest

from harness.proxy import wait_until
from harness.wire import PgError
from test_login import secret_of

pytestmark = pytest.mark.weir_only


@pytest.fixture
def standing_by(pg):
    """`pg` as far as `app` can tell: read-only, until it is called."""
    def switch(on):
        with pg.superuser("postgres") as c:
            c.rows("alter role app set default_transaction_read_only = on" if on
                   else "alter role app reset default_transaction_read_only")
    switch(True)
    yield lambda: switch(False)
    switch(False)


def test_the_pool_follows_the_writable_server(start, pg, own_pg, standing_by):
    """By libpq, and by weir's own login with the client's keys."""
    first = own_pg()
    secret = secret_of(pg, "app")
    with first.superuser("postgres") as c:
        c.rows(f"alter role app password '{secret}'")
    database = {"host": f"{pg.host},{first.host}", "port": f"{pg.port},{first.port}", "dbname": "shop",
                "target_session_attrs": "read-write"}
    where = "insert into scratch (who) values ('hosts') returning current_setting('port')"
    clients = []
    for password in ("secret", secret):
        proxy = start(databases={"shop": database}, userlist={"app": password}, query_wait_timeout=60, server_login_retry=1)
        clients.append(proxy.client(password="secret", timeout=60))
        assert clients[-1].value(where) == str(first.port)
    first.stop(signal.SIGKILL)
    standing_by()
    for c in clients:
        assert wait_until(lambda c=c: written(c, where), 60, "a writable server") == str(pg.port)
        c.close()


def written(client, sql):
    """Where it went; None: there was nowhere to write just then."""
    try:
        return client.value(sql)
    except PgError:
        return None
