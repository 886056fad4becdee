"""Makes the fixture of the event files in crates/store: records as TensorBoard's own writer gives them.

    python reference/make_tensorboard.py

Writes crates/store/tests/fixtures/events.tfevents: the file's version, a restart at step 300, three
scalars, a text, and a picture, with the times 1.5, 2.5, … seconds.
"""

import io
import pathlib

import numpy as np
from PIL import Image
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2, types_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

OUT = pathlib.Path(__file__).parent.parent / "crates/store/tests/fixtures"


def png():
    data = io.BytesIO()
    Image.fromarray(np.arange(30, dtype=np.uint8).reshape(2, 5, 3)).save(data, "PNG")
    return data.getvalue()


def text(tag, value):
    plugin = summary_pb2.SummaryMetadata.PluginData(plugin_name="text")
    tensor = tensor_pb2.TensorProto(
        dtype=types_pb2.DT_STRING,
        tensor_shape=tensor_shape_pb2.TensorShapeProto(),
        string_val=[value.encode()],
    )
    metadata = summary_pb2.SummaryMetadata(plugin_data=plugin)
    return summary_pb2.Summary.Value(tag=tag, tensor=tensor, metadata=metadata)


def image(tag, data):
    value = summary_pb2.Summary.Image(height=2, width=5, colorspace=3, encoded_image_string=data)
    return summary_pb2.Summary.Value(tag=tag, image=value)


def main():
    scalars = [("train/loss", 0.75), ("train/lr", 1.5e-4), ("held_out/top1", 0.0)]
    scalars = [summary_pb2.Summary.Value(tag=tag, simple_value=value) for tag, value in scalars]
    session = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    contents = [
        {"file_version": "brain.Event:2"},
        {"step": 300, "session_log": session},
        {"step": 300, "summary": summary_pb2.Summary(value=scalars)},
        {"summary": summary_pb2.Summary(value=[text("config", "    größe = 1\n")])},
        {"step": 2**40, "summary": summary_pb2.Summary(value=[image("held_out/a", png())])},
    ]
    with open(OUT / "events.tfevents", "wb") as file:
        writer = RecordWriter(file)
        for number, content in enumerate(contents):
            event = event_pb2.Event(wall_time=number + 1.5, **content)
            writer.write(event.SerializeToString(deterministic=True))
    (OUT / "picture.png").write_bytes(png())


if __name__ == "__main__":
    main()
