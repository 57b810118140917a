"""Answers of the keys API as text: `simple`, `extended`, `json`."""

from __future__ import annotations

from petcd.cli.ctl.console import Console
from petcd.client.v2.keys import Event


def show_event(console: Console, event: Event, output: str) -> None:
    """One answer; a format that does not exist is complained about, no more."""
    previous = "" if event.previous is None else event.previous.value
    if output == "simple":
        if event.action == "delete":
            console.line("PrevNode.Value:", previous)
        else:
            console.line(event.node.value)
    elif output == "extended":
        console.line("Key:", event.node.key)
        console.line("Created-Index:", event.node.created_index)
        console.line("Modified-Index:", event.node.modified_index)
        if event.previous is not None:
            console.line("PrevNode.Value:", previous)
        console.line("TTL:", event.node.ttl_s)
        console.line("Index:", event.index)
        if event.action != "delete":
            console.line()
            console.line(event.node.value)
    elif output == "json":
        console.line(event.json())
    else:
        console.error_line(f"Unsupported output format: {output}")
