"""The wiring, in one place: every component, and every default that is not Scrapy's, with its reason.

Whatever is set here can be overruled with -s, by a spider's custom_settings, or by scrapyd's setting=.
The project's own settings, all APIFETCH_*, have their defaults in crawler/arguments/.
"""

from importlib.util import find_spec

from crawler import __version__

BOT_NAME = "apifetch"
SPIDER_MODULES = ["crawler.spiders"]
NEWSPIDER_MODULE = "crawler.spiders"
COMMANDS_MODULE = "crawler.commands"  # `crawl` with an exit code that tells the truth, and our own commands
ADDONS: dict[str, int] = {}

# How we introduce ourselves. An API's operator should see what calls, and be able to look it up.
USER_AGENT = f"apifetch/{__version__} (Scrapy)"
DEFAULT_REQUEST_HEADERS = {"Accept": "*/*"}  # default asks for HTML in English
ROBOTSTXT_OBEY = False  # robots.txt speaks to crawlers that find links; these calls are the user's own list

# How much at once. `workers` and `per_host` set these; most lists have one host, so per_host is as workers
# (Scrapy's 8 would halve them). Politeness comes from the API's own answers.
CONCURRENT_REQUESTS = 20  # default 16
CONCURRENT_ITEMS = 1  # default 100 starts 100 tasks per response; a response here yields one item
DOWNLOAD_DELAY = 0
RETRY_TIMES = 4  # default 2
RETRY_PRIORITY_ADJUST = 1  # default -1: behind a list of millions that would be at its end
DOWNLOAD_TIMEOUT = 30  # default 180; an API that is silent for half a minute has failed
DOWNLOAD_MAXSIZE = 64 * 1024 * 1024  # default 1 GiB, held in memory for each worker
DOWNLOAD_WARNSIZE = 0  # a large body is no news here, and the message holds the URL

# What a list that someone else wrote must not reach, and what must not leave.
DOWNLOAD_VERIFY_CERTIFICATES = True  # default False
DOWNLOAD_HANDLERS = {
    "http": "crawler.wire.handler.FillingHandler",
    "https": "crawler.wire.handler.FillingHandler",
    "file": None,  # default: a line `file:///etc/passwd` would be fetched
    "data": None,
    "ftp": None,
    "s3": None,
}
TWISTED_DNS_RESOLVER = "crawler.wire.resolving.GuardedResolver"  # the address guard where Scrapy's handler serves
COOKIES_ENABLED = False  # one call's cookies would leak into the next
REFERER_ENABLED = False  # the Referer would carry the previous URL, query string and all
METAREFRESH_ENABLED = False  # would store another URL's body under this one's name
TELNETCONSOLE_ENABLED = False  # default True: an open port
REMOTE_CONTROL_ENABLED = False  # default True: an open port that runs code

# Every line of the list has its record: nothing is filtered on the way.
DUPEFILTER_CLASS = "scrapy.dupefilters.BaseDupeFilter"  # default drops repeated URLs without a word
URLLENGTH_LIMIT = 0  # default drops URLs over 2,083 characters
HTTPERROR_ALLOW_ALL = True  # every status is a result
REDIRECT_MAX_TIMES = 5  # default 20

# The engine, lean. Each is a documented seam; set back to Scrapy's own the job still works, slower.
SCHEDULER = "crawler.scheduler.ListScheduler"  # the list is the queue: no fingerprints, no pickles, no JOBDIR
DOWNLOADER = "crawler.downloader.LeanDownloader"  # limits that bind, one task a call instead of two
ITEM_PROCESSOR = (
    "crawler.shortway.DirectPipelines"  # through the engine by plain calls, where nobody else is to be asked
)
if find_spec("uvloop"):
    ASYNCIO_EVENT_LOOP = "uvloop.Loop"  # a tenth less CPU a call; None: asyncio's own

# The components, ours and Scrapy's. They stand in the _BASE settings, so that DOWNLOADER_MIDDLEWARES, ITEM_PIPELINES
# and the like are free for a user's own. Scrapy's _BASE lists hold more, and it imports even what is set to None.
DOWNLOADER_MIDDLEWARES_BASE = {
    "scrapy.downloadermiddlewares.defaultheaders.DefaultHeadersMiddleware": 400,
    "scrapy.downloadermiddlewares.useragent.UserAgentMiddleware": 500,
    "crawler.declared.DeclaredMiddleware": 545,  # `expect` and `ok_if`, of what is decoded and not retried any more
    "crawler.retries.RetryMiddleware": 550,  # Scrapy's retries at once, whatever Retry-After says
    "crawler.wire.decompression.DecodingMiddleware": 590,  # HttpCompression takes half a body for a whole one
    "crawler.middlewares.RedirectMiddleware": 600,  # Scrapy's carries X-API-Key to other hosts
    "crawler.switched.CookiesMiddleware": 700,  # Scrapy's, with COOKIES_ENABLED
    "scrapy.downloadermiddlewares.httpproxy.HttpProxyMiddleware": 750,
    "crawler.switched.HttpCacheMiddleware": 900,  # Scrapy's, with HTTPCACHE_ENABLED
    "crawler.middlewares.AttemptMiddleware": 950,  # next to the downloader: what passes here goes out
    # Left out: offsite (`hosts` leaves a record), robotstxt, metarefresh, httpauth (`user:password@`, or headers),
    # downloadtimeout (the handler knows it), stats (builds each message anew to count its bytes).
}
SPIDER_MIDDLEWARES_BASE: dict[str, int] = {}  # Scrapy's filter or change what is in a list, or look for mistakes
ITEM_PIPELINES_BASE = {
    "crawler.pipelines.StorePipeline": 900,  # last: a row means that every pipeline before accepted the record
}
EXTENSIONS_BASE = {
    "crawler.extensions.keeper.RunKeeper": 0,
    "crawler.extensions.early.FailEarly": 10,  # as Echo
    "crawler.extensions.echo.Echo": 10,  # after the keeper, whose run it listens to
    "crawler.extensions.timeline.Timeline": 10,
    "crawler.extensions.ticker.Ticker": 10,
    "crawler.switched.TelnetConsole": 0,  # Scrapy's, with TELNETCONSOLE_ENABLED
    "crawler.switched.RemoteControl": 0,  # Scrapy's, with REMOTE_CONTROL_ENABLED
    "scrapy.extensions.corestats.CoreStats": 0,
    "scrapy.extensions.logcount.LogCount": 0,
    "scrapy.extensions.memusage.MemoryUsage": 0,
    "scrapy.extensions.memdebug.MemoryDebugger": 0,
    "scrapy.extensions.closespider.CloseSpider": 0,
    "scrapy.extensions.feedexport.FeedExporter": 0,
    "scrapy.extensions.logstats.LogStats": 0,
    "scrapy.extensions.throttle.AutoThrottle": 0,
    # Left out: spiderstate, which needs a JOBDIR.
}

LOG_LEVEL = "INFO"  # default DEBUG writes two lines a call
LOG_VERSIONS: list[str] = []  # they stand in the ledger's `runs`
LOG_FORMATTER = "crawler.extensions.quiet.QuietLogFormatter"  # no line per call
STATS_DUMP = False  # the accounting at the end says it in words; summary.json has the numbers
FEED_EXPORT_ENCODING = "utf-8"
