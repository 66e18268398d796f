"""A disk with Debian 13, made of the packages and files of Debian's own image for EC2.

The packages are those of the classes SYSTEM_BOOT, CLOUD, EC2, LINUX_VARIANT_CLOUD and TIME_SYSTEMD in the
repository debian-cloud-images, folder config_space/13. For the tests there are a guest agent, an authority,
a root device that is named by its label, and a way to the sandbox's RDS. There is no boot loader.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.debian import archive, authority

SUITE = "trixie"
REGION = "eu-central-1"
RDS_VARIABLE = "passwordless.rds"
"""On the kernel's command line: TCP port on which the sandbox's RDS is reached."""
_DISK_BYTES = 8 << 30
_PACKAGES = (
    "sudo e2fsprogs libpam-systemd systemd-resolved libnss-resolve libnss-myhostname netplan.io polkitd"
    " unattended-upgrades apparmor zstd apt-utils init iptables iputils-ping linux-sysctl-defaults less nano"
    " netbase vim-tiny whiptail systemd-timesyncd openssh-server ssh-import-id cloud-initramfs-growroot"
    " awscli cloud-init cloud-guest-utils amazon-ec2-utils linux-image-cloud-amd64 apt-listchanges"
    " bash-completion bind9-host man-db manpages socat pciutils reportbug traceroute vim psmisc tcpdump"
    " ca-certificates curl ethtool uuid-runtime screen xz-utils qemu-guest-agent"
)
_EMPTY = ("etc/apt/sources.list", "etc/hostname", "etc/machine-id")
_REMOVED = (
    *("etc/apt/apt.conf.d/99mmdebstrap", "var/lib/dbus/machine-id", "etc/ssh/ssh_host_*"),
    *("var/lib/apt/lists/*", "var/cache/apt/*"),
)
_FILES = {
    "etc/apt/sources.list.d/debian.sources": """\
Types: deb deb-src
URIs: mirror+file:///etc/apt/mirrors/debian.list
Suites: trixie trixie-updates trixie-backports
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb deb-src
URIs: mirror+file:///etc/apt/mirrors/debian-security.list
Suites: trixie-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
""",
    "etc/apt/mirrors/debian.list": "https://{host}/debian\n",
    "etc/apt/mirrors/debian-security.list": "https://{host}/debian-security\n",
    "etc/cloud/cloud.cfg.d/01_debian_cloud.cfg": """\
apt:
  generate_mirrorlists: true

system_info:
  default_user:
    name: admin
    lock_passwd: True
    gecos: Debian
    groups: [adm, audio, cdrom, dialout, dip, floppy, plugdev, sudo, video]
    sudo: ["ALL=(ALL) NOPASSWD:ALL"]
    shell: /bin/bash

  package_mirrors:
  - arches: [default]
    failsafe:
      primary: https://cdn-aws.{host}/debian
      security: https://cdn-aws.{host}/debian-security
""",
    "etc/systemd/timesyncd.conf.d/01_debian_cloud.conf": (
        "[Time]\nFallbackNTP=169.254.169.123 fd00:ec2::123\n"
    ),
    "etc/default/locale": "LANG=C.UTF-8\n",
    "etc/fstab": "LABEL=root / ext4 rw,discard,errors=remount-ro,x-systemd.growfs 0 1\n",
    # The sandbox's RDS is called localhost.
    "etc/systemd/system/rds-on-localhost.service": f"""\
[Unit]
ConditionKernelCommandLine={RDS_VARIABLE}

[Service]
ExecStart=/bin/sh -c 'port=$(sed "s/.*{RDS_VARIABLE}=\\\\([0-9]*\\\\).*/\\\\1/" /proc/cmdline); \
exec socat TCP-LISTEN:$port,bind=127.0.0.1,fork,reuseaddr TCP:rds.{REGION}.amazonaws.com:$port'

[Install]
WantedBy=multi-user.target
""",
}
_FINISH = """\
systemctl enable systemd-resolved.service systemd-networkd.service rds-on-localhost.service
ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
update-ca-certificates
"""


@dataclass(frozen=True)
class Image:
    """What virtual machines are made of, in one folder."""

    folder: Path

    @property
    def disk(self) -> Path:
        """The root file system; machines write to layers of their own."""
        return self.folder / "root.img"

    @property
    def kernel(self) -> Path:
        return self.folder / "vmlinuz"

    @property
    def initrd(self) -> Path:
        return self.folder / "initrd.img"

    @property
    def packages(self) -> Path:
        """Packages that machines have fetched from the archive, whatever image they were made of."""
        return self.folder.parent / "packages"


def cache_folder() -> Path:
    """Where images are kept."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "passwordless-postgres" / "debian"


def hosts() -> tuple[str, ...]:
    """The names that Debian's archive has for a machine."""
    return archive.host(), f"cdn-aws.{archive.host()}"


def ensure() -> Image:
    """The image of this recipe; made in minutes, if there is none.

    Raises:
        subprocess.CalledProcessError: A package cannot be had, or a tool fails; it has printed why.
    """
    recipe = "\0".join((_PACKAGES, repr(_FILES), _FINISH, str(_DISK_BYTES), *hosts()))
    folder = cache_folder() / hashlib.sha256(recipe.encode()).hexdigest()[:16]
    if not folder.exists():
        cache_folder().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache_folder(), prefix="making-") as made:
            _make(Image(Path(made) / folder.name))
            (Path(made) / folder.name).rename(folder)
    return Image(folder)


def _make(image: Image) -> None:
    image.folder.mkdir()
    authority.make(image.folder, (*hosts(), f"*.{REGION}.amazonaws.com", f"*.s3.{REGION}.amazonaws.com"))
    root = image.folder / "root"
    archives = (("debian", SUITE), ("debian", f"{SUITE}-updates"), ("debian-security", f"{SUITE}-security"))
    _run(
        *("mmdebstrap", "--mode=root", "--variant=minbase", f"--include={','.join(_PACKAGES.split())}"),
        *("--aptopt=APT::Install-Recommends false", SUITE, str(root)),
        *(f"deb http://{hosts()[0]}/{path} {suite} main" for path, suite in archives),
    )
    for pattern in _REMOVED:
        for path in root.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name, text in {**dict.fromkeys(_EMPTY, ""), **_FILES}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text.replace("{host}", hosts()[0]))
    trusted = root / "usr/local/share/ca-certificates/test-authority.crt"
    shutil.copy(image.folder / authority.CERTIFICATE, trusted)
    _run("chroot", str(root), "sh", "-ec", _FINISH)
    for pattern, copy in (("vmlinuz-*", image.kernel), ("initrd.img-*", image.initrd)):
        (found,) = (root / "boot").glob(pattern)
        shutil.copy(found, copy)
    with image.disk.open("wb") as disk:
        disk.truncate(_DISK_BYTES)
    _run("mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", str(root), str(image.disk))
    shutil.rmtree(root)


def _run(*command: str) -> None:
    subprocess.run(command, stdin=subprocess.DEVNULL, check=True)
