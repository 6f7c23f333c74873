# SPDX-License-Identifier: ISC
"""The program under test as a process: its configuration, its log, its clients and its console."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request

from .postgres import USERS, free_port, unprivileged
from .wire import Conn, PgError, Closed

HERE = os.path.dirname(os.path.abspath(__file__))
ADMIN = ("admin", "admin secret")
STATS = ("stats", "stats secret")

# Settings that PgBouncer has no word for; left out when the suite is checked against it.
WEIR_ONLY = {
    "admin_addr", "admin_port", "workers", "max_server_connections", "max_waiting_clients", "login_concurrency",
    "client_spool", "log_format", "shutdown_timeout", "transaction_timeout", "mysql_port", "abandon_timeout",
    "recover_timeout", "listen_socket",
}


def peer():
    return os.environ.get("WEIR_PEER", "weir")


def weir_binary():
    default = os.path.join(HERE, "..", "..", "..", "src", "weir")
    return os.path.abspath(os.environ.get("WEIR_BIN", default))


def render(sections):
    """{section: {key: value}} as INI; a dict value becomes a connection string."""
    out = []
    for section, keys in sections.items():
        if not keys:
            continue
        out.append(f"[{section}]")
        for key, value in keys.items():
            if isinstance(value, dict):
                value = " ".join(f"{k}={quote(v)}" for k, v in value.items())
            out.append(f"{key} = {value}")
        out.append("")
    return "\n".join(out)


def quote(value):
    value = str(value)
    return "'" + value.replace("'", "''") + "'" if re.search(r"[ ']", value) else value


class Proxy:
    """weir (or PgBouncer) in front of a Postgres. Keys of `settings` go to [weir]."""

    host = "127.0.0.1"

    def __init__(self, pg, settings=None, databases=None, users=None, servers=None, userlist=None, args=(), env=None,
                 which=None, fd_limit=None, start=True, wrap=(), functions=None):
        self.pg = pg
        self.which = which or peer()
        self.dir = tempfile.mkdtemp(prefix="weir-test-")
        os.chmod(self.dir, 0o755)
        self.port = free_port()
        self.admin_port = free_port()
        self.args, self.env, self.fd_limit, self.wrap = list(args), dict(env or {}), fd_limit, list(wrap)
        self.userlist_path = os.path.join(self.dir, "userlist.txt")
        self.ini_path = os.path.join(self.dir, "weir.ini")
        self.log_path = os.path.join(self.dir, "log")
        self.proc = None
        self.settings = {
            "listen_addr": "127.0.0.1", "listen_port": self.port, "unix_socket_dir": self.dir,
            "admin_addr": "127.0.0.1", "admin_port": self.admin_port,
            "auth_type": "scram-sha-256", "auth_file": self.userlist_path,
            "admin_users": ADMIN[0], "stats_users": STATS[0],
            "pool_mode": "transaction", "max_server_connections": 3, "default_pool_size": 0,
            "max_client_conn": 2000, "query_wait_timeout": 20, "server_login_retry": 1,
        }
        self.settings.update(settings or {})
        if pg is not None:
            base = {"host": pg.host, "port": pg.port}
            self.databases = {name: dict(base, dbname=name) for name in ("shop", "other", "third")}
        else:
            self.databases = {}
        if databases is not None:
            self.databases = databases
        self.users, self.servers, self.functions = users or {}, servers or {}, functions or {}
        self.userlist = dict(USERS_PLAIN) if userlist is None else userlist
        self.write()
        if start:
            self.start()

    # --- configuration ---------------------------------------------------------------------------

    def sections(self):
        settings = {k: v for k, v in self.settings.items() if v is not None}
        if self.which == "weir":
            return {"weir": settings, "databases": self.databases, "servers": self.servers, "users": self.users,
                    "functions": self.functions}
        bound = settings.get("max_server_connections")
        settings = {k: v for k, v in settings.items() if k not in WEIR_ONLY}
        if bound:
            settings["max_db_connections"] = bound
            settings["default_pool_size"] = settings.get("default_pool_size") or bound
        return {"pgbouncer": settings, "databases": self.databases, "users": self.users}

    def write(self):
        """weir may read them at any moment: they are whole in each."""
        users = ['"%s" "%s"\n' % (name.replace('"', '""'), secret.replace('"', '""')) for name, secret in self.userlist.items()]
        for path, text in ((self.userlist_path, "".join(users)), (self.ini_path, render(self.sections()))):
            with open(path + ".new", "w") as f:
                f.write(text)
            os.replace(path + ".new", path)

    def reconfigure(self, **settings):
        """Write the file anew and send SIGHUP; the caller waits for what it expects."""
        self.settings.update(settings)
        self.write()
        self.proc.send_signal(signal.SIGHUP)

    # --- process ---------------------------------------------------------------------------------

    def command(self):
        if self.which == "weir":
            return [weir_binary(), *self.args] if self.args else [weir_binary(), self.ini_path]
        prefix, who = unprivileged()
        if who:
            os.chown(self.dir, who.pw_uid, who.pw_gid)
        binary = os.environ.get("PGBOUNCER_BIN") or shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
        return prefix + [binary, self.ini_path]

    def start(self, wait=True):
        command = self.wrap + self.command()
        if self.fd_limit:
            command = ["sh", "-c", f"ulimit -n {self.fd_limit}; exec \"$@\"", "sh"] + command
        env = {k: v for k, v in os.environ.items() if not k.startswith(("WEIR_", "PG"))}
        env.update(self.env)
        log = open(self.log_path, "ab")
        self.proc = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=env, cwd=self.dir,
                                     start_new_session=True)
        log.close()
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, timeout=15):
        deadline = time.monotonic() + timeout
        while True:
            assert self.proc.poll() is None, f"ended with {self.proc.returncode}:\n{self.log()[-3000:]}"
            try:
                for port in (self.port, self.admin_port) if self.which == "weir" else (self.port,):
                    socket.create_connection((self.host, port), timeout=1).close()
                return
            except OSError:
                assert time.monotonic() < deadline, f"does not listen:\n{self.log()[-3000:]}"
                time.sleep(0.02)

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def wait_log(self, pattern, timeout=10, start=0):
        wait_until(lambda: re.search(pattern, self.log()[start:]), timeout, f"log line {pattern!r}")

    def signal(self, which):
        self.proc.send_signal(which)

    def wait(self, timeout=15):
        return self.proc.wait(timeout)

    def stop(self):
        """End it at once and say what was wrong with how it lived or died, or None."""
        if self.proc is None:
            return None
        problem = None
        code = self.proc.poll()
        if code is None:
            # 1.18's SIGINT waits for clients; SIGTERM is its immediate one
            self.proc.send_signal(signal.SIGINT if self.which == "weir" else signal.SIGTERM)
            try:
                code = self.proc.wait(10)
            except subprocess.TimeoutExpired:
                problem = "did not end within 10 s of SIGINT"
                self.proc.kill()
                self.proc.wait(5)
                code = 0
        if code not in (0, 1):
            problem = f"ended with {code}"
        log = self.log()
        for word in ("Sanitizer", "runtime error:", "Assertion", "weir_check failed"):
            if word in log:
                problem = f"{word} in its log"
        self.proc = None
        return problem and f"{problem}\n--- its log ends with ---\n{log[-6000:]}"

    def destroy(self):
        problem = self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)
        return problem

    # --- clients ---------------------------------------------------------------------------------

    def open(self, timeout=10, source=None):
        return Conn(self.host, self.port, timeout, source)

    def client(self, user="app", database="shop", password=None, timeout=10, source=None, **params):
        if password is None:
            password = USERS_PLAIN.get(user)
        conn = self.open(timeout, source)
        try:
            return conn.login(user, password, database, **params)
        except BaseException:
            conn.close()
            raise

    def clients(self, count, **params):
        return [self.client(**params) for _ in range(count)]

    def dsn(self, user="app", database="shop", **extra):
        password = USERS_PLAIN[user]
        more = "".join(f" {k}={quote(v)}" for k, v in extra.items())
        return f"host={self.host} port={self.port} user={user} password='{password}' dbname={database}{more}"

    def console(self, who=ADMIN, database=None):
        return self.client(who[0], database or ("weir" if self.which == "weir" else "pgbouncer"), who[1])

    def show(self, what):
        with self.console() as c:
            return c.dicts("SHOW " + what)

    def admin(self, command):
        with self.console() as c:
            return c.simple(command)

    def http(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}{path}", timeout=10) as answer:
            return answer.read().decode()

    def pool(self, database="shop", user="app"):
        for row in self.show("POOLS"):
            if row["database"] == database and row["user"] == user:
                return row
        return None

    def status(self, field):
        """A field of /proc/PID/status in kB or as a number."""
        with open(f"/proc/{self.proc.pid}/status") as f:
            for line in f:
                if line.startswith(field + ":"):
                    return int(line.split()[1])
        raise KeyError(field)

    def remembers(self, text):
        """Whether these bytes are anywhere in its memory that can be written."""
        with open(f"/proc/{self.proc.pid}/maps") as f:
            spans = [line.split()[0] for line in f if line.split()[1].startswith("rw")]
        with open(f"/proc/{self.proc.pid}/mem", "rb", 0) as mem:
            for span in spans:
                begin, end = (int(at, 16) for at in span.split("-"))
                if end - begin > 1 << 30:  # a sanitizer's own
                    continue
                with contextlib.suppress(OSError):  # unmapped by now
                    mem.seek(begin)
                    if text in mem.read(end - begin):
                        return True
        return False

    def fd_count(self):
        return len(os.listdir(f"/proc/{self.proc.pid}/fd"))

    def probes_due(self, port):
        """Seconds until keepalive's next probe, of each of its connections to this port that is quiet."""
        mine = set()
        for fd in os.listdir(f"/proc/{self.proc.pid}/fd"):
            with contextlib.suppress(OSError):
                mine.add(os.readlink(f"/proc/{self.proc.pid}/fd/{fd}"))
        with open(f"/proc/{self.proc.pid}/net/tcp") as f:
            lines = [line.split() for line in f][1:]
        ours = [c for c in lines if int(c[2].split(":")[1], 16) == port and f"socket:[{c[9]}]" in mine]
        timers = [c[5].split(":") for c in ours]
        return [int(when, 16) / os.sysconf("SC_CLK_TCK") for kind, when in timers if kind == "02"]


