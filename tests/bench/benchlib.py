# SPDX-License-Identifier: ISC
"""What the comparisons on PostgreSQL (bench.py) and on MySQL (bench_my.py) share."""

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "system"))

from harness.proxy import weir_binary  # noqa: E402

BOUND = 20


def fetched(name):
    """A program that fetch_peers brought from Debian unstable, or None."""
    path = os.path.join(os.environ.get("WEIR_UNSTABLE", "/var/cache/weir/unstable"), name)
    return path if os.access(path, os.X_OK) else None


def cpu_ns(pid):
    """What all threads of a process have used so far."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/schedstat") as f:
                total += int(f.read().split()[0])
        except OSError:
            pass
    return total


def pss_bytes(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        for line in f:
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    raise RuntimeError("no Pss")


class Target:
    """Something that load can be pointed at; pid is None where there is no process in between."""

    def __init__(self, name, port, pid=None, proxy=None):
        self.name, self.port, self.pid, self.proxy = name, port, pid, proxy


class Comparison:
    """One run: programs, rounds, results. `engine` is what swarm calls the database."""
    engine = None

    def __init__(self, args):
        self.args = args
        self.rounds = args.rounds or (1 if args.quick else 5)
        self.seconds = args.seconds or (1 if args.quick else 4)
        self.rows, self.started, self.proxies = [], [], []
        self.tmp = tempfile.mkdtemp(prefix="weir-bench-")
        os.chmod(self.tmp, 0o755)
        self.build()

    def build(self):
        compiler = os.environ.get("CC", "cc")
        libraries = subprocess.run(["pkg-config", "--cflags", "--libs", "libpq", "libmariadb"], capture_output=True,
                                   text=True, check=True).stdout.split()
        demo = [f"{HERE}/../demo/engine_{name}.c" for name in ("pg", "my")]
        for name in ("relay_floor", "instant_server", "swarm"):
            more = demo + libraries if name == "swarm" else []
            subprocess.run([compiler, "-O2", "-Wall", "-pthread", f"{HERE}/{name}.c", *more, "-o", f"{self.tmp}/{name}"],
                           check=True)

    def run_floor(self, port, server_port):
        floor = subprocess.Popen([os.path.join(self.tmp, "relay_floor"), str(port), str(server_port)])
        self.started.append(floor)
        return Target("floor", port, floor.pid)

    def swarm(self, *args):
        out = subprocess.run([os.path.join(self.tmp, "swarm"), self.engine, *map(str, args)], capture_output=True, text=True)
        if out.returncode or out.stderr:
            print("swarm:", out.stderr.strip(), file=sys.stderr)
        return [float(w) for w in out.stdout.split()] if out.returncode == 0 else None

    def churn(self, target, conninfo):
        """CPU time (us) of the proxy for each login, transaction and logout."""
        before = cpu_ns(target.pid)
        out = self.swarm("churn", self.seconds, 16, conninfo)
        return out and out[0] and (cpu_ns(target.pid) - before) / 1000 / out[0]

    def idle_memory(self, target, conninfo, count):
        """Bytes for each of `count` clients that came at once and idle now, and what is kept when they left."""
        self.swarm("burst", 40, conninfo)
        time.sleep(1)
        before, found = pss_bytes(target.pid), None
        swarm = subprocess.Popen([os.path.join(self.tmp, "swarm"), self.engine, "hold", str(count), conninfo],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = swarm.stdout.readline().split()
        time.sleep(5)
        if len(line) == 3 and int(line[1]):
            found = (pss_bytes(target.pid) - before) / int(line[1])
        swarm.communicate("")
        time.sleep(3)
        return found, pss_bytes(target.pid) - before

    # --- results -------------------------------------------------------------------------------------

    def say(self, what, values):
        cells = "  ".join(f"{k} {v}" for k, v in values.items())
        print(f"  {what:<34} {cells}", flush=True)

    def judge(self, what, target, measured, ok):
        self.rows.append((what, target, measured, "PASS" if ok else "MISS"))

    def interleave(self, targets, work):
        """{name: [result of each round]}; failed rounds are left out."""
        results = {t.name: [] for t in targets}
        for _ in range(self.rounds):
            for t in targets:
                value = work(t)
                if value is not None:
                    results[t.name].append(value)
        return results

    def table(self):
        if not self.rows:
            return
        widths = [max(len(str(r[i])) for r in self.rows) for i in range(3)]
        print()
        for row in [("figure", "target", "measured", "")] + self.rows:
            print("  ".join(str(c).ljust(w) for c, w in zip(row, widths)) + "  " + row[3])

    # --- ends ----------------------------------------------------------------------------------------

    def end(self, target):
        problem = target.proxy.destroy()
        if problem:
            print(f"{target.name}: {problem[-1500:]}", file=sys.stderr)

    def close(self):
        for t in self.proxies:
            self.end(t)
        for p in self.started:
            p.terminate()
            p.wait(20)
        shutil.rmtree(self.tmp, ignore_errors=True)


def main(bench, title):
    """bench: a subclass of Comparison; title(b): the line over its results."""
    parts = [n[5:] for n in vars(bench) if n.startswith("part_")]
    parser = argparse.ArgumentParser(description="weir measured beside others")
    parser.add_argument("--quick", action="store_true", help="one short round: does it run, not what it costs")
    parser.add_argument("--without-weir", action="store_true", help="measure the others only")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--only", default=",".join(parts), help="of " + ", ".join(parts))
    args = parser.parse_args()
    if not args.without_weir and not os.access(weir_binary(), os.X_OK):
        sys.exit(f"no weir at {weir_binary()}: build it, or set WEIR_BIN")
    # what was started is ended, whoever ends this
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    b = bench(args)
    try:
        print(f"{title(b)}, {os.cpu_count()} cores, {b.rounds} rounds of {b.seconds} s, medians; proxies with one worker",
              flush=True)
        for name in filter(None, args.only.split(",")):
            if name in parts:
                getattr(b, "part_" + name)()
        b.table()
    finally:
        b.close()
