# SPDX-License-Identifier: ISC
"""A throwaway MariaDB or MySQL: its own directory, port, users and certificates; gone when the run ends."""

import os
import shutil
import signal
import subprocess
import tempfile
import time

import pymysql

from .postgres import free_port, make_certificates, unprivileged

# name -> (password, plugin where the server has it, else the server's default)
USERS = {
    "app": ("secret", "caching_sha2_password"),
    "app2": ("secret2", "caching_sha2_password"),
    "app3": ("secret3", "caching_sha2_password"),
    "native": ("native secret", "mysql_native_password"),
    "limited": ("limited", "caching_sha2_password"),
    "lookup": ("lookup", "caching_sha2_password"),
    "hidden": ("hidden password", "caching_sha2_password"),
}
SCHEMAS = ["shop", "other", "third"]

SETUP = [
    "create table items (id int primary key, name varchar(100), n int)",
    "insert into items with recursive s (i) as (select 1 union all select i + 1 from s where i < 1000)"
    " select i, concat('item ', i), 0 from s",
    "create table scratch (id int primary key auto_increment, who varchar(60), note varchar(200))",
    "create table counter (id int primary key, n int)",
    "insert into counter values (1, 0)",
    "create procedure two_results(in a int) begin select a; select a + 1, a + 2; end",
    "create procedure out_param(in a int, out b int) begin set b = a * 2; end",
    "create procedure nothing() begin end",
    "create procedure sets_mode() begin set session sql_mode = 'ANSI_QUOTES'; end",
    "create procedure sets_variable() begin set @hidden_by_call = 7; end",
    "create function twice(a int) returns int deterministic return a * 2",
]
PLACE = ["create table place (name varchar(20))", "insert into place values (database())"]

# Client connections, logins under way included; not the tests' own, which come by the Unix socket.
CLIENTS = ("id <> connection_id() and user not in ('root', 'event_scheduler', 'system user')"
           " and (user <> 'unauthenticated user' or host <> 'localhost')")


def engines():
    """Which servers this run is on: WEIR_MYSQL=mariadb (the default), mysql, or both with a comma."""
    chosen = os.environ.get("WEIR_MYSQL", "mariadb").split(",")
    assert set(chosen) <= {"mariadb", "mysql"}, f"WEIR_MYSQL={chosen}"
    return chosen


def mysqld():
    """MySQL's server: MYSQLD, or the one that tests/debian_unstable left."""
    cache = os.environ.get("WEIR_UNSTABLE", "/var/cache/weir/unstable")
    path = os.environ.get("MYSQLD") or os.path.join(cache, "mysqld")
    assert os.access(path, os.X_OK), f"no MySQL server at {path}: tests/debian_unstable mysql-server-core:sbin/mysqld"
    return path


