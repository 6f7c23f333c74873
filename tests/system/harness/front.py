# SPDX-License-Identifier: ISC
"""A database server of limited hospitality: every second login is refused, in the server's own words, or
nobody is spoken to before it is awake.

It stands in front of a real server and passes bytes; what it refuses never gets there.
"""

import socket
import struct
import threading

from .postgres import free_port

SSL_REQUEST, GSSENC_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102


def pg_refusal():
    fields = b"SFATAL\0VFATAL\0C53300\0Msorry, too many clients already\0\0"
    return b"E" + struct.pack("!I", 4 + len(fields)) + fields


def mysql_refusal():
    body = b"\xff" + struct.pack("<H", 1040) + b"Too many connections"
    return struct.pack("<I", len(body))[:3] + b"\0" + body


class Front:
    """`every`: of so many logins one is refused; 0: none. `open` and `peak`: connections passed to the server.
    `awake`: as long as that isn't set a connection is taken and left alone. `seen`: all that came. `cut`: whoever
    says this to the server is hung up on."""

    def __init__(self, engine, host, port, every=2):
        self.engine, self.to, self.every = engine, (host, port), every
        self.port = free_port()
        self.lock = threading.Lock()
        self.seen = self.refused = self.open = self.peak = 0
        self.awake = threading.Event()
        self.awake.set()
        self.cut = None
        self.door = socket.create_server(("127.0.0.1", self.port), backlog=200)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.door.close()

    def _accept(self):
        while True:
            try:
                conn, _ = self.door.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _startup(self, conn):
        """PostgreSQL's first packet; None when it is a cancel request or nothing."""
        while True:
            head = conn.recv(8, socket.MSG_WAITALL)
            if len(head) < 8:
                return None
            length, code = struct.unpack("!II", head)
            if code in (SSL_REQUEST, GSSENC_REQUEST):
                conn.sendall(b"N")
                continue
            body = conn.recv(length - 8, socket.MSG_WAITALL)
            return None if code == CANCEL_REQUEST else head + body

    def _refuses(self):
        with self.lock:
            self.seen += 1
            refuse = self.every != 0 and self.seen % self.every == 0
            self.refused += refuse
            if not refuse:
                self.open += 1
                self.peak = max(self.peak, self.open)
            return refuse

    def _serve(self, conn):
        with conn:
            first = b""
            if self.engine == "postgres":
                try:
                    first = self._startup(conn)
                except OSError:
                    return
                if first is None:
                    return
            if self._refuses():
                conn.sendall(pg_refusal() if self.engine == "postgres" else mysql_refusal())
                return
            self.awake.wait(120)
            try:
                with socket.create_connection(self.to) as server:
                    server.sendall(first)
                    back = threading.Thread(target=self._pump, args=(server, conn), daemon=True)
                    back.start()
                    self._pump(conn, server)
                    back.join()
            except OSError:
                pass
            finally:
                with self.lock:
                    self.open -= 1

    def _pump(self, source, target):
        try:
            while data := source.recv(65536):
                if self.cut is not None and self.cut in data:
                    raise ConnectionAbortedError
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            for s in (source, target):
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
