# SPDX-License-Identifier: ISC
"""Server logins with what weir knows of a user where it doesn't know the password."""

import threading
import time

import psycopg2
import pytest

from harness.proxy import crowd
from harness.wire import PgError
from test_login import secret_of

weir_only = pytest.mark.weir_only
LOOKUP = {"auth_user": "lookup", "auth_query": "SELECT usename, passwd FROM lookup_user($1)"}


def shop(pg, **more):
    return {"shop": dict({"host": pg.host, "port": pg.port, "dbname": "shop"}, **more)}


def foreign_secret(pg):
    """A SCRAM secret of the right password that isn't the server's."""
    with pg.superuser("postgres") as c:
        c.rows("create role passing login password 'secret'")
    secret = secret_of(pg, "passing")
    with pg.superuser("postgres") as c:
        c.rows("drop role passing")
    return secret


def test_scram_secret_is_enough(start, pg):
    proxy = start(userlist={"app": secret_of(pg, "app")})
    with proxy.client("app", password="secret") as c:
        assert c.value("select current_user") == "app"


def test_md5_secret_is_enough(start, pg):
    proxy = start(userlist={"md5user": secret_of(pg, "md5user")}, auth_type="md5")
    with proxy.client("md5user", password="md5secret") as c:
        assert c.value("select current_user") == "md5user"


@weir_only
def test_auto_bound_is_asked_for_with_keys(start, pg):
    proxy = start(userlist={"app": secret_of(pg, "app")}, max_server_connections="auto")
    with proxy.client("app", password="secret") as c:
        assert c.value("select current_user") == "app"
        proxy.wait_log("the server gives")


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require"])
def test_keys_over_tls(start, pg, mode):
    proxy = start(userlist={"app": secret_of(pg, "app")}, server_tls_sslmode=mode)
    with proxy.client("app", password="secret") as c:
        tls = c.value("select ssl from pg_stat_ssl where pid = pg_backend_pid()")
    assert tls == ("t" if mode in ("prefer", "require") else "f")


def test_keys_over_verified_tls(start, pg):
    proxy = start(userlist={"app": secret_of(pg, "app")}, server_tls_sslmode="verify-ca", server_tls_ca_file=pg.certs + "/ca.crt")
    with proxy.client("app", password="secret") as c:
        assert c.value("select ssl from pg_stat_ssl where pid = pg_backend_pid()") == "t"


def test_cancel_without_libpq(start, pg):
    proxy = start(userlist={"app": secret_of(pg, "app")})
    conn = psycopg2.connect(host="127.0.0.1", port=proxy.port, dbname="shop", user="app", password="secret")
    threading.Timer(0.5, conn.cancel).start()
    since = time.time()
    with pytest.raises(psycopg2.errors.QueryCanceled):
        conn.cursor().execute("select pg_sleep(10)")
    assert time.time() - since < 5
    conn.close()


@weir_only
def test_keys_that_do_not_fit_are_told_at_the_first_statement(start, pg):
    proxy = start(userlist={"app": foreign_secret(pg)})
    with proxy.client("app", password="secret") as c:
        with pytest.raises(PgError) as err:
            c.value("select 1")
        assert err.value.code == "28P01"


@pytest.mark.parametrize("kind", ["password", "keys"])
def test_connect_query(start, pg, kind):
    secret = "secret" if kind == "password" else secret_of(pg, "app")
    proxy = start(userlist={"app": secret}, databases=shop(pg, connect_query="select set_config('x.y', 'hello', false)"))
    with proxy.client("app", password="secret") as c:
        assert c.value("select current_setting('x.y')") == "hello"


@weir_only
def test_password_command(start, pg):
    proxy = start(userlist={"app": secret_of(pg, "app")}, databases=shop(pg, password_command="sleep 0.1; echo secret"))
    with proxy.client("app", password="secret") as c:
        assert c.value("select current_user") == "app"


@weir_only
def test_password_command_that_fails(start, pg):
    proxy = start(userlist={"app": secret_of(pg, "app")}, query_wait_timeout=3,
                  databases=shop(pg, password_command="echo not this one; exit 3"))
    with proxy.client("app", password="secret") as c:
        with pytest.raises(PgError):
            c.value("select 1")
    assert "not this one" not in proxy.log()


def test_a_storm_of_one_user_found_by_auth_query(start):
    proxy = start(userlist={"lookup": "lookup"}, **LOOKUP)

    def work(_):
        with proxy.client("app", password="secret") as c:
            return c.value("select 1")
    crowd(100, work)
