"""
Compile every Vyper contract of src/ into artifacts/NAME.json, the same bytes each time.

Runs in an environment of its own, which has Vyper: `scripts/contracts.sh` makes it.
"""

import json
import sys
from pathlib import Path

from vyper import compile_code
from vyper.compiler.settings import Settings

HERE = Path(__file__).resolve().parent
EVM = "shanghai"
"""The newest that confidential ParaTimes run."""


def main() -> int:
    for source in sorted((HERE / "src").glob("*.vy")):
        made = compile_code(
            source.read_text(),
            output_formats=("abi", "bytecode"),
            settings=Settings(evm_version=EVM),
            no_bytecode_metadata=True,
        )
        artifact = {
            "contractName": source.stem,
            "sourceName": f"src/{source.name}",
            "abi": made["abi"],
            "bytecode": made["bytecode"],
        }
        target = HERE / "artifacts" / f"{source.stem}.json"
        target.write_text(json.dumps(artifact, indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
