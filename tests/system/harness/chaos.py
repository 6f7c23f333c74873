# SPDX-License-Identifier: ISC
"""Many clients that do anything at all, at once, and check each answer; an administrator who interferes.

What a client does next comes from a seed; how the clients' steps meet does not, so that a second run is another one.
`engine` (test_chaos.py, mysql/test_my_chaos.py) knows the protocol:

    engine.connect(random)   -> a session with .leave(random), .finish(random), or None: refused for now
    engine.ACTIONS           functions (session, random); VANISHED: it left in the middle
    engine.BROKEN            exceptions of a connection that ended
"""

import random
import threading
import time
import traceback

from .proxy import wait_until

BOUND = 4
VANISHED = object()


class Wrong(Exception):
    """An answer that no client may get."""


class Refused(Exception):
    """An error that the interference explains; the session goes on with a new connection."""


def check(condition, what):
    if not condition:
        raise Wrong(what)


class Tokens:
    """Words that occur once, and which of them were committed."""

    def __init__(self):
        self.lock, self.count, self.committed = threading.Lock(), 0, set()

    def new(self):
        with self.lock:
            self.count += 1
            return f"t{self.count}-{random.getrandbits(40):x}"

    def commit(self, token):
        with self.lock:
            self.committed.add(token)


class Administrator:
    """What an engine's INTERFERENCE has on both databases."""

    def __init__(self, proxy):
        self.proxy, self.tokens = proxy, Tokens()

    def reload(self, rand):
        self.proxy.reconfigure(client_spool=rand.choice([8192, 16384, 65536]), max_server_connections=rand.choice([BOUND - 1, BOUND]))

    def reconnect(self, rand):
        self.proxy.admin("RECONNECT")

    def kill_client(self, rand):
        clients = [c["id"] for c in self.proxy.show("CLIENTS") if c["database"] == "shop"]
        if clients:
            self.proxy.admin("KILL_CLIENT " + rand.choice(clients))

    def pause(self, rand):
        self.proxy.admin("PAUSE shop")
        time.sleep(0.1)
        self.proxy.admin("RESUME shop")

    def calm(self, count):
        """Nobody holds or waits for anything, and the database counts what weir does."""
        wait_until(lambda: all(int(p[n]) == 0 for p in self.proxy.show("POOLS") if p["database"] == "shop"
                               for n in ("cl_active", "cl_waiting", "sv_active")), 30, "the end of all loans")
        wait_until(lambda: count() == sum(s["database"] == "shop" for s in self.proxy.show("SERVERS")), 10, "a true count")


class Chaos:
    def __init__(self, engine, clients, seconds, seed):
        self.engine, self.seed, self.clients = engine, seed, clients
        self.until = time.monotonic() + seconds
        self.problems, self.done = [], 0

    def over(self):
        return time.monotonic() > self.until

    def session(self, rand, steps):
        """One connection's life; what it did goes to `steps`."""
        session, left = self.engine.connect(rand), False
        if session is None:
            time.sleep(0.05)
            return
        try:
            for _ in range(rand.randrange(1, 40)):
                if self.over():
                    break
                action = rand.choice(self.engine.ACTIONS)
                steps.append(action.__name__)
                self.done += 1
                if action(session, rand) is VANISHED:
                    session.leave(rand)
                    left = True
                    break
        except Refused:
            pass
        if not left:
            session.finish(rand)

    def client(self, number):
        rand = random.Random(self.seed * 1000 + number)
        while not self.over():
            steps = []
            try:
                self.session(rand, steps)
            except self.engine.BROKEN as err:
                if isinstance(err, TimeoutError):
                    self.problems.append(f"client {number} {steps[-6:]}: no answer")
            except Wrong as err:
                self.problems.append(f"client {number} {steps[-6:]}: {err}")
            except Exception:  # noqa: a fault of the test's own is a failure as well
                self.problems.append(f"client {number} {steps[-6:]}: {traceback.format_exc()[-800:]}")

    def administrator(self):
        rand = random.Random(self.seed)
        while not self.over():
            time.sleep(rand.random() * 0.5)
            try:
                rand.choice(self.engine.INTERFERENCE)(rand)
            except Exception:  # noqa: as above
                self.problems.append("administrator: " + traceback.format_exc()[-800:])

    def play(self):
        """All of it; the problems are raised together."""
        threads = [threading.Thread(target=self.client, args=(i,), daemon=True) for i in range(self.clients)]
        threads.append(threading.Thread(target=self.administrator, daemon=True))
        for t in threads:
            t.start()
        deadline = self.until + 120
        for t in threads:
            t.join(max(0.1, deadline - time.monotonic()))
        stuck = sum(t.is_alive() for t in threads)
        assert not self.problems and not stuck, "\n".join([f"{stuck} threads are stuck"] * bool(stuck) + self.problems[:10])
        assert self.done > self.clients
