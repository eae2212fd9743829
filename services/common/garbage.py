"""How often Python looks for cycles, in processes that make thousands of values at a time."""

import gc


def collect_garbage_seldom() -> None:
    """A batch makes forty tuples a tap that no cycle holds; by default a third of the CPU goes into looking for one.

    It is looked for only when there are more values than the batches of all lanes hold at once: else it would be in each batch.
    """
    gc.freeze()
    gc.set_threshold(1_000_000, 10, 10)
