"""Our tables beside Optuna's: one row per study, per trial (two), per epoch, and per opening of the
test images.

Keyed by the study's UUID and the trial's number: rows of a deleted study never meet those of a new one.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Engine,
    Float,
    Inspector,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    insert,
    inspect,
    select,
    text,
    update,
)

from nas.errors import StorageError

VERSION = 7
"""Version of these tables, to be raised with every column that is added or renamed; Optuna keeps its own in
`alembic_version` and `version_info`."""

metadata = MetaData()

schema = Table("nas_schema", metadata, Column("version", Integer, primary_key=True))

studies = Table(
    "nas_studies",
    metadata,
    Column("study_uuid", String(36), primary_key=True),
    Column("name", String(512), nullable=False),
    Column("metric", String(64)),  # what the value of its trials is; NULL: accuracy
    Column("created_at", DateTime, nullable=False),  # UTC
    Column("searched_at", DateTime),  # UTC; when the latest run began
    Column("recipe", JSON, nullable=False),  # every setting, as resolved
    Column("space_version", Integer, nullable=False),
    Column("data", JSON, nullable=False),  # shape, classes, counts, fingerprint, split digest
    Column("versions", JSON, nullable=False),  # nas, python, optuna, torch at the first start
    Column("memory_cap", BigInteger),  # bytes that one trial may use
    Column("calibration", JSON),  # by device: what measured memory has taught of predictions
    Column("devices", JSON),  # of the latest run: the device of each worker
    Column("budgets", JSON),  # of the latest run, by device: bytes of its running trials together
    Column("ended", String(16)),  # why the latest run ended; NULL while it runs, or when it was killed
    Column("forecast", JSON),  # of the latest run: what it was likely to take, as said before its first trial
    Column("companion_of", String(36)),  # the study whose baseline this is
)

trials = Table(
    "nas_trials",
    metadata,
    Column("study_uuid", String(36), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("outcome", String(16), nullable=False),
    Column("reason", Text),  # why it did not complete
    Column("value", Float),  # the study's metric on the validation images after the last epoch, in [0, 1]
    Column("num_parameters", BigInteger),
    Column("multiply_adds", BigInteger),  # for one image
    Column("proposal", JSON),  # architecture and training settings, in canonical form
    Column("digest", String(64)),  # of the proposal
    Column("seed", BigInteger),
    Column("worker", Integer),
    Column("device", String(64)),  # the name of its kind
    Column("placed_on", String(64)),  # which one of them it is, such as cuda:1
    Column("versions", JSON),  # nas, python, optuna, torch of the worker
    Column("started_at", DateTime),  # UTC
    Column("finished_at", DateTime),  # UTC
    Column("retry_of", Integer),  # number of the interrupted trial it repeats
    Column("duplicate_of", Integer),  # number of the trial with the same proposal
    Column("plan", JSON),  # micro_batch, accumulation, checkpointing
    Column("predicted_memory", JSON),  # bytes by part
    Column("predicted", BigInteger),  # bytes of the process at its peak: the parts, calibrated
    Column("deaths", Integer),  # workers that died of it
    Column("work", JSON),  # of an epoch, by kind: multiply-adds, bytes, calls
    Column("predicted_seconds", Float),  # of an epoch, validation included
    Column("pace", Float),  # of its worker: seconds of a small step over those of the reference
    Column("recoveries", Integer),  # times it ran out of memory and went on with a more frugal plan
    Column("progress", Float),  # while it runs: epochs it has trained, and the part of the next one; rough
)

epochs = Table(
    "nas_epochs",
    metadata,
    Column("study_uuid", String(36), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("epoch", Integer, primary_key=True, autoincrement=False),  # 1 for the first
    Column("train_loss", Float),
    Column("val_loss", Float),
    Column("val_accuracy", Float),  # in [0, 1], whatever the study's metric is
    Column("value", Float),  # the study's metric, in [0, 1]; NULL of one from before there were others
    Column("learning_rate", Float),
    Column("seconds", Float),
    Column("images_per_second", Float),
    Column("peak_allocated", BigInteger),  # bytes of tensors
    Column("peak_reserved", BigInteger),  # bytes of segments of the caching allocator; NULL without CUDA
    Column("peak_resident", BigInteger),  # bytes of the process
    Column("busy_seconds", Float),  # of the processor, by thread; NULL on a card
)

counts = Table(
    "nas_counts",
    metadata,
    Column("study_uuid", String(36), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("epoch", Integer, nullable=False),  # after which the validation images were classified so
    Column("by_class", JSON, nullable=False),  # [hits, images, predicted] of each class, in their order
)

partial_reports = Table(
    "nas_partial_reports",  # of the first epoch
    metadata,
    Column("study_uuid", String(36), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("images_seen", BigInteger, primary_key=True, autoincrement=False),  # training images so far
    Column("val_images", Integer),  # validation images that were looked at
    Column("val_accuracy", Float),  # on these, in [0, 1]
    Column("value", Float),  # the study's metric on these, in [0, 1]; NULL as of an epoch
)

finals = Table(
    "nas_finals",
    metadata,
    Column("study_uuid", String(36), primary_key=True),
    Column("opening", Integer, primary_key=True, autoincrement=False),  # of the test images; 1 for the first
    Column("opened_at", DateTime, nullable=False),  # UTC; written before the file is opened
    Column("settings", JSON, nullable=False),  # epochs, top, seeds, ema, compile, mirror
    Column("test_accuracy", Float),  # in [0, 1]; NULL when the run died while the images were open
    Column("test_value", Float),  # the study's metric, in [0, 1]; NULL of one from before there were others
    Column("result", JSON),  # everything else that came out
)

RENAMED = {("nas_epochs", "peak_resident"): "peak_memory"}
"""By table and column, what it was called before."""


def is_older(version: int) -> bool:
    """Whether tables of this version lack something of ours.

    Raises:
        StorageError: they were made by a newer nas.
    """
    if version > VERSION:
        raise StorageError(
            f"This database was written by a newer nas (its tables: version {version}, ours: {VERSION})."
            " Upgrade: pip install --upgrade optuna-nas."
        )
    return version < VERSION


def create_tables(engine: Engine) -> None:
    """Create what is missing, and bring tables of an older version to ours.

    Raises:
        StorageError: the database was written by a newer nas.
    """
    if inspect(engine).has_table(schema.name):
        with engine.connect() as connection:
            version = connection.scalar(select(schema.c.version)) or VERSION
        if is_older(version):
            _migrate(engine)
    metadata.create_all(engine)
    with engine.begin() as connection:
        if connection.scalar(select(schema.c.version)) is None:
            connection.execute(insert(schema).values(version=VERSION))


def lacking(inspector: Inspector, table: Table) -> dict[str, str | None]:
    """The columns that a table of an older version lacks, each with its earlier name, if it had one."""
    there = {column["name"] for column in inspector.get_columns(table.name)}
    lacking = [column.name for column in table.c if column.name not in there]
    earlier = {name: RENAMED.get((table.name, name)) for name in lacking}
    return {name: before if before in there else None for name, before in earlier.items()}


def _migrate(engine: Engine) -> None:
    """All at once or not at all, whoever else may try it at the same time."""
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":  # whose driver begins no transaction for what changes tables
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        connection.scalar(select(schema.c.version).with_for_update())
        inspector = inspect(connection)
        for table in filter(lambda table: inspector.has_table(table.name), metadata.sorted_tables):
            for name, earlier in lacking(inspector, table).items():
                kind = table.c[name].type.compile(engine.dialect)
                change = f"RENAME COLUMN {earlier} TO {name}" if earlier else f"ADD COLUMN {name} {kind}"
                connection.execute(text(f"ALTER TABLE {table.name} {change}"))
        connection.execute(update(schema).values(version=VERSION))
