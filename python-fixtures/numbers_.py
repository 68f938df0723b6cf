# Numbers: one of each digit count and sign, cached and not.
#
#   int: 0 | small (cached) | 1 digit | 2 digits | many      bool, float, complex, Decimal, Fraction
import decimal
import fractions

import _truth

zoo = [
    [0, 1, -1, 255, 256, 257, -5, -6, 1023, 1024, 1025, True, False],
    [sign * 2 ** n + d for n in (15, 29, 30, 31, 32, 59, 60, 61, 64, 89, 90, 91, 640) for d in (-1, 0, 1)
     for sign in (1, -1)],
    [10 ** n for n in (100, 1000)], [i * 1000003 for i in range(50)],
    [0.0, 0.5, 1e300, float("nan"), float("inf"), -0.0, 1j, complex(1, 2)], [float(i) / 3 for i in range(50)],
    [decimal.Decimal(t) for t in ("0", "1.5", "NaN", "Infinity", "-0", "1E+100", "1" * 19, "1" * 77, "1" * 200)],
    decimal.getcontext(), decimal.Context(prec=5), fractions.Fraction(1, 3), fractions.Fraction(10 ** 50, 7),
    [None, Ellipsis, NotImplemented],
]
_truth.hold()
