"""Commands of the project: a file is a command.

Heavy imports stand inside functions, since every `scrapy` call loads all of these modules.
"""

from crawler.interrupting import say_nothing_of_ctrl_c

say_nothing_of_ctrl_c()  # here, as it is the first of ours that only a command imports
