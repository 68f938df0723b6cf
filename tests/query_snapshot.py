"""Runs the queries of docs/snapshot-format.md on a snapshot file and prints their rows as JSON.

    python query_snapshot.py docs/snapshot-format.md snapshot.parquet

Needs duckdb and polars. It shares no code with pyheap: it sees what a user sees.
"""

import json
import re
import sys

import duckdb
import polars  # noqa: F401  (the examples import it themselves)


def main(document, snapshot):
    with open(document, encoding="utf-8") as file:
        text = file.read()
    examples = re.findall(r"```(sql|python)\n(.*?)```", text, re.DOTALL)
    results = []
    for language, code in examples:
        code = code.replace("FILE", snapshot)
        if language == "sql":
            rows = duckdb.sql(code).fetchall()
        else:
            setup, expression = code.split("\n", 1)
            scope = {}
            exec(setup, scope)
            rows = eval(expression.strip(), scope).rows()
        results.append([list(row) for row in rows])
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
