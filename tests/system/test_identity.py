# SPDX-License-Identifier: ISC
"""Who is asking: the names that clients give, in whatever order and shape, now or later."""

import json

import psycopg
import psycopg2
import pytest

from harness.proxy import wait_until
from harness.wire import PgError

pytestmark = pytest.mark.weir_only


def functions(proxy):
    return {row["name"]: row for row in proxy.show("FUNCTIONS")}


def now(proxy):
    """The functions of those who are there."""
    return sorted(row["function"] for row in proxy.show("CLIENTS") if row["database"] == "shop")


def function_of(proxy, **params):
    with proxy.client(**params) as c:
        c.value("select 1")
        return now(proxy)[0]


ALL = dict(user="app+bySuffix", password="secret", application_name="byName", options="-c weir.function=byOption")


@pytest.mark.parametrize("order,name", [
    ("user, option, application_name", "bySuffix"), ("option, user", "byOption"), ("application_name", "byName"),
    ("application_name,option,user", "byName"), ("user", "bySuffix"), ("option", "byOption"),
    ("port, application_name", None), ("certificate, sni, option", "byOption")])
def test_orders(start, order, name):
    proxy = start(function_from=order)
    assert function_of(proxy, **ALL) == (name or str(proxy.port))


def test_order_reloads(start):
    proxy = start()
    assert function_of(proxy, **ALL) == "bySuffix"
    proxy.reconfigure(function_from="option, user")
    wait_until(lambda: function_of(proxy, **ALL) == "byOption", 20, "the new order")


def test_what_is_no_source_names_nobody_later_either(start):
    proxy = start(function_from="user, option")
    with proxy.client(application_name="atLogin") as c:
        c.simple("set application_name = 'later'")
        c.value("select 1")
        assert now(proxy) == ["app"]


def test_an_earlier_source_wins_later_too(start):
    proxy = start(function_from="application_name, option")
    with proxy.client(options="-c weir.function=byOption") as c:
        c.value("select 1")
        assert now(proxy) == ["byOption"]
        c.simple("set application_name = 'byName'")
        c.value("select 1")
        assert now(proxy) == ["byName"]
        c.simple("set application_name = ''")
        c.value("select 1")
        assert now(proxy) == ["byOption"]


FOLLOWED = [
    (["set application_name = 'x1'"], "x1"),
    (["select set_config('application_name', 'x2', false)"], "x2"),
    (["begin", "set application_name = 'x3'", "commit"], "x3"),
    (["begin", "set application_name = 'x4'", "rollback"], "first"),
    (["begin", "set local application_name = 'x5'", "commit"], "first"),
    (["begin", "select set_config('application_name', 'x6', true)", "commit"], "first"),
    (["begin", "savepoint s", "set application_name = 'x7'", "rollback to s", "commit"], "first"),
    (["set application_name = 'x8'", "reset application_name"], "first"),
    (["set application_name = 'x9'", "reset all"], "first"),
    (["set application_name = 'x10'", "discard all"], "first"),
    (["set application_name to default"], "first"),
    (["do $$begin perform set_config('application_name', 'x11', false); end$$"], "x11"),
    (["set application_name = 'x12'; select 1/0"], "first"),
]


def test_followed(start, pg):
    """Whatever sets or takes it back: who the client is, is what the server says that its name is."""
    proxy = start(max_server_connections=2)
    for do, seen in FOLLOWED:
        with proxy.client(application_name="first") as c:
            for sql in do:
                c.simple(sql)
            c.value("select 1")
            wait_until(lambda: now(proxy) == [seen], 20, f"{seen} after {do}, now {now(proxy)}")
            assert c.value("show application_name") == seen
            c.simple("begin")
            pid = c.backend_pid()
            assert pg.count(f"pid = {pid} and application_name = '{seen}'") == 1
            c.simple("rollback")
        wait_until(lambda: now(proxy) == [], 20, "its end")


