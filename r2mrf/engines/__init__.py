"""Runs and exports the network with torch, ONNX Runtime or OpenVINO: add a runtime or an export format here."""
