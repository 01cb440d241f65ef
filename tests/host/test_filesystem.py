"""The kind of disk, by the kernel's table of mounts."""

from pathlib import Path

import pytest

from tui.host import filesystem

MOUNTS = """\
22 1 8:1 / / rw - ext4 /dev/vda rw
23 22 0:31 / /mnt/work\\040space rw - fuse.ossfs ossfs rw
24 22 0:32 / /mnt/nas rw,relatime shared:3 - nfs4 server:/x rw
25 24 0:33 / /mnt/nas/local rw - xfs /dev/vdb rw
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/home/x", "ext4"),
        ("/mnt/work space/sessions", "fuse.ossfs"),
        ("/mnt/nas/a", "nfs4"),
        ("/mnt/nas/local/a", "xfs"),
        ("/mnt/nasty", "ext4"),
    ],
)
def test_the_file_system_of_a_folder(tmp_path: Path, folder: str, kind: str) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS)
    assert filesystem.filesystem_type(Path(folder), table) == kind
