"""Snapshots in the consensus database: heights that the network can be taken back to."""

from sqlalchemy import Connection, delete, insert, select

from services.consensus.schema import snapshots
from shared.api.consensus import BlockEvents, Snapshot
from shared.types.identity import Incarnation


class SnapshotLog:
    """Reads and writes one table; rewinding is the store's."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(
        self, events: BlockEvents, incarnation: Incarnation, *, id_: int | None = None
    ) -> Snapshot:
        """Remember the height of a block, in the life in which it stands, by the next id."""
        row = insert(snapshots).values(
            **({} if id_ is None else {"id": id_}),
            height=events.height,
            incarnation=incarnation,
            epoch=events.epoch,
            time_ns=events.time_ns,
        )
        with self._connection.begin():
            made = self._connection.execute(row.returning(snapshots.c.id)).scalar_one()
        return Snapshot(made, events.height, incarnation, events.epoch, events.time_ns)

    def load(self) -> tuple[Snapshot, ...]:
        """Snapshots, oldest first."""
        with self._connection.begin():
            rows = self._connection.execute(select(snapshots).order_by(snapshots.c.id)).all()
        return tuple(
            Snapshot(row.id, row.height, row.incarnation, row.epoch, row.time_ns) for row in rows
        )

    def drop(self, snapshot_id: int) -> None:
        """Forget a snapshot, if there is one."""
        with self._connection.begin():
            self._connection.execute(delete(snapshots).where(snapshots.c.id == snapshot_id))
