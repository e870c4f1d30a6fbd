"""Our tables beside Optuna's: one row per study, per trial and per epoch.

Keyed by the study's UUID and the trial's number: rows of a deleted study never meet those of a new one.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Engine,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    insert,
    select,
)

from nas.errors import StorageError

VERSION = 1
"""Of these tables; Optuna keeps its own in `alembic_version` and `version_info`."""

metadata = MetaData()

schema = Table("nas_schema", metadata, Column("version", Integer, primary_key=True))

studies = Table(
    "nas_studies",
    metadata,
    Column("study_uuid", String(36), primary_key=True),
    Column("name", String(512), nullable=False),
    Column("created_at", DateTime, nullable=False),  # UTC
    Column("recipe", JSON, nullable=False),  # every setting, as resolved
    Column("space_version", Integer, nullable=False),
    Column("data", JSON, nullable=False),  # shape, classes, counts, fingerprint, split digest
    Column("versions", JSON, nullable=False),  # nas, python, optuna, torch at the first start
)

trials = Table(
    "nas_trials",
    metadata,
    Column("study_uuid", String(36), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("outcome", String(16), nullable=False),
    Column("reason", Text),  # why it did not complete
    Column("value", Float),  # validation accuracy after the last epoch, in [0, 1]
    Column("num_parameters", BigInteger),
    Column("multiply_adds", BigInteger),  # for one image
    Column("proposal", JSON),  # architecture and training settings, in canonical form
    Column("digest", String(64)),  # of the proposal
    Column("seed", BigInteger),
    Column("worker", Integer),
    Column("device", String(64)),
    Column("versions", JSON),  # nas, python, optuna, torch of the worker
    Column("started_at", DateTime),  # UTC
    Column("finished_at", DateTime),  # UTC
    Column("retry_of", Integer),  # number of the interrupted trial it repeats
)

epochs = Table(
    "nas_epochs",
    metadata,
    Column("study_uuid", String(36), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("epoch", Integer, primary_key=True, autoincrement=False),  # 1 for the first
    Column("train_loss", Float),
    Column("val_loss", Float),
    Column("val_accuracy", Float),  # in [0, 1]
    Column("learning_rate", Float),
    Column("seconds", Float),
    Column("images_per_second", Float),
    Column("peak_memory", BigInteger),  # bytes
)


def create_tables(engine: Engine) -> None:
    """Create what is missing.

    Raises:
        StorageError: the database was written by a newer nas.
    """
    metadata.create_all(engine)
    with engine.begin() as connection:
        version = connection.scalar(select(schema.c.version))
        if version is None:
            connection.execute(insert(schema).values(version=VERSION))
        elif version > VERSION:
            raise StorageError(
                f"This database was written by a newer nas (its tables: version {version}, ours: {VERSION})."
                " Upgrade: pip install --upgrade optuna-nas."
            )
