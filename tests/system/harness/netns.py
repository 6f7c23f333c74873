# SPDX-License-Identifier: ISC
"""Another machine: a network namespace joined to this one by a wire that can be made to lose every packet.

Losing is done with neighbour entries of the wrong hardware address on both ends: packets leave and
arrive nowhere, silently, as at a paused machine. It needs no kernel module beyond veth.
"""

import os
import shutil
import subprocess

GONE = "02:00:00:00:de:ad"


class Machine:
    def __init__(self):
        assert shutil.which("ip"), "iproute2 is missing: install it, or these tests can't lose a packet"
        assert os.geteuid() == 0, "a network namespace takes root: run these tests as root"
        mark = os.getpid() % 250
        self.name = f"weir{mark}"
        self.near, self.far = f"10.213.{mark}.1", f"10.213.{mark}.2"
        self.here, self.there = f"wrn{mark}", f"wrf{mark}"
        self.destroy()
        self.ip("netns", "add", self.name)
        self.ip("link", "add", self.here, "type", "veth", "peer", "name", self.there, "netns", self.name)
        self.ip("addr", "add", f"{self.near}/30", "dev", self.here)
        self.ip("link", "set", self.here, "up")
        self.ip("addr", "add", f"{self.far}/30", "dev", self.there, inside=True)
        self.ip("link", "set", self.there, "up", inside=True)
        self.join()

    def ip(self, *args, inside=False, check=True):
        command = ["ip"] + (["-n", self.name] if inside else []) + list(args)
        done = subprocess.run(command, capture_output=True, text=True)
        assert not check or done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
        return done.stdout

    def address(self, device, inside=False):
        return self.ip("-o", "link", "show", device, inside=inside).split("link/ether ")[1].split()[0]

    def _neighbours(self, near, far):
        self.ip("neigh", "replace", self.far, "lladdr", far, "dev", self.here, "nud", "permanent")
        self.ip("neigh", "replace", self.near, "lladdr", near, "dev", self.there, "nud", "permanent", inside=True)

    def join(self):
        self._neighbours(self.address(self.here), self.address(self.there, inside=True))

    def cut(self):
        self._neighbours(GONE, GONE)

    def command(self, *command):
        return ["ip", "netns", "exec", self.name, *command]

    def destroy(self):
        self.ip("netns", "del", self.name, check=False)
        self.ip("link", "del", self.here, check=False)
