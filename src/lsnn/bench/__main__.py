"""python -m lsnn.bench REQUEST: one measurement; request and answer are a line of JSON each."""

import json
import sys

from lsnn.bench.measuring import measure
from lsnn.bench.works import WORKS

if __name__ == "__main__":
    request = json.loads(sys.argv[1])
    print(json.dumps(measure(WORKS[request.pop("work")], **request)))
