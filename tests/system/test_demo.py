# SPDX-License-Identifier: ISC
"""./bootstrap demo itself: that it plays to its end, and that nothing of it is left, wherever it is ended."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

from harness.played import program
from harness.proxy import wait_until, weir_binary

pytestmark = pytest.mark.weir_only
RUN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "demo", "run")


class Demo:
    """As ./bootstrap demo calls it, with less of everything."""

    def __init__(self):
        command = [RUN, os.path.dirname(program("burst")), weir_binary()]
        self.tmp = tempfile.mkdtemp(prefix="weir-demo-")
        os.chmod(self.tmp, 0o755)
        self.out_path = os.path.join(self.tmp, "out")
        env = dict(os.environ, TMPDIR=self.tmp, DEMO_CLIENTS="150", DEMO_SECONDS="1")
        with open(self.out_path, "wb") as out:
            self.proc = subprocess.Popen(command, stdout=out, stderr=out, env=env, start_new_session=True)

    def out(self):
        with open(self.out_path, errors="replace") as f:
            return f.read()

    def left(self):
        """What is left of it: directories, and processes that name them."""
        found = [n for n in os.listdir(self.tmp) if n != "out"]
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", errors="replace") as f:
                    words = f.read()
            except OSError:
                continue
            if self.tmp + "/weir-test." in words:
                found.append(words.replace("\0", " "))
        return found


@pytest.fixture
def demo():
    played = Demo()
    yield played
    if played.proc.poll() is None:
        played.proc.terminate()
        played.proc.wait(30)
    shutil.rmtree(played.tmp, ignore_errors=True)


def test_demo_to_its_end(demo):
    wait_until(lambda: demo.left(), 30, "its servers")
    assert demo.proc.wait(240) == 0, demo.out()
    out = demo.out()
    assert len(re.findall(r"^through weir +150 +150 +0 ", out, re.M)) == 2, out
    for engine in ("PostgreSQL", "MariaDB"):
        assert len(re.findall(f"^{engine}$", out, re.M)) == 2, out
    assert demo.left() == []


@pytest.mark.parametrize("when", ["weir-test", "data/postmaster.pid", "mysql", "mysql.pid", "weir.log"])
def test_demo_leaves_nothing_behind(demo, when):
    """Ctrl-C, which a terminal sends to all of the foreground, at several moments."""

    def there():
        assert demo.proc.poll() is None, demo.out()
        return any(when in n or os.path.exists(os.path.join(demo.tmp, n, when)) for n in os.listdir(demo.tmp))
    wait_until(there, 60, when)
    time.sleep(0.1)
    os.killpg(demo.proc.pid, signal.SIGINT)
    assert demo.proc.wait(150) == 130, demo.out()
    wait_until(lambda: demo.left() == [], 20, "the end of all")
