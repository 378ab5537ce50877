# One image for every service of docker-compose.yml: `kibali run PART` in a container of its own, as user kibali.
# It is built by the steps that set up any other machine, `./kibali install`.
FROM debian:trixie-slim

ENV KIBALI_VAR=/var/lib/kibali
WORKDIR /opt/kibali
# A number that stays the same from build to build, for the owner of the volumes.
RUN useradd --system --uid 900 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin kibali

# What installing needs and no more, so that a change of the code alone does not install anew.
COPY kibali ./
COPY cli/install cli/install
COPY requirements requirements
RUN PIP_NO_CACHE_DIR=1 ./kibali install && rm -rf /var/lib/apt/lists/*

COPY . .
# Again: the new files are to be readable to user kibali and, as FreeRADIUS insists, writable to root alone.
RUN ./kibali install && .venv/bin/python -m compileall -q settings.py logs.py api cli db isp radius_module tasks

USER kibali
ENV PATH=/opt/kibali/.venv/bin:$PATH PYTHONPATH=/opt/kibali PYTHONDONTWRITEBYTECODE=1
ENTRYPOINT ["python", "-P", "-m", "cli"]
CMD ["--help"]
