"""Runs the network fast, by torch, ONNX Runtime or OpenVINO, and exports it: add a runtime or a form of export here."""
