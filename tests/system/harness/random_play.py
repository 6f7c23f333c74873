# SPDX-License-Identifier: ISC
"""Plays what random_sessions.py made: directly, then through a proxy with two server connections, and
says where the two differ.

Each step is answered before the next one begins, so the order in which the server is asked is the same
both times. A step of a client that would have to wait, because two others may keep their connections, is
left out: decided while playing directly, and kept to afterwards.
"""

from . import wire
from .random_sessions import Maker
from .transcript import split, transcribe

ANSWERS = "123CIsTn"  # of the extended protocol: one for each message, unless it fails
GONE = (wire.Closed, BrokenPipeError, ConnectionResetError)


class Player:
    def __init__(self, connect, clients):
        self.connect = connect
        self.conns = [self.fresh({}) for _ in range(clients)]
        self.kept = [False] * clients

    def fresh(self, login):
        conn = self.connect(**login)
        conn.unsynced = conn.skipping = False
        return conn

    def holds(self, client):
        conn = self.conns[client]
        return self.kept[client] or conn.unsynced or conn.status != "I"

    def play(self, step):
        client, kind, data, marks = step
        self.kept[client] |= "pins" in marks
        conn = self.conns[client]
        try:
            return tidy(getattr(self, kind)(client, conn, data))
        except GONE:
            said = [m for m in conn.log[conn.mark:] if m.type != "A"]
            self.replace(client, {})
            return tidy(said) + ["closed"]
        except TimeoutError:
            return tidy(conn.log[conn.mark:]) + ["!! no answer"]

    def replace(self, client, login):
        self.conns[client].close()
        self.conns[client] = self.fresh(login)
        self.kept[client] = False

    def send(self, conn, data):
        """A client that is being ignored until its Sync sends that first."""
        conn.mark = len(conn.log)
        before = [wire.SYNC] if conn.skipping else []
        conn.send(*before, *data)
        conn.skipping = False
        return len(before)

    def ask(self, _client, conn, data):
        before = self.send(conn, data)
        conn.unsynced = False
        return conn.until("Z", before + sum(m[:1] in (b"Q", b"S", b"F") for part in data for m in split(part)))

    def fatal(self, _client, conn, data):
        out = []
        if conn.skipping:  # weir's last word may come before what is still owed
            out = self.ask(_client, conn, [])
        self.send(conn, data)
        conn.unsynced = False
        return out + conn.until("Z")

    def flush(self, _client, conn, data):
        out, owed = [], len(data) - 1
        conn.mark = len(conn.log)
        conn.send(*data)
        conn.unsynced = True
        while owed and not conn.skipping:
            msg = conn.recv()
            out.append(msg)
            owed -= msg.type in ANSWERS
            conn.skipping |= msg.type == "E"
        return out

    def copy(self, _client, conn, data):
        before = self.send(conn, data["begin"])
        simple = data["begin"][0][:1] == b"Q"
        conn.unsynced = False
        out = conn.until("Z", before) if before else []
        out += conn.until("GZ" if simple else "GE")
        conn.send(*data["rest"])
        if out[-1].type != "Z":
            out += conn.until("Z")
        return out

    def again(self, client, conn, data):
        conn.mark = len(conn.log)
        {"X": conn.terminate, "close": conn.close, "reset": conn.reset}[data["end"]]()
        self.replace(client, data["login"])
        conn = self.conns[client]
        conn.mark = len(conn.log)
        out = conn.simple("select 1")
        # what the server reports is known at the latest now
        return [m for m in out if m.type != "S"] + [wire.Msg("S", f"{k}\0{v}\0".encode())
                                                    for k, v in sorted(conn.parameters.items())]

    def end(self):
        for conn in self.conns:
            conn.terminate()


def tidy(msgs):
    """What others notify comes in its own time. In a failed transaction weir can't prepare anew what a Bind is
    for, so that the server doesn't get as far as counting the parameters."""
    lines = transcribe([m for m in msgs if not (m.type == "A" and b"other" in m.body)])
    return ["E C=25P02 or 08P01" if line.startswith(("E C=25P02", "E C=08P01 M=bind message supplies")) else line
            for line in lines]


