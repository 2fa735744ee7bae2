"""A small API on loopback, standard library only: `scrapy demo`, the tests and the benchmarks call it."""