USERS_PLAIN = {name: password for name, (password, _) in USERS.items() if name != "hidden"}
USERS_PLAIN[ADMIN[0]] = ADMIN[1]
USERS_PLAIN[STATS[0]] = STATS[1]


def wait_until(condition, timeout=10, what="the condition", every=0.02):
    """The first true value of condition(), or a failure that names it."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not come about within {timeout} s"
        time.sleep(every)


class Sampler(threading.Thread):
    """Asks the database, over and over, how many connections it sees; keeps the highest answer."""

    def __init__(self, pg, where="true", every=0.004):
        super().__init__(daemon=True)
        self.conn = pg.superuser("postgres")
        self.pg, self.where, self.every = pg, where, every
        self.highest, self.samples, self.last, self.done = 0, 0, 0, False

    def __enter__(self):
        self.start()
        return self

    def run(self):
        while not self.done:
            try:
                self.last = self.pg.count_on(self.conn, self.where)
            except (OSError, Closed, PgError):
                try:
                    self.conn = self.pg.superuser("postgres")
                except (OSError, Closed, PgError):
                    time.sleep(0.05)
                continue
            self.samples += 1
            self.highest = max(self.highest, self.last)
            time.sleep(self.every)

    def __exit__(self, *_):
        self.done = True
        self.join(10)
        self.conn.terminate()


class Crowd:
    """Threads that each run `work(i)`; errors are kept, and raised together at the end."""

    def __init__(self, count, work):
        self.errors = []
        self.results = [None] * count
        self.threads = [threading.Thread(target=self._one, args=(i, work), daemon=True) for i in range(count)]

    def _one(self, index, work):
        try:
            self.results[index] = work(index)
        except BaseException as err:  # noqa: a thread's failure is the test's failure
            self.errors.append((index, err))

    def start(self):
        for t in self.threads:
            t.start()
        return self

    def join(self, timeout=60, check=True):
        deadline = time.monotonic() + timeout
        for t in self.threads:
            t.join(max(0.01, deadline - time.monotonic()))
        stuck = sum(t.is_alive() for t in self.threads)
        if check:
            assert not self.errors, f"{len(self.errors)} failed, first: {self.errors[:3]!r}"
            assert not stuck, f"{stuck} of {len(self.threads)} did not finish within {timeout} s"
        return self.results


def crowd(count, work, timeout=60):
    return Crowd(count, work).start().join(timeout)
