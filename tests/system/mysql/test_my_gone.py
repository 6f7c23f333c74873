# SPDX-License-Identifier: ISC
"""Clients that go away in the middle of things. The server connection is kept and nobody sees a trace.

Each test ends a client at one moment and then looks with the next one, on the only server connection
there is: the same one must serve it, and nothing of the dead client may be visible.
"""

import socket
import struct
import time

import pytest
from pymysql.constants import CLIENT

from harness import mywire
from harness.mywire import Wire, command, query
from harness.myproxy import LastingSampler, one, rows
from harness.proxy import Crowd, crowd, wait_until

BUSY = "info like 'select sleep(30)%%' or info like 'insert into scratch select sleep(30)%%'"


@pytest.fixture
def single(start):
    return start(max_server_connections=1, query_wait_timeout=15)


@pytest.fixture(params=["fin", "reset"])
def leave(request):
    return Wire.close if request.param == "fin" else Wire.reset


def wire(proxy, **more):
    return Wire(proxy.connect(**more))


def server_id(conn):
    """The number by which the server knows the connection: inside of an expression it isn't replaced."""
    return one(conn, "select connection_id() + 0")


def warm(proxy):
    """The connection that is there to stay: the one that weir opened to try the server may end with its first loan."""
    ids = [None]
    while len(ids) < 6 or len(set(ids[-5:])) > 1:
        assert len(ids) < 40, ids
        with proxy.connect() as c:
            ids.append(server_id(c))
    return ids[-1]


def untouched(proxy, my, number, same=True):
    with proxy.connect() as c:
        got = rows(c, "select connection_id() + 0, count(*) from scratch")[0]
        assert got[1] == 0, "something of it was left behind"
        assert not same or got[0] == number, f"{number} expected, lent was {got[0]}"
        assert one(c, "select @@in_transaction" if my.engine == "mariadb" else "select 0") == 0
        assert one(c, "select @ghost") is None
    assert my.value("select count(*) from shop.scratch") == 0


def calm(proxy, my):
    def exact():
        row = next(r for r in proxy.my_show("POOLS") if r["database"] == "shop" and r["user"] == "app")
        return [int(row[k]) for k in ("cl_active", "cl_waiting", "sv_active", "sv_idle", "sv_used", "sv_login")]
    wait_until(lambda: exact() == [0, 0, 0, 1, 0, 0], 15, "counts of a calm pool")
    wait_until(lambda: my.count() == 1, 15, "one connection at the server")


def busy(my):
    return my.count("info like 'select sleep(30)%' or info like 'insert into scratch%sleep(30)%'")


def test_gone_while_idle(single, my, leave):
    number = warm(single)
    c = wire(single)
    c.query("select 1")
    leave(c)
    untouched(single, my, number)
    calm(single, my)


def test_gone_while_waiting(single, my, leave):
    number = warm(single)
    holder, waiter = wire(single), wire(single)
    holder.query("begin")
    waiter.send(query("insert into scratch (who) values ('ghost')"))
    wait_until(lambda: waits(single) == 1, 10, "the waiter")
    leave(waiter)
    wait_until(lambda: waits(single) == 0, 10, "its end")
    holder.query("commit")
    holder.quit()
    untouched(single, my, number)
    calm(single, my)


def waits(proxy):
    return sum(int(r["cl_waiting"]) for r in proxy.my_show("POOLS"))


@pytest.mark.parametrize("script", [
    ["begin"], ["begin", "insert into scratch (who) values ('ghost')"],
    ["set autocommit = 0", "insert into scratch (who) values ('ghost')"],
    ["start transaction", "insert into scratch (who) values ('ghost')", "savepoint a", "selec"],
    ["begin", "set sql_mode = 'ANSI_QUOTES'", "set names latin1", "use other", "insert into shop.scratch (who) values ('ghost')"]])
def test_gone_in_a_transaction(single, my, leave, script):
    number = warm(single)
    c = wire(single)
    for sql in script:
        try:
            c.query(sql)
        except mywire.MyError as err:
            assert err.code == 1064
    leave(c)
    untouched(single, my, number)
    with single.connect() as d:
        assert rows(d, "select database(), @@sql_mode like '%ANSI_QUOTES%', @@character_set_client, @@autocommit") == [
            ("shop", 0, "utf8mb4", 1)]
    calm(single, my)


