"""Replays Raft traces: scripts of commands with the text expected after each of them.

    campaign 1                     a command with arguments
    ----
    INFO 1 is starting a new election at term 0     what it must print

Three kinds of script share the notation: `interaction` drives a whole group of nodes and shows
their log lines, messages and Readies; `confchange` does configuration arithmetic; `quorum` counts
commits and votes. Commands and texts are those of the etcd raft library's own tests, so that its
public traces and ours can be replayed by the same harness.

    python -m sim.traces DIR              run every trace below DIR
    python -m sim.traces --rewrite DIR    write what happens into the scripts; then read the diff
"""
