# SPDX-License-Identifier: ISC
"""Bytes from hell, pieces of packets, and servers that lie after the login.

Every test keeps a witness: an honest client that must go on working, undisturbed.
"""

import random
import socket
import struct
import threading
import time

import pymysql
import pytest

from harness import myliar, mywire
from harness.mywire import Closed, MyError, Wire, command, packet, query
from harness.myliar import MyLiar, column, eof, err, ok, one_row
from harness.myproxy import one, rows
from harness.proxy import wait_until


@pytest.fixture
def witness(shared):
    """An honest client of the shared weir: it worked before and works after."""
    with shared.connect() as c:
        assert one(c, "select 1 from items limit 1") == 1
        yield c
        assert one(c, "select 2 from items limit 1") == 2
    with shared.connect() as new:
        assert one(new, "select 3 from items limit 1") == 3
    assert shared.proc.poll() is None


def wire(proxy, timeout=15, **more):
    return Wire(proxy.connect(**more), timeout)


def calm(proxy, my=None, sessions=0):
    """Nobody holds or waits for anything any more."""
    def exact():
        pools = [r for r in proxy.my_show("POOLS") if r["database"] not in ("weir", "pgbouncer")]
        return [sum(int(r[k]) for r in pools) for k in ("cl_active", "cl_waiting", "sv_active", "sv_login")]
    wait_until(lambda: exact()[0] <= sessions and exact()[1:] == [0, 0, 0], 30, "counts of a calm pool")


# --- before and in the login ---------------------------------------------------------------------

CAPS = 0x000aa20d  # PROTOCOL_41, SECURE_CONNECTION, PLUGIN_AUTH, CONNECT_WITH_DB and what goes with them


def answer(user=b"app\0", auth=b"\0", rest=b"shop\0mysql_native_password\0", caps=CAPS, seq=1):
    return packet(struct.pack("<IIB23x", caps, 1 << 24, 45) + user + auth + rest, seq)


BEFORE_LOGIN = {
    "nothing": b"",
    "an empty packet": packet(b"", 1),
    "16 MB announced": b"\xff\xff\xff\x01" + b"x" * 20000,
    "one byte": packet(b"x", 1),
    "half a header": b"\x20\x00",
    "the wrong number": answer(seq=0),
    "a number of long ago": answer(seq=200),
    "a command": query("select 1"),
    "only capabilities": packet(struct.pack("<I", CAPS), 1),
    "a user without end": packet(struct.pack("<IIB23x", CAPS, 1 << 24, 45) + b"app", 1),
    "no user": answer(user=b""),
    "an empty user": answer(user=b"\0"),
    "a long user": answer(user=b"u" * 5000 + b"\0"),
    "an answer longer than the packet": answer(auth=b"\xfa" + b"x" * 20, rest=b""),
    "an answer of 8 GB": answer(auth=b"\xfe" + struct.pack("<Q", 8 << 30), caps=CAPS | 0x200000, rest=b""),
    "an answer of 2^64": answer(auth=b"\xfe" + b"\xff" * 8, caps=CAPS | 0x200000, rest=b""),
    "a NULL answer": answer(auth=b"\xfb", caps=CAPS | 0x200000),
    "a plugin without end": answer(rest=b"shop\0mysql_native"),
    "an unknown plugin": answer(rest=b"shop\0dialog\0"),
    "attributes that lie": answer(rest=b"shop\0mysql_native_password\0\xfe" + b"\xff" * 8 + b"abc", caps=CAPS | 0x100000),
    "attributes in attributes": answer(rest=b"shop\0mysql_native_password\0\x06\xfd\xff\xff\xffab", caps=CAPS | 0x100000),
    "many attributes": answer(rest=b"shop\0mysql_native_password\0\xfc\x00\x80" + b"\1a\1b" * 8192, caps=CAPS | 0x100000),
    "before 4.1": packet(struct.pack("<HI", 0x000d, 1 << 20)[:5] + b"app\0password\0", 1),
    "ssl where there is none": packet(struct.pack("<IIB23x", CAPS | 0x800, 1 << 24, 45), 1) + b"\x16\x03\x01" + b"x" * 300,
    "ssl many times": b"".join(packet(struct.pack("<IIB23x", CAPS | 0x800, 1 << 24, 45), i + 1) for i in range(50)),
    "compression": answer(caps=CAPS | 0x20),
    "every capability": answer(caps=0xffffffff),
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "random": random.Random(1).randbytes(5000),
    "nuls": b"\0" * 5000,
    "ones": b"\xff" * 5000,
}


