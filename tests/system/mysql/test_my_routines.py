# SPDX-License-Identifier: ISC
"""What functions and procedures of the user's own do to a session, which no text tells: nobody else has it."""

import pytest

from harness import mywire
from harness.myliar import MyLiar, one_row, result
from harness.mywire import QUERY, Wire
from harness.proxy import wait_until

ROUTINES = {
    "function fills": "() returns int begin set @mine = 9; return 1; end",
    "function makes": "() returns int begin create temporary table mine (i int); insert into mine values (4711); return 1; end",
    "function grabs": "() returns int return get_lock('mine', 0)",
    "function counts": "() returns int begin update counter set n = n + 1 where id = 1; return 1; end",
    "procedure locking": "() begin do get_lock('mine', 0); end",
}


@pytest.fixture(scope="module")
def routines(my):
    for name, body in ROUTINES.items():
        my.rows(f"create {name}{body}")
    yield
    for name in ROUTINES:
        my.rows(f"drop {name}")


def execute(c, how, sql):
    if how == "text":
        c.query(sql)
    else:
        c.execute(c.prepare(sql)[0])


def answers(c, sql, n):
    c.send(mywire.query(sql))
    return [c.answer() for _ in range(n)]


def pins(proxy):
    return [p["reason"] for p in proxy.my_show("PINS")]


@pytest.mark.parametrize("how", ["text", "prepared"])
@pytest.mark.parametrize("sql, asked, mine", [
    ("select fills()", "select @mine", "9"), ("select shop . `fills` () as n from items limit 1", "select @mine", "9"),
    ("select count(*) from items where id = fills()", "select @mine", "9"),
    ("select makes()", "select i from mine", "4711"), ("do makes()", "select i from mine", "4711")])
def test_what_a_function_left_is_its_clients(start, routines, how, sql, asked, mine):
    proxy = start(max_server_connections=2)
    with Wire(proxy.connect()) as c, Wire(proxy.connect()) as stranger:
        execute(c, how, sql)
        wait_until(lambda: pins(proxy) != [], 30, "the pin")
        for _ in range(3):
            if asked.startswith("select @"):
                assert stranger.query(asked).rows == [[None]]
            else:
                assert stranger.error(QUERY, asked.encode()) == 1146
        assert c.value(asked) == mine
        assert proxy.my_show("PINS")[0]["statement"].startswith(sql[:10])
        c.ask(mywire.RESET_CONNECTION)
        wait_until(lambda: pins(proxy) == [], 30, "the end of the pin")


@pytest.mark.parametrize("sql, n", [("set sort_buffer_size = 65536 + fills()", 1), ("use other; select shop.fills()", 2),
                                    ("select fills(); use other", 2), ("select fills(); set sql_safe_updates = 1", 2),
                                    ("select fills(), get_lock('mine', 0); do release_lock('mine')", 2)])
def test_what_a_function_left_beside_what_changes_by_its_text(start, routines, sql, n):
    proxy = start(max_server_connections=2)
    with Wire(proxy.connect()) as c, Wire(proxy.connect()) as stranger:
        c.ask(mywire.SET_OPTION, b"\0\0")
        answers(c, sql, n)
        for _ in range(3):
            assert stranger.query("select @mine").rows == [[None]]
            assert c.value("select @mine") == "9"


SETS, SETS_NOT = (f"create function fickle() returns int begin {what}return 1; end" for what in ("set @mine = 9; ", ""))


@pytest.mark.parametrize("where", ["by itself", "elsewhere", "in the text"])
def test_a_function_that_was_harmless_and_is_another_now(start, my, where):
    """As soon as it is made anew through weir, by whomever; also where only the schema is another."""
    proxy = start(max_server_connections=2)
    try:
        with Wire(proxy.connect()) as c, Wire(proxy.connect()) as other, Wire(proxy.connect()) as stranger:
            c.ask(mywire.SET_OPTION, b"\0\0")
            c.query(SETS_NOT)
            for _ in range(2):
                assert c.value("select fickle()") == "1"
            wait_until(lambda: sum(int(r["sv_active"]) for r in proxy.my_show("POOLS")) == 0, 30, "the end of the loan")
            if where == "by itself":
                other.query("drop function fickle")
                other.query(SETS)
                c.query("select fickle()")
            elif where == "elsewhere":
                other.query("use other")
                other.query(SETS)
                answers(c, "use other; select fickle()", 2)
            else:
                answers(c, f"drop function fickle; {SETS}; select fickle()", 3)
            wait_until(lambda: pins(proxy) != [], 30, "the pin")
            for _ in range(3):
                assert stranger.query("select @mine").rows == [[None]]
            assert c.value("select @mine") == "9"
    finally:
        my.rows("drop function if exists shop.fickle")
        my.rows("drop function if exists other.fickle")


