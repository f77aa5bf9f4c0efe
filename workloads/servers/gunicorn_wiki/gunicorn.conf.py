"""Preloaded workers that readers of a wiki keep busy.

    forkprint analyze workloads/servers/gunicorn_wiki/gunicorn.conf.py \
        --load workloads/servers/gunicorn_wiki/load.toml --capture wiki.forkprint
    forkprint forecast wiki.forkprint -w 2..32
"""

import os

chdir = os.path.dirname(os.path.abspath(__file__))
wsgi_app = "wiki:app"
bind = "127.0.0.1:8000"
workers = 2
preload_app = True
timeout = 60
