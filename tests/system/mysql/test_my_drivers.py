# SPDX-License-Identifier: ISC
"""What drivers and programs do beside statements: files, packets of 16 MB and more, cursors, dumps."""

import json
import os
import re
import struct
import subprocess

import pymysql
import pytest
from pymysql.constants import CLIENT

from harness import mywire
from harness.mysql import MySQL
from harness.mywire import MyError, Wire, command
from harness.myproxy import one, rows
from harness.players import need, node_modules
from harness.proxy import crowd, wait_until

LARGE = 20_000_000


@pytest.fixture(scope="module")
def roomy(engine):
    """A server that takes packets of 64 MB."""
    made = MySQL(engine, max_allowed_packet="64M")
    made.rows("create table shop.big (id int primary key auto_increment, v longblob)")
    yield made
    made.destroy()


def test_the_character_set_of_a_schema(start, my):
    """LOAD DATA reads files in it. A reset leaves a connection in its schema, but with the server's own set."""
    my.rows("create or replace database narrow character set latin1" if my.engine == "mariadb" else "create database narrow character set latin1")
    try:
        my.rows("grant all on narrow.* to app@'%'")
        proxy = start(max_server_connections=1, databases={"narrow": f"mysql://{my.host}:{my.port}/narrow", "*": f"mysql://{my.host}:{my.port}"})
        for schema in ("narrow", "shop", "narrow"):
            for _ in range(2):
                with proxy.connect(schema=schema) as c:
                    expected = "latin1" if schema == "narrow" else "utf8mb4"
                    assert one(c, "select @@character_set_database") == expected
                    assert one(c, "select @@collation_database").startswith(expected)
                    rows(c, "create temporary table gone_with_the_client (a int)")
    finally:
        my.rows("drop database narrow")


# --- the programs of the distribution ------------------------------------------------------------

