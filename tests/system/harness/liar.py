# SPDX-License-Identifier: ISC
"""A scripted PostgreSQL server, for what a real one never does.

Each connection is let in (trust) and then handed to a function that may answer anything at all.
"""

import socket
import struct
import threading

from .wire import cstr, message

READY = message("Z", b"I")
LOGIN = (message("R", struct.pack("!I", 0))
         + b"".join(message("S", cstr(k) + cstr(v)) for k, v in {
             "server_version": "15.0", "server_encoding": "UTF8", "client_encoding": "UTF8", "DateStyle": "ISO, MDY",
             "TimeZone": "UTC", "integer_datetimes": "on", "standard_conforming_strings": "on", "application_name": "",
             "IntervalStyle": "postgres", "is_superuser": "off", "session_authorization": "app", "in_hot_standby": "off",
             "default_transaction_read_only": "off"}.items())
         + message("K", struct.pack("!II", 4711, 4712)) + READY)


def one_row(value="1"):
    raw = value.encode()
    return (message("T", struct.pack("!H", 1) + cstr("x") + struct.pack("!IhIhih", 0, 0, 25, -1, -1, 0))
            + message("D", struct.pack("!HI", 1, len(raw)) + raw) + message("C", cstr("SELECT 1")) + READY)


class Liar:
    """serve(sock, type, body) is called for each message after login; returning False closes."""

    host = "127.0.0.1"

    def __init__(self, serve=None, login=LOGIN):
        self.serve = serve or (lambda sock, kind, body: sock.sendall(one_row()))
        self.login = login
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(100)
        self.port = self.listener.getsockname()[1]
        self.connections = 0
        self.cancels = 0
        self.sockets = []
        self.ended = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            if self.ended:
                sock.close()
                return
            self.sockets.append(sock)
            threading.Thread(target=self._talk, args=(sock,), daemon=True).start()

    @staticmethod
    def _exactly(sock, count):
        out = b""
        while len(out) < count:
            data = sock.recv(count - len(out))
            if not data:
                raise ConnectionError
            out += data
        return out

    def _talk(self, sock):
        try:
            while True:
                length, code = struct.unpack("!II", self._exactly(sock, 8))
                rest = self._exactly(sock, length - 8)
                if code in (80877103, 80877104):
                    sock.sendall(b"N")
                elif code == 80877102:
                    self.cancels += 1
                    sock.close()
                    return
                else:
                    break
            del rest
            self.connections += 1
            sock.sendall(self.login)
            while True:
                kind, length = struct.unpack("!cI", self._exactly(sock, 5))
                body = self._exactly(sock, length - 4)
                if kind == b"X" or self.serve(sock, kind.decode(), body) is False:
                    break
        except (OSError, struct.error):
            pass
        finally:
            sock.close()

    def close(self):
        self.ended = True
        self.listener.close()
        for sock in self.sockets:
            sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