def take_all(sock, limit=200_000):
    data = b""
    try:
        sock.shutdown(socket.SHUT_WR)
        while part := sock.recv(65536):
            data += part
            assert len(data) < limit
    except OSError:
        pass
    return data


@pytest.mark.parametrize("what", sorted(BEFORE_LOGIN))
def test_bytes_before_login(shared, witness, what):
    with socket.create_connection((shared.host, shared.mysql_port), 10) as s:
        s.sendall(BEFORE_LOGIN[what])
        take_all(s)


@pytest.mark.parametrize("what", sorted(BEFORE_LOGIN))
def test_bytes_instead_of_a_password(shared, witness, what):
    """After the request for another plugin: nobody is let in."""
    with socket.create_connection((shared.host, shared.mysql_port), 10) as s:
        s.recv(4096)
        s.sendall(answer(rest=b"shop\0dialog\0", auth=b"\4abcd"))
        assert s.recv(4096)[4] == 0xfe
        s.sendall(BEFORE_LOGIN[what])
        said = take_all(s)
        assert len(said) < 7 or said[4] != 0, "let in"


# --- commands ------------------------------------------------------------------------------------

def executed(number, rest):
    return command(mywire.EXECUTE, struct.pack("<IBI", number, 0, 1) + rest)


# what -> the packet, of the number of a prepared `select ?, ?`
EXECUTIONS = {
    "nothing": lambda n: command(mywire.EXECUTE),
    "half a number": lambda n: command(mywire.EXECUTE, b"\1\0"),
    "a number only": lambda n: command(mywire.EXECUTE, struct.pack("<I", n)),
    "no NULL bitmap": lambda n: executed(n, b""),
    "no flag for types": lambda n: executed(n, b"\0"),
    "no types": lambda n: executed(n, b"\0\1"),
    "half the types": lambda n: executed(n, b"\0\1\xfd\0\xfd"),
    "no values": lambda n: executed(n, b"\0\1\xfd\0\xfd\0"),
    "one value of two": lambda n: executed(n, b"\0\1\xfd\0\xfd\0\1a"),
    "a text longer than the packet": lambda n: executed(n, b"\0\1\xfd\0\xfd\0\xfa" + b"abc"),
    "a text of 16 MB": lambda n: executed(n, b"\0\1\xfd\0\xfd\0\xfd\xff\xff\xff" + b"abc"),
    "a text of 2^64": lambda n: executed(n, b"\0\1\xfd\0\xfd\0\xfe" + b"\xff" * 8 + b"abc"),
    "a length that is an error": lambda n: executed(n, b"\0\1\xfd\0\xfd\0\xff\xff"),
    "half an integer": lambda n: executed(n, b"\0\1\x08\0\x08\0" + b"\1" * 11),
    "unknown types": lambda n: executed(n, b"\0\1\xf3\x80\x3f\x7f" + b"\1" * 30),
    "types by another flag": lambda n: executed(n, b"\0\x55\xfd\0\xfd\0\1a\1b"),
    "a time of 200 bytes": lambda n: executed(n, b"\0\1\x0c\0\x0b\0\xc8" + b"\1" * 30),
    "all is NULL and more": lambda n: executed(n, b"\xff\1\xfd\0\xfd\0" + b"x" * 100),
    "bytes behind the end": lambda n: executed(n, b"\0\1\xfd\0\xfd\0\1a\1b" + b"x" * 3000),
    "cursors of every kind": lambda n: command(mywire.EXECUTE, struct.pack("<IBI", n, 0xff, 0xffffffff) + b"\3\1\6\0\6\0"),
    "another's number": lambda n: executed(n + 1, b"\0\1\xfd\0\xfd\0\1a\1b"),
    "no number": lambda n: executed(0, b"\0\1\xfd\0\xfd\0\1a\1b"),
}


@pytest.mark.parametrize("what", sorted(EXECUTIONS))
def test_executions_that_lie(shared, my, witness, what):
    """What MySQL says to them; and the statement of another client with the same text is as it was."""
    with wire(shared) as honest, wire(shared) as c:
        mine, bad = honest.prepare("select ?, ?")[0], c.prepare("select ?, ?")[0]
        assert honest.execute(mine, ("a", "b")).rows[0][-4:] == b"\1a\1b"
        with Wire(my.direct()) as d:
            other = d.prepare("select ?, ?")[0]
            d.send(EXECUTIONS[what](other))
            direct = ended(d)
        c.send(EXECUTIONS[what](bad))
        assert ended(c) == direct
        for with_types in (False, True, False):
            assert honest.execute(mine, ("a", "b"), types=with_types).rows[0][-4:] == b"\1a\1b"


