# SPDX-License-Identifier: ISC
"""Everything at once on MySQL: what test_chaos.py is on PostgreSQL."""

import threading
import time

import pymysql

from harness import mywire
from harness.chaos import BOUND, VANISHED, Administrator, Chaos, Refused, check
from harness.myproxy import MySampler
from harness.mywire import Closed, MyError, Wire, command, query
from harness.proxy import wait_until

# By the administrator's doing, or a KILL's: connections ended, statements stopped, transactions taken back.
EXPLAINED = {1213, 1317, 1927, 2013, 1158, 1053}
PINS = {"set @mine = 5": "set @mine = null", "create temporary table mine (a int)": "drop temporary table mine",
        "do get_lock('{}', 1)": "do release_lock('{}')", "lock tables items read": "unlock tables"}
VALUES = {"sql_mode": ["ANSI_QUOTES", "PIPES_AS_CONCAT"], "time_zone": ["+01:00", "+02:00"], "group_concat_max_len": ["1111", "2222"]}


class Session:
    def __init__(self, conn, user, tokens):
        self.conn, self.user, self.tokens = conn, user, tokens
        self.prepared, self.settings, self.unpin = {}, {}, None

    def leave(self, rand):
        if rand.random() < 0.6:
            self.conn.reset()
        else:
            self.conn.close()

    def finish(self, rand):
        if rand.random() < 0.5:
            self.conn.quit()
        else:
            self.conn.close()

    def judge(self, answer, *args, **kw):
        """An error that is explained ends what the client was at, any other is wrong."""
        try:
            return answer(*args, **kw)
        except MyError as err:
            check(err.code in EXPLAINED, f"{err.code}: {err}")
            raise Refused from err

    def ask(self, sql):
        return self.judge(self.conn.query, sql)

    def row(self, sql):
        return [v if v is None else v.decode() for v in self.ask(sql).rows[0]]


def simple(s, rand):
    token = s.tokens.new()
    check(s.row(f"select '{token}'") == [token], "another's answer")


def transaction(s, rand):
    token, implicit = s.tokens.new(), rand.random() < 0.3
    s.ask("set autocommit = 0" if implicit else "begin")
    s.ask(f"insert into chaos values ('{token}')")
    end = rand.choice(["commit", "commit", "rollback", None])
    if end is None:
        return VANISHED
    s.ask(end)
    if end == "commit":
        s.tokens.commit(token)
    if implicit:
        s.ask("set autocommit = 1")


def prepared(s, rand):
    name = rand.choice(["one", "two"])
    if name not in s.prepared:
        tail = f"/{name}{rand.randrange(5)}"
        s.prepared[name] = s.judge(s.conn.prepare, f"select concat(?, '{tail}')")[0], tail
    number, tail = s.prepared[name]
    token = s.tokens.new()
    row = s.judge(s.conn.execute, number, [token]).rows[0]
    check(row[3:].decode() == token + tail, f"{row} for {token + tail}")
    if rand.random() < 0.2:
        s.conn.send(command(mywire.CLOSE, number.to_bytes(4, "little")))
        del s.prepared[name]


def pipeline(s, rand):
    tokens = [s.tokens.new() for _ in range(4)]
    s.conn.send(*[query(f"select '{t}'") for t in tokens])
    for token in tokens:
        check(s.judge(s.conn.answer).rows == [[token.encode()]], "out of step")


def setting(s, rand):
    name = rand.choice(list(VALUES))
    value = rand.choice(VALUES[name])
    s.ask(f"set {name} = '{value}'" if not value.isdigit() else f"set {name} = {value}")
    s.settings[name] = value


def look(s, rand):
    """Nobody else's settings or variables."""
    for name, value in s.settings.items():
        check(s.row(f"select @@{name}") == [value], "another's " + name)
    check(s.unpin or s.row("select @mine") == [None], "another's variable")


def pin(s, rand):
    if s.unpin:
        s.ask(s.unpin)
        s.unpin = None
    elif rand.random() < 0.3:
        sql, lock = rand.choice(list(PINS)), rand.getrandbits(30)
        s.ask(sql.format(lock))
        s.unpin = PINS[sql].format(lock)
        if rand.random() < 0.4:
            return VANISHED
        if "tables" in sql:  # nothing else could be read
            s.ask(s.unpin)
            s.unpin = None


def insert_id(s, rand):
    token = s.tokens.new()
    number = s.ask(f"insert into scratch (who) values ('{token}')").insert_id
    check(s.row("select last_insert_id()") == [str(number)], "another's insert id")
    check(s.row(f"select who from scratch where id = {number}") == [token], "another's row")


