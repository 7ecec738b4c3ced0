"""Judges STIX objects, one a line: stix2-validator's verdict, the id that the reference libraries compute, and whether
OpenCTI's own splitter sends the object. Prints one JSON list [valid, errors, id, sent] a line."""

import contextlib
import importlib
import inspect
import io
import json
import logging
import pkgutil
import re
import sys

logging.disable(logging.CRITICAL)

import pycti.entities
import stix2
from pycti.api.opencti_api_client import OpenCTIApiClient
from pycti.utils.opencti_stix2 import OpenCTIStix2
from pycti.utils.opencti_stix2_splitter import OpenCTIStix2Splitter
from stix2validator import ValidationOptions, validate_instance


class Client:
    get_attribute_in_extension = staticmethod(OpenCTIApiClient.get_attribute_in_extension)


def generators():
    """The classes that compute ids, by STIX type, without a platform."""
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
    if item["type"] == "marking-definition":
        return item["id"]  # their ids are fixed, or those of what OpenCTI reads out of them
    if item["type"] in generate:
        return generate[item["type"]].generate_id_from_data(item)
    bare = {k: v for k, v in item.items() if k != "id"}
    return stix2.parse(bare, allow_custom=True, version="2.1")["id"]


for line in sys.stdin.buffer.read().split(b"\n"):
    if not line:
        continue
    item = json.loads(line)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        result = validate_instance(json.loads(line), ValidationOptions())
    bundle = {"type": "bundle", "id": "bundle--1", "objects": [json.loads(line)]}
    sent, _, _ = OpenCTIStix2Splitter().split_bundle_with_expectations(bundle, use_json=False)
    print(json.dumps([result.is_valid, [str(e) for e in result.errors or []], identify(item), sent == 1]))
