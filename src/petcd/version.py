"""The two version numbers petcd speaks of.

`PETCD_VERSION` is our own. `ETCD_VERSION` is the level of etcd whose behaviour we match and
which `/version` and Maintenance.Status report, because clients choose features by it.
"""

PETCD_VERSION = "0.1.0"
ETCD_VERSION = "3.5.33"
CLUSTER_VERSION = "3.5.0"