@pytest.mark.parametrize("how", ["text", "prepared"])
def test_what_a_function_left_beside_a_metadata_lock(start, my, routines, how):
    """Which MySQL keeps without autocommit: what lets it go comes behind what asks for the change."""
    proxy = start(max_server_connections=1)
    my.rows("create table plain (id int) engine = myisam select 1 as id")
    try:
        with Wire(proxy.connect()) as c:
            c.query("set autocommit = 0")
            execute(c, how, "select fills() from plain")
            wait_until(lambda: pins(proxy) != [], 30, "the pin")
            assert c.value("select @mine") == "9"
    finally:
        my.rows("drop table plain")


@pytest.mark.parametrize("how", ["text", "prepared"])
@pytest.mark.parametrize("sql", ["call locking()", "select grabs()", "do grabs()", "select sum(grabs()) from items where id < 3",
                                 "insert into scratch (note) values (grabs())"])
def test_a_lock_that_a_routine_takes_lasts_as_long_as_its_loan(start, my, routines, how, sql):
    proxy = start(max_server_connections=1)
    with Wire(proxy.connect()) as c:
        c.query("begin")
        execute(c, how, sql)
        assert my.value("select is_free_lock('mine')") == 0
        c.query("commit")
        wait_until(lambda: my.value("select is_free_lock('mine')") == 1, 30, "the lock")
        assert pins(proxy) == []
        c.query("select get_lock('mine', 0)")
        c.query("select counts()")
        assert pins(proxy) == ["GET_LOCK"] and my.value("select is_free_lock('mine')") == 0
        c.query("select release_lock('mine')")
        wait_until(lambda: pins(proxy) == [], 30, "the end of the pin")


@pytest.mark.parametrize("name, exact", [
    ("'Flyway-1'", True), ("'l''s'", True), ("'\u00c9t\u00e9'", True), ("x'4142'", False), ("N'Nn'", False), ("_latin1'Ab'", False),
    ("'A\\tb'", False), ("b'01000001'", False), ("concat('A', 'b')", False)])
def test_a_lock_is_its_clients_whatever_its_name(start, my, name, exact):
    """MariaDB tells Lock from lock. Where the name can't be read off the text it is kept until all are released."""
    proxy = start(max_server_connections=2)
    with Wire(proxy.connect()) as c, Wire(proxy.connect()) as stranger:
        assert c.value(f"select get_lock({name}, 0)") == "1"
        for _ in range(3):
            c.query("select 1")
            assert stranger.value(f"select get_lock({name}, 0)") == "0"
        pin = proxy.my_show("PINS")[0]
        assert (pin["reason"], pin["statement"].split("(")[0]) == ("GET_LOCK", "select get_lock")
        assert not any(word in pin["statement"] for word in ("Flyway", "4142", "Nn", "Ab", "01000001"))
        for w in (c, stranger):
            w.query(f"select release_lock({name})" if exact else "select release_all_locks()")
        wait_until(lambda: pins(proxy) == [], 30, "the end of the pin")
        assert my.value(f"select is_free_lock({name})") == 1


@pytest.mark.parametrize("name", ["latin1", "utf8mb4"])
def test_a_locks_name_in_the_clients_character_set(start, my, name):
    proxy = start(max_server_connections=2)
    sql = "select get_lock('\u00c9', 0)".encode("latin1" if name == "latin1" else "utf8")
    with Wire(proxy.connect()) as c, Wire(proxy.connect()) as stranger:
        for w in (c, stranger):
            w.query(f"set names {name}")
        assert c.query(sql).rows == [[b"1"]]
        for _ in range(3):
            c.query("select 1")
            assert stranger.query(sql).rows == [[b"0"]]


def test_what_does_nothing_is_asked_about_once(start):
    """And what calls nothing of anybody's own, never."""
    heard = []

    def serve(sock, com, body):
        heard.append(body)
        sock.sendall(result([[b"0"] * 3], [b"a", b"b", b"c"]) if b"FOUND_ROWS" in body else one_row(b"0"))
    with MyLiar(serve) as liar:
        proxy = start(databases={"shop": f"mysql://app@{liar.host}:{liar.port}/shop"}, max_server_connections=1)
        with Wire(proxy.connect()) as c:
            for sql, asked in (("select count(*), concat ('f(', max(id)) from items where (id) in (1, 2)", 0),
                               ("insert into `items` (id, n) values (1, now()), (2, if(1, 2, 3))", 0),
                               ("select mine(1)", 1), ("select other.mine (1) from items", 1), ("select mine(2)", 0),
                               ("do mine(3)", 0), ("call mine()", 1), ("select mine(1), theirs(1)", 1)):
                heard.clear()
                for _ in range(3):
                    c.query(sql)
                wait_until(lambda: sum(int(r["sv_active"]) for r in proxy.my_show("POOLS")) == 0, 30, "the end of the loan")
                assert heard.count(b"SELECT RELEASE_ALL_LOCKS()") == asked, sql
