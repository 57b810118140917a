"""Translation between protocols and the member: no decisions, no state."""
