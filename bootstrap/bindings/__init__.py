"""One small file per protocol: which facts to hand in, what to keep, plan to the protocol's payload."""
