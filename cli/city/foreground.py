"""`onecard city kafka`: one Apache Kafka node for whoever wants to speak to it."""

from pathlib import Path

from rich.console import Console

from cli.city.signals import interruptible
from cli.servers.child import ServerFailedError
from cli.servers.kafka import Kafka


def run_kafka(folder: Path, port: int, console: Console) -> None:
    """Run it until Ctrl-C; raises ServerFailedError when it cannot start or ends by itself."""

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    kafka = Kafka(folder, port, say)
    with interruptible():
        try:
            say("Apache Kafka is starting …")
            kafka.start()
            say(f"Apache Kafka answers on {kafka.bootstrap}; its log is {kafka.child.log}. Ctrl-C ends it")
            status = kafka.child.wait()
            raise ServerFailedError(f"Apache Kafka ended with status {status}\n{kafka.child.last_lines()}")
        except KeyboardInterrupt:
            say("ending …")
        finally:
            kafka.stop()
