"""Names of the engines, precisions and export formats, for the configuration, the command line and the engines.

As an engine or precision, `auto` means the fastest one on this machine, found by a short trial.
"""

from typing import Literal, get_args

EngineName = Literal["torch", "openvino", "onnx"]
PrecisionName = Literal["fp32", "bf16", "int8"]
EngineChoice = Literal["auto", EngineName]
PrecisionChoice = Literal["auto", PrecisionName]

ENGINES: tuple[str, ...] = get_args(EngineName)  # in order of preference between equally fast ones
PRECISIONS: tuple[str, ...] = get_args(PrecisionName)
EXPORTS = ("onnx", "openvino")
