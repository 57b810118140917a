"""The commands of a well-known introduction to etcd, in its order, with the outputs it shows.

It was written for etcd 3.3 and API 2. In outputs `<id>`, `<n>`, `<url>` and `<time>` stand for what
differs from run to run. Where its text is garbled or blank the real etcd 3.5.1 has been asked. Its
examples come from several clusters, so a step says what must have happened `before`; and what is
done in another terminal `during` a command that waits.
"""

import re
from typing import NamedTuple


class Step(NamedTuple):
    """A command line of etcdctl, and what it prints.

    `err` None: not compared. `unordered`: the lines may come in any order, and with `fewer` some
    may be missing. `lines` of a command that goes on: it is interrupted when it has printed so
    many. `only_petcd`: why the real 3.5.1 cannot do it. `names` saves what a pattern's first group
    matches in the output, for later lines.
    """

    line: str
    out: str = ""
    err: str | None = ""
    code: int = 0
    before: tuple[str, ...] = ()
    during: tuple[str, ...] = ()
    lines: int | None = None
    unordered: bool = False
    fewer: bool = False
    only_petcd: str = ""
    names: tuple[str, str] | None = None
    api: str = "2"


def pattern_of(text: str) -> str:
    """A regular expression for an output with its placeholders."""
    shown = re.escape(text)
    for name, pattern in (
        ("<id>", r"[0-9a-f]{1,16}"),
        ("<n>", r"\d+"),
        ("<url>", r"http://[\w.:]+"),
        ("<time>", r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}"),
        ("<name>", r"[\w-]+"),
        ("<cluster>", r"(?:[\w-]+=http://[\w.:]+,?)+"),
    ):
        shown = shown.replace(name, pattern)
    return shown


HELLO = "set /testdir/testkey 'Hello world'"
BUG_OF_3_5 = "3.5 answers an update of a directory with an internal error"
OTHER_FORMAT = "3.5 writes its log lines as JSON"

ADDING = [
    Step(HELLO, "Hello world\n"),
    Step(
        "mk /testdir/testkey 'Hello world'",
        "Hello world\n",
        before=("rm /testdir/testkey",),
    ),
    Step(
        "mk /testdir/testkey 'Hello world'",
        err="Error:  105: Key already exists (/testdir/testkey) [<n>]\n",
        code=4,
    ),
    Step("mkdir testdir2"),
    Step("setdir testdir3"),
]
DELETING = [
    Step("rm /testdir/testkey", "PrevNode.Value: Hello\n", before=("set /testdir/testkey Hello",)),
    Step(
        "rm /testdir/testkey",
        err="Error:  100: Key not found (/testdir/testkey) [<n>]\n",
        code=4,
    ),
    Step("setdir dir1"),
    Step("rmdir dir1"),
    Step("set /dir/testkey hihi", "hihi\n"),
    Step("rmdir /dir", err="Error:  108: Directory not empty (/dir) [<n>]\n", code=4),
]
UPDATING = [
    Step("update /testdir/testkey Hello", "Hello\n", before=(HELLO,)),
    Step(
        "update /testdir/testkey2 Hello",
        err="Error:  100: Key not found (/testdir/testkey2) [<n>]\n",
        code=4,
    ),
    Step("updatedir testdir2", only_petcd=BUG_OF_3_5),
]
READING = [
    Step("get /testdir/testkey", "Hello world\n", before=(HELLO,)),
    Step(
        "get /testdir/testkey2",
        err="Error:  100: Key not found (/testdir/testkey2) [<n>]\n",
        code=4,
    ),
    Step("ls", "/dir\n/testdir\n/testdir2\n/testdir3\n", unordered=True),
    Step("ls dir", "/dir/testkey\n"),
]
WATCHING = [
    Step("get /testdir/testkey", "Hello world\n"),
    Step("set /testdir/testkey 'Hello watch'", "Hello watch\n"),
    Step(
        "watch testdir/testkey",
        "Hello watch\n",
        during=("set /testdir/testkey 'Hello watch'",),
    ),
    Step(  # in a directory that holds these files
        "exec-watch testdir/testkey -- sh -c ls",
        "Documentation\nconfig\netcd\netcdctl\n",
        during=("set /testdir/testkey 'Hello again'",),
        lines=4,
        unordered=True,
    ),
]
MESSAGES = [
    Step("set /msg 'hello k8s'", "hello k8s\n"),
    Step("get /msg", "hello k8s\n"),
    Step(
        "-o extended get /msg",
        "Key: /msg\nCreated-Index: <n>\nModified-Index: <n>\nTTL: 0\nIndex: <n>\n\nhello k8s\n",
    ),
    Step("get /xxzx", err="Error:  100: Key not found (/xxzx) [<n>]\n", code=4),
    Step("set /testkey 'tmp key test' --ttl 5", "tmp key test\n"),
    Step(
        "get /testkey",
        err="Error:  100: Key not found (/testkey) [<n>]\n",
        code=4,
        before=("(wait until it expires) get /testkey",),
    ),
    Step("get /msg", "hello k8s\n"),
    Step("set --swap-with-value 'hello k8s' /msg goodbye", "goodbye\n"),
    Step("get /msg", "goodbye\n"),
    Step("mk /msg mktest", err="Error:  105: Key already exists (/msg) [<n>]\n", code=4),
    Step("mk /msg1 mktest", "mktest\n"),
    Step("mk --in-order /queue s1s1", "s1s1\n"),
    Step("mk --in-order /queue s2s2", "s2s2\n"),
    Step(
        "ls --sort",
        "/dir\n/msg\n/msg1\n/queue\n/testdir\n/testdir2\n/testdir3\n",
    ),
    Step(
        "ls --sort /queue",
        "/queue/<n>\n/queue/<n>\n",
        names=("job", r"/queue/(\d{20})\n"),
    ),
    Step("get /queue/{job}", "s1s1\n"),
    Step("update /msg1 'update test'", "update test\n"),
    Step("get /msg1", "update test\n"),
    Step("update --ttl 5 /msg aaa", "aaa\n"),
    Step("mkdir /testdir", before=("rm --recursive /testdir",)),
    Step("mkdir /test1"),
    Step("rmdir /test1"),
    Step(
        "get /testdir/test",
        err="/testdir/test: is a directory\n",
        code=1,
        before=("mkdir /testdir/test",),
    ),
    Step("rm --recursive /testdir"),
    Step(
        "ls /",
        "/dir\n/msg\n/msg1\n/queue\n/testdir2\n/testdir3\n/tmp\n",
        before=("set /msg bbb", "set /tmp/a b"),
        unordered=True,
    ),
    Step("ls /tmp", "/tmp/a\n"),
    Step(
        "ls --recursive /",
        "/dir\n/dir/testkey\n/msg\n/msg1\n/queue\n/queue/<n>\n/queue/<n>\n"
        "/testdir2\n/testdir3\n/tmp\n/tmp/a\n",
        unordered=True,
    ),
    Step("watch /msg1", "xxx\n", during=("update /msg1 xxx",)),
    Step("watch --recursive /", "[update] /msg1\nxxx\n", during=("update /msg1 xxx",)),
    Step("watch --forever /", during=("update /msg1 xxx",), lines=0),
    Step(
        "exec-watch --recursive / -- sh -c 'echo change'",
        "change\n",
        during=("update /msg1 xxx",),
        lines=1,
    ),
]

