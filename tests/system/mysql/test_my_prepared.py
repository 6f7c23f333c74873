# SPDX-License-Identifier: ISC
"""Prepared statements: how long, how many, and what becomes of them when there is no room."""

import struct

import pymysql
import pytest

from harness import mywire
from harness.myproxy import one
from harness.mywire import Wire
from harness.proxy import wait_until

MB = 1 << 20


def long_text(n):
    """A statement of n bytes with one parameter."""
    return "select ? + 1 /*" + "x" * (n - 17) + "*/"


def value(result):
    """The one number of a binary row (a BIGINT)."""
    return int.from_bytes(result.rows[0][2:], "little")


def somewhere_else(proxy, client, sql):
    """Run it while another client's transaction has the connection that is next away."""
    with Wire(proxy.connect()) as other:
        other.query("begin")
        other.query("select count(*) from items")
        return client.query(sql) if isinstance(sql, str) else sql()


def prepared_count(my):
    return int(my.rows("show global status like 'Prepared_stmt_count'")[0][1])


# --- how long ------------------------------------------------------------------------------------

@pytest.mark.parametrize("n", [MB - 5, MB - 4, MB, 3 * MB + 1])
def test_long_texts(start, n):
    proxy = start(max_server_connections=2)
    with Wire(proxy.connect(), 60) as c:
        number, columns, params = c.prepare(long_text(n))
        assert (columns, params) == (1, 1)
        assert value(c.execute(number, (41,))) == 42
        assert value(somewhere_else(proxy, c, lambda: c.execute(number, (6,)))) == 7
        assert c.value("select 'still there'") == "still there"


def test_texts_of_several_packets(own_my, start):
    my = own_my(max_allowed_packet="64M")
    proxy = start(my, max_server_connections=2, max_statement_size="40MB", query_timeout=120)
    for n in (mywire.FULL - 2, mywire.FULL - 1, mywire.FULL, 20 * MB, 2 * mywire.FULL - 1):
        with Wire(proxy.connect(), 120) as c:
            number = c.prepare(long_text(n))[0]
            assert value(c.execute(number, (41,))) == 42, n
            assert value(somewhere_else(proxy, c, lambda: c.execute(number, (6,)))) == 7, n
            assert value(c.execute(number, (1,))) == 2, n


@pytest.mark.parametrize("n", [2 * MB + 1, 20 * MB])
def test_too_long_texts(start, n):
    proxy = start(max_server_connections=1, max_statement_size="2MB")
    with Wire(proxy.connect(), 60) as c:
        for _ in range(2):
            with pytest.raises(mywire.MyError) as e:
                c.prepare(long_text(n))
            assert e.value.code == 1153 and "max_statement_size" in str(e.value)
            assert value(c.execute(c.prepare("select ? + 1")[0], (1,))) == 2


# --- how many ------------------------------------------------------------------------------------

def test_in_all_below_the_servers_limit(own_my, start):
    my = own_my(max_prepared_stmt_count=24)
    proxy = start(my, max_server_connections=3)
    clients = [Wire(proxy.connect()) for _ in range(5)]
    numbers = {}
    highest = 0
    for i in range(12):
        for who, c in enumerate(clients):
            c.query("begin")  # so that several connections are in use
            numbers[who, i] = c.prepare(f"select ? + {i * 10 + who}")[0]
            if who % 3 == 2 or who == len(clients) - 1:
                highest = max(highest, prepared_count(my))
                for done in clients[who - who % 3:who + 1]:
                    done.query("commit")
    for (who, i), number in numbers.items():
        assert value(clients[who].execute(number, (1000,))) == 1000 + i * 10 + who
        highest = max(highest, prepared_count(my))
    assert 6 <= highest <= 18  # three quarters of it
    for c in clients:
        c.close()


def test_others_take_the_room(own_my, start):
    """The server has no room for one more: weir makes some, and the client hears nothing of it."""
    my = own_my(max_prepared_stmt_count=12)
    proxy = start(my, max_server_connections=1)
    with Wire(proxy.connect()) as c, Wire(my.direct()) as direct:
        numbers = [c.prepare(f"select ? + {i}")[0] for i in range(5)]
        theirs = 0
        with pytest.raises(mywire.MyError) as e:
            while True:
                direct.prepare("select 1")
                theirs += 1
        assert e.value.code == 1461 and theirs == 7
        numbers += [c.prepare(f"select ? + {i}")[0] for i in range(5, 20)]
        for i, number in enumerate(numbers):
            assert value(c.execute(number, (100,))) == 100 + i
        assert prepared_count(my) <= 12


