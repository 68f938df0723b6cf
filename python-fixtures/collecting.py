# A process in the middle of a collection, most of the time: a thread collects 600,000 objects over and over.
#
#   heap -> 600,000 lists and tuples       collector thread: gc.collect() for ever, with some garbage each time
import gc
import sys
import threading

import _truth

OBJECTS = int(sys.argv[1]) if len(sys.argv) > 1 else 600000
heap = [[(i, [])] for i in range(OBJECTS // 3)]
started = threading.Event()


def collect():
    while True:
        cycle = []
        cycle.append(cycle)
        del cycle
        started.set()
        gc.collect()


thread = threading.Thread(target=collect, daemon=True)
gc.disable()
thread.start()
started.wait()
_truth.hold(running=True, prepare=False)
