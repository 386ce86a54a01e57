"""Few-shot learning: name characters that are shown one by one, each of which one has seen a few times at most."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn
from torch.nn import functional

from lsnn import omniglot
from lsnn.losses import masked_cross_entropy, masked_error, window_mean
from lsnn.seeding import generator_for
from lsnn.tasks.task import Batch, Decisions, Headline, Readout, Split, Table

AT_INSTANCES = (1, 2, 5, 10)
"""columns of the table, and metrics"""
FREE = ("image_ms", "label_ms", "ink_current", "label_current", "rotate", "logit_scale", "data")
"""fields that two networks may differ in and still be compared on the same episodes"""


class Shown(NamedTuple):
    """What an episode shows, image by image."""

    images: Float[Tensor, "image n pixel"]
    """ink, 0 ... 1"""
    label: Int64[Tensor, "image n"]


@dataclass(frozen=True)
class FewShotOmniglot:
    """Episodes of characters never seen before, each of which is told its label once it has been named.

    Five characters with labels drawn anew for each episode, ten drawings of each, in random order: which label a
    character has can be learned only from the second of its drawings on.  As every label comes ten times, counting
    them alone names more than chance.  Pixels and a one-hot label enter as currents; the mean readout of the
    first `image_ms` of an image, in which its label is never shown, names it.  The label comes with the next image,
    or, with `label_ms`, while its own image is still there: the network then need not hold an image in mind to learn
    its label.  Alphabets are split, so that characters tested are of alphabets never trained on.
    Source: Santoro et al. 2016 (memory-augmented networks), asked for by a reviewer of Bellec et al. 2018; sizes of
    images and times are ours.
    """

    name: ClassVar[str] = "omniglot"
    headline: ClassVar[Headline] = Headline("accuracy", higher_is_better=True)

    n_classes: int = 5
    """characters in an episode"""
    n_instances: int = 10
    """drawings of each"""
    image_ms: int = 20
    """time an image is shown in which it is to be named, ms; 1 for networks that do not spike"""
    label_ms: int = 0
    """time an image stays on after that, with its own label, ms; 0 shows the label with the next image instead"""
    side: int = 20
    """pixels along each side to which images are reduced"""
    rotate: bool = True
    """in training, turn all drawings of a character by the same multiple of 90 degrees: four times the characters"""
    ink_current: float = 1.0
    """input current of a pixel that is all ink"""
    label_current: float = 1.0
    """input current of a label"""
    logit_scale: float = 1.0
    """factor on the mean readout in the loss's softmax"""
    n_validation: int = 100
    """episodes in a validation"""
    n_test: int = 500
    """episodes in a test"""
    data: Path | None = None
    """folder with Omniglot's zip files"""

    def __post_init__(self) -> None:
        for name, least in (
            *(("n_classes", 2), ("n_instances", 2), ("image_ms", 1), ("side", 2)),
            *(("label_ms", 0), ("n_validation", 1), ("n_test", 1)),
        ):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        for name, what in (("ink_current", "pixels"), ("label_current", "labels"), ("logit_scale", "logits")):
            if not 0 < getattr(self, name) < math.inf:
                value = getattr(self, name)
                raise ValueError(f"{name} must be positive and finite, got {value}; 1 leaves {what} alone")

    @property
    def shown_ms(self) -> int:
        """Time an image is shown in all, ms."""
        return self.image_ms + self.label_ms

    @property
    def answer_steps(self) -> int:
        """Steps, from the first of an image, over which the answer is read."""
        return self.image_ms

    @property
    def n_in(self) -> int:
        """Pixels, then a channel per label."""
        return self.side**2 + self.n_classes

    @property
    def n_out(self) -> int:
        """Labels."""
        return self.n_classes

    @property
    def windows_shown(self) -> int:
        """Images of an episode that a figure shows: all."""
        return self.n_classes * self.n_instances

    def input_groups(self) -> dict[str, slice]:
        """Pixels, and labels."""
        return {"image": slice(0, self.side**2), "label": slice(self.side**2, self.n_in)}

    def episodes(self, split: Split, n: int, generator: Generator) -> Iterator[Shown]:
        """n episodes, one after the other."""
        drawings = omniglot.load(self.data, self.side).split(split)
        n_characters, n_drawings = drawings.shape[:2]
        if n_characters < self.n_classes or n_drawings < self.n_instances:
            raise ValueError(
                f"the {split} alphabets have {n_characters} characters with {n_drawings} drawings each, an episode "
                f"needs {self.n_classes} with {self.n_instances}; lower --task.n-classes or --task.n-instances"
            )
        label = torch.arange(self.n_classes).repeat_interleave(self.n_instances)
        for _ in range(n):
            character = torch.randperm(n_characters, generator=generator)[: self.n_classes]
            drawing = torch.rand(self.n_classes, n_drawings, generator=generator).argsort(1)[:, : self.n_instances]
            turns = torch.randint(4, (self.n_classes,), generator=generator)
            order = torch.randperm(len(label), generator=generator)
            images = drawings[character[:, None], drawing]  # (class, instance, side, side)
            if self.rotate and split == "train":
                images = torch.stack([torch.rot90(some, int(k), (1, 2)) for some, k in zip(images, turns, strict=True)])
            yield Shown(images.flatten(0, 1).flatten(1)[order] / omniglot.INK, label[order])

    def batch(self, split: Split, n: int, generator: Generator) -> Batch:
        """n episodes of fresh characters."""
        return self._batch(list(self.episodes(split, n, generator)))

    def evaluation(self, split: Split, n: int) -> Iterator[Batch]:
        """The same episodes at every call."""
        shown = self.episodes(split, self._n(split), generator_for(0, f"{self.name}/evaluation/{split}"))
        while some := [episode for _, episode in zip(range(n), shown, strict=False)]:
            yield self._batch(some)

    def loss(self, readout: Readout, batch: Batch) -> Decisions:
        """Cross-entropy of `logit_scale` times the mean readout while an image is to be named, per image."""
        logits = self.logit_scale * self._answer(readout)
        return masked_cross_entropy(logits, batch.target, batch.mask)

    def metrics(self, readout: Readout, batch: Batch) -> dict[str, Decisions]:
        """accuracy: 1 for an image named right, else 0; accuracy_2: at the second of a character's drawings; ..."""
        right = 1 - masked_error(self._answer(readout), batch.target, batch.mask)
        instance = instances(batch.target)[batch.mask]
        at = {f"accuracy_{k}": right[instance == k] for k in AT_INSTANCES if k <= self.n_instances}
        return {"accuracy": right, **at}

    def _n(self, split: Split) -> int:
        return self.n_test if split == "test" else self.n_validation

    def _batch(self, episodes: list[Shown]) -> Batch:
        images, label = (torch.stack(part, dim=1) for part in zip(*episodes, strict=True))
        told = self.label_current * functional.one_hot(label, self.n_classes)
        nothing = torch.zeros_like(told)
        if self.label_ms:
            phases = [(nothing, self.image_ms), (told, self.label_ms)]
        else:
            phases = [(torch.cat([nothing[:1], told[:-1]]), self.image_ms)]
        ink = self.ink_current * images
        shown = [torch.cat([ink, labels], dim=2)[:, None].expand(-1, ms, -1, -1) for labels, ms in phases]
        return Batch(torch.cat(shown, dim=1).flatten(0, 1), label, torch.ones_like(label, dtype=torch.bool))

    def _answer(self, readout: Readout) -> Float[Tensor, "image n label"]:
        """Mean readout over the first image_ms of every image."""
        return window_mean(readout, self.shown_ms, self.image_ms)

    # ---- what more there is to say about a network ---------------------------------------------------------------

    def analyse(
        self, network: nn.Module, split: Split, before: nn.Module | None = None, **run: Any
    ) -> dict[str, Tensor]:
        """instance/NAME: accuracy by instance, (instance), of the network, of a memory of all drawings, and of who
        looks at none of them and counts labels."""
        right: dict[str, list[Tensor]] = {"network": [], "nearest drawing so far": [], "counting labels": []}
        found = []
        with torch.no_grad():
            for batch in self.evaluation(split, 25):
                answers = self._answer(network(batch.inputs, **run)[0].readout).argmax(2)
                right["network"].append((answers == batch.target).flatten())
                right["nearest drawing so far"].append((self._nearest(batch) == batch.target).flatten())
                right["counting labels"].append((self._least_shown(batch) == batch.target).flatten())
                found.append(instances(batch.target).flatten())
        instance = torch.cat(found)
        return {
            f"instance/{name}": torch.stack(
                [torch.cat(parts)[instance == k + 1].float().mean() for k in range(self.n_instances)]
            )
            for name, parts in right.items()
        }

    def table(self, analyses: Mapping[str, Mapping[str, Tensor]]) -> Table:
        """Accuracy at some instances of a character."""
        (_, first), *_ = analyses.items()
        at = [k for k in AT_INSTANCES if k <= self.n_instances]
        curves = {name: analysis["instance/network"] for name, analysis in analyses.items()}
        curves |= {key.removeprefix("instance/"): first[key] for key in first if key != "instance/network"}
        rows = [(name, tuple(curve[k - 1].item() for k in at)) for name, curve in curves.items()]
        return Table("accuracy at a character's instance", tuple(map(str, at)), rows, share=True)

    def comparable(self, other: object) -> bool:
        """Whether the other task has the same episodes, wherever the files are and however long images are shown."""
        if not isinstance(other, FewShotOmniglot):
            return False
        free = {name: getattr(self, name) for name in FREE}
        return replace(other, **free) == self

    def _least_shown(self, batch: Batch) -> Int64[Tensor, "image n"]:
        """The label that came least so far, and so has most drawings left."""
        come = functional.one_hot(batch.target, self.n_classes)
        return (come.cumsum(0) - come).argmin(2)

    def _nearest(self, batch: Batch) -> Int64[Tensor, "image n"]:
        """Label of the most similar drawing seen so far, by the distance of pixels; label 0 at first."""
        images = batch.inputs[:: self.shown_ms, :, : self.side**2].transpose(0, 1)  # (n, image, pixel)
        distance = torch.cdist(images, images)
        future = torch.ones(distance.shape[1:], dtype=torch.bool).triu()
        nearest = distance.masked_fill(future, math.inf).argmin(2)  # (n, image); of the first, itself
        label = batch.target.t().gather(1, nearest)
        label[:, 0] = 0
        return label.t()


def instances(label: Int64[Tensor, "image n"]) -> Int64[Tensor, "image n"]:
    """Which of its label's images each one is in its episode, counted from 1."""
    seen = functional.one_hot(label).cumsum(0)
    return seen.gather(2, label.unsqueeze(2)).squeeze(2)