def test_no_room_at_all(own_my, start):
    my = own_my(max_prepared_stmt_count=0)
    proxy = start(my, max_server_connections=1)
    with Wire(proxy.connect()) as c:
        with pytest.raises(mywire.MyError) as e:
            c.prepare("select 1")
        assert e.value.code == 1461
        assert c.value("select 2") == "2"


def test_a_cursor_is_not_closed_for_others(start):
    proxy = start(max_server_connections=1, max_prepared_statements=1)
    with Wire(proxy.connect()) as c:
        text = "select id from items where id <= 5 order by id"
        number = c.prepare(text)[0]
        assert c.execute(number, cursor=1).rows == []
        assert len(c.fetch(number, 2).rows) == 2
        for i in range(3):
            assert value(c.execute(c.prepare(f"select ? + {i}")[0], (1,))) == 1 + i
        c.prepare(text)
        assert len(c.fetch(number, 10).rows) == 3


def test_a_statement_that_fails_as_its_cursor_is_opened(start):
    """The error comes behind the definitions, where their EOF would be."""
    proxy = start(max_server_connections=1)
    with Wire(proxy.connect()) as c:
        number = c.prepare("select n + (select id from items where id <= ?) from items where id < 3")[0]
        for cursor in (1, 0, 1):
            with pytest.raises(mywire.MyError) as e:
                c.execute(number, (5,), cursor=cursor)
            assert e.value.code == 1242
            assert c.execute(number, (1,), cursor=1).end.status & 0x40
            assert len(c.fetch(number, 1).rows) == 1
        assert c.error(mywire.EXECUTE, c.execution(number, (5,), cursor=1)[5:]) == 1242
        assert c.value("select 2") == "2"
        wait_until(lambda: not proxy.show("PINS"), what="the pin's end")


def test_rows_of_what_was_executed_with_a_cursor_before(start):
    """MySQL 9 sends none, nor their end, to who executes without a cursor what began with one."""
    proxy = start(max_server_connections=1)
    text = "select id from items where id <= 3 order by id"
    with Wire(proxy.connect()) as a, Wire(proxy.connect()) as b:
        number = a.prepare(text)[0]
        for count in (0, 1, 9):
            assert a.execute(number, cursor=1).rows == []
            if count:
                a.fetch(number, count)
            assert len(a.execute(number).rows) == 3
            assert a.error(mywire.FETCH, struct.pack("<II", number, 1)) == 1421
        assert not proxy.show("PINS")
        a.execute(number, cursor=1)
        assert len(a.fetch(number, 9).rows) == 3
        assert len(b.execute(b.prepare(text)[0]).rows) == 3  # it shares what is prepared there


def test_rows_of_what_had_a_cursor_after_its_table_was_changed(my, start):
    """MySQL prepares it again unseen, and so begins with the cursor."""
    proxy = start(max_server_connections=1)
    my.rows("create table changed (id int)")
    try:
        my.rows("insert into changed values (1), (2)")
        with Wire(proxy.connect()) as c:
            number = c.prepare("select id from changed")[0]
            assert len(c.execute(number).rows) == 2
            my.rows("alter table changed add column n int")
            c.execute(number, cursor=1)
            assert len(c.fetch(number, 9).rows) == 2
            assert len(c.execute(number).rows) == 2
            assert c.value("select 2") == "2"
    finally:
        my.rows("drop table changed")


def test_a_routines_own_cursor_is_not_the_clients(my, start):
    """MySQL's libraries would fetch from it. Where they speak to a server no packet behind the columns tells them."""
    my.rows("create procedure own_cursor() begin declare x int; declare c cursor for select 5; open c; fetch c into x;"
            " close c; select x; end")
    proxy = start(max_server_connections=1)
    try:
        with Wire(proxy.connect(client_flag=1 << 18)) as c:  # CLIENT_PS_MULTI_RESULTS
            number = c.prepare("call own_cursor()")[0]
            for cursor in (0, 1):
                got = c.execute(number, cursor=cursor)
                assert [row[2:6] for row in got.rows] == [struct.pack("<i", 5)]
                assert got.end.status & 8 and isinstance(c.answer(), mywire.OK)
    finally:
        my.rows("drop procedure own_cursor")


