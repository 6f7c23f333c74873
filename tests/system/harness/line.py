# SPDX-License-Identifier: ISC
"""A line between weir and a database that can go dead: what is connected hears nothing any more and is told
nothing either, as when a firewall forgets a connection or a host is switched off. Who dials anew gets through.
"""

import socket
import threading

from .postgres import free_port


class Line:
    def __init__(self, host, port):
        self.to = (host, port)
        self.port = free_port()
        self.generation = self.dialled = self.held = 0
        self.sent = 0  # bytes into the void, since it was cut
        self.flows = threading.Event()
        self.flows.set()
        self.door = socket.create_server(("127.0.0.1", self.port), backlog=200)
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self):
        self.generation += 1
        self.sent = 0

    def hold(self):
        """What is connected, and what it sends, has to wait for release(); who dials anew doesn't."""
        self.held = self.dialled
        self.flows.clear()

    def release(self):
        self.flows.set()

    def close(self):
        self.door.close()

    def _accept(self):
        while True:
            try:
                near, _ = self.door.accept()
            except OSError:
                return
            self.dialled += 1
            threading.Thread(target=self._serve, args=(near, self.dialled, self.generation), daemon=True).start()

    def _serve(self, near, number, generation):
        try:
            far = socket.create_connection(self.to)
        except OSError:
            near.close()
            return
        for source, target, up in ((near, far, True), (far, near, False)):
            threading.Thread(target=self._pump, args=(source, target, number, generation, up), daemon=True).start()

    def _pump(self, source, target, number, generation, up):
        try:
            while data := source.recv(65536):
                if up and number <= self.held:
                    self.flows.wait()
                if generation == self.generation:
                    target.sendall(data)
                elif up:
                    self.sent += len(data)
            if generation == self.generation:
                target.shutdown(socket.SHUT_WR)
                return
        except OSError:
            pass
        for s in (source, target):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
