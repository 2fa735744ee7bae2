"""Commands of the project: a file is a command.

Heavy imports stand inside functions, since every `scrapy` call loads all of these modules.
"""