def reset(pg):
    """The tables as they were."""
    with pg.superuser() as s:
        s.rows("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app' and state <> 'idle'")
        for i in range(3):
            s.rows(f"drop table if exists r{i}, alpha.r{i}, beta.r{i}; drop sequence if exists sq{i}; create sequence sq{i};"
                   f" grant all on sequence sq{i} to public")


def directly(pg, steps, clients):
    """-> for each step its transcript, or None where it was left out."""
    reset(pg)
    player = Player(lambda **login: pg.direct("app", "shop", **login), clients)
    try:
        out = []
        for step in steps:
            waits = not player.holds(step[0]) and sum(player.holds(c) for c in range(clients) if c != step[0]) >= 2
            out.append(None if waits else player.play(step))
        return out
    finally:
        player.end()


def through(pg, proxy, steps, want, clients):
    """None, or the number of the first step that was answered differently, and how."""
    reset(pg)
    player = Player(lambda **login: proxy.client("app", "shop", **login), clients)
    try:
        for n, step in enumerate(steps):
            if want[n] is not None:
                got = player.play(step)
                if got != want[n]:
                    return n, got
    finally:
        player.end()
    left = left_behind(proxy)
    return (len(steps), left) if left else None


LEFT = ("select name, setting from pg_settings where source = 'session' and name !~ '^transaction_'"
        " union all select 'user', current_user || '/' || session_user where (current_user, session_user) <> ('app', 'app')"
        " union all select 'lock', objid::text from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"
        " union all select 'channel', c from pg_listening_channels() c union all select 'cursor', name from pg_cursors"
        " union all select 'object', relname from pg_class where relnamespace = pg_my_temp_schema()"
        " union all select 'statement', name from pg_prepared_statements where from_sql")


def left_behind(proxy):
    """What the next clients find on the two server connections."""
    first, second = proxy.clients(2)
    first.simple("begin")
    second.simple("begin")
    out = first.rows(LEFT) + second.rows(LEFT)
    first.terminate()
    second.terminate()
    return out


def compare(pg, proxy, steps, clients=3):
    """None, or a text that says where the two differ."""
    want = directly(pg, steps, clients)
    found = through(pg, proxy, steps, want, clients)
    if found is None:
        return None
    n, got = found
    del steps[n + 1:]
    if n == len(steps):
        proxy.admin("RECONNECT")
        return f"left behind: {got}"
    return "\n".join([show(n, steps[n]), "  directly:"] + [f"    {line[:300]}" for line in want[n]] + ["  through:"]
                     + [f"    {line[:300]}" for line in got])


def show(n, step):
    client, kind, data, _ = step
    parts = data["begin"] + data["rest"] if kind == "copy" else data if kind != "again" else []
    shown = [m[:1] + m[5:200] for part in parts for m in split(part)]
    return f"step {n}: client {client} {kind} {shown or data}"


def shrink(pg, proxy, steps, clients=3, tries=120):
    """The steps without those that a difference doesn't need."""
    size = max(1, len(steps) // 2)
    while size and tries:
        at = len(steps) - size
        while at > -size and tries:
            fewer = steps[:max(at, 0)] + steps[at + size:]
            tries -= 1
            if fewer and len(fewer) < len(steps) and compare(pg, proxy, fewer, clients):
                steps = fewer
            at -= size
        size //= 2
    return steps


def run_seed(pg, proxy, seed, count=60, **how):
    """None, or the shortest story of a difference."""
    steps = Maker(seed, **how).steps(count)
    found = compare(pg, proxy, steps)
    if found is None:
        return None
    steps = shrink(pg, proxy, steps)
    story = [show(n, s) for n, s in enumerate(steps)]
    return f"seed {seed}\n" + "\n".join(story) + "\n\n" + (compare(pg, proxy, steps) or f"only at times; once:\n{found}")
