"""Runs an app again whenever its files change."""

import time
from collections.abc import Callable

from qanat.observe import Running
from qanat.rofl.building import build, note_identity, pack_app
from qanat.rofl.deploying import Workers, deploy
from qanat.rofl.project import Project, Signer
from shared.errors import QanatError
from shared.rules.app_ids import decode_app_id

POLL_S = 0.5


def reload_on_change(
    project: Project,
    running: Running,
    workers: Workers,
    signer: Signer,
    patience_s: float,
    progress: Callable[[str], None],
) -> None:
    """
    Build, accept on the chain and deploy, whenever the files differ from what runs; for ever.

    What fails is told, and tried again once the files change.
    """
    tried = pack_app(project)
    while True:
        time.sleep(POLL_S)
        try:
            if (found := pack_app(project)) == tried:
                continue
            tried = found
            _ship(project, running, workers, signer, patience_s, progress)
        except QanatError as error:
            progress(error.message)


def _ship(
    project: Project,
    running: Running,
    workers: Workers,
    signer: Signer,
    patience_s: float,
    progress: Callable[[str], None],
) -> None:
    built = build(project, running)
    if note_identity(project, built):
        project.update(signer)
    deploy(workers, decode_app_id(project.app_id), built.bundle, patience_s, progress)
    progress("the new version runs")
