"""Prints objects and the ids that the reference libraries compute for them, one JSON list [text of the object, id or null] a
line. The objects are those of stix-ids.jsonl with properties changed at random.

usage: ids.py STIX-IDS.JSONL SEED COUNT"""

import importlib
import inspect
import json
import pkgutil
import random
import re
import sys
import warnings

warnings.filterwarnings("ignore")

import pycti.entities
import stix2
import stix2.registry
from pycti.api.opencti_api_client import OpenCTIApiClient
from pycti.utils.opencti_stix2 import OpenCTIStix2


class Client:
    get_attribute_in_extension = staticmethod(OpenCTIApiClient.get_attribute_in_extension)


def generators():
    classes = {}
    for module in pkgutil.walk_packages(pycti.entities.__path__, "pycti.entities."):
        for name, item in vars(importlib.import_module(module.name)).items():
            if inspect.isclass(item) and hasattr(item, "generate_id_from_data"):
                classes[name] = item
    attributes = dict(re.findall(r"self\.(\w+) = (\w+)\(self", inspect.getsource(OpenCTIApiClient.__init__)))
    found = {}
    for typ, attribute in re.findall(r'"([\w-]+)": self\.opencti\.(\w+)', inspect.getsource(OpenCTIStix2.get_stix_helper)):
        if attributes.get(attribute) in classes:
            found[typ] = object.__new__(classes[attributes[attribute]])
            found[typ].opencti = Client()
    return found


generate = generators()


def identify(item):
    typ = item["type"]
    if typ in generate:
        return generate[typ].generate_id_from_data(item)
    cls = stix2.registry.class_for_type(typ, "2.1", "observables")
    if cls is None or typ == "process":
        return None
    made = stix2.parse(item, allow_custom=True, version="2.1")
    if not any(name in made for name in cls._id_contributing_properties):
        return None
    return made["id"]


ODD = [None, "", "  ", 0, 1, -0.0, 7.9, -7.9, 1e21, 1e-7, 12345678901234567890, True, False, "true", "T", "0", "12", " 12 ", "+5", "7.9",
       "x", "\u0130\u03a3 \u039f\u0394\u039f\u03a3 \u03a3", "\x1c a \x85", "\u200b z \ufeff", "E\u0301", "2024-01-01T00:00:00.1200Z",
       "2024-1-1T0:0:0Z", "2024-02-30T00:00:00Z", "2024-01-01T00:00:60Z", "2024-01-01t00:00:00z", "2024-01-01T00:00:00.1234567Z", 1.5, 1e16,
       1e15, 0.0001, 0.00001, "\ud800", 70000, -1, "65536"]
TAILS = ["\u0130", " ", "\x1f", "\u03a3\u0391\u03a3", "\u2028", "\u3000", "<&>", "\u007f", "\u0001"]
NAMES = ["MD5", "md5", "SHA1", "SHA-1", "sha-256", "SHA-512", "sha3512", "ssdeep", "TLSH", "MD6", "RIPEMD-160", "Sha-384", "x-foo", "a b"]
VALUES = ["d41d8cd98f00b204e9800998ecf8427e", "D41D8CD98F00B204E9800998ECF8427E", "da39a3ee5e6b4b0d3255bfef95601890afd80709",
          "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "3:41a24b:d85", "a" * 70, "a" * 96, "zz"]

path, seed, count = sys.argv[1:]
random.seed(int(seed))
with open(path, encoding="utf8", newline="\n") as lines:
    rows = [json.loads(line)["input"] for line in lines.read().split("\n") if line]
# Pseudo types have no class, and an infinite number is no JSON.
rows = [row for row in rows if row["type"] not in ("label", "kill-chain-phase", "external-reference") and "1e400" not in json.dumps(row)
        and "Infinity" not in json.dumps(row)]
for _ in range(int(count)):
    item = json.loads(json.dumps(random.choice(rows)))
    keys = [key for key in item if key != "type"]
    key = random.choice(keys)
    dice = random.random()
    if item["type"] in ("file", "artifact", "x509-certificate") and dice < 0.4:
        item["hashes"] = {random.choice(NAMES): random.choice(VALUES) for _ in range(random.randint(1, 4))}
    elif dice < 0.7:
        item[key] = random.choice(ODD)
    elif dice < 0.8:
        del item[key]
    elif isinstance(item[key], str):
        item[key] += random.choice(TAILS)
    pairs = list(item.items())
    random.shuffle(pairs)
    text = json.dumps(dict(pairs))
    try:
        id = identify(json.loads(text))
    except Exception:
        id = None
    print(json.dumps([text, id]))
