"""What opens the API's door: the values of `${NAME}`, and what to do when the API refuses them.

Owns: where secrets are read, and read again. Where they are filled in is the wire's to know, how they are kept out
of texts is crawler.secrets'. Knows no request.
"""

from crawler.credentials.door import REFUSING, Door, Doorkeeper, Verdict, lets_in, says_nothing
from crawler.credentials.hiding import hide
from crawler.credentials.values import Secrets, expected_of, read_env_file, stand_in

__all__ = [
    "REFUSING",
    "Door",
    "Doorkeeper",
    "Secrets",
    "Verdict",
    "expected_of",
    "hide",
    "lets_in",
    "read_env_file",
    "says_nothing",
    "stand_in",
]
