"""petcd: etcd for the Python world."""

from petcd.version import PETCD_VERSION as __version__

__all__ = ["__version__"]
