"""`snapshot restore`: a snapshot file becomes the data directory of one member of a new cluster.

The members and their ids are those that `--initial-cluster` and the token make, as in a founding;
what the snapshot says of its old cluster's members is forgotten. A member that is restored under
another token can never talk to the old cluster by mistake; under the same one it has the old ids,
and its first start looks whether that cluster still runs (`joining`). Restored with the same flags,
each with its own name, the members begin as one cluster at the same position of the log.

Source: the rules of etcdutl 3.5.
"""

import os

from petcd.cluster.v2_store import MemberRecords
from petcd.raft.types import ConfState
from petcd.server.config import ServerConfig
from petcd.server.founding import check_advertised, founding_members, identity_of
from petcd.server.member_dir import Position, write_member_dir
from petcd.storage.bbolt_reader import BoltFile
from petcd.storage.snapshot_file import check_digest, read_buckets


class RestoreRefused(Exception):
    """The place is taken; the message says what is there."""


def restore(snapshot: str, config: ServerConfig, skip_digest: bool) -> None:
    """Make the data directory that `config` names from the file `snapshot`.

    Of `config` count: data and log directory, name, initial cluster, token, advertised peer URLs.
    Raises ConfigError, RestoreRefused, BoltDamaged, OSError and what `write_member_dir` raises.
    """
    members = sorted(founding_members(config), key=lambda member: member.id)
    local = next(member for member in members if member.name == config.name)
    check_advertised(config, local.peer_urls)
    if os.path.exists(config.data_dir) and not _is_empty(config.data_dir):
        raise RestoreRefused(f'data-dir "{config.data_dir}" not empty or could not be read')
    if config.wal_dir and os.path.exists(config.wal_dir):
        raise RestoreRefused(f'wal-dir "{config.wal_dir}" exists')
    if not skip_digest:
        check_digest(snapshot)
    ids = [member.id for member in members]
    with BoltFile(snapshot) as file:
        file.check()
        write_member_dir(
            config.data_dir,
            config.wal_dir,
            read_buckets(file),
            identity_of(config, members),
            MemberRecords(tuple(members), (), ""),
            Position(len(ids), 1, ConfState(voters=ids)),
        )


def _is_empty(path: str) -> bool:
    try:
        return not os.listdir(path)
    except OSError:
        return False
