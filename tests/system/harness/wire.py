# SPDX-License-Identifier: ISC
"""A PostgreSQL client of bytes.

It sends exactly the messages it is told to and hands back exactly the messages that came, so that a
test can speak about the protocol rather than about a driver. It is not a driver: nothing is retried,
guessed or cached.
"""

import base64
import hashlib
import hmac
import os
import select
import socket
import ssl
import struct
import time
from typing import NamedTuple

PROTOCOL_3_0 = 196608
PROTOCOL_3_2 = 196610
SSL_REQUEST = 80877103
GSSENC_REQUEST = 80877104
CANCEL_REQUEST = 80877102

DEFAULT_TIMEOUT_S = 10


class Closed(Exception):
    """The peer closed the connection."""


class Msg(NamedTuple):
    type: str
    body: bytes

    @property
    def fields(self):
        """ErrorResponse and NoticeResponse as a dict of field letters."""
        out = {}
        for part in self.body.split(b"\0"):
            if part:
                out[chr(part[0])] = part[1:].decode(errors="replace")
        return out

    @property
    def tag(self):
        return self.body.rstrip(b"\0").decode()

    @property
    def row(self):
        """DataRow as a list of str or None."""
        (count,) = struct.unpack_from("!H", self.body)
        at, out = 2, []
        for _ in range(count):
            (length,) = struct.unpack_from("!i", self.body, at)
            at += 4
            if length < 0:
                out.append(None)
            else:
                out.append(self.body[at:at + length].decode(errors="backslashreplace"))
                at += length
        return out

    @property
    def columns(self):
        """RowDescription as a list of (name, type oid, type length, type modifier, format)."""
        (count,) = struct.unpack_from("!H", self.body)
        at, out = 2, []
        for _ in range(count):
            end = self.body.index(b"\0", at)
            name = self.body[at:end].decode()
            _table, _col, oid, length, mod, fmt = struct.unpack_from("!IhIhih", self.body, end + 1)
            at = end + 1 + 18
            out.append((name, oid, length, mod, fmt))
        return out

    @property
    def parameter(self):
        name, value = self.body.split(b"\0")[:2]
        return name.decode(), value.decode()


def cstr(text):
    return (text.encode() if isinstance(text, str) else text) + b"\0"


def message(kind, body=b""):
    return kind.encode() + struct.pack("!I", len(body) + 4) + body


# --- frontend messages, one function each -------------------------------------------------------

def query(sql):
    return message("Q", cstr(sql))


def parse(name, sql, types=()):
    return message("P", cstr(name) + cstr(sql) + struct.pack("!H", len(types))
                   + b"".join(struct.pack("!I", t) for t in types))


def bind(portal, name, params=(), formats=(), result_formats=()):
    body = cstr(portal) + cstr(name)
    body += struct.pack("!H", len(formats)) + b"".join(struct.pack("!h", f) for f in formats)
    body += struct.pack("!H", len(params))
    for value in params:
        if value is None:
            body += struct.pack("!i", -1)
        else:
            raw = value if isinstance(value, bytes) else str(value).encode()
            body += struct.pack("!i", len(raw)) + raw
    body += struct.pack("!H", len(result_formats)) + b"".join(struct.pack("!h", f) for f in result_formats)
    return message("B", body)


def describe_statement(name):
    return message("D", b"S" + cstr(name))


def describe_portal(name=""):
    return message("D", b"P" + cstr(name))


def execute(portal="", limit=0):
    return message("E", cstr(portal) + struct.pack("!I", limit))


def close_statement(name):
    return message("C", b"S" + cstr(name))


def close_portal(name):
    return message("C", b"P" + cstr(name))


SYNC = message("S")
FLUSH = message("H")
TERMINATE = message("X")
COPY_DONE = message("c")


def copy_data(data):
    return message("d", data)


def copy_fail(why):
    return message("f", cstr(why))


def startup_packet(params, version=PROTOCOL_3_0):
    body = struct.pack("!I", version)
    for key, value in params.items():
        body += cstr(key) + cstr(value)
    body += b"\0"
    return struct.pack("!I", len(body) + 4) + body


def cancel_packet(pid, key):
    return struct.pack("!III", 12 + len(key), CANCEL_REQUEST, pid) + key


class PgError(Exception):
    """An ErrorResponse where the caller did not ask to see it."""

    def __init__(self, msg):
        self.fields = msg.fields
        self.code = self.fields.get("C")
        super().__init__(f"{self.fields.get('S')} {self.code}: {self.fields.get('M')}")


