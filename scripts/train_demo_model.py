"""Train, export and evaluate the demo model: a small YOLO that has only ever seen the traffic scene simulator.

    python scripts/train_demo_model.py train                    # an hour on two cores: pictures, training, export
    python scripts/train_demo_model.py export --weights best.pt
    python scripts/train_demo_model.py evaluate                 # the ONNX file itself, on scenes that it has not seen

Training needs ultralytics (AGPL-3.0), which claims its licence for the models trained with it: see
``vision_stream/models/LICENSE.md``. Evaluating needs it for the average precision only.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from vision_stream.simulators.traffic import LABELS, SCENE_NAMES, Actor, TrafficScene  # noqa: E402

MODEL = ROOT / "vision_stream" / "models" / "vision-stream-demo.onnx"
INPUT = (256, 448)  # height, width: 16:9 rounded up to the network's stride of 32
WIDTH_MULTIPLE = 0.1875  # Narrower than YOLO11n's 0.25: 40 % less work; 0.125 starts to miss distant people.
PIXEL_SIZE = (448, 252)  # of training pictures: what a 16:9 frame becomes in the network

# Seeds never meet: a model is judged on streets, cameras and light that it was not trained on. Demos use small seeds.
TRAIN_SEEDS, CHECK_SEEDS, HELD_OUT_SEEDS = 10_000, 20_000, 30_000
LONGEST_TIME_S = 3600.0

Threads = Annotated[int, typer.Option(help="CPU threads.")]

cli = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)


class Picture(NamedTuple):
    """A rendered frame (h, w, 3) BGR and who is in it."""

    scene: str
    image: NDArray[np.uint8]
    actors: tuple[Actor, ...]


def pictures(first_seed: int, count: int, per_scene: int) -> Iterator[Picture]:
    """``count`` frames over all scenes; every ``per_scene`` frames another seed. Deterministic."""
    rng = np.random.default_rng(first_seed)
    for i in range(0, count, per_scene):
        street = i // per_scene
        scene = TrafficScene(SCENE_NAMES[street % len(SCENE_NAMES)], seed=first_seed + street)
        for t in rng.uniform(0, LONGEST_TIME_S, min(per_scene, count - i)).tolist():
            yield Picture(scene.name, scene.render(t), scene.truth(t).actors)


@cli.command()
def train(
    workdir: Annotated[Path | None, typer.Option(help="Pictures and runs; a temporary directory unless given.")] = None,
    images: Annotated[int, typer.Option(help="Training pictures to render.")] = 6000,
    epochs: Annotated[int, typer.Option(help="Passes over them.")] = 6,
    minutes: Annotated[float, typer.Option(help="Fit the passes into this time instead.")] = 0.0,
    start_from: Annotated[Path | None, typer.Option(help="Weights (.pt) to go on from; none: from scratch.")] = None,
    threads: Threads = 2,
    output: Annotated[Path, typer.Option(help="Where the ONNX file goes.")] = MODEL,
) -> None:
    """Render pictures, train, export."""
    workdir = workdir or Path(tempfile.mkdtemp(prefix="vision-stream-train-"))
    _keep_ultralytics_at_home(workdir)
    data = _write_dataset(workdir / "data", images)
    weights = _train(workdir, data, epochs, minutes, start_from, threads)
    _export(weights, output)
    typer.echo(f"{output}: {output.stat().st_size / 1e6:.1f} MB, from {weights}")


@cli.command()
def export(
    weights: Annotated[Path, typer.Option(help="A .pt file of ultralytics.")],
    output: Annotated[Path, typer.Option(help="Where the ONNX file goes.")] = MODEL,
) -> None:
    """Turn ultralytics' weights into the ONNX file."""
    _keep_ultralytics_at_home(Path(tempfile.mkdtemp(prefix="vision-stream-export-")))
    _export(weights, output)
    typer.echo(f"{output}: {output.stat().st_size / 1e6:.1f} MB")


