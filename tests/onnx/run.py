"""What ONNX Runtime's own Python makes of two pictures: `run.py MODEL WIDTH HEIGHT`.

The pictures come one after the other on the standard input, four bytes a pixel, of which the first three are red, green and blue. The last
output of the model goes to the standard output as 32-bit floats.
"""

import sys

import numpy as np
import onnxruntime

model, width, height = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
pixels = np.frombuffer(sys.stdin.buffer.read(), np.uint8).reshape(2, height, width, 4)
planes = np.ascontiguousarray(pixels[..., :3].transpose(0, 3, 1, 2), dtype=np.float32)
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
inputs = {put.name: planes[index : index + 1] for index, put in enumerate(session.get_inputs())}
sys.stdout.buffer.write(session.run(None, inputs)[-1].astype("<f4").tobytes())
