# SPDX-License-Identifier: ISC
"""What a session remembers of its last statement, when its statements ran on different connections.

A server connection may know an older statement of the same client: what that did is not what it asks for.
"""

import pymysql
import pytest

from harness.myproxy import one, rows
from harness.mywire import Wire
from harness.proxy import wait_until


def server_id(conn):
    return one(conn, "select connection_id() + 0")


@pytest.fixture
def two(start, my):
    """(client, elsewhere): elsewhere(work) does the work on the connection that the client did not use last."""
    proxy = start(max_server_connections=2, workers=1,
                  databases={"shop": f"mysql://app:secret@{my.host}:{my.port}/shop"})
    with proxy.connect() as first, proxy.connect() as second:
        first.begin()
        rows(first, "select 1 from items limit 1")
        rows(second, "select 1")
        first.rollback()
    client, other = proxy.connect(autocommit=True), proxy.connect()
    usual = server_id(client)

    def elsewhere(work):
        # What the statement warned of may still be asked for.
        wait_until(lambda: sum(int(r["sv_idle"]) for r in proxy.my_show("POOLS")) == 2, 15, "both are back")
        other.begin()
        assert server_id(other) == usual, "the connection returned last is lent first"
        got = work()
        other.rollback()
        return got
    yield client, elsewhere
    client.close()
    other.close()


def fails(conn, sql):
    with pytest.raises(pymysql.MySQLError) as e:
        rows(conn, sql)
    return e.value.args[0]


def test_warnings_are_the_last_statements(two):
    client, elsewhere = two
    assert fails(client, "select * from no_such_table") == 1146
    client.query("do 0")
    rows(client, "select cast('x' as signed)")  # a warning, here
    assert elsewhere(lambda: fails(client, "select * from missing_too")) == 1146
    shown = rows(client, "show warnings")
    assert [r[1] for r in shown] == [1146] and "missing_too" in shown[0][2]


def test_counts_are_the_last_statements(two):
    client, elsewhere = two
    rows(client, "update items set n = n + 1 where id <= 7")
    assert elsewhere(lambda: rows(client, "update items set n = n - 1 where id <= 3")) == []
    assert one(client, "select row_count()") == 3


@pytest.mark.parametrize("text", ["show warnings", "show warnings limit 1", "show errors"])
@pytest.mark.parametrize("warned", [True, False])
def test_a_list_of_warnings_has_no_row_count(two, text, warned):
    """Whether weir answers it from memory or another connection does."""
    client, elsewhere = two
    for n in (0, 1):
        if warned:
            rows(client, "insert ignore into scratch (who) values (repeat('x', 100)), ('y')")
        else:
            rows(client, "insert into scratch (who) values ('x'), ('y')")
        if n == 0:
            elsewhere(lambda: rows(client, text))
        else:
            rows(client, text)
        assert one(client, "select row_count()") == -1


def test_found_rows_are_the_last_statements(two):
    client, elsewhere = two
    assert len(rows(client, "select id from items limit 9")) == 9
    assert len(elsewhere(lambda: rows(client, "select id from items limit 4"))) == 4
    assert one(client, "select found_rows()") == 4


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("text", ["show warnings limit 60, 10", "show warnings limit 3 offset 5", "show warnings limit 5",
                                  "show errors", "show errors limit 2"])
def test_a_long_list_of_warnings_is_picked_from(two, my, text, binary):
    """As many as servers keep by default, and with long texts."""
    if binary and my.engine == "mysql":
        return  # which doesn't prepare it
    client, elsewhere = two
    warned = "select cast(concat(repeat('long ', 20), name) as signed) from items limit 64"

    def pick(conn):
        if not binary:
            return rows(conn, text)
        with Wire(conn) as w:
            return w.execute(w.prepare(text)[0]).rows
    with my.direct() as direct:
        rows(direct, warned)
        want = pick(direct)
    assert len(want) == (0 if "errors" in text else 4 if "60" in text else int(text.split()[3]))
    rows(client, warned)
    assert elsewhere(lambda: pick(client)) == want


def test_the_first_number_of_a_file(start, tmp_path):
    """LAST_INSERT_ID() behind LOAD DATA, whose OK doesn't tell it."""
    path = tmp_path / "two"
    path.write_text("one\ntwo\n")
    proxy = start(max_server_connections=1)
    with proxy.connect(local_infile=True, autocommit=True) as c, proxy.connect(autocommit=True) as other:
        rows(c, "insert into scratch (who) values ('before')")
        before = one(c, "select last_insert_id()")
        rows(c, f"load data local infile '{path}' into table scratch (who)")
        rows(other, "insert into scratch (who) values ('other')")
        assert one(c, "select last_insert_id()") == one(c, "select id from scratch where who = 'one'") > before
        rows(c, f"load data local infile '{path}' into table scratch (id, who) set id = 1000 + rand() * 1000")
        assert one(c, "select last_insert_id()") == one(other, "select id from scratch where who = 'one' limit 1")


def test_a_timestamp_pins_until_it_is_the_times_again(start):
    proxy = start(max_server_connections=2)

    def pins():
        return [p["reason"] for p in proxy.my_show("PINS")]
    with proxy.connect(autocommit=True) as c:
        for more, kept in (("", []), (", insert_id = 5", ["session variable that can't be replayed"])):
            rows(c, f"set timestamp = 5{more}")
            wait_until(lambda: len(pins()) == 1, 30, "the pin")
            assert one(c, "select unix_timestamp()") == 5
            rows(c, "set timestamp = default")
            wait_until(lambda: pins() == kept, 30, "its end")
            assert one(c, "select unix_timestamp()") > 5