def scram_keys(password, salt, rounds):
    """The client's and the server's key (RFC 5802)."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, rounds)
    return hmac.digest(salted, b"Client Key", "sha256"), hmac.digest(salted, b"Server Key", "sha256")


def scram_secret(password, rounds):
    """As pg_authid stores it, for as many rounds as one likes."""
    salt = os.urandom(16)
    client_key, server_key = scram_keys(password, salt, rounds)
    salt, stored, server = (base64.b64encode(b).decode() for b in (salt, hashlib.sha256(client_key).digest(), server_key))
    return f"SCRAM-SHA-256${rounds}:{salt}${stored}:{server}"


class Scram:
    """The client's half of SCRAM-SHA-256, with the pieces kept apart so that a test can spoil one."""

    def __init__(self, password, mechanism="SCRAM-SHA-256", cert_hash=b"", gs2="n"):
        self.password = password
        self.mechanism = mechanism
        self.cbind = b"p=tls-server-end-point,," + cert_hash if mechanism.endswith("PLUS") else (gs2 + ",,").encode()
        self.gs2 = b"p=tls-server-end-point,," if mechanism.endswith("PLUS") else (gs2 + ",,").encode()
        self.nonce = base64.b64encode(os.urandom(18)).decode()
        self.first_bare = f"n=,r={self.nonce}"

    def first(self):
        return self.gs2 + self.first_bare.encode()

    def final(self, server_first):
        self.server_first = server_first.decode()
        attrs = dict(p.split("=", 1) for p in self.server_first.split(","))
        assert attrs["r"].startswith(self.nonce)
        client_key, server_key = scram_keys(self.password, base64.b64decode(attrs["s"]), int(attrs["i"]))
        stored = hashlib.sha256(client_key).digest()
        without = "c=" + base64.b64encode(self.cbind).decode() + ",r=" + attrs["r"]
        auth = ",".join([self.first_bare, self.server_first, without]).encode()
        proof = bytes(a ^ b for a, b in zip(client_key, hmac.digest(stored, auth, "sha256")))
        self.expected = base64.b64encode(hmac.digest(server_key, auth, "sha256")).decode()
        return (without + ",p=" + base64.b64encode(proof).decode()).encode()

    def check(self, server_final):
        assert server_final.decode() == "v=" + self.expected, "the server's signature is wrong"


