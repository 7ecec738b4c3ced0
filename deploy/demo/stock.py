"""The other lane: OpenCTI's own stream client, with the callback that connectors usually have.

It posts what the bridge posts, indicators only. Three attempts more where the SIEM is out of order; then, as connectors do, it
logs the error and goes on. With CALLBACK=raise it raises instead, which ends the process; the demo starts it again.
"""
import json
import os

import requests
from pycti import OpenCTIConnectorHelper
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

siem = requests.Session()
siem.headers["Authorization"] = "Bearer " + os.environ["DEMO_SIEM_TOKEN"]
siem.mount("http://", HTTPAdapter(max_retries=Retry(
    total=3, backoff_factor=0.5, status_forcelist=[429, 502, 503, 504], allowed_methods=["POST"])))


def deliver(msg):
    obj = json.loads(msg.data)["data"]
    if obj["type"] != "indicator":
        return
    try:
        answer = siem.post(os.environ["DEMO_SIEM"], json={"op": msg.event, "object": obj}, timeout=10)
        answer.raise_for_status()
    except requests.RequestException as err:
        if os.environ.get("CALLBACK") == "raise":
            raise
        helper.connector_logger.error("the SIEM did not take an event", {"id": obj["id"], "reason": str(err)})


helper = OpenCTIConnectorHelper({})
helper.listen_stream(deliver).join()