def test_gone_in_order_in_a_transaction(single, my):
    number = warm(single)
    c = wire(single)
    c.query("begin")
    c.query("insert into scratch (who) values ('ghost')")
    c.quit()
    untouched(single, my, number)
    calm(single, my)


@pytest.mark.parametrize("kind", ["text", "prepared", "in a transaction", "write", "a pipeline behind it"])
def test_gone_while_a_statement_runs(single, my, leave, kind):
    """It is ended at once, not left to run for nobody; the connection is lent again."""
    number = warm(single)
    c = wire(single)
    if kind == "prepared":
        c.send(Wire.execution(c.prepare("select sleep(30)")[0]))
    elif kind == "in a transaction":
        c.query("begin")
        c.query("insert into scratch (who) values ('ghost')")
        c.send(query("select sleep(30)"))
    elif kind == "write":
        c.send(query("insert into scratch select sleep(30) + n + 1, 'ghost', '' from items where id < 3"))
    elif kind == "a pipeline behind it":
        c.send(query("select sleep(30)"), query("begin"), query("insert into scratch (who) values ('ghost')"))
    else:
        c.send(query("select sleep(30)"))
    wait_until(lambda: busy(my) == 1, 10, "the running statement")
    leave(c)
    wait_until(lambda: busy(my) == 0, 10, "its end")
    untouched(single, my, number)
    calm(single, my)


def test_gone_while_a_statement_runs_in_a_schema_that_is_no_more(start, my):
    """KILL QUERY logs in as its client did; that this is in a schema doesn't keep it."""
    my.rows("create database passing")
    my.rows("grant all on passing.* to app@'%'")
    try:
        proxy = start(databases={"passing": f"mysql://{my.host}:{my.port}/passing"})
        c = wire(proxy, schema="passing")
        c.send(query("select sleep(30)"))
        wait_until(lambda: busy(my) == 1, 10, "the running statement")
        my.rows("drop database passing")
        c.close()
        wait_until(lambda: busy(my) == 0, 10, "its end")
    finally:
        my.rows("drop database if exists passing")
        my.rows("revoke all on passing.* from app@'%'")


def test_gone_while_one_of_two_connections_runs(start, my, leave):
    """KILL QUERY needs a connection of its own: one beyond the bound, when no other comes back."""
    proxy = start(max_server_connections=2)
    wait_until(lambda: my.count("user = 'app'") == 0, 20, "what other tests left to end")
    with LastingSampler(my) as seen:
        a, b = wire(proxy), wire(proxy)
        b.query("begin")
        a.send(query("select sleep(30)"))
        wait_until(lambda: busy(my) == 1, 10, "the running statement")
        leave(a)
        wait_until(lambda: busy(my) == 0, 10, "its end")
        b.query("rollback")
        b.quit()
    assert seen.highest <= 3


def test_a_kill_stays_inside_the_bound_while_connections_come_back(start, my, leave):
    """The first that comes back gives up its slot for it. (By weir's count: MariaDB hangs up on the one before it
    takes it off its list. And not each time: a machine may stand still for longer than a cancel waits.)"""
    proxy = start(max_server_connections=2)
    done, peak, peaks = [], [0], []

    def look():
        while not done:
            row = proxy.show("BOUNDS")[0]
            peak[0] = max(peak[0], sum(int(row[k]) for k in ("opening", "idle", "lent", "closing", "cancelling", "control")))

    def work(_):
        with proxy.connect(autocommit=True) as c:
            while not done:
                assert one(c, "select sleep(0.002)") == 0
    hogs, eye = Crowd(3, work).start(), Crowd(1, lambda _: look()).start()
    try:
        for _ in range(5):
            a = wire(proxy)
            a.send(query("select sleep(60)"))
            wait_until(lambda: my.count("info = 'select sleep(60)'") == 1, 20, "the running statement")
            peak[0] = 0
            leave(a)
            wait_until(lambda: my.count("info = 'select sleep(60)'") == 0, 20, "its end")
            peaks.append(peak[0])
    finally:
        done.append(True)
        hogs.join(30), eye.join(30)
    assert min(peaks) <= 2 and max(peaks) <= 3


