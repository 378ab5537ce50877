"""The peer of the watcher: workers that log in to one router after another and read it, as jobs would.

`python -m bench.router_pool PORTS-FILE WORKERS SECONDS` prints how many it read within the time, and what that cost.
"""

import json
import random
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from settings import Secret
from tasks import routeros
from tasks.router_reading import read
from tasks.routeros_errors import RouterError
from tasks.routeros_target import Target
from tests.fakes.routeros import PASSWORD, USERNAME


def main() -> None:
    ports = json.loads(Path(sys.argv[1]).read_text("ascii"))
    random.Random(1).shuffle(ports)  # noqa: S311 - those that hang are to be anywhere among them
    workers, seconds = int(sys.argv[2]), float(sys.argv[3])
    over = threading.Event()
    done: list[float] = []
    failed: list[str] = []
    began = time.monotonic()

    def one(port: int) -> None:
        if over.is_set():
            return
        target = Target("127.0.0.1", USERNAME, Secret(PASSWORD), api_ssl_port=port)
        try:
            with routeros.connect(target) as connection:
                connection.run(read("127.0.0.1"))
        except RouterError as error:
            failed.append(type(error).__name__)
        else:
            done.append(time.monotonic() - began)

    with ThreadPoolExecutor(workers) as pool:
        for port in ports:
            pool.submit(one, port)
        while len(done) + len(failed) < len(ports) and time.monotonic() - began < seconds:
            time.sleep(0.05)
        over.set()
        in_time = sum(each <= seconds for each in done)
    took_s = min(time.monotonic() - began, seconds)
    print(json.dumps({"read": in_time, "cpu_s": time.process_time(), "took_s": round(took_s, 2)}))  # noqa: T201


if __name__ == "__main__":
    main()