def test_out_parameters_of_a_prepared_call(start):
    """They come as a set of rows whose end says in MySQL that it is the last answer; an OK follows."""
    proxy = start(max_server_connections=1)
    with Wire(proxy.connect(client_flag=1 << 18)) as c:  # CLIENT_PS_MULTI_RESULTS
        number = c.prepare("call out_param(?, ?)")[0]
        for value in (21, 4):
            c.send(c.execution(number, (value, 0)))
            assert [int.from_bytes(row[2:6], "little") for row in c.answer(True).rows] == [2 * value]
            assert isinstance(c.answer(), mywire.OK)
        first = c.value("select connection_id() + 0")
    with proxy.connect() as c:
        assert one(c, "select concat(connection_id() + 0)") == first


# --- many rows by one execution ------------------------------------------------------------------

BULK_EXECUTE, SENDS_TYPES, LONGLONG, STRING, NONE, NULL = 0xfa, 0x80, 8, 0xfe, b"\0", b"\1"


class Bulk(pymysql.connections.Connection):
    """PyMySQL as a client of MariaDB's that executes in bulk: it says so where MySQL has zeroes."""
    said = False

    def write_packet(self, payload):
        if not self.said:
            self.said = True
            caps = struct.unpack_from("<I", payload)[0] & ~1
            payload = struct.pack("<I", caps) + payload[4:28] + struct.pack("<I", 4) + payload[32:]
        super().write_packet(payload)


def in_bulk(number, rows, types=True):
    """Of a number and a text each."""
    said = struct.pack("<IH", number, SENDS_TYPES if types else 0) + (bytes([LONGLONG, 0, STRING, 0]) if types else b"")
    for n, text in rows:
        said += NONE + struct.pack("<q", n) + (NULL if text is None else NONE + bytes([len(text)]) + text)
    return mywire.command(BULK_EXECUTE, said)


def test_bulk_execution(start, my):
    """Wherever it runs; the parameters' types come once, and what follows without them needs them, too."""
    proxy = start(max_server_connections=2)
    with proxy.connect() as first:
        assert one(first, "select 1") == 1  # what a server has is known now
    with Wire(Bulk(host=proxy.host, port=proxy.mysql_port, user="app", password="secret", database="shop", autocommit=None)) as c:
        number, _, _ = c.prepare("insert into scratch (id, who) values (?, ?)")
        c.send(in_bulk(number, [(1, b"one"), (2, None)]))
        if my.engine == "mysql":
            with pytest.raises(mywire.MyError) as err:
                c.answer()
            assert err.value.code == 1047
            return
        assert c.answer().affected == 2

        def more():
            c.send(in_bulk(number, [(3, b"three"), (4, b"four")], types=False))
            return c.answer()
        assert somewhere_else(proxy, c, more).affected == 2
        c.send(in_bulk(number, [(5, b"five"), (4, b"again")]))
        with pytest.raises(mywire.MyError) as err:
            c.answer()
        assert err.value.code == 1062
        assert c.query("select 1").rows
    assert my.rows("select id, who from scratch order by id")[:4] == [(1, "one"), (2, None), (3, "three"), (4, "four")]


# --- MariaDB's "the last one" ---------------------------------------------------------------------

LAST, TYPES, VALUES = 0xffffffff, b"\1" + bytes([3, 0]) * 3, struct.pack("<iii", 1, 2, 3)


@pytest.mark.parametrize("executions", [
    [(LAST, b"\0" + TYPES + VALUES), (LAST, b"\0\0" + VALUES), (None, b"\0\0" + VALUES)],
    [(LAST, b"")], [(LAST, b"\1")], [(LAST, b"\0\0")], [(LAST, b"\0\1\3")], [(LAST, b"\0" + TYPES)],
    [(None, b"\0\0" + VALUES), (None, b"\0" + TYPES + VALUES), (LAST, b"\0\0" + VALUES)]])