@pytest.mark.parametrize("cut", [1, 3, 4, 5, 20])
@pytest.mark.parametrize("where", ["outside", "in a transaction"])
def test_gone_in_the_middle_of_a_packet(single, my, leave, cut, where):
    number = warm(single)
    c = wire(single)
    if where != "outside":
        c.query("begin")
        c.query("insert into scratch (who) values ('ghost')")
    c.send(query("insert into scratch (who) values ('ghost')")[:cut])
    time.sleep(0.05)
    leave(c)
    untouched(single, my, number)
    calm(single, my)


def test_gone_in_the_middle_of_a_large_packet(single, my, leave):
    """What the server has of it can't be completed truthfully: only here may the connection be another."""
    warm(single)
    c = wire(single)
    c.send(query("insert into scratch (who, note) values ('ghost', '" + "x" * 5_000_000 + "')")[:3_000_000])
    time.sleep(0.1)
    leave(c)
    untouched(single, my, None, same=False)
    calm(single, my)


@pytest.mark.parametrize("part", ["before the first packet", "between packets", "in a packet"])
def test_gone_in_load_data_local(single, my, leave, part):
    """A file that did not end is no file: nothing of it stays."""
    warm(single)
    c = wire(single, local_infile=True)
    c.send(query("load data local infile 'x' into table scratch (who, note)"))
    assert c.one() == b"\xfbx"
    if part != "before the first packet":
        c.send(mywire.packet(b"ghost\tx\n" * 5000, c.seq + 1))
    if part == "in a packet":
        c.send(mywire.packet(b"ghost\tx\n" * 1000, c.seq + 2)[:-70])
    time.sleep(0.05)
    leave(c)
    untouched(single, my, None, same=False)
    calm(single, my)


def test_its_slot_is_taken_until_the_server_has_undone_a_file(start, my):
    """Cut off in the middle of a file the server rolls back what it had of it, and counts the session until then."""
    proxy = start(max_server_connections=1, client_gone_timeout=60)
    c = wire(proxy, local_infile=True)
    c.send(query("load data local infile 'x' into table scratch (who, note)"))
    assert c.one() == b"\xfbx"
    seq = c.seq
    for n in range(40):
        c.send(mywire.packet((b"ghost\t" + b"x" * 200 + b"\n") * 2000, (seq + 1 + n) & 255))
    with LastingSampler(my) as seen:
        c.reset()
        with proxy.connect() as d:
            assert one(d, "select count(*) from scratch") == 0
    assert seen.highest == 1


@pytest.mark.parametrize("kind", ["text", "prepared"])
@pytest.mark.parametrize("reads", [True, False])
def test_gone_in_a_large_answer(single, my, leave, kind, reads):
    number = warm(single)
    c = wire(single)
    sql = "select repeat('x', 1000) from items a, items b"
    c.send(Wire.execution(c.prepare(sql)[0]) if kind == "prepared" else query(sql))
    if reads:
        c.exactly(100_000)
    else:
        c.readable(10)
    leave(c)
    untouched(single, my, number)
    calm(single, my)


def test_gone_while_pinned(single, my, leave):
    """What kept the connection with its client is undone before the next one gets it."""
    number = warm(single)
    c = wire(single)
    for sql in ("create temporary table ghost (i int)", "insert into ghost values (1)", "select get_lock('ghost', 0)",
                "set @ghost = 7", "set sort_buffer_size = 1000000", "prepare ghost from 'select 1'"):
        c.query(sql)
    handler = "handler items open as ghost_handler"
    c.query(handler)
    assert len(single.my_show("PINS")) == 1
    leave(c)
    untouched(single, my, number)
    with single.connect() as d:
        assert one(d, "select is_free_lock('ghost')") == 1
        for sql in ("select * from ghost", "execute ghost", "handler ghost_handler read first"):
            with pytest.raises(Exception):
                rows(d, sql)
        assert one(d, "select @@sort_buffer_size") == my.value("select @@global.sort_buffer_size")
    calm(single, my)