MEMBER = "<id>: name=<name> peerURLs=<url> clientURLs=<url> isLeader={leads}\n"
HEALTHY = "member <id> is healthy: got healthy result from <url>\n"


def status_of_cluster(members: int) -> list[Step]:
    """The list of members and their health; one of them leads."""
    leader, follower = MEMBER.format(leads="true"), MEMBER.format(leads="false")
    return [
        Step(
            "member list",
            leader + follower * (members - 1),
            unordered=True,
            names=("member", "([0-9a-f]+): name=etcd-0-17 "),
        ),
        Step("cluster-health", HEALTHY * members + "cluster is healthy\n"),
    ]


LEFT_OUT = "<time> I | ignoring EntryConfChange raft entry\n"
ATTRIBUTES = "<time> I | ignoring member attribute update on /0/members/<id>/attributes\n"


def backup_to(directory: str, changes: int, starts: int, cut: bool = False) -> Step:
    """The progress lines: a change for each member that came or went, the rest for each start.

    Not of what a log has forgotten that was `cut`.
    """
    return Step(
        f"backup --data-dir {{data_dir}} --backup-dir {directory}",
        err=LEFT_OUT * changes + ATTRIBUTES * starts,
        unordered=True,
        fewer=cut,
        only_petcd=OTHER_FORMAT,
    )


# The text leaves the URL out.
ADD_WITHOUT_URL = Step(
    "member add etcd3", err="Provide a name and a single member peerURL\n", code=1
)
MEMBER_OF_ONE = [
    Step(
        "member remove {member}",
        err="Received an error trying to remove member <id>: client: etcd cluster is unavailable "
        "or misconfigured; error #0: client: etcd member <url> has no leader\n",
        code=1,
    ),
    ADD_WITHOUT_URL,
]
REMOVE_MEMBER = Step("member remove {member}", "Removed member <id> from cluster\n")
ADD_MEMBER = [
    ADD_WITHOUT_URL,
    Step(
        "member add etcd3 {peer_url}",
        "Added member named etcd3 with ID <id> to cluster\n\n"
        'ETCD_NAME="etcd3"\nETCD_INITIAL_CLUSTER="<cluster>"\n'
        'ETCD_INITIAL_CLUSTER_STATE="existing"\n',
        names=("initial_cluster", 'ETCD_INITIAL_CLUSTER="(.*)"'),
    ),
]
SNAPSHOT = [
    Step(
        "--endpoints={endpoint} snapshot save mysnapshot.db",
        "Snapshot saved at mysnapshot.db\n",
        err=None,
        api="3",
    ),
    Step(
        "snapshot status mysnapshot.db -w json",
        '{"hash":<n>,"revision":<n>,"totalKey":<n>,"totalSize":<n>}\n',
        err=None,
        api="3",
    ),
    Step(
        "snapshot restore mysnapshot.db --data-dir {restore_dir}",
        err=None,
        api="3",
    ),
]

WITH_KEYS = [*ADDING, *DELETING, *UPDATING, *READING, *WATCHING]
