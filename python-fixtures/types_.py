# Classes: how they are named, and what they hold.
#
#   Outer.Inner, the same name in two modules, non-ASCII names, metaclasses, slots, generic types, enums, a class whose
#   namespace was emptied, classes that are only reachable through a cycle
import abc
import dataclasses
import enum
import sys
import types
import typing

import _truth


class Outer:
    class Inner:
        class Deepest:
            pass

    def make(self):
        class Local:
            pass
        return Local


class Meta(type):
    counter = [0]

    def __new__(mcs, name, bases, namespace, **kw):
        cls = super().__new__(mcs, name, bases, namespace)
        cls.registered = [name]
        return cls

    def __call__(cls, *args):
        return super().__call__(*args)


class SlotMeta(type):
    __slots__ = ()


class MadeByMeta(metaclass=Meta):
    attr = 1


class WithSlots:
    __slots__ = {"a": "documented", "b": None}


class Abstract(abc.ABC):
    @abc.abstractmethod
    def f(self):
        """Nothing."""


class Concrete(Abstract):
    def f(self):
        return 1


class Colour(enum.Enum):
    RED = 1
    GREEN = [2]


class Bits(enum.Flag):
    X = 1
    Y = 2


class Number(enum.IntEnum):
    ONE = 1


@dataclasses.dataclass
class Record:
    a: int
    b: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Frozen:
    a: int = 1


class Typed(typing.NamedTuple):
    x: int
    y: typing.List[int] = []


T = typing.TypeVar("T", bound=int)


class Box(typing.Generic[T]):
    pass


class Proto(typing.Protocol):
    def f(self) -> int: ...


class Registered:
    children = []

    def __init_subclass__(cls, **kw):
        Registered.children.append(cls)


class Child(Registered):
    pass


class SetName:
    def __set_name__(self, owner, name):
        self.owner, self.name = owner, name


class Owner:
    field = SetName()


def twins():
    out = []
    for name in ("first_module", "second_module"):
        module = types.ModuleType(name)
        exec("class Twin:\n    def __init__(self): self.x = [1]\nkeep = [Twin() for _ in range(3)]", module.__dict__)
        out.append(module)
    return out


def odd_names():
    out = [type("Kl\xe4sse", (), {}), type("\u53d8\u91cf", (), {"__module__": "m\xf6dul"}),
           type("with space", (), {}), type("", (), {}), type("a.b", (), {}), type("N", (), {"__module__": None}),
           type("N", (), {"__module__": 5}), type("Q", (), {"__qualname__": "Some.Where.Q"}), type("L" * 300, (), {})]
    renamed = type("Before", (), {})
    renamed.__name__, renamed.__qualname__, renamed.__module__ = "After", "Moved.After", "elsewhere"
    return [[cls, cls()] for cls in out + [renamed]]


def torn_down():
    class First:
        pass

    class Torn(First):
        x = [1]

        def f(self):
            return Torn
    keep = Torn()
    for name in ("x", "f"):
        delattr(Torn, name)
    Torn.__bases__ = (type("Second", (), {}),)
    return keep


def multiple():
    class A:
        pass

    class B(A):
        pass

    class C(A):
        pass

    class D(B, C):
        pass
    return [D(), D, D.__subclasses__(), A.__subclasses__()]


def only_in_cycle():
    class Lost:
        pass
    Lost.me = Lost


def alternatives():
    out = [typing.List[int], typing.Optional[str], typing.Callable[[int], str], typing.Any, typing.Generic, T,
           typing.Union[int, str], typing.Tuple[int, ...], typing.NewType("UserId", int), Box[int], typing.Dict[str, T]]
    if sys.version_info >= (3, 9):
        out += [list[int], dict[str, list[int]], type[int], tuple[int, ...], list[T][int]]
    if sys.version_info >= (3, 10):
        out += [int | str, eval("int | None"), typing.ParamSpec("P"), list[int] | None]
    if sys.version_info >= (3, 11):
        out += [typing.TypeVarTuple("Ts"), typing.Self]
    if sys.version_info >= (3, 12):
        names = {}
        exec("type X[T] = list[T]\ntype Y = dict[str, Y]\ndef gf[T: int, *Ts, **Pp](a: T) -> T: return a\n"
             "class G[T]:\n    def m[U](self, u: U) -> T: ...\ng = G[int]()\nv = X.__value__\nb = gf.__type_params__\n"
             "args = X[int]\n", names)
        out.append(names)
    if sys.version_info >= (3, 13):
        names = {}
        exec("class D[T = int]: pass\nd = D.__type_params__[0].__default__\n", names)
        out.append(names)
    if sys.version_info >= (3, 14):
        names = {}
        exec("n = [3]\nt = t'{n!r:>5}xx{n}'\nu = t''\nparts = list(t)\ndef ann(a: int, b: Missing) -> str: pass\n"
             "class C:\n    x: Missing\n    y: int\nimport annotationlib\n"
             "w = annotationlib.get_annotations(C, format=annotationlib.Format.FORWARDREF)\n"
             "s = annotationlib.get_annotations(ann, format=annotationlib.Format.STRING)\n", names)
        out.append(names)
    if sys.version_info >= (3, 15):
        names = {}
        exec("missing = sentinel('MISSING')\n", names)
        out.append(names)
    return out


only_in_cycle()
zoo = [Outer(), Outer.Inner(), Outer.Inner.Deepest(), Outer().make()(), MadeByMeta(), WithSlots(), Concrete(), Colour.RED,
       Bits.X | Bits.Y, Number.ONE, Record(1), Frozen(), Typed(1), Box(), Child(), Owner(), twins(), odd_names(),
       torn_down(), multiple(), alternatives(), types.new_class("Dynamic", (dict,), {}), SlotMeta("S", (), {})(),
       type("Three", (Meta,), {})("MetaInstance", (), {})()]
isinstance(5, Abstract), issubclass(dict, Abstract)
_truth.hold()
