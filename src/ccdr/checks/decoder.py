"""Run inside the sandbox (`python3 -c`), never imported by ccdr for its functions: decodes every named file to
its end with libsndfile. Names come NUL-separated on standard input; one JSON document goes out.

Standard library and `soundfile` only; any Python 3.9.
"""

import json
import os
import re
import sys

BLOCK = 1 << 16  # frames
# libsndfile opens a file that ends early, and tells only in its log that the header promised more.
_PROMISE = re.compile(r"(?:data|SSND|Data Size)\s*: (\d+) \(should be (\d+)\)")
LAST_PAGE = 1 << 17  # bytes: an Ogg page has at most 65,307


def ends_early(name):  # type: ignore[no-untyped-def]
    """An Ogg stream (Vorbis, Opus) whose last page does not say that it is the last was cut off."""
    with open(name, "rb") as file:  # noqa: PTH123
        if file.read(4) != b"OggS":
            return False
        file.seek(0, 2)
        file.seek(max(0, file.tell() - LAST_PAGE))
        tail = file.read()
    page = tail.rfind(b"OggS")
    return page < 0 or len(tail) < page + 6 or not tail[page + 5] & 4


def decode(name):  # type: ignore[no-untyped-def]
    """None for good audio, "" for good audio without a frame, else why it is bad."""
    import soundfile

    try:
        with soundfile.SoundFile(os.fsencode(name)) as sound:  # a name need not be UTF-8
            frames = 0
            while True:
                block = sound.read(BLOCK, dtype="float32")
                if not len(block):
                    break
                frames += len(block)
            promise = _PROMISE.search(sound.extra_info)
            if promise and int(promise[1]) > int(promise[2]):
                return f"its header promises {promise[1]} bytes of sound, it holds {promise[2]}"
            if frames != sound.frames:
                return f"{frames} frames decoded of {sound.frames}"
            if ends_early(name):  # type: ignore[no-untyped-call]
                return "its last page is missing: it was cut off"
            return None if frames else ""
    except (soundfile.SoundFileError, OSError, ValueError, TypeError) as error:
        return str(error)[:200]


def main():  # type: ignore[no-untyped-def]
    import multiprocessing  # here alone: whoever reads a plan imports this module, too

    try:
        import soundfile  # noqa: F401
    except ImportError:
        return 3
    names = [n for n in sys.stdin.buffer.read().decode("utf-8", "surrogateescape").split("\0") if n]
    with multiprocessing.get_context("fork").Pool() as pool:
        complaints = pool.map(decode, names, chunksize=32)
    bad = [(n, why) for n, why in enumerate(complaints) if why]
    print(json.dumps({"seen": len(complaints), "bad": bad, "empty": complaints.count("")}))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())  # type: ignore[no-untyped-call]