def test_the_last_one_needs_its_types_each_time(start, my, executions):
    """As the server has it; who sends PREPARE and EXECUTE in one write counts on that (mariadb for Node.js)."""
    def session(conn):
        heard = []
        with Wire(conn) as c:
            number, _, _ = c.prepare("select ?, ?, ?")
            for which, rest in executions:
                c.send(mywire.command(0x17, struct.pack("<IBI", which or number, 0, 1) + rest))
                try:
                    heard.append(c.answer(binary=True).rows)
                except mywire.MyError as err:
                    heard.append((err.code, str(err).replace(str(which), "n") if my.engine == "mariadb" else ""))
        return heard
    assert session(start().connect()) == session(my.direct())


def lose(proxy, c):
    """Begin a transaction and have the loan taken back, of which the client hears with its next command."""
    c.query("begin")
    c.query("select count(*) from items")
    wait_until(lambda: sum(int(r["sv_active"]) for r in proxy.my_show("POOLS")) == 0, 30, "the loan to be taken back")


def directly(c, sql, value):
    """PREPARE and EXECUTE in one write: what the execution is answered with."""
    c.send(mywire.command(mywire.PREPARE, sql.encode()), c.execution(LAST, (value,)))
    heard = []
    first = c.payload()
    if first[:1] == b"\xff":
        heard.append(mywire.MyError(first).code)
    else:
        for n in struct.unpack_from("<HH", first, 5):
            for _ in range(n + 1 if n else 0):
                c.payload()
    try:
        c.answer(binary=True)
    except mywire.MyError as err:
        heard.append(err.code)
    return heard


@pytest.mark.parametrize("why", ["the server", "the transaction is lost", "nothing is free"])
def test_a_failed_prepare_is_the_last_one(start, my, why):
    """Whoever says that it failed: what was prepared before it is not executed in its place."""
    idle = "500ms" if why == "the transaction is lost" else "60s"
    proxy = start(max_server_connections=1, idle_transaction_timeout=idle, query_wait_timeout="1s")
    with Wire(proxy.connect()) as c, Wire(proxy.connect()) as other:
        known = c.prepare("insert into scratch (who) values (?)")[0]
        text, said = "update scratch set note = ?", 1040
        if why == "the server":
            text, said = "insert into nowhere values (?)", 1146
        elif why == "the transaction is lost":
            said = 1213
            lose(proxy, c)
        else:
            other.query("begin")
            other.query("select count(*) from items")
        heard = directly(c, text, "new")
        assert heard in ([said, 1243], [1040, 1040])
        if why == "nothing is free":
            other.query("rollback")
        assert my.rows("select who from scratch") == []
        c.execute(known, ("old",))
        assert directly(c, "select ?", "x") == ([] if my.engine == "mariadb" else [1243])
    assert my.rows("select who from scratch") == [("old",)]


# --- executions that no server gets --------------------------------------------------------------

def long_data(number, data):
    return mywire.command(mywire.LONG_DATA, struct.pack("<IH", number, 0) + data)


@pytest.mark.parametrize("why", ["the transaction is lost", "nothing is free"])
@pytest.mark.parametrize("kind", ["types", "other types", "long data"])
def test_an_execution_that_weir_refuses_is_tried_again(start, my, why, kind):
    """Its types hold for the next one, as libraries send them once, and its long data is gone with it."""
    lost = why == "the transaction is lost"
    proxy = start(max_server_connections=1, idle_transaction_timeout="500ms" if lost else "60s", query_wait_timeout="1s")
    with Wire(proxy.connect()) as c, Wire(proxy.connect()) as other:
        number = c.prepare("insert into scratch (who) values (?)")[0]
        if kind == "other types":
            c.execute(number, (77,))
        if lost:
            lose(proxy, c)
        else:
            other.query("begin")
            other.query("select count(*) from items")
        sent = long_data(number, b"BLOB") if kind == "long data" else b""
        c.send(sent, c.execution(number, ("text",), long=(0,) if sent else ()))
        with pytest.raises(mywire.MyError) as err:
            c.answer()
        assert err.value.code == (1213 if lost else 1040)
        if not lost:
            other.query("rollback")
        c.send(sent, c.execution(number, ("text",), types=False, long=(0,) if sent else ()))
        assert c.answer().affected == 1
    assert my.rows("select who from scratch order by id")[-1] == ("BLOB" if sent else "text",)
