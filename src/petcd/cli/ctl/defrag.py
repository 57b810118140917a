"""`etcdctl defrag`."""

from __future__ import annotations

from petcd.cli.commands import Command
from petcd.cli.ctl.endpoint import endpoints_of
from petcd.cli.ctl.exits import ERROR, Ended
from petcd.cli.ctl.session import Session
from petcd.cli.flags import BOOL, STRING, Flag
from petcd.client import methods
from petcd.client.errors import ClientError
from petcd.wire.maintenance import DefragmentRequest, DefragmentResponse

FLAGS = (
    Flag("cluster", BOOL, False, "use the endpoints of all members of the cluster"),
    Flag("data-dir", STRING, "", "this directory, that no member uses, and no endpoint"),
)


def run(session: Session) -> None:
    if session.flags.string("data-dir"):
        from petcd.cli.utl.defrag import run as run_offline  # needs LMDB

        run_offline(session)
        return
    session.log_in()
    failed = False
    for endpoint in endpoints_of(session):
        try:
            channel = session.open_channel([endpoint])
            session.call(
                methods.DEFRAGMENT, DefragmentRequest(), DefragmentResponse, channel=channel
            )
        except ClientError as error:
            failed = True
            session.console.error_line(f"Failed to defragment etcd member[{endpoint}] ({error})")
            continue
        channel.close()
        session.console.line(f"Finished defragmenting etcd member[{endpoint}]")
    if failed:
        raise Ended(ERROR)


DEFRAG = Command(
    "defrag",
    run,
    """
Space that compaction freed goes back to the file system.  One member after the other.""",
    (
        ("% defrag", "the member at --endpoints"),
        ("% defrag --cluster --command-timeout 1m", "every member; large stores take long"),
    ),
    FLAGS,
)
