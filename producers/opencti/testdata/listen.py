"""Follow a live stream with OpenCTI's own client and print one line for each event: SSE id, name, object id, referer, type."""
import json
import sys
import time

from pycti import OpenCTIConnectorHelper


def take(msg):
    data = json.loads(msg.data)
    print(json.dumps([msg.id, msg.event, data["data"]["id"], data.get("origin", {}).get("referer") or "", data.get("type") or ""]), flush=True)


url, token, stream, recover = sys.argv[1:5]
helper = OpenCTIConnectorHelper({
    "opencti": {"url": url, "token": token},
    "connector": {"id": "5f5f5f5f-0000-4000-8000-0000000000aa", "type": "STREAM", "name": "yardstick", "scope": "all", "log_level": "error",
                  "live_stream_id": stream, "live_stream_listen_delete": True, "live_stream_no_dependencies": True,
                  "live_stream_recover_iso_date": recover, "live_stream_start_timestamp": "0"},
})
helper.listen_stream(take)
while True:
    time.sleep(60)
