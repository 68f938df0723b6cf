"""Prints what this interpreter's instructions do to the evaluation stack: its section of
src/cpython/layout/opcodes.txt, whose head says how a row is read. 3.8 to 3.13; later versions say in memory how deep
a stack is.

Everything is asked of the interpreter itself (`dis.stack_effect`), but for three instructions of which the compiler
believes something else than the interpreter does; see DIFFERENT.
"""
import dis
import itertools
import opcode
import sys

VERSION = sys.version_info[:2]
UNCONDITIONAL = {"JUMP_FORWARD", "JUMP_ABSOLUTE", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT", "RETURN_VALUE",
                 "RETURN_CONST", "RAISE_VARARGS", "RERAISE", "INTERPRETER_EXIT"}
# Where the opcode itself is that one of these stands for (_PyCoMonitoringData).
REPLACED = {"INSTRUMENTED_LINE": "lines", "INSTRUMENTED_INSTRUCTION": "per_instruction_opcodes"}
# The interpreter runs none of these in a default build, or they are no instructions.
LEFT_OUT = {"RESERVED", "ENTER_EXECUTOR", "DO_TRACING"}
# 3.11: the arguments are on the stack until CALL takes them; the compiler counts them off before, at PRECALL. 3.11 and
# 3.12: what is sent into a generator when it is started is there behind RETURN_GENERATOR; the compiler begins with it.
DIFFERENT = {
    (3, 11): {"PRECALL": "0", "CALL": "-1-1a", "RETURN_GENERATOR": "1"},
    (3, 12): {"RETURN_GENERATOR": "1"},
}


def opcodes():
    """All opcodes by name, and of those that stand for another one, the name of that."""
    numbers, stand_for = dict(opcode.opmap), {}
    specializations = getattr(opcode, "_specializations", {})
    if VERSION == (3, 11):
        numbers.update({name: n for n, name in enumerate(dis._all_opname) if not name.startswith("<")})
    elif VERSION == (3, 12):
        numbers.update(dis._all_opmap)
    elif VERSION == (3, 13):
        import _opcode_metadata
        specializations = _opcode_metadata._specializations
        numbers.update(_opcode_metadata._specialized_opmap)
        numbers.update(_opcode_metadata.opmap)
    for name, special in specializations.items():
        stand_for.update(dict.fromkeys(special, name))
    for name in numbers:
        base = name[len("INSTRUMENTED_"):]
        if name.startswith("INSTRUMENTED_") and base in numbers:
            stand_for[name] = base
    # Numbers above 255 are the compiler's own.
    return {name: n for name, n in numbers.items() if n < 256 and name not in LEFT_OUT}, stand_for


def arguments(name):
    """The arguments that an instruction can have."""
    few = {"BUILD_SLICE": (2, 3), "MAKE_FUNCTION": range(16), "RAISE_VARARGS": range(3)}
    return few.get(name, list(range(1024)) + [0x7F05, 0x12345])


def formula(name, number, jump):
    """The effect as a formula of the argument; None where the compiler knows none."""
    def asked(argument):
        try:
            return dis.stack_effect(number, argument if has_argument(number) else None, jump=jump)
        except ValueError:
            return None
    told = {a: asked(a) for a in arguments(name)}
    told = {a: effect for a, effect in told.items() if effect is not None}
    if not told:
        return None
    bits = [()] + [(b,) for b in (1, 2, 4, 8)] + [(1, 2, 4, 8)]
    for low, masks, sign in itertools.product((0, 1, -1, -2), bits, (1, -1)):
        for high in (256 * low, 0, 1):
            def moving(a):
                return low * (a & 255) + high * (a >> 8) + sign * sum(1 for b in masks if a & b)
            first = next(iter(told))
            constant = told[first] - moving(first)
            if all(constant + moving(a) == effect for a, effect in told.items()):
                text = str(constant)
                if low and high == 256 * low:
                    text += "%+da" % low
                else:
                    text += "%+dl" % low if low else ""
                    text += "%+dh" % high if high else ""
                return text + "".join("%+db%d" % (sign, b) for b in masks)
    raise SystemExit("no formula for %s: %s" % (name, told))


def has_argument(number):
    return number in dis.hasarg if VERSION >= (3, 13) else number >= dis.HAVE_ARGUMENT


def caches(name, number):
    entries = getattr(opcode, "_inline_cache_entries", None)
    if entries is None:
        return 0
    return entries.get(name, 0) if isinstance(entries, dict) else entries[number]


def main():
    numbers, stand_for = opcodes()
    print("version %d.%d %s" % (VERSION + ("bytes" if VERSION < (3, 10) else "units",)))
    rows = sorted((n, name) for name, n in numbers.items())
    for number, name in rows:
        if name in stand_for:
            continue
        if name in REPLACED:
            print(name, number, "@", REPLACED[name])
            continue
        effect = DIFFERENT.get(VERSION, {}).get(name)
        if effect is None:
            # The two that are no instructions by themselves have no effect.
            effect = "0" if name in ("CACHE", "EXTENDED_ARG") else formula(name, number, False)
        if effect is None:
            continue
        words = [name, str(number), str(caches(name, number)), effect]
        if number in dis.hasjabs:
            words += ["absolute", formula(name, number, True)]
        elif number in dis.hasjrel:
            words += ["backward" if "BACKWARD" in name else "forward", formula(name, number, True)]
        if name in UNCONDITIONAL:
            words.append("ends")
        print(*words)
    for number, name in rows:
        if name in stand_for:
            print(name, number, "=", stand_for[name])


main()
