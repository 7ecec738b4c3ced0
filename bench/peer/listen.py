"""OpenCTI's own stream client with one of three callbacks, as a peer of the bridge.

count    only counts, and says how it went when all events are there
careful  posts each event over one kept-alive session, waits for the answer, and raises on any status but 2xx
pool     hands each event to a thread pool of the usual size, which posts it on a new connection: unordered, as stock webhooks do

    listen.py MODE URL TOKEN EVENTS [SINK]
"""
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import requests
from pycti import OpenCTIConnectorHelper

mode, url, token, want = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
sink = sys.argv[5] if len(sys.argv) > 5 else ""
seen = 0
session = requests.Session()
pool = ThreadPoolExecutor()
headers = {"content-type": "application/json"}


def count(msg):
    global seen
    seen += 1
    if seen == want:
        print(json.dumps({"at": time.time_ns()}), flush=True)
        time.sleep(60)


def careful(msg):
    session.post(sink, data=msg.data.encode(), headers=headers).raise_for_status()


def send(data):
    requests.post(sink, data=data.encode(), headers=headers)


def pooled(msg):
    pool.submit(send, msg.data)


helper = OpenCTIConnectorHelper({
    "opencti": {"url": url, "token": token},
    "connector": {"id": "5f5f5f5f-0000-4000-8000-0000000000aa", "type": "STREAM", "name": "peer", "scope": "all", "log_level": "error",
                  "live_stream_id": "live", "live_stream_listen_delete": True, "live_stream_no_dependencies": True,
                  "live_stream_recover_iso_date": "false", "live_stream_start_timestamp": "0"},
})
helper.listen_stream({"count": count, "careful": careful, "pool": pooled}[mode])
while True:
    time.sleep(60)
