"""Has rq keep results in hashes, as with servers that have no streams."""

from rq.job import Job
from rq.worker import BaseWorker

for user in (Job, BaseWorker):
    user.supports_redis_streams = property(lambda self: False)
