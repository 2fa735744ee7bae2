"""Contracts that others wrote, and how our parts are held against them."""
