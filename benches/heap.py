# A heap that is measured, always the same for the same arguments:  heap.py OBJECTS SEED
#
#   table: [ Order ]---> customer: Customer (inline values, shared by many)
#              |------> lines: [ (int, float, str), ... ]
#              `------> facts: { str: int }
#
# stdin: the name of a peer, a line each; stdout: READY, then for each peer one line of JSON: its time is the pause
# that it would be, since it runs inside.
import gc
import json
import os
import random
import resource
import sys
import time
from collections import Counter


class Customer:
    def __init__(self, number):
        self.number = number
        self.name = "customer %d" % number


class Order:
    def __init__(self, number, customer, lines, facts):
        self.number = number
        self.customer = customer
        self.lines = lines
        self.facts = facts


def build(objects, seed):
    pick = random.Random(seed).random
    customers = [Customer(1000 + n) for n in range(max(1, objects // 500))]
    table, made = [], len(customers) * 3
    while made < objects:
        number = 1000 + made
        line = (number + 1, pick(), "article %d" % number)
        customer = customers[int(pick() * len(customers))]
        table.append(Order(number, customer, [line], {"weight": number + 2, "price": pick()}))
        made += 10
    return table, customers


def count():
    return sum(Counter(map(type, gc.get_objects())).values())


def objgraph_types():
    import objgraph

    return sum(objgraph.typestats().values())


def guppy_heap():
    from guppy import hpy

    return hpy().heap().count


def pympler_summary():
    from pympler import muppy, summary

    return sum(row[1] for row in summary.summarize(muppy.get_objects()))


def closure():
    # What pyheap's table has, from inside: all that the collector's objects lead to.
    counts, seen, left = Counter(), set(), gc.get_objects()
    while left:
        fresh = []
        for one in left:
            if id(one) not in seen:
                seen.add(id(one))
                fresh.append(one)
        counts.update(map(type, fresh))
        left = gc.get_referents(*fresh)
    return sum(counts.values())


def fork():
    child = os.fork()
    if child == 0:
        os._exit(0)
    global forked
    forked = child
    return 0


def sweep():
    # A reference more and less to each object of the table writes to all of their pages.
    seen = 0
    for order in held[0]:
        seen += 1
    return seen


def request():
    # What a service does with a request: a few objects are looked up, some are made.
    table = held[0]
    found = [table[int(random.random() * len(table))] for _ in range(200)]
    return len(sorted((order.facts["price"], order.number) for order in found))


forked = 0
PEERS = {
    "gc": count,
    "closure": closure,
    "objgraph": objgraph_types,
    "guppy3": guppy_heap,
    "pympler": pympler_summary,
    "fork": fork,
    "sweep": sweep,
    "request": request,
}
held = build(int(sys.argv[1]), int(sys.argv[2]))
gc.collect()
print("READY", flush=True)
for line in sys.stdin:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    try:
        objects = PEERS[line.strip()]()
        answer = {"seconds": time.perf_counter() - start, "objects": objects}
        if forked:
            os.waitpid(forked, 0)
            forked = 0
        answer["grown_kib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    except ImportError as error:
        answer = {"skipped": str(error)}
    print(json.dumps(answer), flush=True)
