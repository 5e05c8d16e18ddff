"""Stand-ins for the official images, built from Debian and Maven packages where there is no image registry."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from integration.brokers import _debian
from integration.brokers._docker import docker, image_exists
from integration.brokers._lock import machine_lock
from integration.brokers._progress import say

_FOLDER = Path(__file__).parent.parent / "images"
_BASE_SCRIPT = _FOLDER / "debian-base.sh"
_BUILD_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class StandIn:
    """A folder of integration/images, the version that comes out of it, and the Debian release it is built on."""

    name: str
    version: str
    suite: str

    @property
    def folder(self) -> Path:
        """The build files."""
        return _FOLDER / self.name

    @property
    def tag(self) -> str:
        """The image's name, with a hash of all that goes into it: other build files make another image."""
        return f"busbridge/{self.name}:{self.version}-{_hash(_BASE_SCRIPT, *sorted(self.folder.iterdir()))}"

    @property
    def base_tag(self) -> str:
        """The name of the Debian that it is built on."""
        return f"busbridge/debian:{self.suite}-{_hash(_BASE_SCRIPT)}"


def ensure(image: StandIn) -> str:
    """Builds the image unless it is there, and returns its name. Raises BrokersUnavailableError if it cannot."""
    with machine_lock("images"):
        if not image_exists(image.tag):
            _ensure_base(image)
            _build(image)
    return image.tag


def _ensure_base(image: StandIn) -> None:
    if image_exists(image.base_tag):
        return
    if not shutil.which("debootstrap"):
        _debian.install("debootstrap", why="without an image registry, images are built here")
    say(f"making a minimal Debian {image.suite} for the stand-in images (half a minute)")
    _debian.run(str(_BASE_SCRIPT), image.suite, _debian.mirror(), image.base_tag)


def _build(image: StandIn) -> None:
    say(f"building {image.tag}")
    with tempfile.TemporaryDirectory() as name:
        context = Path(name) / image.name
        shutil.copytree(image.folder, context)
        if (context / "pom.xml").exists():
            _resolve_jars(context)
        options = ("--quiet", "--build-arg", f"BASE={image.base_tag}", "--tag", image.tag)
        docker("build", *options, str(context), timeout=_BUILD_SECONDS)


def _resolve_jars(context: Path) -> None:
    """Maven runs here and not in the build, so that this machine's own settings of Maven hold."""
    if not shutil.which("mvn"):
        _debian.install("maven", why="Kafka's jars come from Maven")
    pom, libs = context / "pom.xml", context / "libs"
    _debian.run("mvn", "-B", "-q", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={libs}")


def _hash(*files: Path) -> str:
    content = b"".join(file.name.encode() + b"\0" + file.read_bytes() for file in files)
    return hashlib.sha256(content).hexdigest()[:12]
