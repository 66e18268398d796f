"""A data volume is formatted only when it is proven blank and never was formatted before.

Images are sparse files. Signatures lie where their formats document them. What the system's own programs
make is looked at as well, where they are installed; most of it by `make test-long`.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from node import blank_volume
from node.blank_volume import EDGE_BYTES, prove_blank
from node.commands import run
from node.data_volume import DataVolume
from node.desired_state import FORMATTED_VOLUMES_KEY
from node.fetch import Store
from node.format_record import FormatRecord
from node.layout import Layout
from runtime.errors import FailedError, RefusedError
from tests.node.recorded_commands import Answer, Recorded
from tests.runtime.instance import ACCOUNT, REGION

KIB, MIB, GIB = 1024, 1024**2, 1024**3
VOLUME = "vol-0123456789abcdef0"
EXT4: Answer = (0, "DEVNAME=/dev/nvme1n1\nUUID=1234-abcd\nTYPE=ext4\n")
NOTHING: Answer = (2, "")

MD = b"\xfc\x4e\x2b\xa9"
EXT = b"\x53\xef"
# Offset, from the end where negative, and what is there.
SIGNATURES: dict[str, tuple[int, bytes]] = {
    "ext4": (KIB + 56, EXT),
    "ext4 without its first superblock, 1 KiB blocks": (8 * MIB + KIB + 56, EXT),
    "ext4 without its first superblock, 2 KiB blocks": (32 * MIB + 56, EXT),
    "ext4 without its first superblock, 4 KiB blocks": (128 * MIB + 56, EXT),
    "ext4 with its third superblock alone": (3 * 128 * MIB + 56, EXT),
    "XFS": (0, b"XFSB"),
    "XFS, second allocation group": (GIB // 4, b"XFSB"),
    "XFS, last allocation group, rounded": (3 * GIB // 4 - 4 * KIB, b"XFSB"),
    "btrfs": (64 * KIB + 64, b"_BHRfS_M"),
    "btrfs, second superblock": (64 * MIB + 64, b"_BHRfS_M"),
    "ZFS, first label": (128 * KIB, b"\x0c\xb1\xba\x00"),
    "ZFS, last label": (-256 * KIB + 128 * KIB, b"\x0c\xb1\xba\x00"),
    "swap": (4096 - 10, b"SWAPSPACE2"),
    "swap with pages of 64 KiB": (64 * KIB - 10, b"SWAPSPACE2"),
    "LUKS": (0, b"LUKS\xba\xbe\x00\x01"),
    "LUKS2, second header": (16 * KIB, b"SKUL\xba\xbe"),
    "LUKS2, second header as late as it may be": (4 * MIB, b"SKUL\xba\xbe"),
    "LVM": (512, b"LABELONE"),
    "LVM in the last sector that it may choose": (3 * 512, b"LABELONE"),
    "MD 0.90": (-64 * KIB, MD),
    "MD 1.0": (-8 * KIB, MD),
    "MD 1.1": (0, MD),
    "MD 1.2": (4 * KIB, MD),
    "MBR": (510, b"\x55\xaa"),
    "GPT": (512, b"EFI PART"),
    "GPT with sectors of 4 KiB": (4 * KIB, b"EFI PART"),
    "GPT, copy": (-512, b"EFI PART"),
    "GPT, copy with sectors of 4 KiB": (-4 * KIB, b"EFI PART"),
    "F2FS": (KIB, b"\x10\x20\xf5\xf2"),
    "JFS": (32 * KIB, b"JFS1"),
    "ReiserFS": (64 * KIB + 52, b"ReIsEr2Fs"),
    "NTFS": (3, b"NTFS    "),
    "NTFS, copy": (-512 + 3, b"NTFS    "),
    "BitLocker": (3, b"-FVE-FS-"),
    "ReFS": (3, b"\0\0\0ReFS\0"),
    "FAT32": (82, b"FAT32   "),
    "FAT32, copy": (6 * 512 + 82, b"FAT32   "),
    "FAT16": (54, b"FAT16   "),
    "exFAT": (3, b"EXFAT   "),
    "exFAT, copy": (12 * 512 + 3, b"EXFAT   "),
    "HFS+": (KIB, b"H+"),
    "HFS+, copy": (-KIB, b"H+"),
    "APFS": (32, b"NXSB"),
    "NILFS2": (KIB + 6, b"\x34\x34"),
    "NILFS2, copy": (-4 * KIB + 6, b"\x34\x34"),
    "bcache and bcachefs": (4 * KIB + 24, bytes.fromhex("c68573f64e1a45ca8265f57f48ba6d81")),
    "OCFS2": (8 * KIB, b"OCFSV2"),
    "GFS2": (64 * KIB, b"\x01\x16\x19\x70"),
    "UFS2": (64 * KIB + 1372, b"\x19\x01\x54\x19"),
    "VxFS": (KIB, b"\xf5\xfc\x01\xa5"),
    "Minix": (KIB + 24, b"\x5a\x4d"),
    "SquashFS": (0, b"hsqs"),
    "EROFS": (KIB, b"\xe2\xe1\xf5\xe0"),
    "ISO 9660": (32 * KIB + 1, b"CD001"),
    "UDF": (34 * KIB + 1, b"NSR03"),
    "swap with a sleeping system": (4096 - 10, b"S1SUSPEND"),
    "VMFS": (2 * MIB, b"\x5e\xf1\xab\x2f"),
    "Intel RAID": (-KIB, b"Intel Raid ISM Cfg Sig. "),
    "DDF RAID": (-512, b"\xde\x11\xde\x11"),
    "dm-integrity": (0, b"integrt\0"),
    "dm-verity": (0, b"verity\0\0"),
    "VDO": (0, b"dmvdo001"),
    "Stratis": (516, b"!Stra0tis\x86\xff\x02^\x41rh"),
    "Ceph": (0, b"bluestore block device\n"),
    "Oracle ASM": (32, b"ORCLDISK"),
    "BSD disk label": (512, b"\x57\x45\x56\x82"),
    "Sun disk label": (508, b"\xda\xbe"),
    "SGI disk label": (0, b"\x0b\xe5\xa9\x41"),
    "Apple partition map": (512, b"PM"),
    "the very first byte": (0, b"\x01"),
    "the very last byte": (-1, b"\x01"),
}
LUKS = ("-q", "luksFormat", "--pbkdf-force-iterations", "1000", "--key-file", "/bin/true")
MAKERS: dict[str, Sequence[str]] = {
    "ext2": ("mkfs.ext2", "-q", "-F"),
    "ext3": ("mkfs.ext3", "-q", "-F"),
    "ext4": ("mkfs.ext4", "-q", "-F"),
    "ext4 with blocks of 1 KiB": ("mkfs.ext4", "-q", "-F", "-b", "1024"),
    "ext4 with two copies": ("mkfs.ext4", "-q", "-F", "-O", "sparse_super2"),
    "ext4 with descriptors everywhere": ("mkfs.ext4", "-q", "-F", "-O", "meta_bg,^resize_inode"),
    "a journal of ext4": ("mke2fs", "-q", "-F", "-O", "journal_dev"),
    "xfs": ("mkfs.xfs", "-q", "-f"),
    "xfs with blocks of 1 KiB": ("mkfs.xfs", "-q", "-f", "-b", "size=1024"),
    "btrfs": ("mkfs.btrfs", "-q", "-f"),
    "f2fs": ("mkfs.f2fs", "-q", "-f"),
    "jfs": ("mkfs.jfs", "-q"),
    "reiserfs": ("mkfs.reiserfs", "-q", "-f", "-f"),
    "nilfs2": ("mkfs.nilfs2", "-q"),
    "fat16": ("mkfs.vfat", "-F", "16", "-s", "64"),
    "fat32": ("mkfs.vfat", "-F", "32"),
    "exfat": ("mkfs.exfat",),
    "ntfs": ("mkfs.ntfs", "-q", "-Q", "-F"),
    "minix": ("mkfs.minix", "-3"),
    "bfs": ("mkfs.bfs",),
    "swap": ("mkswap",),
    "luks1": ("cryptsetup", *LUKS, "--type", "luks1"),
    "luks2": ("cryptsetup", *LUKS, "--type", "luks2", "--pbkdf", "pbkdf2"),
    "gpt": ("sgdisk", "--new=1"),
    "mbr": ("sfdisk", "--quiet", "--label", "dos"),
    "a label of Sun": ("sfdisk", "--quiet", "--label", "sun"),
    "a label of SGI": ("sfdisk", "--quiet", "--label", "sgi"),
}  # fmt: skip
SHORT = ("ext4", "xfs", "swap", "mbr")
# Most of the others keep everything in the first MiB while they are empty.
OUTLIVES_ITS_HEAD = ("mkfs.ext2", "mkfs.ext3", "mkfs.ext4", "mkfs.xfs", "mkfs.btrfs", "mkfs.f2fs", "sgdisk")
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"


def image(path: Path, size: int, *parts: tuple[int, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size)
        for offset, data in parts:
            file.seek(offset if offset >= 0 else size + offset)
            file.write(data)
    return path


def refused(path: Path) -> bool:
    try:
        prove_blank(path, path.stat().st_size)
    except RefusedError:
        return True
    return False


@pytest.mark.parametrize("size", [1, 10 * MIB, GIB, GIB + 512, 3 * GIB])
def test_nothing_but_zeros_is_blank(size: int, tmp_path: Path) -> None:
    assert not refused(image(tmp_path / "device", size))


@pytest.mark.parametrize("what", SIGNATURES)
def test_a_known_signature_is_not_blank(what: str, tmp_path: Path) -> None:
    assert refused(image(tmp_path / "device", GIB, SIGNATURES[what]))


@pytest.mark.parametrize("size", [8 * GIB, 100 * GIB, 8192 * GIB])
@pytest.mark.long
def test_a_known_signature_is_not_blank_on_large_volumes(size: int, tmp_path: Path) -> None:
    assert not refused(image(tmp_path / "device", size))
    groups = {
        "XFS, second allocation group": (size // 4, b"XFSB"),
        "XFS, last allocation group, rounded": (3 * size // 4 - 4 * KIB, b"XFSB"),
        **({"btrfs, third superblock": (256 * GIB + 64, b"_BHRfS_M")} if size > 256 * GIB else {}),
        "ext4, blocks of 64 KiB": (32 * GIB + 56, EXT) if size > 32 * GIB else (KIB + 56, EXT),
    }
    for signature in (SIGNATURES | groups).values():
        assert refused(image(tmp_path / "device", size, signature)), signature


def made_by(program: str, *options: str, device: Path) -> None:
    """Let a program write to the image of a device."""
    if shutil.which(program, path=PATH) is None:
        pytest.skip(f"{program} is not installed")
    answer = b",,\n" if program == "sfdisk" else b"y\n"
    subprocess.run(
        [program, *options, str(device)],
        check=True, input=answer, capture_output=True, env={"PATH": PATH, "LC_ALL": "C"},
    )  # fmt: skip


@pytest.mark.parametrize(
    "what", [pytest.param(what, marks=() if what in SHORT else pytest.mark.long) for what in MAKERS]
)
def test_what_a_program_makes_is_not_blank(what: str, layout: Layout, record: FormatRecord) -> None:
    """Neither after `wipefs`, which erases the signatures, nor without the first MiB."""
    program, *options = MAKERS[what]
    commands = RealBlkid(layout.root)
    made = volume(layout, commands, record)
    device = layout.root / "dev/nvme1n1"
    made_by(program, *options, device=device)
    assert refused(device)
    never_formats(made, commands)
    made_by("wipefs", "--quiet", "--all", device=device)
    assert refused(device)
    if program in OUTLIVES_ITS_HEAD:
        with device.open("r+b") as file:
            file.write(bytes(MIB))
        assert refused(device)
    never_formats(made, commands)


@pytest.mark.parametrize("at", [17 * MIB, 300 * MIB, 700 * MIB + 12345])
def test_data_without_a_signature_is_not_blank(at: int, tmp_path: Path) -> None:
    """The head was overwritten with zeros, and files are still there."""
    assert refused(image(tmp_path / "device", GIB, (at, b"\x01" * MIB)))


def readings(monkeypatch: pytest.MonkeyPatch, answer: Callable[[int, bytes], bytes]) -> None:
    real = os.pread

    def pread(descriptor: int, length: int, offset: int) -> bytes:
        return answer(offset, real(descriptor, length, offset))

    monkeypatch.setattr(blank_volume.os, "pread", pread)


def broken(code: int, at: int) -> Callable[[int, bytes], bytes]:
    def answer(offset: int, data: bytes) -> bytes:
        if offset >= at:
            raise OSError(code, os.strerror(code))
        return data

    return answer


UNREADABLE: dict[str, Callable[[int, bytes], bytes]] = {
    "input/output error at once": broken(errno.EIO, 0),
    "input/output error in the middle": broken(errno.EIO, 400 * MIB),
    "input/output error at the end": broken(errno.EIO, GIB - MIB),
    "the device vanished": broken(errno.ENODEV, 100 * MIB),
    "the device was detached": broken(errno.ENXIO, GIB - 8 * MIB),
    "short read": lambda offset, data: data[:512] if offset > 500 * MIB else data,
    "read ends early": lambda offset, data: b"" if offset > 500 * MIB else data,
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_what_cannot_be_read_everywhere_fails(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = image(tmp_path / "device", GIB)
    readings(monkeypatch, UNREADABLE[what])
    with pytest.raises(FailedError, match="is not formatted, since it"):
        prove_blank(device, GIB)


@pytest.mark.parametrize(("size", "known"), [(0, 0), (0, GIB), (GIB, 0), (GIB, GIB + 512), (GIB, 2 * GIB)])
def test_an_unclear_size_fails(size: int, known: int, tmp_path: Path) -> None:
    with pytest.raises(FailedError, match="its size is unclear"):
        prove_blank(image(tmp_path / "device", size), known)


def test_what_cannot_be_opened_fails(tmp_path: Path) -> None:
    device = tmp_path / "device"
    with pytest.raises(FailedError, match=r"it cannot be examined: .* No such file"):
        prove_blank(device, GIB)
    image(tmp_path / "other", GIB)
    device.symlink_to("other")
    with pytest.raises(FailedError, match="it cannot be examined"):
        prove_blank(device, GIB)
    device.unlink()
    os.mkfifo(device)
    with pytest.raises(FailedError, match="it cannot be read"):
        prove_blank(device, GIB)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path)
    layout.make_home()
    return layout


@pytest.fixture
def record(clients: dict[str, Any]) -> FormatRecord:
    """The record of a new server."""
    bucket = f"record-{uuid.uuid4().hex}"
    clients["s3"].create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    clients["s3"].put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return FormatRecord(store=Store(bucket=bucket, owner=ACCOUNT, s3=clients["s3"], secrets=None))


def volume(layout: Layout, commands: Recorded, record: FormatRecord, *parts: tuple[int, bytes]) -> DataVolume:
    """A volume of 1 GiB, attached as the kernel shows it."""
    system = layout.root / "sys/block/nvme1n1"
    (system / "device").mkdir(parents=True)
    (system / "device/serial").write_text(f"{VOLUME.replace('-', '')} \n")
    (system / "size").write_text(f"{GIB // 512}\n")
    image(layout.root / "dev/nvme1n1", GIB, *parts)
    return DataVolume(layout=layout, commands=commands, volume=VOLUME, record=record)


class RealBlkid(Recorded):
    """Runs blkid on the image of the device; everything else runs nowhere."""

    def __init__(self, root: Path) -> None:
        super().__init__({})
        self._root = root

    def __call__(self, *command: str, accept: Sequence[int] = (0,)) -> subprocess.CompletedProcess[str]:
        if command[0] != "blkid":
            return super().__call__(*command, accept=accept)
        *options, device = command
        return run(*options, f"{self._root}{device}", accept=accept)


def never_formats(made: DataVolume, commands: Recorded) -> None:
    with contextlib.suppress(FailedError):
        made.mount()
    assert not commands.ran("mkfs")


def recorded(record: FormatRecord) -> list[str]:
    return json.loads(record.store.newest(FORMATTED_VOLUMES_KEY)[0])["volumes"]


def test_a_blank_volume_is_formatted_once_and_mounted_by_uuid(layout: Layout, record: FormatRecord) -> None:
    commands = Recorded({"blkid": [NOTHING, EXT4], "findmnt": [(0, "1234-abcd\n")]})
    made = volume(layout, commands, record)
    made.mount()
    assert commands.ran("mkfs.ext4 -q -m 1 -L postgresql /dev/nvme1n1")
    assert recorded(record) == [VOLUME]
    assert not layout.formatting.exists()
    unit = (layout.root / "etc/systemd/system/var-lib-postgresql.mount").read_text()
    assert "What=/dev/disk/by-uuid/1234-abcd\nWhere=/var/lib/postgresql\n" in unit
    commands.lines.clear()
    made.mount()
    assert not commands.ran("mkfs")
    assert not commands.ran("daemon-reload")
    assert commands.ran("resize2fs /dev/nvme1n1")


@pytest.mark.parametrize("found", [(0, "TYPE=xfs\nUUID=1\n"), (0, "PTTYPE=gpt\n"), NOTHING])
def test_the_right_volume_is_mounted_after_a_wrong_one(
    found: Answer, layout: Layout, record: FormatRecord
) -> None:
    """A refused desired state is not tried again until it changes, and another volume changes none."""
    commands = Recorded({"blkid": [found, EXT4], "findmnt": [(0, "1234-abcd\n")]})
    made = volume(layout, commands, record, (128 * MIB, b"\x01"))
    with pytest.raises(FailedError, match=VOLUME if found[0] == 0 else "is formatted"):
        made.mount()
    made.mount()
    assert not commands.ran("mkfs")


@pytest.mark.parametrize("found", ["TYPE=xfs\nUUID=1\n", "PTTYPE=gpt\n"])
def test_a_volume_with_something_else_is_never_formatted(
    found: str, layout: Layout, record: FormatRecord
) -> None:
    commands = Recorded({"blkid": [(0, found)]})
    with pytest.raises(FailedError, match="only ext4 is mounted"):
        volume(layout, commands, record).mount()
    assert not commands.ran("mkfs")


@pytest.mark.parametrize(
    "what",
    [
        pytest.param(what, marks=() if what in ("ext4", "LVM", "MD 1.0", "GPT, copy") else pytest.mark.long)
        for what in SIGNATURES
    ],
)
def test_whatever_blkid_makes_of_a_signature_it_is_not_formatted(
    what: str, layout: Layout, record: FormatRecord
) -> None:
    commands = RealBlkid(layout.root)
    never_formats(volume(layout, commands, record, SIGNATURES[what]), commands)


def test_what_blkid_and_the_proof_find_blank_is_formatted(layout: Layout, record: FormatRecord) -> None:
    """Else the tests beside this one would show nothing."""
    commands = RealBlkid(layout.root)
    with pytest.raises(FailedError, match="holds nothing that blkid knows"):
        volume(layout, commands, record).mount()
    assert commands.ran("mkfs.ext4")


@pytest.mark.parametrize("status", [1, 4, 8, -9])
def test_a_blkid_that_fails_formats_nothing(status: int, layout: Layout, record: FormatRecord) -> None:
    """8 says that several signatures contradict each other."""
    commands = Recorded({"blkid": [(status, "")]})
    with pytest.raises(FailedError, match=f"exit status {status}"):
        volume(layout, commands, record).mount()
    assert not commands.ran("mkfs")


def test_a_volume_that_blkid_cannot_read_is_not_blank(
    layout: Layout, record: FormatRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = Recorded({"blkid": [NOTHING]})
    made = volume(layout, commands, record, SIGNATURES["ext4"])
    readings(monkeypatch, broken(errno.EIO, 0))
    with pytest.raises(FailedError, match="Input/output error"):
        made.mount()
    monkeypatch.undo()
    with pytest.raises(FailedError, match="holds something at byte 1080"):
        made.mount()
    assert not commands.ran("mkfs")


def test_a_volume_that_was_formatted_before_is_not_formatted_again(
    layout: Layout, record: FormatRecord
) -> None:
    commands = Recorded({"blkid": [EXT4, NOTHING], "findmnt": [(0, "1234-abcd\n")]})
    made = volume(layout, commands, record)
    made.mount()
    assert recorded(record) == [VOLUME]
    with pytest.raises(FailedError, match="says that it was formatted before"):
        made.mount()
    # Neither the refusal nor a second run makes it new.
    with pytest.raises(FailedError, match="says that it was formatted before"):
        made.mount()
    assert not commands.ran("mkfs")


def test_a_second_volume_is_recorded_beside_the_first(layout: Layout, record: FormatRecord) -> None:
    assert record.add("vol-0fedcba9876543210")
    commands = Recorded({"blkid": [NOTHING, EXT4], "findmnt": [(0, "1234-abcd\n")]})
    volume(layout, commands, record).mount()
    assert recorded(record) == ["vol-0fedcba9876543210", VOLUME]
    assert not record.add(VOLUME)


def test_nothing_is_formatted_without_the_record(
    layout: Layout, clients: dict[str, Any], record: FormatRecord
) -> None:
    commands = Recorded({"blkid": [NOTHING]})
    nowhere = FormatRecord(
        store=Store(bucket="no-such-bucket-of-ours", owner=ACCOUNT, s3=clients["s3"], secrets=None)
    )
    made = volume(layout, commands, nowhere)
    with pytest.raises(FailedError, match="NoSuchBucket"):
        made.mount()
    record.store.put(FORMATTED_VOLUMES_KEY, "[]")
    damaged = DataVolume(layout=layout, commands=commands, volume=VOLUME, record=record)
    with pytest.raises(FailedError, match="is damaged"):
        damaged.mount()
    assert not commands.ran("mkfs")


def test_a_run_that_was_killed_before_it_formatted_is_finished_by_the_next(
    layout: Layout, record: FormatRecord
) -> None:
    commands = Recorded({"blkid": [NOTHING], "mkfs.ext4": [(1, "killed")]})
    made = volume(layout, commands, record)
    with pytest.raises(FailedError, match="mkfs"):
        made.mount()
    commands.answers = {"blkid": [NOTHING, EXT4], "findmnt": [(0, "1234-abcd\n")]}
    made.mount()
    assert not layout.formatting.exists()


def test_what_a_killed_format_left_is_not_taken_for_blank(layout: Layout, record: FormatRecord) -> None:
    commands = Recorded({"blkid": [NOTHING], "mkfs.ext4": [(1, "killed")]})
    made = volume(layout, commands, record)
    with pytest.raises(FailedError, match="mkfs"):
        made.mount()
    image(layout.root / "dev/nvme1n1", GIB, (128 * MIB, b"\x01"))
    with pytest.raises(FailedError, match="If nothing on it is wanted"):
        made.mount()


def becomes_another(system: Path) -> None:
    (system / "device/serial").write_text("vol0fedcba9876543210\n")


@pytest.mark.parametrize("happens", [becomes_another, shutil.rmtree])
@pytest.mark.parametrize("when", ["data_volume.prove_blank", "format_record.FormatRecord.add"])
def test_a_device_that_changes_or_vanishes_is_not_formatted(
    when: str,
    happens: Callable[[Path], None],
    layout: Layout,
    record: FormatRecord,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commands = Recorded({"blkid": [NOTHING]})
    made = volume(layout, commands, record)
    real = {"data_volume.prove_blank": prove_blank, "format_record.FormatRecord.add": FormatRecord.add}[when]

    def and_then(*arguments: Any) -> object:
        answer = real(*arguments)
        happens(layout.root / "sys/block/nvme1n1")
        return answer

    monkeypatch.setattr(f"node.{when}", and_then)
    with pytest.raises(FailedError, match="is not attached"):
        made.mount()
    assert not commands.ran("mkfs")


def test_a_device_that_vanishes_before_it_is_read_is_not_formatted(
    layout: Layout, record: FormatRecord
) -> None:
    commands = Recorded({"blkid": [NOTHING]})
    made = volume(layout, commands, record)
    (layout.root / "dev/nvme1n1").unlink()
    with pytest.raises(FailedError, match=r"cannot be examined: .* No such file"):
        made.mount()
    (layout.root / "sys/block/nvme1n1/size").unlink()
    with pytest.raises(FailedError, match=r"size: .* No such file"):
        made.mount()
    assert not commands.ran("mkfs")


@pytest.fixture
def block_device(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A device of the kernel's, and the file that it reads."""
    backing = image(tmp_path / "backing", GIB)
    program = shutil.which("losetup", path=PATH)
    if program is None or os.geteuid() != 0:
        pytest.skip("only root makes a device, with losetup")
    attached = subprocess.run(
        [program, "--find", "--show", str(backing)], capture_output=True, text=True, check=False
    )
    if attached.returncode != 0:
        pytest.skip(f"this kernel lends no device: {attached.stderr.strip()}")
    device = Path(attached.stdout.strip())
    yield device, backing
    subprocess.run([program, "--detach", str(device)], check=False, capture_output=True)


