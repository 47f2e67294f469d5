"""Makes the networks of the tests: classical matching written as ONNX operators, and some that are wrong on purpose.

    python -m pip install onnx==1.23.2 numpy
    python tests/onnx/make_models.py

Block matching: absolute differences of shifted pictures, averaged over windows, and the weighted mean of the shifts with the least
differences (soft argmin, as in Kendall et al., End-to-End Learning of Geometry and Context for Deep Stereo Regression, ICCV 2017). The
flow goes from coarse to fine and moves the second picture along the coarser flow before it looks again.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FOLDER = Path(__file__).parent
FLOAT = TensorProto.FLOAT
SMALL = -(2**31)


class Network:
    """Operators one after the other; every method gives the name of its result."""

    def __init__(self):
        self.nodes, self.constants, self.known = [], [], {}

    def constant(self, value, kind=np.float32):
        value = np.asarray(value, dtype=kind)
        key = (value.tobytes(), value.shape, str(value.dtype))
        if key not in self.known:
            name = f"c{len(self.constants)}"
            self.constants.append(numpy_helper.from_array(value, name))
            self.known[key] = name
        return self.known[key]

    def ints(self, *values):
        return self.constant(values, np.int64)

    def op(self, kind, *inputs, output=None, **attributes):
        name = output or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def save(self, name, inputs, outputs, **metadata):
        value = lambda pair: helper.make_tensor_value_info(pair[0], FLOAT, pair[1])
        graph = helper.make_graph(self.nodes, name, list(map(value, inputs)), list(map(value, outputs)), self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        helper.set_model_props(model, metadata)
        onnx.checker.check_model(model)
        path = FOLDER / f"{name}.onnx"
        path.write_bytes(model.SerializeToString())
        print(f"{path.name}: {path.stat().st_size} bytes, {len(self.nodes)} operators")

    def shifted(self, padded, before, x, y):
        """The part of a padded picture that lies `x`, `y` pixels after the picture itself."""
        starts = self.ints(before[1] + y, before[0] + x)
        # From the end; nothing is cut where that is 0.
        end = lambda rest: -rest if rest > 0 else 2**31 - 1
        ends = self.ints(end(before[3] - y), end(before[2] - x))
        return self.op("Slice", padded, starts, ends, self.ints(2, 3))

    def costs(self, first, second, shifts, pads, window, most):
        """Differences of the first picture to the second one at each shift, averaged over windows."""
        left, up, right, down = pads
        padded = self.op("Pad", second, self.ints(0, 0, up, left, 0, 0, down, right), mode="edge")
        differences = []
        for x, y in shifts:
            difference = self.op("Abs", self.op("Sub", first, self.shifted(padded, pads, x, y)))
            differences.append(self.op("ReduceMean", difference, axes=[1], keepdims=1))
        costs = self.op("Min", self.op("Concat", *differences, axis=1), self.constant(most))
        half = window // 2
        return self.op("AveragePool", costs, kernel_shape=[window] * 2, pads=[half] * 4, count_include_pad=0)

    def soft_argmin(self, costs, shifts, sharpness):
        """The mean of the shifts (a tuple each), weighted by how small their costs are."""
        weights = self.op("Softmax", self.op("Mul", costs, self.constant(-sharpness)), axis=1)
        kernel = np.asarray(shifts, dtype=np.float32).T[:, :, None, None]
        return self.op("Conv", weights, self.constant(kernel))

    def moved(self, picture, flow):
        """A picture's pixels at `p + flow`."""
        one = self.op("Slice", flow, self.ints(0), self.ints(1), self.ints(1))
        ones = self.op("Add", self.op("Mul", one, self.constant(0.0)), self.constant(1.0))
        place = [self.op("CumSum", ones, self.constant(axis, np.int64)) for axis in (3, 2)]
        shape = self.op("Cast", self.op("Shape", flow), to=FLOAT)
        coordinates = []
        for channel, axis in ((0, 3), (1, 2)):
            along = self.op("Slice", flow, self.ints(channel), self.ints(channel + 1), self.ints(1))
            at = self.op("Sub", self.op("Add", place[channel], along), self.constant(0.5))
            side = self.op("Slice", shape, self.ints(axis), self.ints(axis + 1), self.ints(0))
            share = self.op("Div", self.op("Mul", at, self.constant(2.0)), side)
            coordinates.append(self.op("Sub", share, self.constant(1.0)))
        grid = self.op("Transpose", self.op("Concat", *coordinates, axis=1), perm=[0, 2, 3, 1])
        return self.op("GridSample", picture, grid, mode="bilinear", padding_mode="border", align_corners=0)


PICTURE = [1, 3, "height", "width"]


