"""What OpenCV makes of the same pictures: prints one JSON object a line, as the bench does.

Usage: peers.py TOPIC FOLDER RUNS, with the folder of ground truth and the number of timed runs."""

import json
import sys
import time
from pathlib import Path

import cv2
import numpy as np


def timed(runs, work):
    """The result of `work`, and the p50 and p95 of its time in milliseconds; slow work is not repeated for a minute."""
    times, started = [], time.perf_counter()
    while len(times) < runs and (len(times) < 2 or time.perf_counter() - started < 8):
        start = time.perf_counter()
        result = work()
        times.append((time.perf_counter() - start) * 1e3)
    return result, np.percentile(times, 50), np.percentile(times, 95)


def show(name, p50, p95, **more):
    rounded = {key: round(float(value), 4) for key, value in more.items()}
    record = {"name": f"peer: OpenCV {cv2.__version__} {name}", "p50_ms": round(float(p50), 2), "p95_ms": round(float(p95), 2), **rounded}
    print(json.dumps(record), flush=True)


def read_flo(path):
    data = np.fromfile(path, np.float32)
    width, height = data[1:3].view(np.int32)
    return data[3:].reshape(height, width, 2)


def endpoint_error(found, truth):
    known = np.abs(truth).max(axis=2) < 1e9
    return np.linalg.norm(found - truth, axis=2)[known].mean()


def flow(folder, runs):
    """Mean endpoint error over the Middlebury pairs; time on the first that has 640x480 pixels."""

    def dis(preset):
        algorithm = cv2.DISOpticalFlow_create(preset)
        return lambda a, b: algorithm.calc(cv2.cvtColor(a, cv2.COLOR_BGR2GRAY), cv2.cvtColor(b, cv2.COLOR_BGR2GRAY), None)

    def farneback(a, b):
        grey = [cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) for picture in (a, b)]
        return cv2.calcOpticalFlowFarneback(*grey, None, 0.5, 5, 15, 3, 5, 1.1, 0)

    def deep():
        algorithm = cv2.optflow.createOptFlow_DeepFlow()
        return lambda a, b: algorithm.calc(cv2.cvtColor(a, cv2.COLOR_BGR2GRAY), cv2.cvtColor(b, cv2.COLOR_BGR2GRAY), None)

    methods = [
        ("DIS fast", dis(cv2.DISOPTICAL_FLOW_PRESET_FAST)),
        ("DIS medium", dis(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)),
        ("Farneback", farneback),
        ("dense RLOF", lambda a, b: cv2.optflow.calcOpticalFlowDenseRLOF(a, b, None)),
        ("DeepFlow", deep()),
    ]
    pairs = sorted(path for path in (folder / "flow" / "middlebury").iterdir() if (path / "flow10.flo").exists())
    for name, method in methods:
        errors, p50, p95 = [], 0.0, 0.0
        for pair in pairs:
            pictures = [cv2.imread(str(pair / f"frame{number}.png")) for number in (10, 11)]
            found, median, high = timed(runs if p50 == 0.0 else 1, lambda: method(*pictures))
            if p50 == 0.0 and pictures[0].shape[:2] == (480, 640):
                p50, p95 = median, high
            errors.append(endpoint_error(found, read_flo(pair / "flow10.flo")))
        show(f"flow {name}", p50, p95, epe_px=np.mean(errors), worst_pair_px=max(errors))


