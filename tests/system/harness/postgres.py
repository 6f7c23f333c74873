# SPDX-License-Identifier: ISC
"""A throwaway PostgreSQL: its own directory, port, users and certificates; gone when the run ends."""

import glob
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from .wire import Conn, PgError, Closed

# name -> (password, how pg_hba asks for it). Every one may log in directly, too.
USERS = {
    "app": ("secret", "scram-sha-256"),
    "app2": ("secret2", "scram-sha-256"),
    "app3": ("secret3", "scram-sha-256"),
    "md5user": ("md5secret", "md5"),
    "lookup": ("lookup", "scram-sha-256"),
    "repl": ("repl", "scram-sha-256"),
    "limited": ("limited", "scram-sha-256"),
    "hidden": ("hidden password", "scram-sha-256"),
    "certuser": ("certsecret", "scram-sha-256"),
    "boss": ("boss", "scram-sha-256"),
}
DATABASES = ["shop", "other", "third"]

SETUP = """
create table items (id int primary key, name text, n int);
insert into items select i, 'item ' || i, 0 from generate_series(1, 1000) i;
create table scratch (id serial primary key, who text, note text);
create table counter (id int primary key, n int);
insert into counter values (1, 0);
create schema alpha;
create schema beta;
create table alpha.place (name text);
create table beta.place (name text);
insert into alpha.place values ('alpha');
insert into beta.place values ('beta');
create sequence seq;
create role reader;
create role writer;
grant reader, writer to app, app2, app3 with admin option;
grant all on all tables in schema public, alpha, beta to public;
grant all on all sequences in schema public to public;
grant all on schema public, alpha, beta to public;
create function lookup_user(name text) returns table (usename name, passwd text)
  language sql security definer as 'select usename, passwd from pg_shadow where usename = $1';
revoke all on function lookup_user(text) from public;
grant execute on function lookup_user(text) to lookup;
"""


GIVEN = set()  # nobody listens on them yet, so the system might give one of them again


def free_port():
    """Never given before in this run, nor one that the kernel gives to a client's end: of these any may be taken by the
    time a server wants it. By chance, for other runs may be under way beside this one."""
    while True:
        port = random.randrange(10000, 32000)
        if port in GIVEN:
            continue
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        GIVEN.add(port)
        return port


def bindir():
    """Where the servers and psql are: Debian's, or with WEIR_POSTGRES=unstable what tests/debian_unstable left."""
    if os.environ.get("PG_BINDIR"):
        return os.environ["PG_BINDIR"]
    if os.environ.get("WEIR_POSTGRES") == "unstable":
        cache = os.environ.get("WEIR_UNSTABLE", "/var/cache/weir/unstable")
        found = glob.glob(f"{cache}/usr/lib/postgresql/*/bin/postgres")
        assert found, f"no PostgreSQL in {cache}: tests/debian_unstable 'postgresql:lib/postgresql/*/bin/postgres' ..."
        return os.path.dirname(max(found, key=lambda path: int(path.split("/")[-3])))
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"))
    if found:
        return os.path.dirname(found[-1])
    where = shutil.which("postgres")
    assert where, "no PostgreSQL server found: install postgresql or set PG_BINDIR"
    return os.path.dirname(where)


def unprivileged():
    """The command prefix and user that servers run as: they refuse to be root."""
    if os.geteuid() != 0:
        return [], None
    for name in ("postgres", "nobody"):
        try:
            who = pwd.getpwnam(name)
        except KeyError:
            continue
        prefix = ["setpriv", f"--reuid={who.pw_uid}", f"--regid={who.pw_gid}", "--clear-groups"]
        if subprocess.run(prefix + ["test", "-x", os.path.join(bindir(), "postgres")]).returncode != 0:
            # it is in root's home directory
            prefix += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
        return prefix, who
    raise AssertionError("no unprivileged user to run a server as")


def make_certificates(where):
    """A CA, a server certificate for localhost/127.0.0.1 and client certificates."""
    def run(*args):
        subprocess.run(["openssl", *args], check=True, cwd=where, capture_output=True)
    run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=weir test CA",
        "-keyout", "ca.key", "-out", "ca.crt")
    with open(os.path.join(where, "ext"), "w") as f:
        f.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for name in ("localhost", "renewed", "certuser", "stranger"):
        subject = "localhost" if name == "renewed" else name
        run("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={subject}", "-keyout", f"{name}.key",
            "-out", f"{name}.csr")
        run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30",
            "-extfile", "ext", "-out", f"{name}.crt")
    run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=certuser",
        "-keyout", "self.key", "-out", "self.crt")
    for f in glob.glob(os.path.join(where, "*.key")):
        os.chmod(f, 0o600)


