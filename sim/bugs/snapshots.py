"""Defects of snapshots and of compaction."""

from __future__ import annotations

from sim.bugs.exhibit import Exhibit

EXHIBITS: tuple[Exhibit, ...] = ()
