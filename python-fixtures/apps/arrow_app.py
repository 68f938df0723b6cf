# Arrow's arrays and tables, which share buffers of its memory pool.
#
#   Table -> ChunkedArray -> Array -> buffers     slices and columns share them     a buffer that is Python's own
#
# The command `p` answers with pa.total_allocated_bytes().
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import _truth  # noqa: E402
import pyarrow as pa  # noqa: E402

buffer = pa.allocate_buffer(100_000)
numbers = pa.array(range(100_000))
texts = pa.array(["text %d" % (n % 1000) for n in range(10_000)])
nested = pa.array([{"a": [n, n], "b": str(n)} for n in range(1000)])
kinds = texts.dictionary_encode()
maybe = pa.array([None if n % 3 else n for n in range(1000)])
table = pa.table({"x": numbers, "y": numbers, "z": pa.array([1.5] * 100_000)})
joined = pa.concat_tables([table, table.slice(5, 100)])
batch = pa.record_batch([texts, pa.array(range(10_000))], names=["t", "n"])
shared = [numbers[5:10], table.column(0), joined.column(1).chunk(0), kinds.dictionary, numbers.buffers()[1],
          numbers.buffers()[1].slice(8, 80), nested.field("a").values]
foreign = [pa.py_buffer(b"x" * 5000), pa.py_buffer(bytearray(6000))]
large = pa.array(range(2_000_000))
_truth.hold({"p": lambda: b"%d\n" % pa.total_allocated_bytes()})
