# SPDX-License-Identifier: ISC
"""Real drivers: thirty clients of each over three server connections, none of which may notice.

All run the same small program: an application name, CRUD in transactions, prepared statements in a loop,
errors outside and inside transactions, a large answer. A driver that is missing is a failure.
"""

import asyncio
import glob
import os
import shutil
import subprocess

import asyncpg
import psycopg
import psycopg2
import psycopg2.extras
import pytest

from harness.proxy import Proxy, Sampler, crowd

pytestmark = pytest.mark.weir_only
HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "drivers")
CLIENTS = 30


@pytest.fixture(scope="module")
def proxy(pg):
    if os.environ.get("WEIR_PEER") == "postgres":  # the programs themselves, checked without a proxy
        class Direct:
            host, port = pg.host, pg.port
            dsn = Proxy.dsn
        yield Direct()
        return
    proxy = Proxy(pg)
    yield proxy
    problem = proxy.destroy()
    assert not problem, problem


@pytest.fixture(autouse=True)
def bounded(pg, proxy):
    with Sampler(pg) as seen:
        yield
    if os.environ.get("WEIR_PEER") != "postgres":
        assert seen.highest <= 3
    with pg.superuser() as s:
        left = s.value("select count(*) from scratch")
        s.rows("delete from scratch")
    assert left == "0"


def cache(name):
    path = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "weir", name)
    os.makedirs(path, exist_ok=True)
    return path


