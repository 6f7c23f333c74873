# SPDX-License-Identifier: ISC
"""Everything at once: clients that do whatever a client can, leave in the middle of it, and check what they get, while
the configuration is reloaded, connections are ended from outside, and pools are paused. See harness/chaos.py."""

import functools
import socket
import struct
import threading
import time

import pytest

from harness import wire
from harness.chaos import BOUND, VANISHED, Administrator, Chaos, Refused, check
from harness.proxy import Sampler
from harness.wire import FLUSH, SYNC, Closed, PgError, bind, cstr, describe_portal, describe_statement, execute, message, \
    parse, query

pytestmark = pytest.mark.weir_only

# By the administrator's doing, or a cancel's: connections ended, statements stopped, transactions taken back.
EXPLAINED = {"57P01", "57014", "08006", "40001", "25P02", "57P03"}
PINS = {"create temp table mine (a int)": "drop table mine", "listen mine": "unlisten *",
        "select pg_advisory_lock({})": "select pg_advisory_unlock_all()"}


class Session:
    def __init__(self, conn, tokens):
        self.conn, self.tokens = conn, tokens
        self.prepared, self.settings, self.unpin = {}, {}, None

    def leave(self, rand):
        if rand.random() < 0.6:
            self.conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.conn.sock.close()

    def finish(self, rand):
        if rand.random() < 0.5:
            self.conn.terminate()
        else:
            self.conn.close()

    def judge(self, msgs):
        """The answers; an error that is explained ends what the client was at, any other is wrong."""
        code = wire.error_code(msgs)
        check(code is None or code in EXPLAINED, f"{code}: {[m for m in msgs if m.type == 'E']}")
        if code:
            raise Refused(code)
        return msgs

    def ask(self, sql):
        return self.judge(self.conn.simple(sql))

    def rows(self, sql):
        return [m.row for m in self.ask(sql) if m.type == "D"]


def simple(s, rand):
    token = s.tokens.new()
    check(s.rows(f"select '{token}'") == [[token]], "another's answer")


def transaction(s, rand):
    token = s.tokens.new()
    s.ask("begin")
    s.ask(f"insert into chaos values ('{token}')")
    end = rand.choice(["commit", "commit", "rollback", None])
    if end is None:
        return VANISHED
    tags = wire.tags(s.ask(end))
    check(tags == [end.upper()], f"{end} was answered with {tags}")
    if end == "commit":
        s.tokens.commit(token)


def prepared(s, rand):
    name = rand.choice(["one", "two"])
    if name not in s.prepared:
        s.judge(s.conn.ask(parse(name, f"select $1::text || '/{name}{rand.randrange(5)}'"), SYNC))
        s.prepared[name] = True
    token = s.tokens.new()
    msgs = s.judge(s.conn.ask(bind("", name, [token]), describe_portal(""), execute(), SYNC))
    rows = [m.row for m in msgs if m.type == "D"]
    check(len(rows) == 1 and rows[0][0].startswith(f"{token}/{name}"), f"{rows} for {token}/{name}")


def unnamed_across_sync(s, rand):
    token = s.tokens.new()
    s.judge(s.conn.ask(parse("", f"select '{token}', $1::int"), SYNC))
    msgs = s.judge(s.conn.ask(bind("", "", ["7"]), execute(), SYNC))
    check([m.row for m in msgs if m.type == "D"] == [[token, "7"]], "another's statement")


def pipeline(s, rand):
    tokens, bad = [s.tokens.new() for _ in range(5)], rand.randrange(8)
    parts = [p for i, t in enumerate(tokens)
             for p in (parse("", "select 1/0" if i == bad else f"select '{t}'"), bind("", ""), execute(), SYNC)]
    msgs = s.conn.ask(*parts, ready=5)
    errors = [m for m in msgs if m.type == "E" and wire.error_code([m]) != "22012"]
    s.judge(errors)
    check([m.row[0] for m in msgs if m.type == "D"] == [t for i, t in enumerate(tokens) if i != bad], "out of step")


def setting(s, rand):
    name, value = rand.choice(["my.own", "application_name"]), s.tokens.new()
    s.ask(f"set {name} = '{value}'")
    s.settings[name] = value


def look(s, rand):
    """Nobody else's settings, locks, tables or channels."""
    own, name, locks, tables, channels = s.rows(
        "select coalesce(nullif(current_setting('my.own', true), ''), '-'), current_setting('application_name'),"
        " (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()),"
        " (select count(*) from pg_class where relnamespace = pg_my_temp_schema()),"
        " (select count(*) from pg_listening_channels())")[0]
    check((own, name) == (s.settings.get("my.own", "-"), s.settings.get("application_name", "")), "another's settings")
    check(s.unpin or (locks, tables, channels) == ("0", "0", "0"), "another's locks, tables or channels")


