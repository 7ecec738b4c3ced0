"""Judge what a sender put on a push queue, with the code that OpenCTI's worker and connectors use.

stdin: one JSON object a line, {"body": <message body>}; then one line {"bundle": <bundle that was to be sent>}.
stdout: one JSON object, {"messages": [[id, nb_deps], …], "expected": [[id, nb_deps], …], "complaints": […]}.
"""
import base64
import json
import sys

from pycti import OpenCTIStix2Splitter

messages, complaints, expected = [], [], []
for line in sys.stdin:
    item = json.loads(line)
    if "bundle" in item:
        _, _, bundles = OpenCTIStix2Splitter().split_bundle_with_expectations(json.dumps(item["bundle"]), use_json=True)
        expected = [[o["id"], o["nb_deps"]] for b in bundles for o in json.loads(b)["objects"]]
        continue
    body = item["body"]
    content = base64.b64decode(body["content"], validate=True).decode("utf-8")
    bundle = json.loads(content)
    if bundle.get("type") != "bundle" or len(bundle["objects"]) != 1:
        complaints.append("not a bundle of one object: " + content[:200])
        continue
    obj = bundle["objects"][0]
    if "opencti_operation" not in obj:
        count, refused, again = OpenCTIStix2Splitter().split_bundle_with_expectations(content, use_json=True)
        if count != 1 or refused or json.loads(again[0])["objects"][0]["id"] != obj["id"]:
            complaints.append("the client would send something else for " + obj["id"])
    messages.append([obj["id"], obj.get("nb_deps")])
json.dump({"messages": messages, "expected": expected, "complaints": complaints}, sys.stdout)
