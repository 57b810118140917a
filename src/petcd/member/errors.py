"""Why the member refuses a request. Each carries data; texts for clients live in `api.errors`."""


class RequestRefused(Exception):
    """Base of what the member answers instead of a result."""


class NoSpace(RequestRefused):
    """The store is at its quota, or the NOSPACE alarm is on; deletes and compaction go on."""


class ClusterCorrupt(RequestRefused):
    """The CORRUPT alarm is on; nothing may be written."""


class RequestTooLarge(RequestRefused):
    """The encoded log entry would exceed `--max-request-bytes`."""

    def __init__(self, size_bytes: int, bytes_max: int) -> None:
        super().__init__(f"request of {size_bytes} bytes, at most {bytes_max} are allowed")
        self.size_bytes = size_bytes
        self.bytes_max = bytes_max


class TooManyRequests(RequestRefused):
    """More proposals wait than the member is willing to hold."""


class NoLeader(RequestRefused):
    """There is no leader to take the request."""


class TimedOut(RequestRefused):
    """The request was not committed in time; its outcome is not known."""


class TimedOutByLeaderFailure(TimedOut):
    """The same, and a leader was lost meanwhile."""


class TimedOutByConnectionLoss(TimedOut):
    """The same, and this member was cut off from those who must take the request."""


class NotLeader(RequestRefused):
    """Only the leader can do this."""


class NotEnoughStarted(RequestRefused):
    """The change would leave too few members that have started."""


class Unhealthy(RequestRefused):
    """The change needs a healthy quorum, and this member does not see one."""


class LearnerNotReady(RequestRefused):
    """The learner is too far behind to vote."""


class BadLeaderTransferee(RequestRefused):
    """The lead cannot be given to whom is no voter."""


class TransferTimedOut(RequestRefused):
    """Nobody took over the lead in time."""


class NotServedByLearner(RequestRefused):
    """A learner does not serve this."""


class V2NotWritable(RequestRefused):
    """Members of etcd are in the cluster, which keep what v2 writes apart from what v3 writes."""


class Stopped(RequestRefused):
    """The member is shutting down."""


class NotSupported(RequestRefused):
    """The log holds a request that this version does not know."""

    def __init__(self, field_number: int) -> None:
        super().__init__(f"request with field number {field_number} is not supported")
        self.field_number = field_number
