"""Validates a bundle object by object with stix2-validator. Prints objects, invalid ones, and seconds of processor time."""

import contextlib
import gzip
import io
import json
import logging
import sys
import time

logging.disable(logging.CRITICAL)

from stix2validator import ValidationOptions, validate_instance

with gzip.open(sys.argv[1]) as f:
    objects = json.load(f)["objects"][: int(sys.argv[2])]
validate_instance(objects[0], ValidationOptions())  # loads the schemas
start = time.process_time()
invalid = 0
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    for item in objects:
        invalid += not validate_instance(item, ValidationOptions()).is_valid
print(json.dumps([len(objects), invalid, time.process_time() - start]))