@pytest.mark.long
def test_a_device_of_the_kernel_is_read_everywhere_or_fails(block_device: tuple[Path, Path]) -> None:
    device, backing = block_device
    prove_blank(device, GIB)
    with backing.open("r+b") as file:
        file.seek(700 * MIB + 12345)
        file.write(b"\x01" * MIB)
    device_cache_dropped(device)
    with pytest.raises(FailedError):
        prove_blank(device, GIB)
    # Whoever uses a device holds it like this: a mount, LVM, MD, swap.
    held = os.open(device, os.O_RDONLY | os.O_EXCL)
    with pytest.raises(FailedError, match=r"cannot be examined: .* busy"):
        prove_blank(device, GIB)
    os.close(held)
    # The kernel still says 1 GiB, reads less where its file ends, and beyond that answers with an error.
    for end, says in ((512 * MIB, "gave 32768 of 65536 bytes"), (EDGE_BYTES, "Input/output error")):
        image(backing, end)
        device_cache_dropped(device)
        with pytest.raises(FailedError, match=says):
            prove_blank(device, GIB)
    subprocess.run(["losetup", "--detach", str(device)], check=True, env={"PATH": PATH})
    with pytest.raises(FailedError, match="its size is unclear"):
        prove_blank(device, GIB)


def device_cache_dropped(device: Path) -> None:
    """What was changed below the device is read anew."""
    subprocess.run(["blockdev", "--flushbufs", str(device)], check=True, env={"PATH": PATH})


def test_a_volume_that_is_not_there_fails(layout: Layout, record: FormatRecord) -> None:
    made = DataVolume(layout=layout, commands=Recorded({}), volume="vol-0fedcba9876543210", record=record)
    with pytest.raises(FailedError, match="vol-0fedcba9876543210 is not attached"):
        made.device()


def test_a_root_volume_is_never_taken_for_the_data_volume(layout: Layout, record: FormatRecord) -> None:
    commands = Recorded({"blkid": [EXT4], "findmnt": [(0, "other\n")]})
    with pytest.raises(FailedError, match="has the file system other, not 1234-abcd"):
        volume(layout, commands, record).mount()
