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

DOWNLOADER_MIDDLEWARES = {
    "scrapy.downloadermiddlewares.offsite.OffsiteMiddleware": None,  # `hosts` is our filter, and it leaves a record
    "scrapy.downloadermiddlewares.robotstxt.RobotsTxtMiddleware": None,  # see ROBOTSTXT_OBEY
    "scrapy.downloadermiddlewares.redirect.MetaRefreshMiddleware": None,
    "scrapy.downloadermiddlewares.redirect.RedirectMiddleware": None,  # carries X-API-Key to other hosts
    "scrapy.downloadermiddlewares.httpauth.HttpAuthMiddleware": None,  # `user:password@` in a URL, or headers
    "scrapy.downloadermiddlewares.downloadtimeout.DownloadTimeoutMiddleware": None,  # the handler knows the timeout
    "scrapy.downloadermiddlewares.stats.DownloaderStats": None,  # builds each message anew to count its bytes
    "scrapy.downloadermiddlewares.httpcompression.HttpCompressionMiddleware": None,  # takes half a body for a whole one
    "crawler.wire.decompression.DecodingMiddleware": 590,
    "crawler.middlewares.RedirectMiddleware": 600,
    "crawler.middlewares.AttemptMiddleware": 950,  # next to the downloader: what passes here goes out
}
SPIDER_MIDDLEWARES = {
    "scrapy.spidermiddlewares.start.StartSpiderMiddleware": None,  # marks start requests for queues we do not use
    "scrapy.spidermiddlewares.httperror.HttpErrorMiddleware": None,  # see HTTPERROR_ALLOW_ALL
    "scrapy.spidermiddlewares.referer.RefererMiddleware": None,
    "scrapy.spidermiddlewares.urllength.UrlLengthMiddleware": None,
    "scrapy.spidermiddlewares.depth.DepthMiddleware": None,  # pages are followed as far as the spider says
    "scrapy.spidermiddlewares.metacopy.MetaCopyDetectionMiddleware": None,  # looks for a mistake of spiders
}
ITEM_PIPELINES = {
    "crawler.pipelines.StorePipeline": 900,  # last: a row means that every pipeline before accepted the record
}
EXTENSIONS = {
    "crawler.extensions.keeper.RunKeeper": 0,
    "crawler.extensions.echo.Echo": 10,  # after the keeper, whose run it listens to
    "crawler.extensions.timeline.Timeline": 10,
}

LOG_LEVEL = "INFO"  # default DEBUG writes two lines a call
LOG_VERSIONS: list[str] = []  # they stand in the ledger's `runs`
LOG_FORMATTER = "crawler.extensions.quiet.QuietLogFormatter"  # no line per call
STATS_DUMP = False  # the accounting at the end says it in words; summary.json has the numbers
FEED_EXPORT_ENCODING = "utf-8"
