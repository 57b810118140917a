"""The access control API: `/v2/auth`, its users and its roles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from petcd.client.v2.cluster import Cluster, checked, json_object
from petcd.client.v2.errors import InvalidAnswer, Refused, UnexpectedStatus
from petcd.client.v2.exchange import Answer, Request
from petcd.client.v2.members import JSON, json_body, message, texts
from petcd.client.v2.url import Url, clean_path, escape_path

Fields = dict[str, object]


class Role:
    """What a role may do: patterns of paths that it may read and write."""

    __slots__ = ("name", "read", "write")

    def __init__(self, fields: Mapping[str, object]) -> None:
        self.name = str(fields.get("role", ""))
        permissions = fields.get("permissions")
        kv = permissions.get("kv") if isinstance(permissions, dict) else None
        kv = kv if isinstance(kv, dict) else {}
        self.read = texts(kv.get("read"))
        self.write = texts(kv.get("write"))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Role) and self._all() == other._all()

    def __hash__(self) -> int:
        return hash(self.name)

    def _all(self) -> tuple[str, list[str], list[str]]:
        return self.name, self.read, self.write


class Auth:
    """Requests to a cluster.  All raise V2Failure; Refused with the server's reason."""

    def __init__(self, cluster: Cluster, until: float) -> None:
        self._cluster = cluster
        self._until = until

    def _ask(self, method: str, path: str, fields: Fields | None = None) -> Answer:
        """`path` below `/v2/auth/`."""

        def request(url: Url) -> Request:
            target = escape_path(clean_path(f"{url.path}/v2/auth/{path}"))
            if fields is None:
                return Request(method, target)
            return Request(method, target, json_body(fields), JSON)

        answer = self._cluster.ask(request, self._until)
        if answer.status not in (200, 201):
            try:
                reason = message(answer.body)
            except InvalidAnswer:
                raise UnexpectedStatus(answer.status) from None
            raise Refused(reason)
        return answer

    def enable(self) -> None:
        self._ask("PUT", "enable")

    def disable(self) -> None:
        self._ask("DELETE", "enable")

    # -- users -------------------------------------------------------------------------------------

    def users(self) -> list[str]:
        """The names of all users."""
        return _names(self._ask("GET", "users"), "users", "user")

    def add_user(self, name: str, password: str) -> None:
        self._ask("PUT", f"users/{name}", _user(name, password=password))

    def remove_user(self, name: str) -> None:
        self._ask("DELETE", f"users/{name}")

    def roles_of(self, name: str) -> list[str]:
        """The names of a user's roles."""
        fields = json_object(checked(self._ask("GET", f"users/{name}"), 200).body)
        found = fields.get("roles") or []
        if not isinstance(found, list):
            raise InvalidAnswer
        return [str(item.get("role")) if isinstance(item, dict) else str(item) for item in found]

    def grant_roles(self, name: str, roles: Sequence[str]) -> None:
        checked(self._ask("PUT", f"users/{name}", _user(name, grant=list(roles))), 200)

    def revoke_roles(self, name: str, roles: Sequence[str]) -> None:
        checked(self._ask("PUT", f"users/{name}", _user(name, revoke=list(roles))), 200)

    def change_password(self, name: str, password: str) -> None:
        checked(self._ask("PUT", f"users/{name}", _user(name, password=password)), 200)

    # -- roles -------------------------------------------------------------------------------------

    def roles(self) -> list[str]:
        """The names of all roles."""
        return _names(self._ask("GET", "roles"), "roles", "role")

    def add_role(self, name: str) -> None:
        self._ask("PUT", f"roles/{name}", _role(name))

    def remove_role(self, name: str) -> None:
        self._ask("DELETE", f"roles/{name}")

    def role(self, name: str) -> Role:
        return Role(json_object(checked(self._ask("GET", f"roles/{name}"), 200).body))

    def grant_path(self, name: str, path: str, read: bool, write: bool) -> Role:
        """The role as it is then."""
        return self._change_role(name, _role(name, grant=_permission(path, read, write)))

    def revoke_path(self, name: str, path: str, read: bool, write: bool) -> Role:
        """The role as it is then."""
        return self._change_role(name, _role(name, revoke=_permission(path, read, write)))

    def _change_role(self, name: str, fields: Fields) -> Role:
        return Role(json_object(checked(self._ask("PUT", f"roles/{name}", fields), 200).body))


def _user(name: str, **fields: object) -> Fields:
    return {"user": name, "roles": None, **fields}


def _role(name: str, **fields: object) -> Fields:
    nothing = {"kv": {"read": None, "write": None}}
    return {"role": name, "permissions": nothing, **fields}


def _permission(path: str, read: bool, write: bool) -> Fields:
    return {"kv": {"read": [path] if read else None, "write": [path] if write else None}}


def _names(answer: Answer, listed: str, named: str) -> list[str]:
    found = json_object(checked(answer, 200).body).get(listed) or []
    if not isinstance(found, list):
        raise InvalidAnswer
    return [str(item.get(named)) for item in found if isinstance(item, dict)]