class Conn:
    """One socket. `log` keeps every message received, login included."""

    def __init__(self, host, port, timeout=DEFAULT_TIMEOUT_S, source=None):
        if str(host).startswith("/"):
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(timeout)
            self.sock.connect(f"{host}/.s.PGSQL.{port}")
        else:
            self.sock = socket.create_connection((host, port), timeout, source and (source, 0))
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.timeout = timeout
        self.buffer = bytearray()
        self.log = []
        self.status = None
        self.parameters = {}
        self.pid = None
        self.key = None

    # --- bytes -----------------------------------------------------------------------------------

    def send(self, *parts):
        self.sock.sendall(b"".join(parts))

    def _fill(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no message in time")
        self.sock.settimeout(left)
        try:
            data = self.sock.recv(262144)
        except (ConnectionResetError, BrokenPipeError, ssl.SSLError) as err:
            if isinstance(err, ssl.SSLError) and "timed out" in str(err):
                raise TimeoutError("no message in time") from err
            raise Closed(str(err)) from err
        finally:
            try:
                self.sock.settimeout(self.timeout)
            except OSError:
                pass
        if not data:
            raise Closed("end of stream")
        self.buffer += data

    def read_bytes(self, count, timeout=None):
        deadline = time.monotonic() + (timeout or self.timeout)
        while len(self.buffer) < count:
            self._fill(deadline)
        out = bytes(self.buffer[:count])
        del self.buffer[:count]
        return out

    def recv(self, timeout=None):
        """The next message."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            if len(self.buffer) >= 5:
                (length,) = struct.unpack_from("!I", self.buffer, 1)
                if len(self.buffer) >= length + 1:
                    msg = Msg(chr(self.buffer[0]), bytes(self.buffer[5:length + 1]))
                    del self.buffer[:length + 1]
                    break
            self._fill(deadline)
        self.log.append(msg)
        if msg.type == "Z":
            self.status = msg.body.decode()
        elif msg.type == "S":
            name, value = msg.parameter
            self.parameters[name] = value
        elif msg.type == "K":
            self.pid, self.key = struct.unpack_from("!I", msg.body)[0], msg.body[4:]
        return msg

    def until(self, kinds="Z", count=1, timeout=None):
        """Messages up to and including the count-th of one of `kinds`."""
        deadline = time.monotonic() + (timeout or self.timeout)
        out = []
        while count:
            msg = self.recv(max(0.001, deadline - time.monotonic()))
            out.append(msg)
            if msg.type in kinds:
                count -= 1
        return out

    def quiet(self, seconds=0.15):
        """Everything that comes until nothing has come for `seconds`."""
        out = []
        while True:
            try:
                out.append(self.recv(seconds))
            except TimeoutError:
                return out

    def until_closed(self, timeout=None):
        """All messages up to the end of the stream."""
        deadline = time.monotonic() + (timeout or self.timeout)
        out = []
        try:
            while True:
                out.append(self.recv(max(0.001, deadline - time.monotonic())))
        except Closed:
            return out

    def readable(self, seconds=0):
        if self.buffer:
            return True
        if isinstance(self.sock, ssl.SSLSocket) and self.sock.pending():
            return True
        return bool(select.select([self.sock], [], [], seconds)[0])

    # --- login -----------------------------------------------------------------------------------

    def start_tls(self, context=None, direct=False, server_hostname=None):
        if not direct:
            self.send(struct.pack("!II", 8, SSL_REQUEST))
            answer = self.read_bytes(1)
            if answer != b"S":
                raise PgError(Msg("E", b"SFATAL\0C00000\0MTLS refused: " + answer + b"\0"))
        context = context or insecure_context()
        self.sock = context.wrap_socket(self.sock, server_hostname=server_hostname)
        return self

    def startup(self, params, version=PROTOCOL_3_0):
        self.send(startup_packet(params, version))
        return self

    def login(self, user, password=None, database=None, version=PROTOCOL_3_0, plus=False, **params):
        """Startup and whatever authentication is asked for, up to ReadyForQuery."""
        settings = {"user": user}
        if database:
            settings["database"] = database
        settings.update(params)
        self.startup(settings, version)
        self.authenticate(user, password, plus=plus)
        return self

    def authenticate(self, user, password, plus=False):
        scram = None
        while True:
            msg = self.recv()
            if msg.type == "E":
                raise PgError(msg)
            if msg.type == "Z":
                return
            if msg.type != "R":
                continue
            (kind,) = struct.unpack_from("!I", msg.body)
            if kind == 3:
                self.send(message("p", cstr(password)))
            elif kind == 5:
                inner = hashlib.md5((password + user).encode()).hexdigest()
                outer = hashlib.md5(inner.encode() + msg.body[4:8]).hexdigest()
                self.send(message("p", cstr("md5" + outer)))
            elif kind == 10:
                mechanisms = msg.body[4:].rstrip(b"\0").split(b"\0")
                name = "SCRAM-SHA-256"
                cert_hash = b""
                if plus:
                    assert b"SCRAM-SHA-256-PLUS" in mechanisms, mechanisms
                    name = "SCRAM-SHA-256-PLUS"
                    cert_hash = hashlib.sha256(self.sock.getpeercert(binary_form=True)).digest()
                scram = Scram(password, name, cert_hash)
                first = scram.first()
                self.send(message("p", cstr(name) + struct.pack("!I", len(first)) + first))
            elif kind == 11:
                self.send(message("p", scram.final(msg.body[4:])))
            elif kind == 12:
                scram.check(msg.body[4:])
            elif kind != 0:
                raise AssertionError(f"authentication request {kind}")

    # --- after login -----------------------------------------------------------------------------

    def ask(self, *parts, ready=1, timeout=None):
        """Send, then read up to `ready` ReadyForQuery messages."""
        self.send(*parts)
        return self.until("Z", ready, timeout)

    def simple(self, sql, timeout=None):
        return self.ask(query(sql), timeout=timeout)

    def rows(self, sql, timeout=None):
        """Rows of a simple query; an ErrorResponse is raised."""
        msgs = self.simple(sql, timeout)
        for msg in msgs:
            if msg.type == "E":
                raise PgError(msg)
        return [m.row for m in msgs if m.type == "D"]

    def value(self, sql, timeout=None):
        return self.rows(sql, timeout)[0][0]

    def dicts(self, sql, timeout=None):
        msgs = self.simple(sql, timeout)
        for msg in msgs:
            if msg.type == "E":
                raise PgError(msg)
        names = [c[0] for m in msgs if m.type == "T" for c in m.columns]
        return [dict(zip(names, m.row)) for m in msgs if m.type == "D"]

    def extended(self, sql, params=(), name="", types=(), timeout=None):
        return self.ask(parse(name, sql, types), bind("", name, params), describe_portal(""), execute(), SYNC,
                        timeout=timeout)

    def backend_pid(self):
        return int(self.value("select pg_backend_pid()"))

    def cancel(self, host, port):
        """A CancelRequest for this connection's key, over a connection of its own."""
        other = Conn(host, port)
        other.send(cancel_packet(self.pid, self.key))
        try:
            other.until_closed(5)
        except TimeoutError:
            pass
        other.close()

    def reset(self):
        """Close with RST rather than FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        try:
            self.sock.close()
        except OSError:
            pass

    def terminate(self):
        try:
            self.send(TERMINATE)
        except OSError:
            pass
        self.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.terminate()


def insecure_context(alpn=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


def kinds(msgs):
    """The message types as one string: easy to compare, easy to read."""
    return "".join(m.type for m in msgs)


def errors(msgs):
    return [m.fields for m in msgs if m.type == "E"]


def error_code(msgs):
    found = errors(msgs)
    return found[0]["C"] if found else None


def rows(msgs):
    return [m.row for m in msgs if m.type == "D"]


def tags(msgs):
    return [m.tag for m in msgs if m.type == "C"]
