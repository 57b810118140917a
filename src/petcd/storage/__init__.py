"""What a member keeps on disk: the write-ahead log, the backend, the data directory.

``wal`` is the log of Raft, in etcd's file format; ``backend`` declares the store of buckets, with
LMDB (``lmdb_backend``) and memory (``memory``) behind it; ``datadir`` is the directory with its
lock; ``snapshot_file`` is a whole backend as a file of etcd's (``bbolt_writer``, ``bbolt_reader``),
``snapshot_store`` its way to other members and into the place of their backends.  Called only to
carry out effects: nothing here decides anything about Raft or revisions.
"""
