# A random heap, always the same for the same arguments:  big.py OBJECTS [SEED]
#
#   every object refers to one made before it, so that all of them hang from `roots`; a few edges close cycles
import gc
import random
import sys

import _truth

OBJECTS = int(sys.argv[1]) if len(sys.argv) > 1 else 100000
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else 1


class Node:
    def __init__(self, left, value):
        self.left = left
        self.value = value


class Slim:
    __slots__ = ("left", "right")

    def __init__(self, left, right):
        self.left = left
        self.right = right


def build(objects, seed):
    pick = random.Random(seed).random
    roots, made, last = [], 0, None
    while made < objects:
        for _ in range(min(20000, objects - made)):
            kind = pick()
            if kind < 0.25:
                last = [last, made]
            elif kind < 0.45:
                last = (last, made)
            elif kind < 0.6:
                last = Node(last, made)
            elif kind < 0.7:
                last = Slim(last, kind)
            elif kind < 0.8:
                last = {"key": last, made: kind}
            elif kind < 0.85:
                last = {"set": {made, (made, kind), "text %d" % made}, "rest": last}
            else:
                last = [last, "s%d" % made, b"%d" % made, kind]
            made += 3  # on average: the container, its numbers, its texts
            if kind < 0.01:
                roots.append(last)
                last = None
        if type(last) is list:
            last.append(last)
        roots.append(last)
        last = None
    return roots


gc.disable()
roots = build(OBJECTS, SEED)
_truth.hold()
