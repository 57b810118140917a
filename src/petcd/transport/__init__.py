"""One port for gRPC and HTTP: sans-IO HTTP/2 + gRPC engines and the asyncio listener around them.

Public names, each imported from its own module (this package imports nothing, so that a client
starts fast):

| name | module | what |
| --- | --- | --- |
| `Method`, `Router`, `UNARY`, `SERVER_STREAM`, ... | `router` | RPCs by path, counters |
| `Call` | `call` | one call: `reply`, `fail`, `send`, `finish`, `metadata`, `on_*` callbacks |
| `HttpRequest`, `HttpResponder`, `HttpHandler` | `http` | the seam of what is not gRPC |
| `Listener` | `listener` | asyncio sockets: `start`, `stop`, `close`, `flush`, byte counters |
| `TransportLimits` | `options` | settable bounds; fixed ones in `limits` |
| `Http2ClientEngine`, `ClientCall` | `h2_client` | the client role, sans-IO |
| status codes, `percent_encode`, ... | `grpc_status` | gRPC's vocabulary |
"""
