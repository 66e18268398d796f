"""DocumentDB, Neptune and EFS: encryption at rest."""

from __future__ import annotations

from policy.property_checks import must_be_true
from policy.rule import Area, Rule, Severity

DOCUMENTS = "aws:docdb/cluster:Cluster"
GRAPH = "aws:neptune/cluster:Cluster"
FILES = "aws:efs/fileSystem:FileSystem"
_DISK = "Whoever gets at a disk or a snapshot reads it, and it cannot be encrypted later."


RULES = (
    Rule(
        id="PGTLS-P282",
        title="Document and graph databases, and file systems, are encrypted at rest",
        area=Area.ENCRYPTION,
        severity=Severity.HIGH,
        types=(DOCUMENTS, GRAPH, FILES),
        checks=(
            must_be_true("encrypted", when=lambda store: store.type == FILES),
            # What is restored from a snapshot is encrypted as that is.
            must_be_true(
                "storageEncrypted",
                when=lambda store: store.type != FILES and not store["snapshotIdentifier"].given,
            ),
        ),
        why=_DISK,
        fix="set storageEncrypted, or encrypted of a file system, to true",
        link="https://docs.aws.amazon.com/documentdb/latest/developerguide/encryption-at-rest.html",
        references=("SH:DocumentDB.1", "SH:Neptune.1", "SH:EFS.1"),
    ),
)
