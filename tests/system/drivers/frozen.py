# SPDX-License-Identifier: ISC
"""A real driver in a process of its own, to be stopped at any moment: frozen.py DRIVER HOST PORT.

Each line on stdin is a statement; its answer is one line of JSON: {"rows": [...]} or {"error": SQLSTATE,
"text": ...}. `!connect` opens the connection, `!login` leaves it half logged in, `!finish` goes on.
Nothing is done that the driver would not do by itself: no retry, no reconnect.
"""

import asyncio
import json
import socket
import struct
import sys
import time

DRIVER, HOST, PORT = sys.argv[1], sys.argv[2], int(sys.argv[3])
DSN = f"host={HOST} port={PORT} user=app password=secret dbname=shop application_name=frozen"


class Psycopg2:
    def connect(self):
        import psycopg2
        self.conn = psycopg2.connect(DSN)
        self.conn.autocommit = True

    def run(self, sql):
        with self.conn.cursor() as cur:
            cur.execute(sql)
            return cur.fetchall() if cur.description else []

    def login(self):
        import psycopg2
        self.conn = psycopg2.connect(DSN, async_=1)
        for _ in range(2):  # connected and asked; the password is not sent yet
            self.conn.poll()
            time.sleep(0.2)

    def finish(self):
        while True:
            state = self.conn.poll()
            if state == 0:
                return
            time.sleep(0.02)


class Psycopg(Psycopg2):
    def connect(self):
        import psycopg
        self.conn = psycopg.connect(DSN, autocommit=True, prepare_threshold=0)


class Asyncpg:
    def __init__(self):
        self.loop = asyncio.new_event_loop()

    def connect(self):
        import asyncpg
        self.conn = self.loop.run_until_complete(asyncpg.connect(
            host=HOST, port=PORT, user="app", password="secret", database="shop", timeout=60))

    def run(self, sql):
        return [list(r) for r in self.loop.run_until_complete(self.conn.fetch(sql))]


class PyMySQL:
    autocommit = True

    def connect(self):
        import pymysql
        self.conn = pymysql.connect(host=HOST, port=PORT, user="app", password="secret", database="shop",
                                    autocommit=self.autocommit, connect_timeout=60, program_name="frozen")

    def run(self, sql):
        with self.conn.cursor() as cur:
            cur.execute(sql)
            return cur.fetchall() if cur.description else []

    def login(self):
        """Greeted, and no answer sent yet."""
        self.sock = socket.create_connection((HOST, PORT), 60)
        assert self.sock.recv(4096)

    def finish(self):
        self.sock.sendall(b"\x20\0\0\1" + struct.pack("<IIB23x", 0x000aa205, 1 << 24, 45))
        answer = self.sock.recv(4096)
        if answer[4:5] in (b"", b"\xff"):
            raise ConnectionError(f"refused: {answer}")


class PyMySQLManual(PyMySQL):
    autocommit = False


class MySQLdb(PyMySQL):
    def connect(self):
        import MySQLdb
        self.conn = MySQLdb.connect(host=HOST, port=PORT, user="app", password="secret", database="shop",
                                    autocommit=True, connect_timeout=60)

    def run(self, sql):
        cur = self.conn.cursor()
        try:
            cur.execute(sql)
            return cur.fetchall() if cur.description else []
        finally:
            cur.close()


DRIVERS = {"psycopg2": Psycopg2, "psycopg": Psycopg, "asyncpg": Asyncpg, "pymysql": PyMySQL,
           "pymysql-manual": PyMySQLManual, "mysqlclient": MySQLdb}


def main():
    driver = DRIVERS[DRIVER]()
    for line in sys.stdin:
        line = line.strip()
        try:
            rows = getattr(driver, line[1:])() if line.startswith("!") else driver.run(line)
            answer = {"rows": [[str(v) for v in r] for r in (rows or [])[:3]], "count": len(rows or [])}
        except Exception as err:  # noqa: whatever the driver raises is the answer
            code = getattr(err, "pgcode", None) or getattr(err, "sqlstate", None)
            if code is None and err.args and isinstance(err.args[0], int):
                code = str(err.args[0])  # of a MySQL driver
            answer = {"error": code or type(err).__name__, "text": str(err)}
        print(json.dumps(answer), flush=True)


main()
