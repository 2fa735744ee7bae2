"""Records out: files, ledger, and the thread that commits both in the right order. Pure of Scrapy."""
