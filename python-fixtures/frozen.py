# Objects in the permanent generation (gc.freeze()), and younger ones beside them.
#
#   permanent: [Node, ...]     generation 2, 1, 0: one list each
import gc

import _truth


class Node:
    def __init__(self, n):
        self.n = [n]


frozen = [Node(i) for i in range(1000)]
gc.collect()
gc.freeze()
gc.disable()
old = [[i] for i in range(30)]
gc.collect()
middle = [[i] for i in range(20)]
gc.collect(0)
young = [[i] for i in range(10)]
_truth.hold(prepare=False)
