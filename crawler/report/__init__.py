"""report.html: a finished run as a page for a person, in one file that asks the network for nothing.

Owns: what is counted for it, and how it looks. Reads the ledger and changes nothing; knows no Scrapy. uPlot 1.6.32
(MIT, uplot-license.txt), from npm, draws the plots; it lies beside the code unchanged and goes into the page.
"""

from crawler.report.write import REPORT, page_of, report_at_end, write_report

__all__ = ["REPORT", "page_of", "report_at_end", "write_report"]
