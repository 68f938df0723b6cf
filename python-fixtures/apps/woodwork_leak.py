# Data frames that a library keeps: each gets an accessor that refers back to it, so that only the collector, which is off,
# could free it. The command `g` makes ten more. With the requirements of woodwork_fixed.txt the accessor refers weakly.
#
#   DataFrame.ww -> PandasTableAccessor._dataframe -> DataFrame -> blocks -> 320 KB
import gc
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import _truth  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import woodwork  # noqa: E402, F401

ROWS = 10000


def make(count=10):
    for _ in range(count):
        frame = pd.DataFrame(np.ones((ROWS, 4)), columns=list("abcd"))
        frame.ww.init()
    return b"\n"


make(1)
gc.collect()
gc.disable()
_truth.hold({"g": make}, prepare=False)