def program(name, where, *args, user="app", password="secret", text=None):
    command_line = [need(name), "--no-defaults", "-h", where.host, "-P", str(getattr(where, "mysql_port", where.port)), "-u", user,
                    f"-p{password}", "--ssl=0", *args]
    done = subprocess.run(command_line, input=text, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


SESSION = """use shop;
show tables;
select count(*) from items;
set @a = 5; select @a;
delimiter //
create procedure of_the_client(out o int) begin select 1 as first; set o = 7; end//
delimiter ;
call of_the_client(@o); select @o;
drop procedure of_the_client;
select * from nowhere;
"""


def test_the_command_line_client(shared, my):
    """Without -A: it asks for every column of every table (COM_FIELD_LIST) before the first statement."""
    for args in (("-v", "shop"), ("--force", "-t", "--auto-rehash", "shop"), ("-A", "--show-warnings", "shop")):
        assert program("mariadb", shared, *args, text=SESSION) == program("mariadb", my, *args, text=SESSION)


def test_the_administrators_program(shared, my):
    for args in (("ping",), ("refresh",), ("flush-tables",), ("variables",)):
        direct, through = program("mysqladmin", my, *args), program("mysqladmin", shared, *args)
        assert through[0] == direct[0], (args, direct, through)
    code, out, err = program("mysqladmin", shared, "status")
    assert code == 0 and re.match(r"Uptime: \d+ ", out), err
    code, out, err = program("mysqladmin", shared, "processlist")
    assert code == 0 and "app" in out, err


@pytest.mark.parametrize("args", [("--single-transaction",), ("--lock-tables",), ("--skip-opt",), ("--add-locks",)])
def test_dumps(shared, my, args):
    """The same as directly, to the byte."""
    args = ("--skip-comments", "--no-tablespaces", *args, "shop")
    if my.engine == "mysql":
        args = ("--skip-triggers", *args)
    direct, through = program("mariadb-dump", my, *args), program("mariadb-dump", shared, *args)
    assert through[:2] == direct[:2], through[2] + direct[2]
    # mariadb-dump without its options asks MySQL for a mode that it hasn't any more
    assert through[0] == 0 and "INSERT INTO `items`" in through[1] or my.engine == "mysql" and "--skip-opt" in args, through[2]


# --- LOAD DATA LOCAL -----------------------------------------------------------------------------

LOAD = "load data local infile '%s' into table scratch fields terminated by ',' (who, note)"

NODE = """
const fs = require('fs'), sql = process.argv[1];
require('mysql2').createConnection({host: process.env.DBHOST, port: +process.env.DBPORT, user: 'app', password: 'secret',
    database: 'shop', infileStreamFactory: (p) => fs.createReadStream(p)}).query({sql, infileStreamFactory: (p) => fs.createReadStream(p)},
    (e, r) => { console.log(JSON.stringify(e ? {errno: e.errno || e.code} : {affected: r.affectedRows})); process.exit(0); });
"""
PHP = """
$o = [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION, PDO::MYSQL_ATTR_LOCAL_INFILE => (int) getenv('LOCAL')];
$c = new PDO('mysql:host=' . getenv('DBHOST') . ';port=' . getenv('DBPORT') . ';dbname=shop', 'app', 'secret', $o);
try { echo json_encode(['affected' => $c->exec($argv[1])]); } catch (PDOException $e) { echo json_encode(['errno' => $e->errorInfo[1]]); }
"""


def load_pymysql(where, path):
    connect = where.connect if hasattr(where, "mysql_port") else where.direct
    with connect(local_infile=True, autocommit=True) as c, c.cursor() as cur:
        try:
            cur.execute(LOAD % path)
            return {"affected": cur.rowcount}
        except pymysql.MySQLError as e:
            return {"errno": e.args[0]}


def load_by(command_line, **more):
    def load(where, path):
        env = dict(os.environ, DBHOST=where.host, DBPORT=str(getattr(where, "mysql_port", where.port)), **more)
        done = subprocess.run([*command_line, LOAD % path], capture_output=True, text=True, timeout=120, env=env)
        assert done.stdout.startswith("{"), done.stdout + done.stderr
        return json.loads(done.stdout)
    return load


def loaders():
    return {"pymysql": load_pymysql,
            "mysql2": load_by([need("node"), "-e", NODE, "--"], NODE_PATH=node_modules("mysql2")),
            "pdo": load_by([need("php"), "-d", "open_basedir=", "-r", PHP, "--"], LOCAL="1"),
            "pdo that may not": load_by([need("php"), "-r", PHP, "--"], LOCAL="0")}


@pytest.mark.parametrize("kind", ["pymysql", "mysql2", "pdo", "pdo that may not"])
@pytest.mark.parametrize("what", ["a file", "an empty one", "a missing one", "a large one"])
def test_load_data_local(shared, my, tmp_path, kind, what):
    path = tmp_path / "data"
    lines = {"a file": 1000, "an empty one": 0, "a missing one": None, "a large one": 50_000}[what]
    if lines is not None:
        path.write_text("".join(f"name {i},{'x' * 60}\n" for i in range(lines)))
    load = loaders()[kind]
    direct = load(my, path)
    my.rows("truncate table shop.scratch")
    through = load(shared, path)
    assert through == direct
    if lines is not None and kind != "pdo that may not":
        assert through == {"affected": lines} and my.value("select count(*) from shop.scratch") == lines
    with shared.connect() as c:
        assert one(c, "select 1") == 1
    my.rows("truncate table shop.scratch")


def test_load_data_local_where_the_client_can_send_no_files(shared):
    with Wire(shared.connect(local_infile=False)) as c:
        with pytest.raises(MyError):
            c.query(LOAD % "x")
        assert c.value("select 6") == "6"


# --- compression, which is not offered -----------------------------------------------------------

COMPRESSED = """
mysqli_report(MYSQLI_REPORT_OFF); $c = mysqli_init();
$ok = $c->real_connect(getenv('DBHOST'), 'app', 'secret', 'shop', (int) getenv('DBPORT'), null, MYSQLI_CLIENT_COMPRESS);
echo $ok ? $c->query('select 1')->fetch_row()[0] : 'no ' . mysqli_connect_errno() . ' ' . mysqli_connect_error();
"""


def test_compression(shared):
    """Who looks at the offer goes on without it; who compresses all the same is told, and doesn't wait for ever."""
    env = dict(os.environ, DBHOST=shared.host, DBPORT=str(shared.mysql_port))
    said = subprocess.run([need("php"), "-r", COMPRESSED], capture_output=True, text=True, timeout=60, env=env).stdout
    assert said.startswith("no 1043 ") and "compression" in said
    with shared.connect(client_flag=CLIENT.COMPRESS) as c:  # it sets the bit and never compresses
        assert one(c, "select 5") == 5
    args = ["-h", shared.host, "-P", str(shared.mysql_port), "-uapp", "-psecret", "--compress", "-N", "-e", "select 6"]
    done = subprocess.run([need("mariadb"), *args, "shop"], capture_output=True, text=True, timeout=60)
    assert done.stdout == "6\n", done.stderr


# --- 16 MB and more ------------------------------------------------------------------------------

@pytest.mark.parametrize("where", ["outside", "in a transaction"])
@pytest.mark.parametrize("size", [mywire.FULL - 40, LARGE])
def test_large_packets_both_ways(start, roomy, size, where):
    proxy = start(roomy, max_server_connections=2)
    big = b"v" * size
    with proxy.connect(autocommit=where == "outside", max_allowed_packet=64 << 20, read_timeout=120) as c, proxy.connect() as other:
        with c.cursor() as cur:
            cur.execute("insert into big (v) values (%s)", ("v" * size,))
            other.begin()
            rows(other, "select 1")  # the connection that is next away is somebody else's now
            cur.execute("select v, id from big order by id desc limit 1")
            got = cur.fetchone()
            assert got[0] == big
            cur.execute("select length(v) from big where id = %s", (got[1],))
            assert cur.fetchone() == (size,)
        other.rollback()
        c.rollback()
    roomy.rows("truncate table shop.big")


@pytest.mark.parametrize("tls", ["prefer", "disable"])
def test_what_is_larger_than_the_server_takes(start, own_my, tls):
    """It answers before it has read all, and hangs up. The client, still at its third packet, hears it in that one's turn."""
    proxy = start(own_my(max_allowed_packet="16M"), max_server_connections=2, server_tls_sslmode=tls)
    with proxy.connect(autocommit=True, read_timeout=120) as c:
        for size in 3 * (17_500_000, 40_000_000):
            with pytest.raises(pymysql.OperationalError) as error:
                rows(c, "select length('" + "x" * size + "')")
            assert error.value.args[0] in (1153, 2013)  # what it said may be lost with the connection
            assert one(c, "select 1") == 1
    with proxy.connect(autocommit=False, read_timeout=120) as c:
        rows(c, "insert into scratch (who) values ('large')")
        with pytest.raises(pymysql.OperationalError):
            rows(c, "select length('" + "x" * 40_000_000 + "')")
        with pytest.raises(pymysql.Error):  # the session with the open transaction is gone
            c.commit()
    with proxy.connect() as c:
        assert one(c, "select count(*) from scratch where who = 'large'") == 0


def test_an_error_for_a_command_of_several_packets_that_waits(start):
    proxy = start(max_server_connections=1, query_wait_timeout="500ms")
    with proxy.connect(autocommit=False) as holder, proxy.connect(read_timeout=120, max_allowed_packet=64 << 20) as c:
        rows(holder, "select 1 from items limit 1")
        for size in (17_500_000, 40_000_000, mywire.FULL - len("select length('')") - 1):
            with pytest.raises(pymysql.OperationalError) as error:
                rows(c, "select length('" + "x" * size + "')")
            assert error.value.args[0] == 1040
        holder.commit()
        assert one(c, "select 2") == 2


def test_large_parameters_and_rows_of_prepared_statements(start, roomy):
    proxy = start(roomy, max_server_connections=1)
    text = b"p" * LARGE
    with Wire(proxy.connect(), 120) as c:
        number = c.prepare("select ?, length(?)")[0]
        body = struct.pack("<IBI", number, 0, 1) + b"\0\1\xfd\0\xfd\0" + (b"\xfe" + struct.pack("<Q", LARGE) + text) + b"\2ab"
        c.send(command(mywire.EXECUTE, body))
        got = c.answer(True).rows
        assert len(got) == 1 and text in got[0]
        assert c.value("select 5") == "5"


def test_cursors_with_large_rows(start, roomy):
    """Rows of a cursor come by FETCH, some MB each; others work on meanwhile, and it is closed in any case."""
    proxy = start(roomy, max_server_connections=2)
    with Wire(proxy.connect(), 120) as c, proxy.connect() as other:
        number = c.prepare("select id, repeat('x', 3000000) from items order by id limit 6")[0]
        assert c.execute(number, cursor=1).rows == []
        sizes = []
        for _ in range(3):
            sizes += [len(r) for r in c.fetch(number, 2).rows]
            assert one(other, "select 7") == 7
        assert len(sizes) == 6 and min(sizes) > 3_000_000
        assert c.error(mywire.RESET, struct.pack("<I", number)) is None
        assert c.value("select 8") == "8"
    assert proxy.my_show("PINS") == [] or not proxy.my_show("PINS")


# --- many at once --------------------------------------------------------------------------------

PIPELINE = """
const mariadb = require('mariadb');
(async () => {
    const c = await mariadb.createConnection({host: process.env.DBHOST, port: +process.env.DBPORT, user: 'app', password: 'secret',
        database: 'shop', pipelining: true, bigIntAsNumber: true});
    const all = [];
    for (let i = 0; i < 300; i++) {
        all.push(c.query('select ? as n', [i]).then((r) => r[0].n));
        all.push(c.execute('select ? + 0 as n', [i]).then((r) => r[0].n));
        if (i % 10 === 0) all.push(c.query('select * from nowhere').then(() => -1, (e) => e.errno));
    }
    console.log(JSON.stringify(await Promise.all(all)));
    await c.end();
})().catch((e) => { console.log(String(e)); process.exit(1); });
"""
POOL = """
const pool = require('mysql2/promise').createPool({host: process.env.DBHOST, port: +process.env.DBPORT, user: 'app', password: 'secret',
    database: 'shop', connectionLimit: 20});
(async () => {
    const one = async (i) => {
        const c = await pool.getConnection();
        try {
            await c.beginTransaction();
            await c.execute('insert into scratch (who) values (?)', [`pool ${i}`]);
            const [[row]] = await c.query('select count(*) as n from scratch where who = ?', [`pool ${i}`]);
            if (i % 2) await c.rollback(); else await c.commit();
            return row.n;
        } finally { c.release(); }
    };
    console.log(JSON.stringify(await Promise.all([...Array(200).keys()].map(one))));
    await pool.end();
})().catch((e) => { console.log(String(e)); process.exit(1); });
"""


def by_node(where, text):
    env = dict(os.environ, DBHOST=where.host, DBPORT=str(getattr(where, "mysql_port", where.port)), NODE_PATH=node_modules("mysql2", "mariadb"))
    done = subprocess.run([need("node"), "-e", text], capture_output=True, text=True, timeout=120, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_pipelining_of_mariadbs_driver(shared):
    got = by_node(shared, PIPELINE)
    assert got == [n for i in range(300) for n in ([i, i, 1146] if i % 10 == 0 else [i, i])]


JSON = """
const o = {host: process.env.DBHOST, port: +process.env.DBPORT, user: 'app', password: 'secret', database: 'shop'};
(async () => {
    const all = [];
    for (const driver of ['mariadb', 'mysql2/promise']) {
        const c = await require(driver).createConnection({...o, ...(driver === 'mariadb' ? {allowPublicKeyRetrieval: true} : {})});
        for (const how of ['query', 'execute'])
            for (const sql of ['select * from documents', "select cast('x' as unsigned) as x from documents", ...(how === 'query' ? ['show warnings'] : [])])
                all.push(await c[how](sql));
        if (driver === 'mariadb') {
            await c.query('truncate table scratch');
            all.push(await c.batch('insert into scratch (who, note) values (?, ?)', [['a', null], ['b', 'x'], ['c', 'y']]));
        }
        await c.end();
    }
    console.log(JSON.stringify(all, (k, v) => typeof v === 'bigint' ? String(v) : v));
})().catch((e) => { console.error(e.message.slice(0, 500)); process.exit(1); });
"""


def test_what_mariadbs_drivers_ask_for(shared, my):
    """What its columns are, by which JSON is more than a text; executions of many rows, which are one answer."""
    my.rows("create table if not exists documents (id int primary key, doc json)")
    my.rows("replace into documents values (1, json_object('a', json_array(1, null)))")
    with shared.connect() as c:
        assert rows(c, "select doc from documents") == [('{"a": [1, null]}',)]
    direct = by_node(my, JSON)
    assert direct[0][0]["doc"] == {"a": [1, None]}
    assert by_node(shared, JSON) == direct


def test_a_pool_of_mysql2(shared, my):
    assert by_node(shared, POOL) == [1] * 200
    assert my.value("select count(*) from shop.scratch") == 100
    wait_until(lambda: my.count() <= 3, 30, "3 connections")


def test_statements_of_many_sessions(shared):
    """The same text, prepared by each, with types of its own: nobody gets another's."""
    def work(i):
        with Wire(shared.connect(), 60) as c:
            number = c.prepare("select ?")[0]
            value = i if i % 2 else f"text {i}"
            for n in range(20):
                row = c.execute(number, (value,), types=n == 0).rows[0]
                # MySQL makes eight bytes of a number, MariaDB four
                assert row[2:].ljust(8, b"\0") == struct.pack("<q", i) if i % 2 else row.endswith(value.encode())
        return i
    assert crowd(8, work, 120) == list(range(8))
