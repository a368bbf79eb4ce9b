"""``bench.py train``: train a method on a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from vssbench.cli.options import SIZE, data_root_option, device_option, precision_option


@click.command()
@click.argument("method")
@click.option("-d", "--dataset", required=True, help="Dataset to train on.")
@data_root_option
@click.option("--epochs", type=click.IntRange(1), default=40, show_default=True, help="Epochs of the main phase.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Weight file to write (.safetensors).")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint beside --out.")
@click.option(
    "--init",
    "initial",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Start from these weights; AR-Seg takes its branches from per-frame networks.",
)
@click.option("-c", "--codec", "codecs", multiple=True, default=("h264[bitrate=1M]",), show_default=True,
              help="Codec of training pairs; several are taken in turn.")  # fmt: skip
@click.option("--batch", type=click.IntRange(1), default=8, show_default=True, help="Images a step.")
@click.option("--crop", type=SIZE, default="240x320", show_default=True, metavar="HxW", help="Training crop in pixels.")
@click.option("--lr", "learning_rate", type=float, default=1e-3, show_default=True, help="Peak learning rate (AdamW).")
@click.option("--frames", type=click.IntRange(1), help="Frames an epoch at most; all by default.")
@click.option("--part-size", type=float, help="Split the weights into files of at most this many MiB.")
@click.option("--workers", type=click.IntRange(0), default=1, show_default=True, help="Processes that load data.")
@click.option("--seed", type=int, default=0, show_default=True)
@precision_option("bf16")
@device_option
def train(method: str, dataset: str, data_root: Path | None, out: Path | None, resume: bool, **options: Any) -> None:
    """Train METHOD and write its weights.

    For example:

    \b
        python bench.py train 'pspnet[width=0.5]' -d camvid --data-root ~/CamVid --epochs 60
    """
    from vssbench.cli.options import check_device, open_dataset
    from vssbench.progress import messages
    from vssbench.training.loop import Options, Trainer
    from vssbench.variant import parse_variant

    check_device(options["device"])
    variant, dataset_variant = parse_variant(method), parse_variant(dataset)
    opened = open_dataset(dataset_variant, data_root)
    target = out or Path("checkpoints") / f"{variant.name}-{dataset_variant.name}.safetensors"
    trainer = Trainer(variant, dataset_variant, opened, Options(**options), target)
    for path in trainer.run(resume):
        messages().print(f"wrote {path} ({path.stat().st_size / 2**20:.1f} MiB)")
        click.echo(path)
