"""The protocol between members: etcd's rafthttp, so that petcd and etcd members share a cluster."""
