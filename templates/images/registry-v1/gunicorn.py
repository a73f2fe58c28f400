"""What gunicorn does around the start of each worker: one loads the program at a time.

Workers that set up the index of searches in the same moment remove each other's lock and fail, and gunicorn gives up with
the first that does. A lock that a killed worker left behind would keep the next ones waiting, so it is removed.

Boto takes the region of a signature (AWS_USE_SIGV4) from the name of the store's host. A store that is not Amazon's has none
in its name, so there it is what AWS_REGION says.
"""
import errno
import fcntl
import os


def post_fork(server, worker):
    take_region()
    worker.turn = open('docker-registry.turn', 'w')
    while not have_turn(worker.turn):
        pass
    if os.path.exists('registry._setup_database.lock'):
        os.remove('registry._setup_database.lock')


def post_worker_init(worker):
    worker.turn.close()


def have_turn(turn):
    try:
        fcntl.flock(turn, fcntl.LOCK_EX)
        return True
    except IOError as error:
        # A signal; the one that ends the worker comes again once it has loaded the program.
        if error.errno != errno.EINTR:
            raise
        return False


def take_region():
    region = os.environ.get('AWS_REGION', '').strip('\'"')
    if region and os.environ.get('AWS_HOST'):
        import gevent.monkey
        gevent.monkey.patch_all()
        import boto.auth
        boto.auth.S3HmacAuthV4Handler.determine_region_name = lambda self, host: region
