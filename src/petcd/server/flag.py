"""What is known of one flag of the `etcd` command; `flag_table` holds them all."""

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """How the text of a flag is read."""

    TEXT = "string"
    BOOL = "bool"
    INT = "int"
    UINT = "uint"
    FLOAT = "float"
    DURATION = "duration"
    URLS = "urls"
    LIST = "list"


class Support(Enum):
    """What setting the flag does."""

    USED = "used"
    NO_EFFECT = "no effect"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag. `default` is text in the form a user would type it."""

    name: str
    kind: Kind
    default: str
    help: str
    support: Support = Support.USED
    note: str = ""
    yaml: tuple[str, ...] = ()

    @property
    def variable(self) -> str:
        """Name of the environment variable."""
        return "ETCD_" + self.name.upper().replace("-", "_")

    @property
    def yaml_path(self) -> tuple[str, ...]:
        """Keys from the top of a configuration file to the value; empty: not allowed there."""
        return self.yaml or (self.name,)
