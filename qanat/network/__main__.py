"""Print the node names of all network files: the image makes a directory for each."""

from pathlib import Path

from qanat.network import load_network, plan_nodes

if __name__ == "__main__":
    files = (Path(__file__).resolve().parents[2] / "networks").glob("*.toml")
    plans = [plan for file in files for plan in plan_nodes(load_network(file))]
    print("\n".join(sorted({plan.name for plan in plans})))
