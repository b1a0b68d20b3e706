"""Where the changes of tables go."""

from __future__ import annotations

from vision_stream.app import app


def test_a_table_of_one_partition_is_written_before_the_producer_knows_its_topic():
    table = app.GlobalTable("one", partitions=1, use_partitioner=True)

    assert table.partition_for_key(b"key-001") == 0
