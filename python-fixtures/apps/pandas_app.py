# Frames as an analyst has them: blocks, views, object columns, categories, groups, arrays that share memory.
#
#   DataFrame -> BlockManager -> blocks -> ndarray (own data | view of another -> base)
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import _truth  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

rows = 2000
frame = pd.DataFrame({"number": np.arange(rows), "share": np.linspace(0, 1, rows),
                      "text": ["row %d" % i for i in range(rows)], "kind": pd.Categorical(["a", "b"] * (rows // 2))})
indexed = frame.set_index("number")
summed = frame.groupby("kind", observed=True)["share"].sum()
series = frame["share"]
view = series.to_numpy()[10:20]
dated = pd.Series(range(100), index=pd.date_range("2020-01-01", periods=100))
merged = frame.merge(frame, on="number")
arrays = [np.zeros(0), np.zeros((3, 4)), np.zeros((3, 4)).T, np.arange(100)[::2], np.array([[1], {"a": [2]}], dtype=object),
          np.array(["a", "bb"]), np.zeros(5, dtype=[("x", "i4"), ("y", "f8")]), np.float64(1.5), np.int32(3), np.bool_(1),
          np.matrix([[1, 2]]), np.ma.array([1, 2], mask=[0, 1]), np.rec.array([(1, 2.0)], dtype=[("a", int), ("b", float)]),
          np.broadcast_to(np.arange(3), (1000, 3)), np.datetime64("2020-01-01"), np.random.default_rng(5)]
_truth.hold()