@cli.command()
def evaluate(
    model: Annotated[Path, typer.Option(help="The ONNX file.")] = MODEL,
    images: Annotated[int, typer.Option(help="Held-out pictures to render.")] = 500,
    threads: Threads = 2,
    save: Annotated[Path | None, typer.Option(help="A directory for pictures with the detections drawn in.")] = None,
) -> None:
    """Average precision of the ONNX file on held-out scenes, per class and per scene."""
    _keep_ultralytics_at_home(Path(tempfile.mkdtemp(prefix="vision-stream-evaluate-")))
    detector = Detector(model, threads)
    matches: list[Match] = []
    seconds: list[float] = []
    for i, picture in enumerate(pictures(HELD_OUT_SEEDS, images, per_scene=2)):
        start = time.perf_counter()
        found = detector.detect(picture.image)
        seconds.append(time.perf_counter() - start)
        matches.append(match(found, picture))
        if save and i % 7 == 0:  # No divisor of the order in which the scenes come: all get their turn.
            save.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(save / f"{i:04d}-{picture.scene}.png"), drawn(picture.image, found))
    report("all scenes", matches)
    for scene in SCENE_NAMES:
        report(scene, [m for m in matches if m.scene == scene])
    ms = np.array(seconds) * 1000
    typer.echo(
        f"\n{images} pictures, {np.median(ms):.1f} ms each (95 %: {np.percentile(ms, 95):.1f}), {threads} threads"
    )


