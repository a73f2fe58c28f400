"""What gunicorn does around the start of each worker: one loads the program at a time.

Workers that set up the index of searches in the same moment remove each other's lock and fail, and gunicorn gives up with
the first that does. A lock that a killed worker left behind would keep the next ones waiting, so it is removed.
"""
import fcntl
import os


def post_fork(server, worker):
    worker.turn = open('docker-registry.turn', 'w')
    fcntl.flock(worker.turn, fcntl.LOCK_EX)
    if os.path.exists('registry._setup_database.lock'):
        os.remove('registry._setup_database.lock')


def post_worker_init(worker):
    worker.turn.close()
