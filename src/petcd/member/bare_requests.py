"""What etcd's own members say in bare v2 requests: who they are, and the cluster's version.

    PUT /0/members/<id in hexadecimal>/attributes   {"name":"...","clientURLs":["..."]}
    PUT /0/version                                   3.5.0

Up to 3.5 an etcd member puts these into the log as bare requests, not wrapped in an
InternalRaftRequest as petcd does. Other bare requests are of clients of etcd's v2 API, which
changes a store that only etcd's members keep: they are nothing to us, on every member alike.

Source: etcd 3.5's apply_v2.go.
"""

import json
import re

from petcd.cluster import Membership
from petcd.wire.v2request import Request

_ATTRIBUTES = re.compile(r"/0/members/([0-9a-fA-F]{1,16})/attributes")
_VERSION = "/0/version"


def apply_bare_request(request: Request, membership: Membership) -> bool:
    """Do what the request says of members or version; False when it is about something else."""
    conditional = request.PrevExist is not None or request.PrevIndex or request.PrevValue
    if request.Method != "PUT" or conditional:
        return False
    if request.Path == _VERSION:
        membership.set_version(request.Val)
        return True
    match = _ATTRIBUTES.fullmatch(request.Path)
    if match is None:
        return False
    try:
        attributes = json.loads(request.Val)
    except ValueError:
        return False
    if not isinstance(attributes, dict):
        return False
    name, urls = attributes.get("name") or "", attributes.get("clientURLs") or ()
    membership.publish(int(match[1], 16), str(name), [str(url) for url in urls])
    return True
