"""libcurl as Scrapy's wire. The only place that imports pycurl; without it the stock handler serves."""
