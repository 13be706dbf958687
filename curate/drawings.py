"""SVG drawings as pixels, in a helper process that may die without harm.

A drawing is a program: a kilobyte can ask for terabytes, for a file of this machine, or for a stack that
overflows and takes the process with it. So it is first read by a plain XML parser under fixed bounds, which
decide alike on every machine; then it is rendered by resvg in a helper process with bounds on memory and
time, which catch what the first look missed. Text is not drawn: fonts differ from machine to machine.
"""

import math
import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, cast
from xml.parsers import expat

from curate.images import BadImage

MAX_BYTES = 8_000_000
MAX_DEPTH = 100
MAX_ELEMENTS = 100_000
"""Also bounds what `use` elements expand to."""
MAX_REFERENCES = 20
"""How far uses may lead to uses."""
MAX_SIDE = 4096
WALL = 20
"""Seconds of waiting for each second of processor time that a drawing may take."""
HELPER_BYTES = 4 << 30
"""Address space of the helper, a multiple of what it really uses."""

DPI = 96.0
"""CSS pixels an inch; without it resvg finds sizes in points or millimetres to be zero."""

_HREFS = ("href", "http://www.w3.org/1999/xlink href")
_MAY_LOAD = ("image", "feImage", "use")
_PICTURES = ("data:image/png", "data:image/jpeg", "data:image/jpg", "data:image/gif", "data:image/webp", "data:;base64,ivbor")


@dataclass
class _Look:
    """What one pass over a drawing's XML tells; raises BadImage at the first thing out of bounds."""

    encoding: str = "utf-8"
    elements: int = 0
    depth: int = 0
    root: str = ""
    uses: int = 0
    open_ids: list[str] = field(default_factory=list)  # id of each open element, "" where it has none
    sizes: dict[str, int] = field(default_factory=dict)  # elements at and below an id
    refs: dict[str, list[str]] = field(default_factory=dict)  # ids used at and below an id

    def start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(" ")[2]
        self.root = self.root or local
        self.elements += 1
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise BadImage("svg_too_deep", f"more than {MAX_DEPTH} levels")
        if self.elements > MAX_ELEMENTS:
            raise BadImage("svg_too_complex", f"more than {MAX_ELEMENTS} elements")
        self.open_ids.append(attributes.get("id", ""))
        if local in _MAY_LOAD:
            self._follow(local, next((attributes[key] for key in _HREFS if key in attributes), ""))
        for name_ in {"", *self.open_ids}:
            self.sizes[name_] = self.sizes.get(name_, 0) + 1

    def _follow(self, local: str, href: str) -> None:
        href = href.strip()
        if href.startswith("#"):
            for name in {"", *self.open_ids}:
                self.refs.setdefault(name, []).append(href[1:])
        elif href and not (local == "image" and href.lower().startswith(_PICTURES)):
            raise BadImage("svg_external_reference", href[:80])

    def end(self, name: str) -> None:
        self.depth -= 1
        self.open_ids.pop()

    def declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        self.encoding = encoding or self.encoding

    def entity(
        self,
        name: str,
        parameter: bool,
        value: str | None,
        base: str | None,
        system: str | None,
        public: str | None,
        n: str | None,
    ) -> None:
        # Old drawing programs abbreviate namespaces by entities; those are short and refer to nothing.
        if parameter or value is None or "&" in value or "<" in value or len(value) > 200:
            raise BadImage("svg_entity", name[:80])

    def expanded(self, name: str = "", above: tuple[str, ...] = ()) -> tuple[int, int]:
        """Elements below `name` once every `use` is replaced by what it names, and how far uses lead to uses."""
        if name in above:
            raise BadImage("svg_reference_loop", name[:80])
        total, chain = self.sizes.get(name, 0), 0
        for ref in self.refs.get(name, ()):
            if ref not in self.sizes:
                continue
            if ref not in self._known:
                self._known[ref] = self.expanded(ref, (*above, name))
            total += self._known[ref][0]
            chain = max(chain, self._known[ref][1] + 1)
            if total > MAX_ELEMENTS:
                raise BadImage("svg_too_complex", f"expands to more than {MAX_ELEMENTS} elements")
            if max(chain, len(above)) > MAX_REFERENCES:
                raise BadImage("svg_too_deep", f"more than {MAX_REFERENCES} references to references")
        return total, chain

    _known: dict[str, tuple[int, int]] = field(default_factory=dict)


def checked(data: bytes) -> str:
    """A drawing's text once its XML is within bounds; BadImage with a reason that begins with `svg_`."""
    if not data:
        raise BadImage("empty")
    if len(data) > MAX_BYTES:
        raise BadImage("svg_too_large", f"{len(data)} bytes")
    look = _Look()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler, parser.EndElementHandler = look.start, look.end
    parser.XmlDeclHandler, parser.EntityDeclHandler = look.declaration, look.entity
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise BadImage("svg_corrupt", str(error)) from None
    if look.root != "svg":
        raise BadImage("unknown_format", f"the outermost element is {look.root[:40]!r}, not svg")
    look.expanded()
    return _text(data, look.encoding)


