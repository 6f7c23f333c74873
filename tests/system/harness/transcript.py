# SPDX-License-Identifier: ISC
"""Runs a script of protocol messages and writes down every message that comes back.

A script is a list of steps. A step is a string (one simple query) or a list of frontend messages that
is sent in one write; it ends with as many ReadyForQuery as it holds Query and Sync messages, or, where
it holds none (Flush), when nothing more comes.

Two transcripts can be compared message by message: what names the process (keys, pids) and the place
in the server's source are left out, and nothing else is.
"""

import struct

from . import wire

S = wire.SYNC
H = wire.FLUSH
Q = wire.query
P = wire.parse
DS = wire.describe_statement
DP = wire.describe_portal
E = wire.execute
CS = wire.close_statement
CP = wire.close_portal


def B(portal="", name="", *params, **more):
    return wire.bind(portal, name, params, **more)


def ext(sql, *params, types=()):
    """Parse, Bind, Describe, Execute and Sync of the unnamed statement."""
    return [P("", sql, types), B("", "", *params), DP(""), E(), S]


def normal(msg):
    if msg.type in "EN":
        return msg.type + " " + " ".join(f"{k}={v}" for k, v in sorted(msg.fields.items()) if k not in "FLR")
    if msg.type == "S":
        return "S {}={}".format(*msg.parameter)
    if msg.type == "T":
        return f"T {msg.columns}"
    if msg.type == "D":
        return f"D {msg.row}"
    if msg.type == "A":
        return f"A {msg.body[4:]}"
    if msg.type == "t":
        (count,) = struct.unpack_from("!H", msg.body)
        return f"t {struct.unpack_from('!%dI' % count, msg.body, 2)}"
    if msg.type == "C":
        return f"C {msg.tag}"
    return f"{msg.type} {msg.body!r}"


def transcribe(msgs):
    """Messages as lines; neighbouring ParameterStatus are put in order, their order says nothing."""
    out, run = [], []
    for msg in msgs:
        line = normal(msg)
        if msg.type == "S":
            run.append(line)
            continue
        out += sorted(run) + [line]
        run = []
    return out + sorted(run)


def step(conn, what):
    if isinstance(what, str):
        what = [Q(what)]
    conn.send(*what)
    ready = sum(m[:1] in (b"Q", b"S", b"F") for part in what for m in split(part))
    msgs = conn.until("Z", ready) if ready else conn.quiet(0.2)
    return transcribe(msgs)


def split(data):
    """The messages in a byte string."""
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from("!I", data, at + 1)
        yield data[at:at + 1 + length]
        at += 1 + length


def play(conn, steps, between=None):
    """The transcript: a list with one list of lines per step."""
    out, synced = [], True
    for n, what in enumerate(steps):
        # a unit without its Sync has the connection, whatever the last ReadyForQuery said
        after = between(n, conn) if between and synced and conn.status == "I" else None
        synced = isinstance(what, str) or what[-1][:1] in (b"Q", b"S")
        try:
            out.append(step(conn, what))
        except (wire.Closed, TimeoutError) as err:
            out.append([f"!! {type(err).__name__}"])
            break
        finally:
            if after:
                after()
    return out


def difference(steps, want, got):
    """Where two transcripts part, for a human; None: nowhere."""
    for n, what in enumerate(steps):
        a = want[n] if n < len(want) else ["!! missing"]
        b = got[n] if n < len(got) else ["!! missing"]
        if a != b:
            shown = what if isinstance(what, str) else [m for part in what for m in split(part)]
            return "\n".join([f"step {n}: {shown}", "  directly:"] + ["    " + l for l in a] + ["  through:"] +
                             ["    " + l for l in b])
    return None
