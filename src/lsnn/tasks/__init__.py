"""Tasks, one frozen dataclass per file.  `Task` is the seam for a new one, which is then entered in TASKS."""

from lsnn.tasks.closed_loop import Environment as Environment
from lsnn.tasks.closed_loop import Episodes as Episodes
from lsnn.tasks.closed_loop import Record as Record
from lsnn.tasks.few_shot import FewShotOmniglot as FewShotOmniglot
from lsnn.tasks.navigation import Navigation as Navigation
from lsnn.tasks.navigation.searches import pace as pace
from lsnn.tasks.regression import Regression as Regression
from lsnn.tasks.regression import Sines as Sines
from lsnn.tasks.regression import TargetNetworks as TargetNetworks
from lsnn.tasks.sequential_mnist import SequentialMnist as SequentialMnist
from lsnn.tasks.store_recall import StoreRecall as StoreRecall
from lsnn.tasks.t_maze import TMaze as TMaze
from lsnn.tasks.task import Analysed as Analysed
from lsnn.tasks.task import Batch as Batch
from lsnn.tasks.task import Classifies as Classifies
from lsnn.tasks.task import Headline as Headline
from lsnn.tasks.task import InEpochs as InEpochs
from lsnn.tasks.task import Remembers as Remembers
from lsnn.tasks.task import Split as Split
from lsnn.tasks.task import Staged as Staged
from lsnn.tasks.task import Table as Table
from lsnn.tasks.task import Task as Task
from lsnn.tasks.task import is_share as is_share
from lsnn.tasks.timit import Timit as Timit

TASKS: dict[str, type[Task] | type[Environment]] = {
    task.name: task
    for task in (StoreRecall, SequentialMnist, Timit, TargetNetworks, Sines, FewShotOmniglot, Navigation, TMaze)
}
"""every task by its name"""
