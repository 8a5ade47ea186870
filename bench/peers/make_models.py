#!/usr/bin/python3
"""Networks of torchvision with random weights as ONNX files: make_models.py FOLDER.

<name>_fp32_b<batch>.onnx is the float network, <name>_qdq_b<batch>.onnx the same with QuantizeLinear and
DequantizeLinear around every layer, on grids that are powers of two: 8-bit weights without an offset, activations
unsigned after a ReLU and with offset 128 elsewhere. Files that are there stay.
"""
import math
import pathlib
import sys

import numpy as np
import onnx
import torch
import torchvision
from onnx import TensorProto, helper, numpy_helper

NETWORKS = {"mobilenet_v2": (1, 32), "resnet50": (1, 8)}
WEIGHTED = {"Conv", "Gemm"}
KEEPS_GRID = {"Flatten", "Reshape", "MaxPool"}
ACTIVATIONS = {"Clip", "Relu"}


def export(network, batch, path):
    torch.onnx.export(network, torch.zeros(batch, 3, 224, 224), str(path), opset_version=13,
                      do_constant_folding=True, input_names=["x"], output_names=["y"])
    # The exporter shares equal constants through Identity nodes, which some readers do not follow.
    model = onnx.load(str(path))
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in [n for n in model.graph.node if n.op_type == "Identity" and n.input[0] in constants]:
        copy = TensorProto()
        copy.CopyFrom(constants[node.input[0]])
        copy.name = node.output[0]
        model.graph.initializer.append(copy)
        model.graph.node.remove(node)
    onnx.save(model, str(path))


def power_of_two_above(value):
    return 2.0 ** math.ceil(math.log2(max(float(value), 1e-8)))


class Quantizer:
    """Copies a graph node by node, and puts quantizers where values are made."""

    def __init__(self, graph):
        self.graph = graph
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self.readers = {}
        for node in graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.nodes, self.tensors, self.scales, self.renamed = [], {}, {}, {}

    def constant(self, name, array):
        self.tensors[name] = numpy_helper.from_array(array, name)
        return name

    def grid(self, name, scale, offset):
        return [self.constant(name + ".scale", np.array(scale, np.float32)), self.constant(name + ".offset", offset)]

    def quantize(self, name, scale, offset):
        grid = self.grid(name, scale, np.array(offset, np.uint8))
        self.nodes.append(helper.make_node("QuantizeLinear", [name, *grid], [name + ".codes"]))
        self.nodes.append(helper.make_node("DequantizeLinear", [name + ".codes", *grid], [name + ".real"]))
        self.scales[name] = scale
        self.renamed[name] = name + ".real"

    def stored(self, name, scale, kind, limit):
        """A constant as codes on a grid without offset."""
        codes = np.clip(np.rint(self.constants[name] / scale), -limit, limit).astype(kind)
        grid = self.grid(name, scale, np.array(0, kind))
        self.nodes.append(helper.make_node("DequantizeLinear", [self.constant(name + ".codes", codes), *grid],
                                           [name + ".real"]))
        return name + ".real"

    def inputs_of(self, node):
        names = [self.renamed.get(name, name) for name in node.input]
        if node.op_type in WEIGHTED:
            scale = power_of_two_above(np.abs(self.constants[node.input[1]]).max() / 127)
            names[1] = self.stored(node.input[1], scale, np.int8, 127)
            if len(names) > 2:
                names[2] = self.stored(node.input[2], scale * self.scales[node.input[0]], np.int32, 2 ** 30)
        else:
            for name in node.input:
                if name in self.constants:
                    self.constant(name, self.constants[name])
        return names

    def quantize_result(self, node):
        result, readers = node.output[0], self.readers.get(node.output[0], [])
        followed = len(readers) == 1 and readers[0].op_type in ACTIVATIONS and node.op_type in WEIGHTED | {"Add"}
        if node.op_type == "Constant" or followed or result == self.graph.output[0].name:
            return
        if node.op_type in KEEPS_GRID or node.op_type == "GlobalAveragePool":
            self.quantize(result, self.scales[node.input[0]], 0)
        elif node.op_type in ACTIVATIONS:
            self.quantize(result, 6 / 256, 0)  # what a ReLU6 can give fills the grid, and the clip can be left out
        else:
            self.quantize(result, 2.0 ** -5, 128)

    def run(self):
        self.quantize(self.graph.input[0].name, 2.0 ** -6, 128)
        for node in self.graph.node:
            copy = helper.make_node(node.op_type, self.inputs_of(node), list(node.output), name=node.name)
            copy.attribute.extend(node.attribute)
            self.nodes.append(copy)
            self.quantize_result(node)
        graph = helper.make_graph(self.nodes, self.graph.name, list(self.graph.input), list(self.graph.output),
                                  list(self.tensors.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
        model.ir_version = 8
        onnx.checker.check_model(model)
        return model


def main():
    folder = pathlib.Path(sys.argv[1])
    torch.manual_seed(1)
    for name, batches in NETWORKS.items():
        network = getattr(torchvision.models, name)(weights=None).eval()
        for batch in batches:
            real, codes = folder / f"{name}_fp32_b{batch}.onnx", folder / f"{name}_qdq_b{batch}.onnx"
            if not real.exists():
                export(network, batch, real)
            if not codes.exists():
                onnx.save(Quantizer(onnx.load(str(real)).graph).run(), str(codes))


main()
