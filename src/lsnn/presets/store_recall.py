"""Store-recall, from the authors' public tutorial: with and without adaptive neurons, and non-spiking networks."""

from dataclasses import replace

from lsnn.experiments import Experiment, Spiking
from lsnn.neuron import Cells
from lsnn.presets.preset import PaperRow, Preset, with_cell, with_cells
from lsnn.tasks.store_recall import StoreRecall

_store_recall = Experiment(
    task=StoreRecall(),
    network=Spiking(
        cells=Cells(n_regular=10, n_adaptive=10, tau_a=1200.0, beta=1.7, n_ref=3), connectivity=1.0, excitatory=None
    ),
    iterations=200,
    batch_size=128,
    lr=0.01,
    lr_decay=0.3,
    lr_decay_every=100,
    rewiring="off",
    rate_cost=0.01,
    validate_every=20,
    log_every=1,
    checkpoint_every=10,
)
_recall = (PaperRow("recall_error", 0.05, "stopping criterion", "authors' public store-recall tutorial"),)
_store_recall_baseline = replace(_store_recall, lr_decay=1.0)

STORE_RECALL: dict[str, Preset] = {
    "store-recall": Preset("remember a bit for seconds: 10 regular, 10 adaptive neurons", _store_recall, _recall),
    "store-recall-lif": Preset(
        "the same without adaptive neurons: 20 regular ones",
        with_cells(_store_recall, Cells(n_regular=20, n_adaptive=0, n_ref=3)),
    ),
    "store-recall-lstm": Preset("the same with an LSTM of 20 units", with_cell(_store_recall_baseline, "lstm", 20)),
    "store-recall-gru": Preset("the same with a GRU of 20 units", with_cell(_store_recall_baseline, "gru", 20)),
    "store-recall-rnn": Preset("the same with a tanh RNN of 20 units", with_cell(_store_recall_baseline, "rnn", 20)),
}