class MySQL:
    """engine: `mariadb` (Debian's) or `mysql` (9.x of Debian unstable)."""
    host = "127.0.0.1"

    def __init__(self, engine="mariadb", max_connections=100, users=True, **settings):
        self.engine = engine
        self.dir = tempfile.mkdtemp(prefix="weir-my-")
        self.port = free_port()
        self.data = os.path.join(self.dir, "data")
        self.socket = os.path.join(self.dir, "sock")
        self.certs = os.path.join(self.dir, "certs")
        self.log_path = os.path.join(self.dir, "log")
        os.mkdir(self.certs)
        self.env = dict(os.environ, TMPDIR=os.path.join(self.dir, "tmp"))  # servers name their files by pid only
        os.mkdir(self.env["TMPDIR"])
        os.chmod(self.env["TMPDIR"], 0o777)
        make_certificates(self.certs)
        for name in os.listdir(self.certs):
            os.chmod(os.path.join(self.certs, name), 0o644)
        os.chmod(self.dir, 0o755)
        os.chmod(self.certs, 0o755)
        self.proc = None
        self.settings = dict({
            "datadir": self.data, "socket": self.socket, "port": self.port, "bind-address": "127.0.0.1",
            "pid-file": os.path.join(self.dir, "pid"), "tmpdir": self.dir, "max_connections": max_connections,
            "innodb_buffer_pool_size": "64M", "innodb_flush_log_at_trx_commit": 0, "sync_binlog": 0,
            "skip-log-bin": None, "skip-name-resolve": None, "local_infile": 1, "secure_file_priv": "",
            "ssl-ca": f"{self.certs}/ca.crt", "ssl-cert": f"{self.certs}/localhost.crt",
            "ssl-key": f"{self.certs}/localhost.key", "character-set-server": "utf8mb4", "innodb_lock_wait_timeout": 20,
        }, **settings)
        self.make_data()
        self.start()
        with self.root(None) as c:
            c.cursor().execute("select version()")
        self.version = self.value("select version()")
        if users:
            self.set_up()

    def make_data(self):
        if self.engine == "mariadb":
            self.user = "mysql" if os.geteuid() == 0 else None
            if self.user:
                shutil.chown(self.dir, self.user, self.user)
            command = ["mariadb-install-db", "--no-defaults", f"--datadir={self.data}", "--skip-test-db",
                       "--auth-root-authentication-method=normal", f"--tmpdir={self.dir}"]
            binary = shutil.which("mariadbd") or "/usr/sbin/mariadbd"
        else:
            # a program in a root-only home directory: the server may be root, in a directory of its own
            self.user = "root" if os.geteuid() == 0 else None
            binary = mysqld()
            command = [binary, "--no-defaults", "--initialize-insecure", f"--datadir={self.data}", "--secure-file-priv="]
            self.settings.update({"mysqlx": "OFF", "authentication_policy": "caching_sha2_password"})
        if self.user:
            command.append(f"--user={self.user}")
        out = subprocess.run(command, capture_output=True, text=True, env=self.env)
        assert out.returncode == 0, (out.stdout + out.stderr)[-3000:]
        self.command = [binary, "--no-defaults"]
        if self.user:
            self.command.append(f"--user={self.user}")

    def set_up(self):
        with self.root(None) as conn, conn.cursor() as c:
            for name in SCHEMAS:
                c.execute(f"create database {name}")
            for name, (password, plugin) in USERS.items():
                if self.engine == "mariadb":
                    c.execute(f"create user {name}@'%' identified by '{password}'")
                elif plugin == "caching_sha2_password":
                    c.execute(f"create user {name}@'%' identified with caching_sha2_password by '{password}'")
                else:  # MySQL 9 has no other
                    c.execute(f"create user {name}@'%' identified by '{password}'")
                for schema in SCHEMAS:
                    c.execute(f"grant all on {schema}.* to {name}@'%'")
                c.execute(f"grant process on *.* to {name}@'%'")
            c.execute("alter user limited@'%' with max_user_connections 2")
            c.execute("grant select on mysql.* to lookup@'%'")
            if self.engine == "mariadb":
                c.execute("grant reload on *.* to app@'%', app2@'%'")
            else:
                c.execute("grant reload, flush_tables, backup_admin on *.* to app@'%', app2@'%'")
        for name in SCHEMAS:
            with self.root(name) as conn, conn.cursor() as c:
                for statement in PLACE + (SETUP if name == "shop" else []):
                    c.execute(statement)
                conn.commit()

    def start(self):
        assert self.proc is None
        args = [f"--{k}" if v is None else f"--{k}={v}" for k, v in self.settings.items()]
        with open(self.log_path, "ab") as out:
            self.proc = subprocess.Popen(self.command + args, stdout=out, stderr=out, cwd="/", env=self.env,
                                         start_new_session=True)
        deadline = time.monotonic() + 90
        while True:
            assert self.proc.poll() is None, "the server ended: " + self.log()[-2000:]
            try:
                self.root(None).close()
                return
            except pymysql.err.OperationalError:
                assert time.monotonic() < deadline, "the server does not answer: " + self.log()[-2000:]
                time.sleep(0.05)

    def stop(self, how=signal.SIGTERM):
        """SIGTERM: in order; SIGKILL: as if it had crashed."""
        if self.proc is None:
            return
        self.proc.send_signal(how)
        try:
            self.proc.wait(40)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait(10)
        self.proc = None

    def restart(self, how=signal.SIGTERM):
        self.stop(how)
        self.start()

    def destroy(self):
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.dir, ignore_errors=True)

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def root(self, schema="shop", **more):
        """Not counted by count(): a superuser on the server's Unix socket."""
        return pymysql.connect(unix_socket=self.socket, user="root", password="", database=schema, autocommit=True,
                               program_name="test superuser", **more)

    def direct(self, user="app", schema="shop", **more):
        """A client that talks to the server itself: what the same script does without a proxy."""
        more.setdefault("autocommit", None)
        return pymysql.connect(host=self.host, port=self.port, user=user, password=USERS[user][0], database=schema, **more)

    def rows(self, sql, args=None):
        with self.root() as conn, conn.cursor() as c:
            c.execute(sql, args)
            return list(c.fetchall())

    def value(self, sql, args=None):
        with self.root(None) as conn, conn.cursor() as c:
            c.execute(sql, args)
            return c.fetchone()[0]

    def count(self, where="true"):
        """How many client connections the server itself sees, logins under way included."""
        with self.root(None) as conn:
            return self.count_on(conn, where)

    @staticmethod
    def count_on(conn, where="true"):
        with conn.cursor() as c:
            c.execute(f"select count(*) from information_schema.processlist where {CLIENTS} and ({where})")
            return int(c.fetchone()[0])