def pin(s, rand):
    if s.unpin:
        s.ask(s.unpin)
        s.unpin = None
    elif rand.random() < 0.3:
        sql, unpin = rand.choice(list(PINS.items()))
        s.ask(sql.format(rand.getrandbits(30)))
        s.unpin = unpin
        return VANISHED if rand.random() < 0.4 else None


def cancel(proxy, s, rand):
    def send():
        time.sleep(delay)
        with socket.create_connection((proxy.host, proxy.port), 10) as sock:
            sock.sendall(struct.pack("!III", 12 + len(s.conn.key), 80877102, s.conn.pid) + s.conn.key)
            sock.settimeout(10)
            sock.recv(1)
    delay = rand.random() * 0.2
    sender = threading.Thread(target=send)
    sender.start()
    msgs = s.conn.simple("select pg_sleep(0.1)")
    sender.join()
    s.judge(msgs)


def copy_in(s, rand):
    token, end = s.tokens.new(), rand.choice(["done", "failed", None])
    s.conn.send(query("copy chaos from stdin"))
    msgs = s.conn.until("GZ")
    s.judge(msgs)
    s.conn.send(message("d", f"{token}\n".encode()))
    if end is None:
        return VANISHED
    msgs = s.conn.ask(message("c", b"") if end == "done" else message("f", cstr("no")))
    if end == "failed":
        check(wire.error_code(msgs) in EXPLAINED, "a COPY that failed")
    else:
        s.judge(msgs)
        s.tokens.commit(token)


def large(s, rand):
    s.conn.send(query("select repeat('x', 1000) from generate_series(1, 2000)"))
    how = rand.random()
    if how < 0.3:
        s.conn.read_bytes(50)
        return VANISHED
    if how < 0.5:
        time.sleep(0.2)
    check(sum(m.type == "D" for m in s.judge(s.conn.until("Z"))) == 2000, "rows are missing")


def half_a_message(s, rand):
    data = query("select 'half'")
    s.conn.send(data[:rand.randrange(1, len(data))])
    return VANISHED


def no_sync(s, rand):
    s.conn.send(parse("", "select pg_sleep(0.1)"), bind("", ""), execute())
    return VANISHED


def flush_first(s, rand):
    s.conn.send(parse("", "select 1"), describe_statement(""), FLUSH)
    s.judge(s.conn.until("TE"))
    if rand.random() < 0.4:
        return VANISHED
    s.judge(s.conn.ask(bind("", ""), execute(), SYNC))


class Engine(Administrator):
    BROKEN = (Closed, OSError)

    def __init__(self, proxy, pg):
        super().__init__(proxy)
        self.pg = pg
        often = [simple, simple, simple, transaction, transaction, prepared, prepared, setting, look, look]
        self.ACTIONS = often * 2 + [unnamed_across_sync, pipeline, pin, copy_in, large, half_a_message, no_sync, flush_first,
                                    functools.update_wrapper(functools.partial(cancel, proxy), cancel)]
        self.INTERFERENCE = [self.reload, self.reconnect, self.kill_client, self.end_backend, self.pause, self.show]

    def connect(self, rand):
        try:
            return Session(self.proxy.client(rand.choice(["app", "app", "app2"]), timeout=60), self.tokens)
        except PgError as err:
            check(err.code in EXPLAINED, f"login: {err}")
            return None

    # --- the administrator ---------------------------------------------------------------------------

    def end_backend(self, rand):
        with self.pg.superuser() as s:
            s.rows("select pg_terminate_backend(pid) from pg_stat_activity where usename like 'app%' order by random() limit 1")

    def show(self, rand):
        for what in ("POOLS", "SERVERS", "PINS", "STATEMENTS", "FUNCTIONS"):
            self.proxy.show(what)


def test_chaos(start, pg):
    with pg.superuser() as s:
        s.rows("create table if not exists chaos (token text primary key)")
        s.rows("grant all on chaos to public")
    proxy = start(max_server_connections=BOUND, workers=2, query_wait_timeout=60, idle_transaction_timeout=30, client_spool=16384)
    engine = Engine(proxy, pg)
    with Sampler(pg, "usename like 'app%'") as seen:
        Chaos(engine, 16, 8, seed=1).play()
    assert seen.samples and seen.highest <= BOUND
    engine.calm(lambda: pg.count("usename like 'app%'"))
    with pg.superuser() as s:
        assert not s.rows("select state, query from pg_stat_activity where usename like 'app%' and state <> 'idle'")
        kept = {row[0] for row in s.rows("select token from chaos")}
        s.rows("drop table chaos")
    assert engine.tokens.committed <= kept
