"""The v3 gRPC services, one module each, and `register` which adds them all to a router."""
