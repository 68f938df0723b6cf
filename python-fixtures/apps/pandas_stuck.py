# Objects that are stored in an object column of their own data frame: the collector does not see the items of an array, so
# that no collection ever frees them. It runs in the environment of pandas_app.
#
#   Owner.frame -> DataFrame -> BlockManager -> blocks -> ndarray of objects -> Owner
import gc
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import _truth  # noqa: E402
import pandas as pd  # noqa: E402


class Owner:
    pass


def make():
    for _ in range(5):
        owner = Owner()
        owner.frame = pd.DataFrame({"number": [1, 2], "owner": [None, None]}, dtype=object)
        owner.frame.iloc[0, 1] = owner


make()


def left():
    gc.collect()
    return b"%d\n" % sum(type(one) is Owner for one in gc.get_objects())


_truth.hold({"g": left})
