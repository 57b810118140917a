"""Clusters of real processes under faults: `./dev faults` and `./dev cluster`.

```
  workload ---- client ports ----> member m1 ... m3     processes of petcd, or of the real etcd
     |                               |  ^
     v                               v  |
  history                           proxies             every byte between members passes here
     |                                  ^
     v                                  |
  verdict <---- HashKV, values       faults             kill, pause, cut, hold, delay, full disk
```

`proxy` carries what members say to each other and can do what networks do. `stand` is a cluster
behind such proxies. `workload` puts, reads, deletes, locks and watches, and writes down what it
sent and what came back. `kinds` holds the faults, `cycles` runs one after the other under load, and
`verdict` says whether what was written down is possible: a run without enough traffic is void.
`local` is the cluster for humans, `./dev cluster 3`.

Nothing here imports the server: any program with etcd's flags can be tried. Not shipped.
"""