def program(command, proxy, copies=1, **more):
    """Runs the program, or so many copies of it at once; each must end with `ok`."""
    env = dict(os.environ, DBHOST=proxy.host, DBPORT=str(proxy.port), DBUSER="app", DBPASSWORD="secret", DBNAME="shop",
               CLIENTS=str(CLIENTS), **more)
    running = [subprocess.Popen(command, env=dict(env, NUMBER=str(i)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
               for i in range(copies)]
    for p in running:
        out, err = p.communicate(timeout=90)
        assert p.returncode == 0 and out.strip().endswith("ok"), (out + err)[-3000:]


def need(name):
    path = shutil.which(name)
    assert path, f"{name} is missing: the system tests need every driver"
    return path


@pytest.fixture(scope="module")
def node_modules():
    where = cache("node")
    shutil.copy(os.path.join(HERE, "package.json"), where)
    if not all(os.path.isdir(os.path.join(where, "node_modules", m)) for m in ("pg", "postgres")):
        out = subprocess.run([need("npm"), "install", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=where,
                             capture_output=True, text=True, timeout=180)
        assert out.returncode == 0, out.stderr[-2000:]
    return os.path.join(where, "node_modules")


@pytest.mark.parametrize("name", ["node_pg", "postgres_js"])
def test_node(proxy, node_modules, name):
    program([need("node"), os.path.join(HERE, name + ".js")], proxy, NODE_PATH=node_modules)


def test_php_pdo(proxy):
    program([need("php"), os.path.join(HERE, "pdo.php")], proxy, copies=12)


def test_jdbc(proxy):
    jar = "/usr/share/java/postgresql.jar"
    assert os.path.exists(jar), "libpostgresql-jdbc-java is missing"
    where = cache("jdbc")
    subprocess.run([need("javac"), "-d", where, os.path.join(HERE, "Jdbc.java")], check=True, capture_output=True)
    scram = ":".join(glob.glob("/usr/share/java/*scram*.jar") + glob.glob("/usr/share/java/*stringprep*.jar")
                     + glob.glob("/usr/share/java/*saslprep*.jar"))
    program([need("java"), "-Xmx256m", "-cp", f"{where}:{jar}:{scram}", "Jdbc"], proxy)


@pytest.mark.parametrize("name", ["gopq", "gopgx"])
def test_go(proxy, name):
    binary = os.path.join(cache("go"), name)
    env = dict(os.environ, GO111MODULE="off", GOPATH="/usr/share/gocode", GOFLAGS="", GOCACHE=cache("go-build"))
    out = subprocess.run([need("go"), "build", "-o", binary, os.path.join(HERE, name, "main.go")], env=env, capture_output=True,
                         text=True, timeout=300)
    assert out.returncode == 0, out.stderr
    program([binary], proxy)


def common(connect, execute, error, who):
    """The program for the two psycopgs: their interfaces differ only in details."""
    conn = connect(who)
    cur = conn.cursor()
    cur.execute("show application_name")
    assert cur.fetchone()[0] == who
    conn.rollback()
    for n in range(3):
        cur.execute("insert into scratch (who, note) values (%s, %s)", (who, str(n)))
    cur.execute("update scratch set note = 'changed' where who = %s and note = '1'", (who,))
    cur.execute("delete from scratch where who = %s and note = '2'", (who,))
    assert cur.rowcount == 1
    conn.commit()
    cur.execute("insert into scratch (who) values (%s)", (who,))
    conn.rollback()
    cur.execute("select count(*) from scratch where who = %s", (who,))
    assert cur.fetchone()[0] == 2
    conn.commit()
    for n in range(30):
        execute(cur, "select %s::int * 2", (n,))
        assert cur.fetchone()[0] == 2 * n
        if n % 4 == 0:
            conn.commit()
    conn.commit()
    for sql, code in (("insert into items values (1, 'x', 1)", "23505"), ("select 1/0", "22012"), ("selec", "42601")):
        with pytest.raises(error) as err:
            cur.execute(sql)
        assert (getattr(err.value, "sqlstate", None) or err.value.pgcode) == code
        with pytest.raises(error):
            cur.execute("select 1")
        conn.rollback()
    cur.execute("select i, repeat('x', 100) from generate_series(1, 20000) i")
    assert len(cur.fetchall()) == 20000
    cur.execute("delete from scratch where who = %s", (who,))
    conn.commit()
    conn.close()


def test_psycopg2(proxy):
    def work(i):
        common(lambda who: psycopg2.connect(proxy.dsn(application_name=who)), lambda c, sql, p: c.execute(sql, p),
               psycopg2.Error, f"psycopg2 {i}")
    crowd(CLIENTS, work, 90)


def test_psycopg2_named_cursor_and_copy(proxy):
    with psycopg2.connect(proxy.dsn()) as conn:
        cur = conn.cursor("big")
        cur.itersize = 1000
        cur.execute("select i from generate_series(1, 10000) i")
        assert sum(r[0] for r in cur) == 50005000
    conn.close()


def test_psycopg(proxy):
    def work(i):
        common(lambda who: psycopg.connect(proxy.dsn(application_name=who), prepare_threshold=2),
               lambda c, sql, p: c.execute(sql, p), psycopg.Error, f"psycopg {i}")
    crowd(CLIENTS, work, 90)


def test_psycopg_copy_and_server_cursor(proxy):
    with psycopg.connect(proxy.dsn()) as conn:
        with conn.cursor() as cur, cur.copy("copy scratch (who, note) from stdin") as copy:
            for n in range(1000):
                copy.write_row(("psycopg", str(n)))
        with conn.cursor(name="c") as cur:
            cur.execute("select note from scratch where who = 'psycopg'")
            assert len(cur.fetchall()) == 1000
        conn.rollback()


def test_asyncpg(proxy):
    async def one(i):
        who = f"asyncpg {i}"
        c = await asyncpg.connect(host=proxy.host, port=proxy.port, user="app", password="secret", database="shop",
                                  server_settings={"application_name": who})
        assert await c.fetchval("show application_name") == who
        async with c.transaction():
            await c.executemany("insert into scratch (who, note) values ($1, $2)", [(who, str(n)) for n in range(3)])
            await c.execute("update scratch set note = 'changed' where who = $1 and note = '1'", who)
            assert await c.execute("delete from scratch where who = $1 and note = '2'", who) == "DELETE 1"
        try:
            async with c.transaction():
                await c.execute("insert into scratch (who) values ($1)", who)
                raise KeyError
        except KeyError:
            pass
        assert await c.fetchval("select count(*) from scratch where who = $1", who) == 2
        st = await c.prepare("select $1::int * 2")
        for n in range(30):
            assert await st.fetchval(n) == 2 * n
        with pytest.raises(asyncpg.UniqueViolationError):
            await c.execute("insert into items values (1, 'x', 1)")
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with c.transaction():
                async with c.transaction():
                    await c.fetchval("select 1/$1::int", 0)
        async with c.transaction():
            total = 0
            async for _ in c.cursor("select i, repeat('x', 100) from generate_series(1, 5000) i"):
                total += 1
            assert total == 5000
        assert len(await c.fetch("select i, repeat('x', 100) from generate_series(1, 20000) i")) == 20000
        await c.execute("delete from scratch where who = $1", who)
        await c.close()

    async def all_():
        await asyncio.gather(*[one(i) for i in range(CLIENTS)])
    asyncio.run(asyncio.wait_for(all_(), 90))


def test_asyncpg_pool_with_its_resets(proxy):
    """Its reset query at each release: advisory locks, cursors, LISTEN, settings."""
    async def go():
        async with asyncpg.create_pool(host=proxy.host, port=proxy.port, user="app", password="secret", database="shop",
                                       min_size=5, max_size=10) as pool:
            async def one(i):
                async with pool.acquire() as c:
                    await c.execute("set lock_timeout = '5s'")
                    assert await c.fetchval("select $1::int", i) == i
                async with pool.acquire() as c:
                    assert await c.fetchval("show lock_timeout") == "0"
            await asyncio.gather(*[one(i) for i in range(60)])
    asyncio.run(asyncio.wait_for(go(), 60))