def ended(w):
    """The number of the error, "rows", or "closed"."""
    try:
        w.answer(binary=True)
        return "rows"
    except MyError as e:
        return e.code
    except (Closed, OSError):
        return "closed"


OTHERS = (mywire.QUIT, mywire.STATISTICS, mywire.PREPARE, mywire.LONG_DATA, mywire.CLOSE, mywire.CHANGE_USER, mywire.PROCESS_KILL)
REFUSED = (mywire.BINLOG_DUMP, mywire.TABLE_DUMP, mywire.REGISTER_SLAVE, 30, 32, 33, 0xfa)


@pytest.mark.parametrize("length", [0, 1, 6])
def test_every_command(shared, my, length):
    """The server's own answer, or an error that is clear. OTHERS have tests of their own: they end the session, are
    not answered, or are weir's."""
    through, direct = wire(shared), Wire(my.direct())
    for com in range(256):
        if com in OTHERS:
            continue
        said = through.error(com, bytes(length))
        if com in REFUSED:
            assert said == 1047, com
        elif com == mywire.SET_OPTION:
            assert said in (None, 1047)
        else:
            assert said == direct.error(com, bytes(length)), com
        assert through.value("select 5") == "5", com
    through.quit()
    direct.quit()


@pytest.mark.parametrize("com", [mywire.LONG_DATA, mywire.CLOSE, mywire.PROCESS_KILL, mywire.RESET, mywire.FETCH])
@pytest.mark.parametrize("length", [0, 1, 4, 5, 6, 40])
def test_numbers_cut_off(shared, witness, com, length):
    with wire(shared) as c:
        c.send(command(com, b"\7" * length), query("select 6"))
        data = c.payload()
        if data[:1] == b"\xff":  # its answer; the other one's is next
            data = c.payload()
        assert data == b"\1"


OUT_OF_STEP = {
    "a number": packet(b"\x03select 1", 7),
    "a number below": packet(b"\x03select 1", 255),
    "a piece of a file": packet(b"1,2,3\n", 2),
    "an answer": ok(),
    "an empty one": packet(b"", 3),
}


@pytest.mark.parametrize("what", sorted(OUT_OF_STEP))
@pytest.mark.parametrize("where", ["idle", "transaction", "behind a statement"])
def test_packets_out_of_order(shared, witness, what, where):
    """An error, and the end of the session."""
    with wire(shared) as c:
        if where == "transaction":
            c.query("begin")
            c.query("insert into scratch (who) values ('hell')")
        if where == "behind a statement":
            c.send(query("select 7") + OUT_OF_STEP[what])
            assert c.answer().rows == [[b"7"]]
        else:
            c.send(OUT_OF_STEP[what])
        with pytest.raises(MyError) as e:
            c.answer()
        assert e.value.code == 1156
        with pytest.raises((Closed, OSError)):
            c.one()
    with shared.connect() as c:
        assert one(c, "select count(*) from scratch") == 0


def test_an_empty_packet_is_no_command(shared, witness):
    with wire(shared) as c:
        c.send(packet(b"") * 5)
        for _ in range(5):
            with pytest.raises(MyError):
                c.answer()
        assert c.value("select 8") == "8"


SMUGGLERS = {
    "ping": lambda w, n: packet(bytes([mywire.PING]) + bytes(n - 1)),
    "a number unknown": lambda w, n: packet(bytes([mywire.EXECUTE]) + struct.pack("<I", 4711) + bytes(n - 5)),
    "reset of a statement": lambda w, n: packet(bytes([mywire.RESET]) + struct.pack("<I", w.prepare("select 1")[0]) + bytes(n - 5)),
    "close of a statement": lambda w, n: packet(bytes([mywire.CLOSE]) + struct.pack("<I", w.prepare("select 1")[0]) + bytes(n - 5)),
    "long data": lambda w, n: packet(bytes([mywire.LONG_DATA]) + struct.pack("<I", w.prepare("select ?")[0]) + bytes(n - 5)),
    "an option": lambda w, n: packet(bytes([mywire.SET_OPTION]) + bytes(n - 1)),
    "a schema": lambda w, n: packet(bytes([mywire.FETCH]) + bytes(n - 1)),
    "an unknown command": lambda w, n: packet(b"\x7f" + bytes(n - 1)),
    "a process": lambda w, n: packet(bytes([mywire.PROCESS_KILL]) + bytes(n - 1)),
    "a reset": lambda w, n: packet(bytes([mywire.RESET_CONNECTION]) + bytes(n - 1)),
}


