# 200 threads, each waiting with locals of its own, some inside generators, callbacks and except clauses.
#
#   thread n:  outer(local) -> inner(local, exception in flight) -> release.wait()
import contextvars
import sys
import threading

import _truth

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 200
threading.stack_size(256 * 1024)
release = threading.Event()
entered = threading.Semaphore(0)
storage = threading.local()
variable = contextvars.ContextVar("variable", default=[0])


def inner(number, local):
    mine = {"thread": number, "local": local}
    storage.value = [number]
    variable.set([number])
    entered.release()
    release.wait()
    return mine


def handling(number, local):
    try:
        raise ValueError([number])
    except ValueError as error:
        return inner(number, error)


def generating(number, local):
    mine = [inner(number, local)]
    yield mine


def outer(number):
    local = ["local of thread", number]
    if number % 3 == 0:
        handling(number, local)
    elif number % 3 == 1:
        for _ in generating(number, local):
            pass
    else:
        sorted([3, 1], key=lambda x: inner(number, [local, x]))


threads = [threading.Thread(target=outer, args=(n,), name="worker %d" % n, daemon=True) for n in range(COUNT)]
for thread in threads:
    thread.start()
for _ in threads:
    entered.acquire()
finished = threading.Thread(target=len, args=([1],))
finished.start()
finished.join()
_truth.hold()
