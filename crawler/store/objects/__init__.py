"""An object store as the place of an output: bodies as objects, the ledger as a copy, one writer at a time.

Owns everything that is said to a store. `address` knows what an object store is called and needs nothing; the
others need obstore, and are imported only for an output that is in one.
"""
