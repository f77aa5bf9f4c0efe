"""A production-like configuration: three preloaded workers.

    forkprint analyze workloads/servers/gunicorn_shop/gunicorn.conf.py \
        --load workloads/servers/gunicorn_shop/load.toml
"""

import os

chdir = os.path.dirname(os.path.abspath(__file__))
wsgi_app = "shop:app"
bind = "127.0.0.1:8000"
workers = 3
preload_app = True
timeout = 60
