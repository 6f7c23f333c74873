# SPDX-License-Identifier: ISC
"""player.py pymysql|mysqlclient: plays the steps that it reads, one JSON object a line (see ../harness/players.py)."""

import json
import os
import sys


def text(value):
    if value is None:
        return None
    if isinstance(value, (bytes, bytearray)):
        return "0x" + bytes(value).hex()
    return str(value)


def connect(which):
    where = dict(host=os.environ["DBHOST"], port=int(os.environ["DBPORT"]), user=os.environ["DBUSER"])
    schema = os.environ.get("DBNAME")
    more = json.loads(os.environ.get("OPTIONS", "{}"))
    if which == "pymysql":
        import pymysql
        if "client_flag" not in more:
            more["client_flag"] = pymysql.constants.CLIENT.MULTI_STATEMENTS
        return pymysql.connect(password=os.environ["DBPASSWORD"], database=schema, local_infile=True, **where, **more), pymysql
    import MySQLdb
    if schema:
        where["db"] = schema
    return MySQLdb.connect(passwd=os.environ["DBPASSWORD"], local_infile=1, **where, **more), MySQLdb


def play(conn, module, step):
    if step["op"] == "ping":
        conn.ping()
        return {"ok": 1}
    if step["op"] == "schema":
        conn.select_db(step["name"])
        return {"ok": 1}
    if step["op"] == "autocommit":
        conn.autocommit(step["on"])
        return {"ok": 1}
    cur = conn.cursor()
    sets = []
    try:
        cur.execute(step["sql"], step.get("params"))
        while True:
            if cur.description:
                sets.append({"columns": [[d[0], d[1]] for d in cur.description],
                             "rows": [[text(v) for v in r] for r in cur.fetchall()]})
            else:
                sets.append({"affected": cur.rowcount, "id": cur.lastrowid})
            if not cur.nextset():
                break
    except module.Error as e:
        while True:
            try:
                if not cur.nextset():
                    break
            except module.Error:
                break
        return {"sets": sets, "error": e.args[0], "text": str(e.args[1]) if len(e.args) > 1 else ""}
    return {"sets": sets}


def main():
    conn, module = connect(sys.argv[1])
    conn.autocommit(os.environ.get("AUTOCOMMIT", "1") == "1")  # both begin with it off
    print(json.dumps({"ready": 1}), flush=True)
    for line in sys.stdin:
        step = json.loads(line)
        if step["op"] == "close":
            conn.close()
            print(json.dumps({"ok": 1}), flush=True)
            return
        print(json.dumps(play(conn, module, step)), flush=True)


main()
