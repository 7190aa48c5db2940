"""How busy the GPUs are that this process sees, asked of the driver when the figures are read; needs the extra ``gpu``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry


class GpuCollector(Collector):
    """Reads NVML. It makes no CUDA context and takes no memory of the GPU."""

    def __init__(self, nvml: Any) -> None:
        """Take the module ``pynvml``, already initialised."""
        self._nvml = nvml

    def describe(self) -> Iterator[Metric]:
        """Name the figures."""
        yield from _families()

    def collect(self) -> Iterator[Metric]:
        """Read them. A GPU that cannot be asked is left out."""
        nvml = self._nvml
        busy, used, size = _families()
        for number in range(nvml.nvmlDeviceGetCount()):
            try:
                handle = nvml.nvmlDeviceGetHandleByIndex(number)
                share = nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
                memory = nvml.nvmlDeviceGetMemoryInfo(handle)
            except nvml.NVMLError:
                continue
            busy.add_metric([str(number)], share)
            used.add_metric([str(number)], memory.used)
            size.add_metric([str(number)], memory.total)
        yield from (busy, used, size)


def _families() -> tuple[GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily]:
    return (
        GaugeMetricFamily(
            "comention_gpu_busy_ratio", "Share of the last sampling period in which a kernel ran.", labels=["gpu"]
        ),
        GaugeMetricFamily(
            "comention_gpu_memory_used_bytes", "Memory of the GPU in use, by all programs.", labels=["gpu"]
        ),
        GaugeMetricFamily("comention_gpu_memory_bytes", "Memory of the GPU.", labels=["gpu"]),
    )


def register_gpus(registry: CollectorRegistry) -> bool:
    """Add the GPUs to what is served; false where there is none, or nothing to ask it with."""
    try:
        import pynvml
    except ImportError:
        return False
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return False
    registry.register(GpuCollector(pynvml))
    return True
