# A process at work: a thread runs a checksum loop over a heap that it keeps changing. It proves that the target is
# unharmed: `check` answers `ok ROUNDS` as long as every round came to the same sum as it must.
#
#   heap (dict of lists) <-- loop thread: update, sum, compare with the sum by arithmetic
#
# With the argument `more`, threads come and go as well, a thousand in a second (`made` says how many did), and
# SIGUSR1 is counted (`heard`).
import signal
import sys
import threading
import time

import _truth

SIZE = 2000
state = {"rounds": 0, "wrong": 0, "signals": 0, "threads": 0}
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


def make_threads():
    import ctypes

    # The lock of the interpreter is kept, or each of them would have to wait for it.
    libc = ctypes.PyDLL(None)
    attributes = ctypes.create_string_buffer(256)
    libc.pthread_attr_init(attributes)
    libc.pthread_attr_setdetachstate(attributes, 1)
    start = ctypes.cast(libc.sched_yield, ctypes.c_void_p)
    thread = ctypes.c_ulong()
    while True:
        for _ in range(20):
            if libc.pthread_create(ctypes.byref(thread), attributes, start, None) == 0:
                state["threads"] += 1
        one = threading.Thread(target=time.sleep, args=(0.0001,))
        one.start()
        one.join()
        state["threads"] += 1
        time.sleep(0.01)


def count(number, frame):
    state["signals"] += 1


if "more" in sys.argv:
    signal.signal(signal.SIGUSR1, count)
    threading.Thread(target=make_threads, daemon=True).start()
threading.Thread(target=work, daemon=True).start()
started.wait()
told = {key: lambda name=name: b"%d\n" % state[name] for key, name in [("h", "signals"), ("m", "threads")]}
_truth.hold({"c": check, **told}, running=True)
