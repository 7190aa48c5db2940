"""The step of a build that compiles ``annotate/int8_kernels.c``, beside its source, for the processors that it is for.

Where there is no C compiler the build says so and goes on: annotation then runs in bf16 or fp32.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_FLAGS = ("-O3", "-std=gnu11", "-fPIC", "-shared", "-ffp-contract=off")


class CompileKernels(BuildHookInterface[Any]):
    """Puts the compiled kernels into the wheel, or into the tree that is installed in place."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and mark the wheel as one for this platform; ``version`` is "editable" for a tree in place."""
        source = Path(self.root) / "annotate" / "int8_kernels.c"
        library = source.with_suffix(".so")
        if self.target_name != "wheel" or platform.machine() not in ("x86_64", "AMD64") or os.name != "posix":
            return
        library.unlink(missing_ok=True)
        compiler = os.environ.get("CC") or next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
        if compiler is None:
            self.app.display_warning("there is no C compiler: comention will not annotate in int8")
            return
        scratch = library.with_suffix(f".{os.getpid()}")
        command = [*shlex.split(compiler), *_FLAGS, "-o", str(scratch), str(source)]
        try:
            subprocess.run(command, check=True)  # noqa: S603
        except (OSError, subprocess.CalledProcessError) as error:
            scratch.unlink(missing_ok=True)
            self.app.display_warning(
                f"comention will not annotate in int8, for its kernels cannot be compiled: {error}"
            )
            return
        scratch.replace(library)
        build_data["artifacts"].append(f"/annotate/{library.name}")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
