"""A script of v2 calls, and what makes the answers of two servers comparable.

`{+3}` in a target or form is the third index after the one that the server began with; indexes in
answers are shown the same way, and ids, ports, times and raft indexes by what they are.
"""

import http.client
import json
import re
from typing import NamedTuple

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
INDEXES = ("modifiedIndex", "createdIndex", "index")
MUST_BE_THERE = ("x-raft-index", "x-raft-term", "x-etcd-cluster-id")
VOLATILE_HEADERS = (
    *("date", "content-length", "transfer-encoding", "connection"),
    *MUST_BE_THERE,
)
VOLATILE_FIELDS = ("expiration", "startTime", "uptime", "id", "leader")
KEYS = "/v2/keys"


class Call(NamedTuple):
    """One request; `during`: requests made while it waits for its answer."""

    method: str
    target: str
    form: str | bytes | None = None
    headers: dict[str, str] | None = None
    during: tuple["Call", ...] = ()

    def __str__(self) -> str:
        return f"{self.method} {self.target} {self.form or ''}".strip()


class Reply(NamedTuple):
    """An answer with everything volatile replaced."""

    status: int
    headers: dict[str, str]
    body: object


class Player:
    """Plays calls on one server and remembers the index that it began with."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.base = self.index()

    def index(self) -> int:
        """The store's index now."""
        status, headers, _ = self.ask(Call("GET", KEYS))
        assert status == 200
        return int(headers["x-etcd-index"])

    def ask(self, call: Call) -> tuple[int, dict[str, str], bytes]:
        """The answer as it came."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            self._send(connection, call)
            for inner in call.during:
                self.ask(inner)
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return response.status, headers, response.read()
        finally:
            connection.close()

    def _send(self, connection: http.client.HTTPConnection, call: Call) -> None:
        body = call.form
        if isinstance(body, str):
            body = self._resolved(body).encode()
        headers = call.headers
        if headers is None:
            headers = FORM if body is not None else {}
        connection.putrequest(call.method, self._resolved(call.target))
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body or b"")))
        connection.endheaders(body)
        if call.during:
            # The head of a waiting answer comes at once: then the watch stands.
            connection.sock.settimeout(20)
            connection.sock.recv(1, 2)  # MSG_PEEK

    def _resolved(self, text: str) -> str:
        return re.sub(r"\{\+(\d+)\}", lambda match: str(self.base + int(match[1])), text)

    def play(self, call: Call) -> Reply:
        """The answer, comparable."""
        status, headers, body = self.ask(call)
        shown = {name: value for name, value in headers.items() if name not in VOLATILE_HEADERS}
        shown["volatile"] = ",".join(sorted(name for name in headers if name in MUST_BE_THERE))
        if "x-etcd-index" in shown:
            shown["x-etcd-index"] = self._index(int(shown["x-etcd-index"]))
        return Reply(status, shown, self._body(body))

    def _index(self, index: int) -> str:
        return f"+{index - self.base}" if index >= self.base else str(index)

    def _body(self, body: bytes) -> object:
        lines = body.decode("utf-8", "surrogateescape").split("\n")
        return [self._line(line) for line in lines]

    def _line(self, line: str) -> object:
        line = re.sub(r"(127\.0\.0\.1|localhost):\d+", r"\1:PORT", line)
        line = re.sub(r"\b0{10}(\d{10})\b", lambda m: "0n" + self._index(int(m[1])), line)
        line = re.sub(
            r"\[(\d+) != (\d+)\]",
            lambda m: f"[{self._index(int(m[1]))} != {self._index(int(m[2]))}]",
            line,
        )
        try:
            # Pairs, so that the order of members counts.
            return self._comparable(json.loads(line, object_pairs_hook=list))
        except ValueError:
            return line

    def _comparable(self, value: object) -> object:
        if not isinstance(value, list):
            return value
        if not all(isinstance(item, tuple) for item in value):
            return [self._comparable(item) for item in value]
        pairs = []
        for name, member in value:
            if name in INDEXES and not (name == "index" and member == 0):
                member = self._index(member)
            elif name in VOLATILE_FIELDS and isinstance(member, str):
                member = name
            elif name == "nodes":
                member = sorted((self._comparable(node) for node in member), key=str)
            else:
                member = self._comparable(member)
            pairs.append((name, member))
        return pairs


def keys(method: str, path: str, form: str | bytes | None = None, **more: object) -> Call:
    """A call of /v2/keys."""
    return Call(method, KEYS + path, form, **more)  # type: ignore[arg-type]


def get(path: str, **more: object) -> Call:
    return keys("GET", path, **more)


def put(path: str, form: str | bytes = "", **more: object) -> Call:
    return keys("PUT", path, form, **more)


def post(path: str, form: str = "", **more: object) -> Call:
    return keys("POST", path, form, **more)


def delete(path: str, **more: object) -> Call:
    return keys("DELETE", path, **more)


FILES = [
    *(get(""), get("/"), get("?recursive=true"), get("/none"), get("/none/x/y")),
    *(put("/foo", "value=bar"), get("/foo"), get("/foo/"), put("/foo", "value=baz")),
    *(put("/foo", ""), get("/foo"), put("/foo?value=query", ""), put("/foo", "value=b&value=c")),
    *(put("/foo?value=query", "value=body"), put("/none2?value=only"), get("/foo?quorum=true")),
    *(get("/none?quorum=true"), keys("HEAD", "/foo"), keys("HEAD", "/none"), keys("HEAD", "")),
    *(put("/sp%20ace", "value=a+b%20c%2Bd"), get("/sp%20ace"), put("/%C3%BC", "value=%C3%BC")),
    put("/odd", "value=%00%01%08%0c%0a%0d%09%1f%7f%22%5c%3c%3e%26%e2%80%a8%e2%80%a9%f0%9f%98%80"),
    *(put("/bin", "value=%ff%fe%e2%82"), get("/bin"), get("/odd"), put("/a%2Fb", "value=1")),
    *(get("/a/b"), put("/json", 'value={"a":[1]}'), put("/eq", "value=a=b=c"), get("/eq")),
    *(put("/plain", b"value=x", headers={}), get("/plain")),
    put("/text", b"value=x", headers={"Content-Type": "text/plain"}),
    put("/cs", b"value=x", headers={"Content-Type": FORM["Content-Type"] + "; charset=utf-8"}),
    put("/big", "value=" + "x" * 100_000),
    *(delete("/foo"), delete("/foo"), get("/foo"), delete("/sp%20ace"), delete("/bin")),
]

CONDITIONS = [
    *(put("/c", "value=v1"), put("/c", "value=v2&prevExist=true"), get("/c")),
    *(put("/c", "value=v3&prevExist=false"), put("/d", "value=v1&prevExist=false"), get("/d")),
    *(put("/none", "value=v3&prevExist=true"), put("/c?prevValue=v2", "value=v4"), get("/c")),
    *(put("/c?prevValue=v9", "value=v5"), put("/c?prevIndex={+1}", "value=v5")),
    *(
        put("/c?prevIndex={+100}&prevValue=v9", "value=v5"),
        put("/c?prevIndex={+100}&prevValue=v4", ""),
    ),
    *(put("/none?prevValue=v1", "value=v1"), put("/none?prevIndex={+1}", "value=v1")),
    *(put("/c?prevExist=true&prevValue=v4", "value=v6"), put("/c?prevExist=true&prevValue=v4", "")),
    *(put("/c?prevExist=false&prevValue=v6", "value=v7"), put("/e?prevExist=false&prevValue=v6")),
    *(
        put("/idx", "value=v1"),
        put("/idx?prevIndex=0", "value=v2"),
        put("/c?prevIndex=0", "value=v8"),
    ),
    *(delete("/c?prevValue=v1"), delete("/c?prevIndex={+1}"), delete("/c?prevValue=v8"), get("/c")),
    *(
        delete("/c?prevValue=v8"),
        delete("/d?prevIndex={+100}&prevValue=z"),
        delete("/d?prevValue=v1"),
    ),
    *(put("/n", "value=v1&noValueOnSuccess=true"), put("/n?noValueOnSuccess=true", "value=v2")),
    *(put("/n?prevValue=v2&noValueOnSuccess=true", "value=v3"), delete("/n?noValueOnSuccess=true")),
    *(put("/n2?prevExist=false", "noValueOnSuccess=1"), put("/n2?prevExist=true", "value=u")),
    put("/n2?prevExist=true&noValueOnSuccess=true", "value=u"),
]

DIRECTORIES = [
    *(put("/dir", "dir=true"), put("/dir", "dir=true"), put("/dir", "value=x"), get("/dir")),
    *(put("/dir", "value=x&prevExist=true"), put("/dir?prevValue=x", "value=y")),
    *(put("/dir?prevIndex=3", "value=y"), put("/dir?prevExist=false", "dir=true")),
    *(put("/dir/a", "value=1"), put("/dir/b/c", "value=2"), put("/dir/b/d/e", "value=3")),
    *(get("/dir"), get("/dir?sorted=true"), get("/dir?recursive=true"), get("/dir/b")),
    *(get("/dir?recursive=true&sorted=true"), get("/dir?quorum=true&recursive=true")),
    *(put("/dir/_hidden", "value=h"), put("/dir/_hd/x", "value=h"), get("/dir?recursive=true")),
    *(get("/dir/_hidden"), get("/dir/_hd"), get("/dir/b?sorted=true&recursive=true")),
    *(put("/dir/a/x", "value=1"), put("/dir/a/x/y", "dir=true"), get("/dir/a/x")),
    *(delete("/dir/a/x"), get("/dir/none/x"), put("/dir/a?prevExist=true", "dir=true")),
    *(delete("/dir"), delete("/dir?dir=true"), delete("/dir?dir=false"), delete("/dir/a?dir=true")),
    *(delete("/dir?prevValue=x"), delete("/dir?prevIndex=1"), delete("/dir?recursive=true")),
    *(get("/dir"), put("/f", "value=1"), put("/f", "dir=true"), get("/f"), delete("/f?dir=true")),
    *(put("/g", "value=1"), delete("/g?recursive=true"), put("/h?dir=true", "value=ignored")),
    *(get("/h"), delete("/h?dir=true"), put("/i/j", "value=1"), delete("/i/j"), get("/i")),
    *(delete("/i?dir=true&recursive=false"), put("/k?dir=true&noValueOnSuccess=true", "")),
    *(put("", "value=x"), put("/", "dir=true"), put("?prevExist=true", "value=x")),
    *(put("?prevExist=false", "value=x"), put("?prevValue=a", "value=x"), delete("")),
    *(delete("/?recursive=true"), delete("?prevValue=x"), delete("?dir=true")),
]

IN_ORDER = [
    *(post("/q", "value=1"), post("/q", "value=2"), get("/q?sorted=true"), post("/q", "dir=true")),
    *(post("/q?noValueOnSuccess=true", "value=3"), post("", "value=root"), post("/q", "")),
    *(put("/file", "value=1"), post("/file", "value=2"), post("/q?prevValue=x", "value=4")),
    *(post("/deep/er", "value=1&ttl=100"), get("/deep?recursive=true")),
]

PARAMETERS = [
    put("/p?prevIndex=bad", "value=1"),
    put("/p?prevIndex=-1", "value=1"),
    put("/p?prevIndex=", "value=1"),
    *(put("/p?prevIndex=18446744073709551616"), get("/p?waitIndex=bad"), get("/p?waitIndex=")),
    *(get("/p?recursive=bad"), get("/p?recursive="), get("/p?recursive=TRUE"), get("/p?sorted=x")),
    *(get("/p?wait=maybe"), put("/p?wait=true", "value=1"), delete("/p?wait=true")),
    *(keys("HEAD", "/p?wait=true"), post("/p", "wait=1"), put("/p", "dir=no"), get("/p?quorum=y")),
    *(get("/p?stream=2"), put("/p?prevValue=", "value=1"), delete("/p?prevValue=")),
    *(put("/p?noValueOnSuccess=x"), put("/p", "value=1&ttl=bad_ttl"), put("/p", "ttl=-1")),
    *(
        put("/p", "ttl=1.5"),
        put("/p", "prevExist=x"),
        put("/p", "prevExist="),
        put("/p", "refresh=x"),
    ),
    *(
        put("/p", "refresh=true&value=1&ttl=5"),
        put("/p", "refresh=true"),
        put("/p", "refresh=true&ttl="),
    ),
    *(get("/p?recursive=%zz"), put("/p", "value=%zz"), put("/p", "value=%"), put("/p", "value=%a")),
    *(put("/p?x=%g1", "value=%h2"), get("/p?unknown=1"), get("/p?sorted=T&recursive=f")),
    *(keys("PATCH", "/p", "value=1"), keys("OPTIONS", "/p"), keys("TRACE", "/p")),
    *(get("//p"), get("/a/../b"), get("/./b?x=1&y=%20"), put("/a//b", "value=1"), get("/%2e%2e/x")),
    *(
        Call("GET", "/v2/keysfoo"),
        Call("GET", "/v2/"),
        Call("GET", "/v2"),
        Call("GET", "/v2/leader"),
    ),
    put(
        "/multi?noValueOnSuccess=false",
        b'--B\r\nContent-Disposition: form-data; name="value"\r\n\r\nmv\r\n'
        b'--B\r\nContent-Disposition: form-data; name="ttl"\r\n\r\n100\r\n--B--\r\n',
        headers={"Content-Type": "multipart/form-data; boundary=B"},
    ),
]

TIMES_TO_LIVE = [
    *(put("/t", "value=1&ttl=100"), get("/t"), put("/t", "value=2&ttl=100&prevExist=true")),
    *(
        put("/t", "ttl=200&refresh=true&prevExist=true"),
        get("/t"),
        put("/t", "ttl=50&refresh=true"),
    ),
    *(
        get("/t"),
        put("/t?prevValue=2", "value=3&ttl=100"),
        put("/t?prevValue=3", "refresh=1&ttl=90"),
    ),
    *(put("/t", "value=4&ttl=&prevExist=true"), get("/t"), put("/t", "value=5&ttl=100")),
    *(put("/t", "value=6"), get("/t"), put("/nt", "refresh=true&ttl=5")),
    *(put("/nt", "refresh=true&ttl=5&prevExist=true"), put("/nt", "refresh=false&value=1&ttl=70")),
    *(put("/td", "dir=true&ttl=100"), get("/td"), put("/td/x", "value=1&ttl=70"), get("/td")),
    *(get("?recursive=true"), delete("/t"), put("/t", "value=1&ttl=100"), delete("/t")),
]

WATCHES = [
    put("/w", "value=1"),
    get("/w?wait=true", during=(put("/w", "value=2"),)),
    get(
        "/w?wait=true", during=(put("/wx", "value=2"), put("/w/x", "value=2"), put("/w", "value=3"))
    ),
    get("/w?wait=true", during=(put("/w", "value=3&ttl=5&refresh=false"), delete("/w"))),
    get("/wd?wait=true&recursive=true", during=(put("/wdx", "v=1"), put("/wd/a/b", "value=1"))),
    get("/wd?wait=true&recursive=true", during=(put("/wd/_h", "value=1"), put("/wd/c", "value=1"))),
    get("/wd/_h?wait=true", during=(put("/wd/_h", "value=2"),)),
    get("/wd/a/b?wait=true", during=(delete("/wd?recursive=true"),)),
    get("?wait=true&recursive=true", during=(put("/_x", "value=1"), post("/wq", "value=1"))),
    get("/we?wait=true", during=(put("/we", "prevExist=false&value=1"),)),
    get("/we?wait=true", during=(put("/we?prevValue=1", "value=2"),)),
    get("/we?wait=true", during=(put("/we?prevExist=true", "value=3"),)),
    get("/we?wait=true", during=(delete("/we?prevValue=3"),)),
    get("/wf?wait=true", during=(put("/wf", "dir=true"),)),
    get("/wg?wait=true&waitIndex=", during=()),
    get("/w?wait=true&waitIndex={+1}&recursive=true"),
    get("/wd?wait=true&waitIndex={+1}&recursive=true"),
    get("/wd?recursive=true&wait=true&waitIndex={+8}"),
    get("/we?wait=true&quorum=true"),
    *(put("/wr", "value=1"), put("/wr", "ttl=100&refresh=true")),
    get("/wr?wait=true", during=(put("/wr", "ttl=100&refresh=true"), put("/wr", "value=2"))),
    put("/ws", "value=1"),
    # A refresh wakes nobody, so what the watch gets is the end of the node.
    get("/ws?wait=true", during=(put("/ws", "ttl=1&refresh=true&prevExist=true"),)),
    get("/ws"),
]

BAD_INPUT = [
    *(get("/%zz"), get("/%2"), get("/a%"), get("/b?%zz=1"), get("/b?=x&&=&recursive=true")),
    *(
        put("/b", "%zz=1"),
        put("/b", "=x"),
        put("/b", "&&&value=1&&"),
        put("/b", "value"),
        get("/b"),
    ),
    *(put("/b", "value=1&value"), put("/b", "VALUE=2"), put("/b", "value[]=3"), get("/b")),
    *(put("/b", '{"value":1}', headers=JSON), put("/b", "\x00\xff".encode("latin-1"))),
    *(put("/b", "value=1", headers={"Content-Type": "application/x-www-form-urlencoded; q"}),),
    *(put("/b", "value=1", headers={"Content-Type": "multipart/form-data"}),),
    *(put("/b", "value=1", headers={"Content-Type": "multipart/form-data; boundary=B"}),),
    *(
        put("/b", "value=1", headers={"Content-Type": kind})
        for kind in ("a b", "a/", "a/b c", "a/b; c", 'a/b; c="d"; e', "a/b; c=d;", "a/b; c=")
    ),
    *(put("/b", "value=1", headers={"Content-Type": ";;"}), put("/b", headers=FORM), get("/b")),
    *(
        put("/b", "value=1", headers={"Content-Type": kind})
        for kind in ("a b", "a/", "a/b c", "a/b; c", 'a/b; c="d"; e', "a/b; c=d;", "a/b; c=", "/")
    ),
    *(put("/b", "ttl=1e3"), put("/b", "ttl=0x10"), put("/b", "ttl=%2B5"), put("/b", "ttl=+5")),
    *(put("/b", "ttl=5%20"), put("/b", "ttl=18446744073709551616"), put("/b", "ttl=%00")),
    *(put("/b", "ttl=1_000"), put("/b", "ttl=true"), put("/b", "ttl=%D9%A3"), get("/b")),
    *(
        put("/b?prevIndex=0x1"),
        put("/b?prevIndex=%2B1"),
        put("/b?prevIndex=+1"),
        put("/b?prevIndex=1.0"),
    ),
    *(get("/b?wait=true&waitIndex=-1"), get("/b?wait=true&waitIndex=1.5"), get("/b?wait=1x")),
    *(get("/b?waitIndex=18446744073709551616"), get("/b?recursive=yes"), get("/b?sorted=tru")),
    *(
        get("/b?quorum=2"),
        get("/b?stream=on"),
        get("/b?wait=TRUE&quorum=true"),
        get("/b?dir=maybe"),
    ),
    *(put("/b", "prevExist=yes"), put("/b", "refresh=2"), put("/b", "noValueOnSuccess=")),
    *(put("/b?prevExist=false&prevExist=true", "value=2"), put("/b?dir=", "value=2")),
    *(put("/b?unknown=1&foo", "bar=1&value=v"), get("/b?unknown=%20&x"), delete("/none?y=1")),
    *(put("/b", "refresh=true&prevExist=false&ttl=5"), put("/b", "refresh=true&dir=true&ttl=5")),
    *(post("/b?recursive=x", "value=1"), delete("/b?recursive=x"), delete("/b?dir=x")),
    *(keys("DELETE", "/b", "prevValue=nope"), put("/b", "value=back"), put("/b?value=q", "")),
    *(keys("HEAD", "/b?wait=x"),),
    *(get("/%00"), put("/%00", "value=nul"), get("/%c3%28"), get("/b/"), get("/b//"), get("/./b")),
    *(get("/../../b"), get("/b?a=" + "x" * 3_000), put("/" + "l" * 3_000, "value=1")),
    *(
        get("/" + "d/" * 200),
        put("/b/c", "value=1"),
        put("/b/c/d", "dir=true"),
        post("/b", "value=1"),
    ),
    *(delete("/b/c"), get("/b/c"), get("/b/c?recursive=true"), get("/b/c?quorum=true")),
    *(put("/b", "value=" + "y" * 1_000_000), delete("/b"), get("/b")),
]

OTHERS = [
    *(Call("GET", "/v2/members"), Call("GET", "/v2/members/"), Call("GET", "/v2/members/leader")),
    *(Call("GET", "/v2/members/xx"), Call("PUT", "/v2/members"), Call("DELETE", "/v2/members/")),
    *(Call("DELETE", "/v2/members/xyz"), Call("DELETE", "/v2/members/1234")),
    *(Call("POST", "/v2/members", "{}"), Call("POST", "/v2/members", "{}", JSON)),
    *(Call("POST", "/v2/members", "", JSON), Call("POST", "/v2/members", "{", JSON)),
    *[
        Call(method, path, body, JSON)
        for method, path in (("POST", "/v2/members"), ("PUT", "/v2/members/1234"))
        for body in (
            *("[]", "1", "true", "null", '"x"', "x", "{} x", '{"peerURLs":["a:1"]', '{"peerURLs":'),
            *('{"peerURLs":"x"}', '{"peerURLs":{}}', '{"peerURLs":null}', '{"peerURLs":[1]}'),
            *('{"peerURLs":[null]}', '{"peerURLs":[["x"]]}', '{"PEERurls":["foo"]}'),
            '{"id":"zz","name":5,"peerURLs":["foo"]}',
        )
    ],
    Call("POST", "/v2/members", '{"peerURLs":["foo"]}', JSON),
    Call("POST", "/v2/members", '{"peerURLs":["http://foo"]}', JSON),
    Call("POST", "/v2/members", '{"peerURLs":["http://a:1/x"]}', JSON),
    *(Call("PATCH", "/v2/members"), Call("HEAD", "/v2/members")),
    *(Call("GET", "/v2/machines"), Call("HEAD", "/v2/machines"), Call("PUT", "/v2/machines")),
    *(
        Call("GET", "/v2/stats/self"),
        Call("GET", "/v2/stats/leader"),
        Call("GET", "/v2/stats/none"),
    ),
    *(
        Call("POST", "/v2/stats/self"),
        Call("HEAD", "/v2/stats/leader"),
        Call("PUT", "/v2/stats/store"),
    ),
    Call("GET", "/v2/machines/"),
]

# The first half of a cluster of two, which then waits for the second.
NEW_MEMBER = Call("POST", "/v2/members", '{"peerURLs":["http://127.0.0.1:1"]}', JSON)

# Calls that are answered differently on purpose, with the statuses of petcd and of etcd 3.5.1.
DIFFERENCES = [
    (put("/ud", "dir=true"), 201, 201),
    (put("/ud?prevExist=true", "dir=true&ttl=90"), 200, 500),  # updatedir: a bug of 3.5
    (put("/huge", "value=" + "x" * (5 << 20)), 413, 201),
    (put("/" + "p/" * 600, "value=x"), 400, 201),
]

SCRIPT = {
    "files": FILES,
    "conditions": CONDITIONS,
    "directories": DIRECTORIES,
    "in order": IN_ORDER,
    "parameters": PARAMETERS,
    "times to live": TIMES_TO_LIVE,
    "watches": WATCHES,
    "bad input": BAD_INPUT,
    "others": OTHERS,
}
