# SPDX-License-Identifier: ISC
"""The same script by the same driver, directly and through weir, must give the same answers.

Two sessions play in turns over three server connections; somebody else, whose settings differ, takes the one
that is next away now and then, so that nobody keeps the one it had.
"""

import pytest

from harness.players import Player
from harness.proxy import wait_until
from mysql.scripts import SCRIPTS, TABLES

DRIVERS = ["pymysql", "mysqlclient", "mysql2", "mariadb", "pdo", "pdo-prepare", "laravel", "go", "go-interpolate", "jdbc",
           "jdbc-server"]


def filled(step, me):
    number = {"a": "3", "b": "4"}[me]
    if isinstance(step, str):
        return {"op": "query", "sql": step.replace("{me}", me).replace("{n}", number)}
    if step[0] == "ping":
        return {"op": "ping"}
    params = [int(number) * 100 + p["n"] if isinstance(p, dict) else p for p in step[2:]]
    return {"op": "execute", "sql": step[1].replace("{me}", me).replace("{n}", number), "params": params,
            "keep": step[0] == "keep"}


def play(my, where, kind, how, steps, disturb):
    """[(session, step, answer)...] of both sessions in turns."""
    for statement in TABLES:
        my.rows(statement)
    log = []
    with Player(kind, how, where) as a, Player(kind, how, where) as b:
        for i, step in enumerate(steps):
            for me, player in (("a", a), ("b", b)):
                if i % 3 == 1:
                    disturb.begin()
                step_now = filled(step, me)
                log.append((me, step_now.get("sql", step_now["op"]), player.play(step_now)))
                disturb.end()
    return log


class Disturber:
    """Somebody else, whose transaction keeps a connection busy and whose settings differ."""

    def __init__(self, conn=None):
        self.conn, self.open = conn, False

    def begin(self):
        if self.conn:
            with self.conn.cursor() as c:
                c.execute("begin")
                c.execute("select 'somebody else'")
            self.open = True

    def end(self):
        if self.open:
            with self.conn.cursor() as c:
                c.execute("rollback")
            self.open = False


def same(direct, through):
    for d, t in zip(direct, through):
        assert d == t, f"\ndirectly: {d}\n through: {t}"
    assert len(direct) == len(through)


def steps_for(kind, script):
    """go-sql-driver 1.5 waits for ever, by itself, for the end of a text whose second statement fails."""
    return [s for s in SCRIPTS[script] if not (kind.startswith("go") and s == "select 1; selec 2; select 3")]


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("kind", DRIVERS)
def test_same_answers(my, shared, drivers, kind, script):
    steps = steps_for(kind, script)
    direct = play(my, my, kind, drivers[kind], steps, Disturber())
    somebody = shared.connect(autocommit=True)
    with somebody.cursor() as c:
        c.execute("set sql_mode = '', time_zone = '-05:00'")
        c.execute("set names latin1")
    try:
        through = play(my, shared, kind, drivers[kind], steps, Disturber(somebody))
    finally:
        somebody.close()
    same(direct, through)
    wait_until(lambda: my.count() <= 3, 30, "3 connections")
