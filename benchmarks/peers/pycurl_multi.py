"""libcurl's multi interface in a bare loop, through pycurl: N handles, each used again and again."""

from __future__ import annotations

from io import BytesIO

import pycurl

from benchmarks.peers.job import Job, read_job

WAIT_S = 1.0  # the most that select() waits for an answer; the loop goes on after it anyhow


def new_handle(job: Job) -> pycurl.Curl:
    handle = pycurl.Curl()
    handle.setopt(pycurl.FAILONERROR, True)
    handle.setopt(pycurl.TIMEOUT, 30)
    if job.ca:
        handle.setopt(pycurl.CAINFO, job.ca)
    return handle


def main() -> None:
    job = read_job()
    multi = pycurl.CurlMulti()
    multi.setopt(pycurl.M_MAXCONNECTS, job.workers)
    free = [new_handle(job) for _ in range(job.workers)]
    busy: dict[pycurl.Curl, tuple[str, BytesIO]] = {}
    urls = iter(job.urls)
    while True:
        while free and (url := next(urls, None)):
            handle, body = free.pop(), BytesIO()
            handle.setopt(pycurl.URL, url)
            handle.setopt(pycurl.WRITEDATA, body)
            busy[handle] = url, body
            multi.add_handle(handle)
        if not busy:
            break
        multi.perform()
        _, done, failed = multi.info_read(job.workers)
        if failed:
            raise SystemExit(f"{busy[failed[0][0]][0]}: {failed[0][2]}")
        for handle in done:
            multi.remove_handle(handle)
            url, body = busy.pop(handle)
            job.save(url, body.getvalue())
            free.append(handle)
        if not done:
            multi.select(WAIT_S)


if __name__ == "__main__":
    main()