@pytest.mark.parametrize("what,length", [(w, 3_000_000) for w in sorted(SMUGGLERS)] +
                         [("ping", mywire.FULL), ("long data", mywire.FULL)])
def test_nothing_is_smuggled_past_an_answer_of_weirs(start, my, what, length):
    """The tail of a command that weir answers itself looks like a statement: no server may get it."""
    proxy = start(max_server_connections=1)
    with wire(proxy) as c:
        c.query("create table if not exists smuggled (i int)")
        try:
            c.query("begin")
            c.query("insert into scratch (who) values ('mine')")
            big = SMUGGLERS[what](c, length)
            hidden = query("create table if not exists other.smuggled (i int)") + query("commit")
            tail = packet(hidden, 1) if length == mywire.FULL else b""
            big = big[:len(big) - len(hidden)] + hidden + tail
            c.send(big)
            wait_until(lambda: not unsent(c), 30, "the bytes are taken")
            c.sock.settimeout(0.4)
            try:
                while c.one():
                    pass
            except (Closed, OSError):
                pass
            assert my.value("select count(*) from shop.scratch") == 0
            assert not my.rows("show tables from other like 'smuggled'")
        finally:
            c.close()
            my.rows("drop table shop.smuggled")
    with proxy.connect() as after:
        assert one(after, "select 'mine'") == "mine"


def unsent(w):
    import array
    import fcntl
    left = array.array("i", [0])
    fcntl.ioctl(w.sock, 0x5411, left)  # SIOCOUTQ
    return left[0]


# --- memory --------------------------------------------------------------------------------------

def test_sixteen_megabytes_announced_cost_nothing(start):
    proxy = start()
    with proxy.connect() as c:
        one(c, "select 1")
    before = proxy.status("VmRSS")
    made = []
    for com in (mywire.QUERY, mywire.PREPARE, mywire.EXECUTE, mywire.LONG_DATA, mywire.PING, mywire.CHANGE_USER) * 10:
        w = wire(proxy)
        w.send(b"\xff\xff\xff\0" + bytes([com]) + b"x" * 20_000)
        made.append(w)
    time.sleep(0.3)
    assert proxy.status("VmRSS") - before < 8192
    for w in made:
        w.close()
    with proxy.connect() as c:
        assert one(c, "select 1") == 1


def test_long_data_is_bounded(start, my):
    """So many statements, so much for each, without one execution: an error when it is executed, and the session goes on."""
    proxy = start(max_server_connections=1)
    with wire(proxy, 60) as c:
        numbers = [c.prepare(f"select length(?) + {i}")[0] for i in range(20)]
        before = proxy.status("VmRSS")
        for _ in range(20):
            for n in numbers:
                c.send(command(mywire.LONG_DATA, struct.pack("<IH", n, 0) + b"x" * 1_000_000))
        c.ask(mywire.PING)
        assert proxy.status("VmRSS") - before < 150_000, "400 MB were sent"
        codes = []
        for n in numbers:
            c.send(Wire.execution(n, ("",), long=(0,)))
            codes.append(ended(c))
        assert set(codes) <= {"rows", 1105} and 1105 in codes
        wait_until(lambda: proxy.status("VmRSS") - before < 60_000, 30, "the memory to come back")
        c.send(command(mywire.LONG_DATA, struct.pack("<IH", numbers[0], 0) + b"x" * 5_000_000))
        assert c.execute(numbers[0], ("",), long=(0,)).rows[0][2:] == struct.pack("<q", 5_000_000)


def test_long_data_for_a_parameter_that_is_not_there(start, my):
    """A statement that a client has spoilt at the server is nobody else's."""
    proxy = start(max_server_connections=1)
    with wire(proxy) as honest, wire(proxy) as c:
        mine, bad = honest.prepare("select ?")[0], c.prepare("select ?")[0]
        assert honest.execute(mine, ("a",)).rows[0][-2:] == b"\1a"
        c.send(command(mywire.LONG_DATA, struct.pack("<IH", bad, 77) + b"x"))
        c.send(Wire.execution(bad, ("b",)))
        assert ended(c) in (1210, "rows")
        for _ in range(3):
            assert honest.execute(mine, ("a",), types=False).rows[0][-2:] == b"\1a"


