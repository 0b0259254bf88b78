"""``python ray_cluster.py``: a Ray cluster of two machines with one CPU each, on this one.

Prints its address and ends, with all its processes, when standard input is closed. Its files lie in
``RAY_TMPDIR``.
"""

import sys

from ray.cluster_utils import Cluster

SMALL = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}


def main() -> None:
    cluster = Cluster(initialize_head=True, head_node_args=dict(SMALL))
    try:
        cluster.add_node(**SMALL)
        sys.stdout.write(f"{cluster.address}\n")
        sys.stdout.flush()
        sys.stdin.read()
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
