"""What this distribution is called, and whether the package ``marketdata`` is the one it brings.

Other distributions install a package of that name, too, over the files of this one or before them
on the path. So this stands outside of it. Imports nothing until something is wrong.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.metadata import Distribution

__all__ = ["DISTRIBUTION", "check_library", "others"]

DISTRIBUTION = "ccxt-marketdata"


def others() -> list[str]:
    """Name the other distributions installed here that bring a package ``marketdata``."""
    from importlib import metadata

    bring = {one.name for one in metadata.distributions() if _brings_ours(one)}
    return sorted(name for name in bring if name.lower() != DISTRIBUTION)


def _brings_ours(distribution: Distribution) -> bool:
    """Tell by what is written of a distribution; to read the paths of all takes a second."""
    declared = (distribution.read_text("top_level.txt") or "").split()
    files = f"\n{distribution.read_text('RECORD') or ''}"
    return "marketdata" in declared or "\nmarketdata/" in files or "\nmarketdata.py," in files


def check_library() -> None:
    """Raise ImportError, naming the other distribution, unless ``marketdata`` is this one's."""
    import marketdata

    if getattr(marketdata, "__distribution__", None) == DISTRIBUTION:
        return
    named = others()
    whose = " and ".join(named) or "another distribution"
    remove = " ".join(("pip uninstall", *named)) if named else "Remove it"
    where = getattr(marketdata, "__file__", None) or next(iter(marketdata.__path__))
    raise ImportError(
        f"The package 'marketdata' at {where} comes from {whose}, not from {DISTRIBUTION}. "
        f"{remove}, then: pip install --force-reinstall {DISTRIBUTION}",
        name="marketdata",
    )
