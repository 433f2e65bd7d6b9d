"""Names the engines, precisions and forms of export: the configuration, the command line and the engines read them.

`auto` as an engine or a precision means: what a short trial finds fastest on this machine.
"""

from typing import Literal, get_args

EngineName = Literal["torch", "openvino", "onnx"]
PrecisionName = Literal["fp32", "bf16", "int8"]
EngineChoice = Literal["auto", EngineName]
PrecisionChoice = Literal["auto", PrecisionName]

ENGINES: tuple[str, ...] = get_args(EngineName)  # of those that are equally fast, a trial takes the first
PRECISIONS: tuple[str, ...] = get_args(PrecisionName)
EXPORTS = ("onnx", "openvino")
