# SPDX-License-Identifier: ISC
"""A scripted MySQL server, for what a real one never does.

Each connection is let in whatever its password, has weir's own questions answered in truth, and is then handed to a
function that may answer anything at all.
"""

import socket
import struct
import threading

from .mywire import PING, QUERY, QUIT, SET_OPTION, packet

CAPS = 0x1 | 0x4 | 0x8 | 0x80 | 0x200 | 0x2000 | 0x8000 | 0x10000 | 0x20000 | 0x40000 | 0x80000 | 0x800000
GREETING = (b"\x0a5.5.5-10.11.0-liar\0" + struct.pack("<I", 77) + b"12345678\0" + struct.pack("<H", CAPS & 0xffff)
            + b"\x2d" + struct.pack("<HH", 2, CAPS >> 16) + b"\x15" + bytes(10) + b"123456789012\0mysql_native_password\0")


def lenenc(data):
    return bytes([len(data)]) + data if len(data) < 251 else b"\xfc" + struct.pack("<H", len(data)) + data


def ok(seq=1, status=2):
    return packet(b"\0\0\0" + struct.pack("<HH", status, 0), seq)


def err(text=b"no", seq=1, code=1064):
    return packet(b"\xff" + struct.pack("<H", code) + b"#42000" + text, seq)


def eof(seq, status=2):
    return packet(b"\xfe\0\0" + struct.pack("<H", status), seq)


def column(name, seq):
    return packet(lenenc(b"def") + b"\0\0\0" + lenenc(name) + b"\0\x0c\x2d\0" + struct.pack("<IBHB", 256, 0xfd, 0, 0) + b"\0\0",
                  seq)


def result(rows, columns=(b"x",), status=2):
    out = [packet(bytes([len(columns)]), 1)]
    out += [column(name, 2 + i) for i, name in enumerate(columns)]
    seq = 2 + len(columns)
    out.append(eof(seq, status))
    for row in rows:
        seq += 1
        out.append(packet(b"".join(lenenc(v) for v in row), seq))
    return b"".join(out + [eof(seq + 1, status)])


def one_row(value=b"1"):
    return result([[value]])


class MyLiar:
    """serve(sock, command, body) is called for each of a client's commands; returning False closes."""

    host = "127.0.0.1"

    def __init__(self, serve=None, greeting=packet(GREETING), welcome=ok(2)):
        self.serve = serve or (lambda sock, com, body: sock.sendall(one_row()))
        self.greeting, self.welcome = greeting, welcome
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = self.listener.getsockname()[1]
        self.connections = 0
        self.sockets = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.sockets.append(sock)
            threading.Thread(target=self._talk, args=(sock,), daemon=True).start()

    @staticmethod
    def exactly(sock, count):
        out = b""
        while len(out) < count:
            data = sock.recv(count - len(out))
            if not data:
                raise ConnectionError
            out += data
        return out

    def one(self, sock):
        head = self.exactly(sock, 4)
        return self.exactly(sock, int.from_bytes(head[:3], "little"))

    def _talk(self, sock):
        try:
            sock.sendall(self.greeting)
            self.one(sock)
            self.connections += 1
            sock.sendall(self.welcome)
            while True:
                data = self.one(sock)
                if data[0] == QUIT or self._answer(sock, data[0], data[1:]) is False:
                    break
        except (OSError, IndexError):
            pass
        finally:
            sock.close()

    def _answer(self, sock, com, body):
        if com == SET_OPTION:
            sock.sendall(eof(1))
        elif com == PING or (com == QUERY and body[:4].upper() in (b"SET ", b"ROLL")):
            sock.sendall(ok())
        elif com == QUERY and b"max_connections" in body:
            sock.sendall(result([[b"100", b"0"]], (b"a", b"b")))
        elif com == QUERY and b"variable_name" in body.lower():
            sock.sendall(result([], (b"name", b"value")))
        elif com == QUERY and body == b"SHOW WARNINGS":
            sock.sendall(result([], (b"Level", b"Code", b"Message")))
        else:
            return self.serve(sock, com, body)
        return True

    def close(self):
        self.listener.close()
        for sock in self.sockets:
            sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
