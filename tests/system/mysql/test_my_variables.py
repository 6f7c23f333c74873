# SPDX-License-Identifier: ISC
"""Session variables over changing server connections."""

import pytest

from harness import mywire
from harness.mywire import MyError, Wire
from harness.proxy import wait_until

# Idle or refused as they are set, or of the one connection only (see docs/known-gaps.md).
ELSEWHERE = {"autocommit", "pseudo_thread_id", "timestamp", "rand_seed1", "rand_seed2", "identity", "insert_id", "last_insert_id"}


@pytest.mark.parametrize("value", ["default", "@@global.{}"])
def test_every_variable_set_to_its_default(start, value):
    """Also those of which the server takes DEFAULT and not the value that it is: the session goes on elsewhere."""
    proxy = start(max_server_connections=2)
    with Wire(proxy.connect()) as c, Wire(proxy.connect()) as other:
        names = [row[0].decode() for row in c.query("show session variables").rows]
        tried = 0
        for name in sorted(set(names) - ELSEWHERE):
            try:
                c.query(f"set session {name} = {value.format(name)}")
            except MyError:
                continue  # read-only, global only, or for others
            before = c.query(f"select @@session.{name}").rows
            other.query("begin")  # on the connection that was used last
            assert c.query(f"select @@session.{name}").rows == before, name
            other.query("commit")
            c.ask(mywire.RESET_CONNECTION)
            tried += 1
        assert tried > 50


@pytest.mark.parametrize("before", [[], ["set autocommit = 0"]])
def test_an_end_that_begins_another_transaction(start, before):
    proxy = start(max_server_connections=2)
    with Wire(proxy.connect()) as c, Wire(proxy.connect()) as other:
        for sql in [*before, "set completion_type = 1", "commit", "insert into scratch (who) values ('chained')", "rollback"]:
            c.query(sql)
        assert other.value("select count(*) from scratch where who = 'chained'") == "0"
        for sql in ("set completion_type = default", "rollback"):
            c.query(sql)
        wait_until(lambda: not any(int(p["sv_active"]) for p in proxy.my_show("POOLS")), 10, "the end of the loan")
