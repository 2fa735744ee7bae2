"""The file scrapyd-deploy looks for when it builds the egg; everything it says is in pyproject.toml."""

from setuptools import setup

setup()
