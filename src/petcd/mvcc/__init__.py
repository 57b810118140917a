"""The multi-version key-value store: revisions, key index, transactions, compaction, hash, watch.

Start reading at ``store`` (the face and the map of the room), then ``keyspace`` and ``index``.
"""
