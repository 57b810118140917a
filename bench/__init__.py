"""petcd and the real etcd side by side: `./dev bench`.

Both servers are started in turn by the same code with the same flags, on fresh data directories of
the same disk, and get the same bytes over the wire. Nothing here imports the server: it sees the
two only through their ports and through /proc. Not shipped.

`connection` is a light gRPC client, `servers` starts and watches the two programs, one module per
kind of load measures, `measures` says what is wanted, `report` prints.
"""
