"""As much of Ray as the steps of a run use; tasks run at once, one after the other."""

from collections.abc import Callable, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any


class RayError(Exception):
    def __init__(self, cause: BaseException) -> None:
        super().__init__(f"far away: {cause}")
        self.cause = cause


class Task:
    """What stands for an answer until it is asked for."""

    def __init__(self, answer: Any = None, error: RayError | None = None) -> None:
        self.answer = answer
        self.error = error


class FakeRay(ModuleType):
    """Put it into ``sys.modules`` as ``ray``."""

    def __init__(self, *, gpus: float = 0.0) -> None:
        super().__init__("ray")
        self.gpus = gpus
        self.asked: dict[str, tuple[float, float]] = {}
        """Name of a task → CPUs and GPUs that it asked for."""
        self.is_connected = False
        self.cancelled = 0
        self.before_wait: Callable[[], None] = lambda: None
        self.exceptions = SimpleNamespace(RayError=RayError)

    def init(self, **_: object) -> None:
        self.is_connected = True

    def shutdown(self) -> None:
        self.is_connected = False

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": self.cluster_resources()}]

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 4.0, **({"GPU": self.gpus} if self.gpus else {})}

    def put(self, item: object) -> Task:
        return Task(item)

    def remote(self, function: Callable[..., Any]) -> SimpleNamespace:
        def options(*, name: str, num_cpus: float, num_gpus: float) -> SimpleNamespace:
            self.asked[name] = (num_cpus, num_gpus)
            return SimpleNamespace(remote=lambda *arguments: self._run(function, arguments))

        return SimpleNamespace(options=options)

    def _run(self, function: Callable[..., Any], arguments: Sequence[Any]) -> Task:
        tasks = [item for item in arguments if isinstance(item, Task)]
        for task in tasks:
            if task.error is not None:  # Ray hands on the error of what was awaited
                return Task(error=task.error)
        try:
            return Task(
                function(*(item.answer if isinstance(item, Task) else item for item in arguments))
            )
        except (ValueError, RuntimeError) as error:
            return Task(error=RayError(error))

    def cancel(self, task: Task) -> None:
        self.cancelled += 1

    def wait(
        self, tasks: list[Task], *, num_returns: int, timeout: float
    ) -> tuple[list[Task], list[Task]]:
        self.before_wait()
        return tasks[:num_returns], tasks[num_returns:]

    def get(self, task: Task) -> Any:
        if task.error is not None:
            raise task.error
        return task.answer