def test_an_error_that_looks_like_a_progress_report(shared, my):
    """MariaDB's ones have the number 65535, which it gives nothing else; weir never asks for them."""
    number = 65534 if my.engine == "mariadb" else 65535
    with shared.connect() as c:
        for _ in range(2):
            with pytest.raises(pymysql.Error) as e:
                rows(c, f"signal sqlstate '45000' set mysql_errno = {number}, message_text = 'all bits'")
            assert e.value.args[0] & 0xffff == number and e.value.args[1] == "all bits"
        assert one(c, "select 1") == 1


def test_a_name_that_the_server_refuses_hurts_nobody_else(start, my):
    """Whoever asks for a schema with such a name gets the server's error; others log in to it as before."""
    proxy = start(databases={"*": f"mysql://{my.host}:{my.port}"}, server_login_retry="100ms", max_server_connections=4)
    for n in range(8):
        with proxy.connect(schema=f"{n}" * 100) as c, pytest.raises(pymysql.Error) as e:
            rows(c, "select 1 from items limit 1")
        assert e.value.args[0] == (1102 if my.engine == "mariadb" else 1059)
        proxy.admin("reconnect")
        with proxy.connect() as c:
            assert one(c, "select count(*) from items") >= 0
        time.sleep(0.05)


def test_a_late_kill_meets_nobody_new(start):
    """The number of who has left is not the next one's."""
    proxy = start(workers=1)
    with proxy.connect() as c:
        left = c.thread_id()
    for _ in range(100):
        with proxy.connect() as c:
            assert c.thread_id() != left
    with proxy.connect() as c, pytest.raises(pymysql.Error) as e:
        rows(c, f"kill {left}")
    assert e.value.args[0] == 1094


def test_slow_loris(start):
    """A hundred clients that send a byte now and then neither get in each other's way nor stay for ever."""
    proxy = start(client_login_timeout=3)
    slow = [socket.create_connection((proxy.host, proxy.mysql_port)) for _ in range(100)]
    for i in range(5):
        for s in slow:
            s.sendall(answer()[i:i + 1])
        with proxy.connect() as c:
            assert one(c, f"select {i}") == i
        time.sleep(0.1)
    wait_until(lambda: proxy.fd_count() < 60, 20, "the slow ones' end")
    for s in slow:
        s.close()


def test_a_packet_that_never_ends_holds_no_connection(start):
    proxy = start(max_server_connections=1, query_wait_timeout=5)
    slow = [wire(proxy) for _ in range(5)]
    for w in slow:
        w.send(query("select 1")[:7])
    with proxy.connect() as c:
        assert one(c, "select 9") == 9
    for w in slow:
        w.close()


# --- pieces --------------------------------------------------------------------------------------

def script(c):
    """Commands of every kind, pipelined, and how many bytes answer them directly."""
    number = c.prepare("select ?, v.a from (select 1 as a) v")[0]
    return [query("select 'first', null"), command(mywire.PING), Wire.execution(number, ("x" * 300,)), query("selec"),
            command(mywire.INIT_DB, b"shop"), command(mywire.LONG_DATA, struct.pack("<IH", number, 0) + b"long"),
            Wire.execution(number, ("",), long=(0,)), command(mywire.SET_OPTION, b"\0\0"), query("set @a = 1"),
            query("select @a; select 2"), query("do 1"), command(mywire.CLOSE, struct.pack("<I", number)), query("select 'last'")]


def answers(c):
    got = [c.answer().rows, type(c.answer()), c.answer(True).rows]
    for _ in range(4):  # selec, INIT_DB, EXECUTE, SET_OPTION
        try:
            a = c.answer(True)
            got.append(getattr(a, "rows", type(a)))
        except MyError as e:
            got.append(e.code)
    got += [type(c.answer()), c.answer().rows, c.answer().rows, type(c.answer()), c.answer().rows]
    return got


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, 1000])
def test_pipelined_commands_in_pieces(start, size):
    """However the stream is cut, and wherever it stops for a while, the answers are the same."""
    proxy = start(max_server_connections=2)
    multi = {"client_flag": pymysql.constants.CLIENT.MULTI_STATEMENTS}
    with wire(proxy, **multi) as whole, wire(proxy, **multi) as cut:
        whole.send(*script(whole))
        want = answers(whole)
        whole.query("set @a = null")
        whole.quit()
        cut.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = b"".join(script(cut))
        for i in range(0, len(data), size):
            cut.send(data[i:i + size])
            if i % 97 == 0:
                time.sleep(0.003)
        assert answers(cut) == want