def _text(data: bytes, encoding: str) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    try:
        return data.decode("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
    except (UnicodeDecodeError, LookupError) as error:
        raise BadImage("svg_corrupt", str(error)) from None


class Renderer:
    """Turns SVG bytes into PNG bytes through a helper process, which starts when it is first needed."""

    def __init__(self, size: int = 224, seconds: int = 10) -> None:
        """`size` is the longer side in pixels; `seconds` of processor time bound one drawing."""
        assert 0 < size <= MAX_SIDE
        self.size, self.seconds = size, seconds
        self._helper: subprocess.Popen[bytes] | None = None

    def render(self, data: bytes) -> bytes:
        """A drawing as PNG with alpha, its longer side `size` pixels; BadImage when it cannot be one."""
        text = checked(data).encode("utf-8", "replace")
        helper = self._running()
        try:
            _send(_pipe(helper.stdin), struct.pack(">II", self.size, self.seconds) + text)
            good, answer = self._answer(_pipe(helper.stdout))
        except (TimeoutError, EOFError, BrokenPipeError) as end:
            raise self._buried(isinstance(end, TimeoutError)) from None
        if not good:
            raise BadImage("svg_corrupt", answer.decode("utf-8", "replace")[:200])
        return answer

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._helper is None or self._helper.poll() is not None:
            command = [sys.executable, "-m", "curate.drawings"]
            self._helper = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
            )
        return self._helper

    def _buried(self, hangs: bool) -> BadImage:
        """Ends a helper that hangs or has died, and says which it was."""
        code = None if hangs or self._helper is None else self._helper.wait()
        self.close()
        if hangs or code == -signal.SIGXCPU:
            return BadImage("svg_timeout", f"not drawn within {self.seconds} s")
        return BadImage("svg_crashed", "the renderer died of it")

    def _answer(self, pipe: IO[bytes]) -> tuple[bool, bytes]:
        # Processor time is what bounds a drawing, alike on idle and busy machines; the clock is the last resort.
        deadline = time.monotonic() + WALL * self.seconds

        def patient(count: int) -> bytes:
            ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            return os.read(pipe.fileno(), count)

        message = _receive(patient)
        return message[:1] == b"+", message[1:]

    def close(self) -> None:
        """Ends the helper; the next drawing starts another."""
        if self._helper is not None:
            self._helper.kill()
            for pipe in (self._helper.stdin, self._helper.stdout):
                if pipe:
                    pipe.close()
            self._helper.wait()
        self._helper = None

    def __del__(self) -> None:
        self.close()

    def __getstate__(self) -> dict[str, object]:
        return {"size": self.size, "seconds": self.seconds, "_helper": None}


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    return cast(IO[bytes], pipe)


def _send(pipe: IO[bytes], message: bytes) -> None:
    left = memoryview(struct.pack(">I", len(message)) + message)
    while left:
        left = left[os.write(pipe.fileno(), left) :]


def _receive(read: Callable[[int], bytes]) -> bytes:
    def exactly(count: int) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            more = read(min(count - len(parts), 1 << 20))
            if not more:
                raise EOFError
            parts += more
        return bytes(parts)

    (length,) = struct.unpack(">I", exactly(4))
    return exactly(length)


def _limit_self() -> None:
    try:
        import resource
    except ImportError:  # not on Windows; the timeout still holds there
        return
    for kind, most in ((resource.RLIMIT_AS, HELPER_BYTES), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(kind, (most, most))


def _limit_time(seconds: int) -> None:
    try:
        import resource
    except ImportError:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = math.ceil(used.ru_utime + used.ru_stime) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.RLIM_INFINITY))


def _draw(request: bytes) -> bytes:
    import resvg_py

    size, seconds = struct.unpack(">II", request[:8])
    text = request[8:].decode("utf-8")
    _limit_time(seconds)
    return bytes(resvg_py.svg_to_bytes(svg_string=text, width=size, height=size, dpi=DPI, skip_system_fonts=True))


def serve() -> None:
    """The helper's life: a drawing in, a picture or a complaint out, until the pipe closes."""
    _limit_self()
    while True:
        try:
            request = _receive(lambda count: os.read(0, count))
        except EOFError:
            return
        try:
            answer = b"+" + _draw(request)
        except Exception as error:  # whatever the renderer raises is the drawing's fault
            answer = b"-" + str(error).encode("utf-8", "replace")
        _send(cast(IO[bytes], sys.stdout.buffer), answer)


if __name__ == "__main__":
    serve()
