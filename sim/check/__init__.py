"""Checkers: what must hold of a history, of watchers, leases and hashes, and inside raft.

    history      the record that the simulator and the tests with real processes write
    model        what etcd's KV does with one request: a sequential store with revisions
    linear       is the history what one store could have answered?
    silence, lineage, v2_evidence    what rules out guesses of `linear` at who made a revision
    twins        which of these guesses are as good as each other
    search       the same question for small histories that carry no revisions
    watching     the guarantees of watch
    leases       never early, not too late, not after a revoke
    hashes       equal data at equal revisions; revisions and indexes that never fall
    invariants   Raft's laws, after every step

A checker returns a list of `Violation`; an empty one is a pass. None of them knows petcd's own
code, except `invariants`, which reads raft's fields; so they judge any etcd.
"""