def disparity(folder, runs):
    """Percent of the known pixels right of the margin, the range of disparities, that are more than a pixel off or have no disparity."""
    middlebury = ("im2.png", "im6.png", "disp2.png")
    pairs = [
        ("middlebury/tsukuba", middlebury, 16.0, 64),
        ("middlebury/teddy", middlebury, 4.0, 64),
        ("middlebury/poster", middlebury, 8.0, 64),
        ("aloe", ("aloeL.jpg", "aloeR.jpg", "aloeGT.png"), 2.0, 128),
    ]
    block = 5
    for mode_name, mode in (("SGBM", cv2.StereoSGBM_MODE_SGBM), ("SGBM, eight paths", cv2.StereoSGBM_MODE_HH)):
        bad, p50, p95 = {}, 0.0, 0.0
        for name, files, scale, disparities in pairs:
            paths = [folder / "stereo" / name / file for file in files]
            if not paths[0].exists():
                continue
            left, right = (cv2.imread(str(path)) for path in paths[:2])
            truth = cv2.imread(str(paths[2]), cv2.IMREAD_GRAYSCALE)
            if disparities > 64:
                size = (left.shape[1] // 2, left.shape[0] // 2)
                left, right = (cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in (left, right))
                truth = truth[: 2 * size[1] : 2, : 2 * size[0] : 2]
            # Without thresholds it leaves the fewest holes, which count as bad.
            penalties = (8 * 3 * block**2, 32 * 3 * block**2)
            matcher = cv2.StereoSGBM_create(0, disparities, block, *penalties, 1, 0, 0, 0, 0, mode)
            pair = paths[0].parent.name
            found, median, high = timed(runs if pair == "teddy" else 1, lambda: matcher.compute(left, right))
            if pair == "teddy":
                p50, p95 = median, high
            known = truth > 0
            known[:, :disparities] = False
            off = (np.abs(found / 16.0 - truth / scale) > 1.0) | (found < 0)
            bad[f"{pair}_bad_percent"] = 100.0 * off[known].mean()
        show(f"disparity {mode_name} 450x375", p50, p95, **bad)


def stitch(folder, runs):
    """Multi-band blend of what each lens sees, by maps and masks that are given; the maps are worked out once. With a compensator, its gains are
    worked out once too."""
    cases = [line.split(maxsplit=1) for line in (folder / "cases.txt").read_text().splitlines()]
    size = cv2.imread(str(folder / f"truth_{cases[0][0]}.png")).shape[1::-1]
    corner = (0, 0)
    lenses = []
    for lens in range(2):
        x, y = (np.fromfile(folder / f"map_{lens}_{axis}.f32", np.float32).reshape(size[::-1]) for axis in "xy")
        mask, seen = (np.fromfile(folder / f"{name}_{lens}.u8", np.uint8).reshape(size[::-1]) for name in ("mask", "seen"))
        lenses.append((*cv2.convertMaps(x, y, cv2.CV_16SC2), mask, seen))
    compensators = {"": None, "GAIN, ": 1, "GAIN_BLOCKS, ": 2, "CHANNELS, ": 3, "CHANNELS_BLOCKS, ": 4}
    for case, kind in cases:
        truth = cv2.imread(str(folder / f"truth_{case}.png"))
        rig = cv2.imread(str(folder / f"rig_{case}.png"))
        ways = [
            (name, number, sampling, flag)
            for name, number in (compensators.items() if kind == "compensated" else [("", None)])
            for sampling, flag in (("linear", cv2.INTER_LINEAR), ("cubic", cv2.INTER_CUBIC))
        ]
        for name, number, sampling, flag in ways:
            compensator = None
            if number is not None:
                compensator = cv2.detail.ExposureCompensator_createDefault(number)
                seen = [cv2.remap(rig, x, y, flag) for x, y, _, _ in lenses]
                begun = time.perf_counter()
                compensator.feed([corner] * 2, seen, [mask for *_, mask in lenses])
                feed_ms = (time.perf_counter() - begun) * 1e3

            def blend(bands):
                blender = cv2.detail.MultiBandBlender(0, bands - 1)
                blender.prepare((*corner, *size))
                for index, (x, y, mask, seen) in enumerate(lenses):
                    picture = cv2.remap(rig, x, y, flag)
                    if compensator is not None:
                        picture = compensator.apply(index, corner, picture, seen)
                    blender.feed(picture.astype(np.int16), mask, corner)
                return np.clip(blender.blend(None, None)[0], 0, 255).astype(np.uint8)

            found, p50, p95 = timed(runs, lambda: blend(5))
            error = np.mean((found.astype(np.float64) - truth) ** 2)
            more = {} if compensator is None else {"gains_ms": round(feed_ms, 3)}
            show(f"multi-band blender, 5 bands, {sampling}, {name}{case}", p50, p95, psnr_db=10 * np.log10(255**2 / error), **more)


def calibrate(folder, runs):
    """calibrateCamera with five coefficients on corners of findChessboardCornersSB and of the classical detector; RMS over both coordinates."""
    pictures = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in sorted(folder.glob("left*.png"))]
    board = np.zeros((54, 3), np.float32)
    board[:, :2] = np.mgrid[0:9, 0:6].T.reshape(-1, 2) * 25.0
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 60, 1e-4)

    def classical(picture):
        found, corners = cv2.findChessboardCorners(picture, (9, 6))
        return found, cv2.cornerSubPix(picture, corners, (5, 5), (-1, -1), criteria) if found else None

    detectors = [("findChessboardCornersSB", lambda picture: cv2.findChessboardCornersSB(picture, (9, 6))), ("findChessboardCorners", classical)]
    for name, detect in detectors:

        def solve():
            corners = [corners for found, corners in map(detect, pictures) if found]
            size = pictures[0].shape[::-1]
            rms, matrix, *_ = cv2.calibrateCamera([board] * len(corners), corners, size, None, None)
            return rms, matrix, len(corners)

        (rms, matrix, views), p50, p95 = timed(min(runs, 3), solve)
        more = {"fx_px": matrix[0, 0], "fy_px": matrix[1, 1], "cx_px": matrix[0, 2] + 0.5, "cy_px": matrix[1, 2] + 0.5}
        show(f"calibrateCamera, {name}", p50, p95, rms_px=rms, views=views, **more)


