# SPDX-License-Identifier: ISC
"""What the lint scripts share: the list of sources, and TAP on stdout.

A script calls rule() once for each thing it checks, with the violations found, and ends with
done(). Violations are "file:line: text", so that an editor can jump to them.
"""

import os
import re
import sys

SRCDIR = os.environ.get("WEIR_SRCDIR") or os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))

_count = 0
_failed = 0


def files(*folders, ends=(".c", ".h")):
    """Paths relative to the source tree, sorted; generated and built ones are not sources."""
    found = []
    for folder in folders:
        for at, dirs, names in os.walk(os.path.join(SRCDIR, folder)):
            dirs[:] = sorted(d for d in dirs if d not in ("corpus", "node_modules", "__pycache__", "work"))
            found += [os.path.relpath(os.path.join(at, n), SRCDIR) for n in sorted(names) if n.endswith(ends)]
    return found


def scripts():
    """Paths of what is neither C nor data: make fragments, shell and Python scripts."""
    found = ["configure.ac", "Makefile.am", "bootstrap"]
    for path in files("src", "tests", "docs", "packaging", ends=""):
        name = os.path.basename(path)
        runs = "." not in name and os.access(os.path.join(SRCDIR, path), os.X_OK)
        if name.endswith((".am", ".py", ".sh")) or runs and read(path, "latin-1").startswith("#!"):
            found.append(path)
    return found


def read(path, encoding="utf-8"):
    with open(os.path.join(SRCDIR, path), encoding=encoding) as f:
        return f.read()


def strip_comments(text, strings=True):
    """C without comments (and, unless told otherwise, string contents); line numbers stay."""

    def blank(match):
        token = match.group(0)
        if token.startswith("/"):
            return "\n" * token.count("\n") or " "
        if not strings:
            return token
        return token[0] + token[-1] if token[0] == '"' else "'x'"

    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def rule(name, violations):
    global _count, _failed
    _count += 1
    for violation in violations:
        print("  " + violation)
    if violations:
        _failed += 1
    print("%sok %d - %s" % ("not " if violations else "", _count, name))


def done():
    print("1..%d" % _count)
    sys.exit(1 if _failed else 0)
