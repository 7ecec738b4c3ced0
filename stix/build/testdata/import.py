"""Imports STIX objects, one a line, with OpenCTI's own import code against a client that answers everything and sends
nothing. Prints one JSON object a line: what the platform would be told, the variables of the mutation that creates it."""

import contextlib
import io
import json
import logging
import re
import sys

logging.disable(logging.CRITICAL)

from pycti import OpenCTIApiClient
from pycti.utils.opencti_stix2 import OpenCTIStix2


class Answer(dict):
    """Whatever is asked for is there."""

    def __missing__(self, key):
        return Answer(id="internal-" + key, standard_id="x--0", entity_type="Thing", observables=[], edges=[], pageInfo={"hasNextPage": False})


sent = []


def query(text, variables=None, disable_impersonate=False):
    operation = re.search(r"mutation\s+\w*[^{]*{\s*(\w+)", text)
    if operation:
        sent.append([operation.group(1), variables])
    return {"data": Answer(vocabularyCategories=[])}


client = OpenCTIApiClient("http://localhost", "none", log_level="critical", perform_health_check=False)
client.query = query
for line in sys.stdin.buffer.read().split(b"\n"):
    if not line:
        continue
    item = json.loads(line)
    sent.clear()
    with contextlib.redirect_stdout(io.StringIO()):
        OpenCTIStix2(client).import_item(item)
    found = {}
    for name, variables in sent:
        data = (variables or {}).get("input") or variables or {}
        for part in [data, *(v for v in data.values() if isinstance(v, dict))]:
            if part.get("stix_id") == item["id"]:
                found = {"mutation": name, "input": {**data, **part}}
    print(json.dumps(found, default=str))