def charuco(folder, runs):
    """Boards of at least six corners that CharucoDetector finds, how far corners are off, and the focal length that comes of them."""
    dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50)
    board = cv2.aruco.CharucoBoard((8, 6), 25.0, 18.0, dictionary)
    detector = cv2.aruco.CharucoDetector(board)
    for path in sorted(folder.glob("case_*.json")):
        case = json.loads(path.read_text())
        boards, errors, points, pixels, times = 0, [], [], [], []
        for picture in case["pictures"]:
            image = cv2.imread(str(folder / picture["file"]), cv2.IMREAD_GRAYSCALE)
            started = time.perf_counter()
            corners, ids, *_ = detector.detectBoard(image)
            times.append((time.perf_counter() - started) * 1e3)
            if ids is None or len(ids) < 6:
                continue
            boards += 1
            ids, corners = ids.reshape(-1), corners.reshape(-1, 2)
            errors.extend(np.linalg.norm(corners + 0.5 - np.array(picture["corners"])[ids], axis=1))
            points.append(board.getChessboardCorners()[ids].reshape(1, -1, 3).astype(np.float32))
            pixels.append(corners.reshape(1, -1, 2).astype(np.float32))
        size, focal = tuple(case["size"]), float("nan")
        try:
            if case["model"] == "fisheye":
                flags = cv2.CALIB_RECOMPUTE_EXTRINSIC | cv2.CALIB_FIX_SKEW | cv2.CALIB_USE_INTRINSIC_GUESS
                guess = np.array([[size[0] / 3, 0, size[0] / 2], [0, size[0] / 3, size[1] / 2], [0, 0, 1.0]])
                _, matrix, *_ = cv2.fisheye.calibrate(points, pixels, size, guess, np.zeros((4, 1)), flags=flags)
            else:
                _, matrix, *_ = cv2.calibrateCamera(points, pixels, size, None, None)
            focal = abs(matrix[0, 0] / case["focal_px"] - 1.0) * 100.0
        except cv2.error as error:
            print(f"OpenCV on {case['name']}: {error}", file=sys.stderr)
        more = {"boards": boards, "corners": len(errors), "mean_error_px": np.mean(errors) if errors else 0.0}
        more["worst_error_px"] = max(errors, default=0.0)
        if np.isfinite(focal):
            more["focal_error_percent"] = focal
        show(f"CharucoDetector, {case['name']}", np.percentile(times, 50), np.percentile(times, 95), **more)


TOPICS = {"calibrate": calibrate, "charuco": charuco, "disparity": disparity, "flow": flow, "stitch": stitch}

if __name__ == "__main__":
    TOPICS[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
