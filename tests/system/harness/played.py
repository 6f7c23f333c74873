# SPDX-License-Identifier: ISC
"""The programs of ./bootstrap demo, as a crowd that Python is too slow to be."""

import os
import subprocess

FUNCTIONS = ["getUsers", "updateUser", "saveUser", "deleteUser"]


def program(name):
    where = os.environ.get("WEIR_DEMO") or os.path.join(
        os.path.dirname(os.path.dirname(os.path.abspath(os.environ["WEIR_BIN"]))), "tests", "demo")
    path = os.path.join(where, name)
    assert os.access(path, os.X_OK), f"no {path}: make demo-programs"
    return path


def run(*command, timeout):
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Burst:
    """Clients that come all at once: asked, served, refused, and how many the database saw."""

    def __init__(self, engine, clients, query, dsn, monitor, limit=240):
        self.text = run(program("burst"), "--engine", engine, "--clients", str(clients), "--query", query, "--limit",
                        str(limit), "burst", dsn, monitor, timeout=limit + 60)
        words = self.text.split()
        self.asked, self.served, self.refused = (int(w) for w in words[1:4])
        self.peak = int(words[7])


class Story:
    """Four functions for some seconds: containers that got in, transactions a second."""

    def __init__(self, engine, seconds, dsn, monitor, name=None):
        more = ["--name", name] if name else []
        self.text = run(program("story"), "--engine", engine, "--seconds", str(seconds), *more, "played", dsn, monitor,
                        timeout=seconds + 120)
        lines = [line.split() for line in self.text.splitlines()]
        first = lines[0]
        self.containers = dict(zip(FUNCTIONS, first[2:6]))
        self.refused, self.peak = int(first[6]), int(first[7])
        self.rate = dict(zip(FUNCTIONS, (float(v) for v in lines[1][2:6])))
