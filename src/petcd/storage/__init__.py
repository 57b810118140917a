"""What a member keeps on disk: the write-ahead log, the backend, the data directory.

``wal`` is the log of Raft, in etcd's file format; ``backend`` declares the store of buckets, with
LMDB (``lmdb_backend``) and memory (``memory``) behind it; ``datadir`` is the directory with its
lock.  Called only to carry out effects: nothing here decides anything about Raft or revisions.
"""
