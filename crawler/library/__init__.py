"""The project as a library: a crawl from Python, and its results as objects. The crawl itself is another process."""