def warnings(s, rand):
    told = s.ask("select 1/0, cast('x' as signed)").end.warnings
    check(len(s.ask("show warnings").rows) in (told, 0), "another's warnings")  # 0: who had them was killed


def results(s, rand):
    rows = s.ask("call two_results(5)").rows, s.judge(s.conn.answer).rows
    check(rows == ([[b"5"]], [[b"6", b"7"]]), f"{rows}")
    s.judge(s.conn.answer)


def large(s, rand):
    s.conn.send(query("select repeat('x', 1000) from items a, items b limit 2000"))
    how = rand.random()
    if how < 0.3:
        s.conn.exactly(50)
        return VANISHED
    if how < 0.5:
        time.sleep(0.2)
    check(len(s.judge(s.conn.answer).rows) == 2000, "rows are missing")


def half_a_packet(s, rand):
    data = query("select 'half'")
    s.conn.send(data[:rand.randrange(1, len(data))])
    return VANISHED


def leave_it_running(s, rand):
    s.conn.send(query("select sleep(0.2)"))
    return VANISHED


def fails(s, rand):
    try:
        s.conn.query("select nothing from nowhere")
    except MyError as err:
        check(err.code in EXPLAINED | {1146}, f"{err.code}: {err}")


def reset(s, rand):
    s.judge(s.conn.ask, mywire.RESET_CONNECTION)
    s.prepared, s.settings, s.unpin = {}, {}, None


class Engine(Administrator):
    BROKEN = (Closed, OSError)

    def __init__(self, proxy, my):
        super().__init__(proxy)
        self.my = my
        often = [simple, simple, simple, transaction, transaction, prepared, prepared, setting, look, look]
        self.ACTIONS = often * 2 + [pipeline, pin, insert_id, insert_id, warnings, results, large, half_a_packet, leave_it_running,
                                    fails, reset, self.kill_query]
        self.INTERFERENCE = [self.reload, self.reconnect, self.kill_client, self.end_connection, self.pause, self.show]

    def connect(self, rand):
        user = rand.choice(["app", "app", "app2"])
        try:
            return Session(Wire(self.proxy.connect(user, autocommit=True), 60), user, self.tokens)
        except pymysql.Error as err:
            check(err.args[0] in EXPLAINED, f"login: {err}")
            return None

    def kill_query(self, s, rand):
        def send():
            time.sleep(delay)
            with self.proxy.connect(s.user) as other, other.cursor() as c:
                try:
                    c.execute(f"kill query {s.conn.id}")
                except pymysql.Error as err:
                    errors.append(err.args[0])
        delay, errors = rand.random() * 0.2, []
        sender = threading.Thread(target=send)
        sender.start()
        try:
            s.conn.query("select sleep(0.1)")
        except MyError as err:
            check(err.code in EXPLAINED, f"{err.code}: {err}")
        sender.join()
        check(set(errors) <= EXPLAINED | {1094}, f"KILL: {errors}")

    # --- the administrator ---------------------------------------------------------------------------

    def end_connection(self, rand):
        try:
            self.my.rows("kill %s", rand.choice(self.my.rows("select id from information_schema.processlist"
                                                             " where user like 'app%'"))[0])
        except (IndexError, pymysql.Error):  # there is none, or not any more
            pass

    def show(self, rand):
        for what in ("POOLS", "SERVERS", "PINS", "STATEMENTS", "FUNCTIONS"):
            self.proxy.my_show(what)


def test_chaos(start, own_my):
    my = own_my()
    my.rows("create table chaos (token varchar(60) primary key)")
    proxy = start(my, max_server_connections=BOUND, workers=2, query_wait_timeout=60, client_spool=16384)
    engine = Engine(proxy, my)
    with MySampler(my, "user like 'app%'") as seen:
        Chaos(engine, 16, 8, seed=1).play()
    # One that is killed hangs up before the server has done with it.
    assert seen.samples and seen.highest <= BOUND + 1
    engine.calm(lambda: my.count("user like 'app%'"))
    # MariaDB doesn't wake a thread that is killed in the moment it begins to wait for its next command: it stays "Killed"
    # on a connection that is whole on both sides, until something comes.
    engine.reconnect(None)
    wait_until(lambda: not my.rows("select id from information_schema.processlist where user like 'app%' and command <> 'Sleep'"),
               20, "rest of all connections")
    assert engine.tokens.committed <= {row[0] for row in my.rows("select token from chaos")}
