"""A client of etcd and petcd: connections, fail-over, watches, leases; over our own HTTP/2.

```
  watcher   renewal                 blocking loops for watches and lease renewal
  watching  renewal.RenewalSession  what to send and what it means: no socket, no clock
  channel                           several endpoints: choice, retries, credentials
  connection   dialing              one socket under the sans-IO engine of petcd.transport
  endpoint  errors  log  methods  ranges
```

Nothing is imported here, so that a command-line tool loads only what it uses.  Requests and
answers are encoded messages (`petcd.wire`); this room does not look into them except where a
stream has a state (watch, lease).
"""
