"""A member that can be harmed from inside: petcd behind the shim, or the real etcd as it is."""

import json
import sys

from bench.servers import ROOT, Server, command_of

SHIM = ROOT / "faults" / "shim.py"


class Member(Server):
    """A server whose disk and clock do what `suffer` says. Only petcd has them in our hands."""

    def command(self) -> list[str]:
        words = super().command()
        if self.kind != "petcd":
            return words
        behind = [sys.executable, "-P", str(SHIM), str(self.folder / "misfortune")]
        return [*behind, *words[len(command_of(self.kind)) :]]

    def suffer(self, **misfortune: object) -> None:
        """From now on; see `shim`. Without anything: all is well again."""
        path = self.folder / "misfortune"
        if misfortune:
            new = path.with_suffix(".new")
            new.write_text(json.dumps(misfortune))
            new.replace(path)
        else:
            path.unlink(missing_ok=True)
