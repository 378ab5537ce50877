"""/api/v1/jobs: what became of what was asked for."""

from api.endpoint import Call, Reply, endpoint
from api.rights import ANYBODY
from api.schemas.job import JobAccepted, JobOut
from db import job_list
from db.job import Job


@endpoint(ANYBODY, {200: JobOut})
def read(call: Call) -> Reply:
    """Shows a job: how far it is, or how it ended."""
    return Reply(JobOut.of(job_list.by_id(call.session, call.id)))


def accepted(job: Job) -> Reply:
    """202, with the job that does what was asked for."""
    return Reply(JobAccepted(job_id=job.id), 202, {"Location": f"/api/v1/jobs/{job.id}"})
