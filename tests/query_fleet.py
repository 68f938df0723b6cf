"""Runs the queries of docs/fleet.md over a folder of snapshots and prints their rows as JSON.

    python query_fleet.py docs/fleet.md FOLDER duckdb|MASTER

MASTER is one of Spark's, such as local[2]. It shares no code with pyheap: it sees what a user sees.
"""

import json
import re
import sys


def duckdb_rows(folder):
    import duckdb

    duckdb.sql(
        "CREATE VIEW heaps AS SELECT * FROM read_parquet('%s/**/*.parquet', "
        "hive_partitioning = true, hive_types_autocast = false)" % folder
    )
    return lambda query: duckdb.sql(query).fetchall()


def spark_rows(folder, master):
    from pyspark.sql import SparkSession

    spark = (
        SparkSession.builder.master(master)
        .config("spark.sql.sources.partitionColumnTypeInference.enabled", "false")
        .config("spark.sql.shuffle.partitions", "4")
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    spark.read.parquet(folder).createOrReplaceTempView("heaps")
    return lambda query: [tuple(row) for row in spark.sql(query).collect()]


def main(document, folder, engine):
    with open(document, encoding="utf-8") as file:
        queries = re.findall(r"```sql\n(.*?)```", file.read(), re.DOTALL)
    rows = duckdb_rows(folder) if engine == "duckdb" else spark_rows(folder, engine)
    json.dump([[list(row) for row in rows(query)] for query in queries], sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
