"""Defects of changing the members."""

from __future__ import annotations

from sim.bugs.exhibit import Exhibit

EXHIBITS: tuple[Exhibit, ...] = ()
