"""A client of etcd's v2 API: HTTP/1.1 and JSON.

```
keys  members  auth     what is asked and how answers read
        cluster         which endpoint is asked, what is tried again, how long
        exchange        one request and its answer on one connection
url  errors
```

Source: the documented behaviour of etcd's own v2 client.
"""
