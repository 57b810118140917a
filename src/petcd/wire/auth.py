"""The Auth service, and authpb: users, roles and permissions as stored and replicated.

Passwords travel in ``password``; from 3.5 on the log carries ``hashedPassword`` instead.  Stored
names are bytes, names in requests are strings, as in etcd.

Source: etcd's auth.proto and rpc.proto.
"""

from __future__ import annotations

from petcd.wire.codec import BOOL, BYTES, REPEATED, STRING, UINT64, EnumType, Message, field
from petcd.wire.header import ResponseHeader


class PermissionType(EnumType):
    """authpb.Permission.Type."""

    READ = 0
    WRITE = 1
    READWRITE = 2


class UserAddOptions(Message):
    """How a user may log in."""

    no_password: bool = field(1, BOOL)


class User(Message):
    """A user as stored; ``password`` is the bcrypt hash."""

    name: bytes = field(1, BYTES)
    password: bytes = field(2, BYTES)
    roles: list[str] = field(3, STRING, REPEATED)
    options: UserAddOptions | None = field(4, UserAddOptions)


class Permission(Message):
    """Rights on [key, range_end); see kv.RangeRequest for the forms of a range."""

    permType: int = field(1, PermissionType)
    key: bytes = field(2, BYTES)
    range_end: bytes = field(3, BYTES)


class Role(Message):
    """A role as stored."""

    name: bytes = field(1, BYTES)
    keyPermission: list[Permission] = field(2, Permission, REPEATED)


class AuthEnableRequest(Message):
    """Turn authentication on."""


class AuthDisableRequest(Message):
    """Turn authentication off."""


class AuthStatusRequest(Message):
    """Is authentication on?"""


class AuthenticateRequest(Message):
    """Password for token."""

    name: str = field(1, STRING)
    password: str = field(2, STRING)


class AuthUserAddRequest(Message):
    """Add a user."""

    name: str = field(1, STRING)
    password: str = field(2, STRING)
    options: UserAddOptions | None = field(3, UserAddOptions)
    hashedPassword: str = field(4, STRING)  # base64 of the bcrypt hash


class AuthUserGetRequest(Message):
    """A user's roles."""

    name: str = field(1, STRING)


class AuthUserDeleteRequest(Message):
    """Delete a user."""

    name: str = field(1, STRING)


class AuthUserChangePasswordRequest(Message):
    """Give a user another password."""

    name: str = field(1, STRING)
    password: str = field(2, STRING)
    hashedPassword: str = field(3, STRING)  # base64 of the bcrypt hash


class AuthUserGrantRoleRequest(Message):
    """Give a user a role."""

    user: str = field(1, STRING)
    role: str = field(2, STRING)


class AuthUserRevokeRoleRequest(Message):
    """Take a role from a user."""

    name: str = field(1, STRING)
    role: str = field(2, STRING)


class AuthRoleAddRequest(Message):
    """Add a role."""

    name: str = field(1, STRING)


class AuthRoleGetRequest(Message):
    """A role's permissions."""

    role: str = field(1, STRING)


class AuthUserListRequest(Message):
    """All users."""


class AuthRoleListRequest(Message):
    """All roles."""


class AuthRoleDeleteRequest(Message):
    """Delete a role."""

    role: str = field(1, STRING)


class AuthRoleGrantPermissionRequest(Message):
    """Give a role a permission."""

    name: str = field(1, STRING)
    perm: Permission | None = field(2, Permission)


class AuthRoleRevokePermissionRequest(Message):
    """Take a permission from a role."""

    role: str = field(1, STRING)
    key: bytes = field(2, BYTES)
    range_end: bytes = field(3, BYTES)


class AuthEnableResponse(Message):
    """Done."""

    header: ResponseHeader | None = field(1, ResponseHeader)


class AuthDisableResponse(Message):
    """Done."""

    header: ResponseHeader | None = field(1, ResponseHeader)


class AuthStatusResponse(Message):
    """Whether it is on, and the revision of users and roles."""

    header: ResponseHeader | None = field(1, ResponseHeader)
    enabled: bool = field(2, BOOL)
    authRevision: int = field(3, UINT64)


class AuthenticateResponse(Message):
    """The token to send as metadata."""

    header: ResponseHeader | None = field(1, ResponseHeader)
    token: str = field(2, STRING)


class AuthUserAddResponse(Message):
    """Done."""

    header: ResponseHeader | None = field(1, ResponseHeader)


class AuthUserGetResponse(Message):
    """The user's roles."""

    header: ResponseHeader | None = field(1, ResponseHeader)
    roles: list[str] = field(2, STRING, REPEATED)


class AuthUserDeleteResponse(Message):
    """Done."""

    header: ResponseHeader | None = field(1, ResponseHeader)


class AuthUserChangePasswordResponse(Message):
    """Done."""

    header: ResponseHeader | None = field(1, ResponseHeader)


class AuthUserGrantRoleResponse(Message):
    """Done."""

    header: ResponseHeader | None = field(1, ResponseHeader)


class AuthUserRevokeRoleResponse(Message):
    """Done."""

    header: ResponseHeader | None = field(1, ResponseHeader)


class AuthRoleAddResponse(Message):
    """Done."""

    header: ResponseHeader | None = field(1, ResponseHeader)


class AuthRoleGetResponse(Message):
    """The role's permissions."""

    header: ResponseHeader | None = field(1, ResponseHeader)
    perm: list[Permission] = field(2, Permission, REPEATED)


class AuthRoleListResponse(Message):
    """Names of all roles."""

    header: ResponseHeader | None = field(1, ResponseHeader)
    roles: list[str] = field(2, STRING, REPEATED)


class AuthUserListResponse(Message):
    """Names of all users."""

    header: ResponseHeader | None = field(1, ResponseHeader)
    users: list[str] = field(2, STRING, REPEATED)


class AuthRoleDeleteResponse(Message):
    """Done."""

    header: ResponseHeader | None = field(1, ResponseHeader)


class AuthRoleGrantPermissionResponse(Message):
    """Done."""

    header: ResponseHeader | None = field(1, ResponseHeader)


class AuthRoleRevokePermissionResponse(Message):
    """Done."""

    header: ResponseHeader | None = field(1, ResponseHeader)
