"""What stands between clients and a cluster and keeps nothing of its own.

    gateway     TCP: bytes of a connection to one endpoint and back        etcd gateway start
    proxy mode  HTTP requests and gRPC calls, one by one, to the members   etcd --proxy on

Both learn where the cluster is, leave out what fails, and try it again after a while. Neither
caches, retries what a member may have done already, or understands more of a request than it needs
to hand it on.
"""
