# SPDX-License-Identifier: ISC
"""Real drivers as players of a script, in lock-step.

A player is a program that holds one connection. It reads a step as one JSON object a line ({"op": "query", "sql": ...},
op is query, exec, execute, ping, schema, close ...) and answers with one line: result sets with columns and rows, affected
rows, insert ids, warnings, or an error. Two players fed in turns are two sessions whose statements interleave; the
same script played by the same driver directly and through weir must give the same lines.
"""

import json
import os
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
PLAYERS = os.path.join(HERE, "..", "players")


def cache(name):
    path = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "weir", name)
    os.makedirs(path, exist_ok=True)
    return path


def need(name):
    path = shutil.which(name)
    assert path, f"{name} is missing: the system tests need every driver"
    return path


def node_modules(*names):
    """Where npm's packages are; fetched when they are not there."""
    where = cache("node")
    shutil.copy(os.path.join(HERE, "..", "drivers", "package.json"), where)
    if not all(os.path.isdir(os.path.join(where, "node_modules", m)) for m in names):
        out = subprocess.run([need("npm"), "install", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=where,
                             capture_output=True, text=True, timeout=180)
        assert out.returncode == 0, out.stderr[-2000:]
    return os.path.join(where, "node_modules")


def built_go():
    binary = os.path.join(cache("go"), "goplayer")
    env = dict(os.environ, GO111MODULE="off", GOPATH="/usr/share/gocode", GOFLAGS="", GOCACHE=cache("go-build"))
    out = subprocess.run([need("go"), "build", "-o", binary, os.path.join(PLAYERS, "goplayer", "main.go")], env=env,
                         capture_output=True, text=True, timeout=300)
    assert out.returncode == 0, out.stderr
    return binary


def built_java():
    jar = "/usr/share/java/mariadb-java-client.jar"
    assert os.path.exists(jar), "libmariadb-java is missing"
    where = cache("jdbc")
    subprocess.run([need("javac"), "-d", where, os.path.join(PLAYERS, "Player.java")], check=True, capture_output=True)
    return [need("java"), "-Xmx128m", "-XX:+UseSerialGC", "-cp", f"{where}:{jar}:/usr/share/java/slf4j-api.jar", "Player"]


def commands():
    """name -> (command, environment, what `execute` becomes)"""
    py, node = "/usr/bin/python3", need("node")
    js = {"NODE_PATH": node_modules("mysql2", "mariadb")}
    go, java = built_go(), built_java()
    return {
        "pymysql": ([py, f"{PLAYERS}/player.py", "pymysql"], {}, "text"),
        "mysqlclient": ([py, f"{PLAYERS}/player.py", "mysqlclient"], {}, "text"),
        "mysql2": ([node, f"{PLAYERS}/player.js", "mysql2"], js, "prepared"),
        "mariadb": ([node, f"{PLAYERS}/player.js", "mariadb"], js, "prepared"),
        "pdo": ([need("php"), f"{PLAYERS}/player.php", "emulate"], {}, "prepared"),
        "pdo-prepare": ([need("php"), f"{PLAYERS}/player.php", "prepare"], {}, "prepared"),
        "laravel": ([need("php"), f"{PLAYERS}/player.php", "laravel"], {}, "prepared"),
        "go": ([go], {}, "prepared"),
        "go-interpolate": ([go], {"MODE": "interpolate"}, "prepared"),
        "jdbc": (java, {}, "prepared"),
        "jdbc-server": (java, {"MODE": "server"}, "prepared"),
    }


class Player:
    """One session of a driver. `where` has host and port."""

    def __init__(self, kind, how, where, user="app", password="secret", schema="shop", **options):
        command, env, self.execute = how
        self.kind = kind
        env = dict(os.environ, DBHOST=where.host, DBPORT=str(getattr(where, "mysql_port", where.port)), DBUSER=user,
                   DBPASSWORD=password, DBNAME=schema, OPTIONS=json.dumps(options), **env)
        self.proc = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                     text=True, bufsize=1)
        ready = self.read()
        assert ready == {"ready": 1}, f"{kind}: {ready}"

    def read(self):
        line = self.proc.stdout.readline()
        if not line:
            self.proc.wait(10)
            raise AssertionError(f"{self.kind} ended with {self.proc.returncode}: {self.proc.stderr.read()[-2000:]}")
        return json.loads(line)

    def send(self, step):
        if self.kind.startswith("jdbc"):
            op = step["op"] + ("+" if step.get("keep") else "")
            fields = [op, escape(step.get("sql", step.get("name", "")))]
            fields += ["\\N" if p is None else escape(str(p)) for p in step.get("params", [])]
            line = "\t".join(fields)
        else:
            if step["op"] == "execute" and self.execute == "text":
                step = dict(step, sql=step["sql"].replace("?", "%s"))
            line = json.dumps(step)
        self.proc.stdin.write(line + "\n")
        self.proc.stdin.flush()

    def play(self, step):
        self.send(step)
        return self.read()

    def query(self, sql):
        return self.play({"op": "query", "sql": sql})

    def run(self, sql, *params, keep=False):
        return self.play({"op": "execute", "sql": sql, "params": list(params), "keep": keep})

    def value(self, sql):
        return self.query(sql)["sets"][0]["rows"][0][0]

    def close(self):
        if self.proc.poll() is None:
            try:
                self.play({"op": "close"})
            except (AssertionError, BrokenPipeError):
                pass
        self.proc.stdin.close()
        try:
            self.proc.wait(10)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait(10)
        self.proc.stdout.close()
        self.proc.stderr.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def escape(s):
    return s.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
