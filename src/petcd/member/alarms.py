"""Alarms raised by members: NOSPACE and CORRUPT, kept in bucket `alarm`.

The key is the encoded AlarmMember and the value is empty, as in etcd's database, so that a
snapshot carries them over.
"""

from collections.abc import Iterator
from typing import Protocol

from petcd.wire.codec import DecodeError
from petcd.wire.maintenance import AlarmMember, AlarmType

ALARM = b"alarm"


class AlarmBackend(Protocol):
    """What alarms need of the backend."""

    def put(self, bucket: bytes, key: bytes, value: bytes) -> None: ...

    def delete(self, bucket: bytes, key: bytes) -> None: ...

    def scan(
        self, bucket: bytes, start: bytes, end: bytes | None, limit: int = 0
    ) -> Iterator[tuple[bytes, bytes]]: ...


class AlarmStore:
    """Which member raised which alarm. Law: memory and backend hold the same set."""

    def __init__(self, backend: AlarmBackend) -> None:
        self._backend = backend
        self._raised: dict[tuple[int, int], AlarmMember] = {}
        self.nospace = False
        self.corrupt = False

    def load(self) -> None:
        """Read the alarms from the backend; a record that does not parse is left alone."""
        self._raised.clear()
        for key, _ in self._backend.scan(ALARM, b"", None):
            try:
                alarm = AlarmMember.decode(key)
            except DecodeError:
                continue
            self._raised[alarm.alarm, alarm.memberID] = alarm
        self._count()

    def get(self, alarm_type: int = AlarmType.NONE) -> list[AlarmMember]:
        """Alarms of one type, or all with NONE; ordered by type and member."""
        return [
            alarm
            for (kind, _), alarm in sorted(self._raised.items())
            if alarm_type in (AlarmType.NONE, kind)
        ]

    def activate(self, member_id: int, alarm_type: int) -> AlarmMember:
        """Raise an alarm; raising it again changes nothing."""
        known = self._raised.get((alarm_type, member_id))
        if known is not None:
            return known
        alarm = AlarmMember(memberID=member_id, alarm=alarm_type)
        self._raised[alarm_type, member_id] = alarm
        self._backend.put(ALARM, alarm.encode(), b"")
        self._count()
        return alarm

    def deactivate(self, member_id: int, alarm_type: int) -> AlarmMember | None:
        """Clear an alarm; None when it was not raised."""
        alarm = self._raised.pop((alarm_type, member_id), None)
        if alarm is not None:
            self._backend.delete(ALARM, alarm.encode())
            self._count()
        return alarm

    def _count(self) -> None:
        kinds = {kind for kind, _ in self._raised}
        self.nospace = AlarmType.NOSPACE in kinds
        self.corrupt = AlarmType.CORRUPT in kinds
