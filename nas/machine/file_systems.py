"""Which folders lie on another machine: SQLite's locks and shared memory do not hold there."""

from pathlib import Path

import psutil

NETWORK = frozenset(
    {"9p", "afpfs", "afs", "beegfs", "ceph", "cifs", "davfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs"}
    | {"nfs4", "orangefs", "panfs", "pvfs2", "smb2", "smb3", "smbfs", "sshfs", "webdav"}
)
"""Types of file systems as Linux and macOS name them."""

BEHIND_FUSE = NETWORK | {"ceph-fuse", "gcsfuse", "juicefs", "rclone", "s3fs", "seaweedfs"}
"""What follows "fuse." in their type."""


def network_file_system(path: Path) -> str | None:
    """The type of the network file system that `path`, which need not exist yet, lies on; else None."""
    real = path.resolve()
    mounts = [
        (len(Path(mount.mountpoint).parts), index, mount.fstype.lower())
        for index, mount in enumerate(psutil.disk_partitions(all=True))
        if real.is_relative_to(mount.mountpoint)
    ]
    kind = max(mounts, default=(0, 0, ""))[-1]  # the deepest mount; of equals the later one hides the other
    fuse, _, behind = kind.rpartition(".")
    network = behind in BEHIND_FUSE if fuse.startswith("fuse") else kind in NETWORK
    return kind if network else None
