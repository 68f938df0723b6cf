# Functions and what is built on them.
#
#   function -> code, globals, defaults, kwdefaults, closure -> cell -> value, annotations, __dict__
#   bound method, builtin method, slot wrapper, descriptors, property, classmethod, staticmethod, lru_cache, partial
import functools
import operator
import sys
import types

import _truth


def closure(a):
    b = [a]

    def inner(x=1, *args, k=2, **kw) -> int:
        return a, b

    return inner


def rebinding():
    count = [0]

    def step():
        nonlocal count
        count = [count]
        return count

    step()
    return step


def recursive():
    def me():
        return me
    return me


class Methods:
    def __init__(self):
        self.bound = self.meth

    def meth(self):
        return super().__init__

    @property
    def prop(self):
        return 1

    @classmethod
    def cm(cls):
        return cls

    @staticmethod
    def sm():
        return 1

    @functools.lru_cache(maxsize=4)
    def cached(self, k):
        return [k]

    @functools.singledispatch
    def single(self):
        return 1

    if sys.version_info >= (3, 8):
        @functools.cached_property
        def lazily(self):
            return [1]


def decorated(f):
    @functools.wraps(f)
    def wrapper(*args):
        return f(*args)
    wrapper.calls = [0]
    return wrapper


@decorated
def documented(x: int, y: "str" = "d") -> list:
    """A docstring."""
    return [x, y]


def caches():
    lru = functools.lru_cache(3)(abs)
    for i in range(6):
        lru(i)
    unbounded = functools.lru_cache(None)(lambda *a, **k: [a, k])
    unbounded(1), unbounded("a"), unbounded(1, k=[2].__len__()), unbounded((1, 2))
    typed = functools.lru_cache(8, typed=True)(lambda x: [x])
    typed(1), typed(1.0), typed("x")
    none = functools.lru_cache(0)(len)
    none("x")
    return [lru, unbounded, typed, none, functools.lru_cache(5)(len)]


def partials():
    one = functools.partial(print, 1, a=[2])
    two = functools.partial(one, 3)
    two.attr = [1]
    return [one, two, functools.partial(len), functools.partialmethod(len, 1), functools.cmp_to_key(len)(1),
            functools.cmp_to_key(len), operator.itemgetter(1), operator.itemgetter(1, [2].__len__(), "x"),
            operator.attrgetter("a.b"), operator.attrgetter("a", "b.c"), operator.methodcaller("x", 1, k=[2])]


def codes():
    return [compile("a=1\nfor i in range(3): print(i, (1, 2, 3), 's')", "<x>", "exec"), compile("1 + 2", "e", "eval"),
            compile("def f(x):\n  def g():\n    return x, f\n  return g\nclass C:\n  y = lambda: __class__", "n", "exec"),
            closure(1).__code__.replace(co_name="renamed"), types.FunctionType(closure.__code__, {"only": 1}, "made")]


called = closure([5])
for _ in range(50):  # enough for the specialising interpreter to write its caches
    called()
methods = Methods()
methods.cached(1), methods.cached([].__len__()), methods.lazily if sys.version_info >= (3, 8) else None
unset = (lambda: [lambda: nothing, None][0])()
with_attributes = closure(5)
with_attributes.attr = [1]
with_attributes.__doc__ = "doc"
with_attributes.__annotations__["z"] = [1]
zoo = [
    closure(1), closure([2]), called, rebinding(), recursive(), lambda: 0, Methods.meth, methods, methods.meth,
    Methods.__dict__["prop"], Methods.__dict__["cm"], Methods.__dict__["sm"], methods.cm, documented, with_attributes,
    len, [].append, "".join, int.__add__, (5).__add__, list.append, dict.fromkeys, type.__dict__["__mro__"],
    object.__init__, type.__dict__["__name__"], types.MethodType(len, [1]), types.DynamicClassAttribute(len),
    property(len, None, None, "d"), staticmethod(len), classmethod(len), super(Methods, methods), str.__dict__["join"],
    types.FunctionType.__dict__["__code__"], Methods.__dict__, object.__new__, [1].__getitem__, dict.__getitem__,
    int.from_bytes, bytes.fromhex, caches(), partials(), codes(), unset, types.CellType(), types.CellType([1]),
]
_truth.hold()
