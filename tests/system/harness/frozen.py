# SPDX-License-Identifier: ISC
"""A real driver in a process of its own, which can be frozen and thawed: drivers/frozen.py."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading

PROGRAM = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "drivers", "frozen.py")
LATE = 60  # how long a slow machine may take for what is done at once


class Driver:
    """The program, here or on the other machine; freeze() and thaw() are the test's subject."""

    def __init__(self, name, port, machine=None):
        self.machine = machine
        host = machine.near if machine else "127.0.0.1"
        command = [sys.executable, PROGRAM, name, host, str(port)]
        self.proc = subprocess.Popen(machine.command(*command) if machine else command, stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, text=True)
        self.answers = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.proc.stdout:
            self.answers.put(json.loads(line))

    def send(self, line):
        self.proc.stdin.write(line + "\n")
        self.proc.stdin.flush()

    def answer(self):
        return self.answers.get(timeout=LATE)

    def ask(self, line):
        self.send(line)
        return self.answer()

    def ok(self, line):
        answer = self.ask(line)
        assert "rows" in answer, answer
        return answer["rows"]

    def freeze(self):
        if self.machine:
            self.machine.cut()
        self.proc.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.proc.send_signal(signal.SIGCONT)
        if self.machine:
            self.machine.join()

    def kill(self):
        self.proc.kill()
        self.proc.wait(LATE)
