# Lists, dictionaries and sets with room to spare.
#
#   grown one by one, shrunk by pops, cleared, presized, copied; keys of texts, numbers and both; records with the same keys
#
# The command `k` reads addresses from the file `addresses` and writes to the file `spare` by how many bytes each is
# larger than a copy of it.
import _ctypes
import os
import sys

import _truth


class Point:
    def __init__(self, n):
        self.x = n
        self.y = n
        self.__dict__["extra %d" % n] = n  # not an attribute of the class's others: a table of its own


def grown(kind, count):
    one = kind()
    for n in range(count):
        (one.append if kind is list else one.add)(n)
    return one


def table(count, key):
    one = {}
    for n in range(count):
        one[key(n)] = n
    return one


def shrunk(one, left):
    while len(one) > left:
        one.popitem() if type(one) is dict else one.pop()
    return one


counts = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 16, 20, 21, 22, 43, 85, 86, 100, 171, 200, 400, 1000, 5000, 70000]
lists = [grown(list, count) for count in counts] + [list(range(count)) for count in counts]
sets = [grown(set, count) for count in counts] + [set(range(count)) for count in counts]
frozen = [frozenset(one) for one in sets] + [frozenset(range(count)) for count in counts]
by_text = [table(count, "key {0}".format) for count in counts]
by_number = [table(count, int) for count in counts]
by_both = [table(count, lambda n: n if n % 2 else "key %d" % n) for count in counts]
emptied = [shrunk(table(count, str), left) for count in counts for left in (0, 1, 3)]
less = [shrunk(grown(kind, count), left) for kind in (list, set) for count in counts for left in (0, 1, 3, 6)]
once_general = table(10, str)
once_general[5] = 1
del once_general[5]
cleared = table(100, str)
cleared.clear()
sets[5].clear()
records = [{"name": n, "price": n, "stock": n} for n in range(500)]
# The first ones' attributes of their own find room in the keys that the class shares, until these are full.
for n in range(1, 41):
    Point(-n)
points = [Point(n) for n in range(300)]


def copy(one):
    kind = type(one)
    if kind is list:
        return one[:]
    if kind is dict:
        new = {}
        # The smallest table: with other keys than texts from the start, if there are any.
        for key in sorted(one, key=lambda key: type(key) is str):
            new[key] = one[key]
        return new
    return kind(set(one))


def spare():
    folder = os.environ["FIXTURE_FOLDER"]
    with open(folder + "/addresses", "rb") as file:
        addresses = [int(line, 16) for line in file]
    with open(folder + "/spare", "w") as out:
        for address in addresses:
            one = _ctypes.PyObj_FromPtr(address)
            out.write("%#x %d %d\n" % (address, len(one), sys.getsizeof(one) - sys.getsizeof(copy(one))))
    return b"done\n"


_truth.hold({"k": spare})