class Detector:
    """The ONNX file under onnxruntime, with ultralytics' letterbox in front and its non-maximum suppression behind."""

    def __init__(self, path: Path, threads: int, min_confidence: float = 0.001, max_overlap: float = 0.6) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._min_confidence, self._max_overlap = min_confidence, max_overlap

    def detect(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Shape (n, 6): x1 y1 x2 y2 in the image's pixels, confidence, class; most confident first."""
        padded, scale, left, top = letterbox(image)
        tensor = padded[None, :, :, ::-1].transpose(0, 3, 1, 2).astype(np.float32) / 255
        raw = self._session.run(None, {self._input: np.ascontiguousarray(tensor)})[0]
        rows = np.asarray(raw)[0].T  # centre x, centre y, width, height, one score a class
        classes = rows[:, 4:].argmax(axis=1)
        scores = rows[:, 4:].max(axis=1)
        keep = scores >= self._min_confidence
        rows, classes, scores = rows[keep], classes[keep], scores[keep]
        corner = rows[:, :2] - rows[:, 2:4] / 2 - (left, top)
        boxes = np.column_stack([corner, rows[:, 2:4]]) / scale
        kept = cv2.dnn.NMSBoxesBatched(
            boxes.tolist(), scores.tolist(), classes.tolist(), self._min_confidence, self._max_overlap
        )
        kept = np.array(kept, dtype=int)[:300]
        xyxy = np.column_stack([boxes[kept, :2], boxes[kept, :2] + boxes[kept, 2:]])
        return np.column_stack([xyxy, scores[kept], classes[kept]]).astype(np.float32)


def letterbox(image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float, int, int]:
    """The image fitted into ``INPUT`` with grey bars, the scale, and the bars' width at the left and the top."""
    h, w = image.shape[:2]
    scale = min(INPUT[0] / h, INPUT[1] / w)
    size = round(w * scale), round(h * scale)
    left, top = (INPUT[1] - size[0]) // 2, (INPUT[0] - size[1]) // 2
    padded = np.full((*INPUT, 3), 114, np.uint8)
    padded[top : top + size[1], left : left + size[0]] = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    return padded, scale, left, top


class Match(NamedTuple):
    """One picture's detections held against its truth."""

    scene: str
    correct: NDArray[np.bool_]  # (n, 10): whether each detection is right at IoU 0.5, 0.55 .. 0.95
    confidence: NDArray[np.float32]
    found: NDArray[np.float32]  # (n,) classes
    true: NDArray[np.float32]  # (m,) classes


IOUS = np.linspace(0.5, 0.95, 10)


def match(found: NDArray[np.float32], picture: Picture) -> Match:
    """Match each detection, most confident first, to the best true box of its class that is still free."""
    true_boxes = np.array([a.box for a in picture.actors], dtype=np.float64).reshape(-1, 4)
    true_classes = np.array([LABELS.index(a.label) for a in picture.actors], dtype=np.float32)
    overlaps = box_ious(found[:, :4].astype(np.float64), true_boxes)
    overlaps[found[:, 5, None] != true_classes[None, :]] = 0
    correct = np.zeros((len(found), len(IOUS)), bool)
    for column, threshold in enumerate(IOUS):
        free = np.ones(len(true_boxes), bool)
        for row in range(len(found)):
            candidates = np.where(free, overlaps[row], 0.0)
            if candidates.size and candidates.max() >= threshold:
                free[candidates.argmax()] = False
                correct[row, column] = True
    return Match(picture.scene, correct, found[:, 4], found[:, 5], true_classes)


def box_ious(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union, shape (n, m), of boxes (n, 4) and (m, 4) given as x1 y1 x2 y2."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (a, b)]
    return shared / (areas[0][:, None] + areas[1][None, :] - shared)


def report(title: str, matches: list[Match]) -> None:
    """Print precision, recall and average precision, all classes and each."""
    from ultralytics.utils.metrics import ap_per_class

    true = np.concatenate([m.true for m in matches])
    _, _, precision, recall, _, ap, classes, *_ = ap_per_class(
        np.concatenate([m.correct for m in matches]),
        np.concatenate([m.confidence for m in matches]),
        np.concatenate([m.found for m in matches]),
        true,
    )
    typer.echo(f"\n{title:<12} {'boxes':>6} {'P':>6} {'R':>6} {'mAP50':>7} {'mAP50-95':>9}")
    rows = [("all", len(true), precision.mean(), recall.mean(), ap[:, 0].mean(), ap.mean())]
    for i, c in enumerate(classes.astype(int).tolist()):
        rows.append((LABELS[c], int((true == c).sum()), precision[i], recall[i], ap[i, 0], ap[i].mean()))
    for name, boxes, p, r, ap50, ap50_95 in rows:
        typer.echo(f"{name:<12} {boxes:>6} {p:>6.3f} {r:>6.3f} {ap50:>7.3f} {ap50_95:>9.3f}")


def drawn(image: NDArray[np.uint8], found: NDArray[np.float32], min_confidence: float = 0.3) -> NDArray[np.uint8]:
    """A copy with the more confident detections drawn in."""
    image = image.copy()
    for x1, y1, x2, y2, confidence, c in found[found[:, 4] >= min_confidence].tolist():
        corner = (int(x1), int(y1))
        cv2.rectangle(image, corner, (int(x2), int(y2)), (255, 255, 255), 2)
        cv2.putText(
            image,
            f"{LABELS[int(c)]} {confidence:.2f}",
            corner,
            cv2.FONT_HERSHEY_SIMPLEX,
            0.5,
            (255, 255, 255),
            1,
        )
    return image


def _keep_ultralytics_at_home(workdir: Path) -> None:
    """No settings in the user's home, no analytics, no downloads. Before ultralytics is imported."""
    workdir.mkdir(parents=True, exist_ok=True)
    os.environ["YOLO_CONFIG_DIR"] = str(workdir / "settings")
    os.environ["YOLO_OFFLINE"] = "true"
    os.environ["YOLO_AUTOINSTALL"] = "false"
    (workdir / "settings").mkdir(exist_ok=True)
    from ultralytics import settings

    folders = {name: str(workdir / name) for name in ("datasets_dir", "runs_dir", "weights_dir")}
    settings.update({"sync": False, **folders})


def _write_dataset(folder: Path, images: int) -> Path:
    """Pictures and labels as ultralytics reads them; the path of the data file."""
    for split, first_seed, count in (("train", TRAIN_SEEDS, images), ("val", CHECK_SEEDS, 200)):
        if (folder / f"{split}.txt").exists():  # of an earlier run in this directory
            continue
        (folder / "images" / split).mkdir(parents=True, exist_ok=True)
        (folder / "labels" / split).mkdir(parents=True, exist_ok=True)
        for i, picture in enumerate(pictures(first_seed, count, per_scene=3)):
            name = f"{i * 7919 % count:05d}"  # mixed: rectangular training reads the files in the order of their names
            # Cameras, browsers and detectors shrink pictures in different ways; the model should not care.
            how = (cv2.INTER_LINEAR, cv2.INTER_AREA)[i % 2]
            small = cv2.resize(picture.image, PIXEL_SIZE, interpolation=how)
            cv2.imwrite(str(folder / "images" / split / f"{name}.jpg"), small, [cv2.IMWRITE_JPEG_QUALITY, 90])
            (folder / "labels" / split / f"{name}.txt").write_text(_label_lines(picture))
        (folder / f"{split}.txt").write_text("\n".join(map(str, sorted((folder / "images" / split).iterdir()))))
    names = dict(enumerate(LABELS))
    data = folder / "data.yaml"  # JSON is YAML.
    data.write_text(json.dumps({"path": str(folder), "train": "train.txt", "val": "val.txt", "names": names}))
    return data


def _label_lines(picture: Picture) -> str:
    h, w = picture.image.shape[:2]
    lines = []
    for actor in picture.actors:
        x1, y1, x2, y2 = actor.box
        centre, size = ((x1 + x2) / 2 / w, (y1 + y2) / 2 / h), ((x2 - x1) / w, (y2 - y1) / h)
        lines.append(" ".join([str(LABELS.index(actor.label)), *(f"{v:.6f}" for v in (*centre, *size))]))
    return "\n".join(lines)


def _train(workdir: Path, data: Path, epochs: int, minutes: float, start_from: Path | None, threads: int) -> Path:
    import torch
    import ultralytics
    import yaml
    from ultralytics import YOLO

    source = Path(ultralytics.__file__).parent / "cfg" / "models" / "11" / "yolo11.yaml"
    architecture: dict[str, Any] = yaml.safe_load(source.read_text())
    architecture["nc"] = len(LABELS)
    architecture["scales"] = {"n": [0.50, WIDTH_MULTIPLE, 1024]}
    narrow = workdir / "yolo11n.yaml"
    narrow.write_text(yaml.safe_dump(architecture))
    model = YOLO(str(narrow))
    if start_from:
        model.load(str(start_from))
    model.add_callback("on_train_start", lambda _: torch.set_num_threads(threads))  # ultralytics leaves one core idle
    batch = 16
    # Going on needs no warming up, and a rate below the one that it stopped at: the optimizer starts anew.
    rate = {"lr0": 0.0012, "warmup_epochs": 0.0} if start_from else {"lr0": 0.002, "warmup_epochs": 0.3}
    model.train(
        data=str(data), epochs=epochs, time=minutes / 60 or None, imgsz=max(INPUT), rect=True, batch=batch, nbs=batch,
        workers=1, device="cpu", amp=False, optimizer="AdamW", lrf=0.02, cos_lr=True, weight_decay=0.0005,
        mosaic=0.0, fliplr=0.5, translate=0.05, scale=0.2, hsv_h=0.01, hsv_s=0.4, hsv_v=0.3, erasing=0.0,
        val=False, plots=False, seed=0, project=str(workdir / "runs"), name="demo", exist_ok=True, **rate,
    )  # fmt: skip
    return workdir / "runs" / "demo" / "weights" / "last.pt"


def _export(weights: Path, output: Path) -> None:
    import onnx
    from ultralytics import YOLO

    path = YOLO(str(weights)).export(
        format="onnx", imgsz=list(INPUT), dynamic=True, opset=17, simplify=False, device="cpu"
    )
    model = onnx.load(str(path))
    _fix_picture_size(model)
    _describe(model)
    output.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(output))


def _fix_picture_size(model: Any) -> None:
    """Leave the batch open, and say the picture's size: ultralytics opens both or none."""
    dims = model.graph.input[0].type.tensor_type.shape.dim
    dims[2].dim_value, dims[3].dim_value = INPUT
    boxes = sum((INPUT[0] // stride) * (INPUT[1] // stride) for stride in (8, 16, 32))
    dims = model.graph.output[0].type.tensor_type.shape.dim
    dims[1].dim_value, dims[2].dim_value = 4 + len(LABELS), boxes


def _describe(model: Any) -> None:
    """Keep what detectors read from ultralytics' metadata (names, stride, size), and say what the model is."""
    ours = {
        "description": "Vision Stream's demo model, trained on its traffic scene simulator only: not for real streets",
        "author": "Vision Stream; trained with ultralytics",
        "license": "AGPL-3.0",
    }
    for entry in model.metadata_props:
        entry.value = ours.get(entry.key, entry.value)


if __name__ == "__main__":
    cli()