def test_every_cut_and_a_stall(shared):
    """Two commands, cut once, at every byte."""
    with wire(shared) as c:
        number = c.prepare("select ?")[0]
        data = query("select 'a'") + Wire.execution(number, ("b" * 20,)) + command(mywire.PING)
        for at in range(1, len(data)):
            c.send(data[:at])
            if at % 7 == 0:
                time.sleep(0.01)
            c.send(data[at:])
            assert c.answer().rows == [[b"a"]]
            assert c.answer(True).rows[0][-20:] == b"b" * 20
            assert isinstance(c.answer(), mywire.OK)


def test_reset_at_every_byte(start, my):
    """Wherever a client ends, the only connection is lent again and nothing of it stays."""
    proxy = start(max_server_connections=1)
    with wire(proxy) as c:
        number = c.prepare("insert into scratch (who) values (?)")[0]
    data = query("begin") + query("insert into scratch (who) values ('ghost')") + command(
        mywire.PREPARE, b"insert into scratch (who) values (?)") + Wire.execution(number, ("ghost",)) + query("select 1")
    for at in range(1, len(data), 3):
        c = wire(proxy)
        c.send(data[:at])
        c.reset()
    calm(proxy)
    with proxy.connect() as d:
        assert one(d, "select count(*) from scratch") == 0
    assert len([r for r in proxy.my_show("SERVERS") if r["state"] == "idle"]) == 1