@pytest.mark.parametrize("cause", ["create temporary table mine (i int)", "select get_lock('mine', 0)",
                                   "lock tables items read", "handler items open as mine"])
def test_a_pin_lasts_as_long_as_its_client_wants(start, cause):
    """client_gone_timeout is for what a client left behind, and for weir's own questions."""
    weir = start(max_server_connections=1, client_gone_timeout="3s")
    c = wire(weir)
    c.query(cause)
    time.sleep(6)
    assert len(weir.my_show("PINS")) == 1
    c.query("do 1")


@pytest.mark.parametrize("how", ["lock tables items write", "flush tables with read lock"])
def test_gone_with_tables_locked(single, my, leave, how):
    number = warm(single)
    c = wire(single)
    c.query(how)
    leave(c)
    with single.connect() as d:
        assert server_id(d) == number
        rows(d, "update items set n = n where id = 1")
    calm(single, my)


@pytest.mark.parametrize("kind, sql", [("innodb", "update locked set no_such = 1"), ("innodb", "select no_such from locked"),
                                       ("innodb", "select 1; select no_such from locked"), ("myisam", "select count(*) from locked"),
                                       ("myisam", "insert into locked values (no_such)"), ("myisam", None)])
@pytest.mark.parametrize("how", ["stays", "quit", "close"])
def test_no_metadata_lock_outlives_a_loan(start, my, kind, sql, how):
    """Without autocommit MySQL keeps those of statements of which its status tells nothing."""
    proxy = start(max_server_connections=1)
    with my.root() as root, root.cursor() as owner:
        owner.execute(f"create table locked (id int) engine = {kind}")
        try:
            with Wire(proxy.connect(client_flag=CLIENT.MULTI_STATEMENTS)) as c:
                c.query("set autocommit = 0")
                if sql is None:
                    c.execute(c.prepare("select * from locked")[0])
                elif c.error(mywire.QUERY, sql.encode()) is None and ";" in sql:
                    with pytest.raises(mywire.MyError):
                        c.answer()
                assert len(c.query("show warnings").rows) == (sql is not None and "no_such" in sql)
                if how != "stays":
                    getattr(c, how)()
                elif my.engine == "mariadb":
                    c.query("rollback")  # its status tells of a transaction
                wait_until(lambda: not any(int(p["sv_active"]) for p in proxy.my_show("POOLS")), 30, "the end of the loan")
                owner.execute("set session lock_wait_timeout = 5")
                owner.execute("alter table locked add column more int")
        finally:
            owner.execute("drop table locked")


def test_gone_where_every_rollback_begins_a_transaction(single, my, leave):
    number = warm(single)
    with wire(single) as c:
        for sql in ("set completion_type = 1", "begin", "insert into scratch (who) values ('gone')"):
            c.query(sql)
        leave(c)
    untouched(single, my, number)


def test_gone_with_an_open_cursor(single, my, leave):
    number = warm(single)
    c = wire(single)
    stmt = c.prepare("select id from items order by id")[0]
    c.execute(stmt, cursor=1)
    assert len(c.fetch(stmt, 5).rows) == 5
    leave(c)
    untouched(single, my, number)
    calm(single, my)


@pytest.mark.parametrize("how", ["fin", "reset", "quit", "reset connection"])
@pytest.mark.parametrize("by", ["set role", "a procedure"])
def test_a_role_is_nobody_elses(start, my, how, by):
    """COM_RESET_CONNECTION leaves it: its connection is closed, and the next client's is a new one."""
    if by == "a procedure" and my.engine == "mysql":
        return  # which doesn't say that anything has changed
    made = ("create role idle", "create role mighty", "grant idle to app@'%'", "grant mighty to app@'%'",
            "create procedure takes_role() sql security invoker set role mighty",
            "set default role idle for app@'%'" if my.engine == "mariadb" else "alter user app@'%' default role idle")
    try:
        for sql in made:
            my.rows(sql)
        weir = start(max_server_connections=1, query_wait_timeout=15)
        with wire(weir) as before:
            usual = before.value("select current_role()")
        assert "idle" in usual
        c = wire(weir)
        c.query("begin")
        c.query("insert into scratch (who) values ('ghost')")
        c.query("set role mighty" if by == "set role" else "call takes_role()")
        assert "mighty" in c.value("select current_role()") and len(weir.my_show("PINS")) == 1
        if how == "reset connection":
            c.send(command(mywire.RESET_CONNECTION), query("select current_role()"))
            assert c.answer().status & 1 == 0
            assert c.answer().rows[0][0].decode() == usual
            c.quit()
        else:
            {"fin": Wire.close, "reset": Wire.reset, "quit": Wire.quit}[how](c)
        with wire(weir) as d:
            assert d.value("select current_role()") == usual
        untouched(weir, my, None, same=False)
        calm(weir, my)
    finally:
        for sql in ("drop procedure if exists takes_role", "drop role if exists idle, mighty"):
            my.rows(sql)


