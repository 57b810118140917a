"""Message classes of etcd's wire and file formats, and their codecs.

``codec`` is the general, table-driven codec and the ``Message`` base class; one module per
group of messages (``kv``, ``watch``, ``lease``, ``raftpb``, ...) declares the messages; ``hot``
has hand-specialised codecs for the messages on the fast path.  This package imports nothing
else of petcd and needs no protobuf library at run time.
"""