def test_a_file_of_a_full_packet(shared, my, witness):
    """An empty packet that ends one of 16 MB doesn't end the file."""
    with wire(shared, local_infile=True, timeout=60) as c:
        c.send(query("load data local infile 'x' into table scratch (who)"))
        assert c.one() == b"\xfbx"
        line = b"y" * 59 + b"\n"
        body = line * (mywire.FULL // len(line))
        body += b"z" * (mywire.FULL - len(body) - 1) + b"\n"
        c.send(packet(body, 2), packet(b"", 3))
        c.send(packet(b"last\n", 4), packet(b"", 5))
        end = ended_ok(c)
        assert end in (1153, "closed") or end == body.count(b"\n") + 1
        if isinstance(end, int) and end > 2000:
            assert c.value("select count(*) from scratch where who = 'last'") == "1"


def ended_ok(c):
    try:
        return c.answer().affected
    except MyError as e:
        return e.code
    except (Closed, OSError):
        return "closed"


# --- servers that lie ----------------------------------------------------------------------------

def row(payload, seq):
    return packet(payload, seq)


def head(n=1):
    return packet(bytes([n]), 1) + b"".join(column(b"x", 2 + i) for i in range(n)) + eof(2 + n)


LIES = {
    "the end": b"",
    "half a header": b"\1\0",
    "half a packet": b"\x20\0\0\1abc",
    "an empty packet": packet(b"", 1),
    "16 MB announced": b"\xfe\xff\xff\1" + b"x" * 3_000_000,
    "a long error": packet(b"\xff\x28\x04#42000" + b"x" * 100_000, 1),
    "an error of one byte": packet(b"\xff", 1),
    "an OK of one byte": packet(b"\0", 1),
    "an OK with a text that lies": packet(b"\0\0\0\2\0\0\0\xfe" + b"\xff" * 8, 1),
    "an OK with a state that lies": packet(b"\0\0\0\2\x40\0\0\0\xfa\0\xfe" + b"\xff" * 8, 1),
    "an EOF": eof(1),
    "too many columns": packet(b"\xfe" + struct.pack("<Q", 1 << 40), 1),
    "no columns": packet(b"\xfc\0\0", 1),
    "columns and bytes behind": packet(b"\1\1", 1),
    "fewer columns than said": packet(b"\3", 1) + column(b"x", 2) + eof(3) + eof(4),
    "more columns than said": packet(b"\1", 1) + column(b"x", 2) + column(b"y", 3) + eof(4) + eof(5),
    "rows without their columns": packet(b"\1", 1) + row(b"\1a", 2) + row(b"\1b", 3),
    "an OK in place of rows": head() + ok(4) + ok(5),
    "an error in place of columns": packet(b"\2", 1) + err(b"no", 2),
    "a greeting again": packet(myliar.GREETING, 0),
    "another plugin": packet(b"\xfemysql_native_password\0" + b"x" * 21, 1),
    "a file nobody asked for": packet(b"\xfb/etc/passwd", 1),
    "two answers": one_row() + one_row(b"2"),
    "an answer and half a packet": one_row() + b"\5\0",
    "more results and then none": myliar.result([[b"1"]], status=2 | 8),
    "random": random.Random(3).randbytes(3000),
    "ones": b"\xff" * 3000,
    "nuls": b"\0" * 3000,
}
HANGS = {
    "nothing": b"", "a header": b"\5\0\0\1", "columns": packet(b"\2", 1) + column(b"x", 2), "half a row": head() + b"\x20\0\0\4abc",
    "a row": head() + row(b"\1a", 4),
}


@pytest.fixture
def lied_to(start, my):
    """(proxy, liar): the schema `shop` is a liar's, `other` is honest."""
    made = []

    def make(serve, **more):
        liar = MyLiar(serve)
        made.append(liar)
        proxy = start(databases={"shop": f"mysql://app:secret@127.0.0.1:{liar.port}/shop",
                                 "other": f"mysql://{my.host}:{my.port}/other"},
                      **{**dict(max_server_connections=1, query_wait_timeout=20, client_gone_timeout=1), **more})
        return proxy, liar
    yield make
    for liar in made:
        liar.close()


@pytest.mark.parametrize("kind", ["text", "prepare"])
@pytest.mark.parametrize("what", sorted(LIES))
def test_a_server_that_lies(lied_to, what, kind):
    """Its client gets an error or nonsense, nobody else anything, and the connection is replaced."""
    def serve(sock, com, body):
        if b"lie" in body:
            sock.sendall(LIES[what])
            return what in ("a file nobody asked for",)
        sock.sendall(one_row())
        return True
    proxy, liar = lied_to(serve)
    with proxy.connect(schema="other") as honest, wire(proxy, 30) as c:
        assert c.value("select 1") == "1"
        c.sock.settimeout(1)
        before = liar.connections
        c.send(query("lie") if kind == "text" else command(mywire.PREPARE, b"lie"))
        try:
            while True:
                c.answer()
                if not c.readable(0.2):
                    break
        except (MyError, Closed, OSError, IndexError, struct.error, KeyError, TypeError):
            pass
        assert one(honest, "select 1") == 1
        c.close()
        with wire(proxy, 30) as again:
            assert again.value("select 1") == "1"
        assert liar.connections > before, "it was not replaced"
        assert one(honest, "select 2") == 2
    calm(proxy)


@pytest.mark.parametrize("what", sorted(HANGS))
def test_a_server_that_hangs(lied_to, what):
    """Its client leaves, or has the error of query_timeout; the connection is replaced in either case."""
    def serve(sock, com, body):
        sock.sendall(HANGS[what] if b"hang" in body else one_row())
        return True
    proxy, liar = lied_to(serve)
    with proxy.connect(schema="other") as honest:
        c = wire(proxy, 30)
        assert c.value("select 1") == "1"
        c.send(query("hang"))
        time.sleep(0.2)
        c.reset()
        with wire(proxy, 30) as again:
            assert again.value("select 1") == "1"
        assert one(honest, "select 1") == 1
    calm(proxy)


def test_endless_rows(lied_to):
    """A client that reads may go on as long as it likes; memory is bounded, and when it leaves it is over."""
    done = threading.Event()

    def serve(sock, com, body):
        if b"endless" not in body:
            sock.sendall(one_row())
            return True
        sock.sendall(head())
        rows_ = b"".join(row(b"\xfc\x00\x04" + b"x" * 1024, 4 + i) for i in range(256))
        while not done.is_set():
            sock.sendall(rows_)
    proxy, _ = lied_to(serve)
    with wire(proxy) as c:
        assert c.value("select 1") == "1"
        before = proxy.status("VmRSS")
        c.send(query("endless"))
        c.exactly(20_000_000)
        time.sleep(0.5)
        assert proxy.status("VmRSS") - before < 20_000
        c.reset()
    with wire(proxy, 30) as again:
        assert again.value("select 1") == "1"
    done.set()
    calm(proxy)


def test_an_answer_too_many_is_not_lent_on(lied_to):
    """A server that answers twice is out of step: the next borrower must not get the first one's leftovers."""
    def serve(sock, com, body):
        sock.sendall(one_row(b"first") + one_row(b"leftover") if b"twice" in body else one_row(b"mine"))
    proxy, _ = lied_to(serve)
    with wire(proxy) as a, wire(proxy) as b:
        a.send(query("twice"))
        try:
            a.answer()
        except (MyError, Closed):
            pass
        assert b.value("select 1") == "mine"
        assert b.value("select 1") == "mine"


def test_a_server_that_ends_while_weir_asks_for_itself(lied_to):
    """Behind an error weir asks for the warnings: should that be its end, the client was answered already."""
    def serve(sock, com, body):
        sock.sendall(err(b"first") if b"fails" in body else one_row(b"mine"))
        return b"fails" not in body
    proxy, _ = lied_to(serve)
    with wire(proxy) as c:
        assert c.value("select 1") == "mine"
        for _ in range(3):
            with pytest.raises(MyError, match="first"):
                c.query("fails")
            assert not c.readable(0.3), "an answer that nobody asked for"
            assert c.value("select 1") == "mine"


@pytest.mark.parametrize("losses", [1, 2])
@pytest.mark.parametrize("tx", [False, True])
def test_lost_while_an_execution_waits_for_its_statement(lied_to, losses, tx):
    """Nothing of it was sent: once it goes to another connection, unseen; in a transaction, which ends the session, or
    lost again, it has one answer, an error. What follows has its own."""
    left, executed = [0], []

    def serve(sock, com, body):
        if com == mywire.PREPARE and left[0]:
            left[0] -= 1
            return False
        if com == mywire.PREPARE:
            sock.sendall(packet(b"\0" + struct.pack("<IHHBH", 5, 0, 0, 0, 0), 1))
        elif com == mywire.EXECUTE:
            executed.append(1)
            sock.sendall(ok())
        elif com == mywire.QUERY and body == b"begin":
            sock.sendall(ok(status=3))
        elif com == mywire.QUERY:
            sock.sendall(one_row(b"mine"))
    proxy, liar = lied_to(serve)
    with wire(proxy) as c:
        number, _, _ = c.prepare("do 1")
        assert proxy.admin("RECONNECT")
        assert c.value("select 1") == "mine"
        if tx:
            c.query("begin")
        left[0] = losses
        c.send(c.execution(number), query("select 2"))
        if tx or losses == 2:
            with pytest.raises(MyError) as e:
                c.answer()
            assert e.value.code in (2013, 1158)
        else:
            assert isinstance(c.answer(), mywire.OK)
        if tx:
            with pytest.raises(mywire.Closed):
                c.answer()
            return
        assert c.answer().rows == [[b"mine"]]
        assert not c.readable(0.3), "an answer that nobody asked for"
        assert isinstance(c.execute(number), mywire.OK)
    assert len(executed) == (1 if tx or losses == 2 else 2)
    assert liar.connections == 2 + losses


def test_words_on_an_idle_connection_end_it(lied_to):
    """MySQL says why it hangs up (4031): that is no answer to anybody's statement."""
    sockets = []

    def serve(sock, com, body):
        sockets.append(sock)
        sock.sendall(one_row(b"mine"))
    proxy, liar = lied_to(serve)
    with wire(proxy) as c:
        c.value("select 1")
        sockets[-1].sendall(err(b"The client was disconnected by the server because of inactivity.", 0, 4031))
        time.sleep(0.2)
        assert c.value("select 1") == "mine"
        assert sockets[-1] is not sockets[0]


LOGIN_LIES = {
    "garbage": {"greeting": b"\xff" * 500}, "nothing": {"greeting": b""}, "half": {"greeting": packet(myliar.GREETING)[:40]},
    "16 MB": {"greeting": b"\xff\xff\xff\0" + b"x" * 1000}, "protocol 9": {"greeting": packet(b"\x093.22\0" + bytes(20))},
    "no salt": {"greeting": packet(myliar.GREETING[:40])},
    "an unknown plugin": {"welcome": packet(b"\xfewindows_login\0" + b"x" * 20, 2)},
    "the old plugin": {"welcome": packet(b"\xfe", 2)},
    "refused": {"welcome": packet(b"\xff\x15\x04#28000Access denied", 2)},
    "out of order": {"welcome": ok(9)}, "never": {"welcome": b""},
    "garbage instead of an OK": {"welcome": packet(random.Random(4).randbytes(100), 2)},
}


@pytest.mark.parametrize("what", sorted(LOGIN_LIES))
def test_a_server_that_lies_at_login(start, my, what):
    with MyLiar(**LOGIN_LIES[what]) as liar:
        proxy = start(databases={"shop": f"mysql://app:secret@127.0.0.1:{liar.port}/shop",
                                 "other": f"mysql://{my.host}:{my.port}/other"},
                      query_wait_timeout=3, server_connect_timeout=1)
        with wire(proxy, 30) as c:
            assert c.error(mywire.QUERY, b"select 1") is not None
            assert c.error(mywire.PING) is None, "the session is kept"
        with proxy.connect(schema="other") as honest:
            assert rows(honest, "select 1") == [(1,)]
