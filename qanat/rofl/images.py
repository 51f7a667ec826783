"""Images of containers, asked of this machine's engine: by which name one is pinned."""

from contextlib import closing

from services.worker.enclave.engine import connect
from services.worker.rules.container_checks import IMAGE
from shared.errors import QanatError


def pin_image(name: str) -> str:
    """
    Give the name of an image that says which one it is; unpinned as it came where none can be told.

    That is its digest in the registry that it came from, or its own id where it was built here.
    """
    if IMAGE.fullmatch(name):
        return name
    from docker.errors import DockerException

    try:
        with closing(connect()) as engine:
            found = engine.images.get(name)
    except (DockerException, OSError, QanatError):
        return name
    digests: list[str] = found.attrs.get("RepoDigests") or []
    return digests[0] if digests else str(found.id)
