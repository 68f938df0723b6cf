# Iterators of the builtins and of itertools: fresh, advanced, exhausted.
#
#   iter(list) -> list       map -> function, (iterators)       product -> pools, indices, last result
import collections
import datetime
import itertools
import re
import sys

import _truth

LISTS = [[1], [2], [3]]


class Sequence:
    def __getitem__(self, i):
        if i > 2:
            raise IndexError
        return [i]

    def __len__(self):
        return 3


class Comparable:
    def __init__(self, n):
        self.n = n


make = [
    lambda: iter([[1], [2]]), lambda: iter(([1], [2])), lambda: iter({1: [2], 3: [4]}), lambda: iter({(1,), (2,)}),
    lambda: iter("abc"), lambda: iter("\u0151b"), lambda: iter(b"ab"), lambda: iter(bytearray(b"xy")),
    lambda: iter(range(4)), lambda: iter(range(2 ** 70, 2 ** 71)), lambda: reversed([[1], [2]]),
    lambda: reversed(Sequence()), lambda: iter(Sequence()), lambda: iter({1: [2]}.keys()),
    lambda: iter({1: [2], 3: 4}.items()), lambda: iter({1: [2]}.values()), lambda: reversed({1: [2], 3: 4}),
    lambda: reversed({1: [2]}.items()), lambda: iter(memoryview(b"abc")), lambda: enumerate(LISTS),
    lambda: enumerate(LISTS, 2 ** 70), lambda: zip(LISTS, "abc"), lambda: map(len, LISTS), lambda: filter(None, LISTS),
    lambda: map(lambda a, b: [a, b], LISTS, "abc"), lambda: iter(iter([1, 2]).__next__, 5),
    lambda: iter(collections.deque(LISTS)), lambda: reversed(collections.deque(LISTS)),
    lambda: iter(collections.OrderedDict(a=[1], b=2)), lambda: iter(collections.OrderedDict(a=[1]).items()),
    lambda: re.finditer("(a)(b)?", "abaa"), lambda: itertools.chain(LISTS, [[4]]),
    lambda: itertools.chain.from_iterable([LISTS, LISTS]), lambda: itertools.count(5), lambda: itertools.count(2 ** 70),
    lambda: itertools.count(1.5, 0.5), lambda: itertools.cycle(LISTS), lambda: itertools.repeat([1]),
    lambda: itertools.repeat([1], 3), lambda: itertools.islice(LISTS, 2), lambda: itertools.islice(LISTS, 0, None, 2),
    lambda: itertools.groupby("aab"), lambda: itertools.groupby(LISTS, key=len), lambda: itertools.accumulate(LISTS),
    lambda: itertools.accumulate([1, 2, 3], lambda a, b: [a, b], initial=[0]), lambda: itertools.compress(LISTS, [1, 0, 1]),
    lambda: itertools.dropwhile(lambda x: x == [1], LISTS), lambda: itertools.takewhile(len, LISTS),
    lambda: itertools.filterfalse(None, [0, [], 1]), lambda: itertools.starmap(lambda *a: [a], [(1, 2), (3,)]),
    lambda: itertools.product(LISTS, repeat=2), lambda: itertools.product([1, 2], [[3]]), lambda: itertools.product(),
    lambda: itertools.permutations(LISTS), lambda: itertools.permutations(LISTS, 2),
    lambda: itertools.combinations(LISTS, 2), lambda: itertools.combinations_with_replacement(LISTS, 2),
    lambda: itertools.zip_longest(LISTS, [1], fillvalue=[0]), lambda: (x for x in LISTS),
]
if sys.version_info >= (3, 10):
    make += [lambda: itertools.pairwise(LISTS), lambda: zip(LISTS, LISTS, strict=True)]
if sys.version_info >= (3, 12):
    make += [lambda: itertools.batched(LISTS, 2)]


def advanced(it, steps):
    out = None
    for _ in range(steps):
        out = next(it, None)
    return [it, out]


zoo = [[f() for f in make], [advanced(f(), 1) for f in make], [advanced(f(), 2) for f in make]]
zoo.append([advanced(f(), 12) for f in make])
first, second = itertools.tee([[i] for i in range(100)])
for _ in range(70):
    next(first)
third = first.__copy__()
groups = itertools.groupby([[1], [1], [2]])
zoo += [first, second, third, groups, next(groups), itertools.tee([]), {1: [2]}.keys(), {1: [2]}.items(), {}.values()]
ordered = collections.OrderedDict(a=[1], b=2)
zoo += [ordered.keys(), ordered.values(), ordered.items(), reversed({1: [2], 3: [4]}.values()), range(1000, 5000)]
zoo += [datetime.timezone(datetime.timedelta(hours=1), "one"), BaseException([1])]
_truth.hold()
