"""FIDO Device Onboard: one binding for each role (DI, rendezvous, owner), and what the three share."""
