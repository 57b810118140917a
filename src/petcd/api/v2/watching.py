"""Long polls and streams of /v2/keys.

The head goes out at once, with the index at which the watch began; then one event ends the answer,
or with stream=true events follow, a line each, until somebody leaves. A client that does not read
loses the stream when QUEUED_BYTES_MAX wait for it, as in etcd (100 events there): it comes back
with waitIndex. When the member stops, the answer ends without an event, and clients ask again.
"""

from collections.abc import Callable, Sequence

from petcd.api.v2.answers import Answers
from petcd.api.v2.errors import keys_error
from petcd.api.v2.go_json import event_json
from petcd.api.v2.keys_request import KeysRequest
from petcd.member.v2.errors import HistoryCleared
from petcd.member.v2.nodes import Event
from petcd.member.v2.watch import V2Watchers
from petcd.mvcc.store import Store
from petcd.transport.http import Header, HttpResponder

QUEUED_BYTES_MAX = 1024 * 1024


class Watching:
    """Answers requests with wait=true."""

    def __init__(
        self,
        watchers: V2Watchers,
        store: Store,
        answers: Answers,
        clock_ns: Callable[[], int],
    ) -> None:
        self._watchers = watchers
        self._store = store
        self._answers = answers
        self._clock_ns = clock_ns

    def watch(self, asked: KeysRequest, respond: HttpResponder, more: Sequence[Header]) -> None:
        """Begin a watch."""

        def deliver(event: Event | None) -> None:
            if event is None:
                respond.end()
                return
            respond.write(event_json(event, self._clock_ns()))
            if not asked.stream:
                respond.end()
            elif respond.queued_bytes > QUEUED_BYTES_MAX:
                self._watchers.remove(watch)
                respond.end()

        try:
            watch = self._watchers.add(
                asked.path, asked.recursive, asked.stream, asked.wait_index, deliver
            )
        except HistoryCleared as refusal:
            self._answers.fail(respond, keys_error(refusal), more)
            return
        respond.on_close = lambda: self._watchers.remove(watch)
        respond.start(200, self._answers.headers(self._store.revision, more))
