"""
Makes execution-apis.json.xz from the assembled OpenRPC document of ethereum/execution-apis (CC0):

    python tests/vectors/make_execution_apis.py openrpc.json.xz
"""

import json
import lzma
import sys
from pathlib import Path

SOURCE = "ethereum/execution-apis @ f56fd1d7, branch assembled-spec-main (CC0-1.0)"
NAMESPACES = ("debug", "eth", "net", "txpool")
TEXTS = ("title", "description")


def without_texts(schema: object) -> object:
    if isinstance(schema, list):
        return [without_texts(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: {key: without_texts(one) for key, one in value.items()}
        if name == "properties"
        else without_texts(value)
        for name, value in schema.items()
        if name not in TEXTS
    }


if __name__ == "__main__":
    document = json.loads(lzma.decompress(Path(sys.argv[1]).read_bytes()))
    results = {
        method["name"]: without_texts(method["result"]["schema"])
        for method in document["methods"]
        if method["name"].split("_")[0] in NAMESPACES
    }
    made = json.dumps({"source": SOURCE, "results": results}, sort_keys=True)
    target = Path(__file__).with_name("execution-apis.json.xz")
    target.write_bytes(lzma.compress(made.encode(), preset=9))
