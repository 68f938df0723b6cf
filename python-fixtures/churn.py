# A process that makes and drops objects as fast as it can, in several threads, around a heap that stays: what is read
# without a stop is torn where it churns, and must be right where it does not.
#
#   stable -> 20,000 Rows, each with a list, a tuple, a dict and a float of its own
#   churners: growing and shrinking lists, dicts and sets, cycles, instances, threads, with the collector switched on
import gc
import sys
import threading

import _truth

ROWS = int(sys.argv[1]) if len(sys.argv) > 1 else 20000
started = threading.Semaphore(0)


class Row:
    __slots__ = ("key", "values", "pair", "table")

    def __init__(self, key):
        self.key = key + 0.5
        self.values = [key + 1000, "row %d" % key]
        self.pair = (self.values, self.key)
        self.table = {"row": self.pair}


class Node:
    def __init__(self, other):
        self.other = other
        self.items = {}


stable = [Row(key) for key in range(ROWS)]
shared = {}
counts = {"rounds": 0}  # by all threads, and so a lower bound


def churn(number):
    growing, table, members = [], {}, set()
    rounds = 0
    while True:
        node = Node(None)
        node.other = Node(node)
        node.items = {i: [node, i] for i in range(20)}
        growing.append([rounds, node])
        table[rounds] = (growing[-1], "text %d" % rounds)
        members.add((rounds, number))
        setattr(node, "late_%d" % (rounds % 50), [])
        shared[number, rounds % 1000] = node
        rounds += 1
        if rounds % 500 == 0:
            growing, table, members = [], {}, set()
        if rounds % 500 == 0:
            thread = threading.Thread(target=lambda: sum(len(str(i)) for i in range(50)))
            thread.start()
            thread.join()
        if rounds == 100:
            started.release()
        counts["rounds"] += 1


def check():
    return b"ok %d\n" % counts["rounds"]


gc.collect()
THREADS = 4
for number in range(THREADS):
    threading.Thread(target=churn, args=(number,), daemon=True).start()
for _ in range(THREADS):
    started.acquire()
_truth.hold({"c": check}, running=True, prepare=False)
