"""Servers that others wrote, started as they are: nginx, httpbin under gunicorn, WireMock."""
