# SPDX-License-Identifier: ISC
"""Where a database's connections lead, what they are begun with, and what is said when they can't be had."""

import signal
import time

import pytest

from harness.proxy import Crowd, wait_until
from harness.wire import Closed, PgError
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
        # a backend outlives its postmaster for a moment
        wait_until(lambda c=c: written(c, where) == str(pg.port), 60, "a writable server")
        c.close()


def test_who_asks_for_a_role_that_no_host_has_holds_up_nobody_else(start, pg, standing_by):
    """A failover: as long as nobody is writable those who write wait; those who don't log in as before. Likewise an
    entry that trusts the wrong authority."""
    here = {"host": pg.host, "port": pg.port, "dbname": "shop"}
    proxy = start(databases={"shop": here, "writes": {**here, "target_session_attrs": "read-write"},
                             "trusts": {**here, "sslmode": "verify-ca", "sslrootcert": "/nowhere/ca.crt"}},
                  query_wait_timeout=60, server_login_retry=60, max_server_connections=8)
    waits = Crowd(2, lambda i: proxy.client(database="writes", timeout=60).value("select 1")).start()
    waits_too = Crowd(1, lambda i: refused(proxy, "trusts")).start()
    wait_until(lambda: "session is read-only" in proxy.log() and "ca.crt" in proxy.log(), 30, "refusals")
    for _ in range(3):
        time.sleep(0.2)
        proxy.admin("reconnect shop")
        with proxy.client() as c:
            assert c.value("select 1") == "1"
    standing_by()
    assert waits.join(90) == ["1", "1"]
    proxy.admin("kill trusts")
    assert waits_too.join(60) == [True]


def refused(proxy, database):
    try:
        return proxy.client(database=database, timeout=60).value("select 1") is None
    except (PgError, Closed):
        return True


def written(client, sql):
    """Where it went; None: there was nowhere to write just then."""
    try:
        return client.value(sql)
    except PgError:
        return None


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_an_address_beside_the_name(start, pg, mode):
    """The name is for the certificate only: nobody looks it up."""
    database = {"host": "db.test.invalid", "hostaddr": "127.0.0.1", "port": pg.port, "dbname": "shop", "sslmode": mode,
                "sslrootcert": f"{pg.certs}/ca.crt"}
    proxy = start(databases={"shop": database}, query_wait_timeout=5)
    with proxy.client() as c:
        if mode == "verify-ca":
            assert c.value("select ssl from pg_stat_ssl where pid = pg_backend_pid()") == "t"
        else:
            with pytest.raises(PgError, match="does not match host name"):
                c.value("select 1")


def test_startup_settings_of_an_entry(start, pg):
    """Whatever is in them, and beside `options`."""
    database = {"host": pg.host, "port": pg.port, "dbname": "shop", "datestyle": "SQL, DMY", "timezone": "Asia/Tokyo",
                "options": "-c work_mem=7MB -c app.path=a\\ b"}
    proxy = start(databases={"shop": database})
    with proxy.client() as c:
        assert [c.value("show " + name) for name in ("datestyle", "timezone", "work_mem", "app.path")] == \
            ["SQL, DMY", "Asia/Tokyo", "7MB", "a b"]


def test_a_login_that_the_server_refuses_has_its_code(start, pg):
    """28000, 3D000 and so on as a direct client gets them, and the words without what only libpq adds."""
    refused = {"third": ("revoke connect on database third from public", "grant connect on database third to public"),
               "other": ("alter database other allow_connections off", "alter database other allow_connections on"),
               "nowhere": ("select 1", "select 1"),
               "shop": ("alter role app3 nologin", "alter role app3 login")}
    proxy = start(databases={name: {"host": pg.host, "port": pg.port} for name in refused}, query_wait_timeout=5)
    with pg.superuser("postgres") as s:
        for name, (before, after) in refused.items():
            s.rows(before)
            try:
                with pytest.raises(PgError) as direct:
                    pg.direct("app3", name)
                with pytest.raises((PgError, Closed)) as through:
                    proxy.client("app3", name).value("select 1")
            finally:
                s.rows(after)
            assert through.value.code == direct.value.code, name
            said = through.value.fields["M"]
            assert said.split("\n")[0].endswith("FATAL:  " + direct.value.fields["M"]) and "LOCATION" not in said
