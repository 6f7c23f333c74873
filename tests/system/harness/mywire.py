# SPDX-License-Identifier: ISC
"""MySQL's protocol by the byte: packets that no driver would send, and answers as they are on the wire.

PyMySQL logs in; from then on its socket is ours. Answers are in the dialect with EOF packets.
"""

import select
import socket
import struct

QUIT, INIT_DB, QUERY, FIELD_LIST, STATISTICS, PROCESS_INFO, PROCESS_KILL, DEBUG, PING = 1, 2, 3, 4, 9, 10, 12, 13, 14
CHANGE_USER, BINLOG_DUMP, TABLE_DUMP, REGISTER_SLAVE = 17, 18, 19, 21
PREPARE, EXECUTE, LONG_DATA, CLOSE, RESET, SET_OPTION, FETCH = 22, 23, 24, 25, 26, 27, 28
RESET_CONNECTION = 31
FULL = 0xffffff
LONG, STRING = 3, 253


class Closed(Exception):
    """The peer closed the connection."""


class MyError(Exception):
    def __init__(self, packet):
        super().__init__(packet[9:].decode(errors="replace"))
        self.code, self.state = struct.unpack_from("<H", packet, 1)[0], packet[4:9].decode(errors="replace")


def packet(payload, seq=0):
    return struct.pack("<I", len(payload))[:3] + bytes([seq & 0xff]) + payload


def packets(payload, seq=0):
    """As many as a payload takes: one of the full length is followed by another, be it empty."""
    out = []
    while True:
        out.append(packet(payload[:FULL], seq))
        seq += 1
        if len(payload) < FULL:
            return b"".join(out)
        payload = payload[FULL:]


def command(com, payload=b""):
    return packets(bytes([com]) + payload)


def query(sql):
    return command(QUERY, sql.encode() if isinstance(sql, str) else sql)


def lenenc(data, at):
    """(number, next); None for NULL."""
    first = data[at]
    if first < 0xfb:
        return first, at + 1
    if first == 0xfb:
        return None, at + 1
    size = {0xfc: 2, 0xfd: 3, 0xfe: 8}[first]
    return int.from_bytes(data[at + 1:at + 1 + size], "little"), at + 1 + size


def text_row(data):
    out, at = [], 0
    while at < len(data):
        n, at = lenenc(data, at)
        out.append(None if n is None else data[at:at + n])
        at += n or 0
    return out


class OK:
    def __init__(self, data):
        self.affected, at = lenenc(data, 1)
        self.insert_id, at = lenenc(data, at)
        self.status, self.warnings = struct.unpack_from("<HH", data, at)
        self.rest = data[at + 4:]


class EOF:
    def __init__(self, data):
        self.warnings, self.status = struct.unpack_from("<HH", data, 1)


class Result:
    def __init__(self, columns, rows, end):
        self.columns, self.rows, self.end = columns, rows, end


class Wire:
    """The socket of a PyMySQL connection that has logged in."""

    def __init__(self, conn, timeout=15):
        self.conn, self.sock, self.data = conn, conn._sock, b""
        self.sock.settimeout(timeout)
        self.id = conn.thread_id()
        self.seq = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- ends ------------------------------------------------------------------------------------

    def close(self):
        """FIN, without COM_QUIT."""
        self.conn._rfile.close()
        self.sock.close()

    def reset(self):
        """RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def quit(self):
        self.send(command(QUIT))
        self.close()

    # --- bytes -----------------------------------------------------------------------------------

    def send(self, *parts):
        self.sock.sendall(b"".join(parts))

    def readable(self, timeout=0.0):
        return bool(self.data) or bool(select.select([self.sock], [], [], timeout)[0])

    def exactly(self, n):
        parts, have = [self.data], len(self.data)
        while have < n:
            part = self.sock.recv(min(1 << 20, max(n - have, 65536)))
            if not part:
                raise Closed()
            parts.append(part)
            have += len(part)
        data = b"".join(parts)
        self.data = data[n:]
        return data[:n]

    def one(self):
        """The next packet's payload; its number is in self.seq."""
        head = self.exactly(4)
        self.seq = head[3]
        return self.exactly(int.from_bytes(head[:3], "little"))

    def payload(self):
        """A payload however many packets it takes."""
        parts = []
        while True:
            parts.append(self.one())
            if len(parts[-1]) < FULL:
                return b"".join(parts)

    def until_closed(self):
        data = self.data
        self.data = b""
        try:
            while True:
                part = self.sock.recv(65536)
                if not part:
                    return data
                data += part
        except ConnectionError:
            return data

    # --- answers ---------------------------------------------------------------------------------

    def answer(self, binary=False):
        """OK, EOF, or a Result; an ERR is raised."""
        first = self.payload()
        if first[:1] == b"\xff":
            raise MyError(first)
        if first[:1] == b"\x00":
            return OK(first)
        if first[:1] == b"\xfe" and len(first) < 9:
            return EOF(first)
        if first[:1] == b"\xfb":
            return first
        columns = [self.payload() for _ in range(lenenc(first, 0)[0])]
        end = self.payload()
        if end[:1] == b"\xff":
            raise MyError(end)
        eof = EOF(end)
        if eof.status & 0x40:  # a cursor: rows come by FETCH
            return Result(columns, [], eof)
        return self.rows(columns, binary)

    def rows(self, columns=(), binary=False):
        got = []
        while True:
            data = self.payload()
            if data[:1] == b"\xff":
                raise MyError(data)
            if data[:1] == b"\xfe" and len(data) < 9:
                return Result(columns, got, EOF(data))
            got.append(data if binary else text_row(data))

    def ask(self, com, payload=b""):
        self.send(command(com, payload))
        return self.answer()

    def query(self, sql):
        return self.ask(QUERY, sql.encode() if isinstance(sql, str) else sql)

    def value(self, sql):
        return self.query(sql).rows[0][0].decode()

    def error(self, com, payload=b""):
        """The number of the error that this is answered with; None: there was none."""
        try:
            self.ask(com, payload)
        except MyError as err:
            return err.code
        return None

    # --- prepared statements ---------------------------------------------------------------------

    def prepare(self, sql):
        """(number, columns, parameters)"""
        self.send(command(PREPARE, sql.encode()))
        first = self.payload()
        if first[:1] == b"\xff":
            raise MyError(first)
        number, columns, params = struct.unpack_from("<IHH", first, 1)
        for n in (params, columns):
            if n:
                for _ in range(n + 1):
                    self.payload()
        return number, columns, params

    @staticmethod
    def execution(number, values=(), cursor=0, types=True, long=()):
        """An EXECUTE; values are integers or strings; those whose index is in `long` were sent before."""
        body = struct.pack("<IBI", number, cursor, 1)
        if values:
            body += bytes((len(values) + 7) // 8) + bytes([1 if types else 0])
            if types:
                body += b"".join(struct.pack("<H", LONG if isinstance(v, int) else STRING) for v in values)
            for i, v in enumerate(values):
                if i in long:
                    continue
                if isinstance(v, int):
                    body += struct.pack("<i", v)
                else:
                    v = v.encode()
                    body += (bytes([len(v)]) if len(v) < 251 else b"\xfd" + struct.pack("<I", len(v))[:3]) + v
        return command(EXECUTE, body)

    def execute(self, number, values=(), **more):
        self.send(self.execution(number, values, **more))
        return self.answer(binary=True)

    def fetch(self, number, count):
        self.send(command(FETCH, struct.pack("<II", number, count)))
        return self.rows(binary=True)
