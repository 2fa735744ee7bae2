"""The spiders: a line of the list becomes a Request, what comes back becomes a Record. Thin."""
