# Sub-interpreters that stay alive with objects of their own. Objects of another interpreter are not in this one's
# gc.get_objects(): what the main one says of itself must still be exact.
#
#   main -- id of interpreter 1 -> {Node -> [Node, ...]}
#        `- id of interpreter 2 -> {...}
import sys

import _truth

SOURCE = """
class Node:
    def __init__(self, n):
        self.n = [n]
keep = [Node(i) for i in range(500)]
table = {str(i): (i, [i]) for i in range(500)}
import collections
"""


def create():
    if sys.version_info >= (3, 14):
        from concurrent import interpreters
        one = interpreters.create()
        one.exec(SOURCE)
        return one
    if sys.version_info >= (3, 13):
        import _interpreters
        one = _interpreters.create("legacy" if "legacy" in sys.argv else "isolated")
        _interpreters.exec(one, SOURCE)
        return one
    import _xxsubinterpreters
    one = _xxsubinterpreters.create()
    _xxsubinterpreters.run_string(one, SOURCE)
    return one


interpreters_kept = [create() for _ in range(2)]
_truth.hold()