def test_what_init_connect_sets_is_there_for_everybody(start, own_my):
    """A reset would forget it."""
    my = own_my(**{"init-connect": "set time_zone = '+09:00', @greeting = 7"})
    asked = "select concat(@@time_zone, ' ', @greeting)"
    weir = start(my, max_server_connections=1, query_wait_timeout=15)
    with wire(weir) as c:
        assert c.value(asked) == "+09:00 7"
        c.query("create temporary table ghost (i int)")
        c.close()
        with wire(weir) as d:
            assert d.value(asked) == "+09:00 7"
            d.query("set @greeting = 8")
            assert d.ask(mywire.RESET_CONNECTION)
            assert d.value(asked) == "+09:00 7"
        calm(weir, my)


@pytest.mark.parametrize("stage", ["nothing", "greeting", "half an answer", "an answer"])
def test_gone_in_the_middle_of_a_login(single, my, leave, stage):
    number = warm(single)
    answer = mywire.packet(struct.pack("<IIB23x", 0x000aa205, 1 << 24, 45) + b"app\0\0", 1)
    for _ in range(20):
        s = socket.create_connection((single.host, single.mysql_port), 5)
        if stage != "nothing":
            s.recv(4096)
        if stage == "half an answer":
            s.sendall(answer[:20])
        if stage == "an answer":
            s.sendall(answer)
        if leave is Wire.reset:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()
    untouched(single, my, number)
    calm(single, my)


def test_half_close_is_taken_for_gone_or_answered(single, my):
    number = warm(single)
    c = wire(single)
    c.send(query("select 1"))
    c.sock.shutdown(socket.SHUT_WR)
    c.until_closed()
    c.close()
    untouched(single, my, number)
    calm(single, my)


def test_five_hundred_departures_in_a_row(start, my):
    """A function fleet that is scaled down in mid-flight: the death spiral of other poolers."""
    proxy = start(max_server_connections=3, query_wait_timeout=30)
    scripts = ("select sleep(0.3)", "insert into scratch (who) values (sleep(0.2))", "load data local infile 'x' into table scratch (who)",
               "select repeat('x', 1000) from items a, items b limit 50000")

    def work(i):
        for n in range(25):
            c = wire(proxy, local_infile=True)
            sql = scripts[(i + n) % 4]
            if (i + n) % 4 == 1:
                c.send(query("begin"))
            c.send(query(sql))
            time.sleep(0.005)
            c.reset()
    with LastingSampler(my) as seen:
        crowd(20, work, 100)
    assert seen.highest <= 4  # one beyond, see above
    # A connection that had to be closed in the middle of a statement is found out by the server when
    # one of its own timeouts is over (net_read_timeout 30 s, innodb_lock_wait_timeout 50 s).
    # "Killed" is how MariaDB shows an idle connection that a KILL QUERY came too late for; its next
    # statement isn't hit.
    try:
        wait_until(lambda: my.count("command not in ('Sleep', 'Killed') or info is not null") == 0, 75, "calm")
    except AssertionError as e:
        raise AssertionError(f"{e}: {my.rows('show full processlist')}") from None
    with proxy.connect() as c:
        assert one(c, "select count(*) from scratch") == 0
    try:
        wait_until(lambda: my.count() <= 3, 75, "three connections")
    except AssertionError as e:
        raise AssertionError(f"{e}: {my.rows('show full processlist')}") from None
