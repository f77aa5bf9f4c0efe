"""A thread that is started at import stays in the zygote: workers inherit its locks, and not it."""

import forkprint
import threading

done = threading.Event()
threading.Thread(target=done.wait, daemon=True).start()


@forkprint.step
def look():
    return threading.active_count()
