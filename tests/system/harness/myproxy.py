# SPDX-License-Identifier: ISC
"""weir in front of a MariaDB or MySQL."""

import threading
import time
import pymysql

from .mysql import CLIENTS, USERS
from .postgres import free_port
from .proxy import ADMIN, STATS, Proxy, Sampler

PASSWORDS = {name: password for name, (password, _) in USERS.items() if name != "hidden"}


class MyProxy(Proxy):
    """Keys of `settings` go to [weir]; schemas shop, other and third lead to `my`."""

    def __init__(self, my, settings=None, databases=None, users=None, servers=None, userlist=None, **more):
        self.my = my
        self.mysql_port = free_port()
        if databases is None:
            databases = {name: f"mysql://{my.host}:{my.port}/{name}" for name in ("shop", "other", "third")}
        if userlist is None:
            userlist = dict(PASSWORDS)
            userlist.update([ADMIN, STATS])
        settings = dict({"mysql_port": self.mysql_port}, **(settings or {}))
        super().__init__(None, settings, databases, users, servers, userlist, **more)

    def connect(self, user="app", schema="shop", password=None, **more):
        """A PyMySQL connection; autocommit stays as the server has it unless asked otherwise."""
        more.setdefault("autocommit", None)
        more.setdefault("connect_timeout", 15)
        if password is None:
            password = PASSWORDS.get(user, dict([ADMIN, STATS]).get(user))
        if "unix_socket" not in more:
            more.update(host=self.host, port=self.mysql_port)
        return pymysql.connect(user=user, password=password, database=schema, **more)

    def my_show(self, what, who=ADMIN):
        with self.connect(who[0], "weir", who[1], cursorclass=pymysql.cursors.DictCursor) as c, c.cursor() as cur:
            cur.execute("SHOW " + what)
            return cur.fetchall()


class MySampler(Sampler):
    """Asks the server, over and over, how many connections it sees; keeps the highest answer."""

    def __init__(self, my, where="true", every=0.004):
        super().__init__(_Root(my), where, every)

    def __exit__(self, *_):
        self.done = True
        self.join(10)
        self.conn.close()


class LastingSampler(threading.Thread):
    """The most connections that were there in one sample and still in the next, `every` seconds later.

    MySQL hangs up first and takes the connection off its list a moment after that: where connections
    come and go all the time, one that has ended is seen beside its successor.
    """

    def __init__(self, my, every=0.004):
        super().__init__(daemon=True)
        self.my, self.every, self.highest, self.samples, self.done = my, every, 0, 0, False

    def __enter__(self):
        self.start()
        return self

    def run(self):
        before = set()
        with self.my.root(None) as conn, conn.cursor() as c:
            while not self.done:
                c.execute(f"select id from information_schema.processlist where {CLIENTS}")
                now = {row[0] for row in c.fetchall()}
                self.highest = max(self.highest, len(now & before))
                self.samples += 1
                before = now
                time.sleep(self.every)

    def __exit__(self, *_):
        self.done = True
        self.join(10)
        assert self.samples > 1, "nothing was sampled"


class _Root:
    """What Sampler asks of a Postgres."""

    def __init__(self, my):
        self.my = my

    def superuser(self, _):
        return self.my.root(None)

    def count_on(self, conn, where):
        return self.my.count_on(conn, where)


def one(conn, sql, args=None):
    with conn.cursor() as c:
        c.execute(sql, args)
        row = c.fetchone()
        return row[0] if row else None


def rows(conn, sql, args=None):
    with conn.cursor() as c:
        c.execute(sql, args)
        return list(c.fetchall())


def code(err):
    """The number of a caught pymysql error."""
    return err.value.args[0]