def stereo():
    net, most = Network(), 64
    shifts = [(-d, 0) for d in range(most)]
    costs = net.costs("left", "right", shifts, (most, 0, 0, 0), 11, 30.0)
    found = net.soft_argmin(costs, [(d,) for d in range(most)], 8.0)
    net.op("Identity", found, output="disparity")
    net.save("block_stereo", [("left", PICTURE), ("right", PICTURE)], [("disparity", [1, 1, "height", "width"])],
             pixel_range="0..255", size_multiple="1")


def flow(name, picture, levels, reach, outputs):
    """Levels count from the finest, each half of the one before; `reach` shifts are tried in each direction at each."""
    net = Network()
    pyramid = [("first", "second")]
    for _ in range(levels - 1):
        halve = lambda picture: net.op("AveragePool", picture, kernel_shape=[2, 2], strides=[2, 2])
        pyramid.append(tuple(map(halve, pyramid[-1])))
    found = None
    for level in reversed(range(levels)):
        first, second = pyramid[level]
        if found is not None:
            doubled = net.op("Resize", found, "", net.constant([1, 1, 2, 2]), mode="linear")
            found = net.op("Mul", doubled, net.constant(2.0))
            second = net.moved(second, found)
        steps = range(-reach[level], reach[level] + 1)
        shifts = [(x, y) for y in steps for x in steps]
        most = reach[level]
        step = net.soft_argmin(net.costs(first, second, shifts, (most,) * 4, 11, 30.0), shifts, 8.0)
        found = step if found is None else net.op("Add", found, step)
        found = net.op("AveragePool", found, kernel_shape=[5, 5], pads=[2] * 4, count_include_pad=0)
        if level in outputs:
            net.op("Identity", found, output=outputs[level][0])
    net.save(name, [("first", picture), ("second", picture)], list(outputs.values()),
             pixel_range="0..255", size_multiple=str(2 ** (levels - 1)))


def wrong():
    """Networks that must be refused or stopped."""
    size = [1, 2, "height", "width"]
    pair = [("first", PICTURE), ("second", PICTURE)]
    first_two = lambda net, source: net.op("Slice", source, net.ints(0), net.ints(2), net.ints(1))

    net = Network()
    net.op("Log", net.op("Sub", first_two(net, "first"), net.constant(1e6)), output="flow")
    net.op("Identity", "second", output="unused")
    net.save("not_a_number", pair, [("flow", size), ("unused", PICTURE)])

    net = Network()
    net.op("GlobalAveragePool", "picture", output="classes")
    net.save("classifier", [("picture", [1, 3, 224, 224])], [("classes", [1, 3, 1, 1])])

    net = Network()
    huge = [1, 3, 200_000, 200_000]
    net.op("Add", first_two(net, "first"), first_two(net, "second"), output="flow")
    net.save("huge_input", [("first", huge), ("second", huge)], [("flow", [1, 2, 200_000, 200_000])])

    # A loop of 2^40 rounds around the flow.
    net = Network()
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Mul", ["value", "half"], ["next"])],
        "round",
        [helper.make_tensor_value_info("round", TensorProto.INT64, []), helper.make_tensor_value_info("go", TensorProto.BOOL, []),
         helper.make_tensor_value_info("value", FLOAT, None)],
        [helper.make_tensor_value_info("go_on", TensorProto.BOOL, []), helper.make_tensor_value_info("next", FLOAT, None)],
        [numpy_helper.from_array(np.float32(0.5), "half")],
    )
    summed = net.op("Add", first_two(net, "first"), first_two(net, "second"))
    net.op("Loop", net.constant(2**40, np.int64), net.constant(True, np.bool_), summed, output="flow", body=body)
    net.save("endless", pair, [("flow", size)])

    # Results of 16 TiB, and of 6 GiB, which most machines would give.
    for name, rows, columns in (("huge_output", 1 << 20, 1 << 21), ("large_output", 3 << 13, 1 << 15)):
        net = Network()
        many = net.op("Mul", net.op("ReduceMax", first_two(net, "first"), axes=[0, 1, 2, 3], keepdims=0), net.constant(0.0))
        wide = net.op("Expand", many, net.ints(1, 2, rows, columns))
        net.op("Identity", wide, output="flow")
        net.op("Identity", "second", output="unused")
        net.save(name, pair, [("flow", [1, 2, "rows", "columns"]), ("unused", PICTURE)])


stereo()
dynamic = lambda name: (name, [1, 2, "height", "width"])
flow("block_flow", PICTURE, 4, [2, 2, 2, 4], {0: dynamic("flow")})
# As RAFT is often exported: a size of its own, and a coarse flow beside the fine one.
flow("fixed_flow", [1, 3, 96, 128], 3, [1, 1, 4], {2: ("coarse", [1, 2, 24, 32]), 0: ("fine", [1, 2, 96, 128])})
# The coarse one alone.
flow("coarse_flow", PICTURE, 3, [0, 1, 4], {1: ("coarse", [1, 2, "rows", "columns"])})
wrong()
