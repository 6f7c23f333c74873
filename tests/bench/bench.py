# SPDX-License-Identifier: ISC
"""make bench: the same work directly, through the bare relay, through weir and through PgBouncer.

All of them run beside one throwaway PostgreSQL for the whole run. Rounds are interleaved (a, b, c, a, b,
c, ...), so that whatever disturbs the machine disturbs all alike, and medians are printed. CPU time is
the proxy's own (/proc/PID/task/*/schedstat), never the database's or the client's.

Nothing here is a test: figures stand beside their targets with PASS or MISS, and the exit code is 0.
"""

import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time

from benchlib import BOUND, Comparison, Target, cpu_ns, fetched, main

from harness.postgres import Postgres, bindir, free_port
from harness.proxy import Proxy
from harness.wire import Conn, query, scram_secret

MODES = ("simple", "extended", "prepared")


# --- who is measured ---------------------------------------------------------------------------------

def pgbouncer_binary():
    for candidate in (os.environ.get("PGBOUNCER_BIN"), fetched("pgbouncer"), shutil.which("pgbouncer"), "/usr/sbin/pgbouncer"):
        if candidate and os.access(candidate, os.X_OK):
            return candidate
    return None


class Bench(Comparison):
    engine = "postgres"

    def __init__(self, args):
        super().__init__(args)
        self.pg = Postgres(max_connections=300, shared_buffers="256MB", log_connections="off", log_disconnections="off")
        subprocess.run([self.tool("pgbench"), "-i", "-q", "-s", "10", *self.url(self.pg.port)], env=self.env(), check=True,
                       capture_output=True)
        with self.pg.superuser() as c:
            c.rows("vacuum analyze")
        self.certs = self.pg.certs
        self.targets = [Target("direct", self.pg.port)]
        self.floor = self.run_floor(free_port(), self.pg.port)
        self.weir = self.start("weir", workers=1) if not args.without_weir else None
        self.bouncer = None
        if pgbouncer_binary():
            os.environ["PGBOUNCER_BIN"] = pgbouncer_binary()
            self.bouncer = self.start("pgbouncer", max_prepared_statements=200 if self.bouncer_version() >= (1, 21) else None)
        else:
            print("no PgBouncer found: nothing to compare with", file=sys.stderr)
        self.proxies = [t for t in (self.weir, self.bouncer) if t]
        self.targets += [self.floor] + self.proxies

    def bouncer_version(self):
        out = subprocess.run([pgbouncer_binary(), "--version"], capture_output=True, text=True).stdout
        found = re.search(r"(\d+)\.(\d+)", out)
        return tuple(map(int, found.groups()))

    def start(self, which, databases=None, **settings):
        certs = self.certs
        base = {"max_server_connections": BOUND, "max_client_conn": 12000, "query_wait_timeout": 120, "auth_type":
                "scram-sha-256", "server_tls_sslmode": "disable", "client_tls_sslmode": "allow", "client_tls_key_file": certs + "/localhost.key",
                "client_tls_cert_file": certs + "/localhost.crt", "log_connections": 0, "log_disconnections": 0,
                "listen_backlog": 4096, "client_login_timeout": 120}
        base.update(settings)
        # What the proxies store is a SCRAM secret, so that they don't pay for its rounds at each login. It has
        # one: a real fleet computes its clients' 4,096 elsewhere, here they would be what is measured.
        if databases is None:
            databases = {"shop": {"host": "127.0.0.1", "port": self.pg.port, "dbname": "shop", "user": "app",
                                  "password": "secret"}}
        proxy = Proxy(self.pg, {k: v for k, v in base.items() if v is not None}, databases, which=which,
                      userlist={"app": scram_secret("secret", 1), "admin": "admin secret"})
        pid = proxy.proc.pid
        return Target(which, proxy.port, pid, proxy)

    # --- tools ---------------------------------------------------------------------------------------

    def tool(self, name):
        path = os.path.join(bindir(), name)
        return path if os.access(path, os.X_OK) else shutil.which(name)

    def env(self, tls=False):
        return dict(os.environ, PGPASSWORD="secret", PGSSLMODE="require" if tls else "disable")

    def url(self, port):
        return ["-h", "127.0.0.1", "-p", str(port), "-U", "app", "shop"]

    def conninfo(self, port, tls=False):
        return (f"host=127.0.0.1 port={port} user=app password=secret dbname=shop "
                f"sslmode={'require' if tls else 'disable'} gssencmode=disable")

    def pgbench(self, target, clients, *args, tls=False, seconds=None):
        """tps, average latency (us) and the proxy's CPU time per transaction (us)."""
        before = cpu_ns(target.pid) if target.pid else 0
        jobs = min(clients, 2)
        out = subprocess.run([self.tool("pgbench"), "-n", "-c", str(clients), "-j", str(jobs), "-T",
                              str(seconds or self.seconds), *args, *self.url(target.port)], env=self.env(tls),
                             capture_output=True, text=True)
        used = (cpu_ns(target.pid) - before) if target.pid else 0
        if out.returncode:
            print(f"pgbench through {target.name}: {out.stderr.strip()[-300:]}", file=sys.stderr)
            return None
        done = int(re.search(r"transactions actually processed: (\d+)", out.stdout).group(1))
        tps = float(re.search(r"^tps = ([\d.]+)", out.stdout, re.M).group(1))
        latency = float(re.search(r"latency average = ([\d.]+)", out.stdout).group(1))
        return {"tps": tps, "us": latency * 1000, "cpu": used / 1000 / max(done, 1), "done": done}

    # --- parts ---------------------------------------------------------------------------------------

    def part_throughput(self):
        """pgbench: select-only in three protocols at 16 and 64, TPC-B at 32, with TLS, single client."""
        cases = [(f"select {mode}, {n} clients", n, ["-S", "-M", mode], False) for n in (16, 64) for mode in MODES]
        cases += [("TPC-B simple, 32 clients", 32, ["-M", "simple"], False),
                  ("select simple, 16 clients, TLS", 16, ["-S"], True),
                  ("select simple, 1 client", 1, ["-S", "-M", "simple"], False),
                  ("select prepared, 1 client", 1, ["-S", "-M", "prepared"], False)]
        for what, clients, args, tls in cases:
            targets = [t for t in self.targets if not (tls and t is self.floor)]
            got = self.interleave(targets, lambda t: self.pgbench(t, clients, *args, tls=tls))
            med = {n: {k: statistics.median(r[k] for r in rs) for k in ("tps", "us", "cpu")} for n, rs in got.items() if rs}
            self.say(what, {n: f"{m['tps']:.0f}/s" + (f" {m['cpu']:.1f}us" if m["cpu"] else "") for n, m in med.items()})
            weir, floor, other = med.get("weir"), med.get("floor"), med.get("pgbouncer")
            if not weir:
                self.judge(what, "runs", "failed", False)
                continue
            if clients == 16 and not tls and "select" in what and floor:
                ratio = weir["cpu"] / floor["cpu"]
                beside = f" (PgBouncer {other['cpu'] / floor['cpu']:.2f})" if other else ""
                self.judge(f"CPU per transaction, {what}", "<= 1.15 of the floor", f"{ratio:.2f}{beside}", ratio <= 1.15)
            if other and clients in (64, 32) or tls and other:
                ratio = weir["tps"] / other["tps"]
                self.judge(f"throughput, {what}", ">= PgBouncer", f"{ratio:.2f} of it", ratio >= 1)
            if other and clients == 1:
                base = med["direct"]["us"]
                a, b = weir["us"] - base, other["us"] - base
                self.judge(f"added latency, {what}", "<= PgBouncer", f"{a:.0f} us (PgBouncer {b:.0f})", a <= b)

    def part_connect(self):
        """A new connection for each transaction."""
        for tls in (False, True):
            what = "new connection each" + (", TLS" if tls else "")
            targets = [t for t in self.targets if not (tls and t is self.floor)]
            got = self.interleave(targets, lambda t: self.pgbench(t, 8, "-S", "-C", tls=tls))
            med = {n: statistics.median(r["tps"] for r in rs) for n, rs in got.items() if rs}
            self.say(what, {n: f"{v:.0f}/s" for n, v in med.items()})

        got = self.interleave(self.proxies, lambda t: self.churn(t, self.conninfo(t.port)))
        med = {n: statistics.median(v) for n, v in got.items() if v}
        self.say("CPU per login+tx+logout", {n: f"{v:.0f}us" for n, v in med.items()})
        if len(med) == 2:
            ratio = med["weir"] / med["pgbouncer"]
            self.judge("CPU per login + transaction + logout", "<= 0.7 of PgBouncer", f"{ratio:.2f} ({med['weir']:.0f} us)",
                       ratio <= 0.7)

    def part_syscalls(self):
        """perf stat around a whole pgbench run, less the logins: long enough that those don't matter."""
        if not shutil.which("perf"):
            print("no perf: system calls not counted", file=sys.stderr)
            return
        limits = {1: 6, 16: 4.6, 64: 4.6}
        for mode in MODES:
            for clients, limit in limits.items():
                found = {}
                for t in [self.floor] + self.proxies:
                    log = os.path.join(self.tmp, "perf.out")
                    counting = subprocess.Popen(["perf", "stat", "-x", ",", "-o", log, "-e", "raw_syscalls:sys_enter", "-p",
                                                 str(t.pid)])
                    time.sleep(0.3)
                    got = self.pgbench(t, clients, "-S", "-M", mode, seconds=max(2, self.seconds))
                    counting.send_signal(signal.SIGINT)
                    counting.wait()
                    with open(log) as f:
                        calls = re.search(r"^(\d+),[^\n]*raw_syscalls", f.read(), re.M)
                    if got and calls:
                        found[t.name] = int(calls.group(1)) / got["done"]
                self.say(f"system calls, {mode}, {clients}", {n: f"{v:.2f}" for n, v in found.items()})
                if mode == "simple" and "weir" in found:
                    beside = f" (PgBouncer {found['pgbouncer']:.2f})" if "pgbouncer" in found else ""
                    self.judge(f"system calls per transaction, {clients} clients", f"<= {limit}",
                               f"{found['weir']:.2f}{beside}", found["weir"] <= limit + 0.05)

    def part_memory(self):
        """5,000 clients logged in at once, then idle. Fresh proxies with all their server connections: those are
        not the clients' memory."""
        count = 500 if self.args.quick else 5000
        for tls, limit in ((False, 640), (True, 8192)):
            found, kept = {}, {}
            for which in [t.name for t in self.proxies]:
                t = self.start(which, workers=1, min_pool_size=BOUND)
                memory, kept[which] = self.idle_memory(t, self.conninfo(t.port, tls), count)
                if memory is not None:
                    found[which] = memory
                self.end(t)
            name = "TLS" if tls else "no TLS"
            self.say(f"memory per idle client, {name}", {n: f"{v:.0f} B (kept after: {kept[n] / 1e6:.1f} MB)"
                                                         for n, v in found.items()})
            if "weir" in found:
                beside = f" (PgBouncer {found['pgbouncer']:.0f})" if "pgbouncer" in found else ""
                self.judge(f"memory per idle client, {count} at once, {name}", f"<= {limit} B", f"{found['weir']:.0f} B{beside}",
                           found["weir"] <= limit + 0.05)
                self.judge(f"kept after the storm, {name}", "<= 20% of it",
                           f"{kept['weir'] / 1e6:.1f} MB of {found['weir'] * count / 1e6:.1f}",
                           kept["weir"] <= max(0.2 * found["weir"] * count, 1e6))

    def part_burst(self):
        """All at once: log in, one statement, log out; 20 server connections."""
        for count in ((500,) if self.args.quick else (2000, 5000)):
            got = self.interleave(self.proxies, lambda t: self.swarm("burst", count, self.conninfo(t.port)))
            med = {n: [statistics.median(c) for c in zip(*v)] for n, v in got.items() if v}
            self.say(f"burst of {count}", {n: f"refused {v[1]:.0f} p50 {v[2]:.0f} ms p99 {v[3]:.0f} ms" for n, v in med.items()})
            if "weir" in med:
                refused, p99 = max(r[1] for r in got["weir"]), med["weir"][3]
                self.judge(f"burst of {count}: refused", "0", f"{refused:.0f}", refused == 0)
                if "pgbouncer" in med:
                    self.judge(f"burst of {count}: p99", "<= PgBouncer", f"{p99:.0f} ms (PgBouncer {med['pgbouncer'][3]:.0f})",
                               p99 <= med["pgbouncer"][3])
        out = self.swarm("burst", 2000, self.conninfo(self.pg.port)) if not self.args.quick else None
        if out:
            self.say("burst of 2000, no proxy", {"refused": f"{out[1]:.0f}"})

    def part_large(self):
        """One answer of 100 MB, read as fast as it comes."""
        sql = "copy (select repeat('x', 1000) from generate_series(1, 100000)) to stdout"
        buf = bytearray(1 << 20)

        def fetch(t):
            conn = Conn("127.0.0.1", t.port).login("app", "secret", "shop")
            conn.simple("select 1")
            before, begun, total = (cpu_ns(t.pid) if t.pid else 0), time.monotonic(), 0
            conn.send(query(sql))
            conn.sock.settimeout(60)
            while True:
                n = conn.sock.recv_into(buf)
                total += n
                if n == 0 or buf[max(0, n - 6):n] == b"Z\0\0\0\5I":
                    break
            took = time.monotonic() - begun
            used = (cpu_ns(t.pid) - before) if t.pid else 0
            conn.terminate()
            return {"cpu": used / 1e9 / (total / 1e9), "rate": total / 1e6 / took}
        got = self.interleave(self.targets, fetch)
        med = {n: {k: statistics.median(r[k] for r in v) for k in ("cpu", "rate")} for n, v in got.items() if v}
        self.say("100 MB answers", {n: f"{m['rate']:.0f} MB/s {m['cpu']:.2f} s/GB" for n, m in med.items()})
        if "weir" in med and "pgbouncer" in med:
            ratio = med["weir"]["cpu"] / med["pgbouncer"]["cpu"]
            self.judge("large answers: CPU per GB", "<= 0.5 of PgBouncer", f"{ratio:.2f} ({med['weir']['cpu']:.2f} s)", ratio <= 0.5)
            ratio = med["weir"]["rate"] / med["pgbouncer"]["rate"]
            self.judge("large answers: throughput", ">= PgBouncer", f"{ratio:.2f} of it", ratio >= 1)

    def part_workers(self):
        """Two workers against one where the proxy is what limits."""
        port = free_port()
        server = subprocess.Popen([os.path.join(self.tmp, "instant_server"), str(port), "1"])
        self.started.append(server)
        time.sleep(0.3)
        databases = {"shop": {"host": "127.0.0.1", "port": port, "dbname": "shop"}}
        targets = []
        for n in (1, 2):
            t = self.start("weir", databases=databases, workers=n, auth_type="trust")
            t.name = f"{n} worker" + ("s" if n > 1 else "")
            targets.append(t)

        def work(t):
            before = cpu_ns(t.pid)
            out = self.swarm("query", self.seconds, 64, self.conninfo(t.port))
            return out and {"rate": out[0] / self.seconds, "cpu": (cpu_ns(t.pid) - before) / 1000 / max(out[0], 1),
                            "busy": (cpu_ns(t.pid) - before) / 1e9 / self.seconds}
        got = self.interleave(targets, work)
        med = {n: {k: statistics.median(r[k] for r in v) for k in ("rate", "cpu", "busy")} for n, v in got.items() if v}
        self.say("instant server", {n: f"{m['rate']:.0f}/s {m['cpu']:.1f}us, {m['busy']:.2f} CPUs" for n, m in med.items()})
        if len(med) == 2:
            ratio = med["2 workers"]["rate"] / med["1 worker"]["rate"]
            cores = os.cpu_count()
            note = f" ({cores} cores, shared with the clients and the server)" if cores < 4 else ""
            self.judge("two workers against one", ">= 1.6", f"{ratio:.2f}{note}", ratio >= 1.6)
            # Where the cores are too few for all, this still shows whether the workers hinder each other.
            could = 2 * med["1 worker"]["cpu"] / med["2 workers"]["cpu"]
            self.judge("two workers against one, by CPU time", ">= 1.6", f"{could:.2f} on cores of their own", could >= 1.6)
        for t in targets:
            self.end(t)

    def close(self):
        try:
            super().close()
        finally:
            self.pg.destroy()


def title(b):
    postgres = subprocess.run([b.tool("postgres"), "--version"], capture_output=True, text=True).stdout.split()[2]
    return f"PostgreSQL {postgres}, PgBouncer {'.'.join(map(str, b.bouncer_version())) if b.bouncer else 'none'}"


if __name__ == "__main__":
    main(Bench, title)
