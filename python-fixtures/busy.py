# A process at work: a thread runs a checksum loop over a heap that it keeps changing. It proves that the target is
# unharmed: `check` answers `ok ROUNDS` as long as every round came to the same sum as it must.
#
#   heap (dict of lists) <-- loop thread: update, sum, compare with the sum by arithmetic
import threading

import _truth

SIZE = 2000
state = {"rounds": 0, "wrong": 0}
started = threading.Event()


def work():
    table = {i: [i] for i in range(SIZE)}
    expected = sum(range(SIZE))
    while True:
        for key in range(0, SIZE, 7):
            table[key] = [table[key][0] + 1, "new %d" % key]
            expected += 1
        if sum(item[0] for item in table.values()) != expected:
            state["wrong"] += 1
        state["rounds"] += 1
        started.set()


def check():
    return b"%s %d\n" % (b"wrong" if state["wrong"] else b"ok", state["rounds"])


threading.Thread(target=work, daemon=True).start()
started.wait()
_truth.hold({"c": check}, running=True)
