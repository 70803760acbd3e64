"""What OpenCV's own reader of Caffe's files makes of ours.

`caffe.py FOLDER NAME...`: for each name, reads FOLDER/NAME.prototxt and FOLDER/NAME.caffemodel, feeds FOLDER/NAME.input (f32,
`[1, c, h, w]`) and writes the last layer's values to FOLDER/NAME.output, f32. Where the installed OpenCV has no such reader
(5.0 dropped it), prints `skipped: <reason>`.
"""

import pathlib
import sys

try:
    import cv2
    import numpy as np
except ModuleNotFoundError as error:
    sys.exit(print(f"skipped: {error}"))
if not hasattr(cv2.dnn, "readNetFromCaffe"):
    sys.exit(print(f"skipped: OpenCV {cv2.__version__} no longer reads Caffe's files"))

folder = pathlib.Path(sys.argv[1])
for name in sys.argv[2:]:
    net = cv2.dnn.readNetFromCaffe(str(folder / f"{name}.prototxt"), str(folder / f"{name}.caffemodel"))
    net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    shape = [int(size) for size in (folder / f"{name}.shape").read_text().split()]
    net.setInput(np.fromfile(folder / f"{name}.input", np.float32).reshape(shape))
    net.forward().astype(np.float32).tofile(folder / f"{name}.output")
print(f"done: OpenCV {cv2.__version__}")
