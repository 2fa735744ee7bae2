"""A list that several machines share, in Redis: a stream with a consumer group, and whoever fills it.

The only room that knows redis. Workers come and go: each has an output directory and a ledger of its own; what it
drew from the list is acknowledged once its record is durable, and what a dead one held is drawn by others.
"""