class Postgres:
    host = "127.0.0.1"

    def __init__(self, max_connections=100, users=True, **settings):
        self.dir = tempfile.mkdtemp(prefix="weir-pg-")
        self.port = free_port()
        self.data = os.path.join(self.dir, "data")
        self.certs = os.path.join(self.dir, "certs")
        self.prefix, who = unprivileged()
        os.mkdir(self.certs)
        make_certificates(self.certs)
        self.pg_certs = self.certs
        if who:
            # the server wants to own its key; the tests and the proxy keep theirs
            self.pg_certs = os.path.join(self.dir, "pgcerts")
            shutil.copytree(self.certs, self.pg_certs)
            for root, dirs, files in os.walk(self.pg_certs):
                for name in [root] + [os.path.join(root, f) for f in dirs + files]:
                    os.chown(name, who.pw_uid, who.pw_gid)
            for key in glob.glob(os.path.join(self.certs, "*.key")):
                os.chown(key, -1, who.pw_gid)  # libpq lets root's key be readable by a group
                os.chmod(key, 0o640)
            os.chown(self.dir, who.pw_uid, who.pw_gid)
        os.chmod(self.dir, 0o755)
        os.chmod(self.certs, 0o755)
        env = dict(os.environ, LC_ALL="C.UTF-8")
        subprocess.run(self.prefix + [os.path.join(bindir(), "initdb"), "-D", self.data, "-U", "postgres", "-A", "trust",
                                      "-N", "--no-instructions", "-E", "UTF8"],
                       check=True, capture_output=True, env=env, cwd="/")
        self.settings = {
            "listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": self.dir,
            "max_connections": max_connections, "superuser_reserved_connections": 3,
            "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "64MB",
            "ssl": "on", "ssl_cert_file": self.pg_certs + "/localhost.crt",
            "ssl_key_file": self.pg_certs + "/localhost.key", "ssl_ca_file": self.pg_certs + "/ca.crt",
            "log_line_prefix": "%m [%p] %u@%d ", "log_connections": "on", "log_disconnections": "on",
            "log_min_messages": "warning", "wal_level": "logical", "autovacuum": "off",
            "timezone": "UTC", "log_timezone": "UTC", "jit": "off",
        }
        self.settings.update(settings)
        with open(os.path.join(self.data, "postgresql.conf"), "a") as f:
            for key, value in self.settings.items():
                f.write(f"{key} = '{value}'\n")
        with open(os.path.join(self.data, "pg_hba.conf"), "w") as f:
            f.write("local all postgres trust\nlocal all all scram-sha-256\n"
                    "host all md5user 127.0.0.1/32 md5\n"
                    "host replication repl 127.0.0.1/32 scram-sha-256\n"
                    "host all all 127.0.0.1/32 scram-sha-256\n")
        self.log_path = os.path.join(self.dir, "log")
        self.proc = None
        self.start()
        if users:
            self.set_up()

    def set_up(self):
        with self.superuser("postgres") as c:
            for name, (password, method) in USERS.items():
                c.rows(f"set password_encryption = '{method}'")
                extra = {"repl": " replication", "boss": " superuser"}.get(name, "")
                c.rows(f"create role {name} login password '{password}'{extra}")
            c.rows("alter role limited connection limit 2")
            for name in DATABASES:
                c.rows(f"create database {name}")
        for name in DATABASES:
            with self.superuser(name) as c:
                c.rows(SETUP if name == "shop" else "create table items (id int); grant all on schema public to public")
        with self.superuser("postgres") as c:
            # also in the database that auth_query asks by default
            c.rows("create function lookup_user(name text) returns table (usename name, passwd text)"
                   " language sql security definer as 'select usename, passwd from pg_shadow where usename = $1'")

    def start(self):
        assert self.proc is None
        out = open(self.log_path, "ab")
        self.proc = subprocess.Popen(self.prefix + [os.path.join(bindir(), "postgres"), "-D", self.data],
                                     stdout=out, stderr=out, cwd="/", start_new_session=True)
        out.close()
        deadline = time.monotonic() + 60
        while True:
            assert self.proc.poll() is None, "PostgreSQL ended: " + self.log()[-2000:]
            try:
                with self.superuser("postgres"):
                    return
            except (OSError, PgError, Closed):
                assert time.monotonic() < deadline, "PostgreSQL does not answer"
                time.sleep(0.03)

    def stop(self, how=signal.SIGINT):
        """SIGINT: fast (57P01 to everybody); SIGQUIT: as if it had crashed."""
        if self.proc is None:
            return
        self.proc.send_signal(how)
        try:
            self.proc.wait(30)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait(10)
        self.proc = None

    def restart(self, how=signal.SIGINT):
        self.stop(how)
        self.start()

    def signal_backends(self, which, pids):
        for pid in pids:
            try:
                os.kill(pid, which)
            except ProcessLookupError:
                pass

    def destroy(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def superuser(self, database="shop", **params):
        return Conn(self.dir, self.port).login("postgres", None, database, application_name="test superuser", **params)

    def direct(self, user="app", database="shop", **params):
        """A client that talks to PostgreSQL itself: what the same script does without a proxy."""
        return Conn("127.0.0.1", self.port).login(user, USERS[user][0], database, **params)

    def reload(self):
        self.proc.send_signal(signal.SIGHUP)

    def count(self, where="true"):
        """How many client connections the database itself sees."""
        with self.superuser("postgres") as c:
            return self.count_on(c, where)

    @staticmethod
    def count_on(conn, where="true"):
        """At one instant: the view is read row by row, and what begins meanwhile may follow one that it has counted."""
        return int(conn.value("select count(*) from pg_stat_activity where backend_type in ('client backend', 'walsender')"
                              " and application_name <> 'test superuser' and pid <> pg_backend_pid()"
                              f" and backend_start < statement_timestamp() and ({where})"))

    def activity(self, where="true"):
        with self.superuser("postgres") as c:
            return c.dicts("select pid, usename, datname, application_name, state, query, wait_event from pg_stat_activity"
                           " where backend_type in ('client backend', 'walsender') and application_name <> 'test superuser'"
                           f" and ({where})")
