"""A server of the sandbox: whether the image's is of the right version, and a whole server's files put in place."""

from __future__ import annotations

from ccdr.model.errors import TestBroken
from ccdr.model.values import Manifest


def require_major(product: str, held: str, captured: str, majors: tuple[str, str], image: str) -> None:
    """TestBroken where the image's version `held` is not of the `captured` one's major; `majors` are of both."""
    if majors[0] != majors[1]:
        raise TestBroken(
            f"the image holds {product} {held}, the backup is of {captured}",
            hint=f"name an image with major version {majors[1]}, such as {image}:{majors[1]}",
        )


def image_that_has_it(manifest: Manifest) -> str:
    """Which image holds what this one lacks: a hint. The source's server had it, so its packages are named."""
    version = manifest.contents["version"]
    return (
        f"name an image that has it (`image:`): made of the source's packages, {version}, or of this image and a copy"
        " of what it lacks (docs/extending.md, An image of your own for an asset)"
    )


def in_place(home: str, data: str, files: str, *beside: str) -> str:
    """A script that has the fetched server's `files` (a directory of $1) stand below `home`, and what lies `beside`
    them if it does. Where they are ours already, the server runs on them. Else they are copied, once, into `data`."""
    more = "".join(
        f'  if [ -e "$from/{name}" ]; then cp -r --reflink=auto "$from/{name}" {data}/ccdr/; fi\n' for name in beside
    )
    return f"""set -e
from=$1
if [ -O "$from/{files}" ] && [ -w "$from/{files}" ]; then
  ln -sfn "$from" {home}
else
  mkdir -p {data}/ccdr
  cp -r --reflink=auto "$from/{files}" {data}/ccdr/
{more}  ln -sfn {data}/ccdr {home}
fi
chmod 700 {home}/{files}
"""
