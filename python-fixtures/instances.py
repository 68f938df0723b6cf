# Instances: every place where CPython may keep attributes.
#
#   Plain      values shared with the class (split dict, inline values) | materialised | own dict | >30 attributes
#   Slots      members at fixed offsets, some unset, inherited through layers
#   Both       slots and a dict          Neither   nothing at all          Weak   only __weakref__
import sys
import weakref

import _truth


class Plain:
    def __init__(self, n):
        self.a = n
        self.b = "x%d" % n
        self.c = [n]


class Empty:
    pass


class Many:
    def __init__(self, n):
        for i in range(n):
            setattr(self, "attr%d" % i, [i])


class Slots:
    __slots__ = ("x", "y")


class SlotsMore(Slots):
    __slots__ = ("z", "__weakref__")


class SlotsThenDict(Slots):
    pass


class Both(SlotsMore):
    __slots__ = ("w", "__dict__")


class Neither:
    __slots__ = ()


class Weak:
    __slots__ = ("__weakref__",)


class Private:
    __slots__ = ("__hidden", "_Private__other")

    def __init__(self):
        self.__hidden = [1]


class Ordered:
    """Instances that set the shared keys in different orders break the sharing."""


class Late:
    def __init__(self):
        self.one = [1]


class Base:
    def __init__(self):
        self.base = [1]


class Derived(Base):
    def __init__(self):
        super().__init__()
        self.derived = [2]


class Left:
    pass


class Right:
    __slots__ = ("r",)


class Diamond(Left, Right):
    pass


class Finalizer:
    def __init__(self):
        self.me = self

    def __del__(self):
        self.me = None


class OwnDict:
    """Its __dict__ is a dict that somebody else also holds."""


class WithSizeof:
    def __init__(self):
        self.x = [1]

    def __sizeof__(self):
        return 12345


class Getattr:
    def __getattr__(self, name):
        raise AssertionError("pyheap must not run this: " + name)

    def __getattribute__(self, name):
        raise AssertionError("pyheap must not run this: " + name)

    def __eq__(self, other):
        raise AssertionError("nor this")

    __hash__ = None


def plain():
    out = [Plain(i) for i in range(40)]
    keep = [o.__dict__ for o in out[:5]]
    for i, o in enumerate(out[5:10]):
        setattr(o, "dyn%d" % i, [i])
    del out[11].b
    del out[12].a, out[12].b, out[12].c
    out[13].__dict__["written"] = [1]
    out[14].__dict__ = {"replaced": [1]}
    out[15].__dict__.clear()
    out[16].__dict__[5] = ["not a str key"]
    vars(out[17])
    return [out, keep]


def ordered():
    out = []
    for names in ("abc", "cba", "bac", "ab", "", "defgh"):
        o = Ordered()
        for name in names:
            setattr(o, name, [name])
        out.append(o)
    return out


def many():
    out = [Many(n) for n in (1, 5, 6, 15, 29, 30, 31, 32, 100, 1000)]
    big = Empty()
    for i in range(100):
        setattr(big, "attr%d" % i, i)
    for i in range(0, 100, 2):
        delattr(big, "attr%d" % i)
    return out + [big]


def slots():
    a = Slots()
    a.x = ["x"]
    b = SlotsMore()
    b.x, b.z = 1, {"k": [1]}
    c = SlotsThenDict()
    c.x, c.foo = 1, [5]
    d = Both()
    d.w, d.dyn = [1], [2]
    e = Both()
    weak = Weak()
    r = Right()
    r.r = [1]
    m = Diamond()
    m.r, m.l = [1], [2]
    return [Slots(), a, SlotsMore(), b, SlotsThenDict(), c, d, e, Neither(), weak, Private(), r, m, Diamond(),
            weakref.ref(b), weakref.ref(b, lambda _: None), weakref.ref(d), weakref.ref(weak)]


def others():
    shared = {"x": [1]}
    first, second = OwnDict(), OwnDict()
    first.__dict__ = second.__dict__ = shared
    late = [Late() for _ in range(5)]
    for i, o in enumerate(late[:3]):
        o.two = [i]
    plain_weak = Plain(1)
    return [first, second, shared, late, Derived(), Finalizer(), WithSizeof(), Getattr(), Empty(),
            plain_weak, weakref.ref(plain_weak), object(), [Empty() for _ in range(5)]]


zoo = [plain(), ordered(), many(), slots(), others()]
if sys.version_info >= (3, 13):
    names = {}
    exec("class Local:\n    def __init__(self):\n        self.p = [1]\n        self.q = self\n"
         "items = [Local() for _ in range(3)]\nlone = items[0].__dict__\ndel items[0]\n", names)
    zoo.append(names)
_truth.hold()
