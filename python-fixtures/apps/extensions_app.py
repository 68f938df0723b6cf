# A released C extension that leaks.
#
#   ujson 5.11.0   a str for each `dump` whose file cannot be written: its reference is forgotten
#
# The command `r` leaks 1000 of them and answers with the growth of sys.getallocatedblocks(). What loses raw blocks is
# in orphans.py.
import gc
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import _truth  # noqa: E402
import ujson  # noqa: E402

TIMES = 1000


class Full:
    def write(self, text):
        raise OSError("no space left")


full = Full()


def reference(number):
    try:
        ujson.dump({"some key": "value %d" % number}, full)
    except OSError:
        pass


def leak(once):
    def answer():
        blocks = sys.getallocatedblocks()
        for number in range(TIMES):
            once(number)
        gc.collect()
        # ujson makes the name "write" anew each time, and the cache of attributes holds some of these.
        sys._clear_type_cache()
        return b"%d\n" % (sys.getallocatedblocks() - blocks)
    return answer


answer = leak(reference)
answer()
_truth.hold({"r": answer})
