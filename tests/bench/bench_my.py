# SPDX-License-Identifier: ISC
"""make bench for MySQL: the same work directly, through the bare relay, HAProxy, weir, and MySQL Router.

As bench.py does it for PostgreSQL: all of them beside one throwaway server, rounds interleaved, medians,
CPU time of the proxy's process. Load is sysbench's. HAProxy passes bytes on (mode tcp) and shares
nothing; MySQL Router shares connections, of MySQL only: it asks MariaDB for variables that it hasn't.
WEIR_MYSQL=mysql runs MySQL 9 instead of MariaDB.
"""

import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time

import pymysql

from benchlib import BOUND, Comparison, Target, cpu_ns, fetched, main

from harness.myproxy import MyProxy
from harness.mysql import MySQL, engines
from harness.mywire import query
from harness.postgres import free_port

TABLE = ["--tables=1", "--table-size=10000"]
PREPARED = {"statements as text": "disable", "prepared statements": "auto"}  # sysbench's --db-ps-mode


def wait_for_port(port, process, name):
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{name} does not listen")
            time.sleep(0.05)


class Bench(Comparison):
    engine = "mysql"

    def __init__(self, args):
        super().__init__(args)
        self.my = MySQL(engines()[0], max_connections=300, innodb_buffer_pool_size="256M", back_log=4096)
        made = self.sysbench("oltp_point_select", "prepare", port=self.my.port)
        if made.returncode:
            sys.exit(f"sysbench can't make its table: {made.stdout[-500:]}{made.stderr[-500:]}")
        self.certs = self.my.certs
        self.floor = self.run_floor(free_port(), self.my.port)
        self.weir = self.start("weir") if not args.without_weir else None
        self.haproxy, self.router = self.start_haproxy(), self.start_router()
        self.proxies = [t for t in (self.weir,) if t]
        others = [t for t in (self.haproxy, self.router) if t]
        self.sharing = self.proxies + [t for t in (self.router,) if t]
        self.targets = [Target("direct", self.my.port), self.floor] + self.proxies + others

    # --- who is measured -----------------------------------------------------------------------------

    def start(self, which, **settings):
        certs = self.certs
        base = {"max_server_connections": BOUND, "max_client_conn": 12000, "query_wait_timeout": 120, "workers": 1,
                "server_tls_sslmode": "disable", "client_tls_sslmode": "allow", "log_connections": 0,
                "client_tls_key_file": certs + "/localhost.key", "client_tls_cert_file": certs + "/localhost.crt",
                "log_disconnections": 0, "listen_backlog": 4096, "client_login_timeout": 120}
        base.update(settings)
        databases = {"shop": f"mysql://app:secret@127.0.0.1:{self.my.port}/shop"}
        proxy = MyProxy(self.my, base, databases)
        return Target(which, proxy.mysql_port, proxy.proc.pid, proxy)

    def launch(self, name, port, command):
        log = open(os.path.join(self.tmp, name + ".log"), "wb")
        process = subprocess.Popen(command, stdout=log, stderr=log)
        log.close()
        self.started.append(process)
        wait_for_port(port, process, name)
        return Target(name, port, process.pid)

    def start_haproxy(self):
        binary = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
        if not binary:
            print("no HAProxy found: apt-get install haproxy", file=sys.stderr)
            return None
        port, path = free_port(), os.path.join(self.tmp, "haproxy.cfg")
        with open(path, "w") as f:
            f.write(f"""global
    maxconn 8000
    nbthread 1
defaults
    mode tcp
    timeout connect 60s
    timeout client 10m
    timeout server 10m
listen mysql
    bind 127.0.0.1:{port} backlog 4096
    server one 127.0.0.1:{self.my.port}
""")
        self.haproxy_version = re.search(r"version (\S+)", subprocess.run([binary, "-v"], capture_output=True,
                                                                          text=True).stdout).group(1)
        return self.launch("haproxy", port, [binary, "-db", "-f", path])

    def start_router(self):
        binary = fetched("mysqlrouter") or shutil.which("mysqlrouter")
        if not binary:
            print("no MySQL Router found: tests/bench/fetch_peers", file=sys.stderr)
            return None
        if self.my.engine == "mariadb":
            print("MySQL Router shares no connections of MariaDB (1193, session_track_gtids): WEIR_MYSQL=mysql compares",
                  file=sys.stderr)
            return None
        port, path = free_port(), os.path.join(self.tmp, "router.conf")
        plugins = [d for d in (fetched("sid/usr/lib/mysqlrouter/plugin"),) if d]
        with open(path, "w") as f:
            f.write("[DEFAULT]\n" + "".join(f"plugin_folder={d}\n" for d in plugins) + f"""logging_folder=
runtime_folder={self.tmp}
data_folder={self.tmp}
keyring_path={self.tmp}/keyring
max_total_connections=8000
[logger]
level=WARNING
[io]
threads=1
[connection_pool]
max_idle_server_connections={BOUND}
[routing:mysql]
bind_address=127.0.0.1
bind_port={port}
destinations=127.0.0.1:{self.my.port}
routing_strategy=first-available
protocol=classic
client_ssl_mode=DISABLED
server_ssl_mode=DISABLED
connection_sharing=1
connection_sharing_delay=0
""")
        user = ["--user=root"] if os.geteuid() == 0 else []
        self.router_version = re.search(r"Ver (\S+)", subprocess.run([binary, "--version"], capture_output=True,
                                                                     text=True).stdout).group(1)
        return self.launch("router", port, [binary, "-c", path, *user])

    # --- tools ---------------------------------------------------------------------------------------

    def sysbench(self, test, command, *args, port):
        return subprocess.run(["sysbench", test, "--mysql-host=127.0.0.1", f"--mysql-port={port}", "--mysql-user=app",
                               "--mysql-password=secret", "--mysql-db=shop", *TABLE, *args, command],
                              capture_output=True, text=True)

    def load(self, target, test, threads, ps_mode):
        """tps, average latency (us) and the proxy's CPU time per transaction (us)."""
        before = cpu_ns(target.pid) if target.pid else 0
        out = self.sysbench(test, "run", f"--threads={threads}", f"--time={self.seconds}", f"--db-ps-mode={ps_mode}",
                            port=target.port)
        used = (cpu_ns(target.pid) - before) if target.pid else 0
        found = re.search(r"transactions:\s+(\d+)\s+\(([\d.]+) per sec", out.stdout)
        if out.returncode or not found:
            print(f"sysbench through {target.name}: {out.stdout.strip()[-300:]}", file=sys.stderr)
            return None
        # sysbench rounds its average to 10 us: what all threads had is exact
        done, tps = int(found.group(1)), float(found.group(2))
        return {"tps": tps, "us": threads / tps * 1e6, "cpu": used / 1000 / max(done, 1)}

    def conninfo(self, port, tls=False):
        # Without a root of its own Connector/C reads all of the system's for each connection: 30 ms, and the
        # last of 5,000 logins would be later than client_login_timeout for that alone.
        mode = f"sslmode=require sslrootcert={self.certs}/ca.crt" if tls else "sslmode=disable"
        return f"host=127.0.0.1 port={port} user=app password=secret dbname=shop {mode}"

    # --- parts ---------------------------------------------------------------------------------------

    def part_throughput(self):
        """sysbench: point selects, as text and prepared, with 1, 16 and 64 clients; read-write with 16."""
        cases = [(f"point select, {how}, {n} clients", "oltp_point_select", n, mode)
                 for n in (16, 64, 1) for how, mode in PREPARED.items()]
        cases += [(f"read-write, {how}, 16 clients", "oltp_read_write", 16, mode) for how, mode in PREPARED.items()]
        for what, test, clients, mode in cases:
            got = self.interleave(self.targets, lambda t: self.load(t, test, clients, mode))
            med = {n: {k: statistics.median(r[k] for r in rs) for k in ("tps", "us", "cpu")} for n, rs in got.items() if rs}
            self.say(what, {n: f"{m['tps']:.0f}/s" + (f" {m['cpu']:.1f}us" if m["cpu"] else "") for n, m in med.items()})
            if not self.weir:
                continue
            if "weir" not in med:
                self.judge(what, "runs", "failed", False)
            elif clients == 16 and test == "oltp_point_select":
                self.judge_cpu(what, med)
            elif clients == 1 and "haproxy" in med:
                a, b = (med[n]["us"] - med["direct"]["us"] for n in ("weir", "haproxy"))
                self.judge(f"added latency, {what}", "<= HAProxy", f"{a:.0f} us (HAProxy {b:.0f})", a <= b)

    def judge_cpu(self, what, med):
        for name, who, limit in (("floor", "the floor", 1.2), ("haproxy", "HAProxy", 1.0), ("router", "MySQL Router", 0.4)):
            if name in med:
                ratio = med["weir"]["cpu"] / med[name]["cpu"]
                self.judge(f"CPU per {what}", f"<= {limit} of {who}", f"{ratio:.2f}", ratio <= limit)

    def part_connect(self):
        """A new connection for each transaction, 16 at a time: what the proxies need of it."""
        others = [t for t in (self.floor, self.haproxy) if t]
        got = self.interleave(self.sharing + others, lambda t: self.churn(t, self.conninfo(t.port)))
        med = {n: statistics.median(v) for n, v in got.items() if v}
        self.say("CPU per login+tx+logout", {n: f"{v:.0f}us" for n, v in med.items()})
        if "weir" in med and "router" in med:
            self.judge("CPU per login + transaction + logout", "<= MySQL Router", f"{med['weir']:.0f} us "
                       f"(MySQL Router {med['router']:.0f})", med["weir"] <= med["router"])

    def part_memory(self):
        """5,000 clients logged in at once, then idle. A fresh weir with all its server connections."""
        count = 500 if self.args.quick else 5000
        for tls, limit in ((False, 640), (True, 8192)):
            t = self.start("weir", min_pool_size=BOUND)
            found, kept = self.idle_memory(t, self.conninfo(t.port, tls), count)
            self.end(t)
            name = "TLS" if tls else "no TLS"
            if found is None:
                self.judge(f"memory per idle client, {name}", f"<= {limit} B", "failed", False)
                continue
            self.say(f"memory per idle client, {name}", {"weir": f"{found:.0f} B (kept after: {kept / 1e6:.1f} MB)"})
            self.judge(f"memory per idle client, {count} at once, {name}", f"<= {limit} B", f"{found:.0f} B",
                       0 < found <= limit + 0.05)  # not above 0: lost in what else the process gave back
            self.judge(f"kept after the storm, {name}", "<= 20% of it", f"{kept / 1e6:.1f} MB of {found * count / 1e6:.1f}",
                       kept <= max(0.2 * found * count, 1e6))

    def part_burst(self):
        """All at once: log in, one statement, log out. Only weir has a bound of 20 server connections."""
        for count in ((500,) if self.args.quick else (2000, 5000)):
            got = self.interleave(self.sharing, lambda t: self.swarm("burst", count, self.conninfo(t.port)))
            med = {n: [statistics.median(c) for c in zip(*v)] for n, v in got.items() if v}
            self.say(f"burst of {count}", {n: f"refused {v[1]:.0f} p50 {v[2]:.0f} ms p99 {v[3]:.0f} ms" for n, v in med.items()})
            if "weir" in med:
                refused = max(r[1] for r in got["weir"])
                self.judge(f"burst of {count}: refused", "0", f"{refused:.0f}", refused == 0)
        out = self.swarm("burst", 2000, self.conninfo(self.my.port)) if not self.args.quick else None
        if out:
            self.say("burst of 2000, no proxy", {"refused": f"{out[1]:.0f}"})

    def part_large(self):
        """Answers of 100 MB, read as fast as they come."""
        with self.my.root() as conn, conn.cursor() as c:
            c.execute("create table if not exists large (line varchar(1000)) charset latin1")
            c.execute("delete from large")
            c.execute("insert into large select repeat('x', 1000) from items a, items b where b.id <= 100")
            conn.commit()

        buf = bytearray(1 << 20)
        size = 100_000 * 1000

        def fetch(t):
            conn = pymysql.connect(host="127.0.0.1", port=t.port, user="app", password="secret", database="shop",
                                   ssl_disabled=True)
            with conn.cursor() as c:
                c.execute("select 1")
            sock = conn._sock
            before, begun, total = (cpu_ns(t.pid) if t.pid else 0), time.monotonic(), 0
            sock.sendall(query("select line from large"))
            sock.settimeout(60)
            # the last packet is short and comes after all rows
            while total < size or buf[max(0, n - 5):max(0, n - 4)] != b"\xfe":
                n = sock.recv_into(buf)
                total += n
                if n == 0:
                    print(f"large answer through {t.name}: closed after {total} bytes", file=sys.stderr)
                    return None
            took = time.monotonic() - begun
            used = (cpu_ns(t.pid) - before) if t.pid else 0
            conn.close()
            return {"cpu": used / 1e9 / (total / 1e9), "rate": total / 1e6 / took}
        got = self.interleave(self.targets, fetch)
        med = {n: {k: statistics.median(r[k] for r in v) for k in ("cpu", "rate")} for n, v in got.items() if v}
        self.say("100 MB answers", {n: f"{m['rate']:.0f} MB/s {m['cpu']:.2f} s/GB" for n, m in med.items()})

    def close(self):
        try:
            super().close()
        finally:
            self.my.destroy()


def title(b):
    name = "MariaDB" if b.my.engine == "mariadb" else "MySQL"
    others = ([f"HAProxy {b.haproxy_version}"] if b.haproxy else []) + ([f"MySQL Router {b.router_version}"] if b.router else [])
    return ", ".join([f"{name} {b.my.version}"] + others)


if __name__ == "__main__":
    main(Bench, title)