def test_a_loan_belongs_to_the_name_it_began_with(start):
    """A name that changes in the middle of a transaction counts from the next loan on."""
    proxy = start(functions={"first": "limit=1", "second": "limit=5"})
    with proxy.client(application_name="first") as c:
        c.simple("begin")
        c.simple("set application_name = 'second'")
        rows = functions(proxy)
        assert rows["first"]["lent"] == "1" and rows.get("second", {"lent": "0"})["lent"] == "0"
        c.simple("commit")
        wait_until(lambda: functions(proxy)["first"]["lent"] == "0", 20, "the end of the loan")
        c.simple("begin")
        c.value("select 1")
        rows = functions(proxy)
        assert (rows["first"]["lent"], rows["second"]["lent"]) == ("0", "1")
        c.simple("commit")
    wait_until(lambda: all(r["lent"] == "0" and r["clients"] == "0" for r in functions(proxy).values()), 20, "its end")


def test_drivers_set_it_later(start):
    proxy = start()
    with psycopg.connect(proxy.dsn(), autocommit=True) as conn:
        conn.execute("set application_name to 'byPsycopg'")
        conn.execute("select %s::int", [1], prepare=True)
        assert now(proxy) == ["byPsycopg"]
    conn = psycopg2.connect(proxy.dsn())
    with conn.cursor() as cur:
        cur.execute("set application_name = 'byPsycopg2'")
        conn.commit()
        cur.execute("select 1")
        conn.rollback()
    assert now(proxy) == ["byPsycopg2"]
    conn.close()


def test_from_the_environment(start, monkeypatch):
    """The DSN as it was; the platform says who it is."""
    proxy = start()
    monkeypatch.setenv("PGAPPNAME", "byPlatform")
    with psycopg.connect(proxy.dsn(), autocommit=True) as conn:
        conn.execute("select 1")
        assert now(proxy) == ["byPlatform"]


# --- users ------------------------------------------------------------------------------------------------


def test_the_user_without_suffix_is_asked_for_its_password(start):
    proxy = start()
    with proxy.client(user="app+getUsers", password="secret") as c:
        assert c.value("select current_user") == "app"
    with pytest.raises(PgError) as e:
        proxy.client(user="app+getUsers", password="wrong")
    assert e.value.code == "28P01"
    with pytest.raises(PgError) as e:
        proxy.client(user="nobody+getUsers", password="secret")
    assert e.value.code == "28P01"


def test_a_plus_that_is_part_of_the_users_name(start, pg):
    with pg.superuser("postgres") as s:
        if not s.rows("select 1 from pg_roles where rolname = 'pl+us'"):
            s.rows("create role \"pl+us\" login password 'plussecret'")
    users = {"app": "secret", "pl+us": "plussecret", "admin": "admin secret"}
    proxy = start(userlist=users)
    with proxy.client(user="pl+us", password="plussecret") as c:
        assert c.value("select current_user") == "pl+us"
        assert now(proxy) == ["pl+us"]
    with proxy.client(user="pl+us+getUsers", password="plussecret") as c:
        assert c.value("select current_user") == "pl+us"
        assert now(proxy) == ["getUsers"]
    for user in ("app+", "+app"):
        with pytest.raises(PgError):
            proxy.client(user=user, password="secret")


# --- names of any kind ----------------------------------------------------------------------------------------


def raw_login(proxy, **more):
    """Bytes that no driver would send; the password is asked for as it is."""
    c = proxy.open()
    body = b"".join(k.encode() + b"\0" + v + b"\0" for k, v in {"user": b"app", "database": b"shop", **more}.items())
    packet = (196608).to_bytes(4, "big") + body + b"\0"
    c.send((len(packet) + 4).to_bytes(4, "big") + packet)
    return c


ODD = [
    (b"a\x01b\x1f\x7fc", "a?b??c"),
    (b"caf\xc3\xa9", "café"),
    (b"bad\xff\xfe\xc3", "bad???"),
    (b"\xed\xa0\x80surrogate", "???surrogate"),
    (b"\xc0\xafoverlong", "??overlong"),
    (b"\xf4\x90\x80\x80x", "????x"),
    (b"c1\xc2\x85x", "c1?x"),
    (b"quo\"te\\back\nline{}", "quo\"te\\back?line{}"),
    (b"  blanks  ", "blanks"),
    (b"x" * 8000, "x" * 63),
    ("é".encode() * 100, "é" * 31),
]


