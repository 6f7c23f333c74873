# SPDX-License-Identifier: ISC
"""After the thaw: what each driver's own program sees of a loan that was taken back, and that it goes on.

test_frozen.py freezes three of them at every moment; here all are stopped in the middle of a transaction.
"""

import glob
import json
import os
import signal
import subprocess
import sys

import pytest

from harness.players import cache, need, node_modules
from harness.proxy import wait_until

pytestmark = pytest.mark.weir_only
HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "drivers")
THAW = os.path.join(HERE, "thaw")


def go(which):
    binary = os.path.join(cache("go"), "thaw")
    env = dict(os.environ, GO111MODULE="off", GOPATH="/usr/share/gocode", GOFLAGS="", GOCACHE=cache("go-build"))
    out = subprocess.run([need("go"), "build", "-o", binary, os.path.join(THAW, "thaw.go")], env=env, capture_output=True,
                         text=True, timeout=300)
    assert out.returncode == 0, out.stderr
    return [binary, which]


def java():
    jars = ["/usr/share/java/postgresql.jar"]
    for kind in ("scram", "stringprep", "saslprep"):
        jars += glob.glob(f"/usr/share/java/*{kind}*.jar")
    where = cache("jdbc")
    subprocess.run([need("javac"), "-d", where, os.path.join(THAW, "Thaw.java")], check=True, capture_output=True)
    return [need("java"), "-Xmx128m", "-XX:+UseSerialGC", "-cp", ":".join([where, *jars]), "Thaw"]


COMMANDS = {
    "psycopg2": lambda: [sys.executable, os.path.join(HERE, "frozen.py"), "psycopg2"],
    "psycopg": lambda: [sys.executable, os.path.join(HERE, "frozen.py"), "psycopg"],
    "asyncpg": lambda: [sys.executable, os.path.join(HERE, "frozen.py"), "asyncpg"],
    "pg": lambda: [need("node"), os.path.join(THAW, "thaw.js"), "pg"],
    "postgres.js": lambda: [need("node"), os.path.join(THAW, "thaw.js"), "postgres"],
    "pdo": lambda: [need("php"), os.path.join(THAW, "thaw.php")],
    "pgx": lambda: go("pgx"),
    "pq": lambda: go("pq"),
    "jdbc": java,
}


class Session:
    """One connection of a driver in a process of its own."""

    def __init__(self, name, proxy):
        command = COMMANDS[name]()
        env = dict(os.environ, DBHOST=proxy.host, DBPORT=str(proxy.port), DBUSER="app", DBPASSWORD="secret", DBNAME="shop")
        if name in ("pg", "postgres.js"):
            env["NODE_PATH"] = node_modules("pg", "postgres")
        python = command[0] == sys.executable
        if python:
            command += [proxy.host, str(proxy.port)]
        self.proc = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if python:
            assert "rows" in self.ask("!connect")

    def ask(self, sql):
        self.proc.stdin.write(sql + "\n")
        self.proc.stdin.flush()
        line = self.proc.stdout.readline()
        assert line, self.proc.stderr.read()[-2000:]
        return json.loads(line)

    def ok(self, sql):
        answer = self.ask(sql)
        assert "rows" in answer, (sql, answer)
        return answer["rows"]

    def close(self):
        self.proc.kill()
        self.proc.wait(30)
        for pipe in (self.proc.stdin, self.proc.stdout, self.proc.stderr):
            pipe.close()


@pytest.fixture
def session():
    made = []

    def make(name, proxy):
        made.append(Session(name, proxy))
        return made[-1]
    yield make
    for s in made:
        s.close()


def works(s):
    assert s.ok("select 41 + 1") == [["42"]]
    s.ok("begin")
    s.ok("insert into scratch (who) values ('thawed')")
    assert s.ok("select count(*) from scratch") == [["1"]]
    s.ok("rollback")
    assert s.ok("select count(*) from scratch") == [["0"]]


@pytest.mark.parametrize("name", COMMANDS)
def test_thawed(start, session, pg, name):
    proxy = start(max_server_connections=1, idle_transaction_timeout="1s", query_wait_timeout=60)
    s = session(name, proxy)
    for word in ("select 1", "commit"):
        s.ok("begin")
        s.ok("insert into scratch (who) values ('frozen')")
        s.proc.send_signal(signal.SIGSTOP)
        with proxy.client(timeout=60) as other:
            assert other.value("select count(*) from scratch", timeout=60) == "0"
        s.proc.send_signal(signal.SIGCONT)
        lost = s.ask(word)
        assert lost.get("error") == "40001" and "rolled back" in lost["text"], lost
        again = s.ask("select 1")
        assert again.get("error") == "25P02", again
        s.ok("rollback")
        works(s)
    wait_until(lambda: proxy.pool()["sv_active"] == "0", 20, "nothing lent")
    assert proxy.pool()["cl_waiting"] == "0" and pg.count("datname = 'shop'") == 1
