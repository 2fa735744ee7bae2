"""The peers side by side, one command: `make bench`. No part of what is installed."""
