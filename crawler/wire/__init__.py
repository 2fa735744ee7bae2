"""What stands between Scrapy and the network."""