def test_odd_names(start):
    proxy = start(auth_type="trust", max_server_connections=2)
    for name, shown in ODD:
        with raw_login(proxy, application_name=name) as c:
            c.until("Z")
            assert c.value("select 1") == "1"
            assert now(proxy) == [shown]
        wait_until(lambda: now(proxy) == [], 20, "its end")
    names, metrics = functions(proxy), proxy.http("/metrics")
    in_json = [r["name"] for r in json.loads(proxy.http("/api/v1/functions"))["rows"]]
    for _, shown in ODD:
        assert shown in names and shown in in_json
        escaped = shown.replace("\\", "\\\\").replace('"', '\\"')
        assert f'weir_function_loans{{function="{escaped}"}} 0' in metrics


def test_blank_names_are_none(start):
    proxy = start()
    with proxy.client(user="app+ ", password="secret", application_name="  ", options="-c weir.function=byOption") as c:
        c.value("select 1")
        assert now(proxy) == ["byOption"]
    with proxy.client(application_name="  ") as c:
        c.value("select 1")
        assert now(proxy) == ["app"]
        c.simple("set application_name = 'named'")
        c.simple("set application_name = ' '")
        c.value("select 1")
        assert now(proxy) == ["app"]


def test_the_database_gets_the_name_as_it_was_given(start):
    proxy = start()
    with proxy.client(application_name="Übers") as c:
        # PostgreSQL itself cleans it; what it reports is what it reports to anybody.
        assert c.value("select application_name from pg_stat_activity where pid = pg_backend_pid()") in ("Übers", "??bers", "\\xc3\\x9cbers")


def test_names_beyond_the_bound_fold_into_other(start):
    proxy = start(max_functions=50, functions={"other": "limit=2"})
    for i in range(120):
        proxy.client(application_name=f"n{i}").close()
    rows = functions(proxy)
    assert len(rows) <= 51 and "other" in rows
    held = []
    for i in range(3):
        held.append(proxy.client(application_name=f"late{i}"))
    for c in held[:2]:
        c.simple("begin")
        c.value("select 1")
    assert functions(proxy)["other"]["lent_of_limit"] == "2/2"
    assert proxy.http("/metrics").count("\nweir_function_loans{") <= 51
    for c in held:
        c.close()


# --- what a name may have ------------------------------------------------------------------------------------


def test_the_line_of_the_name_then_the_first_pattern_then_the_star(start):
    proxy = start(functions={"*": "limit=9", "report_d*": "limit=2", "report_*": "limit=3", "report_daily": "limit=1",
                             "?x": "limit=7", "Report_*": "limit=8"})
    for name, limit in (("report_daily", "1"), ("report_dx", "2"), ("report_monthly", "3"), ("anything", "9"),
                        ("report_", "3"), ("Report_a", "8"), ("REPORT_a", "9"), ("ax", "7")):
        function_of(proxy, application_name=name)
        assert functions(proxy)[name]["limit"] == limit, name


# --- TLS ------------------------------------------------------------------------------------------------------


def tls(pg, **more):
    return dict(client_tls_sslmode="allow", client_tls_key_file=pg.certs + "/localhost.key",
                client_tls_cert_file=pg.certs + "/localhost.crt", client_tls_ca_file=pg.certs + "/ca.crt", **more)


def test_named_by_certificate_or_by_the_host_asked_for(start, pg):
    proxy = start(**tls(pg, function_from="application_name, certificate, sni"))
    where = proxy.dsn().replace("host=127.0.0.1", "host=localhost hostaddr=127.0.0.1")
    mine = f" sslcert={pg.certs}/certuser.crt sslkey={pg.certs}/certuser.key"
    for dsn, name in ((where + " sslmode=require", "localhost"), (where + " sslmode=require" + mine, "certuser"),
                      (where + " sslmode=require application_name=byName" + mine, "byName"),
                      (where + " sslmode=disable", "app"), (proxy.dsn() + " sslmode=require", "app")):
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute("select 1")
            assert now(proxy) == [name], dsn
            conn.execute("set application_name = 'later'")
            conn.execute("select 1")
            assert now(proxy) == ["later"]
            conn.execute("set application_name = ''")
            conn.execute("select 1")
            assert now(proxy) == ([name] if name != "byName" else ["certuser"])
