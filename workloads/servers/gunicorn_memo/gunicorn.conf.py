"""Preloaded workers that remember what they worked out.

    forkprint analyze workloads/servers/gunicorn_memo/gunicorn.conf.py \
        --load workloads/servers/gunicorn_memo/load.toml --capture memo.forkprint
    forkprint forecast memo.forkprint -w 2..32
"""

import os

chdir = os.path.dirname(os.path.abspath(__file__))
wsgi_app = "memo:app"
bind = "127.0.0.1:8000"
workers = 2
preload_app = True
timeout = 60
