"""What a worker keeps of the apps that it is to run."""

import pytest

from services.worker.store import CannotKeep, Deployment, DeploymentStore

APP, OTHER = bytes([7]) * 21, bytes([8]) * 21


def test_deployments_are_found_again(tmp_path):
    store = DeploymentStore(tmp_path / "apps")
    assert store.load() == []
    store.save(Deployment(APP), b"one")
    store.save(Deployment(OTHER), b"two")
    store.save(Deployment(OTHER, is_wanted=False))
    again = DeploymentStore(tmp_path / "apps")
    assert again.load() == [Deployment(APP), Deployment(OTHER, is_wanted=False)]
    assert again.bundle(OTHER).read_bytes() == b"two"
    again.forget(APP)
    assert store.load() == [Deployment(OTHER, is_wanted=False)]


def test_what_was_half_written_is_no_deployment(tmp_path):
    store = DeploymentStore(tmp_path)
    for name, deployment, bundle in (
        (APP.hex(), "{", b"x"),
        (OTHER.hex(), '{"is_wanted": 1}', b"x"),
        ("00" * 21, '{"is_wanted": true}', None),
        ("00", '{"is_wanted": true}', b"x"),
        ("no hex", '{"is_wanted": true}', b"x"),
        ("01" * 21, "[]", b"x"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "deployment.json").write_text(deployment)
        if bundle is not None:
            (tmp_path / name / "bundle.orc").write_bytes(bundle)
    assert store.load() == []


def test_a_disk_that_takes_nothing_is_told(tmp_path):
    (tmp_path / "apps").write_text("a file")
    with pytest.raises(CannotKeep):
        DeploymentStore(tmp_path / "apps").save(Deployment(APP), b"one")
