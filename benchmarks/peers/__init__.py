"""What people use instead, each as its own users would write it well. Each file is a program of its own.

All of them fetch a list of URLs, N at a time, and write each body to a file named by the URL's uuid5 in one
folder. None keeps a ledger, syncs, retries or names what failed: an error ends the program.
"""
