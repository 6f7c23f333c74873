# SPDX-License-Identifier: ISC
"""Who borrows, asked the same on both engines."""

from harness.proxy import Crowd, wait_until


def two_for_a_guarantee(hold, lent):
    """Of three connections "vip" has two guaranteed: it gets them, as a user of its own, though the nine
    of the crowd were there first and never pause. hold(name, user, over) keeps asking until `over` is true;
    lent(name): connections that function has now."""
    over = []
    others = Crowd(9, lambda i: hold("crowd", "app", over)).start()
    wait_until(lambda: lent("crowd") == 3, 20, "all for them")
    vips = Crowd(4, lambda i: hold("vip", "app2", over)).start()
    try:
        wait_until(lambda: lent("vip") == 2, 20, "two for who has a guarantee")
    finally:
        over.append(True)
    others.join()
    vips.join()
